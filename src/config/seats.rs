//! Who takes part in an instance, and how they reach each other.
//!
//! Either a list of all nodes, from which each host picks its seat later (`placement`), or the one seat of this host.
//! One stop before: `schema`; one stop after: `resolve`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::address;
use super::error::{AddressError, Doubt, SeatsError, ValueError, excerpt};
use super::placement::{Node, TtlRange, unicast_to_others};
use super::problem::Report;
use super::resolve::{group_of, name, priority, ttl};
use super::schema::{self, Multicast};
use super::source::{Place, Written};
use super::table::Key;
use crate::engine::params::{PeerParams, Transport};
use crate::wire::field::{Family, Priority, Version};

/// The seats of an instance, as far as they are right.
pub(super) struct Seats {
    /// The nodes of the list, or this host alone.
    pub members: Vec<Member>,
    /// Family of the node addresses; `None` when there are none.
    pub family: Option<Family>,
    /// False when the addresses are of both, which was reported.
    pub has_one_family: bool,
    is_list: bool,
    peers: Vec<Written<PeerParams>>,
    /// Multicast was said; with a group of its own or not.
    multicast: Option<Written<Option<IpAddr>>>,
    /// The same of `also_multicast`.
    also: Option<Written<Option<IpAddr>>>,
    ttl: TtlRange,
}

/// One node.
pub(super) struct Member {
    /// Its table, or the instance's.
    pub place: Place,
    /// Its name in the list.
    pub name: Option<Written<String>>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Where that is written.
    pub address_place: Place,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Where that is written, or the table.
    pub priority_place: Place,
}

/// Checks nodes, peers and multicast group of an instance.
pub(super) fn resolve(written: &schema::Instance<'_>, strict: Option<bool>, report: &mut Report<'_>) -> Seats {
    let multicast = group("multicast", &written.multicast, report);
    let also = group("also_multicast", &written.also_multicast, report);
    if let (Some(also), Some(_)) = (&also, &multicast) {
        report.error(also.place, SeatsError::AlsoMulticastOnly);
    }
    let is_strict = strict == Some(true);
    if multicast.is_some() {
        for (key, written) in [("min_ttl", &written.min_ttl), ("max_ttl", &written.max_ttl)] {
            if let Some(written) = written.here() {
                report.error(written.place, SeatsError::TtlOfMulticast { key });
            }
        }
    }
    let default = TtlRange { min: is_strict.then_some(u8::MAX), max: None };
    let ttl = ttl_range(&written.min_ttl, &written.max_ttl, default, is_strict, report);
    let is_list = written.nodes.is_written();
    let members = if is_list { listed(written, report) } else { vec![own(written, report)] };
    let peers = if is_list { Vec::new() } else { peers(written, ttl, is_strict, report) };
    let mut seats = Seats { members, family: None, has_one_family: true, is_list, peers, multicast, also, ttl };
    seats.find_family(report);
    check_destination(written, &seats, report);
    seats.check_twice(report);
    seats.check_priorities(report);
    seats
}

impl Seats {
    /// Says whether adverts go to a group, alone or beside the peers.
    pub fn reaches_group(&self) -> bool {
        self.multicast.is_some() || self.also.is_some()
    }

    /// Returns how the seat `at` reaches the others. `family`: of the adverts.
    pub fn transport(&self, at: usize, family: Family) -> Transport {
        let address = |group: &Written<Option<IpAddr>>| group.value.unwrap_or(group_of(family));
        let also = self.also.as_ref().map(address);
        match &self.multicast {
            Some(group) => Transport::Multicast { group: address(group) },
            None if self.is_list => unicast_to_others(&self.nodes(), at, self.ttl, also),
            None => Transport::Unicast { peers: self.peers.iter().map(|peer| peer.value.clone()).collect(), also },
        }
    }

    /// Returns the node list; empty when the file holds this host's seat alone.
    pub fn into_nodes(self) -> Vec<Node> {
        if self.is_list { self.nodes() } else { Vec::new() }
    }

    /// Says whether the file lists all nodes.
    pub fn has_list(&self) -> bool {
        self.is_list
    }

    /// Returns the nodes, or this host alone, each as shown with its priority.
    pub fn shown_priorities(&self) -> Vec<(String, u8)> {
        let seat = |party: Party| Some((party.shown, party.priority?.get()));
        self.parties().take(self.members.len()).filter_map(seat).collect()
    }

    /// Returns every address whose node's priority is known.
    pub fn addresses_with_priority(&self) -> impl Iterator<Item = (IpAddr, Priority)> + '_ {
        self.parties().filter_map(|party| Some((party.address?, party.priority?)))
    }

    /// Reports a group or a source that does not fit multicast of this family.
    pub fn check_group(&self, family: Option<Family>, report: &mut Report<'_>) {
        let (Some(group), Some(family)) = (self.multicast.as_ref().or(self.also.as_ref()), family) else { return };
        if group.value.is_some_and(|address| Family::of(&address) != family) {
            report.error(group.place, SeatsError::GroupOfOtherFamily { family });
        }
        // A peer is known by the source of its adverts to the group.
        let peers = self.peers.iter().filter(|_| self.also.is_some()).map(|peer| (peer.value.address, peer.place));
        let members = self.members.iter().filter_map(|member| Some((member.address?, member.address_place)));
        for (address, place) in members.chain(peers) {
            if address.is_ipv6() && !address::is_link_local(&address) {
                report.error(place, SeatsError::MulticastSourceNotLinkLocal { address });
            }
        }
    }

    /// Warns of backups that would take over so shortly after each other that both may.
    ///
    /// Of two nodes one is master, and nobody competes with the backup; an owner is never backup for long. RFC 9568
    /// section 8.3.2.
    pub fn check_skews(&self, version: Version, interval: Duration, report: &mut Report<'_>) {
        if self.parties().count() < 3 {
            return;
        }
        let base = match version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => interval,
        };
        let mut parties: Vec<_> = self
            .parties()
            .filter_map(|party| Some((party.priority?, party)))
            .filter(|(priority, _)| !priority.is_owner())
            .collect();
        parties.sort_by_key(|(priority, _)| *priority);
        for ((priority, worse), (above, better)) in parties.iter().zip(parties.iter().skip(1)) {
            let apart = base * u32::from(above.get() - priority.get()) / 256;
            // Equal ones have a warning of their own.
            if apart < SKEWS_APART && above != priority {
                let needed = (SKEWS_APART.as_nanos() * 256).div_ceil(base.as_nanos().max(1));
                let doubt = Doubt::CloseSkews {
                    better: better.shown.clone(),
                    better_line: report.line(better.place),
                    apart,
                    needed: u8::try_from(needed).unwrap_or(u8::MAX),
                };
                report.warn(worse.place, doubt);
            }
        }
    }

    fn nodes(&self) -> Vec<Node> {
        let node = |member: &Member| {
            let name = member.name.as_ref().map(|name| name.value.clone());
            Some(Node { name, address: member.address?, priority: member.priority? })
        };
        self.members.iter().filter_map(node).collect()
    }

    /// Finds the family of the node addresses and reports those of the other one.
    fn find_family(&mut self, report: &mut Report<'_>) {
        let members = self.members.iter().filter_map(|member| Some((member.address?, member.address_place)));
        let peers = self.peers.iter().map(|peer| (peer.value.address, peer.place));
        for (address, place) in members.chain(peers) {
            match self.family {
                None => self.family = Some(Family::of(&address)),
                Some(family) if family == Family::of(&address) => {}
                Some(family) => {
                    self.has_one_family = false;
                    report.error(place, SeatsError::MixedFamilies { address, family });
                }
            }
        }
        if self.family.is_none() {
            self.family = self.multicast.and_then(|group| group.value).map(|group| Family::of(&group));
        }
    }

    /// Reports names and addresses that are there twice.
    fn check_twice(&self, report: &mut Report<'_>) {
        let mut names: BTreeMap<&str, Place> = BTreeMap::new();
        let mut addresses: BTreeMap<IpAddr, Place> = BTreeMap::new();
        for member in &self.members {
            if let Some(name) = &member.name
                && let Some(first) = names.insert(&name.value, name.place)
            {
                let what = format!("the name {:?}", name.value);
                report.error(name.place, SeatsError::Twice { what, first_line: report.line(first) });
            }
            if let Some(address) = member.address
                && let Some(first) = addresses.insert(address, member.address_place)
            {
                let what = address.to_string();
                report.error(member.address_place, SeatsError::Twice { what, first_line: report.line(first) });
            }
        }
        for peer in &self.peers {
            let address = peer.value.address;
            match addresses.insert(address, peer.place) {
                None => {}
                Some(_) if self.members.iter().any(|member| member.address == Some(address)) => {
                    report.error(peer.place, SeatsError::PeerIsSource);
                }
                Some(first) => {
                    let first_line = report.line(first);
                    report.error(peer.place, SeatsError::Twice { what: address.to_string(), first_line });
                }
            }
        }
    }

    /// Reports two owners, and warns of two nodes with one priority.
    fn check_priorities(&self, report: &mut Report<'_>) {
        let mut seen: BTreeMap<Priority, Party> = BTreeMap::new();
        for party in self.parties() {
            let Some(priority) = party.priority else { continue };
            let Some(first) = seen.get(&priority) else {
                seen.insert(priority, party);
                continue;
            };
            let first_line = report.line(first.place);
            if priority.is_owner() {
                report.error(party.place, SeatsError::TwoOwners { first_line });
            } else if let (Some(address), Some(other)) = (party.address, first.address) {
                let (first, winner) = (first.shown.clone(), address.max(other));
                report.warn(party.place, Doubt::EqualPriorities { first, first_line, priority, winner });
            }
        }
    }

    /// Returns members and peers alike.
    fn parties(&self) -> impl Iterator<Item = Party> + '_ {
        let members = self.members.iter().map(|member| {
            let address = member.address.map_or_else(|| "this node".to_owned(), |address| address.to_string());
            let shown = member.name.as_ref().map_or(address, |name| format!("{:?}", name.value));
            Party { shown, place: member.priority_place, address: member.address, priority: member.priority }
        });
        let peers = self.peers.iter().map(|peer| Party {
            shown: peer.value.address.to_string(),
            place: peer.place,
            address: Some(peer.value.address),
            priority: peer.value.priority,
        });
        members.chain(peers)
    }
}

/// A node or a peer, for comparing.
struct Party {
    shown: String,
    place: Place,
    address: Option<IpAddr>,
    priority: Option<Priority>,
}

/// Reads `multicast` or `also_multicast`.
fn group(key: &'static str, written: &Key<Multicast<'_>>, report: &mut Report<'_>) -> Option<Written<Option<IpAddr>>> {
    let written = written.here()?;
    match written.value {
        Multicast::Said(false) => None,
        Multicast::Said(true) => Some(Written { value: None, place: written.place }),
        Multicast::Group(text) => {
            let group = address::group(text);
            if let Err(error) = group {
                report.error(written.place, ValueError::Address { key, found: excerpt(text), error });
            }
            Some(Written { value: group.ok(), place: written.place })
        }
    }
}

/// Reads `min_ttl` and `max_ttl` of an instance or a peer; `default` holds where nothing is written.
fn ttl_range(min: &Key<i64>, max: &Key<i64>, default: TtlRange, is_strict: bool, report: &mut Report<'_>) -> TtlRange {
    let mut bound = |key, written: &Key<i64>, default: Option<u8>| {
        let ttl = ttl(key, written, report)?;
        if let (Some(written), Some(ttl)) = (written.here(), ttl)
            && is_strict
            && ttl < u8::MAX
        {
            report.error(written.place, SeatsError::TtlBelowStrict { key });
            return None;
        }
        ttl.or(default)
    };
    let range = TtlRange { min: bound("min_ttl", min, default.min), max: bound("max_ttl", max, default.max) };
    if let (Some(min_ttl), Some(max_ttl), Some(place)) =
        (range.min, range.max, max.here().or(min.here()).map(|written| written.place))
        && min_ttl > max_ttl
    {
        report.error(place, SeatsError::MinTtlAboveMax { min: min_ttl, max: max_ttl });
    }
    range
}

fn listed(written: &schema::Instance<'_>, report: &mut Report<'_>) -> Vec<Member> {
    for (key, place) in [
        ("source", written.source.here().map(|key| key.place)),
        ("priority", written.priority.here().map(|key| key.place)),
        ("peers", written.peers.here().map(|key| key.place)),
    ] {
        if let Some(place) = place {
            report.error(place, SeatsError::NodesAndOwnKey { key });
        }
    }
    let Some(nodes) = written.nodes.here() else { return Vec::new() };
    let member = |node: &schema::Node<'_>, report: &mut Report<'_>| Member {
        place: node.place,
        name: node
            .name
            .here()
            .and_then(|written| Some(Written { value: name("name", written, report)?, place: written.place })),
        address: node.address.here().and_then(|written| host("address", written, report)),
        address_place: node.address.here().map_or(node.place, |written| written.place),
        priority: priority(&node.priority, report),
        priority_place: node.priority.here().map_or(node.place, |written| written.place),
    };
    nodes.value.items.iter().map(|node| member(node, report)).collect()
}

fn own(written: &schema::Instance<'_>, report: &mut Report<'_>) -> Member {
    let place = written.name.place;
    Member {
        place,
        name: None,
        address: written.source.here().and_then(|source| host("source", source, report)),
        address_place: written.source.here().map_or(place, |source| source.place),
        priority: priority(&written.priority, report),
        priority_place: written.priority.here().map_or(place, |priority| priority.place),
    }
}

fn peers(
    written: &schema::Instance<'_>,
    default: TtlRange,
    is_strict: bool,
    report: &mut Report<'_>,
) -> Vec<Written<PeerParams>> {
    let Some(list) = written.peers.here() else { return Vec::new() };
    let peer = |peer: &schema::Peer<'_>, report: &mut Report<'_>| {
        let address = host("peers", &peer.address, report);
        let ttl = ttl_range(&peer.min_ttl, &peer.max_ttl, default, is_strict, report);
        let priority = match peer.priority.is_written() {
            true => Some(priority(&peer.priority, report)?),
            false => None,
        };
        let value = PeerParams { address: address?, priority, min_ttl: ttl.min, max_ttl: ttl.max };
        Some(Written { value, place: peer.address.place })
    };
    list.value.items.iter().filter_map(|entry| peer(entry, report)).collect()
}

fn host(key: &'static str, written: &Written<&str>, report: &mut Report<'_>) -> Option<IpAddr> {
    let parsed: Result<IpAddr, AddressError> = address::host(written.value);
    if let Err(error) = parsed {
        report.error(written.place, ValueError::Address { key, found: excerpt(written.value), error });
    }
    parsed.ok()
}

/// Reports an instance whose adverts would reach nobody, or too many.
fn check_destination(written: &schema::Instance<'_>, seats: &Seats, report: &mut Report<'_>) {
    let is_said = written.multicast.here().is_some_and(|multicast| !matches!(multicast.value, Multicast::Said(false)));
    // An unusable `multicast` was reported and may have meant either.
    let is_unclear = written.multicast.is_written() && written.multicast.here().is_none();
    match (written.nodes.here(), written.peers.here()) {
        (Some(nodes), _) => {
            let is_lonely = nodes.value.is_complete && nodes.value.items.len() < 2;
            if is_lonely && !is_said && !is_unclear {
                let place = seats.members.first().map_or(nodes.place, |member| member.place);
                report.error(place, SeatsError::LonelyNode);
            }
        }
        (None, Some(peers)) if is_said => report.error(peers.place, SeatsError::PeersAndMulticast),
        (None, Some(peers)) => {
            if peers.value.is_complete && peers.value.items.is_empty() && !is_unclear {
                report.error(peers.place, SeatsError::NoDestination);
            }
        }
        (None, None) => {
            let is_clear = !written.nodes.is_written() && !written.peers.is_written() && !is_unclear;
            if is_clear && !is_said {
                report.error(written.name.place, SeatsError::NoDestination);
            }
        }
    }
}

/// How much later than the better backup a worse one must be due to hear it first: a takeover comes 0.2 ms after its
/// deadline as a rule, and the advert needs its way.
const SKEWS_APART: Duration = Duration::from_millis(1);
