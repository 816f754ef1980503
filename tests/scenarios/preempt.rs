//! A better node comes (back) while a worse one is Master.

use std::time::Duration;

use vrrpd::engine::output::{EventKind, Reason, StateName};
use vrrpd::engine::params::Preempt;
use vrrpd::wire::field::Priority;

use crate::simulator::spec::{RouterSpec, address};
use crate::simulator::world::Action;
use crate::story::{DELAY, SECOND, Story, WORKER, skew};

/// A Master of priority 100 has been there for a while; a node of priority 200 starts.
fn returning(preempt: Preempt) -> Story {
    let mut spec = RouterSpec::new(&[200, 100]);
    spec.preempts = vec![preempt];
    let mut story = Story::new(spec);
    story.act(Action::Start(1));
    story.go(10 * SECOND);
    story.forget();
    story.act(Action::Start(0));
    story
}

#[test]
fn better_node_takes_over_after_one_master_down_interval_without_a_gap() {
    let mut story = returning(Preempt::Always);
    let at = story.now() + 3 * SECOND + skew(200, SECOND);
    story.go(10 * SECOND);
    let reason = Reason::Preempted { priority: Priority::new(100).unwrap() };
    assert_eq!(story.changes(0).last(), Some(&(at, StateName::Master, reason)));
    let reason = Reason::HigherPriority { priority: Priority::new(200).unwrap() };
    // The first advert waits for the addresses: the worker takes them one after the other here.
    let said_at = story.sent(0).first().unwrap().0;
    assert!(said_at > at && said_at <= at + 2 * WORKER, "{} ns late", said_at - at);
    assert_eq!(story.changes(1), [(said_at + DELAY, StateName::Backup, reason)]);
    assert_eq!((story.longest_gap(), story.longest_rivalry()), (0, said_at - at + DELAY));
}

#[test]
fn node_that_never_preempts_endures_a_worse_master_until_it_is_gone() {
    let mut story = returning(Preempt::Never);
    story.go(100 * SECOND);
    assert_eq!((story.masters(), story.changes(0).len()), (vec![1], 1));
    let last_sent = story.sent(1).last().unwrap().0;
    story.act(Action::Crash(1));
    story.go(5 * SECOND);
    assert_eq!(story.changes(0)[1].0, last_sent + DELAY + 3 * SECOND + skew(200, SECOND));
}

#[test]
fn preemption_after_a_delay_counts_from_the_first_worse_advert() {
    let length = Duration::from_secs(30);
    let mut story = returning(Preempt::After(length));
    story.go(60 * SECOND);
    let adverts = story.sent(1);
    let heard_at = adverts[0].0 + DELAY;
    let peer = address(vrrpd::wire::field::Family::V4, 1);
    assert!(story.events(0).contains(&(heard_at, EventKind::PreemptDelay { length, peer })));
    // The last advert it endures is the one before the delay is over; from that one it waits a master-down interval.
    let endured = adverts.iter().map(|(at, _)| at + DELAY).filter(|at| *at < heard_at + 30 * SECOND).max().unwrap();
    let at = endured + 3 * SECOND + skew(200, SECOND);
    assert_eq!(story.changes(0).last().map(|change| (change.0, change.1)), Some((at, StateName::Master)));
    assert_eq!(story.longest_gap(), 0);
}

#[test]
fn dead_master_is_not_waited_for_because_of_the_delay() {
    let mut story = returning(Preempt::After(Duration::from_secs(300)));
    story.go(10 * SECOND);
    let last_sent = story.sent(1).last().unwrap().0;
    story.act(Action::Crash(1));
    story.go(5 * SECOND);
    assert_eq!(story.changes(0)[1].0, last_sent + DELAY + 3 * SECOND + skew(200, SECOND));
}

#[test]
fn owner_takes_its_addresses_back_after_a_pause_although_it_never_preempts() {
    let mut spec = RouterSpec::new(&[255, 100]);
    spec.preempts = vec![Preempt::Never];
    let mut story = Story::elected(spec);
    story.act(Action::Pause(0));
    story.go(10 * SECOND);
    story.act(Action::Resume(0));
    story.go(0);
    assert_eq!(story.state(0), StateName::Backup);
    story.go(5 * SECOND);
    assert_eq!(story.masters(), [0]);
}
