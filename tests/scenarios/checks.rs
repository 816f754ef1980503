//! A check without weight fails, is awaited, is well again.

use std::sync::Arc;

use vrrpd::engine::input::CheckResult;
use vrrpd::engine::output::{EventKind, Reason, StateName, Verdict};

use crate::simulator::MS;
use crate::simulator::spec::{RouterSpec, TrackSpec};
use crate::simulator::world::Action;
use crate::story::{DELAY, OVERLAP, SECOND, Story, skew};

/// One check, place 0, whose failure means FAULT.
fn checked(priorities: &[u8]) -> RouterSpec {
    let mut spec = RouterSpec::new(priorities);
    spec.tracks = vec![TrackSpec::fault(0)];
    spec
}

fn failed() -> Reason {
    Reason::CheckFailed { check: Arc::from("c0"), words: Arc::from("as told") }
}

#[test]
fn failed_check_hands_over_without_a_gap() {
    let mut story = Story::elected(checked(&[200, 100]));
    story.forget();
    let at = story.now();
    story.fail(0, 0);
    story.go(3 * SECOND);
    let took_over_at = at + 50 * MS + DELAY + skew(100, SECOND);
    assert_eq!(story.changes(0), [(at, StateName::Fault, failed())]);
    assert_eq!(story.changes(1), [(took_over_at, StateName::Master, Reason::Resigned)]);
    assert_eq!(story.released(0), [took_over_at + DELAY + OVERLAP]);
    assert_eq!(story.longest_gap(), 0);
    let verdict = EventKind::Check {
        check: Arc::from("c0"),
        from: Verdict::Passing,
        to: Verdict::Failing,
        words: Arc::from("as told"),
    };
    assert_eq!(story.events(0).first(), Some(&(at, verdict)), "before everything that follows from it");
    assert!(story.snapshot(0).tracks[0].is_fault);
}

#[test]
fn failed_check_with_nobody_to_take_over_withdraws_at_the_bound() {
    let mut story = Story::elected(checked(&[200, 100]));
    story.act(Action::Crash(1));
    story.forget();
    let at = story.now();
    story.fail(0, 0);
    story.go(10 * SECOND);
    assert_eq!((story.state(0), story.released(0)), (StateName::Fault, vec![at + 1100 * MS]));
}

#[test]
fn urgent_check_withdraws_first_and_resigns_twice() {
    let mut spec = checked(&[200, 100]);
    spec.tracks[0].is_urgent = true;
    let mut story = Story::elected(spec);
    story.forget();
    let at = story.now();
    story.fail(0, 0);
    story.go(3 * SECOND);
    assert_eq!(story.words(0)[..4], ["release", "resign", "change", "resign"]);
    assert_eq!((story.released(0), story.sent(0)), (vec![at], vec![(at, 0), (at + 50 * MS, 0)]));
    assert_eq!(story.masters(), [1]);
}

#[test]
fn urgent_check_that_fails_during_a_handover_ends_it() {
    let mut spec = checked(&[200, 100]);
    spec.tracks.push(TrackSpec { is_urgent: true, ..TrackSpec::fault(1) });
    let mut story = Story::elected(spec);
    story.forget();
    story.fail(0, 0);
    story.go(20 * MS);
    let at = story.now();
    story.fail(0, 1);
    story.go(3 * SECOND);
    assert_eq!((story.released(0), story.changes(0).len()), (vec![at], 1));
}

#[test]
fn check_that_is_well_again_at_once_leaves_no_gap_when_nobody_took_over() {
    let mut story = Story::elected(checked(&[200, 100]));
    story.act(Action::Crash(1));
    story.forget();
    let at = story.now();
    story.fail(0, 0);
    story.go(200 * MS);
    story.pass(0, 0);
    story.go(10 * SECOND);
    let states: Vec<_> = story.changes(0).into_iter().map(|(at, state, _)| (at, state)).collect();
    let back_at = at + 50 * MS + skew(200, SECOND);
    let expected =
        [(at, StateName::Fault), (at + 200 * MS, StateName::Backup), (back_at.max(at + 200 * MS), StateName::Master)];
    assert_eq!(states, expected);
    assert_eq!((story.released(0), story.longest_gap()), (vec![], 0));
}

#[test]
fn recovered_node_comes_back_by_the_rule_of_preemption() {
    let mut story = Story::elected(checked(&[200, 100]));
    story.fail(0, 0);
    story.go(10 * SECOND);
    story.forget();
    let at = story.now();
    story.pass(0, 0);
    story.go(10 * SECOND);
    assert_eq!(story.changes(0)[0], (at, StateName::Backup, Reason::Recovered));
    assert_eq!(story.changes(0)[1].0, at + 3 * SECOND + skew(200, SECOND));
    assert_eq!(story.longest_gap(), 0);
}

#[test]
fn node_waits_for_the_first_result_in_silence() {
    let mut story = Story::new(checked(&[255, 100]));
    story.act(Action::Start(0));
    story.go(10 * SECOND);
    let awaiting = Reason::AwaitingCheck { check: Arc::from("c0") };
    assert_eq!((story.state(0), story.snapshot(0).reason.clone()), (StateName::Init, awaiting));
    assert_eq!((story.changes(0), story.sent(0)), (vec![], vec![]), "no FAULT, no hook");
    let at = story.now();
    story.pass(0, 0);
    story.go(0);
    assert_eq!(story.changes(0), [(at, StateName::Master, Reason::Owner)]);
}

#[test]
fn first_result_that_fails_is_a_fault() {
    let mut story = Story::new(checked(&[200, 100]));
    story.act(Action::Start(0));
    story.go(SECOND);
    let at = story.now();
    story.fail(0, 0);
    story.go(60 * SECOND);
    assert_eq!(story.changes(0), [(at, StateName::Fault, failed())]);
}

#[test]
fn fault_ends_when_nothing_keeps_the_node_out_and_the_first_cause_is_told_while_it_lasts() {
    let mut spec = checked(&[200, 100]);
    spec.tracks.push(TrackSpec::fault(1));
    let mut story = Story::elected(spec);
    story.forget();
    let at = story.now();
    story.fail(0, 0);
    story.fail(0, 1);
    story.act(Action::Link(0, false));
    story.go(SECOND);
    story.act(Action::Link(0, true));
    story.go(SECOND);
    story.pass(0, 0);
    story.go(SECOND);
    story.pass(0, 1);
    story.go(0);
    let other = Reason::CheckFailed { check: Arc::from("c1"), words: Arc::from("as told") };
    assert_eq!(
        story.changes(0),
        [
            (at, StateName::Fault, failed()),
            (at + 2 * SECOND, StateName::Fault, other),
            (at + 3 * SECOND, StateName::Backup, Reason::Recovered),
        ]
    );
}

#[test]
fn link_that_goes_down_while_a_failed_check_hands_over_ends_that() {
    let mut story = Story::elected(checked(&[200, 100]));
    story.forget();
    story.fail(0, 0);
    story.go(100 * MS);
    let at = story.now();
    story.act(Action::Link(0, false));
    story.go(3 * SECOND);
    assert_eq!((story.released(0), story.changes(0).len()), (vec![at], 1));
}

#[test]
fn number_that_disqualifies_is_a_fault_without_an_offer() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]).weighed());
    story.forget();
    let at = story.now();
    story.act(Action::Check(0, 0, CheckResult::Number(-254)));
    story.go(3 * SECOND);
    assert_eq!(story.changes(0), [(at, StateName::Fault, failed())]);
    let zeros: Vec<_> = story.sent(0).into_iter().filter(|(_, priority)| *priority == 0).collect();
    assert_eq!(zeros, [(at, 0), (at + 50 * MS, 0)]);
    assert_eq!((story.masters(), story.longest_gap()), (vec![1], 0));
}
