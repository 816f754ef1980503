//! A Master leaves on purpose: make before break.

use vrrpd::engine::input::{CheckResult, Input};
use vrrpd::engine::output::{EventKind, Output, Reason, StateName};

use crate::simulator::MS;
use crate::simulator::host::Power;
use crate::simulator::spec::RouterSpec;
use crate::simulator::world::Action;
use crate::story::{DELAY, OVERLAP, SECOND, Story, skew};

#[test]
fn stopping_master_keeps_its_addresses_until_the_successor_is_heard() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100]));
    story.forget();
    let at = story.now();
    story.act(Action::Stop(0));
    story.go(SECOND);
    // The repeated resignation, 50 ms later, is the one the skew counts from.
    let took_over_at = at + 50 * MS + DELAY + skew(100, SECOND);
    assert_eq!(story.changes(1), [(took_over_at, StateName::Master, Reason::Resigned)]);
    assert_eq!(story.released(0), [took_over_at + DELAY + OVERLAP]);
    let resigned: Vec<_> = story.sent(0).into_iter().filter(|(_, priority)| *priority == 0).collect();
    assert_eq!(resigned, [(at, 0), (at + 50 * MS, 0)]);
    assert_eq!(story.longest_gap(), 0);
    let words = story.words(0);
    assert_eq!(words[words.len() - 6..], ["change", "resign", "release", "send", "handed over", "finished"]);
    assert_eq!(story.sent(0).last(), Some(&(took_over_at + DELAY + OVERLAP, 1)), "the farewell");
    let announced = story.announced(1).last().map(|(at, _)| *at);
    assert_eq!(announced, Some(took_over_at + 2 * DELAY + OVERLAP), "once more, with nobody left to contradict");
    assert_eq!(story.world.hosts[0].power, Power::Off);
}

#[test]
fn lost_first_resignation_costs_no_gap() {
    let mut story = Story::elected(RouterSpec::new(&[200, 1]));
    story.world.segment.drops_first_resignation = true;
    story.forget();
    let at = story.now();
    story.act(Action::Stop(0));
    story.go(2 * SECOND);
    assert_eq!(story.transitions(1)[0].0, at + 50 * MS + DELAY + skew(1, SECOND));
    assert_eq!(story.longest_gap(), 0);
}

#[test]
fn stopping_master_without_a_successor_leaves_after_an_interval_and_a_tenth_of_a_second() {
    for (interval, bound) in [(1000, 1100 * MS), (10, 110 * MS), (30_000, 5 * SECOND)] {
        let mut spec = RouterSpec::new(&[255, 100]);
        spec.intervals = vec![interval];
        let mut story = Story::new(spec);
        story.act(Action::Start(0));
        story.go(SECOND);
        let at = story.now();
        story.act(Action::Stop(0));
        story.go(6 * SECOND);
        assert_eq!(story.released(0), [at + bound]);
        assert!(story.events(0).contains(&(at + bound, EventKind::HandedOver { peer: None })));
    }
}

#[test]
fn successor_that_is_quicker_than_the_repetition_hears_no_second_resignation() {
    let mut spec = RouterSpec::new(&[255, 254, 100]);
    spec.intervals = vec![1000];
    let mut story = Story::elected(spec);
    story.forget();
    let at = story.now();
    story.act(Action::Stop(0));
    story.go(2 * SECOND);
    assert_eq!(story.transitions(1)[0].0, at + DELAY + skew(254, SECOND));
    assert_eq!(story.snapshot(1).counters.priority_zero_received, 1);
    assert_eq!(story.world.measures[0].promotions, 1);
}

#[test]
fn late_repeated_resignation_does_not_make_the_successor_look_dead() {
    let mut spec = RouterSpec::new(&[255, 250, 200]);
    spec.intervals = vec![100];
    let mut story = Story::elected(spec);
    story.go(DELAY);
    let resigned_at = story.now();
    story.act(Action::Stop(0));
    // The successor's adverts do not reach the resigning node, which repeats its resignation; the successor does not
    // hear it, so it does not answer.
    story.act(Action::Block(1, 0, true));
    story.go(2 * MS + 400_000);
    story.act(Action::Block(0, 1, true));
    story.forget();
    story.go(300 * MS);
    assert!(story.sent(0).contains(&(resigned_at + 5 * MS, 0)), "it repeats");
    assert_eq!(story.masters(), [1]);
    assert_eq!(story.changes(2), [], "a third node follows the successor");
}

#[test]
fn nothing_comes_out_after_the_end() {
    let mut story = Story::elected(RouterSpec::new(&[200, 100, 50]));
    story.act(Action::Stop(2));
    story.go(0);
    assert_eq!(story.words(2).last(), Some(&"finished"));
    // The world turns a host off at `Finished`; a loop that takes one more turn is the engine's own matter.
    let mut node = vrrpd::engine::node::Node::new(&crate::simulator::spec::node_params(
        &RouterSpec::new(&[200, 100]).weighed().into(),
        0,
        2,
    ));
    let now = vrrpd::engine::time::Now { mono: Default::default(), utc: Default::default() };
    node.handle(now, Input::Shutdown);
    assert_eq!(node.poll_output(), Some(Output::Finished));
    let (check, words) = (vrrpd::engine::input::CheckKey(0), std::sync::Arc::from(""));
    node.handle(now, Input::Check { check, result: CheckResult::Number(-50), words });
    assert_eq!(node.poll_output(), None);
}
