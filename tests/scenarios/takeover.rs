//! The Master is lost, or everything starts.

use std::time::Duration;

use vrrpd::engine::output::{Reason, StateName};
use vrrpd::wire::field::Version;

use crate::simulator::MS;
use crate::simulator::spec::RouterSpec;
use crate::simulator::world::Action;
use crate::story::{DELAY, OVERLAP, SECOND, Story, WORKER, skew};

#[test]
fn first_election_is_won_by_the_shortest_skew_after_three_intervals() {
    let story = Story::elected(RouterSpec::new(&[100, 101]));
    let down = 3 * SECOND + skew(101, SECOND);
    let silence = Duration::from_nanos(down);
    let won = (down, StateName::Master, Reason::MasterDown { silence, missed: 3 });
    assert_eq!(story.changes(1), [(0, StateName::Backup, Reason::Started), won]);
    assert_eq!(story.changes(0), [(0, StateName::Backup, Reason::Started)]);
    assert_eq!(story.snapshot(0).master, story.snapshot(1).master);
}

#[test]
fn takeover_comes_exactly_three_intervals_and_skew_after_the_last_advert() {
    for (interval, priority) in [(1000, 100), (100, 100), (10, 254), (10, 1)] {
        let mut spec = RouterSpec::new(&[255, priority, 90]);
        spec.intervals = vec![interval];
        spec.priorities[2] = if priority > 90 { 90 } else { priority };
        spec.priorities.truncate(if priority > 90 { 3 } else { 2 });
        let mut story = Story::elected(spec);
        let last_sent = story.sent(0).last().unwrap().0;
        story.go(DELAY);
        story.act(Action::Crash(0));
        story.forget();
        story.go(5 * interval * MS);
        let interval = interval * MS;
        let down = 3 * interval + skew(u64::from(priority), interval);
        let silence = Duration::from_nanos(down);
        let expected = (last_sent + DELAY + down, StateName::Master, Reason::MasterDown { silence, missed: 3 });
        assert_eq!(story.changes(1), [expected], "{interval} ns, priority {priority}");
        assert_eq!(story.world.measures[0].promotions, 1);
    }
}

#[test]
fn rfc3768_skew_is_a_part_of_one_second_whatever_the_interval() {
    let mut spec = RouterSpec::new(&[255, 100]);
    spec.version = Version::V2;
    spec.intervals = vec![3000];
    let mut story = Story::elected(spec);
    let last_sent = story.sent(0).last().unwrap().0;
    story.go(DELAY);
    story.act(Action::Crash(0));
    story.go(15 * SECOND);
    assert_eq!(story.transitions(1)[1].0, last_sent + DELAY + 9 * SECOND + skew(100, SECOND));
}

#[test]
fn takeover_sends_first_and_announces_only_what_the_kernel_holds() {
    let mut story = Story::new(RouterSpec::new(&[100, 90]));
    story.act(Action::Start(0));
    story.go(4 * SECOND);
    assert_eq!(story.words(0)[..5], ["change", "send", "acquire", "change", "announce"]);
    let took_over_at = 3 * SECOND + skew(100, SECOND);
    let announced = story.announced(0);
    assert_eq!(announced[0].0, took_over_at + WORKER, "not before Input::Vips");
    let mut held: Vec<u16> = announced.iter().flat_map(|(_, vips)| vips.clone()).collect();
    held.dedup();
    assert_eq!(held, [0, 1], "each address once");
}

#[test]
fn announcement_is_repeated_after_one_and_five_seconds_and_every_minute() {
    let mut spec = RouterSpec::new(&[255, 90]);
    spec.vips = 1;
    let mut story = Story::new(spec);
    story.act(Action::Start(0));
    story.go(130 * SECOND);
    let times: Vec<u64> = story.announced(0).into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [WORKER, SECOND, 5 * SECOND, 60 * SECOND, 120 * SECOND]);
}

#[test]
fn owner_is_master_at_start_and_takes_the_addresses_back() {
    let mut story = Story::new(RouterSpec::new(&[255, 200]));
    story.act(Action::Start(1));
    story.go(5 * SECOND);
    assert_eq!(story.masters(), [1]);
    let started_at = story.now();
    story.act(Action::Start(0));
    story.go(SECOND);
    assert_eq!(story.changes(0), [(started_at, StateName::Master, Reason::Owner)]);
    assert_eq!(story.words(0)[..3], ["send", "acquire", "change"]);
    assert_eq!(story.transitions(1).last().map(|(at, _)| *at), Some(started_at + DELAY));
    assert_eq!(story.released(1), [started_at + DELAY + OVERLAP]);
    assert_eq!(story.longest_rivalry(), DELAY);
}

#[test]
fn equal_priorities_elect_one_master_and_the_higher_address_wins_a_tie_of_masters() {
    let story = Story::elected(RouterSpec::new(&[100, 100, 100]));
    let at = 3 * SECOND + skew(100, SECOND);
    assert_eq!(story.masters(), [2], "all three were Master at once; the highest address stays");
    for loser in [0, 1] {
        let change = (at + DELAY, StateName::Backup, Reason::HigherAddress);
        assert_eq!(story.changes(loser).last(), Some(&change), "{loser}");
    }
    assert_eq!(story.longest_rivalry(), DELAY);
}

#[test]
fn backup_with_equal_priority_and_higher_address_does_not_preempt() {
    let mut story = Story::new(RouterSpec::new(&[100, 100]));
    story.act(Action::Start(0));
    story.go(5 * SECOND);
    story.act(Action::Start(1));
    story.go(20 * SECOND);
    assert_eq!(story.masters(), [0]);
}

#[test]
fn backup_waits_by_the_interval_it_learnt() {
    let mut spec = RouterSpec::new(&[200, 100]);
    spec.intervals = vec![1000, 100];
    let mut story = Story::new(spec);
    story.act(Action::Start(0));
    story.go(4 * SECOND);
    story.act(Action::Start(1));
    story.go(10 * SECOND);
    let down = 3 * SECOND + skew(100, SECOND);
    assert_eq!(story.masters(), [0]);
    assert_eq!(story.snapshot(1).master_down, Duration::from_nanos(down));
    let last_sent = story.sent(0).last().unwrap().0;
    story.act(Action::Crash(0));
    story.forget();
    story.go(5 * SECOND);
    assert_eq!(story.transitions(1)[0].0, last_sent + DELAY + down);
    let sent: Vec<u64> = story.sent(1).into_iter().map(|(at, _)| at).collect();
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] == 100 * MS), "a Master sends at its own interval");
}

#[test]
fn lateness_does_not_add_up_over_a_thousand_adverts() {
    let mut spec = RouterSpec::new(&[255, 100]);
    spec.intervals = vec![10];
    let mut story = Story::new(spec);
    story.world.timing.late = (0, 2 * MS);
    story.act(Action::Start(0));
    story.go(10_005 * MS);
    let sent = story.sent(0);
    assert_eq!(sent.len(), 1001);
    for (number, (at, _)) in (0u64..).zip(&sent) {
        let due = number * 10 * MS;
        assert!((due..=due + 2 * MS).contains(at), "advert {number} at {at}, due at {due}");
    }
}
