//! Rate limit of what a stranger's packet can make us say: one event a minute for each reason.

use std::time::Duration;

use super::output::Discard;
use super::time::Instant;

/// When each reason was told last, and how often it happened since.
#[derive(Debug, Default)]
pub(super) struct Mute {
    /// Holds only reasons that happened, never more than there are.
    told: Vec<(Discard, Instant, u64)>,
}

impl Mute {
    /// Counts one refusal; returns how many to tell of, or `None` when it is too soon.
    pub fn count(&mut self, now: Instant, reason: Discard) -> Option<u64> {
        let Some((_, told_at, untold)) = self.told.iter_mut().find(|(known, ..)| *known == reason) else {
            self.told.push((reason, now, 0));
            return Some(1);
        };
        *untold += 1;
        if now.since(*told_at) < AGAIN {
            return None;
        }
        *told_at = now;
        Some(std::mem::take(untold))
    }
}

/// The shortest time between two events of one reason.
const AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_is_told_once_a_minute_with_its_count() {
        let mut mute = Mute::default();
        let told: Vec<u64> = (0..180_000u64)
            .filter_map(|ms| mute.count(Instant::from_nanos(ms * 1_000_000), Discard::Checksum))
            .collect();
        assert_eq!(told, [1, 60_000, 60_000]);
        assert_eq!(mute.count(Instant::from_nanos(0), Discard::Ttl), Some(1), "another reason is heard at once");
    }
}
