//! Make before break: a node that is Master no longer keeps answering for its addresses until its successor does.
//!
//! The successor sends its first advert before it has the addresses, and it has them before the neighbours know. Taken
//! away at that advert, the addresses would be nobody's for up to a millisecond; so they stay for a short overlap, and a
//! farewell advert at its end makes the successor announce them once more, with nobody left to contradict it.
//! A departure from RFC 9568 section 6.4.3 that the ledger names. One stop before: `engine::router` and `engine::master`.

use std::net::IpAddr;
use std::time::Duration;

use super::election::resignation_repeat;
use super::time::Instant;
use crate::wire::field::Priority;

/// Addresses that are kept although the router is Master no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handover {
    /// When the addresses go, whatever was heard.
    pub release_at: Instant,
    /// From when on the peers count their skew: the last resignation.
    pub vacant_at: Instant,
    /// Who has taken over; `None`: nobody yet.
    pub successor: Option<Successor>,
    /// It gave the addresses away on its own account, so that their going is worth a line.
    pub is_resignation: bool,
}

/// The Master that followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Successor {
    pub address: IpAddr,
    /// The priority in the farewell, low enough to lose; `None`: none would be.
    pub farewell: Option<Priority>,
}

impl Handover {
    /// Begins after a resignation; `interval`: the own advertisement interval.
    pub fn resign(now: Instant, interval: Duration) -> Self {
        Self {
            release_at: now + (interval + GRACE).min(LONGEST),
            vacant_at: repetition(now, interval),
            successor: None,
            is_resignation: true,
        }
    }

    /// Begins because a better Master was heard, which takes the [`overlap`] to be known.
    pub fn yield_to(now: Instant, overlap: Duration, successor: Successor) -> Self {
        Self { release_at: now + overlap, vacant_at: now, successor: Some(successor), is_resignation: false }
    }

    /// A Master was heard; the first one counts.
    pub fn succeed(&mut self, now: Instant, overlap: Duration, successor: Successor) {
        if self.successor.is_none() {
            self.successor = Some(successor);
            self.release_at = self.release_at.min(now + overlap);
        }
    }
}

/// Returns when a resignation sent now is sent again; one lost datagram must not cost three intervals.
pub(super) fn repetition(now: Instant, interval: Duration) -> Instant {
    now + resignation_repeat(interval)
}

/// Returns how long a successor takes from its first advert until the neighbours know it, on a busy host.
///
/// `vips`: how many addresses it has to put up. `interval`: the own advertisement interval; where that is long, clients wait
/// for other things, and the successor is given the time of a host without a free processor.
pub(super) fn overlap(vips: usize, interval: Duration) -> Duration {
    let work = OVERLAP + OVERLAP_PER_VIP * u32::try_from(vips).unwrap_or(u32::MAX);
    work.max((interval / OVERLAP_DIVISOR).min(OVERLAP_LONGEST))
}

/// Beyond one interval: what the slowest skew and a busy host may add.
const GRACE: Duration = Duration::from_millis(100);

/// The addresses are never kept for longer.
const LONGEST: Duration = Duration::from_secs(5);

/// Overlap for the first address, and for each.
const OVERLAP: Duration = Duration::from_millis(10);
const OVERLAP_PER_VIP: Duration = Duration::from_micros(100);

/// It is no less than this part of an interval, as far as that is no longer than the limit.
const OVERLAP_DIVISOR: u32 = 10;
const OVERLAP_LONGEST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_a_tenth_of_the_interval_within_its_limits() {
        let ms = Duration::from_millis;
        for (vips, interval, expected) in [
            (1, ms(10), Duration::from_micros(10_100)),
            (1, ms(100), Duration::from_micros(10_100)),
            (0, ms(500), ms(50)),
            (20, ms(1000), ms(100)),
            (20, ms(40_950), ms(100)),
            (2000, ms(10), ms(210)),
            (2000, ms(1000), ms(210)),
        ] {
            assert_eq!(overlap(vips, interval), expected, "{vips} addresses, {interval:?}");
        }
    }
}
