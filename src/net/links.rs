//! The view of interfaces and addresses: what the kernel said last. No I/O.
//!
//! Everything is kept by interface index and found by name, so that renaming, deleting and making again are followed.
//! One stop before: `net::netlink` events. One stop after: `engine::input::Interface`, and `net::vips`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};

use super::netlink::{Address, Dump, Event, Link, OUR_PROTOCOL, Place};
use crate::engine::input::Interface;
use crate::engine::params::{CheckKind, NodeParams};
use crate::engine::time::Instant;

/// What the view is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Names whose interfaces are told of.
    pub interfaces: BTreeSet<String>,
    /// Addresses that are never an interface's own, whoever added them.
    pub vips: FxHashSet<IpAddr>,
    /// Addresses that are an interface's own although we add them.
    pub fixed: FxHashSet<IpAddr>,
    /// Configured source addresses, wherever they are.
    pub sources: FxHashSet<IpAddr>,
    /// Where VIPs belong that nobody but a Master may hold: by interface, address and prefix length.
    pub homes: BTreeMap<String, FxHashSet<(IpAddr, u8)>>,
    /// How long an interface's own address may be away before it is told: half the shortest interval, half a second at most.
    pub patience: Duration,
}

impl Watch {
    /// Watches what a configuration names. The addresses of an address owner are its interface's own and stay in.
    pub fn of(params: &NodeParams) -> Self {
        let mut watch =
            Self { fixed: params.fixed.addresses.iter().map(|vip| vip.address).collect(), ..Self::default() };
        for router in &params.routers {
            watch.interfaces.insert(router.interface.clone());
            watch.sources.extend(router.source);
            for vip in &router.vips {
                watch.interfaces.extend(vip.interface.clone());
                if !router.is_owner() {
                    let interface = vip.interface.as_ref().unwrap_or(&router.interface);
                    let home = watch.homes.entry(interface.clone()).or_default();
                    home.insert((vip.address, vip.prefix_len));
                    watch.vips.insert(vip.address);
                }
            }
        }
        let shortest = params.routers.iter().map(|router| router.advertisement_interval.as_duration()).min();
        watch.patience = shortest.map_or(Duration::ZERO, |interval| (interval / 2).min(PATIENCE));
        for check in &params.checks {
            if let CheckKind::Interface(name) = &check.kind {
                watch.interfaces.insert(name.clone());
            }
        }
        watch
    }
}

/// What one event meant for VIPs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An address appeared or changed.
    Address(Address),
    /// An address that was known went away, and not because we deleted it.
    AddressGone(Place),
    /// What this name stands for changed: index, hardware address, or up and down.
    Link(String),
    /// Notifications were lost.
    Lost,
}

/// The view.
#[derive(Debug, Default)]
pub struct Links {
    watch: Watch,
    links: FxHashMap<u32, View>,
    by_name: FxHashMap<String, u32>,
    /// Deletions of ours whose notifications are yet to come.
    echoes: FxHashMap<Place, u32>,
    /// Watched names to look at again.
    dirty: BTreeSet<String>,
    /// What was told last.
    told: BTreeMap<String, Interface>,
    /// Interfaces that lost an address of their own a moment ago, and when that is told.
    lapses: BTreeMap<String, Instant>,
}

/// Whoever configures interfaces anew takes an address away and puts it back, in milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// One interface with its addresses.
#[derive(Debug)]
struct View {
    link: Link,
    /// The interface's own, in the kernel's order.
    own: Vec<Address>,
    /// VIPs; apart, because there may be thousands.
    vips: FxHashMap<(IpAddr, u8), Address>,
}

impl Links {
    /// Makes an empty view; every watched name counts as missing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches other names and VIPs from here on; each watched name is told of again when it looks different.
    pub fn watch(&mut self, watch: Watch) {
        self.told.retain(|name, _| watch.interfaces.contains(name));
        self.dirty = watch.interfaces.clone();
        // What another configuration makes of an interface is not for a moment.
        self.lapses = self.told.keys().map(|name| (name.clone(), Instant::from_nanos(0))).collect();
        self.watch = watch;
        for view in self.links.values_mut() {
            view.sort_out(&self.watch);
        }
    }

    /// Takes over one event and adds what it means for VIPs to `changes`.
    pub fn apply(&mut self, event: Event, changes: &mut Vec<Change>) {
        match event {
            Event::Link(link) => self.apply_link(link, changes),
            Event::LinkGone { index } => {
                let Some(view) = self.links.remove(&index) else { return };
                self.echoes.retain(|place, _| place.interface != index);
                if self.by_name.get(&view.link.name) == Some(&index) {
                    self.by_name.remove(&view.link.name);
                }
                self.touch(view.link.name, changes);
            }
            Event::Address(address) => self.apply_address(address, changes),
            Event::AddressGone(place) => {
                if let Some(expected) = self.echoes.get_mut(&place) {
                    *expected -= 1;
                    if *expected == 0 {
                        self.echoes.remove(&place);
                    }
                } else if self.forget(&place) {
                    changes.push(Change::AddressGone(place));
                }
            }
            Event::Lost => changes.push(Change::Lost),
        }
    }

    /// Replaces the view by a dump. What it means for VIPs is for the caller to compare.
    pub fn replace(&mut self, dump: Dump) {
        self.echoes.clear();
        self.by_name = dump.links.iter().map(|link| (link.name.clone(), link.index)).collect();
        self.links = dump.links.into_iter().map(|link| (link.index, View::new(link))).collect();
        for address in dump.addresses {
            if let Some(view) = self.links.get_mut(&address.place.interface) {
                // A dump is in the kernel's order already.
                if is_vip(&address, &self.watch) {
                    view.vips.insert((address.place.address, address.place.prefix_len), address);
                } else {
                    view.own.push(address);
                }
            }
        }
        self.dirty = self.watch.interfaces.clone();
    }

    /// Notes an address that the kernel confirmed to have added for us.
    pub fn added(&mut self, address: Address) {
        let Some(view) = self.links.get_mut(&address.place.interface) else { return };
        if is_vip(&address, &self.watch) {
            view.vips.insert((address.place.address, address.place.prefix_len), address);
        } else {
            view.place_own(address);
            self.mark_dirty(&address.place);
        }
    }

    /// Notes an address that the kernel confirmed to have deleted for us; its notification will say nothing new.
    pub fn deleted(&mut self, place: Place) {
        // An address that was not known was most likely not there, so nothing will be told.
        if self.forget(&place) {
            *self.echoes.entry(place).or_default() += 1;
        }
    }

    /// Returns the watched interfaces that look different from when they were last told of.
    ///
    /// Of one that lost an address of its own, and nothing else, only after [`Watch::patience`]: it may be back by then.
    pub fn changed(&mut self, now: Instant) -> Vec<Interface> {
        let mut changed = Vec::new();
        let mut names = std::mem::take(&mut self.dirty);
        names.extend(self.lapses.keys().cloned());
        for name in names {
            let interface = self.interface(&name);
            let told = self.told.get(&name);
            if told == Some(&interface) {
                self.lapses.remove(&name);
            } else if told.is_some_and(|told| has_lost(told, &interface))
                && *self.lapses.entry(name.clone()).or_insert(now + self.watch.patience) > now
            {
                continue;
            } else {
                self.lapses.remove(&name);
                self.told.insert(name, interface.clone());
                changed.push(interface);
            }
        }
        changed
    }

    /// Returns when the loss of an address is told; `None`: none is missed.
    pub fn deadline(&self) -> Option<Instant> {
        self.lapses.values().min().copied()
    }

    /// Says whether an interface of this name is told of.
    pub fn is_watched(&self, name: &str) -> bool {
        self.watch.interfaces.contains(name)
    }

    /// Returns an interface as the engine sees it.
    pub fn interface(&self, name: &str) -> Interface {
        let view = self.by_name.get(name).and_then(|index| self.links.get(index));
        Interface {
            name: name.to_owned(),
            index: view.map(|view| view.link.index),
            is_up: view.is_some_and(|view| view.link.is_up && view.link.is_running),
            addresses: view.map_or_else(Vec::new, |view| {
                view.own.iter().filter(|address| address.is_usable).map(|address| address.place.address).collect()
            }),
            elsewhere: self.sources_elsewhere(name),
        }
    }

    /// Returns the configured sources that interfaces of other names have.
    fn sources_elsewhere(&self, name: &str) -> Vec<IpAddr> {
        let others = self.links.values().filter(|view| view.link.name != name).flat_map(|view| &view.own);
        let is_source = |address: &&Address| address.is_usable && self.watch.sources.contains(&address.place.address);
        let mut sources: Vec<IpAddr> = others.filter(is_source).map(|address| address.place.address).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// Returns the interface that has a name.
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.by_name.get(name).and_then(|index| self.link(*index))
    }

    /// Returns the interface that has an index.
    pub fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index).map(|view| &view.link)
    }

    /// Returns all addresses of this host, VIPs among them, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let all = self.links.values().flat_map(|view| view.own.iter().chain(view.vips.values()));
        all.map(|address| address.place.address)
    }

    /// Returns the link-local IPv6 address of an interface, or any other of its own.
    pub fn own_v6(&self, index: u32) -> Option<Ipv6Addr> {
        let own = self.links.get(&index)?.own.iter().filter(|address| address.is_usable);
        let v6 = own.filter_map(|address| match address.place.address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        });
        v6.max_by_key(Ipv6Addr::is_unicast_link_local)
    }

    /// Says whether a host is on the link of an interface: link-local, or within the prefix of one of its own addresses.
    pub fn is_on_link(&self, index: u32, host: IpAddr) -> bool {
        let Some(view) = self.links.get(&index) else { return false };
        let is_link_local = matches!(host, IpAddr::V6(host) if host.is_unicast_link_local());
        is_link_local || view.own.iter().any(|own| is_within(host, own.place.address, own.place.prefix_len))
    }

    /// Says whether some interface of this host has this hardware address.
    pub fn is_own_mac(&self, mac: &[u8; 6]) -> bool {
        self.links.values().any(|view| view.link.mac.as_ref() == Some(mac))
    }

    /// Returns the address at a place, whoever added it.
    pub fn address(&self, place: &Place) -> Option<&Address> {
        let view = self.links.get(&place.interface)?;
        let vip = view.vips.get(&(place.address, place.prefix_len));
        vip.or_else(|| view.own.iter().find(|address| address.place == *place))
    }

    /// Returns the addresses that carry our mark, and those without it where a VIP of ours belongs, in no order.
    ///
    /// The latter are what another daemon for the same address left behind when it was killed.
    pub fn ours(&self) -> impl Iterator<Item = Place> + '_ {
        let vips = self.links.values().flat_map(|view| view.vips.values().map(|address| (&view.link.name, address)));
        let is_ours = |(name, address): &(&String, &Address)| {
            let Place { address: vip, prefix_len, .. } = address.place;
            let home = self.watch.homes.get(*name);
            address.protocol == OUR_PROTOCOL || home.is_some_and(|home| home.contains(&(vip, prefix_len)))
        };
        vips.filter(is_ours).map(|(_, address)| address.place)
    }

    fn apply_link(&mut self, link: Link, changes: &mut Vec<Change>) {
        let before = match self.links.get_mut(&link.index) {
            Some(view) => Some(std::mem::replace(&mut view.link, link.clone())),
            None => {
                self.links.insert(link.index, View::new(link.clone()));
                None
            }
        };
        let shown = |link: &Link| (link.is_up, link.is_running, link.mac);
        if before.as_ref().is_some_and(|before| before.name == link.name && shown(before) == shown(&link)) {
            return;
        }
        if let Some(before) = before
            && before.name != link.name
        {
            if self.by_name.get(&before.name) == Some(&link.index) {
                self.by_name.remove(&before.name);
            }
            self.touch(before.name, changes);
        }
        self.by_name.insert(link.name.clone(), link.index);
        self.touch(link.name, changes);
    }

    fn apply_address(&mut self, address: Address, changes: &mut Vec<Change>) {
        let Some(view) = self.links.get_mut(&address.place.interface) else { return };
        if self.echoes.contains_key(&address.place) {
            // Told of before the deletion that we know to have happened.
            return;
        }
        if is_vip(&address, &self.watch) {
            view.own.retain(|own| own.place != address.place);
            view.vips.insert((address.place.address, address.place.prefix_len), address);
        } else {
            view.vips.remove(&(address.place.address, address.place.prefix_len));
            view.place_own(address);
            self.mark_dirty(&address.place);
        }
        changes.push(Change::Address(address));
    }

    /// Takes an address out of the view; false when it was not in it.
    fn forget(&mut self, place: &Place) -> bool {
        let Some(view) = self.links.get_mut(&place.interface) else { return false };
        if view.vips.remove(&(place.address, place.prefix_len)).is_some() {
            return true;
        }
        let Some(at) = view.own.iter().position(|address| address.place == *place) else { return false };
        view.own.remove(at);
        self.mark_dirty(place);
        true
    }

    fn mark_dirty(&mut self, place: &Place) {
        if self.watch.sources.contains(&place.address) {
            self.dirty.extend(self.watch.interfaces.iter().cloned());
            return;
        }
        if let Some(view) = self.links.get(&place.interface)
            && self.watch.interfaces.contains(&view.link.name)
        {
            self.dirty.insert(view.link.name.clone());
        }
    }

    fn touch(&mut self, name: String, changes: &mut Vec<Change>) {
        if self.watch.interfaces.contains(&name) {
            self.dirty.insert(name.clone());
        }
        changes.push(Change::Link(name));
    }
}

impl View {
    fn new(link: Link) -> Self {
        Self { link, own: Vec::new(), vips: FxHashMap::default() }
    }

    /// Puts an own address where the kernel puts it.
    fn place_own(&mut self, address: Address) {
        if let Some(known) = self.own.iter_mut().find(|own| own.place == address.place)
            && known.is_secondary == address.is_secondary
        {
            *known = address;
            return;
        }
        self.own.retain(|own| own.place != address.place);
        let at = match address.place.address {
            IpAddr::V4(_) if address.is_secondary => self.own.len(),
            // Behind the last primary address of at least its scope.
            IpAddr::V4(_) => {
                let before =
                    |own: &Address| own.place.address.is_ipv4() && !own.is_secondary && own.scope >= address.scope;
                self.own.iter().rposition(before).map_or(0, |at| at + 1)
            }
            // In front of the first whose scope is not wider.
            IpAddr::V6(new) => {
                let behind = |own: &Address| match own.place.address {
                    IpAddr::V6(own) => reach(own) <= reach(new),
                    IpAddr::V4(_) => false,
                };
                self.own.iter().position(behind).unwrap_or(self.own.len())
            }
        };
        self.own.insert(at, address);
    }

    /// Moves addresses between own and VIPs after what is watched changed.
    fn sort_out(&mut self, vips: &Watch) {
        let (to_vips, own) = std::mem::take(&mut self.own).into_iter().partition(|address| is_vip(address, vips));
        self.own = own;
        let mut to_own: Vec<Address> = self.vips.values().filter(|address| !is_vip(address, vips)).copied().collect();
        to_own.sort_by_key(|address| address.place);
        let to_vips: Vec<Address> = to_vips;
        for address in to_own {
            self.vips.remove(&(address.place.address, address.place.prefix_len));
            self.place_own(address);
        }
        for address in to_vips {
            self.vips.insert((address.place.address, address.place.prefix_len), address);
        }
    }
}

/// Says whether an address is a VIP and not the interface's own.
fn is_vip(address: &Address, watch: &Watch) -> bool {
    let ip = &address.place.address;
    watch.vips.contains(ip) || (address.protocol == OUR_PROTOCOL && !watch.fixed.contains(ip))
}

/// Returns how far an IPv6 address reaches, in the numbers of multicast scopes by which the kernel sorts.
fn reach(address: Ipv6Addr) -> u8 {
    if address.is_loopback() {
        1
    } else if address.is_unicast_link_local() {
        2
    } else {
        14
    }
}

/// Says whether two addresses have the same first bits; never for those of different families.
pub fn is_within(one: IpAddr, other: IpAddr, prefix_len: u8) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(prefix_len)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros() >= u32::from(prefix_len)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Says whether an interface is as it was, but for addresses that it has no more.
fn has_lost(before: &Interface, after: &Interface) -> bool {
    let is_same = before.index == after.index && before.is_up && after.is_up && before.elsewhere == after.elsewhere;
    let has_nothing_new = after.addresses.iter().all(|address| before.addresses.contains(address));
    is_same && has_nothing_new && before.addresses.len() > after.addresses.len()
}

#[cfg(test)]
mod tests;
