//! Entries of `virtual_ipaddress`, `virtual_ipaddress_excluded` and `static_ipaddress`.
//!
//! One stop before: a list of the tree; one stop after: `finish`, which decides what is advertised.

use std::net::{IpAddr, Ipv4Addr};

use super::remark::Remark;
use super::report::{At, Report};
use super::tree::Node;
use super::value::{self, is_interface, unfit};
use crate::engine::params::{Scope, Vip};
use crate::wire::field::Family;

/// An address as it is written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The address; `advertise` is decided later.
    pub vip: Vip,
    /// No prefix length was written.
    pub is_bare: bool,
}

/// Reads one entry; `None` when it was reported.
pub(super) fn read(node: &Node, report: &mut Report) -> Option<At<Entry>> {
    let mut words = node.entry().peekable();
    let first = words.next()?;
    let (text, len) = match first.value.split_once('/') {
        Some((text, len)) => (text, Some(len)),
        None => (first.value, None),
    };
    let address = value::host(At { value: text, spot: first.spot }, "address", "left out, with its options", report)?;
    let longest = Family::of(&address).max_prefix_len();
    let prefix_len = match len {
        None => longest,
        Some(len) => len.parse().ok().filter(|len| (1..=longest).contains(len)).unwrap_or_else(|| {
            let word = At { value: first.value.to_owned(), spot: first.spot };
            let expected = format!("a prefix length from 1 to {longest}");
            unfit::<()>("address", &word, expected, "the longest is taken", report);
            longest
        }),
    };
    let mut vip = plain(address, prefix_len);
    // An address without a network is no source for connections of this host.
    vip.options.preferred_lifetime = (address.is_ipv6() && prefix_len == longest).then_some(0);
    while let Some(word) = words.next() {
        let option = word.value;
        match flag(option, &mut vip) {
            Flag::Taken => continue,
            Flag::NotApplied(effect) => {
                report.remark(word.spot, Remark::NotApplied { keyword: option.to_owned(), effect });
                if option == "track_group" {
                    words.next();
                }
                continue;
            }
            Flag::Minor(effect) => {
                report.remark(word.spot, Remark::Minor { keyword: option.to_owned(), effect });
                continue;
            }
            Flag::Unknown => {}
        }
        let is_known = matches!(option, "dev" | "brd" | "broadcast" | "scope" | "label" | "peer" | "preferred_lft");
        let given = words.next_if(|_| is_known);
        let Some(given) = given.map(|given| At { value: given.value.to_owned(), spot: given.spot }) else {
            let words = super::remark::excerpt(option);
            report.remark(word.spot, Remark::ExtraWords { keyword: first.value.to_owned(), words });
            continue;
        };
        if !with_value(option, &given, &mut vip, report) {
            return None;
        }
    }
    Some(At { value: Entry { vip, is_bare: len.is_none() }, spot: first.spot })
}

/// Reads an entry of `static_ipaddress`, which belongs to no instance; `None` when it was reported.
pub(super) fn read_fixed(node: &Node, default_interface: Option<&str>, report: &mut Report) -> Option<Vip> {
    let mut vip = read(node, report)?.value.vip;
    if vip.interface.is_none() {
        let text = "no `dev`: default_interface, else eth0, carries this address; write `dev`";
        report.remark(node.spot, Remark::Contradiction { text });
        vip.interface = Some(default_interface.unwrap_or("eth0").to_owned());
    }
    Some(vip)
}

/// Returns an address without options.
fn plain(address: IpAddr, prefix_len: u8) -> Vip {
    Vip {
        address,
        prefix_len,
        interface: None,
        advertise: false,
        label: None,
        broadcast: None,
        scope: Scope::Global,
        options: Default::default(),
    }
}

enum Flag {
    Taken,
    NotApplied(&'static str),
    Minor(&'static str),
    Unknown,
}

fn flag(option: &str, vip: &mut Vip) -> Flag {
    let options = &mut vip.options;
    match option {
        "home" | "mngtmpaddr" | "-nodad" if vip.address.is_ipv4() => {
            return Flag::NotApplied("only IPv6 addresses have it");
        }
        "home" => options.is_home = true,
        "mngtmpaddr" => options.manages_temporary = true,
        "noprefixroute" => options.has_no_route = true,
        "autojoin" => options.joins_group = true,
        "-nodad" => options.detects_duplicates = true,
        "no_track" => {
            options.is_untracked = true;
            return Flag::Minor("its interface is not tracked; removed by somebody else it is put back all the same");
        }
        "use_vmac" => return Flag::NotApplied("no virtual MAC: the address keeps the interface's own"),
        "track_group" => {
            return Flag::NotApplied("static entries are put back, and their loss takes no instance to FAULT");
        }
        _ => return Flag::Unknown,
    }
    Flag::Taken
}

/// Takes in an option; false when the whole address is left out.
fn with_value(option: &str, given: &At<String>, vip: &mut Vip, report: &mut Report) -> bool {
    let is_v6 = vip.address.is_ipv6();
    if is_v6 && matches!(option, "brd" | "broadcast" | "scope" | "label") {
        unfit::<()>(option, given, "an IPv4 address in front of it".to_owned(), "ignored", report);
        return true;
    }
    if !is_v6 && option == "preferred_lft" {
        unfit::<()>(option, given, "an IPv6 address in front of it".to_owned(), "ignored", report);
        return true;
    }
    match option {
        "dev" => {
            if !is_interface(&given.value) {
                let expected = "the name of an interface".to_owned();
                unfit::<()>(option, given, expected, "the address is left out", report);
                return false;
            }
            vip.interface = Some(given.value.clone());
        }
        "label" => {
            if !crate::config::resolve::is_plain(&given.value, 15) {
                let expected = "a label of at most 15 bytes".to_owned();
                unfit::<()>(option, given, expected, "the address is left out, as by Keepalived", report);
                return false;
            }
            vip.label = Some(given.value.clone());
        }
        "brd" | "broadcast" => {
            vip.broadcast = broadcast(&given.value, vip);
            if vip.broadcast.is_none() {
                unfit::<()>(option, given, "an IPv4 address, + or -".to_owned(), "ignored", report);
            }
        }
        "scope" => match scope(&given.value) {
            Some(scope) => vip.scope = scope,
            None => {
                let expected = "global, site, link, host or a number from 0 to 254".to_owned();
                unfit::<()>(option, given, expected, "global is taken", report);
            }
        },
        "preferred_lft" => match given.value.parse() {
            Ok(seconds) => vip.options.preferred_lifetime = Some(seconds),
            Err(_) if given.value == "forever" => vip.options.preferred_lifetime = None,
            Err(_) => {
                unfit::<()>(option, given, "seconds or `forever`".to_owned(), "ignored", report);
            }
        },
        _ => peer(given, vip, report),
    }
    true
}

fn peer(given: &At<String>, vip: &mut Vip, report: &mut Report) {
    let (text, len) = match given.value.split_once('/') {
        Some((text, len)) => (text, len.parse::<u8>().ok()),
        None => (given.value.as_str(), None),
    };
    match value::address(text).filter(|peer| value::is_host(*peer) && peer.is_ipv6() == vip.address.is_ipv6()) {
        Some(peer) => {
            let longest = Family::of(&peer).max_prefix_len();
            vip.options.peer = Some(peer);
            let effect = "this version adds the address without the peer; its prefix length is that of the peer";
            report.remark(given.spot, Remark::NotApplied { keyword: "peer".to_owned(), effect });
            // The network is the peer's then.
            vip.prefix_len = len.filter(|len| (1..=longest).contains(len)).unwrap_or(longest);
        }
        None => {
            unfit::<()>("peer", given, "an address of the same family".to_owned(), "ignored", report);
        }
    }
}

fn broadcast(text: &str, vip: &Vip) -> Option<Ipv4Addr> {
    let IpAddr::V4(address) = vip.address else { return None };
    let host_bits = u32::MAX.checked_shr(u32::from(vip.prefix_len)).unwrap_or(0);
    match text {
        "+" | "-" if vip.prefix_len > 30 => None,
        "+" => Some(Ipv4Addr::from_bits(address.to_bits() | host_bits)),
        "-" => Some(Ipv4Addr::from_bits(address.to_bits() & !host_bits)),
        _ => text.parse().ok(),
    }
}

fn scope(text: &str) -> Option<Scope> {
    match text {
        "global" | "0" => Some(Scope::Global),
        "site" | "200" => Some(Scope::Site),
        "link" | "253" => Some(Scope::Link),
        "host" | "254" => Some(Scope::Host),
        _ => text.parse().ok().filter(|number| *number < 255).map(Scope::Other),
    }
}
