//! The Master's priority falls: it offers its addresses to whoever is better.

use std::net::{IpAddr, Ipv4Addr};

use vrrpd::engine::output::{Reason, StateName};
use vrrpd::engine::params::Preempt;
use vrrpd::wire::field::{Priority, Version};

use crate::simulator::MS;
use crate::simulator::spec::{RouterSpec, TrackSpec};
use crate::simulator::world::Action;
use crate::story::{DELAY, OVERLAP, SECOND, Story, skew};

fn outranked(priority: u8) -> Reason {
    Reason::Outranked { priority: Priority::new(priority).unwrap() }
}

#[test]
fn lowered_priority_hands_over_to_the_best_one_without_a_gap() {
    for (version, preempt) in
        [(Version::V3, Preempt::Always), (Version::V3, Preempt::Never), (Version::V2, Preempt::Never)]
    {
        let mut spec = RouterSpec::new(&[200, 150, 100]).weighed();
        spec.preempts = vec![Preempt::Always, preempt];
        spec.version = version;
        let mut story = Story::elected(spec);
        story.forget();
        let at = story.now();
        story.weigh(0, 120);
        story.go(3 * SECOND);
        let took_over_at = at + 50 * MS + DELAY + skew(150, SECOND);
        assert_eq!(story.changes(1), [(took_over_at, StateName::Master, Reason::Resigned)]);
        assert_eq!(story.changes(0), [(took_over_at + DELAY, StateName::Backup, outranked(150))]);
        assert_eq!(story.released(0), [took_over_at + DELAY + OVERLAP]);
        assert_eq!((story.masters(), story.longest_gap()), (vec![1], 0));
        assert_eq!(story.changes(2), []);
    }
}

#[test]
fn lowered_priority_hands_over_although_the_first_resignation_is_lost() {
    let mut spec = RouterSpec::new(&[200, 150]).weighed();
    spec.preempts = vec![Preempt::Never];
    let mut story = Story::elected(spec);
    story.world.segment.drops_first_resignation = true;
    story.forget();
    story.weigh(0, 149);
    story.go(3 * SECOND);
    assert_eq!((story.masters(), story.longest_gap()), (vec![1], 0));
}

#[test]
fn lowered_priority_with_nobody_to_take_over_changes_nothing() {
    let mut story = Story::elected(RouterSpec::new(&[200, 150]).weighed());
    story.act(Action::Crash(1));
    story.forget();
    let at = story.now();
    story.weigh(0, 100);
    story.go(3 * SECOND);
    let next = at + 50 * MS + skew(100, SECOND);
    assert_eq!(
        story.sent(0),
        [(at, 0), (at + 50 * MS, 0), (next, 100), (next + SECOND, 100), (next + 2 * SECOND, 100)]
    );
    assert_eq!((story.changes(0), story.released(0), story.longest_gap()), (vec![], vec![], 0));
}

#[test]
fn peers_that_are_not_better_let_an_offer_pass() {
    for (effective, master) in [(151, 0), (149, 1)] {
        let mut spec = RouterSpec::new(&[200, 150, 100]).weighed();
        spec.names_priorities = false;
        let mut story = Story::elected(spec);
        story.forget();
        story.weigh(0, effective);
        story.go(10 * SECOND);
        assert_eq!((story.masters(), story.longest_gap()), (vec![master], 0), "{effective}");
        let promotions = story.world.measures[0].promotions;
        assert_eq!(promotions, u64::from(master == 1), "{effective}: no flap");
    }
}

#[test]
fn peer_of_equal_priority_leaves_one_master_whoever_is_quicker() {
    let mut story = Story::elected(RouterSpec::new(&[200, 150]).weighed());
    story.forget();
    story.weigh(0, 150);
    story.go(10 * SECOND);
    assert_eq!((story.masters().len(), story.longest_gap()), (1, 0));
    assert!(story.longest_rivalry() <= 2 * DELAY && story.world.measures[0].promotions <= 1);
}

#[test]
fn offer_that_is_withdrawn_in_time_changes_nothing() {
    let mut story = Story::elected(RouterSpec::new(&[200, 150]).weighed());
    story.forget();
    story.weigh(0, 100);
    story.go(300 * MS);
    story.weigh(0, 200);
    story.go(10 * SECOND);
    assert_eq!((story.changes(0), story.changes(1)), (vec![], vec![]));
}

#[test]
fn second_fall_during_an_offer_still_finds_the_best_one() {
    let mut story = Story::elected(RouterSpec::new(&[200, 150, 100]).weighed());
    story.forget();
    story.weigh(0, 120);
    story.go(20 * MS);
    story.weigh(0, 50);
    story.go(10 * SECOND);
    assert_eq!((story.masters(), story.world.measures[0].promotions, story.longest_gap()), (vec![1], 1, 0));
}

#[test]
fn two_that_offer_one_after_the_other_leave_one_master() {
    let mut story = Story::elected(RouterSpec::new(&[200, 150, 100]).weighed());
    story.forget();
    story.weigh(0, 90);
    story.go(100 * MS);
    story.weigh(1, 80);
    story.go(10 * SECOND);
    assert_eq!((story.masters(), story.longest_gap()), (vec![2], 0));
}

#[test]
fn lowered_priority_above_every_peer_changes_only_the_adverts() {
    let mut spec = RouterSpec::new(&[200, 100]);
    spec.tracks = vec![TrackSpec::weight(0, -50)];
    let mut story = Story::elected(spec);
    story.forget();
    story.fail(0, 0);
    story.go(SECOND);
    assert_eq!(story.changes(0), []);
    assert!(story.sent(0).iter().all(|(_, priority)| *priority == 150));
    let master = story.snapshot(0).master.unwrap();
    let own = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
    assert_eq!((master.address, master.priority.get()), (own, 150), "status shows what the adverts say");
}

#[test]
fn raised_priority_of_a_backup_shortens_its_wait_by_the_difference_of_the_skew() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]).weighed());
    let last_sent = story.sent(0).last().unwrap().0;
    story.act(Action::Crash(0));
    story.weigh(1, 150);
    story.forget();
    story.go(5 * SECOND);
    assert_eq!(story.transitions(1)[0].0, last_sent + DELAY + 3 * SECOND + skew(150, SECOND));
}
