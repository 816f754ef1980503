//! Wanted VIPs against those the kernel holds: what to add and delete next. No I/O.
//!
//! Level-triggered: a wish stays until it is withdrawn, and every change of the kernel's state is compared with it. Each
//! change costs a constant amount, however many VIPs and routers there are.
//! One stop before: [`super::service`] with wishes and [`super::links`] with the kernel's state. One stop after:
//! [`super::netlink::Requests`].

mod keep;
mod refused;
mod state;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use keep::Pulse;
pub use state::Job;
use state::{Phase, Retry, Router, State, as_held, deletion, forget_wish, interface_of, is_good, new_address, wait};

use super::links::{Change, Links};
use super::netlink::{Address, OUR_PROTOCOL, Place, Refusal, Request};
use super::notice::Notice;
use crate::engine::input::{RouterKey, Trouble};
use crate::engine::params::{RouterParams, Vip};
use crate::engine::time::Instant;

/// Requests in one batch at most: the service thread hears nothing else meanwhile, and a batch takes 2 ms at worst.
const BATCH: usize = 16;

/// A VIP of a router: key and index into `RouterParams::vips`.
pub type VipId = (RouterKey, u16);

/// The wanted VIPs and the work they need.
#[derive(Debug, Default)]
pub struct Vips {
    /// Apart from the table, of which half may be free.
    routers: FxHashMap<RouterKey, Box<Router>>,
    /// Who wants what; nearly always one.
    wanted: FxHashMap<Place, Vec<VipId>>,
    /// Routers with VIPs on an interface of that name.
    by_interface: FxHashMap<String, BTreeSet<RouterKey>>,
    /// Routers with something to add.
    ready: VecDeque<RouterKey>,
    /// Routers with VIPs that were not looked at.
    unlooked: BTreeSet<RouterKey>,
    /// Places to delete, in order; valid while they are in `doomed`.
    deletes: VecDeque<Place>,
    /// Places that must not be held; the value is the number of refusals.
    doomed: FxHashMap<Place, u32>,
    /// Refused work by the tick when it is tried again.
    waiting: BTreeSet<(u64, Retry)>,
    tick: u64,
    reports: Vec<(RouterKey, Range<u16>)>,
    notices: Vec<Notice>,
    troubles: Vec<(RouterKey, Trouble)>,
    now: Instant,
    /// Routers whose VIPs have a lease.
    leased: BTreeSet<RouterKey>,
    pulse: Pulse,
}

impl Vips {
    /// Wants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants the VIPs of a router from here on, in place of what it wanted before.
    ///
    /// What the kernel holds already is reported without a request; the rest is added in configured order.
    pub fn acquire(&mut self, key: RouterKey, params: Arc<RouterParams>, links: &Links) {
        let before = self.unlink(key);
        let mut last = None;
        for vip in &params.vips {
            let name = interface_of(vip, &params);
            if last.replace(name) != Some(name) {
                self.by_interface.entry(name.to_owned()).or_default().insert(key);
            }
        }
        if params.ownership.lease.is_some() {
            self.leased.insert(key);
        }
        self.routers.insert(key, Box::new(Router::new(params, self.now)));
        self.plan_renewal();
        self.ready.push_back(key);
        self.unlooked.insert(key);
        if !self.doomed.is_empty() {
            // What it wants must not be deleted first.
            self.look_at_fresh(links);
        }
        self.doom(before, links, |_| false);
    }

    /// Withdraws the wish for a router's VIPs; those that nobody else wants are deleted.
    pub fn release(&mut self, key: RouterKey, links: &Links) {
        let is_owner = self.routers.get(&key).is_some_and(|router| router.params.is_owner());
        let before = self.unlink(key);
        // An owner's addresses are there without us, unless we added them.
        self.doom(before, links, |address| is_owner && address.protocol != OUR_PROTOCOL);
    }

    /// Returns the routers whose VIPs are wanted.
    pub fn wanting(&self) -> impl Iterator<Item = RouterKey> + '_ {
        self.routers.keys().copied()
    }

    /// Returns interface, address and prefix of a VIP that is wanted and held.
    pub fn held(&self, vip: VipId) -> Option<Place> {
        let state = self.routers.get(&vip.0)?.vips.get(usize::from(vip.1))?;
        state.place.filter(|_| state.phase == Phase::Held)
    }

    /// Returns how many VIPs a wanted router has; 0 for any other.
    pub fn len_of(&self, key: RouterKey) -> u16 {
        self.routers.get(&key).map_or(0, |router| u16::try_from(router.vips.len()).unwrap_or(u16::MAX))
    }

    /// Returns the routers with a VIP on the interface of that name, with the range of all their VIPs.
    pub fn on_interface(&self, name: &str) -> impl Iterator<Item = (RouterKey, Range<u16>)> + '_ {
        self.by_interface.get(name).into_iter().flatten().map(|key| (*key, 0..self.len_of(*key)))
    }

    /// Takes over what changed in the kernel, except [`Change::Lost`], which needs a dump and [`Vips::compare`].
    pub fn apply(&mut self, change: &Change, links: &Links) {
        match change {
            Change::Address(address) => self.appeared(address),
            Change::AddressGone(place) => {
                self.doomed.remove(place);
                for vip in self.wanted.get(place).cloned().unwrap_or_default() {
                    self.vanished(vip, links);
                }
            }
            Change::Link(name) => {
                for key in self.by_interface.get(name).cloned().unwrap_or_default() {
                    self.place_all(key, links, Some(name));
                }
            }
            Change::Lost => {}
        }
    }

    /// Compares everything with what the kernel holds, after a dump.
    pub fn compare(&mut self, links: &Links) {
        self.unlooked.clear();
        let keys: Vec<RouterKey> = self.routers.keys().copied().collect();
        for key in keys {
            self.place_all(key, links, None);
            for index in 0..self.len_of(key) {
                let Some(place) = self.held((key, index)) else { continue };
                match links.address(&place).copied() {
                    Some(address) => self.appeared(&address),
                    None => self.vanished((key, index), links),
                }
            }
        }
        self.doomed.retain(|place, _| links.address(place).is_some());
        self.deletes = self.doomed.keys().copied().collect();
    }

    /// Dooms what an earlier run left and nobody wants: what has our mark, and of `unmarked` (name of the interface,
    /// address, prefix length) what has none.
    pub fn sweep(&mut self, links: &Links, unmarked: &[(String, IpAddr, u8)]) {
        self.look_at_fresh(links);
        let unmarked = unmarked.iter().filter_map(|one| state::unmarked_place(one, links));
        let is_unwanted = |place: &Place| !self.wanted.contains_key(place);
        let leftovers: Vec<Place> = links.ours().chain(unmarked).filter(is_unwanted).collect();
        if !leftovers.is_empty() {
            self.notices.push(Notice::Leftovers { count: leftovers.len() });
        }
        self.doom(leftovers, links, |_| false);
    }

    /// Says whether [`Vips::next_batch`] would find something.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.deletes.is_empty()
    }

    /// Says whether any address is still to be deleted.
    pub fn is_deleting(&self) -> bool {
        !self.doomed.is_empty()
    }

    /// Says whether refused work waits for [`Vips::tick`].
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Fills `batch` with the next requests: deletions first, then additions, routers in turn.
    pub fn next_batch(&mut self, links: &Links, batch: &mut Vec<Job>) {
        batch.clear();
        while batch.len() < BATCH {
            let Some(place) = self.deletes.pop_front() else { break };
            if self.doomed.contains_key(&place) {
                batch.push(Job { vip: None, request: deletion(place, links) });
            }
        }
        if !batch.is_empty() {
            return;
        }
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else { return };
            self.take_pending(key, links, batch);
            if batch.len() >= BATCH {
                return;
            }
        }
    }

    /// Takes over what became of a request, and corrects the view.
    pub fn done(&mut self, job: &Job, result: Result<(), Refusal>, links: &mut Links) {
        match (&job.request, job.vip, result) {
            (Request::Add(new), vip, Ok(())) => {
                links.added(as_held(new));
                if let Some(vip) = vip.filter(|vip| !self.is_renewed(*vip)) {
                    if let Some(router) = self.routers.get_mut(&vip.0) {
                        router.took(self.now, vip, &mut self.notices);
                    }
                    if new.place.address.is_ipv4() {
                        self.confirm(vip);
                    }
                }
            }
            (Request::Add(_), Some(vip), Err(refusal)) => self.refuse(vip, refusal),
            (Request::Add(_), None, Err(_)) => {}
            (Request::Delete(place) | Request::DeletePeer(place, _), _, Ok(())) => {
                links.deleted(*place);
                self.doomed.remove(place);
            }
            (Request::AddEntry(_) | Request::DeleteEntry(_) | Request::Forget(_), _, _) => {}
            (Request::Delete(place) | Request::DeletePeer(place, _), _, Err(refusal)) => {
                let Some(refusals) = self.doomed.get_mut(place) else { return };
                *refusals += 1;
                let due = self.tick + wait(*refusals);
                if *refusals == 1 {
                    self.notices.push(Notice::Stuck { place: *place, refusal });
                }
                self.waiting.insert((due, Retry::Delete(*place)));
            }
        }
    }

    /// Takes the ranges of VIPs confirmed since the last call, in order.
    pub fn take_reports(&mut self) -> Vec<(RouterKey, Range<u16>)> {
        std::mem::take(&mut self.reports)
    }

    /// Takes the notices since the last call, in order.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Looks at everything that was not looked at, so that `wanted` is complete.
    fn look_at_fresh(&mut self, links: &Links) {
        for key in std::mem::take(&mut self.unlooked) {
            self.place_all(key, links, None);
        }
    }

    /// Looks up the place of each VIP of a router (on the interface `only`, if given) and what is to be done there.
    fn place_all(&mut self, key: RouterKey, links: &Links, only: Option<&str>) {
        let Some(router) = self.routers.get(&key) else { return };
        let params = Arc::clone(&router.params);
        for (index, vip) in (0..=u16::MAX).zip(&params.vips) {
            if only.is_none_or(|only| only == interface_of(vip, &params)) {
                self.place((key, index), vip, &params, links);
            }
        }
    }

    /// Looks up the place of one VIP and what is to be done there.
    fn place(&mut self, id: VipId, vip: &Vip, params: &RouterParams, links: &Links) {
        let link = links.named(interface_of(vip, params));
        let place = link.map(|l| Place { interface: l.index, address: vip.address, prefix_len: vip.prefix_len });
        // The kernel drops IPv6 addresses of an interface that goes down, and would drop ours again.
        let is_blocked = link.is_none_or(|link| vip.address.is_ipv6() && !link.is_up);
        self.place_one(id, place, is_blocked, links);
    }

    fn place_one(&mut self, vip: VipId, place: Option<Place>, is_blocked: bool, links: &Links) {
        let Some(router) = self.routers.get_mut(&vip.0) else { return };
        let params = Arc::clone(&router.params);
        let Some(state) = router.vips.get_mut(usize::from(vip.1)) else { return };
        if state.place != place {
            if let Some(old) = state.place.take() {
                forget_wish(&mut self.wanted, &old, vip);
                // The interface was given another name and took the address along.
                let is_ours = links.address(&old).is_some_and(|address| address.protocol == OUR_PROTOCOL);
                if is_ours && !self.wanted.contains_key(&old) && self.doomed.insert(old, 0).is_none() {
                    self.deletes.push_back(old);
                }
            }
            if let Some(new) = place {
                self.wanted.entry(new).or_default().push(vip);
                self.doomed.remove(&new);
            }
            state.place = place;
            if state.phase != Phase::Fresh {
                state.phase = Phase::Blocked;
            }
        }
        let held = place.and_then(|place| links.address(&place));
        match state.phase {
            Phase::Held | Phase::Pending | Phase::Lost | Phase::Lapsed | Phase::Refused => {}
            Phase::Fresh | Phase::Blocked | Phase::Taken
                if held.is_some_and(|address| is_good(address, &params, vip.1)) =>
            {
                self.confirm(vip);
            }
            Phase::Fresh | Phase::Blocked | Phase::Taken if is_blocked => state.phase = Phase::Blocked,
            Phase::Fresh | Phase::Blocked | Phase::Taken => self.make_pending(vip, Phase::Pending),
        }
    }

    /// A VIP is to be added.
    fn make_pending(&mut self, vip: VipId, phase: Phase) {
        let Some(router) = self.routers.get_mut(&vip.0) else { return };
        let Some(state) = router.vips.get_mut(usize::from(vip.1)) else { return };
        state.phase = phase;
        router.pending.push_back(vip.1);
        self.make_ready(vip.0);
    }

    /// A router has something to add.
    fn make_ready(&mut self, key: RouterKey) {
        let Some(router) = self.routers.get_mut(&key) else { return };
        if !router.is_ready && !router.pending.is_empty() {
            router.is_ready = true;
            self.ready.push_back(key);
        }
    }

    /// Moves a router's next few VIPs into a batch.
    fn take_pending(&mut self, key: RouterKey, links: &Links, batch: &mut Vec<Job>) {
        let Some(router) = self.routers.get_mut(&key) else { return };
        let params = Arc::clone(&router.params);
        let room = BATCH.saturating_sub(batch.len()).min(router.grow);
        router.grow = (router.grow * 2).min(BATCH);
        for _ in 0..room {
            let Some(index) = self.routers.get_mut(&key).and_then(|router| router.next()) else { break };
            let Some(vip) = params.vips.get(usize::from(index)) else { continue };
            if self.phase((key, index)) == Some(Phase::Fresh) {
                self.place((key, index), vip, &params, links);
                // It is taken here and not a second time.
                if let Some(router) = self.routers.get_mut(&key)
                    && router.pending.back() == Some(&index)
                {
                    router.pending.pop_back();
                }
            }
            self.job((key, index), vip, &params, links, batch);
        }
        let Some(router) = self.routers.get_mut(&key) else { return };
        if router.fresh.is_empty() {
            self.unlooked.remove(&key);
        }
        router.is_ready = !router.pending.is_empty() || !router.fresh.is_empty();
        if router.is_ready {
            self.ready.push_back(key);
        }
    }

    /// Makes the requests that a VIP needs, if any.
    fn job(&mut self, id: VipId, vip: &Vip, params: &RouterParams, links: &Links, batch: &mut Vec<Job>) {
        let lease = params.ownership.lease;
        let is_alive = lease.is_none_or(|lease| self.is_alive(lease));
        let Some(state) = self.state(id) else { return };
        let is_renewal = state.phase == Phase::Held && state.is_due;
        let is_wanting = is_renewal || matches!(state.phase, Phase::Pending | Phase::Lost);
        let Some(place) = state.place.filter(|_| is_wanting) else { return };
        let is_down = links.link(place.interface).is_none_or(|link| !link.is_up);
        if place.address.is_ipv6() && is_down {
            state.phase = Phase::Blocked;
            return;
        }
        // A lease is asked for anew: what is left of the one that is there may be little.
        let is_enough = |address: &Address| lease.is_none() && is_good(address, params, id.1);
        if !is_renewal && links.address(&place).is_some_and(is_enough) {
            return self.confirm(id);
        }
        if !is_alive {
            // One that is held goes on until its lease ends.
            return if is_renewal { state.is_due = false } else { self.await_beat(id) };
        }
        if std::mem::take(&mut state.is_foul) {
            batch.push(Job { vip: None, request: deletion(place, links) });
        }
        batch.push(Job { vip: Some(id), request: Request::Add(new_address(vip, place, keep::seconds(params))) });
    }

    /// Says whether an addition only renewed what is held, and takes note of it.
    fn is_renewed(&mut self, vip: VipId) -> bool {
        let Some(state) = self.state(vip) else { return false };
        state.phase == Phase::Held && std::mem::take(&mut state.is_due)
    }

    /// Returns what a VIP waits for.
    fn phase(&self, vip: VipId) -> Option<Phase> {
        let state = self.routers.get(&vip.0)?.vips.get(usize::from(vip.1))?;
        Some(state.phase)
    }

    fn state(&mut self, vip: VipId) -> Option<&mut State> {
        self.routers.get_mut(&vip.0)?.vips.get_mut(usize::from(vip.1))
    }

    /// The kernel answers for a VIP from here on.
    fn confirm(&mut self, vip: VipId) {
        let (key, index) = vip;
        let Some(router) = self.routers.get_mut(&key) else { return };
        let Some(state) = router.vips.get_mut(usize::from(index)) else { return };
        state.phase = Phase::Held;
        if let Some(address) = state.refused.take().and(state.place).map(|place| place.address) {
            router.refusals = 0;
            self.notices.push(Notice::Accepted { router: key, address });
        }
        match self.reports.last_mut() {
            Some((last, range)) if *last == key && range.end == index => range.end = index.saturating_add(1),
            Some(_) | None => self.reports.push((key, index..index.saturating_add(1))),
        }
    }

    /// Takes a router out of all tables and returns the places it wanted.
    fn unlink(&mut self, key: RouterKey) -> Vec<Place> {
        let Some(router) = self.routers.remove(&key) else { return Vec::new() };
        if self.leased.remove(&key) {
            self.plan_renewal();
        }
        // What `ready` and `waiting` hold of it is looked at again when its turn comes; searching them would cost more.
        let names: FxHashSet<&str> = router.params.vips.iter().map(|vip| interface_of(vip, &router.params)).collect();
        for name in names {
            if let Some(keys) = self.by_interface.get_mut(name) {
                keys.remove(&key);
                if keys.is_empty() {
                    self.by_interface.remove(name);
                }
            }
        }
        let mut places = Vec::new();
        for (index, state) in (0..=u16::MAX).zip(&router.vips) {
            if let Some(place) = state.place {
                forget_wish(&mut self.wanted, &place, (key, index));
                places.push(place);
            }
        }
        places
    }

    /// Wants places not to be held, except those wanted by somebody and those to `keep`.
    fn doom(&mut self, places: Vec<Place>, links: &Links, keep: impl Fn(&Address) -> bool) {
        if !places.is_empty() {
            self.look_at_fresh(links);
        }
        for place in places {
            let Some(address) = links.address(&place) else { continue };
            if !keep(address) && !self.wanted.contains_key(&place) && self.doomed.insert(place, 0).is_none() {
                self.deletes.push_back(place);
            }
        }
    }
}

#[cfg(test)]
mod tests;
