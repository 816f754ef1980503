//! All that a refused packet must not change, as values. Knows nothing of the simulation: the fuzz target uses it as well.

use std::time::Duration;

use vrrpd::engine::node::Node;
use vrrpd::engine::output::{EventKind, Output, Reason, StateName, Tally};
use vrrpd::engine::snapshot::{Counters, MasterSnapshot, PeerSnapshot, RouterSnapshot};
use vrrpd::engine::time::Instant;
use vrrpd::wire::field::Priority;

/// What status shows of all routers of a node, but for the counts of refused packets, and what the node waits for.
#[derive(Debug, PartialEq)]
pub struct Facts {
    routers: Vec<RouterFacts>,
    timeout: Option<Instant>,
}

#[derive(Debug, PartialEq)]
struct RouterFacts {
    state: (StateName, Instant, Reason),
    priority: (Priority, Duration),
    wants_vips: bool,
    master: Option<MasterSnapshot>,
    peers: Vec<PeerSnapshot>,
    counters: Counters,
}

impl Facts {
    pub fn of(node: &mut Node) -> Self {
        let routers = node.snapshot().into_iter().map(RouterFacts::new).collect();
        Self { routers, timeout: node.poll_timeout() }
    }

    /// Returns how many adverts all routers accepted.
    pub fn accepted(&self) -> u64 {
        self.routers.iter().map(|router| router.counters.advertisements_received).sum()
    }
}

impl RouterFacts {
    fn new(snapshot: RouterSnapshot) -> Self {
        Self {
            state: (snapshot.state, snapshot.since, snapshot.reason),
            priority: (snapshot.effective_priority, snapshot.master_down),
            wants_vips: snapshot.wants_vips,
            master: snapshot.master,
            peers: snapshot
                .peers
                .into_iter()
                .map(|peer| PeerSnapshot { discarded: Tally::default(), ..peer })
                .collect(),
            counters: Counters { discarded: Tally::default(), ..snapshot.counters },
        }
    }
}

/// Says whether an output may follow from a packet that changes nothing.
pub fn is_remark(output: &Output) -> bool {
    match output {
        Output::Event(event) => matches!(event.kind, EventKind::Discarded { .. } | EventKind::Clock(_)),
        Output::Send(_)
        | Output::AcquireVips { .. }
        | Output::ReleaseVips { .. }
        | Output::Announce { .. }
        | Output::Finished => false,
    }
}
