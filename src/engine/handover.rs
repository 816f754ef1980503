//! Make before break: a node that resigns keeps answering for its addresses until a successor is heard.
//!
//! The rule of the design, section 7; a departure from RFC 9568 section 6.4.3 that the ledger names. One stop before:
//! `engine::router`, which decides to resign.

use std::time::Duration;

use super::time::Instant;

/// Addresses that are kept after resigning, and the second resignation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handover {
    /// When the addresses go even if nobody was heard.
    pub release_at: Instant,
    /// When the resignation is sent again; one lost datagram must not cost three intervals.
    pub repeat_at: Option<Instant>,
}

impl Handover {
    /// Begins a handover; `interval`: the own advertisement interval.
    pub fn begin(now: Instant, interval: Duration) -> Self {
        Self {
            release_at: now + (interval + GRACE).min(LONGEST),
            repeat_at: Some(now + (interval / REPEAT_PART).min(REPEAT_LATEST)),
        }
    }

    /// Returns when it wants to be looked at next.
    pub fn deadline(&self) -> Instant {
        self.repeat_at.map_or(self.release_at, |at| at.min(self.release_at))
    }
}

/// Beyond one interval: what the slowest skew and a busy host may add.
const GRACE: Duration = Duration::from_millis(100);

/// The addresses are never kept for longer.
const LONGEST: Duration = Duration::from_secs(5);

/// The repetition comes after this part of the interval; a later one would restart the peers' skew for nothing.
const REPEAT_PART: u32 = 20;

/// The repetition comes at the latest after this.
const REPEAT_LATEST: Duration = Duration::from_millis(50);
