//! The virtual addresses of an instance.
//!
//! Decides which of them travel in adverts. One stop before: `schema`; one stop after: `cross`, which compares them
//! with those of other instances.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::address;
use super::error::{AddressError, Doubt, ValueError, VipError, excerpt};
use super::problem::Report;
use super::resolve::{ADVERTISED_MAX, LABEL_MAX, byte, interface, is_plain, length, unfit, unknown_word};
use super::schema::{self, Address, Items};
use super::source::{Place, Written};
use super::table::Key;
use crate::engine::params::{Scope, Vip, VipOptions};
use crate::wire::field::{Family, Version};

/// The usable addresses.
pub(super) struct Vips {
    /// In written order.
    pub list: Vec<Written<Vip>>,
}

/// Returns the family that the addresses ask for: that of the first one that is not kept out of the adverts.
pub(super) fn leading_family(written: &schema::Instance<'_>) -> Option<Family> {
    let list = &written.addresses.here()?.value;
    let family = |entry: &Address<'_>| Some(Family::of(&address::prefixed(entry.address.value).ok()?.0));
    let advertised = |entry: &&Address<'_>| entry.advertise.here().is_none_or(|advertise| advertise.value);
    list.items.iter().find(advertised).or(list.items.first()).and_then(family)
}

/// Checks every address, and the list as a whole where all of it is usable.
pub(super) fn resolve(
    written: &Key<Items<Address<'_>>>,
    family: Option<Family>,
    version: Option<Version>,
    report: &mut Report<'_>,
) -> Vips {
    let Some(Written { value: Items { items, is_complete }, place }) = written.here() else {
        return Vips { list: Vec::new() };
    };
    let mut list = Vec::with_capacity(items.len());
    for entry in items {
        if let Some(value) = vip(entry, family, report) {
            list.push(Written { value, place: entry.address.place });
        }
    }
    check_twice(&list, report);
    if items.is_empty() && *is_complete && version == Some(Version::V2) {
        report.warn(*place, Doubt::NothingMoves);
    } else if items.is_empty() && *is_complete {
        report.error(
            *place,
            ValueError::Unfit {
                key: "addresses",
                found: "an empty list".to_owned(),
                expected: "at least one address such as \"10.0.0.30\"",
            },
        );
    } else if let (true, Some(family), Some(version)) = (*is_complete && list.len() == items.len(), family, version) {
        check_advertised(&list, *place, family, version, report);
    }
    Vips { list }
}

fn vip(written: &Address<'_>, family: Option<Family>, report: &mut Report<'_>) -> Option<Vip> {
    let place = written.address.place;
    let parsed = address::prefixed(written.address.value);
    if let Err(error) = parsed {
        let found = excerpt(written.address.value);
        report.error(place, ValueError::Address { key: "addresses", found, error });
    }
    let (address, prefix_len) = parsed.ok().unzip();
    let is_v6 = address.is_some_and(|address: IpAddr| address.is_ipv6());
    if let (Some(address), Some(prefix_len)) = (address, prefix_len)
        && let Some(kind) = address::special_kind(&address, prefix_len)
    {
        report.warn(place, Doubt::NoHostAddress { address, prefix_len, kind });
    }
    let own_interface = written.interface.and_then(|name| interface("interface", name, report));
    let advertise = advertise(written, address, family, report);
    for (key, option) in
        [("label", written.label.here().map(|w| w.place)), ("broadcast", written.broadcast.here().map(|w| w.place))]
    {
        if let (true, Some(place)) = (is_v6, option) {
            report.error(place, VipError::Ipv4Only { key });
        }
    }
    if let (true, Some(scope)) = (is_v6, written.scope.here()) {
        report.error(scope.place, VipError::Ipv4Only { key: "scope" });
    }
    let label = written.label.and_then(|label| {
        let is_fit = is_plain(label.value, LABEL_MAX);
        is_fit
            .then(|| label.value.to_owned())
            .or_else(|| unfit("label", label, "a label of 1 to 15 bytes without blanks", report))
    });
    let broadcast = written.broadcast.and_then(|text| broadcast(text, report));
    let scope = written.scope.and_then(|written| scope(written, report));
    Some(Vip {
        address: address?,
        prefix_len: prefix_len?,
        interface: own_interface.optional()?,
        advertise: advertise?,
        label: label.optional()?,
        broadcast: broadcast.optional()?,
        scope: scope.or(Scope::Global)?,
        options: options(&written.options, address, report)?,
    })
}

/// Reads what few addresses have; `address`: whose.
fn options(
    written: &schema::AddressOptions<'_>,
    address: Option<IpAddr>,
    report: &mut Report<'_>,
) -> Option<VipOptions> {
    let is_v6 = address.is_some_and(|address| address.is_ipv6());
    let peer = written.peer.and_then(|text| {
        let peer = address::host(text.value).map_err(|error| (excerpt(text.value), error));
        match peer {
            Ok(peer) if address.is_none_or(|address| address.is_ipv6() == peer.is_ipv6()) => Some(peer),
            Ok(_) => unfit("peer", text, "an address of the same family", report),
            Err((found, error)) => {
                report.error(text.place, ValueError::Address { key: "peer", found, error });
                None
            }
        }
    });
    let preferred_lifetime = written.preferred_lifetime.and_then(|text| {
        let length = length("preferred_lifetime", text, report)?;
        let seconds = u32::try_from(length.as_secs()).ok().filter(|_| length.subsec_nanos() == 0);
        seconds.or_else(|| unfit("preferred_lifetime", text, "whole seconds", report))
    });
    for (key, place) in [
        ("preferred_lifetime", written.preferred_lifetime.here().map(|written| written.place)),
        ("dad", written.dad.here().map(|written| written.place)),
        ("home", written.home.here().map(|written| written.place)),
        ("mngtmpaddr", written.mngtmpaddr.here().map(|written| written.place)),
    ] {
        if let (true, Some(place)) = (address.is_some() && !is_v6, place) {
            report.error(place, VipError::Ipv6Only { key });
        }
    }
    Some(VipOptions {
        peer: peer.optional()?,
        preferred_lifetime: preferred_lifetime.optional()?,
        detects_duplicates: written.dad.clone().or(false)?,
        is_home: written.home.clone().or(false)?,
        manages_temporary: written.mngtmpaddr.clone().or(false)?,
        has_no_route: written.noprefixroute.clone().or(false)?,
        joins_group: written.autojoin.clone().or(false)?,
        is_untracked: written.no_track.clone().or(false)?,
    })
}

/// Decides whether an address travels in adverts; those of the other family never do.
fn advertise(
    written: &Address<'_>,
    address: Option<IpAddr>,
    family: Option<Family>,
    report: &mut Report<'_>,
) -> Option<bool> {
    let address = address?;
    // Where the family is unknown, that was reported; the address still is compared with others.
    let family = family.unwrap_or(Family::of(&address));
    let is_ours = Family::of(&address) == family;
    match written.advertise.here() {
        Some(advertise) if advertise.value && !is_ours => {
            report.error(advertise.place, VipError::OtherFamilyAdvertised { address, family });
            None
        }
        _ => written.advertise.clone().or(is_ours),
    }
}

fn broadcast(written: &Written<&str>, report: &mut Report<'_>) -> Option<Ipv4Addr> {
    let parsed = written.value.parse();
    if parsed.is_err() {
        let error = AddressError::NotAnAddress;
        let found = excerpt(written.value);
        report.error(written.place, ValueError::Address { key: "broadcast", found, error });
    }
    parsed.ok()
}

fn scope(written: &Written<schema::Scope<'_>>, report: &mut Report<'_>) -> Option<Scope> {
    match written.value {
        schema::Scope::Word(word) => match word {
            "global" => Some(Scope::Global),
            "site" => Some(Scope::Site),
            "link" => Some(Scope::Link),
            "host" => Some(Scope::Host),
            _ => {
                let word = Written { value: word, place: written.place };
                unknown_word("scope", &word, &["global", "site", "link", "host"], report)
            }
        },
        schema::Scope::Number(value) => {
            let number = Written { value, place: written.place };
            // The kernel's numbers; 255 is "nowhere", which no address can have.
            match byte("scope", &number, 0..=254, "a word, or a number from 0 to 254", report)? {
                0 => Some(Scope::Global),
                200 => Some(Scope::Site),
                253 => Some(Scope::Link),
                254 => Some(Scope::Host),
                other => Some(Scope::Other(other)),
            }
        }
    }
}

fn check_twice(list: &[Written<Vip>], report: &mut Report<'_>) {
    let mut seen: BTreeMap<(IpAddr, Option<&str>), Place> = BTreeMap::new();
    for vip in list {
        let address = vip.value.address;
        // A link-local address may be there once on each link.
        let link = vip.value.interface.as_deref().filter(|_| address::is_link_local(&address));
        match seen.get(&(address, link)) {
            Some(first) => {
                let first_line = report.line(*first);
                report.error(vip.place, VipError::Twice { address, first_line });
            }
            None => {
                seen.insert((address, link), vip.place);
            }
        }
    }
}

fn check_advertised(list: &[Written<Vip>], place: Place, family: Family, version: Version, report: &mut Report<'_>) {
    if list.len() > usize::from(u16::MAX) {
        report.error(place, VipError::TooManyAddresses { count: list.len() });
    }
    let mut advertised = list.iter().filter(|vip| vip.value.advertise);
    let first = advertised.next();
    let count = advertised.count() + usize::from(first.is_some());
    match (first, version) {
        (None, Version::V3) => report.error(place, VipError::NothingAdvertised { family }),
        // Version 2 receivers take an empty list.
        (None, Version::V2) => {}
        (Some(_), Version::V2 | Version::V3) if count > ADVERTISED_MAX => {
            report.error(place, VipError::TooManyAdvertised { count });
        }
        (Some(first), Version::V2 | Version::V3) => {
            let address = first.value.address;
            if family == Family::V6 && !address::is_link_local(&address) {
                report.warn(first.place, Doubt::FirstNotLinkLocal { address });
            }
        }
    }
}
