//! The worst and the best that a track could do, whatever its check says. One stop before: `engine::health`.

use super::{MOST_ADDED, Toll, toll};
use crate::engine::output::Verdict;
use crate::engine::params::{CheckKind, Effect, FileSense};
use crate::wire::field::Priority;

/// Returns what a check does that nobody runs: the worst it could do.
pub(super) fn worst(base: Priority, effect: Effect) -> Toll {
    match effect {
        Effect::Fault { .. } => Toll { contribution: 0, is_fault: true, is_awaited: false },
        Effect::Weight { .. } => {
            let [passing, failing] = [Verdict::Passing, Verdict::Failing].map(|verdict| toll(base, effect, verdict));
            if passing.contribution < failing.contribution { passing } else { failing }
        }
    }
}

/// Returns the most that a track could add.
pub(super) fn gain(effect: Effect, kind: &CheckKind) -> i32 {
    match (effect, kind) {
        (Effect::Fault { .. }, _) => 0,
        (Effect::Weight { .. }, CheckKind::File { sense: FileSense::Number, .. }) => MOST_ADDED,
        (Effect::Weight { weight, is_reversed }, _) => {
            let is_gain = (weight > 0) != is_reversed;
            if is_gain { i32::from(weight).abs() } else { 0 }
        }
    }
}
