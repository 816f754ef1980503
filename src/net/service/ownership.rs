//! The part of the service that is about who owns an address: leases, troubles, and when to look again.

use std::time::Duration;

use tokio::time::sleep;

use super::{NetService, Report};
use crate::engine::input::RouterKey;
use crate::engine::time::Instant;

impl<F: FnMut(Report)> NetService<F> {
    /// Lets time pass: whatever is due is asked for or told.
    pub(super) fn turn(&mut self) {
        let now = (self.clock)();
        self.vips.turn(now);
        self.troubles.expire(now);
        if self.vips.pulse_at().is_some_and(|at| at <= now) {
            self.vips.pulse_asked();
            (self.on)(Report::Pulse);
        }
    }

    /// Returns how long until something is due; `None`: nothing will be.
    pub(super) fn alarm(&self) -> Option<Duration> {
        let next = self.vips.pulse_at().into_iter().chain(self.troubles.deadline()).min()?;
        Some(next.since((self.clock)()))
    }

    /// Reports what keeps routers from holding their addresses.
    pub(super) fn tell_troubles(&mut self) {
        let now: Instant = (self.clock)();
        for (router, trouble) in self.vips.take_troubles() {
            self.troubles.note(now, router, trouble);
        }
        for (router, trouble) in self.troubles.take_reports() {
            (self.on)(Report::Trouble { router, trouble });
        }
    }

    /// Returns what is wrong with what a router holds, for a person.
    pub(super) fn troubles_of(&self, router: RouterKey) -> Vec<String> {
        let mut words = self.vips.troubles_of(router);
        words.extend(self.routes.troubles_of(router));
        words
    }
}

/// Waits; for ever without a length.
pub(super) async fn ring(alarm: Option<Duration>) {
    match alarm {
        Some(length) => sleep(length).await,
        None => std::future::pending().await,
    }
}
