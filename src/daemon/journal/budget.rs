//! How many lines packets may cause, over all routers of the node.
//!
//! The engine limits what it tells for each router, reason and peer; all of them together could still fill a journal.
//! What refused packets cause is counted apart from what accepted ones do: whoever forges packets that are refused cannot
//! keep the lines about the peers from being written.

use std::time::Duration;

use crate::engine::output::EventKind;
use crate::engine::time::Instant;

/// What a packet did that caused a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It was refused: anybody may have sent it.
    Refused,
    /// It was accepted.
    Accepted,
}

impl Cause {
    /// Returns what kind of packet caused an event; `None`: no packet did, or not at will.
    pub const fn of(kind: &EventKind) -> Option<Self> {
        match kind {
            EventKind::Discarded { .. } => Some(Self::Refused),
            EventKind::ClockSkew { .. }
            | EventKind::Mismatch { .. }
            | EventKind::Rival { .. }
            | EventKind::Checksum { .. }
            | EventKind::PreemptDelay { .. } => Some(Self::Accepted),
            EventKind::Transition(_)
            | EventKind::Paused { .. }
            | EventKind::Priority { .. }
            | EventKind::HandedOver { .. }
            | EventKind::Vacant { .. }
            | EventKind::Check { .. }
            | EventKind::Clock(_)
            | EventKind::Group(_) => None,
        }
    }

    /// Returns what the lines are about.
    pub const fn subject(self) -> &'static str {
        match self {
            Self::Refused => "refused packets",
            Self::Accepted => "what other nodes send",
        }
    }

    /// Returns how many lines may come at once; after them one each [`REFILL`].
    pub const fn burst(self) -> u32 {
        match self {
            Self::Refused => 8,
            Self::Accepted => 20,
        }
    }
}

/// The lines that one cause may still write.
#[derive(Debug)]
pub(super) struct Budget {
    cause: Cause,
    spent: u32,
    /// From when the next line that was spent comes back.
    refilled_at: Instant,
    left_out: u64,
    told_at: Option<Instant>,
}

impl Budget {
    /// Makes a budget of which nothing is spent.
    pub const fn new(cause: Cause) -> Self {
        Self { cause, spent: 0, refilled_at: Instant::from_nanos(0), left_out: 0, told_at: None }
    }

    /// Spends one line; says whether it may be written.
    pub fn spend(&mut self, now: Instant) -> bool {
        self.refill(now);
        let is_allowed = self.spent < self.cause.burst();
        if is_allowed {
            self.spent += 1;
        } else {
            self.left_out += 1;
        }
        is_allowed
    }

    /// Returns how many lines were left out since this was told, at most once within [`TELL_AGAIN`]; `None`: none, or too
    /// soon.
    pub fn tell(&mut self, now: Instant) -> Option<u64> {
        if self.left_out == 0 || self.told_at.is_some_and(|at| now.since(at) < TELL_AGAIN) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }

    fn refill(&mut self, now: Instant) {
        if self.spent == 0 {
            self.refilled_at = now;
            return;
        }
        let due = now.since(self.refilled_at).as_nanos() / REFILL.as_nanos();
        let back = u32::try_from(due).unwrap_or(u32::MAX).min(self.spent);
        self.spent -= back;
        self.refilled_at = if self.spent == 0 { now } else { self.refilled_at + REFILL * back };
    }
}

/// How long one more line takes to be allowed.
pub(super) const REFILL: Duration = Duration::from_secs(30);
/// The shortest time between two lines that tell of lines left out.
const TELL_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_flood_gets_its_burst_and_then_two_lines_a_minute() {
        for cause in [Cause::Refused, Cause::Accepted] {
            let mut budget = Budget::new(cause);
            // An hour of a hundred lines a second, on a host that has been up for a while.
            let (mut written, mut told, mut left_out) = (Vec::new(), 0, 0);
            for second in 100..3700 {
                for _ in 0..100 {
                    if budget.spend(at(second)) {
                        written.push(second);
                    }
                    if let Some(count) = budget.tell(at(second)) {
                        told += 1;
                        left_out += count;
                    }
                }
            }
            let later = written.iter().filter(|second| **second >= 160).count();
            let first = written.len() - later;
            assert_eq!(first as u32, cause.burst() + 1, "{cause:?}: what comes back within the first minute is one");
            assert!((115..=120).contains(&later), "{cause:?}: {later} lines in 59 minutes");
            assert_eq!(told, 60, "{cause:?}");
            // What was left out within the last minute has not been told.
            assert!(left_out > 353_000 && left_out + (written.len() as u64) < 360_000, "{cause:?}: {left_out}");
        }
    }

    #[test]
    fn what_was_spent_comes_back_one_by_one() {
        let mut budget = Budget::new(Cause::Refused);
        assert!((0..8).all(|_| budget.spend(at(1000))));
        assert!(!budget.spend(at(1029)));
        assert!(budget.spend(at(1030)) && !budget.spend(at(1059)));
        assert!(budget.spend(at(1060)) && !budget.spend(at(1061)));
        assert!((0..8).all(|_| budget.spend(at(2000))), "all of it after a while");
        assert!(!budget.spend(at(2029)));
    }

    #[test]
    fn nothing_is_told_of_lines_that_were_written() {
        let mut budget = Budget::new(Cause::Refused);
        assert!(budget.spend(at(5)));
        assert_eq!(budget.tell(at(500)), None);
    }
}
