//! Routes and rules as typed values: what `ip route` and `ip rule` would be told.
//!
//! Refuses what has no destination or no sense. One stop before: a list of the tree; one stop after: `document`.

use std::net::IpAddr;

use super::remark::{Remark, excerpt};
use super::report::Report;
use super::tree::Node;
use super::value;

/// What a packet that fits a route meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RouteKind {
    /// It is forwarded.
    #[default]
    Unicast,
    /// It is dropped silently.
    Blackhole,
    /// It is refused as unreachable.
    Unreachable,
    /// It is refused as prohibited.
    Prohibit,
    /// The next table is asked.
    Throw,
}

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Any address of it.
    pub address: IpAddr,
    /// Length of what all have in common.
    pub len: u8,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Route {
    /// What a packet meets.
    pub kind: RouteKind,
    /// Where to; `None`: anywhere.
    pub to: Option<Prefix>,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Through which router; several are tried evenly.
    pub via: Vec<IpAddr>,
    /// Through which interface.
    pub interface: Option<String>,
    /// Table by number or name.
    pub table: Option<String>,
    /// The lower, the better.
    pub metric: Option<u32>,
    /// Scope by name or number.
    pub scope: Option<String>,
    /// The gateway is reachable whatever the routes say.
    pub is_onlink: bool,
    /// Removal by somebody else is not noticed.
    pub is_untracked: bool,
    /// Further options and their values, in order.
    pub options: Vec<(String, Option<String>)>,
}

/// A rule that chooses a routing table.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rule {
    /// Source network; `None`: any.
    pub from: Option<Prefix>,
    /// Destination network; `None`: any.
    pub to: Option<Prefix>,
    /// Table by number or name.
    pub table: Option<String>,
    /// Its place among the rules.
    pub preference: Option<u32>,
    /// Interface that the packet comes in on.
    pub incoming: Option<String>,
    /// Removal by somebody else is not noticed.
    pub is_untracked: bool,
    /// Further options and their values, in order.
    pub options: Vec<(String, Option<String>)>,
}

/// Reads an entry of `virtual_routes` or `static_routes`; `None` when it was reported.
pub(super) fn route(node: &Node, report: &mut Report) -> Option<Route> {
    let mut route = Route::default();
    let mut words = node.entry().peekable();
    let mut has_destination = false;
    while let Some(word) = words.next() {
        let mut next = || words.next().map(|word| word.value.to_owned());
        let is_taken = match word.value {
            "unicast" => true,
            "blackhole" | "unreachable" | "prohibit" | "throw" => {
                route.kind = match word.value {
                    "blackhole" => RouteKind::Blackhole,
                    "unreachable" => RouteKind::Unreachable,
                    "prohibit" => RouteKind::Prohibit,
                    _ => RouteKind::Throw,
                };
                true
            }
            "src" => next().and_then(|text| value::address(&text)).map(|source| route.source = Some(source)).is_some(),
            "via" | "gw" | "or" => {
                let inet6 = words.next_if(|word| matches!(word.value, "inet6" | "inet")).is_some();
                let gateway = words.next().and_then(|word| value::address(word.value));
                gateway.filter(|gateway| !inet6 || gateway.is_ipv6()).map(|gateway| route.via.push(gateway)).is_some()
            }
            "dev" | "oif" => next().map(|name| route.interface = Some(name)).is_some(),
            "table" => next().map(|table| route.table = Some(table)).is_some(),
            "metric" | "priority" | "preference" => {
                next().and_then(|text| text.parse().ok()).map(|metric| route.metric = Some(metric)).is_some()
            }
            "scope" => next().map(|scope| route.scope = Some(scope)).is_some(),
            "onlink" => {
                route.is_onlink = true;
                true
            }
            "no_track" => {
                route.is_untracked = true;
                true
            }
            "inet6" | "inet" | "to" => true,
            text if OPTIONS.contains(&text) => {
                route.options.push((text.to_owned(), next()));
                true
            }
            text if ROUTE_FLAGS.contains(&text) => {
                route.options.push((text.to_owned(), None));
                true
            }
            text if !has_destination => {
                has_destination = true;
                match prefix(text) {
                    Some(to) => {
                        route.to = to;
                        true
                    }
                    None => false,
                }
            }
            _ => false,
        };
        if !is_taken {
            report.remark(word.spot, Remark::BadEntry { list: "routes", found: excerpt(word.value) });
            return None;
        }
    }
    if !has_destination {
        report.remark(node.spot, Remark::BadEntry { list: "routes", found: excerpt(&node.keyword) });
    }
    has_destination.then_some(route)
}

/// Reads an entry of `virtual_rules` or `static_rules`; `None` when it was reported.
pub(super) fn rule(node: &Node, report: &mut Report) -> Option<Rule> {
    let mut rule = Rule::default();
    let mut words = node.entry();
    while let Some(word) = words.next() {
        let mut next = || words.next().map(|word| word.value.to_owned());
        let is_taken = match word.value {
            "from" => next().and_then(|text| prefix(&text)).map(|from| rule.from = from).is_some(),
            "to" => next().and_then(|text| prefix(&text)).map(|to| rule.to = to).is_some(),
            "table" | "lookup" => next().map(|table| rule.table = Some(table)).is_some(),
            "preference" | "priority" | "order" | "pref" => {
                next().and_then(|text| text.parse().ok()).map(|number| rule.preference = Some(number)).is_some()
            }
            "iif" | "dev" => next().map(|name| rule.incoming = Some(name)).is_some(),
            "no_track" => {
                rule.is_untracked = true;
                true
            }
            "not" | "nop" | "l3mdev" | "inet" | "inet6" | "blackhole" | "unreachable" | "prohibit" => {
                rule.options.push((word.value.to_owned(), None));
                true
            }
            text if RULE_OPTIONS.contains(&text) => {
                rule.options.push((text.to_owned(), next()));
                true
            }
            _ => false,
        };
        if !is_taken {
            report.remark(word.spot, Remark::BadEntry { list: "rules", found: excerpt(word.value) });
            return None;
        }
    }
    Some(rule)
}

/// Reads a network; `default`, `any` and `all` are anywhere.
fn prefix(text: &str) -> Option<Option<Prefix>> {
    if matches!(text, "default" | "default6" | "any" | "all") {
        return Some(None);
    }
    let (address, len) = match text.split_once('/') {
        Some((address, len)) => (value::address(address)?, Some(len.parse::<u8>().ok()?)),
        None => (value::address(text)?, None),
    };
    let longest = if address.is_ipv6() { 128 } else { 32 };
    let len = len.unwrap_or(longest);
    (len <= longest).then_some(Some(Prefix { address, len }))
}

/// Options with a value that are carried as they are written.
const OPTIONS: &[&str] = &[
    "from",
    "tos",
    "dsfield",
    "protocol",
    "encap",
    "expires",
    "mtu",
    "hoplimit",
    "advmss",
    "rtt",
    "rttvar",
    "reordering",
    "window",
    "cwnd",
    "ssthresh",
    "realms",
    "rto_min",
    "initcwnd",
    "initrwnd",
    "features",
    "quickack",
    "congctl",
    "pref",
    "ttl-propagate",
    "fastopen_no_cookie",
    "vrf",
    "weight",
    "track_group",
    "lock",
];
const ROUTE_FLAGS: &[&str] = &["nexthop", "add", "prepend", "append"];
const RULE_OPTIONS: &[&str] = &[
    "tos",
    "dsfield",
    "fwmark",
    "oif",
    "realms",
    "suppress_prefixlength",
    "suppress_ifgroup",
    "tunnel-id",
    "uidrange",
    "protocol",
    "ipproto",
    "sport",
    "dport",
    "goto",
    "type",
    "track_group",
];
