//! Leases of addresses go on only while the protocol thread turns.

use std::time::Duration;

use super::Service;
use crate::daemon::heartbeat::Heartbeat;
use crate::engine::output::Output;
use crate::engine::time::Instant;

impl Service {
    /// Waits until leases need a sign of life of the protocol thread, and then for that; returns when the turn began that
    /// gave it. May be dropped while it waits.
    pub(super) async fn beat(&self, heartbeat: &mut Heartbeat) -> Instant {
        loop {
            if !heartbeat.is_asked() {
                self.pulse.notified().await;
            }
            if let Some(at) = heartbeat.beat(PATIENCE).await {
                return at;
            }
        }
    }

    /// Says whether addresses with a lease are wanted from here on: what wants them is a sign of life, too.
    pub(super) fn acquires_leased(&self, outputs: &[Output]) -> bool {
        let is_leased = |output: &Output| match output {
            Output::AcquireVips { router } => {
                self.routers.borrow().get(router).is_some_and(|params| params.ownership.lease.is_some())
            }
            Output::Send(_)
            | Output::ReleaseVips { .. }
            | Output::Announce { .. }
            | Output::Event(_)
            | Output::Finished => false,
        };
        outputs.iter().any(is_leased)
    }
}

/// How long one question may take before it is looked at again; it stays asked.
const PATIENCE: Duration = Duration::from_secs(1);
