//! What checks say, and what that does to a router: rise and fall, weights, faults. No deadlines, no states.
//!
//! One stop before: `engine::node`, which is told of each run of a check. One stop after: `engine::router`, which asks for
//! the effective priority and for what keeps it out.

mod extremes;

use std::sync::Arc;

use extremes::{gain, worst};

use super::input::CheckResult;
use super::output::{Reason, Verdict};
use super::params::{CheckParams, Effect, Initial, Track};
use super::snapshot::{CheckSnapshot, TrackSnapshot};
use super::time::Instant;
use crate::wire::field::Priority;

/// One check of the node.
#[derive(Debug)]
pub(super) struct Check {
    pub params: Arc<CheckParams>,
    pub name: Arc<str>,
    pub verdict: Verdict,
    /// Results in a row that speak against the verdict.
    against: u32,
    pub since: Option<Instant>,
    pub words: Arc<str>,
    /// Who tracks it: slot of the router and place among its tracks, ascending.
    pub trackers: Vec<(u32, usize)>,
}

impl Check {
    /// Makes a check that has not run.
    pub fn new(params: Arc<CheckParams>) -> Self {
        let verdict = match params.initial {
            Initial::Unknown => Verdict::Unknown,
            Initial::Passing => Verdict::Passing,
            Initial::Failing => Verdict::Failing,
        };
        let (name, words) = (Arc::from(params.name.as_str()), Arc::from(""));
        Self { params, name, verdict, against: 0, since: None, words, trackers: Vec::new() }
    }

    /// Takes in one run; returns the verdict before when it changed.
    ///
    /// A number counts at once; without a verdict the first result does, whatever rise and fall are.
    pub fn note(&mut self, now: Instant, result: CheckResult, words: Arc<str>) -> Option<Verdict> {
        self.words = words;
        let (said, needed) = match result {
            CheckResult::Passed => (Verdict::Passing, self.params.rise),
            CheckResult::Failed => (Verdict::Failing, self.params.fall),
            CheckResult::Number(number) => (Verdict::Number(number), 1),
        };
        if said == self.verdict {
            self.against = 0;
            self.since.get_or_insert(now);
            return None;
        }
        self.against = self.against.saturating_add(1);
        let is_decided = match self.verdict {
            Verdict::Passing | Verdict::Failing => self.against >= needed,
            Verdict::Unknown | Verdict::Number(_) => true,
        };
        if !is_decided {
            return None;
        }
        self.against = 0;
        self.since = Some(now);
        Some(std::mem::replace(&mut self.verdict, said))
    }

    /// Returns plain values for status.
    pub fn snapshot(&self) -> CheckSnapshot {
        let (name, words) = (Arc::clone(&self.name), Arc::clone(&self.words));
        CheckSnapshot { name, verdict: self.verdict, since: self.since, words }
    }
}

/// What the checks do to one router.
#[derive(Debug)]
pub(super) struct Health {
    base: Priority,
    /// In the order of `RouterParams::tracks`.
    tracks: Vec<Tracked>,
    /// The most that the weights could add.
    pub best_gain: i32,
}

/// One track with what it does.
#[derive(Debug)]
struct Tracked {
    check: Arc<str>,
    effect: Effect,
    is_urgent: bool,
    toll: Toll,
    /// It has said nothing yet.
    is_open: bool,
    /// The words of the run that decided.
    words: Arc<str>,
}

/// What a verdict does to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Toll {
    contribution: i32,
    is_fault: bool,
    is_awaited: bool,
}

impl Health {
    /// Makes the health of a router as it is before any check has run; `find`: a check by its name.
    ///
    /// A check that does not exist has failed for good.
    pub fn new<'a>(base: Priority, tracks: &[Track], find: impl Fn(&str) -> Option<&'a Check>) -> Self {
        let mut best_gain = 0;
        let mut tracked = Vec::with_capacity(tracks.len());
        for track in tracks {
            let check = find(&track.check);
            let toll = match check {
                Some(check) => toll(base, track.effect, check.verdict),
                None => worst(base, track.effect),
            };
            best_gain += check.map_or(0, |check| gain(track.effect, &check.params.kind));
            let name = check.map_or_else(|| Arc::from(track.check.as_str()), |check| Arc::clone(&check.name));
            let words = check.map_or_else(|| Arc::from("no such check"), |check| Arc::clone(&check.words));
            let is_open = check.is_some_and(|check| check.verdict == Verdict::Unknown);
            let (effect, is_urgent) = (track.effect, track.is_urgent);
            tracked.push(Tracked { check: name, effect, is_urgent, toll, is_open, words });
        }
        Self { base, tracks: tracked, best_gain }
    }

    /// Takes in the verdict of the check that is tracked in a place. An unknown place is ignored.
    pub fn note(&mut self, place: usize, check: &Check) {
        if let Some(tracked) = self.tracks.get_mut(place) {
            tracked.toll = toll(self.base, tracked.effect, check.verdict);
            tracked.is_open = check.verdict == Verdict::Unknown;
            tracked.words = Arc::clone(&check.words);
        }
    }

    /// Returns the configured priority and all that is added, clamped to 1..=254; an owner's never changes.
    pub fn effective(&self) -> Priority {
        if self.base.is_owner() {
            return self.base;
        }
        let sum = self.tracks.iter().map(|tracked| tracked.toll.contribution).sum::<i32>();
        let clamped = (i32::from(self.base.get()) + sum).clamp(1, HIGHEST);
        u8::try_from(clamped).ok().and_then(Priority::new).unwrap_or(self.base)
    }

    /// Returns the first failure that keeps the router out.
    pub fn failure(&self) -> Option<Reason> {
        let tracked = self.tracks.iter().find(|tracked| tracked.toll.is_fault)?;
        Some(Reason::CheckFailed { check: Arc::clone(&tracked.check), words: Arc::clone(&tracked.words) })
    }

    /// Says whether a failure of this check keeps the router out.
    pub fn is_failed_by(&self, check: &str) -> bool {
        self.tracks.iter().any(|tracked| tracked.toll.is_fault && *tracked.check == *check)
    }

    /// Returns the first check that the router waits for.
    pub fn awaited(&self) -> Option<Reason> {
        let tracked = self.tracks.iter().find(|tracked| tracked.toll.is_awaited)?;
        Some(Reason::AwaitingCheck { check: Arc::clone(&tracked.check) })
    }

    /// Says whether some check has said nothing yet.
    pub fn is_open(&self) -> bool {
        self.tracks.iter().any(|tracked| tracked.is_open)
    }

    /// Says whether what is answered is worse than no answer.
    pub fn is_urgent(&self) -> bool {
        self.tracks.iter().any(|tracked| tracked.toll.is_fault && tracked.is_urgent)
    }

    /// Returns plain values for status.
    pub fn snapshot(&self) -> Vec<TrackSnapshot> {
        let value = |tracked: &Tracked| {
            let Toll { contribution, is_fault, .. } = tracked.toll;
            TrackSnapshot { contribution, is_fault }
        };
        self.tracks.iter().map(value).collect()
    }
}

/// Returns what a verdict adds to a configured priority, before the sum is limited.
pub fn contribution(base: Priority, effect: Effect, verdict: Verdict) -> i32 {
    toll(base, effect, verdict).contribution
}

/// Returns what a verdict does to a router of a configured priority. For an owner weights do not count.
fn toll(base: Priority, effect: Effect, verdict: Verdict) -> Toll {
    let fault = |is_fault| Toll { contribution: 0, is_fault, is_awaited: false };
    let adds = |contribution| Toll { contribution, is_fault: false, is_awaited: false };
    match effect {
        Effect::Fault { is_reversed } => match verdict {
            Verdict::Unknown => Toll { contribution: 0, is_fault: false, is_awaited: true },
            Verdict::Passing => fault(is_reversed),
            Verdict::Failing => fault(!is_reversed),
            Verdict::Number(number) => fault((number != 0) != is_reversed),
        },
        Effect::Weight { .. } if base.is_owner() => adds(0),
        Effect::Weight { weight, is_reversed } => {
            let signed = if is_reversed { -i32::from(weight) } else { i32::from(weight) };
            match verdict {
                Verdict::Passing if weight > 0 => adds(signed),
                Verdict::Failing if weight < 0 => adds(signed),
                Verdict::Unknown | Verdict::Passing | Verdict::Failing => adds(0),
                Verdict::Number(number) => {
                    let product = number.saturating_mul(signed).clamp(DISQUALIFIES, MOST_ADDED);
                    Toll { is_fault: product == DISQUALIFIES, ..adds(product) }
                }
            }
        }
    }
}

/// The highest effective priority of a node that does not own the addresses.
const HIGHEST: i32 = 254;

/// What a number takes away when it means FAULT.
const DISQUALIFIES: i32 = -254;

/// The most that a number adds.
const MOST_ADDED: i32 = 253;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::params::{CheckKind, FileSense};

    const PASS: CheckResult = CheckResult::Passed;
    const FAIL: CheckResult = CheckResult::Failed;

    fn check(name: &str, (rise, fall): (u32, u32), initial: Initial) -> Check {
        let second = Duration::from_secs(1);
        let kind = CheckKind::Unit("haproxy.service".into());
        let (interval, timeout) = (second, second);
        Check::new(Arc::new(CheckParams { name: name.into(), kind, interval, timeout, rise, fall, initial }))
    }

    fn weight(weight: i16, is_reversed: bool) -> Effect {
        Effect::Weight { weight, is_reversed }
    }

    fn prio(number: u8) -> Priority {
        Priority::new(number).unwrap()
    }

    fn tracks(effects: &[Effect]) -> Vec<Track> {
        let track =
            |(place, effect): (usize, &Effect)| Track { check: format!("c{place}"), effect: *effect, is_urgent: false };
        effects.iter().enumerate().map(track).collect()
    }

    fn health(priority: u8, effects: &[Effect], checks: &[Check]) -> Health {
        Health::new(prio(priority), &tracks(effects), |name| checks.iter().find(|check| *check.name == *name))
    }

    fn run(check: &mut Check, result: CheckResult) -> Verdict {
        check.note(Instant::default(), result, Arc::from(""));
        check.verdict
    }

    #[test]
    fn weights_add_in_the_states_of_the_table() {
        use Verdict::{Failing, Passing, Unknown};
        for (effect, passing, failing) in [
            (weight(20, false), 20, 0),
            (weight(-20, false), 0, -20),
            (weight(20, true), -20, 0),
            (weight(-20, true), 0, 20),
            (weight(-254, false), 0, -254),
        ] {
            for (verdict, contribution) in [(Unknown, 0), (Passing, passing), (Failing, failing)] {
                let expected = Toll { contribution, is_fault: false, is_awaited: false };
                assert_eq!(toll(prio(100), effect, verdict), expected, "{effect:?} {verdict}");
            }
        }
    }

    #[test]
    fn check_without_weight_is_awaited_and_then_a_fault_when_it_fails() {
        for (is_reversed, passing, failing, zero) in [(false, false, true, false), (true, true, false, true)] {
            for (verdict, is_fault, is_awaited) in [
                (Verdict::Unknown, false, true),
                (Verdict::Passing, passing, false),
                (Verdict::Failing, failing, false),
                (Verdict::Number(0), zero, false),
                (Verdict::Number(7), !zero, false),
                (Verdict::Number(-7), !zero, false),
            ] {
                let expected = Toll { contribution: 0, is_fault, is_awaited };
                let effect = Effect::Fault { is_reversed };
                assert_eq!(toll(prio(100), effect, verdict), expected, "{is_reversed} {verdict}");
                assert_eq!(toll(prio(255), effect, verdict), expected, "an owner's, too");
            }
        }
    }

    #[test]
    fn number_is_multiplied_cut_and_disqualifies_at_254_below() {
        for (effect, number, contribution, is_fault) in [
            (weight(1, false), 30, 30, false),
            (weight(1, true), 30, -30, false),
            (weight(-3, false), 10, -30, false),
            (weight(-3, true), 10, 30, false),
            (weight(2, false), 127, 253, false),
            (weight(1, false), 100_000, 253, false),
            (weight(1, false), -253, -253, false),
            (weight(1, false), -254, -254, true),
            (weight(1, false), -255, -254, true),
            (weight(2, false), -127, -254, true),
            (weight(-254, false), i32::MAX, -254, true),
            (weight(-254, false), i32::MIN, 253, false),
            (weight(5, false), 0, 0, false),
        ] {
            let expected = Toll { contribution, is_fault, is_awaited: false };
            assert_eq!(toll(prio(100), effect, Verdict::Number(number)), expected, "{effect:?} {number}");
            let nothing = Toll { contribution: 0, is_fault: false, is_awaited: false };
            assert_eq!(toll(prio(255), effect, Verdict::Number(number)), nothing, "an owner has no weights");
        }
    }

    #[test]
    fn clamping_is_not_sticky() {
        let mut checks = ["c0", "c1"].map(|name| check(name, (1, 1), Initial::Passing));
        let mut health = health(100, &[weight(-200, false), weight(-50, false)], &checks);
        assert_eq!(health.effective(), prio(100));
        for (place, result, effective) in [(0, FAIL, 1), (1, FAIL, 1), (0, PASS, 50), (1, PASS, 100)] {
            run(&mut checks[place], result);
            health.note(place, &checks[place]);
            assert_eq!(health.effective(), prio(effective));
        }
    }

    #[test]
    fn sum_never_makes_an_owner_and_an_owner_never_changes() {
        let checks = [check("c0", (1, 1), Initial::Passing)];
        assert_eq!(health(250, &[weight(50, false)], &checks).effective(), prio(254));
        assert_eq!(health(255, &[weight(-50, true)], &checks).effective(), prio(255));
    }

    #[test]
    fn first_result_counts_at_once_whatever_rise_and_fall_are() {
        for (result, verdict) in [(PASS, Verdict::Passing), (FAIL, Verdict::Failing)] {
            let mut check = check("c0", (5, 5), Initial::Unknown);
            assert_eq!(check.note(Instant::default(), result, Arc::from("")), Some(Verdict::Unknown));
            assert_eq!(check.verdict, verdict);
        }
    }

    #[test]
    fn verdict_turns_after_so_many_results_in_a_row() {
        use Verdict::{Failing, Passing};
        for (initial, results, verdicts) in [
            (Initial::Passing, [FAIL, PASS, FAIL, FAIL], [Passing, Passing, Passing, Failing]),
            (Initial::Failing, [PASS, PASS, FAIL, PASS], [Failing, Failing, Failing, Failing]),
            (Initial::Unknown, [PASS, FAIL, FAIL, PASS], [Passing, Passing, Failing, Failing]),
        ] {
            let mut check = check("c0", (3, 2), initial);
            assert_eq!(results.map(|result| run(&mut check, result)), verdicts, "{initial:?}");
        }
    }

    #[test]
    fn init_fail_keeps_out_until_so_many_successes() {
        let mut checks = [check("c0", (2, 1), Initial::Failing)];
        let mut health = health(100, &[Effect::Fault { is_reversed: false }], &checks);
        assert!(health.failure().is_some(), "before the first result");
        for is_faulty in [true, false] {
            run(&mut checks[0], PASS);
            health.note(0, &checks[0]);
            assert_eq!(health.failure().is_some(), is_faulty);
        }
    }

    #[test]
    fn status_says_since_when_a_verdict_holds() {
        let mut check = check("c0", (1, 2), Initial::Passing);
        assert_eq!(check.snapshot().since, None);
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        for (seconds, result, since) in [(1, PASS, 1), (2, PASS, 1), (3, FAIL, 1), (4, FAIL, 4)] {
            check.note(at(seconds), result, Arc::from(format!("run {seconds}")));
            let snapshot = check.snapshot();
            assert_eq!((snapshot.since, &*snapshot.words), (Some(at(since)), &*format!("run {seconds}")));
        }
    }

    #[test]
    fn track_of_no_check_does_the_worst_it_could() {
        let fault = |is_reversed| Effect::Fault { is_reversed };
        for (effect, effective, is_faulty) in [
            (fault(false), 100, true),
            (fault(true), 100, true),
            (weight(20, false), 100, false),
            (weight(-20, false), 80, false),
            (weight(20, true), 80, false),
            (weight(-20, true), 100, false),
        ] {
            let health = health(100, &[effect], &[]);
            assert_eq!((health.effective(), health.failure().is_some()), (prio(effective), is_faulty), "{effect:?}");
            assert_eq!(health.best_gain, 0);
        }
    }

    #[test]
    fn best_gain_is_the_sum_of_what_all_weights_could_add() {
        let checks = ["c0", "c1", "c2", "c3"].map(|name| check(name, (1, 1), Initial::Unknown));
        let effects = [weight(20, false), weight(-5, false), weight(7, true), weight(-30, true)];
        assert_eq!(health(100, &effects, &checks).best_gain, 50);
        let kind = CheckKind::File { path: "/run/weight".into(), sense: FileSense::Number };
        assert_eq!(gain(weight(-1, false), &kind), 253);
    }

    /// The verdict by its definition: that of the last run of results that was long enough, else what there was first.
    fn defined_verdict(results: &[bool], (rise, fall): (u32, u32), initial: Initial) -> Option<bool> {
        let runs: Vec<&[bool]> = results.chunk_by(|one, other| one == other).collect();
        let is_enough = |run: &&&[bool]| run.len() as u32 >= if run[0] { rise } else { fall };
        let decided = runs.iter().rev().find(is_enough).map(|run| run[0]);
        decided.or(match initial {
            Initial::Unknown => results.first().copied(),
            Initial::Passing => Some(true),
            Initial::Failing => Some(false),
        })
    }

    /// The table of the weights, written out.
    fn defined_summand(weight: i32, is_reversed: bool, verdict: Option<bool>) -> i32 {
        match (weight > 0, is_reversed, verdict) {
            (_, _, None) => 0,
            (true, false, Some(true)) | (false, false, Some(false)) => weight,
            (true, true, Some(true)) | (false, true, Some(false)) => -weight,
            (true, _, Some(false)) | (false, _, Some(true)) => 0,
        }
    }

    fn any_initial() -> impl Strategy<Value = Initial> {
        prop_oneof![Just(Initial::Unknown), Just(Initial::Passing), Just(Initial::Failing)]
    }

    proptest! {
        #[test]
        fn effective_priority_is_as_defined_after_any_sequence_of_results(
            base in 1u8..=255,
            shapes in proptest::collection::vec(
                ((1u32..4, 1u32..4), any_initial(), prop_oneof![-254i16..=-1, 1i16..=254], any::<bool>(), any::<bool>()),
                1..6,
            ),
            results in proptest::collection::vec((any::<usize>(), any::<bool>()), 0..60),
        ) {
            let mut checks: Vec<Check> = shapes.iter().enumerate()
                .map(|(place, (counts, initial, ..))| check(&format!("c{place}"), *counts, *initial)).collect();
            let effects: Vec<Effect> = shapes.iter().map(|&(_, _, weight, is_reversed, is_weighted)| {
                if is_weighted { Effect::Weight { weight, is_reversed } } else { Effect::Fault { is_reversed } }
            }).collect();
            let mut health = health(base, &effects, &checks);
            let mut heard: Vec<Vec<bool>> = vec![Vec::new(); shapes.len()];
            for step in 0..=results.len() {
                let mut sum = i32::from(base);
                let (mut has_fault, mut is_awaiting) = (false, false);
                for ((counts, initial, weight, is_reversed, is_weighted), heard) in shapes.iter().zip(&heard) {
                    let verdict = defined_verdict(heard, *counts, *initial);
                    if *is_weighted {
                        sum += defined_summand(i32::from(*weight), *is_reversed, verdict);
                    } else {
                        has_fault |= verdict == Some(*is_reversed);
                        is_awaiting |= verdict.is_none();
                    }
                }
                let expected = if base == 255 { 255 } else { sum.clamp(1, 254) };
                prop_assert_eq!(i32::from(health.effective().get()), expected);
                prop_assert_eq!(health.failure().is_some(), has_fault);
                prop_assert_eq!(health.awaited().is_some(), is_awaiting);
                let Some((place, has_passed)) = results.get(step) else { break };
                let place = place % checks.len();
                heard[place].push(*has_passed);
                if checks[place].note(Instant::default(), if *has_passed { PASS } else { FAIL }, Arc::from("")).is_some() {
                    health.note(place, &checks[place]);
                }
            }
        }
    }
}
