//! Two routers on two links that move together.

use std::sync::Arc;

use vrrpd::engine::output::{Reason, StateName};
use vrrpd::engine::params::Preempt;
use vrrpd::wire::field::Priority;

use crate::simulator::MS;
use crate::simulator::spec::{CheckSpec, Cluster, RouterSpec, TrackSpec};
use crate::simulator::world::Action;
use crate::story::{DELAY, SECOND, Story, skew};

/// A group of two over two links; each member has a weight (check 0) and may fail (check 1).
fn pair(priorities: &[u8]) -> Cluster {
    let mut spec = RouterSpec::new(priorities).weighed();
    spec.tracks.push(TrackSpec::fault(1));
    let other = RouterSpec { link: 1, ..spec.clone() };
    let checks = vec![CheckSpec { is_number: true, ..CheckSpec::PLAIN }, CheckSpec::PLAIN];
    Cluster { routers: vec![spec, other], checks, groups: vec![vec![0, 1]] }
}

fn moved(member: &str) -> Reason {
    Reason::GroupMoved { member: Arc::from(member) }
}

fn faulty(member: &str) -> Reason {
    Reason::GroupFault { member: Arc::from(member) }
}

/// Who is Master of each member.
fn masters(story: &Story) -> [Vec<usize>; 2] {
    [0, 1].map(|router| story.world.masters(router))
}

fn gap(story: &Story) -> u64 {
    story.world.measures.iter().map(|measure| measure.longest_gap).max().unwrap()
}

fn promotions(story: &Story) -> [u64; 2] {
    [0, 1].map(|router| story.world.measures[router].promotions)
}

#[test]
fn group_becomes_master_with_one_change_for_each_member_and_then_one_for_the_group() {
    let story = Story::elected(pair(&[200, 100]));
    assert_eq!(masters(&story), [[0], [0]]);
    let at = 3 * SECOND + skew(200, SECOND);
    for router in 0..2 {
        let changes: Vec<_> = story.changes_of(0, router).into_iter().map(|(at, state, _)| (at, state)).collect();
        assert_eq!(changes, [(0, StateName::Backup), (at, StateName::Master)]);
    }
    let changes: Vec<_> = story.group_changes(0).into_iter().map(|(at, change)| (at, change.from, change.to)).collect();
    assert_eq!(changes, [(0, StateName::Init, StateName::Backup), (at, StateName::Backup, StateName::Master)]);
    let last = story.seen(0).filter(|seen| seen.at == at).last().map(|seen| format!("{:?}", seen.output));
    assert!(last.unwrap().contains("Group("), "after the transitions of its members");
}

#[test]
fn member_that_hears_no_master_waits_for_the_other() {
    let mut story = Story::elected(pair(&[200, 100]));
    story.forget();
    story.act(Action::BlockLink(0, 0, 1, true));
    story.go(60 * SECOND);
    assert_eq!((masters(&story), promotions(&story)), ([vec![0], vec![0]], [0, 0]));
    story.act(Action::BlockLink(0, 0, 1, false));
    story.go(5 * SECOND);
    story.act(Action::BlockLink(1, 0, 1, true));
    story.go(60 * SECOND);
    assert_eq!(promotions(&story), [0, 0], "the first is willing no more since it heard the Master again");
    story.act(Action::Crash(0));
    story.go(5 * SECOND);
    assert_eq!(masters(&story), [[1], [1]]);
}

#[test]
fn resignation_that_one_member_lost_both_times_counts_for_it_too() {
    let mut story = Story::elected(pair(&[200, 100]));
    story.act(Action::BlockLink(1, 0, 1, true));
    story.forget();
    let at = story.now();
    story.act(Action::Stop(0));
    story.go(SECOND);
    let took_over_at = at + 50 * MS + DELAY + skew(100, SECOND);
    for router in 0..2 {
        assert_eq!(story.changes_of(1, router), [(took_over_at, StateName::Master, Reason::Resigned)]);
    }
    assert_eq!(gap(&story), 0);
}

#[test]
fn members_leave_together_when_one_hears_a_better_master() {
    let mut story = Story::new(pair(&[200, 100]));
    story.pass_all();
    story.act(Action::Start(1));
    story.go(10 * SECOND);
    // What the better node says on the second link is lost.
    story.act(Action::BlockLink(1, 0, 1, true));
    story.forget();
    story.act(Action::Start(0));
    story.go(5 * SECOND);
    let at = story.changes_of(1, 0)[0].0;
    let reason = Reason::HigherPriority { priority: Priority::new(200).unwrap() };
    assert_eq!(story.changes_of(1, 0), [(at, StateName::Backup, reason.clone())]);
    assert_eq!(story.changes_of(1, 1), [(at, StateName::Backup, moved("r0"))]);
    assert_eq!(story.released_of(1, 1), [at + 1100 * MS], "it hears no successor");
    let group = story.group_changes(1);
    assert_eq!(group.len(), 1);
    assert_eq!((group[0].0, group[0].1.to, &group[0].1.reason), (at, StateName::Backup, &reason));
    assert_eq!((masters(&story), gap(&story)), ([vec![0], vec![0]], 0));
}

#[test]
fn failure_takes_the_whole_group_without_a_gap_and_it_comes_back_as_one() {
    let mut story = Story::elected(pair(&[200, 100]));
    story.forget();
    let at = story.now();
    story.fail(0, 1);
    story.go(5 * SECOND);
    let failed = Reason::CheckFailed { check: Arc::from("c1"), words: Arc::from("as told") };
    for router in 0..2 {
        assert_eq!(story.changes_of(0, router), [(at, StateName::Fault, failed.clone())], "it is tracked by both");
    }
    assert_eq!((masters(&story), gap(&story)), ([vec![1], vec![1]], 0));
    story.pass(0, 1);
    story.go(5 * SECOND);
    assert_eq!((masters(&story), gap(&story)), ([vec![0], vec![0]], 0));
    assert_eq!(promotions(&story), [2, 2]);
}

#[test]
fn fault_of_one_member_is_that_of_all_until_none_has_one() {
    let mut story = Story::elected(pair(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::OneLink(0, 1, false));
    story.go(SECOND);
    story.act(Action::OneLink(0, 0, false));
    story.go(SECOND);
    story.act(Action::OneLink(0, 1, true));
    story.go(SECOND);
    story.act(Action::OneLink(0, 0, true));
    story.go(0);
    assert_eq!(
        story.changes_of(0, 1),
        [
            (at, StateName::Fault, Reason::LinkDown),
            (at + 2 * SECOND, StateName::Fault, faulty("r0")),
            (at + 3 * SECOND, StateName::Backup, Reason::Recovered),
        ]
    );
    let changes = story.changes_of(0, 0);
    assert_eq!(changes.first(), Some(&(at, StateName::Fault, faulty("r1"))));
    assert_eq!(changes.last(), Some(&(at + 3 * SECOND, StateName::Backup, Reason::Recovered)));
    let states: Vec<_> = story.group_changes(0).into_iter().map(|(at, change)| (at, change.to)).collect();
    assert_eq!(states, [(at, StateName::Fault), (at + 3 * SECOND, StateName::Backup)]);
}

#[test]
fn member_whose_mate_lost_its_link_makes_before_it_breaks() {
    let mut story = Story::elected(pair(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::OneLink(0, 1, false));
    story.go(3 * SECOND);
    assert_eq!(story.released_of(0, 1), [at], "nobody reaches it");
    assert!(story.released_of(0, 0)[0] > at + skew(100, SECOND));
    assert_eq!((masters(&story), story.world.measures[0].longest_gap), ([vec![1], vec![1]], 0));
}

#[test]
fn weight_of_a_group_moves_all_of_it_or_nothing() {
    for (effective, master) in [(50, 1), (150, 0)] {
        for preempt in [Preempt::Always, Preempt::Never] {
            let mut cluster = pair(&[200, 100]);
            cluster.routers.iter_mut().for_each(|router| router.preempts = vec![preempt]);
            let mut story = Story::elected(cluster);
            story.forget();
            story.weigh(0, effective);
            story.go(10 * SECOND);
            assert_eq!((masters(&story), gap(&story)), ([vec![master], vec![master]], 0), "{effective} {preempt:?}");
            assert_eq!(promotions(&story), [u64::from(master == 1); 2]);
        }
    }
}

#[test]
fn offer_of_one_member_alone_moves_nothing_when_the_other_is_still_better() {
    let mut cluster = pair(&[200, 150]);
    cluster.routers[1].tracks.remove(0);
    let mut story = Story::elected(cluster);
    // Just after the adverts: the other member's next one would come too late.
    let sent_at = story.sent(0).last().unwrap().0;
    story.go(sent_at + SECOND + 10 * MS - story.now());
    story.forget();
    story.weigh(0, 100);
    story.go(30 * SECOND);
    assert_eq!((masters(&story), promotions(&story), gap(&story)), ([vec![0], vec![0]], [0, 0], 0));
}

#[test]
fn groups_come_together_again_after_a_split_that_heals_on_one_link_first() {
    let mut story = Story::elected(pair(&[200, 100]));
    let block = |story: &mut Story, link: usize, is_blocked: bool| {
        story.act(Action::BlockLink(link, 0, 1, is_blocked));
        story.act(Action::BlockLink(link, 1, 0, is_blocked));
    };
    block(&mut story, 0, true);
    block(&mut story, 1, true);
    story.go(10 * SECOND);
    assert_eq!(masters(&story), [[0, 1], [0, 1]]);
    block(&mut story, 0, false);
    story.go(30 * SECOND);
    assert_eq!(masters(&story), [[0], [0]]);
    story.forget();
    block(&mut story, 1, false);
    story.go(30 * SECOND);
    assert_eq!((masters(&story), promotions(&story)), ([vec![0], vec![0]], [0, 0]));
}

#[test]
fn group_beside_routers_that_are_none_does_not_flap() {
    // The other node is better on one link and worse on the other.
    for is_first in [true, false] {
        let mut cluster = pair(&[150, 150]);
        cluster.routers[0].priorities = vec![150, if is_first { 200 } else { 100 }];
        cluster.routers[1].priorities = vec![150, if is_first { 100 } else { 200 }];
        let mut story = Story::elected(cluster);
        story.go(30 * SECOND);
        story.forget();
        story.go(60 * SECOND);
        assert_eq!(promotions(&story), [0, 0]);
        let [first, second] = masters(&story);
        assert!(first == second && first.len() == 1, "{first:?} {second:?}");
    }
}

#[test]
fn group_of_owners_begins_as_master_and_one_of_an_owner_and_another_waits() {
    for (other, state) in [(255, StateName::Master), (100, StateName::Backup)] {
        let mut cluster = pair(&[255, 50]);
        cluster.routers[1].priorities = vec![other, 50];
        let mut story = Story::new(cluster);
        story.pass_all();
        story.act(Action::Start(0));
        story.go(0);
        assert_eq!((story.world.state(0, 0), story.world.state(0, 1)), (state, state));
        assert_eq!((story.changes_of(0, 0).len(), story.changes_of(0, 1).len()), (1, 1));
        story.go(5 * SECOND);
        assert_eq!(masters(&story), [[0], [0]]);
    }
}

#[test]
fn preemption_delay_holds_for_the_group() {
    let mut cluster = pair(&[200, 100]);
    let delay = Preempt::After(std::time::Duration::from_secs(20));
    cluster.routers.iter_mut().for_each(|router| router.preempts = vec![delay]);
    let mut story = Story::new(cluster);
    story.pass_all();
    story.act(Action::Start(1));
    story.go(10 * SECOND);
    story.act(Action::Start(0));
    story.go(20 * SECOND);
    assert_eq!(masters(&story), [[1], [1]]);
    story.forget();
    story.go(10 * SECOND);
    assert_eq!((masters(&story), gap(&story), promotions(&story)), ([vec![0], vec![0]], 0, [1, 1]));
}

#[test]
fn stopping_group_is_told_once_and_leaves_no_gap() {
    let mut story = Story::elected(pair(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::Stop(0));
    story.go(3 * SECOND);
    for router in 0..2 {
        assert_eq!(story.changes_of(0, router), [(at, StateName::Init, Reason::Stopping)]);
    }
    let group = story.group_changes(0);
    assert_eq!(group.len(), 1);
    assert_eq!((group[0].1.to, group[0].1.reason.clone()), (StateName::Init, Reason::Stopping));
    assert_eq!((masters(&story), gap(&story)), ([vec![1], vec![1]], 0));
}
