//! What happens to a VIP that is held: somebody removes it, changes it, or its lease is due.
//!
//! What was removed is put back at once; ten times in a minute is more than a program's restart explains, and is told.
//! A leased VIP is renewed, and added at all, only on a sign of life of the protocol thread ([`Vips::beat`]): when that
//! thread hangs, the kernel removes the VIP, and nobody here puts it back.

use std::time::Duration;

use nix::errno::Errno;

use super::state::{DUPLICATE, Phase, Retry, State, is_good, is_kept};
use super::{VipId, Vips};
use crate::engine::input::{RouterKey, Trouble};
use crate::engine::params::{RouterParams, Vip};
use crate::engine::time::Instant;
use crate::net::links::Links;
use crate::net::netlink::{Address, Refusal};
use crate::net::notice::Notice;

/// Removals of one address within [`MINUTE`] that are trouble.
const REMOVALS: usize = 10;
/// Changes that are undone at once within [`MINUTE`], for one router; later ones wait for a while.
const CHANGES: usize = 10;
/// Lines about removals within [`MINUTE`], for one router.
pub(super) const LINES: usize = 10;
/// For how long removals, changes and lines count.
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// A sign of life is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How much earlier than its lease an address may go, and how much later, without another having removed it.
const LEASE_SLACK: Duration = Duration::from_millis(500);

/// The sign of life that leases depend on.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When a turn of the protocol thread last began.
    pub(super) beat_at: Instant,
    /// When it was asked for; `None`: it is not.
    asked_at: Option<Instant>,
    /// When the next lease is to be renewed; `None`: there are none.
    due_at: Option<Instant>,
    /// Something waits for it.
    is_awaited: bool,
}

impl Vips {
    /// Says what time it is; before anything else is said.
    pub fn turn(&mut self, now: Instant) {
        self.now = now;
    }

    /// Returns when a sign of life of the protocol thread is needed; `None`: never.
    pub fn pulse_at(&self) -> Option<Instant> {
        match self.pulse.asked_at {
            Some(at) => Some(at + ASK_AGAIN),
            None if self.pulse.is_awaited && !self.leased.is_empty() => Some(self.now),
            None => self.pulse.due_at,
        }
    }

    /// Says that a sign of life was asked for.
    pub fn pulse_asked(&mut self) {
        self.pulse.asked_at = Some(self.now);
    }

    /// The protocol thread began a turn at `at`: leases may be renewed if that is not long ago.
    pub fn beat(&mut self, at: Instant) {
        self.pulse.asked_at = None;
        self.pulse.beat_at = self.pulse.beat_at.max(at);
        self.pulse.is_awaited = false;
        for (key, lease) in self.leased() {
            if self.is_alive(lease) {
                self.renew(key, lease);
            } else {
                self.pulse.is_awaited = true;
            }
        }
        self.plan_renewal();
    }

    /// Takes the troubles since the last call, in order.
    pub fn take_troubles(&mut self) -> Vec<(RouterKey, Trouble)> {
        std::mem::take(&mut self.troubles)
    }

    /// Returns what is wrong with the VIPs of a router, for a person.
    pub fn troubles_of(&self, key: RouterKey) -> Vec<String> {
        let Some(router) = self.routers.get(&key) else { return Vec::new() };
        let words = |(vip, state): (&Vip, &State)| {
            let address = vip.address;
            let removals = state.removed_at.iter().filter(|at| self.now.since(**at) < MINUTE).count();
            let of_removal = (removals > 0)
                .then(|| format!("{address} was removed by another program {removals} times in the last minute"));
            let refused = state.refused.map(|errno| Errno::from_raw(errno).desc());
            let of_refusal = refused.map(|error| format!("cannot add {address}: {error}"));
            let of_lease = (state.phase == Phase::Lapsed)
                .then(|| format!("the lease of {address} ended: the protocol thread gave no sign of life"));
            [of_removal, of_refusal, of_lease]
        };
        router.params.vips.iter().zip(&router.vips).flat_map(words).flatten().collect()
    }

    /// Says whether a leased address may be given to the kernel.
    pub(super) fn is_alive(&self, lease: Duration) -> bool {
        self.now.since(self.pulse.beat_at) < lease / 3
    }

    /// A leased VIP waits for a sign of life.
    pub(super) fn await_beat(&mut self, vip: VipId) {
        self.pulse.is_awaited = true;
        if let Some(state) = self.state(vip) {
            state.phase = Phase::Lapsed;
        }
    }

    /// Looks when the next lease is to be renewed; after routers came or went, too.
    pub(super) fn plan_renewal(&mut self) {
        let due = |(key, lease): (RouterKey, Duration)| Some(self.routers.get(&key)?.renewed_at + lease / 3);
        self.pulse.due_at = self.leased().into_iter().filter_map(due).min();
    }

    fn leased(&self) -> Vec<(RouterKey, Duration)> {
        let lease = |key: &RouterKey| Some((*key, self.routers.get(key)?.params.ownership.lease?));
        self.leased.iter().filter_map(lease).collect()
    }

    fn renew(&mut self, key: RouterKey, lease: Duration) {
        let now = self.now;
        let Some(router) = self.routers.get_mut(&key) else { return };
        // A timer may be early by a little.
        let is_due = now.since(router.renewed_at) + LEASE_SLACK / 10 >= lease / 3;
        let mut lapsed = Vec::new();
        for (index, state) in (0..=u16::MAX).zip(&mut router.vips) {
            match state.phase {
                Phase::Lapsed => lapsed.push(index),
                Phase::Held if is_due => {
                    state.is_due = true;
                    router.pending.push_back(index);
                }
                Phase::Held
                | Phase::Fresh
                | Phase::Blocked
                | Phase::Pending
                | Phase::Lost
                | Phase::Refused
                | Phase::Taken => {}
            }
        }
        if is_due {
            router.renewed_at = now;
            self.make_ready(key);
        }
        for index in lapsed {
            self.make_pending((key, index), Phase::Pending);
        }
    }

    /// An address is there or is as it was not before, whoever did that.
    pub(super) fn appeared(&mut self, address: &Address) {
        for vip in self.wanted.get(&address.place).cloned().unwrap_or_default() {
            let Some(router) = self.routers.get(&vip.0) else { continue };
            let Some(state) = router.vips.get(usize::from(vip.1)) else { continue };
            let (is_good, is_kept) = (is_good(address, &router.params, vip.1), is_kept(address, &router.params, vip.1));
            match state.phase {
                Phase::Held if address.is_duplicate => self.fail(vip, Phase::Held),
                Phase::Held if !is_kept && address.is_usable => self.changed(vip),
                Phase::Taken if address.is_duplicate => self.fail(vip, Phase::Taken),
                Phase::Taken if is_kept => self.confirm(vip),
                Phase::Blocked | Phase::Lapsed if is_good => self.confirm(vip),
                Phase::Fresh
                | Phase::Held
                | Phase::Pending
                | Phase::Lost
                | Phase::Lapsed
                | Phase::Refused
                | Phase::Blocked
                | Phase::Taken => {}
            }
        }
    }

    /// A held VIP is gone and we did not delete it.
    pub(super) fn vanished(&mut self, vip: VipId, links: &Links) {
        let now = self.now;
        let Some(router) = self.routers.get_mut(&vip.0) else { return };
        let is_untracked = router.params.vips.get(usize::from(vip.1)).is_some_and(|vip| vip.options.is_untracked);
        let lease = router.params.ownership.lease;
        let has_lapsed = lease.is_some_and(|lease| now.since(router.renewed_at) + LEASE_SLACK >= lease);
        let Some(state) = router.vips.get_mut(usize::from(vip.1)) else { return };
        if !matches!(state.phase, Phase::Held | Phase::Taken) {
            return;
        }
        let Some(place) = state.place else { return };
        let link = links.link(place.interface);
        let is_up = link.is_some_and(|link| link.is_up);
        if is_untracked || link.is_none() || (place.address.is_ipv6() && !is_up) {
            state.phase = Phase::Blocked;
            return;
        }
        if has_lapsed {
            return self.await_beat(vip);
        }
        // With the interface it goes without anybody's doing.
        if is_up {
            state.removed_at.retain(|at| now.since(*at) < MINUTE);
            state.removed_at.push(now);
            let count = state.removed_at.len();
            if count >= REMOVALS {
                state.removed_at.clear();
                let (address, count) = (place.address, u32::try_from(count).unwrap_or(u32::MAX));
                self.troubles.push((vip.0, Trouble::Removed { address, count }));
            }
        }
        self.make_pending(vip, Phase::Lost);
    }

    /// Somebody gave a held VIP an end of life, another mark, or took its preference: asked for again as it should be.
    fn changed(&mut self, vip: VipId) {
        let now = self.now;
        let Some(router) = self.routers.get_mut(&vip.0) else { return };
        let Some(state) = router.vips.get_mut(usize::from(vip.1)) else { return };
        if state.is_due {
            return;
        }
        state.is_due = true;
        let address = state.place.map(|place| place.address);
        router.changed_at.retain(|at| now.since(*at) < MINUTE);
        if router.changed_at.len() >= CHANGES {
            // Two programs that undo each other's work must not keep each other busy.
            if !std::mem::replace(&mut router.is_waiting, true) {
                self.waiting.insert((self.tick + RESTORE_WAIT, Retry::Add(vip.0)));
            }
            return;
        }
        router.changed_at.push(now);
        router.pending.push_back(vip.1);
        if let Some(address) = address {
            self.notices.push(Notice::Restored { router: vip.0, address });
        }
        self.make_ready(vip.0);
    }

    /// The kernel's own duplicate detection failed for a VIP: only deleting and adding it again ends that.
    fn fail(&mut self, vip: VipId, phase: Phase) {
        let Some(state) = self.state(vip) else { return };
        state.is_foul = true;
        match phase {
            Phase::Held => self.make_pending(vip, Phase::Pending),
            Phase::Taken
            | Phase::Fresh
            | Phase::Blocked
            | Phase::Pending
            | Phase::Lost
            | Phase::Lapsed
            | Phase::Refused => {
                let text = "the kernel's duplicate address detection found another host with it".to_owned();
                self.refuse(vip, Refusal { errno: DUPLICATE, text: Some(text) });
            }
        }
    }
}

/// Returns the lease of a router's addresses as the kernel counts it.
pub(super) fn seconds(params: &RouterParams) -> Option<u32> {
    params.ownership.lease.map(|lease| u32::try_from(lease.as_secs()).unwrap_or(u32::MAX - 1))
}

/// Ticks before a change is undone that was undone often: 6.4 s.
const RESTORE_WAIT: u64 = 64;
