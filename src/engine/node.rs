//! All virtual routers of one node: finds the one a packet is for, keeps their deadlines, hands out what they want.
//!
//! One stop before: `daemon::event_loop`, which calls [`Node::handle`], then [`Node::poll_output`] until `None`, then
//! [`Node::poll_timeout`] once. No errors come back: a bad datagram becomes a counter.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::deadlines::Deadlines;
use super::drain::Drains;
use super::health::Check;
use super::input::{Datagram, Input, Interface, RouterKey};
use super::mute::Mute;
use super::outbox::Outbox;
use super::output::{Discard, EventKind, Evidence, Output, Refusal, Tally, Transmit};
use super::packet::Packet;
use super::params::{NodeParams, RouterParams};
use super::regroup;
use super::router::{VirtualRouter, locate};
use super::snapshot::RouterSnapshot;
use super::sync::Group;
use super::time::{Instant, Now};
use super::wires::Wires;
use crate::wire::field::Family;

/// The VRRP engine of one node.
#[derive(Debug)]
pub struct Node {
    /// By slot; a [`RouterKey`] is a slot.
    pub(super) routers: Vec<VirtualRouter>,
    /// By [`super::input::CheckKey`].
    pub(super) checks: Vec<Check>,
    pub(super) groups: Vec<Group>,
    /// By slot.
    pub(super) group_of: Vec<Option<usize>>,
    /// Slots in the order of the configuration; a slot that is missing had a router that a reload ended.
    pub(super) order: Vec<u32>,
    /// Places of [`Self::checks`] in the order of the configuration.
    pub(super) check_order: Vec<u32>,
    /// Slots of routers that a reload ended and that have not handed over yet.
    pub(super) parting: Vec<u32>,
    /// Who stays away on request.
    pub(super) drains: Arc<Drains>,
    pub(super) interfaces: BTreeMap<String, Watched>,
    /// Slots by interface index, family and VRID; several only where unicast routers share a VRID.
    wires: Wires,
    pub(super) deadlines: Deadlines,
    pub(super) out: Outbox,
    pub(super) phase: Phase,
    /// How many routers from the first on have handed over since this node stops.
    parted: usize,
    /// Packets that fit no router.
    stray: Tally,
    stray_mute: Mute,
    /// Some router signs or verifies by time.
    pub(super) goes_by_time: bool,
}

/// An interface that was told of, or that some router uses.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub state: Option<Interface>,
    pub slots: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Running,
    Stopping,
    Stopped,
}

impl Node {
    /// Makes a node whose routers wait for `Input::Interface` and `Input::Startup`.
    ///
    /// A [`super::input::CheckKey`] is a place in `params.checks`.
    pub fn new(params: &NodeParams) -> Self {
        let mut interfaces: BTreeMap<String, Watched> = BTreeMap::new();
        let mut routers = Vec::with_capacity(params.routers.len());
        let checks = regroup::checks(params);
        let (groups, group_of) = regroup::groups(params);
        for ((slot, router), health) in (0u32..).zip(&params.routers).zip(regroup::healths(params, &checks)) {
            interfaces.entry(router.interface.clone()).or_default().slots.push(slot);
            let is_grouped = group_of.get(slot as usize).is_some_and(Option::is_some);
            routers.push(VirtualRouter::new(RouterKey(slot), Arc::clone(router), health, is_grouped));
        }
        Self {
            order: (0..).take(routers.len()).collect(),
            check_order: (0..).take(checks.len()).collect(),
            parting: Vec::new(),
            drains: Arc::default(),
            routers,
            checks,
            groups,
            group_of,
            interfaces,
            wires: Wires::default(),
            deadlines: Deadlines::default(),
            out: Outbox::default(),
            phase: Phase::Waiting,
            parted: 0,
            stray: Tally::default(),
            stray_mute: Mute::default(),
            goes_by_time: params.routers.iter().any(|router| router.auth.goes_by_time()),
        }
    }

    /// Takes in one thing that happened.
    ///
    /// `now` is never earlier than in the call before. After `Output::Finished` nothing happens any more. Never panics.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.phase == Phase::Stopped {
            return;
        }
        let now = self.look(now);
        match input {
            Input::Datagram(datagram) => self.receive(now, datagram),
            Input::Timeout => self.expire(now),
            Input::Interface(interface) => self.relocate(now, interface),
            Input::Vips { router, held } => self.touch(router.0, |router, out| router.confirm(held, out)),
            Input::Check { check, result, words } => self.judge(now, check, result, words),
            Input::Adopt { router, imprint } if self.phase == Phase::Waiting => {
                self.touch(router.0, |router, _| router.inherit(now, &imprint));
            }
            Input::Adopt { .. } => {}
            Input::Trouble { router, trouble } => {
                self.touch(router.0, |router, _| router.dispossess(trouble));
                self.reassess(now, &[router.0]);
            }
            Input::Drain(drains) => self.drain(now, drains),
            Input::Startup => self.startup(now),
            Input::Shutdown => self.shutdown(now),
        }
        self.bury();
        if self.phase == Phase::Stopping && self.has_parted() {
            self.phase = Phase::Stopped;
            self.out.push(Output::Finished);
        }
    }

    /// Shows the clock both clocks; returns the one that deadlines go by.
    pub(super) fn look(&mut self, now: Now) -> Instant {
        let trouble = self.out.clock.look(now);
        if let Some(trouble) = trouble.filter(|_| self.goes_by_time) {
            self.out.node_event(EventKind::Clock(trouble));
        }
        now.mono
    }

    /// Takes out the next wish or fact; `None` when there is none until the next [`Self::handle`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// Returns when [`Input::Timeout`] is due; `None`: only an input can change anything.
    ///
    /// The answer may change with every call of [`Self::handle`].
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let routers = &self.routers;
        self.deadlines.earliest(|slot| routers.get(slot as usize).and_then(VirtualRouter::deadline))
    }

    /// Says whether the earliest deadline ends the patience of a Backup: worth to be served to the microsecond.
    pub fn is_takeover_next(&mut self) -> bool {
        let routers = &self.routers;
        let current = |slot: u32| routers.get(slot as usize).and_then(VirtualRouter::deadline);
        let slot = self.deadlines.earliest_slot(current);
        slot.and_then(|slot| routers.get(slot as usize)).is_some_and(VirtualRouter::is_takeover_next)
    }

    /// Returns the bytes of an advert that is to be sent: the VRRP message, with an Authentication Header in front where
    /// `transmit.ah` says so. Valid until [`Self::flushed`]; empty afterwards.
    pub fn payload(&self, transmit: &Transmit) -> &[u8] {
        self.out.bytes.get(transmit.range.start as usize..transmit.range.end as usize).unwrap_or_default()
    }

    /// Says that every advert handed out so far has been sent.
    pub fn flushed(&mut self) {
        self.out.bytes.clear();
    }

    /// Returns the configuration of a router.
    pub fn params(&self, router: RouterKey) -> Option<&Arc<RouterParams>> {
        self.routers.get(router.0 as usize).map(|router| &router.params)
    }

    /// Returns the key and configuration of each router, in the order of the file.
    pub fn routers(&self) -> impl Iterator<Item = (RouterKey, &Arc<RouterParams>)> {
        self.in_order().map(|router| (router.key, &router.params))
    }

    /// Returns plain values for status, one per router in the order of the file.
    pub fn snapshot(&self) -> Vec<RouterSnapshot> {
        self.in_order().map(VirtualRouter::snapshot).collect()
    }

    /// Returns the routers that want their VIPs on the interfaces.
    pub fn wanting_vips(&self) -> impl Iterator<Item = RouterKey> {
        self.routers.iter().filter(|router| router.wants_vips()).map(|router| router.key)
    }

    /// Returns how many packets fitted no router.
    pub fn stray(&self) -> &Tally {
        &self.stray
    }

    fn startup(&mut self, now: Instant) {
        if self.phase != Phase::Waiting {
            return;
        }
        self.phase = Phase::Running;
        self.routers.iter_mut().for_each(VirtualRouter::startup);
        let slots: Vec<u32> = (0..self.routers.len() as u32).collect();
        self.reassess(now, &slots);
    }

    fn shutdown(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stopping | Phase::Stopped) {
            return;
        }
        self.phase = Phase::Stopping;
        for slot in 0..self.routers.len() as u32 {
            self.touch(slot, |router, out| router.shutdown(now, out));
        }
        for group in 0..self.groups.len() {
            self.tell_group(now, group);
        }
    }

    /// Says whether every router has handed over; while they stop, each is looked at until it has and hardly again.
    fn has_parted(&mut self) -> bool {
        while self.routers.get(self.parted).is_some_and(VirtualRouter::has_parted) {
            self.parted += 1;
        }
        self.parted == self.routers.len() && self.routers.iter().all(VirtualRouter::has_parted)
    }

    fn relocate(&mut self, now: Instant, interface: Interface) {
        let watched = self.interfaces.entry(interface.name.clone()).or_default();
        let slots = watched.slots.clone();
        let before = watched.state.replace(interface.clone()).and_then(|state| state.index);
        if before != interface.index {
            self.reindex(&slots, before, interface.index);
        }
        if before.is_some() && interface.index.is_some() && before != interface.index {
            // Deleted and made again: who used it has lost what was on it.
            for &slot in &slots {
                self.touch(slot, VirtualRouter::lose_interface);
            }
            self.reassess(now, &slots);
        }
        for &slot in &slots {
            self.touch(slot, |router, out| router.relocate(locate(&router.params, &interface), out));
        }
        self.reassess(now, &slots);
    }

    /// Moves routers to another interface index in the table that finds them.
    pub(super) fn reindex(&mut self, slots: &[u32], before: Option<u32>, after: Option<u32>) {
        for &slot in slots {
            let Some(router) = self.routers.get(slot as usize) else { continue };
            let (family, vrid) = (router.params.family, router.params.vrid.get());
            if let Some(index) = before {
                self.wires.remove(index, family, vrid, slot);
            }
            if let Some(index) = after {
                // Who is about to end is found when nobody else is.
                self.wires.add(index, family, vrid, slot, |slot| self.parting.contains(&slot));
            }
        }
    }

    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) {
        let (packet, slot) = match self.find(datagram) {
            Ok(found) => found,
            Err((refusal, source)) => {
                self.refuse_stray(now, refusal, source);
                return;
            }
        };
        self.update(now, slot, |router, out| match router.receive(now, &packet, out) {
            Ok(Some(heard)) => router.hear(now, &heard, out),
            Ok(None) => {}
            Err(refusal) => router.refuse(now, packet.source, refusal, out),
        });
        if !self.parting.is_empty() {
            self.tell_parting(now, &packet, slot);
        }
    }

    /// Counts a packet that is for no router. One of another VRID is told of now and then: it may be a peer of another
    /// configuration.
    fn refuse_stray(&mut self, now: Instant, refusal: Refusal, source: Option<IpAddr>) {
        self.stray.add(refusal.reason);
        if refusal.reason == Discard::UnknownVrid
            && let Some(count) = self.stray_mute.count(now, refusal.reason)
        {
            self.out.node_event(EventKind::Discarded { refusal, peer: source, count });
        }
    }

    /// Finds the router that a packet is for; else tells why there is none, and whose the packet is.
    pub(super) fn find<'a>(&self, datagram: Datagram<'a>) -> Result<(Packet<'a>, u32), (Refusal, Option<IpAddr>)> {
        let packet = Packet::read(datagram).map_err(|reason| (reason.into(), None))?;
        let vrid = packet.vrid().map_err(|reason| (reason.into(), Some(packet.source)))?;
        let slots = self.wires.find(packet.interface, Family::of(&packet.source), vrid);
        let slot = match slots {
            [only] => Some(only),
            several => {
                let is_addressed =
                    |slot: &&u32| self.routers.get(**slot as usize).is_some_and(|router| router.is_addressed(&packet));
                several.iter().find(is_addressed).or(several.first())
            }
        };
        let unknown = Refusal { reason: Discard::UnknownVrid, evidence: Evidence::Number { found: vrid } };
        let slot = slot.ok_or((unknown, Some(packet.source)))?;
        Ok((packet, *slot))
    }

    fn expire(&mut self, now: Instant) {
        loop {
            let routers = &self.routers;
            let current = |slot: u32| routers.get(slot as usize).and_then(VirtualRouter::deadline);
            let Some(slot) = self.deadlines.pop_due(now, current) else { return };
            self.update(now, slot, |router, out| router.expire(now, out));
        }
    }

    /// Lets a router act, and its group with it when that concerns the others. An unknown slot is ignored.
    fn update(&mut self, now: Instant, slot: u32, act: impl FnOnce(&mut VirtualRouter, &mut Outbox)) {
        self.touch(slot, act);
        if let Some(group) = self.group_of(slot)
            && self.routers.get(slot as usize).is_some_and(|router| router.stir.is_some())
        {
            self.regroup(now, group);
        }
    }

    /// Lets a router act and takes note of its next deadline. An unknown slot is ignored.
    pub(super) fn touch(&mut self, slot: u32, act: impl FnOnce(&mut VirtualRouter, &mut Outbox)) {
        if let Some(router) = self.routers.get_mut(slot as usize) {
            act(router, &mut self.out);
            self.deadlines.set(slot, router.deadline());
        }
    }
}
