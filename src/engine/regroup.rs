//! What a node does across its routers: a verdict reaches whoever tracks the check, and members of a group move together.
//!
//! One stop before: `engine::node`. The rules are in `engine::health` and `engine::sync`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::health::{Check, Health};
use super::input::{CheckKey, CheckResult};
use super::node::Node;
use super::output::{EventKind, GroupTransition, Reason};
use super::params::NodeParams;
use super::router::VirtualRouter;
use super::snapshot::{CheckSnapshot, GroupSnapshot};
use super::state::State;
use super::sync::{Course, Group, Standing, Stir, course, is_first_cause, state};
use super::time::Instant;

/// Makes the checks of a node; each knows who tracks it.
pub(super) fn checks(params: &NodeParams) -> Vec<Check> {
    let mut checks: Vec<Check> = params.checks.iter().map(|check| Check::new(Arc::clone(check))).collect();
    let places: HashMap<&str, usize> = params.checks.iter().map(|check| check.name.as_str()).zip(0..).collect();
    for (slot, router) in (0u32..).zip(&params.routers) {
        for (place, track) in router.tracks.iter().enumerate() {
            if let Some(check) = places.get(track.check.as_str()).and_then(|&index| checks.get_mut(index)) {
                check.trackers.push((slot, place));
            }
        }
    }
    checks
}

/// Makes the health of each router, in their order.
pub(super) fn healths(params: &NodeParams, checks: &[Check]) -> Vec<Health> {
    let by_name: BTreeMap<&str, &Check> = checks.iter().map(|check| (&*check.name, check)).collect();
    let find = |name: &str| by_name.get(name).copied();
    params.routers.iter().map(|router| Health::new(router.priority, &router.tracks, find)).collect()
}

/// Makes the groups of a node, and says which one each router is in; a router that two of them name is in the first.
pub(super) fn groups(params: &NodeParams) -> (Vec<Group>, Vec<Option<usize>>) {
    let slots: HashMap<&str, usize> = params.routers.iter().map(|router| router.name.as_str()).zip(0..).collect();
    let mut group_of = vec![None; params.routers.len()];
    let mut groups = Vec::with_capacity(params.groups.len());
    for (index, group) in params.groups.iter().enumerate() {
        let mut members = Vec::new();
        for slot in group.members.iter().filter_map(|name| slots.get(name.as_str()).copied()) {
            if group_of[slot].is_none() {
                group_of[slot] = Some(index);
                members.push(slot as u32);
            }
        }
        groups.push(Group::new(&group.name, members));
    }
    (groups, group_of)
}

impl Node {
    /// Returns plain values for status, one per check in the order of `NodeParams::checks`.
    pub fn checks(&self) -> Vec<CheckSnapshot> {
        self.check_order.iter().filter_map(|at| self.checks.get(*at as usize)).map(Check::snapshot).collect()
    }

    /// Returns plain values for status, one per group in the order of `NodeParams::groups`.
    pub fn groups(&self) -> Vec<GroupSnapshot> {
        self.groups.iter().map(Group::snapshot).collect()
    }

    /// Takes in one run of a check: first its verdict, then the priorities, then who comes or goes for it. An unknown
    /// check is ignored.
    pub(super) fn judge(&mut self, now: Instant, key: CheckKey, result: CheckResult, words: Arc<str>) {
        // What a check still says that a reload ended counts for nothing.
        if !self.check_order.contains(&key.0) {
            return;
        }
        let Some(check) = self.checks.get_mut(key.0 as usize) else { return };
        let Some(from) = check.note(now, result, Arc::clone(&words)) else { return };
        self.out.node_event(EventKind::Check { check: Arc::clone(&check.name), from, to: check.verdict, words });
        for &(slot, place) in &check.trackers {
            if let Some(router) = self.routers.get_mut(slot as usize) {
                router.health.note(place, check);
            }
        }
        let slots: Vec<u32> = check.trackers.iter().map(|(slot, _)| *slot).collect();
        for &slot in &slots {
            self.touch(slot, |router, out| router.reweigh(now, out));
        }
        self.reassess(now, &slots);
    }

    /// Lets routers move to where they belong after a cause came or went, and the members of their groups with them.
    pub(super) fn reassess(&mut self, now: Instant, slots: &[u32]) {
        let mut groups: Vec<usize> = slots.iter().filter_map(|&slot| self.group_of(slot)).collect();
        groups.sort_unstable();
        groups.dedup();
        for &slot in slots {
            if self.group_of(slot).is_none() {
                self.settle_adoption(now, slot);
                self.touch(slot, |router, out| router.reassess(now, true, out));
            }
        }
        for group in groups {
            self.share_faults(group);
            self.settle_adoption_of_group(now, group);
            let may_begin_as_master = self.is_group_of_owners_about_to_begin(group);
            for slot in self.members(group) {
                self.touch(slot, |router, out| router.reassess(now, may_begin_as_master, out));
            }
            self.regroup(now, group);
        }
    }

    /// Looks at a group after something happened to a member: hearsay first, then which way all go.
    pub(super) fn regroup(&mut self, now: Instant, group: usize) {
        let stirs =
            |node: &Self, stir| node.members(group).any(|slot| node.router(slot).is_some_and(|r| r.stir == Some(stir)));
        let (has_resigned, has_offered) = (stirs(self, Stir::HeardResignation), stirs(self, Stir::Offered));
        for slot in self.members(group) {
            self.touch(slot, |router, out| {
                if router.stir.take() != Some(Stir::HeardResignation) && has_resigned {
                    router.hear_of_resignation(now);
                }
                if has_offered {
                    router.insist(out);
                }
            });
        }
        let members = self.members(group).filter_map(|slot| self.router(slot));
        match course(members.map(standing)) {
            Course::Stay => {}
            Course::Rise => {
                for slot in self.members(group) {
                    self.touch(slot, |router, out| router.take_over(now, out));
                }
            }
            Course::Leave => self.leave(now, group),
        }
        for slot in self.members(group) {
            self.touch(slot, |router, _| router.stir = None);
        }
        self.tell_group(now, group);
    }

    /// Says how a group stands when that has changed; the reason is that of the member that began it.
    pub(super) fn tell_group(&mut self, now: Instant, group: usize) {
        let members = || self.members(group).filter_map(|slot| self.router(slot));
        let to = state(members().map(|router| router.state.name()));
        let is_alike = |router: &&VirtualRouter| router.state.name() == to;
        let first = members().find(|router| is_alike(router) && is_first_cause(&router.reason));
        let reason = first.or_else(|| members().find(is_alike)).map(|router| router.reason.clone());
        let Some(group) = self.groups.get_mut(group).filter(|group| group.state != to) else { return };
        let from = std::mem::replace(&mut group.state, to);
        group.since = now;
        let group = Arc::clone(&group.name);
        let reason = reason.unwrap_or(Reason::Started);
        self.out.node_event(EventKind::Group(GroupTransition { group, from, to, reason }));
    }

    /// Every member that is Master follows the first one that is not.
    fn leave(&mut self, now: Instant, group: usize) {
        let is_master = |router: &VirtualRouter| matches!(router.state, State::Master(_));
        let mut members = self.members(group).filter_map(|slot| self.router(slot));
        let Some(first) = members.find(|router| !is_master(router)) else { return };
        let first: Arc<str> = Arc::from(first.params.name.as_str());
        for slot in self.members(group) {
            if self.router(slot).is_some_and(is_master) {
                self.touch(slot, |router, out| router.follow(now, Arc::clone(&first), out));
            }
        }
    }

    /// The first member with a fault of its own keeps all others out.
    fn share_faults(&mut self, group: usize) {
        let mut members = self.members(group).filter_map(|slot| self.router(slot).map(|router| (slot, router)));
        let faulty = members.find(|(_, router)| router.own_fault().is_some());
        let faulty = faulty.map(|(slot, router)| (slot, Arc::from(router.params.name.as_str())));
        for slot in self.members(group) {
            let mate = faulty.as_ref().filter(|(other, _)| *other != slot).map(|(_, name)| Arc::clone(name));
            self.touch(slot, |router, _| router.faulty_mate = mate);
        }
    }

    fn is_group_of_owners_about_to_begin(&self, group: usize) -> bool {
        let members = || self.members(group).filter_map(|slot| self.router(slot));
        let may_begin = |router: &VirtualRouter| {
            router.params.is_owner() && router.is_started && !router.is_drained() && router.obstacle().is_none()
        };
        members().all(may_begin) && members().any(|router| matches!(router.state, State::Initialize { .. }))
    }

    pub(super) fn router(&self, slot: u32) -> Option<&VirtualRouter> {
        self.routers.get(slot as usize)
    }

    pub(super) fn group_of(&self, slot: u32) -> Option<usize> {
        self.group_of.get(slot as usize).copied().flatten()
    }

    /// Returns the slots of a group's members.
    pub(super) fn members(&self, group: usize) -> impl Iterator<Item = u32> + use<> {
        let slots = self.groups.get(group).map(|group| Arc::clone(&group.slots));
        let count = slots.as_ref().map_or(0, |slots| slots.len());
        (0..count).filter_map(move |place| slots.as_ref().and_then(|slots| slots.get(place)).copied())
    }
}

fn standing(router: &VirtualRouter) -> Standing {
    match &router.state {
        State::Initialize { .. } => Standing::Out,
        State::Backup(backup) if backup.is_willing && !router.is_drained() => Standing::Willing,
        State::Backup(_) => Standing::Listening,
        State::Master(_) => Standing::Master,
    }
}
