//! The process stands still while its kernel goes on.

use std::time::Duration;

use vrrpd::engine::output::{EventKind, Reason, StateName};
use vrrpd::engine::params::Preempt;

use crate::simulator::spec::RouterSpec;
use crate::simulator::world::Action;
use crate::story::{DELAY, SECOND, Story, skew};

#[test]
fn master_that_was_replaced_while_it_stood_still_is_a_newcomer() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    let next_advert = story.sent(0).last().unwrap().0 + SECOND;
    story.act(Action::Pause(0));
    story.go(10 * SECOND);
    assert_eq!(story.masters(), [0, 1], "one in the kernel, one in fact");
    story.forget();
    let at = story.now();
    story.act(Action::Resume(0));
    story.go(0);
    let length = Duration::from_nanos(at - next_advert);
    assert_eq!(story.changes(0), [(at, StateName::Backup, Reason::Paused { length })]);
    assert_eq!(story.words(0), ["send", "release", "change"]);
    assert_eq!(story.sent(0), [(at, 1)], "an advert that tells the other of the rivalry and cannot unseat it");
    story.go(DELAY);
    let announced = story.announced(1);
    assert_eq!(announced.last().map(|(announced_at, _)| *announced_at), Some(at + DELAY), "the other repairs");
    story.go(5 * SECOND);
    let at = at + 3 * SECOND + skew(200, SECOND);
    assert_eq!(story.changes(0)[1].0, at, "then the usual rules decide: it preempts");
}

#[test]
fn master_without_preemption_stays_backup_after_it_was_replaced() {
    let mut spec = RouterSpec::new(&[200, 100]);
    spec.preempts = vec![Preempt::Never];
    let mut story = Story::elected(spec);
    story.act(Action::Pause(0));
    story.go(10 * SECOND);
    story.act(Action::Resume(0));
    story.go(60 * SECOND);
    assert_eq!(story.masters(), [1]);
}

#[test]
fn newcomer_of_priority_1_does_not_unseat_the_other_of_priority_1() {
    let mut story = Story::elected(RouterSpec::new(&[1, 1]));
    assert_eq!(story.masters(), [1], "the higher address");
    story.act(Action::Pause(1));
    story.go(10 * SECOND);
    story.forget();
    story.act(Action::Resume(1));
    story.go(10 * SECOND);
    assert_eq!((story.masters(), story.longest_gap()), (vec![0], 0));
}

#[test]
fn master_that_nobody_missed_goes_on_and_sends_at_once() {
    let mut story = Story::new(RouterSpec::new(&[255, 100]));
    story.act(Action::Start(0));
    story.go(10 * SECOND);
    story.act(Action::Pause(0));
    story.go(20 * SECOND + SECOND / 4);
    story.forget();
    let at = story.now();
    story.act(Action::Resume(0));
    story.go(SECOND);
    let length = Duration::from_nanos(at - 11 * SECOND);
    assert_eq!(story.events(0), [(at, EventKind::Paused { length })]);
    assert_eq!(story.sent(0), [(at, 255), (31 * SECOND, 255)], "at once, then in the old rhythm");
    assert_eq!(story.changes(0), []);
}

#[test]
fn short_pause_is_no_event() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    story.act(Action::Pause(0));
    story.go(2 * SECOND);
    story.act(Action::Resume(0));
    story.go(5 * SECOND);
    assert_eq!((story.changes(0), story.changes(1)), (Vec::new(), Vec::new()));
    assert_eq!(story.events(0), []);
}

#[test]
fn backup_that_finds_the_master_alive_stays_backup() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    story.act(Action::Pause(1));
    story.go(60 * SECOND);
    story.act(Action::Resume(1));
    story.go(60 * SECOND);
    assert_eq!(story.changes(1), []);
}

#[test]
fn backup_that_finds_no_master_takes_over_one_skew_later() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.act(Action::Pause(1));
    story.act(Action::Crash(0));
    story.go(60 * SECOND);
    story.forget();
    let at = story.now();
    story.act(Action::Resume(1));
    story.go(SECOND);
    assert_eq!(story.transitions(1)[0].0, at + skew(100, SECOND));
}

#[test]
fn nodes_that_stand_still_together_go_on_as_they_were() {
    for first in [0, 1] {
        let mut story = Story::elected(RouterSpec::new(&[200, 100]));
        story.forget();
        (0..2).for_each(|host| story.act(Action::Pause(host)));
        story.go(20 * SECOND + SECOND / 4);
        story.act(Action::Resume(first));
        story.go(SECOND / 10);
        story.act(Action::Resume(1 - first));
        story.go(60 * SECOND);
        assert_eq!((story.changes(0), story.changes(1)), (Vec::new(), Vec::new()), "{first} first");
    }
}
