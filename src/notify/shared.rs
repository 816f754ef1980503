//! What all workers and pipes of one [`super::Notifier`] have in common.

use std::cell::RefCell;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

use super::report::{HookNews, HookReport, Owner, Reporter};
use crate::engine::params::{NodeHooks, Scripts};
use crate::engine::time::Now;

/// What all workers and pipes have in common.
pub(super) struct Shared {
    /// The node's name.
    pub node: String,
    /// What holds for all programs.
    pub hooks: RefCell<Arc<NodeHooks>>,
    /// So many programs run at a time; the others wait in the order they came.
    pub permits: Semaphore,
    clock: Box<dyn Fn() -> Now>,
    reporter: Reporter,
    /// Set when the daemon stops: how long programs may go on for a state that is over.
    grace: watch::Sender<Option<Duration>>,
}

/// Programs of hooks at a time. A takeover of thousands of instances must not start thousands of programs at once;
/// a few that hang must not keep the others waiting.
const MAX_CALLS: usize = 256;

impl Shared {
    pub fn new(
        node: &str,
        hooks: Arc<NodeHooks>,
        clock: impl Fn() -> Now + 'static,
        report: impl Fn(HookReport) + 'static,
    ) -> Self {
        Self {
            node: node.to_owned(),
            hooks: RefCell::new(hooks),
            permits: Semaphore::new(MAX_CALLS),
            clock: Box::new(clock),
            reporter: Reporter::new(report),
            grace: watch::Sender::new(None),
        }
    }

    /// Returns how programs run unless they say otherwise.
    pub fn scripts(&self) -> Scripts {
        self.hooks.borrow().scripts.clone()
    }

    pub fn now(&self) -> Now {
        (self.clock)()
    }

    pub fn report(&self, owner: Owner, program: &str, what: HookNews) {
        self.reporter.report(self.now(), owner, program.into(), what);
    }

    /// Gives programs that run for a state that is over this long.
    pub fn hurry(&self, grace: Duration) {
        self.grace.send_replace(Some(grace));
    }

    pub fn is_stopping(&self) -> bool {
        self.grace.borrow().is_some()
    }

    /// Returns when the daemon stops and the grace is over.
    pub async fn out_of_grace(&self) {
        let mut grace = self.grace.subscribe();
        let found = grace.wait_for(Option::is_some).await.ok().and_then(|grace| *grace);
        match found {
            Some(grace) => sleep(grace).await,
            None => future::pending().await,
        }
    }
}

/// Returns how long after that many failures in a row something is tried again: 1 s, doubled each time up to 60 s.
pub(super) fn back_off(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    Duration::from_secs(1 << doublings).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_a_minute() {
        let seconds = [0, 1, 2, 3, 4, 5, 6, 7, 8, u32::MAX].map(|failures| back_off(failures).as_secs());
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
