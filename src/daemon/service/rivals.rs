//! Two Masters that meet must be able to speak to each other at once.

use super::Service;
use crate::engine::output::{Event, EventKind, StateName, Transition};
use crate::net::service::Wish;

impl Service {
    /// Wishes that a rival can be reached at once: a split leaves both kernels asking for the other node once a second,
    /// and what each has to say to the other, so that the clients go to the right one, would wait for that.
    pub(super) fn reach_rival(&self, event: &Event) -> Option<Wish> {
        let rival = match &event.kind {
            EventKind::Transition(Transition { from: StateName::Master, to: StateName::Backup, peer, .. }) => *peer,
            EventKind::Rival { peer, .. } => Some(*peer),
            EventKind::Transition(_)
            | EventKind::Discarded { .. }
            | EventKind::ClockSkew { .. }
            | EventKind::Clock(_)
            | EventKind::Mismatch { .. }
            | EventKind::Checksum { .. }
            | EventKind::PreemptDelay { .. }
            | EventKind::Paused { .. }
            | EventKind::Priority { .. }
            | EventKind::HandedOver { .. }
            | EventKind::Vacant { .. }
            | EventKind::Check { .. }
            | EventKind::Group(_) => None,
        };
        let (host, routers) = (rival?, self.routers.borrow());
        let params = routers.get(&event.router?)?;
        params.peers().iter().find(|peer| peer.address == host)?;
        Some(Wish::Reach { interface: params.interface.clone(), host })
    }
}
