//! What keeps routers from holding their addresses, from its first sign until it has been quiet for a while. No I/O.
//!
//! One stop before: `net::vips` and `net::conflict`. One stop after: `engine::input::Trouble`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::input::{RouterKey, Trouble};
use crate::engine::time::Instant;

/// Trouble is over after this long without a sign of it.
const QUIET: Duration = Duration::from_secs(60);

/// The troubles that are not over.
#[derive(Debug, Default)]
pub struct Troubles {
    /// What was told, and when its last sign was.
    open: BTreeMap<RouterKey, (Trouble, Instant)>,
    reports: Vec<(RouterKey, Option<Trouble>)>,
}

impl Troubles {
    /// Takes note of a sign of trouble; only the first of a kind is told.
    pub fn note(&mut self, now: Instant, router: RouterKey, trouble: Trouble) {
        let before = self.open.insert(router, (trouble, now));
        if before.is_none_or(|(known, _)| std::mem::discriminant(&known) != std::mem::discriminant(&trouble)) {
            self.reports.push((router, Some(trouble)));
        }
    }

    /// Returns when the next trouble may be over; `None`: there is none.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|(_, at)| *at + QUIET).min()
    }

    /// Ends what has been quiet for long enough.
    pub fn expire(&mut self, now: Instant) {
        let is_over = |(_, at): &(Trouble, Instant)| *at + QUIET <= now;
        let over: Vec<RouterKey> = self.open.iter().filter(|(_, open)| is_over(open)).map(|(key, _)| *key).collect();
        for router in over {
            self.open.remove(&router);
            self.reports.push((router, None));
        }
    }

    /// Takes what is to be told since the last call, in order.
    pub fn take_reports(&mut self) -> Vec<(RouterKey, Option<Trouble>)> {
        std::mem::take(&mut self.reports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_ends_a_minute_after_its_last_sign() {
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let key = RouterKey(1);
        let removed = |count| Trouble::Removed { address: "10.0.0.1".parse().unwrap(), count };
        let mut troubles = Troubles::default();
        troubles.note(at(0), key, removed(10));
        troubles.note(at(30), key, removed(11));
        assert_eq!(troubles.take_reports(), [(key, Some(removed(10)))]);
        troubles.expire(at(89));
        assert_eq!((troubles.take_reports(), troubles.deadline()), (vec![], Some(at(90))));
        troubles.expire(at(90));
        assert_eq!((troubles.take_reports(), troubles.deadline()), (vec![(key, None)], None));
    }
}
