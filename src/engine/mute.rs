//! Rate limit of what a stranger's packet can make us say: for each reason at once, then ever more seldom while it goes on.
//!
//! One for each known sender, and one for all others together. One stop before: `engine::node`, which counts a refusal.

use std::time::Duration;

use super::output::Discard;
use super::time::Instant;

/// What was told of the packets of one sender.
#[derive(Debug, Default)]
pub(super) struct Mute {
    /// Holds only reasons that happened, never more than there are.
    told: Vec<Told>,
}

/// What was told of one reason.
#[derive(Debug)]
struct Told {
    reason: Discard,
    told_at: Instant,
    /// When it happened last.
    last_at: Instant,
    /// The shortest time until it is told again.
    gap: Duration,
    /// How often it happened since it was told.
    untold: u64,
}

impl Mute {
    /// Counts one refusal; returns how many to tell of, or `None` when it is too soon.
    ///
    /// Told at once, then after 1, 2, 4, 8 and 16 minutes, from there on every 16; from the beginning again after a pause
    /// as long as the time that it would have had to wait.
    pub fn count(&mut self, now: Instant, reason: Discard) -> Option<u64> {
        let Some(told) = self.told.iter_mut().find(|told| told.reason == reason) else {
            self.told.push(Told { reason, told_at: now, last_at: now, gap: SOONEST, untold: 0 });
            return Some(1);
        };
        told.untold += 1;
        let is_anew = now.since(std::mem::replace(&mut told.last_at, now)) >= told.gap;
        if now.since(told.told_at) < told.gap {
            return None;
        }
        told.gap = if is_anew { SOONEST } else { (told.gap * 2).min(LATEST) };
        told.told_at = now;
        Some(std::mem::take(&mut told.untold))
    }
}

/// The shortest and the longest time between two events of one reason.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(16 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn flood_is_told_ever_more_seldom_with_its_count() {
        let mut mute = Mute::default();
        let told: Vec<(u64, u64)> = (0..100 * 60)
            .filter_map(|second| mute.count(at(second), Discard::Checksum).map(|count| (second / 60, count)))
            .collect();
        let minutes = [0, 1, 3, 7, 15, 31, 47, 63, 79, 95];
        assert_eq!(told.iter().map(|(minute, _)| *minute).collect::<Vec<_>>(), minutes);
        let total: u64 = told.iter().map(|(_, count)| count).sum();
        assert_eq!(total, 95 * 60 + 1, "none is forgotten");
        assert_eq!(mute.count(at(0), Discard::Ttl), Some(1), "another reason is heard at once");
    }

    #[test]
    fn pause_as_long_as_the_wait_starts_over() {
        let mut mute = Mute::default();
        let told: Vec<u64> = (0..=180).filter(|second| mute.count(at(*second), Discard::Hmac).is_some()).collect();
        assert_eq!(told, [0, 60, 180]);
        assert_eq!(mute.count(at(180 + 240), Discard::Hmac), Some(1), "waited 4 minutes");
        assert_eq!(mute.count(at(180 + 300), Discard::Hmac), Some(1), "and begins with 1 minute");
        assert_eq!(mute.count(at(180 + 301), Discard::Hmac), None);
    }
}
