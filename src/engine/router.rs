//! One virtual router: when it changes its state. RFC 9568 section 6.4, RFC 3768 section 6.4.
//!
//! This file holds the transitions; what a state does with an advert is in `engine::backup` and `engine::master`.
//! One stop before: `engine::node`, which finds the router. One stop after: `engine::outbox`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::election::{master_down_interval, skew_time};
use super::handover::{Handover, Successor};
use super::input::{Interface, RouterKey};
use super::mute::Mute;
use super::outbox::Outbox;
use super::output::{EventKind, Output, Reason, StateName, Transition};
use super::params::{RouterParams, Transport};
use super::peers::Peers;
use super::receive::Heard;
use super::replay::Replay;
use super::send::Adverts;
use super::snapshot::{Counters, MasterSnapshot, RouterSnapshot};
use super::state::{Backup, Master, Origin, State};
use super::time::Instant;
use crate::wire::field::Priority;

/// One virtual router of this node.
#[derive(Debug)]
pub(super) struct VirtualRouter {
    pub key: RouterKey,
    pub params: Arc<RouterParams>,
    /// After weights.
    pub effective: Priority,
    /// The interface and source address in use; `None` while one of them is missing.
    pub local: Option<Local>,
    pub state: State,
    /// Addresses kept for the successor's sake; in Initialize and Backup only.
    pub handover: Option<Handover>,
    /// Learnt interval of the Master (version 3); the own one otherwise.
    pub master_adver_interval: Duration,
    /// The Master that was last accepted; `None` while it is Master itself.
    pub master: Option<MasterSnapshot>,
    pub peers: Peers,
    pub replay: Replay,
    pub adverts: Adverts,
    pub counters: Counters,
    pub mute: Mute,
    since: Instant,
    reason: Reason,
    is_started: bool,
}

/// Where a router's adverts leave from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    /// Kernel index.
    pub interface: u32,
    pub source: IpAddr,
}

impl VirtualRouter {
    /// Makes a router in Initialize that waits for its interface and for `Startup`.
    pub fn new(key: RouterKey, params: Arc<RouterParams>) -> Self {
        Self {
            key,
            effective: params.priority,
            local: None,
            state: State::Initialize { fault: None },
            handover: None,
            master_adver_interval: params.advertisement_interval.as_duration(),
            master: None,
            peers: Peers::new(&params),
            replay: Replay::default(),
            adverts: Adverts::new(&params),
            counters: Counters::default(),
            mute: Mute::default(),
            since: Instant::default(),
            reason: Reason::Started,
            is_started: false,
            params,
        }
    }

    /// Returns the earliest deadline; `None`: only an input can change anything.
    pub fn deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Initialize { .. } => None,
            State::Backup(backup) => Some(backup.down_at),
            State::Master(master) => Some(master.announce.at.map_or(master.advert_at, |at| at.min(master.advert_at))),
        };
        let handover = self.handover.map(|handover| handover.deadline());
        own.into_iter().chain(handover).min()
    }

    /// Says whether its earliest deadline is that of a takeover.
    pub fn is_takeover_next(&self) -> bool {
        matches!(&self.state, State::Backup(backup) if Some(backup.down_at) == self.deadline())
    }

    /// Begins to take part, or falls into Fault when it cannot.
    pub fn startup(&mut self, now: Instant, trouble: Option<Reason>, out: &mut Outbox) {
        self.is_started = true;
        match trouble {
            Some(reason) => self.enter(now, State::Initialize { fault: Some(reason.clone()) }, reason, None, out),
            None => self.take_part(now, Reason::Started, out),
        }
    }

    /// Says what the interface is like: `local` when it can be used, else why not.
    ///
    /// Another index than before means that the interface was deleted and made again: the VIPs on it are gone. Nobody
    /// reaches VIPs through an interface that cannot be used, so a handover ends there.
    pub fn relocate(&mut self, now: Instant, local: Result<Local, Reason>, out: &mut Outbox) {
        let before = self.local;
        self.local = local.as_ref().ok().copied();
        if !self.is_started {
            if self.local.map(|local| local.interface) != before.map(|local| local.interface) {
                self.release(out);
            }
            return;
        }
        let is_faulty = matches!(self.state, State::Initialize { fault: Some(_) });
        match (local, before) {
            (Err(reason), _) => self.fail(now, reason, out),
            (Ok(_), _) if is_faulty => self.take_part(now, Reason::Recovered, out),
            (Ok(new), Some(old)) if new.interface != old.interface => {
                self.fail(now, Reason::InterfaceMissing, out);
                self.take_part(now, Reason::Recovered, out);
            }
            (Ok(_), _) => {}
        }
    }

    /// Stops taking part; a Master hands over and keeps its addresses until that is done.
    pub fn shutdown(&mut self, now: Instant, out: &mut Outbox) {
        self.is_started = false;
        if matches!(self.state, State::Initialize { fault: None }) {
            return;
        }
        if matches!(self.state, State::Master(_)) {
            self.resign(now, out);
        }
        if let Some(handover) = &mut self.handover {
            let bound = Handover::resign(now, self.params.advertisement_interval.as_duration()).release_at;
            handover.release_at = handover.release_at.min(bound);
        }
        self.enter(now, State::Initialize { fault: None }, Reason::Stopping, None, out);
    }

    /// Changes what this node is worth.
    ///
    /// A Backup's running timer moves by the difference of the skew. A Master that falls below a peer resigns but
    /// stays a candidate. The owner's priority never changes.
    pub fn set_priority(&mut self, now: Instant, effective: Priority, out: &mut Outbox) {
        if effective == self.effective || self.params.is_owner() || effective.is_owner() {
            return;
        }
        let from = std::mem::replace(&mut self.effective, effective);
        out.event(self.key, EventKind::Priority { from, to: effective });
        let skew = |priority| skew_time(self.params.version, priority, self.master_adver_interval);
        let (skew_before, skew_after) = (skew(from), skew(effective));
        let better = self.peers.best_priority().and_then(Priority::new);
        match &mut self.state {
            State::Initialize { .. } => {}
            State::Backup(backup) => {
                let moved = (backup.down_at + skew_after).as_nanos().saturating_sub(skew_before.as_nanos() as u64);
                backup.down_at = Instant::from_nanos(moved);
                if backup.origin == Origin::Outranked {
                    self.keep_until(Instant::from_nanos(moved));
                }
            }
            State::Master(_) => {
                if let Some(priority) = better.filter(|&priority| priority > effective && effective < from) {
                    self.yield_to(now, priority, out);
                }
            }
        }
    }

    /// Serves every deadline of this router that is due.
    ///
    /// A takeover comes before the end of a handover: who keeps its addresses as a candidate must not drop them to take
    /// them again.
    pub fn expire(&mut self, now: Instant, out: &mut Outbox) {
        if matches!(&self.state, State::Backup(backup) if backup.down_at <= now) {
            return self.backup_expires(now, out);
        }
        if let Some(handover) = &mut self.handover {
            if handover.repeat_at.is_some_and(|at| at <= now) {
                handover.repeat_at = None;
                self.send_resignation(out);
            } else if handover.release_at <= now {
                self.release(out);
            }
        }
        match &self.state {
            State::Initialize { .. } | State::Backup(_) => {}
            State::Master(_) => self.master_expires(now, out),
        }
    }

    /// The kernel confirms addresses.
    pub fn confirm(&mut self, held: std::ops::Range<u16>, out: &mut Outbox) {
        if let State::Master(master) = &mut self.state
            && !held.is_empty()
        {
            master.hold(held.clone());
            out.push(Output::Announce { router: self.key, vips: held });
        }
    }

    /// Takes in an advert that passed every check.
    pub fn hear(&mut self, now: Instant, heard: &Heard, out: &mut Outbox) {
        let vips = self.params.vips.len();
        if let (Some(priority), Some(handover)) = (heard.priority, &mut self.handover) {
            let farewell = (priority > Priority::LOWEST).then_some(Priority::LOWEST);
            handover.succeed(now, vips, Successor { address: heard.source, farewell });
        }
        match &self.state {
            State::Initialize { .. } => {}
            State::Backup(_) => self.backup_hears(now, heard, out),
            State::Master(_) => self.master_hears(now, heard, out),
        }
    }

    /// Says whether the VIPs belong on the interfaces: as Master, and while handing over.
    pub fn wants_vips(&self) -> bool {
        matches!(self.state, State::Master(_)) || self.handover.is_some()
    }

    /// Returns how long this node waits for an advert.
    pub fn master_down_interval(&self) -> Duration {
        let params = &self.params;
        master_down_interval(params.version, self.effective, self.master_adver_interval, params.master_down_adverts)
    }

    /// Returns how long this node waits after a resignation.
    pub fn skew_time(&self) -> Duration {
        skew_time(self.params.version, self.effective, self.master_adver_interval)
    }

    /// Returns plain values for status.
    pub fn snapshot(&self) -> RouterSnapshot {
        RouterSnapshot {
            key: self.key,
            params: Arc::clone(&self.params),
            state: self.state.name(),
            since: self.since,
            reason: self.reason.clone(),
            effective_priority: self.effective,
            master_down: self.master_down_interval(),
            wants_vips: self.wants_vips(),
            master: self.known_master(),
            peers: self.peers.snapshot(),
            tracks: Vec::new(),
            counters: self.counters.clone(),
        }
    }

    /// Returns the Master it knows: itself as it is, or who was last accepted.
    fn known_master(&self) -> Option<MasterSnapshot> {
        match &self.state {
            State::Master(_) => {
                self.local.map(|local| MasterSnapshot { address: local.source, priority: self.effective })
            }
            State::Initialize { .. } | State::Backup(_) => self.master,
        }
    }

    /// Becomes Master: advert first, then the addresses, so that an old Master learns of it before they are announced.
    pub(super) fn promote(
        &mut self,
        now: Instant,
        advert_at: Instant,
        reason: Reason,
        peer: Option<IpAddr>,
        out: &mut Outbox,
    ) {
        self.handover = None;
        self.master_adver_interval = self.params.advertisement_interval.as_duration();
        self.counters.became_master += 1;
        self.send_advert(out);
        out.push(Output::AcquireVips { router: self.key });
        self.master = None;
        let predecessor = peer.filter(|_| matches!(reason, Reason::Resigned | Reason::Preempted { .. }));
        let master = Master::begin(advert_at, now, &self.params.announce, predecessor);
        self.enter(now, State::Master(master), reason, peer, out);
    }

    /// Ends a handover: takes the addresses away and lets the successor announce them once more.
    fn release(&mut self, out: &mut Outbox) {
        let Some(handover) = self.handover.take() else { return };
        out.push(Output::ReleaseVips { router: self.key });
        if let Some(Successor { address, farewell: Some(priority) }) = handover.successor {
            self.send_to(priority, address, out);
        }
        if handover.is_resignation {
            let peer = handover.successor.map(|successor| successor.address);
            out.event(self.key, EventKind::HandedOver { peer });
        }
    }

    /// Moves to another state; the one place that writes a transition down.
    pub(super) fn enter(&mut self, now: Instant, state: State, reason: Reason, peer: Option<IpAddr>, out: &mut Outbox) {
        let from = std::mem::replace(&mut self.state, state).name();
        let to = self.state.name();
        if from == StateName::Master && to != StateName::Master {
            self.counters.released_master += 1;
        }
        if matches!(to, StateName::Init | StateName::Fault) {
            self.master = None;
        }
        self.since = now;
        self.reason = reason.clone();
        let transition = Transition { from, to, reason, priority: self.effective, peer };
        out.event(self.key, EventKind::Transition(transition));
    }

    /// Sends priority 0 and keeps the addresses for the successor's sake.
    fn resign(&mut self, now: Instant, out: &mut Outbox) {
        self.send_resignation(out);
        self.handover = Some(Handover::resign(now, self.params.advertisement_interval.as_duration()));
    }

    /// Resigns in favour of a better peer, but waits its own skew like every other candidate: when nobody else is there
    /// it simply stays Master.
    fn yield_to(&mut self, now: Instant, priority: Priority, out: &mut Outbox) {
        self.resign(now, out);
        let down_at = now + self.skew_time();
        self.keep_until(down_at);
        let backup = Backup { origin: Origin::Outranked, ..Backup::listen(now, down_at) };
        self.master = None;
        self.enter(now, State::Backup(backup), Reason::Outranked { priority }, None, out);
    }

    /// A candidate keeps its addresses at least until it may be Master again.
    fn keep_until(&mut self, down_at: Instant) {
        if let Some(handover) = self.handover.as_mut().filter(|handover| handover.successor.is_none()) {
            handover.release_at = handover.release_at.max(down_at);
        }
    }

    /// Takes part from here on: as Master when it owns the addresses, else as Backup for a full master-down interval.
    fn take_part(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        let interval = self.params.advertisement_interval.as_duration();
        self.master_adver_interval = interval;
        if self.params.is_owner() {
            self.promote(now, now + interval, Reason::Owner, None, out);
        } else {
            let backup = Backup::listen(now, now + self.master_down_interval());
            self.enter(now, State::Backup(backup), reason, None, out);
        }
    }

    /// Falls into Fault because the interface or the source address is gone: nothing can be sent any more.
    fn fail(&mut self, now: Instant, reason: Reason, out: &mut Outbox) {
        let held = matches!(self.state, State::Master(_)) || self.handover.take().is_some();
        if held {
            out.push(Output::ReleaseVips { router: self.key });
        }
        let is_known = matches!(&self.state, State::Initialize { fault: Some(known) } if *known == reason);
        if !is_known {
            self.enter(now, State::Initialize { fault: Some(reason.clone()) }, reason, None, out);
        }
    }
}

/// Finds out whether a router can use an interface, and with which source address.
///
/// A configured source must be there, for unicast it may be on another interface of this host; else the first IPv4 address, or for IPv6 the link-local one, or a global one when
/// the peers are reached by global addresses. RFC 9568 sections 5.1.1.1, 5.1.2.1.
pub(super) fn locate(params: &RouterParams, interface: &Interface) -> Result<Local, Reason> {
    let index = interface.index.ok_or(Reason::InterfaceMissing)?;
    if !interface.is_up && !params.ignores_link {
        return Err(Reason::LinkDown);
    }
    let wants_link_local = params.peers().first().is_none_or(|peer| is_link_local(&peer.address));
    let fits = |address: &&IpAddr| match (params.source, address) {
        (Some(source), address) => **address == source,
        (None, IpAddr::V4(_)) => params.family == crate::wire::field::Family::V4,
        (None, IpAddr::V6(_)) => {
            params.family == crate::wire::field::Family::V6 && is_link_local(address) == wants_link_local
        }
    };
    let elsewhere = interface.elsewhere.iter().filter(|source| {
        // Adverts to a group are of the link they are sent on.
        params.source == Some(**source) && matches!(params.transport, Transport::Unicast { .. })
    });
    let source = interface.addresses.iter().find(fits).or_else(|| elsewhere.min()).ok_or(Reason::NoAddress)?;
    Ok(Local { interface: index, source: *source })
}

/// Says whether an address is link-local: fe80::/10, or for IPv4 169.254.0.0/16.
pub(super) fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
