//! The wall clock of one host: it runs like the time of the world, from another moment, and can be set.

use std::time::Duration;

use vrrpd::engine::time::{Instant, Now};

/// The wall clock of one host. It outlives the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Nanoseconds ahead of the world's own wall clock.
    offset: i64,
    /// The furthest ahead it ever was.
    furthest: i64,
    has_been_set: bool,
}

impl Clock {
    /// A clock that was always so far ahead.
    pub fn ahead(offset: i64) -> Self {
        Self { offset, furthest: offset, has_been_set: false }
    }

    /// Sets it ahead, or back.
    pub fn step(&mut self, by: i64) {
        self.offset += by;
        self.furthest = self.furthest.max(self.offset);
        self.has_been_set = true;
    }

    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Returns what both clocks of the host say.
    pub fn now(&self, at: u64) -> Now {
        Now { mono: Instant::from_nanos(at), utc: self.wall(at) }
    }

    /// Returns the time since 1970-01-01 UTC that it shows.
    pub fn wall(&self, at: u64) -> Duration {
        let nanos = i128::from(DAWN) * 1_000_000_000 + i128::from(at) + i128::from(self.offset);
        Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
    }

    pub fn has_been_set(&self) -> bool {
        self.has_been_set
    }

    /// Says whether it shows times that it has shown before.
    pub fn is_back(&self) -> bool {
        self.offset < self.furthest
    }
}

/// What the world's own wall clock shows at its beginning, in seconds.
const DAWN: u64 = 1_800_000_000;
