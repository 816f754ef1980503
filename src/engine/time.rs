//! Points in time, as values.
//!
//! The engine never reads a clock: whoever calls it passes [`Now`]. One stop before: `daemon::event_loop`, the
//! only reader of the clocks. One stop after: the deadlines in `engine::router`.

use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the boot-time clock.
///
/// **Units and range:** nanoseconds since boot, sleep included, so that a suspended host notices how long it was away.
/// A type of its own and not `std::time::Instant`: that one stops while the host sleeps, cannot be made from a number
/// in a simulation, and cannot be compared with what a dead process wrote to its state file.
///
/// `Option<Instant>` takes no more room than an `Instant`: routers have many deadlines that are mostly off.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(
    /// Nanoseconds since boot and one more; the last nanosecond of the clock is the one before, too.
    NonZeroU64,
);

impl Instant {
    /// Makes a point in time from nanoseconds since boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Returns the nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// Returns the time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Instant {
    /// Returns the boot.
    fn default() -> Self {
        Self::from_nanos(0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of the clock (584 years after boot).
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// Saturates at boot.
    fn sub(self, length: Duration) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// What the clocks say at the beginning of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Decides every deadline.
    pub mono: Instant,
    /// Wall clock as time since 1970-01-01 UTC; only the HMAC sequence looks at it, so a step never moves an address.
    pub utc: Duration,
}
