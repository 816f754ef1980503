//! A Master is killed, and its daemon begins again before the peers have missed it.

use std::time::Duration;

use vrrpd::engine::output::{Output, Reason, StateName};
use vrrpd::engine::params::{Effect, Initial};

use crate::simulator::MS;
use crate::simulator::secret::{HmacSpec, Secret};
use crate::simulator::spec::{CheckSpec, Cluster, RouterSpec, TrackSpec};
use crate::simulator::world::Action;
use crate::story::{SECOND, Story, skew};

/// Host 0 is Master and is killed 300 ms after an advert; returns when that left.
fn killed(cluster: impl Into<Cluster>) -> (Story, u64) {
    let mut story = Story::elected(cluster);
    let last = story.sent(0).last().unwrap().0;
    let next = last + 1300 * MS - story.now();
    story.go(next);
    let last = story.sent(0).last().unwrap().0;
    assert_eq!(story.now(), last + 300 * MS);
    story.act(Action::Kill(0));
    story.forget();
    (story, last)
}

fn adopted(ms: u64) -> Reason {
    Reason::Adopted { silence: Duration::from_millis(ms) }
}

#[test]
fn daemon_that_begins_again_in_time_goes_on_as_master_and_nobody_notices() {
    let (mut story, last) = killed(RouterSpec::new(&[200, 100]));
    story.go(100 * MS);
    story.act(Action::Start(0));
    story.go(10 * SECOND);
    assert_eq!(story.changes(0).last(), Some(&(last + 400 * MS, StateName::Master, adopted(400))));
    assert_eq!(story.changes(1), []);
    let expected: Vec<(u64, u8)> = (1..=10).map(|place| (last + place * SECOND, 200)).collect();
    assert_eq!(story.sent(0), expected, "in the old rhythm, and no resignation");
    assert!(story.released(0).is_empty());
    assert_eq!(story.world.holders(0), [0]);
}

#[test]
fn advert_that_is_overdue_leaves_at_once() {
    let (mut story, last) = killed(RouterSpec::new(&[200, 100]));
    story.go(2 * SECOND);
    story.act(Action::Start(0));
    story.go(3 * SECOND);
    let times: Vec<u64> = story.sent(0).iter().map(|(at, _)| at - last).collect();
    assert_eq!(times, [2300 * MS, 3 * SECOND, 4 * SECOND, 5 * SECOND]);
    assert_eq!(story.changes(1), []);
}

#[test]
fn after_a_master_down_interval_it_is_a_newcomer_without_addresses() {
    let (mut story, last) = killed(RouterSpec::new(&[200, 100]));
    let until = last + 3 * SECOND + skew(200, SECOND);
    let pause = until - story.now();
    story.go(pause);
    story.act(Action::Start(0));
    assert!(story.world.holders(0).is_empty(), "swept before anything is sent");
    story.go(SECOND);
    assert_eq!(story.changes(0).last().map(|change| change.1), Some(StateName::Backup));
    assert!(story.sent(0).is_empty());
    assert_eq!(story.masters(), [1]);
}

#[test]
fn last_moment_of_a_master_down_interval_still_counts() {
    let (mut story, last) = killed(RouterSpec::new(&[200, 1]));
    let pause = last + 3 * SECOND + skew(200, SECOND) - 1 - story.now();
    story.go(pause);
    story.act(Action::Start(0));
    story.go(SECOND);
    assert_eq!(story.state(0), StateName::Master);
    assert_eq!(story.changes(1), []);
}

#[test]
fn interface_is_waited_for_as_long_as_the_peers_wait() {
    for (ms, goes_on) in [(2000, true), (4000, false)] {
        let (mut story, last) = killed(RouterSpec::new(&[200, 1]));
        story.act(Action::Addresses(0, false));
        story.act(Action::Start(0));
        story.go(ms * MS);
        assert_eq!(story.sent(0), []);
        story.act(Action::Addresses(0, true));
        story.go(MS);
        let state = story.changes(0).last().map(|change| change.1);
        assert_eq!(state, Some(if goes_on { StateName::Master } else { StateName::Backup }), "{ms} ms");
        let over_at = last + 3 * SECOND + skew(200, SECOND);
        assert_eq!(story.released(0), if goes_on { vec![] } else { vec![over_at] });
    }
}

/// A router on two hosts with a check in place 0.
fn checked(effect: Effect) -> Cluster {
    let mut spec = RouterSpec::new(&[200, 100]);
    spec.tracks = vec![TrackSpec { check: 0, effect, is_urgent: false }];
    let check = CheckSpec { is_number: false, rise: 1, fall: 1, initial: Initial::Unknown };
    Cluster { routers: vec![spec], checks: vec![check], groups: Vec::new() }
}

#[test]
fn check_that_has_not_answered_does_not_hold_it_back_and_is_believed_when_it_does() {
    let (mut story, _) = killed(checked(Effect::Fault { is_reversed: false }));
    story.world.hosts[0].results = vec![None];
    story.act(Action::Start(0));
    story.go(2 * SECOND);
    assert_eq!(story.state(0), StateName::Master);
    // Another cause to look at it again does not make the check missed.
    story.act(Action::Link(0, true));
    story.go(MS);
    assert_eq!(story.state(0), StateName::Master);
    story.fail(0, 0);
    story.go(3 * SECOND);
    assert_eq!(story.state(0), StateName::Fault);
    assert_eq!(story.masters(), [1]);
    assert_eq!(story.longest_gap(), 0, "it hands over");
}

#[test]
fn priority_stays_what_the_peers_know_until_the_checks_have_answered() {
    let mut cluster = checked(Effect::Weight { weight: 50, is_reversed: false });
    cluster.routers[0].priorities = vec![100, 80];
    let (mut story, _) = killed(cluster);
    story.world.hosts[0].results = vec![None];
    story.act(Action::Start(0));
    story.go(2 * SECOND);
    assert!(story.sent(0).iter().all(|(_, priority)| *priority == 150), "{:?}", story.sent(0));
    story.fail(0, 0);
    story.go(5 * SECOND);
    assert_eq!(story.masters(), [1], "100 is less than 130");
    assert_eq!(story.longest_gap(), 0);
}

#[test]
fn group_goes_on_with_all_its_members_or_with_none() {
    for is_whole in [true, false] {
        let routers = vec![RouterSpec::new(&[200, 100]), RouterSpec { link: 1, ..RouterSpec::new(&[200, 100]) }];
        let mut story = Story::elected(Cluster { routers, groups: vec![vec![0, 1]], ..Cluster::default() });
        story.act(Action::Kill(0));
        story.forget();
        if !is_whole {
            story.act(Action::OneLink(0, 1, false));
        }
        story.act(Action::Start(0));
        story.go(MS);
        let states = [0, 1].map(|router| story.world.state(0, router));
        let expected = if is_whole { StateName::Master } else { StateName::Fault };
        assert_eq!(states, [expected; 2]);
        story.go(10 * SECOND);
        let masters = [0, 1].map(|router| story.world.masters(router));
        assert_eq!(masters, if is_whole { [[0], [0]] } else { [[1], [1]] });
        assert_eq!(story.released(0).is_empty(), is_whole);
    }
}

#[test]
fn peers_believe_the_adverts_of_the_next_process_whatever_its_clock_says() {
    for secret in [Secret::Ah, Secret::Hmac(HmacSpec::enforced(None))] {
        let mut spec = RouterSpec::new(&[200, 100]);
        spec.secret = secret;
        if spec.secret == Secret::Ah {
            spec.version = vrrpd::wire::field::Version::V2;
        }
        let (mut story, _) = killed(spec);
        story.act(Action::Clock(0, -3600 * SECOND as i64));
        story.act(Action::Start(0));
        story.go(10 * SECOND);
        assert_eq!((story.masters(), story.changes(1)), (vec![0], vec![]));
        let refused = story.snapshot(1).counters.discarded.clone();
        assert!(story.snapshot(1).counters.advertisements_received > 8, "{refused:?}");
        let is_refusal = |(_, kind): &(u64, vrrpd::engine::output::EventKind)| {
            matches!(kind, vrrpd::engine::output::EventKind::Discarded { .. })
        };
        assert!(!story.events(1).iter().any(is_refusal));
    }
}

#[test]
fn addresses_are_asked_for_again_and_announced_once_they_are_confirmed() {
    let (mut story, _) = killed(RouterSpec::new(&[200, 100]));
    story.act(Action::Start(0));
    story.go(10 * MS);
    let is_acquisition = |output: &Output| matches!(output, Output::AcquireVips { .. });
    assert!(story.seen(0).any(|seen| is_acquisition(&seen.output)));
    assert!(!story.announced(0).is_empty());
}
