//! Goes on with another configuration: who is equal is not looked at, who is different changes in place, who is gone hands
//! over, who is new begins.
//!
//! A check that is equal keeps its number and its verdict; one that looks otherwise has another number, since what the old
//! one still says must not count, and its verdict until it says something itself. A group is its name.
//! One stop before: `engine::change`, which compares. One stop after: the routers, each by itself, then their groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::change::{Fate, Plan, Reloaded, group_of, has_other_holdings};
use super::handover::Handover;
use super::health::{Check, Health};
use super::input::{CheckKey, Interface, RouterKey};
use super::node::{Node, Phase};
use super::outbox::Outbox;
use super::output::{Output, Reason, Verdict};
use super::packet::Packet;
use super::params::{CheckParams, NodeParams, RouterParams, Transport};
use super::regroup;
use super::router::{VirtualRouter, locate};
use super::send::Adverts;
use super::state::{Announcing, State};
use super::time::{Instant, Now};
use crate::wire::field::{Priority, Version};

impl Node {
    /// Goes on with another configuration; `None`: the node stops or has stopped, and nothing is changed.
    ///
    /// Routers, checks and groups that are equal in both see nothing of it: no output, no deadline moved. What has to be
    /// done for the others are outputs, as after [`Node::handle`]. Interfaces that were not told of before should be told
    /// of first, so that no router misses the one it needs. Never panics.
    pub fn reload(&mut self, now: Now, params: &NodeParams) -> Option<Reloaded> {
        if matches!(self.phase, Phase::Stopping | Phase::Stopped) {
            return None;
        }
        let now = self.look(now);
        let before: Vec<_> = self.routers().map(|(key, router)| (key, Arc::clone(router))).collect();
        let plan = Plan::new(&before, &params.routers);
        self.goes_by_time = params.routers.iter().any(|router| router.auth.goes_by_time());
        let other_checks = self.replace_checks(params);
        for key in plan.ending() {
            self.end(now, key);
        }
        let slots = self.seat(&plan, params);
        let regrouped = self.replace_groups(params);
        let mut touched = self.change(now, &plan, params, &slots, &other_checks);
        touched.extend(regrouped);
        touched.extend(self.settle_drains(now));
        let touched: Vec<u32> = touched.into_iter().collect();
        self.reassess(now, &touched);
        for (fate, slot) in plan.fates.iter().zip(&slots) {
            if let Fate::Replaced(RouterKey(old)) = fate {
                self.fill_vacancy(now, *old, *slot);
            }
        }
        self.bury();
        let routers = self.routers().map(|(key, router)| (key, Arc::clone(router))).collect();
        let checks = self.check_order.iter().filter_map(|&at| {
            let check = self.checks.get(at as usize)?;
            Some((CheckKey(at), Arc::clone(&check.params)))
        });
        let checks = checks.collect();
        let parting = self.parting.iter().map(|slot| RouterKey(*slot));
        let parting = parting.filter(|key| self.router(key.0).is_some_and(VirtualRouter::wants_vips)).collect();
        Some(Reloaded { plan, routers, checks, parting })
    }

    /// Returns what is known of an interface.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.get(name)?.state.as_ref()
    }

    /// Returns the groups that routers listen to, those that still hand over among them, by interface index.
    pub fn memberships(&self) -> BTreeSet<(u32, std::net::IpAddr)> {
        let parting = self.parting.iter().filter_map(|slot| self.router(*slot));
        let membership = |router: &VirtualRouter| {
            let index = self.interface(&router.params.interface)?.index?;
            Some((index, group_of(&router.params)?))
        };
        self.in_order().chain(parting).filter_map(membership).collect()
    }

    /// Says whether some router that a reload ended still hands over.
    pub fn is_parting(&self) -> bool {
        !self.parting.is_empty()
    }

    pub(super) fn in_order(&self) -> impl Iterator<Item = &VirtualRouter> {
        self.order.iter().filter_map(|slot| self.router(*slot))
    }

    /// Forgets routers that have handed over, and the secrets they had.
    pub(super) fn bury(&mut self) {
        let routers = &self.routers;
        let has_parted = |slot: &mut u32| routers.get(*slot as usize).is_none_or(VirtualRouter::has_parted);
        let parted: Vec<u32> = self.parting.extract_if(.., has_parted).collect();
        for slot in parted {
            let Some(router) = self.routers.get_mut(slot as usize) else { continue };
            router.strip();
            let name = router.params.interface.clone();
            let Some(watched) = self.interfaces.get_mut(&name) else { continue };
            watched.slots.retain(|&other| other != slot);
            let index = watched.state.as_ref().and_then(|state| state.index);
            self.reindex(&[slot], index, None);
        }
    }

    /// Lets routers that hand over hear an advert that another one got: who comes in their place may have the same VRID.
    pub(super) fn tell_parting(&mut self, now: Instant, packet: &Packet<'_>, told: u32) {
        let Ok(vrid) = packet.vrid() else { return };
        for slot in self.parting.clone() {
            let is_meant = |router: &VirtualRouter| {
                router.params.vrid.get() == vrid
                    && router.local.is_some_and(|local| local.interface == packet.interface)
                    && router.is_addressed(packet)
            };
            if slot != told && self.router(slot).is_some_and(is_meant) {
                self.touch(slot, |router, out| {
                    if let Ok(Some(heard)) = router.receive(now, packet, out) {
                        router.hear(now, &heard, out);
                    }
                });
            }
        }
    }

    /// Makes the checks of the configuration; returns the names of those that are not as they were.
    fn replace_checks(&mut self, params: &NodeParams) -> BTreeSet<String> {
        let mut before: BTreeMap<String, u32> = BTreeMap::new();
        for &at in &self.check_order {
            before.extend(self.checks.get(at as usize).map(|check| (check.name.to_string(), at)));
        }
        let mut other = BTreeSet::new();
        let mut order = Vec::with_capacity(params.checks.len());
        for wanted in &params.checks {
            let known = before.remove(&wanted.name).and_then(|at| Some((at, self.checks.get(at as usize)?)));
            let check = match known {
                Some((at, check)) if *check.params == **wanted => {
                    order.push(at);
                    continue;
                }
                Some((_, check)) => succeeding(check, Arc::clone(wanted)),
                None => Check::new(Arc::clone(wanted)),
            };
            other.insert(wanted.name.clone());
            order.push(u32::try_from(self.checks.len()).unwrap_or(u32::MAX));
            self.checks.push(check);
        }
        self.check_order = order;
        other
    }

    /// A router hands over, if there is something to hand over, and is forgotten after that.
    fn end(&mut self, now: Instant, key: RouterKey) {
        self.parting.push(key.0);
        self.touch(key.0, |router, out| router.end(now, Reason::Deconfigured, out));
    }

    /// Gives each router of the configuration its slot, the old one or one of its own; returns them in its order.
    fn seat(&mut self, plan: &Plan, params: &NodeParams) -> Vec<u32> {
        let mut slots = Vec::with_capacity(params.routers.len());
        for (fate, router) in plan.fates.iter().zip(&params.routers) {
            let slot = match fate {
                Fate::Kept(key) | Fate::Updated(key) => key.0,
                Fate::Replaced(_) | Fate::Added => {
                    let slot = u32::try_from(self.routers.len()).unwrap_or(u32::MAX);
                    let health = Health::new(router.priority, &[], |_| None);
                    self.routers.push(VirtualRouter::new(RouterKey(slot), Arc::clone(router), health, false));
                    let watched = self.interfaces.entry(router.interface.clone()).or_default();
                    watched.slots.push(slot);
                    let index = watched.state.as_ref().and_then(|state| state.index);
                    self.reindex(&[slot], None, index);
                    if let Fate::Replaced(RouterKey(old)) = fate {
                        self.inherit(*old, slot);
                    }
                    slot
                }
            };
            slots.push(slot);
        }
        self.order.clone_from(&slots);
        slots
    }

    /// Makes the groups of the configuration; returns the slots whose group is not as it was.
    fn replace_groups(&mut self, params: &NodeParams) -> BTreeSet<u32> {
        let before = std::mem::take(&mut self.groups);
        let group_before = std::mem::take(&mut self.group_of);
        let (mut groups, places) = regroup::groups(params);
        let mut touched = BTreeSet::new();
        self.group_of = vec![None; self.routers.len()];
        for group in &mut groups {
            // `regroup::groups` counts places of the configuration.
            let slots: Vec<u32> =
                group.slots.iter().filter_map(|&place| self.order.get(place as usize).copied()).collect();
            let known = before.iter().find(|known| known.name == group.name);
            if known.is_none_or(|known| *known.slots != *slots) {
                touched.extend(&slots);
            }
            if let Some(known) = known {
                (group.state, group.since) = (known.state, known.since);
            }
            group.slots = Arc::from(slots);
        }
        for (&slot, group) in self.order.iter().zip(places) {
            if let Some(place) = self.group_of.get_mut(slot as usize) {
                *place = group;
            }
            let was_grouped = group_before.get(slot as usize).copied().flatten().is_some();
            if was_grouped != group.is_some() {
                touched.insert(slot);
            }
        }
        self.groups = groups;
        for &slot in &touched {
            let is_grouped = self.group_of(slot).is_some();
            self.touch(slot, |router, _| router.join(is_grouped));
        }
        touched
    }

    /// Changes what is different; returns the slots that were looked at.
    fn change(
        &mut self,
        now: Instant,
        plan: &Plan,
        params: &NodeParams,
        slots: &[u32],
        other_checks: &BTreeSet<String>,
    ) -> BTreeSet<u32> {
        let mut touched = BTreeSet::new();
        for ((fate, &slot), wanted) in plan.fates.iter().zip(slots).zip(&params.routers) {
            let has_other_checks = || wanted.tracks.iter().any(|track| other_checks.contains(&track.check));
            if !matches!(fate, Fate::Kept(_)) || has_other_checks() {
                touched.insert(slot);
            }
        }
        let mut health: BTreeMap<u32, Health> = {
            let checks = self.check_order.iter().filter_map(|at| self.checks.get(*at as usize));
            let by_name: BTreeMap<&str, &Check> = checks.map(|check| (&*check.name, check)).collect();
            let find = |name: &str| by_name.get(name).copied();
            let all = slots.iter().zip(&params.routers).filter(|(slot, _)| touched.contains(slot));
            all.map(|(slot, router)| (*slot, Health::new(router.priority, &router.tracks, find))).collect()
        };
        self.note_trackers(params, slots);
        let is_running = self.phase == Phase::Running;
        for ((fate, &slot), wanted) in plan.fates.iter().zip(slots).zip(&params.routers) {
            let Some(health) = health.remove(&slot) else { continue };
            let interface = self.interface(&wanted.interface).cloned();
            self.touch(slot, |router, out| match fate {
                Fate::Kept(_) => router.track(now, health, out),
                Fate::Updated(_) => {
                    router.update(now, Arc::clone(wanted), health, out);
                    if let Some(interface) = &interface {
                        router.relocate(locate(&router.params, interface), out);
                    }
                }
                Fate::Replaced(_) | Fate::Added => {
                    router.effective = health.effective();
                    router.health = health;
                    if let Some(interface) = &interface {
                        router.relocate(locate(&router.params, interface), out);
                    }
                    router.is_started = is_running;
                }
            });
        }
        touched
    }

    /// Notes who tracks which check.
    fn note_trackers(&mut self, params: &NodeParams, slots: &[u32]) {
        self.checks.iter_mut().for_each(|check| check.trackers.clear());
        let places: BTreeMap<Arc<str>, u32> = self
            .check_order
            .iter()
            .filter_map(|&at| Some((Arc::clone(&self.checks.get(at as usize)?.name), at)))
            .collect();
        for (&slot, router) in slots.iter().zip(&params.routers) {
            for (place, track) in router.tracks.iter().enumerate() {
                let check = places.get(track.check.as_str()).and_then(|&at| self.checks.get_mut(at as usize));
                if let Some(check) = check {
                    check.trackers.push((slot, place));
                }
            }
        }
    }

    /// What the one before had seen and sent is as good as seen and sent by who comes in its place.
    fn inherit(&mut self, old: u32, slot: u32) {
        let Some(old) = self.routers.get(old as usize) else { return };
        let (replay, peers) = (old.replay.clone(), old.peers.former());
        if let Some(router) = self.routers.get_mut(slot as usize) {
            router.replay = replay;
            router.peers.inherit(peers);
        }
    }

    /// Who comes in the place of a Master that gave up the addresses waits its skew, as every other candidate does.
    fn fill_vacancy(&mut self, now: Instant, old: u32, slot: u32) {
        let Some(old) = self.router(old) else { return };
        let wire = |router: &VirtualRouter| (router.local, router.params.family, router.params.vrid);
        let vacant = old.handover.filter(|handover| handover.is_resignation && handover.successor.is_none());
        let (Some(Handover { vacant_at, .. }), place) = (vacant, wire(old)) else { return };
        if self.router(slot).is_some_and(|router| wire(router) == place) {
            self.touch(slot, |router, _| router.stand_by(now, vacant_at));
        }
    }
}

/// Makes a check that looks otherwise but stands for the same: what is known of it holds until it says something else.
fn succeeding(before: &Check, params: Arc<CheckParams>) -> Check {
    let mut check = Check::new(params);
    if before.verdict != Verdict::Unknown {
        (check.verdict, check.since, check.words) = (before.verdict, before.since, Arc::clone(&before.words));
    }
    check
}

impl VirtualRouter {
    /// Goes on with other parameters, in whatever state it is.
    fn update(&mut self, now: Instant, params: Arc<RouterParams>, health: Health, out: &mut Outbox) {
        let patience = self.master_down_interval();
        let before = std::mem::replace(&mut self.params, params);
        // With the bytes of adverts that were prepared.
        self.adverts = Adverts::new(&self.params);
        self.peers.update(&self.params);
        let is_learnt = self.params.version == Version::V3 && self.master.is_some();
        if !is_learnt {
            self.master_adver_interval = self.interval();
        }
        let (after, interval) = (self.master_down_interval(), self.interval());
        match &mut self.state {
            State::Initialize { .. } => {}
            State::Backup(backup) => {
                if before.preempt != self.params.preempt {
                    backup.preempt_at = None;
                }
                if !backup.has_resigned && !backup.is_willing && after != patience {
                    let down_at = now + after;
                    // A shorter patience begins here: by its own measure the Master may have been silent for too long.
                    backup.down_at = if after < patience { backup.down_at.min(down_at) } else { down_at };
                }
            }
            State::Master(master) => {
                if master.offered_at.is_none() {
                    master.advert_at = master.advert_at.min(now + interval);
                }
                if before.announce != self.params.announce {
                    master.announce = Announcing::begin(now, &self.params.announce);
                }
                if has_other_holdings(&before, &self.params) {
                    let places: HashMap<_, u16> = before.vips.iter().zip(0..).collect();
                    let was_at: Vec<Option<u16>> =
                        self.params.vips.iter().map(|vip| places.get(vip).copied()).collect();
                    master.rearrange(&was_at);
                    out.push(Output::AcquireVips { router: self.key });
                }
            }
        }
        self.track(now, health, out);
    }

    /// Goes on with other checks, or other weights of theirs.
    fn track(&mut self, now: Instant, health: Health, out: &mut Outbox) {
        self.health = health;
        self.reweigh(now, out);
    }

    /// Is a member of another group from here on, or of none.
    fn join(&mut self, is_grouped: bool) {
        self.is_grouped = is_grouped;
        self.stir = None;
        self.faulty_mate = None;
        if let State::Backup(backup) = &mut self.state {
            // Whom it waited for is another one.
            backup.is_willing = false;
        }
    }

    /// A Backup whose Master is known to have gone at `vacant_at`.
    fn stand_by(&mut self, now: Instant, vacant_at: Instant) {
        let skew = self.skew_time();
        if let State::Backup(backup) = &mut self.state {
            backup.down_at = backup.down_at.min((vacant_at + skew).max(now));
            backup.has_resigned = true;
        }
    }

    /// Leaves nothing but its name: a slot is not used twice, and its secrets are to be wiped.
    fn strip(&mut self) {
        let nobody = Transport::Unicast { peers: Vec::new(), also: None };
        let RouterParams { name, interface, vrid, family, .. } = &*self.params;
        let params = Arc::new(RouterParams::plain(name, interface, *vrid, *family, nobody));
        *self = Self::new(self.key, params, Health::new(Priority::DEFAULT, &[], |_| None), false);
    }
}
