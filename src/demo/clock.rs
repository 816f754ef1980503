//! The clock of the laboratory.
//!
//! The kernel stamps packets with the wall clock, so everything here is measured on it, as time since 1970-01-01 UTC.
//! A step of the wall clock spoils a measurement, never an address: no daemon looks at this.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Returns the wall clock as time since 1970-01-01 UTC; zero if the kernel refuses, which Linux never does.
#[expect(clippy::disallowed_methods, reason = "the laboratory's own clock; no daemon looks at it")]
pub fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).unwrap_or_default()
}
