//! What a node looks like at one moment: plain values for status, metrics and resynchronisation.
//!
//! Made by `engine::node`; read by `control`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::input::RouterKey;
use super::output::{ClockOffset, Mismatch, Reason, StateName, Tally, Verdict};
use super::params::RouterParams;
use super::time::Instant;
use crate::wire::field::Priority;

/// One router.
#[derive(Clone, Debug)]
pub struct RouterSnapshot {
    /// Its key.
    pub key: RouterKey,
    /// Its configuration.
    pub params: Arc<RouterParams>,
    /// Its state.
    pub state: StateName,
    /// When it entered that state.
    pub since: Instant,
    /// Why it did.
    pub reason: Reason,
    /// Effective priority.
    pub effective_priority: Priority,
    /// How long it would wait for an advert.
    pub master_down: Duration,
    /// Whether it wants its VIPs on the interfaces: as Master, and while handing over.
    pub wants_vips: bool,
    /// The Master it knows: itself, or who was last accepted; see [`RouterSnapshot::master_at`].
    pub master: Option<MasterSnapshot>,
    /// Another Master that it heard while it is Master itself; see [`RouterSnapshot::rival_at`].
    pub rival: Option<RivalSnapshot>,
    /// Configured peers in order, or senders heard by multicast.
    pub peers: Vec<PeerSnapshot>,
    /// What is tracked, in the order of `RouterParams::tracks`: the summands of the effective priority.
    pub tracks: Vec<TrackSnapshot>,
    /// Counters since start.
    pub counters: Counters,
    /// It stays away on request: what was said why.
    pub drained: Option<Arc<str>>,
}

impl RouterSnapshot {
    /// Returns the other Master that lives at `now`; it is forgotten a master-down interval after it was last heard.
    pub fn rival_at(&self, now: Instant) -> Option<&RivalSnapshot> {
        self.rival.as_ref().filter(|rival| now.since(rival.heard_at) <= self.master_down)
    }

    /// Returns the Master as far as it is known: who does not take part keeps no Master, but hears who sends adverts.
    pub fn master_at(&self, now: Instant) -> Option<MasterSnapshot> {
        let heard = |peer: &PeerSnapshot| {
            let is_recent = peer.last_heard_at.is_some_and(|at| now.since(at) <= self.master_down);
            // 0 is no priority: it has resigned.
            let priority = peer.priority.and_then(Priority::new).filter(|_| is_recent)?;
            Some(MasterSnapshot { address: peer.address, priority })
        };
        match self.state {
            StateName::Master | StateName::Backup => self.master,
            StateName::Init | StateName::Fault => {
                self.peers.iter().filter_map(heard).max_by_key(|master| (master.priority, master.address))
            }
        }
    }
}

/// Another Master beside this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RivalSnapshot {
    /// Its source address.
    pub address: IpAddr,
    /// The priority in its last advert.
    pub priority: Priority,
    /// When it was first heard, without a longer silence since.
    pub since: Instant,
    /// When it was last heard.
    pub heard_at: Instant,
}

/// What one check does to one router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSnapshot {
    /// What it adds to the configured priority, before the sum is clamped; 0 for an owner.
    pub contribution: i32,
    /// It keeps the router in FAULT.
    pub is_fault: bool,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// What it says.
    pub verdict: Verdict,
    /// When it began to say so; `None` before the first verdict.
    pub since: Option<Instant>,
    /// The words of its last run.
    pub words: Arc<str>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its state.
    pub state: StateName,
    /// When it entered that state.
    pub since: Instant,
}

/// The Master as this node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MasterSnapshot {
    /// Its source address.
    pub address: IpAddr,
    /// Its priority.
    pub priority: Priority,
}

/// Another node as heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSnapshot {
    /// Its address.
    pub address: IpAddr,
    /// When its last accepted advert came.
    pub last_heard_at: Option<Instant>,
    /// The priority in that advert (0: it resigned), else the configured one.
    pub priority: Option<u8>,
    /// In what its last advert differed from our configuration.
    pub differences: Vec<Mismatch>,
    /// Refused packets with its source address, by reason.
    pub discarded: Tally,
    /// How far its clock was from ours in its last signed and accepted advert; whole milliseconds.
    pub clock: Option<ClockOffset>,
}

/// Counters of one router since start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Adverts sent; one for all peers counts once.
    pub advertisements_sent: u64,
    /// Adverts accepted.
    pub advertisements_received: u64,
    /// Times it became Master.
    pub became_master: u64,
    /// Times it was Master no longer.
    pub released_master: u64,
    /// Resignations sent; a repeated one counts again.
    pub priority_zero_sent: u64,
    /// Resignations accepted.
    pub priority_zero_received: u64,
    /// Refused packets by reason.
    pub discarded: Tally,
}
