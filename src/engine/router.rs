//! One virtual router: when it changes its state. RFC 9568 section 6.4, RFC 3768 section 6.4.
//!
//! This file holds the transitions; what a state does with an advert is in `engine::backup` and `engine::master`.
//! One stop before: `engine::node`, which finds the router. One stop after: `engine::outbox`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::adopt::Adoption;
use super::drain::Drained;
use super::election::{master_down_interval, skew_time};
use super::handover::{Handover, Successor, overlap};
use super::health::Health;
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
use super::state::{Master, State};
use super::sync::Stir;
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
    /// When its resignation is sent again.
    pub repeat_at: Option<Instant>,
    /// What is wrong with the interface. Apart, as all that few routers have at any time.
    pub trouble: Option<Box<Reason>>,
    /// What keeps it from holding its addresses.
    pub dispossession: Option<Box<Reason>>,
    pub health: Health,
    /// The member of its group whose fault keeps it out.
    pub faulty_mate: Option<Arc<str>>,
    pub is_grouped: bool,
    /// What has happened since its group was looked at.
    pub stir: Option<Stir>,
    /// Learnt interval of the Master (version 3); the own one otherwise.
    pub master_adver_interval: Duration,
    /// The Master that was last accepted; `None` while it is Master itself.
    pub master: Option<MasterSnapshot>,
    pub peers: Peers,
    pub replay: Replay,
    pub adverts: Adverts,
    pub counters: Counters,
    pub mute: Mute,
    pub since: Instant,
    pub reason: Reason,
    pub is_started: bool,
    /// It was Master until a moment ago, in another process.
    pub adoption: Option<Box<Adoption>>,
    /// Its priority of then, while checks that made it have not answered yet.
    pub vouched: Option<Priority>,
    /// It stays away on request.
    pub drained: Option<Box<Drained>>,
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
    pub fn new(key: RouterKey, params: Arc<RouterParams>, health: Health, is_grouped: bool) -> Self {
        Self {
            key,
            effective: health.effective(),
            local: None,
            state: State::Initialize { held_back: None },
            handover: None,
            repeat_at: None,
            trouble: Some(Box::new(Reason::InterfaceMissing)),
            dispossession: None,
            health,
            faulty_mate: None,
            is_grouped,
            stir: None,
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
            adoption: None,
            vouched: None,
            drained: None,
            params,
        }
    }

    /// Returns the earliest deadline; `None`: only an input can change anything.
    pub fn deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            State::Initialize { .. } => None,
            State::Backup(backup) => (!backup.is_willing).then_some(backup.down_at),
            State::Master(master) => {
                [Some(master.advert_at), master.announce.at, master.withheld_until].into_iter().flatten().min()
            }
        };
        let handover = self.handover.map(|handover| handover.release_at);
        let adoption = self.adoption.as_ref().map(|adoption| adoption.until);
        own.into_iter().chain(handover).chain(self.repeat_at).chain(adoption).min()
    }

    /// Says whether its earliest deadline is that of a takeover.
    pub fn is_takeover_next(&self) -> bool {
        matches!(&self.state, State::Backup(backup) if !backup.is_willing && Some(backup.down_at) == self.deadline())
    }

    /// Serves every deadline of this router that is due.
    ///
    /// A takeover comes before the end of a handover: who is to be Master must not drop its addresses to take them
    /// again.
    pub fn expire(&mut self, now: Instant, out: &mut Outbox) {
        if matches!(&self.state, State::Backup(backup) if backup.down_at <= now && !backup.is_willing) {
            return self.backup_expires(now, out);
        }
        if self.adoption.as_ref().is_some_and(|adoption| adoption.until <= now) {
            self.forgo(out);
        }
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.repeat_resignation(now, out);
        } else if self.handover.is_some_and(|handover| handover.release_at <= now) {
            self.release(out);
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
            let news = master.confirm(held);
            if master.withheld_until.is_none() {
                for vips in news {
                    out.push(Output::Announce { router: self.key, vips });
                }
            } else if master.held_count() >= self.params.vips.len() {
                self.declare(out);
            }
        }
    }

    /// Returns how long the addresses stay when a successor is heard.
    pub(super) fn overlap(&self) -> Duration {
        overlap(self.params.vips.len(), self.params.advertisement_interval.as_duration())
    }

    /// Takes in an advert that passed every check.
    pub fn hear(&mut self, now: Instant, heard: &Heard, out: &mut Outbox) {
        if let Some(priority) = heard.priority.filter(|_| !matches!(self.state, State::Master(_))) {
            self.repeat_at = None;
            let overlap = self.overlap();
            if let Some(handover) = &mut self.handover {
                let farewell = (priority > Priority::LOWEST).then_some(Priority::LOWEST);
                handover.succeed(now, overlap, Successor { address: heard.source, farewell });
            }
        }
        match &self.state {
            // Somebody else is Master.
            State::Initialize { .. } if heard.priority.is_some() => self.forgo(out),
            State::Initialize { .. } => {}
            State::Backup(_) => self.backup_hears(now, heard, out),
            State::Master(_) => self.master_hears(now, heard, out),
        }
    }

    /// Says whether the VIPs belong on the interfaces: as Master, while handing over, and while it is to go on as Master.
    pub fn wants_vips(&self) -> bool {
        matches!(self.state, State::Master(_)) || self.handover.is_some() || self.adoption.is_some()
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

    /// Says whether it neither holds addresses for a successor nor has a resignation to repeat.
    pub fn has_parted(&self) -> bool {
        self.handover.is_none() && self.repeat_at.is_none()
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
            rival: match &self.state {
                State::Master(master) => master.rival,
                State::Initialize { .. } | State::Backup(_) => None,
            },
            peers: self.peers.snapshot(),
            tracks: self.health.snapshot(),
            counters: self.counters.clone(),
            drained: self.drained.as_ref().map(|drained| Arc::clone(&drained.words)),
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
    ///
    /// A living Master that is preempted may withdraw at that advert, so there the addresses come first and the advert when
    /// the kernel has them, or a moment later whatever the kernel does. A departure from RFC 9568 section 6.4.2 that
    /// the ledger names (D21).
    pub(super) fn promote(
        &mut self,
        now: Instant,
        advert_at: Instant,
        reason: Reason,
        peer: Option<IpAddr>,
        out: &mut Outbox,
    ) {
        let had_addresses = self.handover.take().is_some();
        self.repeat_at = None;
        self.master_adver_interval = self.params.advertisement_interval.as_duration();
        self.counters.became_master += 1;
        // Who still holds them from a handover has nothing to wait for.
        let is_early = matches!(reason, Reason::Preempted { .. }) && !self.params.vips.is_empty() && !had_addresses;
        if !is_early {
            self.send_advert(out);
        }
        out.push(Output::AcquireVips { router: self.key });
        self.master = None;
        let predecessor = peer.filter(|_| matches!(reason, Reason::Resigned | Reason::Preempted { .. }));
        let mut master = Master::begin(advert_at, now, &self.params.announce, predecessor);
        master.withheld_until = is_early.then(|| now + WITHHELD.min(self.interval() / 2));
        self.enter(now, State::Master(master), reason, peer, out);
    }

    /// Sends the advert that was withheld, and announces the addresses that are there by then.
    pub(super) fn declare(&mut self, out: &mut Outbox) {
        let State::Master(master) = &mut self.state else { return };
        if master.withheld_until.take().is_none() {
            return;
        }
        self.send_advert(out);
        if let State::Master(master) = &self.state {
            master.announce_held(self.key, out);
        }
    }

    /// Ends a handover: takes the addresses away and lets the successor announce them once more.
    pub(super) fn release(&mut self, out: &mut Outbox) {
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
        if to != StateName::Master {
            self.disown();
        }
        if matches!(to, StateName::Init | StateName::Fault) {
            self.master = None;
        }
        self.since = now;
        self.reason = reason.clone();
        self.stir = Some(Stir::Moved);
        // Waiting for a check is no news to anybody.
        if from == StateName::Init && to == StateName::Init {
            return;
        }
        let transition = Transition { from, to, reason, priority: self.effective, peer };
        out.event(self.key, EventKind::Transition(transition));
    }
}

/// The first advert against a living Master is not withheld for longer: what a kernel takes that is busy with other networks.
const WITHHELD: Duration = Duration::from_millis(100);

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
