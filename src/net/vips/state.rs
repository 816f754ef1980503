//! The state of wanted VIPs, and small answers about them.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::keep::{LINES, MINUTE};
use super::{VipId, Vips};
use crate::engine::input::RouterKey;
use crate::engine::params::{RouterParams, Vip};
use crate::engine::time::Instant;
use crate::net::links::Links;
use crate::net::netlink::{Address, NewAddress, OUR_PROTOCOL, Place, Request};
use crate::net::notice::Notice;

/// What stands for a failed duplicate detection of the kernel among its refusals.
pub(super) const DUPLICATE: i32 = nix::errno::Errno::EADDRINUSE as i32;
/// Longest back-off between two attempts, in ticks.
const MAX_WAIT: u64 = 64;

/// One request with what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The VIP to be added; `None` for a deletion.
    pub vip: Option<VipId>,
    /// What to ask for.
    pub request: Request,
}

/// Work that was refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Retry {
    Add(RouterKey),
    Delete(Place),
}

/// A router that wants its VIPs held.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) params: Arc<RouterParams>,
    pub(super) vips: Vec<State>,
    /// Indices to add; they go before the fresh ones.
    pub(super) pending: VecDeque<u16>,
    /// Indices not looked at yet: looking at thousands would delay the first.
    pub(super) fresh: Range<u16>,
    pub(super) is_ready: bool,
    /// Size of its next batch: small first, so that the first announcement is early.
    pub(super) grow: usize,
    /// Attempts since something was last refused.
    pub(super) refusals: u32,
    pub(super) is_waiting: bool,
    pub(super) put_back: u32,
    /// When its leases were last renewed; no later than the earliest of them.
    pub(super) renewed_at: Instant,
    /// When others changed one of its VIPs, within the last minute.
    pub(super) changed_at: Vec<Instant>,
    /// When a removal was last told of, within the last minute.
    told_at: Vec<Instant>,
}

/// One wanted VIP.
#[derive(Debug)]
pub(super) struct State {
    /// `None` while its interface does not exist.
    pub(super) place: Option<Place>,
    pub(super) phase: Phase,
    /// The last refusal that was told of.
    pub(super) refused: Option<i32>,
    /// When others removed it, within the last minute.
    pub(super) removed_at: Vec<Instant>,
    /// While held: to be asked for again as it should be.
    pub(super) is_due: bool,
    /// To be deleted before it is added again.
    pub(super) is_foul: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Not looked at yet.
    Fresh,
    /// Its interface is missing or (IPv6) down, or its removal is left alone.
    Blocked,
    /// To be added.
    Pending,
    /// To be added again after somebody removed it.
    Lost,
    /// Its lease ended, or it is to have one: waits for a sign of life of the protocol thread.
    Lapsed,
    /// Refused; tried again at a tick.
    Refused,
    /// IPv6: the kernel took it, but answers for it only from its notification on.
    Taken,
    /// The kernel holds it.
    Held,
}

impl Vips {
    /// Says whether any of a router's addresses is still to be deleted.
    pub fn is_leaving(&self, params: &RouterParams, links: &Links) -> bool {
        let is_doomed = |vip: &Vip| {
            let link = links.named(interface_of(vip, params));
            link.is_some_and(|link| {
                let place = Place { interface: link.index, address: vip.address, prefix_len: vip.prefix_len };
                self.doomed.contains_key(&place)
            })
        };
        // They go in their order, so the last one tells first.
        params.vips.iter().rev().any(is_doomed)
    }
}

impl Router {
    /// Makes a router none of whose VIPs was looked at.
    pub(super) fn new(params: Arc<RouterParams>, now: Instant) -> Self {
        let vips = params.vips.iter().map(|_| State::fresh()).collect();
        let fresh = 0..u16::try_from(params.vips.len()).unwrap_or(u16::MAX);
        Self {
            params,
            vips,
            pending: VecDeque::new(),
            fresh,
            is_ready: true,
            grow: 1,
            refusals: 0,
            is_waiting: false,
            put_back: 0,
            renewed_at: now,
            changed_at: Vec::new(),
            told_at: Vec::new(),
        }
    }

    /// The kernel took a VIP of this router; tells what is worth a line.
    ///
    /// Of many removals few are told of, each with the count of all.
    pub(super) fn took(&mut self, now: Instant, vip: VipId, notices: &mut Vec<Notice>) {
        let (router, index) = vip;
        let Some(state) = self.vips.get_mut(usize::from(index)) else { return };
        if let Some(address) = state.place.map(|place| place.address) {
            if state.phase == Phase::Lost {
                self.put_back += 1;
                self.told_at.retain(|at| now.since(*at) < MINUTE);
                if self.told_at.len() < LINES {
                    self.told_at.push(now);
                    notices.push(Notice::PutBack { router, address, count: self.put_back });
                }
            }
            // Of a duplicate the kernel tells later.
            if state.refused.take_if(|errno| *errno != DUPLICATE).is_some() {
                self.refusals = 0;
                notices.push(Notice::Accepted { router, address });
            }
        }
        state.phase = Phase::Taken;
    }

    /// Takes the next index that may need to be added.
    pub(super) fn next(&mut self) -> Option<u16> {
        self.pending.pop_front().or_else(|| self.fresh.next())
    }
}

impl State {
    fn fresh() -> Self {
        let (is_due, is_foul) = (false, false);
        Self { place: None, phase: Phase::Fresh, refused: None, removed_at: Vec::new(), is_due, is_foul }
    }
}

/// Returns the name of the interface a VIP belongs on.
pub(super) fn interface_of<'a>(vip: &'a Vip, params: &'a RouterParams) -> &'a str {
    vip.interface.as_deref().unwrap_or(&params.interface)
}

/// Says whether an address needs nothing done to serve as a VIP: an owner's is good as it is, any other must be marked
/// as ours, have no end of life but that of its lease, and be free of the suspicion to be somebody else's too.
pub(super) fn is_good(address: &Address, params: &RouterParams, index: u16) -> bool {
    params.is_owner() || (address.protocol == OUR_PROTOCOL && is_kept(address, params, index))
}

/// Says the same of an address that this program has added: a kernel before 5.18 keeps no marks.
pub(super) fn is_kept(address: &Address, params: &RouterParams, index: u16) -> bool {
    let options = params.vips.get(usize::from(index)).map(|vip| &vip.options);
    let may_be_deprecated = options.is_some_and(|options| options.preferred_lifetime.is_some());
    let lasts = match params.ownership.lease {
        None => address.lifetime.is_none() && (may_be_deprecated || !address.is_deprecated),
        // The kernel cuts what has begun of a second.
        Some(lease) => {
            address.lifetime.is_some_and(|left| (lease.as_secs() - 1..=lease.as_secs()).contains(&left.into()))
        }
    };
    let is_marked_by_another = !matches!(address.protocol, 0 | OUR_PROTOCOL);
    params.is_owner() || (lasts && address.is_usable && !is_marked_by_another)
}

/// Returns the place of an address that an earlier run held, when it is there and nobody has marked it.
pub(super) fn unmarked_place((name, address, prefix_len): &(String, IpAddr, u8), links: &Links) -> Option<Place> {
    let place = Place { interface: links.named(name)?.index, address: *address, prefix_len: *prefix_len };
    (links.address(&place)?.protocol == 0).then_some(place)
}

/// Withdraws one wish for a place.
pub(super) fn forget_wish(wanted: &mut FxHashMap<Place, Vec<VipId>>, place: &Place, vip: VipId) {
    if let Some(vips) = wanted.get_mut(place) {
        vips.retain(|other| *other != vip);
        if vips.is_empty() {
            wanted.remove(place);
        }
    }
}

/// Returns how many ticks to wait after that many refusals.
pub(super) fn wait(refusals: u32) -> u64 {
    1u64.checked_shl(refusals.saturating_sub(1)).unwrap_or(MAX_WAIT).min(MAX_WAIT)
}

/// Makes the request for a VIP.
/// `lifetime`: whole seconds, of a lease.
pub(super) fn new_address(vip: &Vip, place: Place, lifetime: Option<u32>) -> NewAddress {
    NewAddress {
        place,
        label: vip.label.clone(),
        broadcast: vip.broadcast,
        scope: vip.scope.number(),
        lifetime,
        options: vip.options.clone(),
    }
}

/// Makes the request that deletes what is at a place.
pub(super) fn deletion(place: Place, links: &Links) -> Request {
    match links.address(&place).and_then(|address| address.peer) {
        Some(peer) => Request::DeletePeer(place, peer),
        None => Request::Delete(place),
    }
}

/// Returns what the kernel holds after it took a request.
pub(super) fn as_held(new: &NewAddress) -> Address {
    Address {
        place: new.place,
        protocol: OUR_PROTOCOL,
        scope: new.scope,
        is_secondary: false,
        is_usable: !new.options.detects_duplicates,
        is_duplicate: false,
        is_deprecated: new.options.preferred_lifetime == Some(0),
        lifetime: new.lifetime,
        peer: new.options.peer.and_then(|peer| match peer {
            IpAddr::V4(peer) => Some(peer),
            IpAddr::V6(_) => None,
        }),
    }
}
