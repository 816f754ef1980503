//! The words of `ip route` and `ip rule` to typed values; both languages write entries this way.
//!
//! Refuses what cannot be applied without sending packets elsewhere; names what has no effect. One stop before: a list
//! of either language; one stop after: [`Route`] and [`Rule`].

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;

use super::resolve::is_plain;
use crate::engine::route::{Hop, MAIN_TABLE, Metric, Prefix, Route, RouteKind, Rule, RuleAction};
use crate::wire::field::Family;

/// An entry that can be applied.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// What it says.
    pub value: T,
    /// Words without effect, by their place in the entry, and what that means.
    pub unapplied: Vec<(usize, &'static str)>,
}

/// An entry that cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WordError {
    /// The place of the word; behind the last one when something is missing.
    pub at: usize,
    /// The word is known, but nobody here applies it.
    pub is_known: bool,
}

/// The words of an entry while they are read.
struct Words<'w, 't> {
    words: &'w [&'t str],
    at: usize,
}

impl<'t> Words<'_, 't> {
    fn next(&mut self) -> Option<&'t str> {
        let word = self.words.get(self.at).copied();
        self.at += usize::from(word.is_some());
        word
    }

    fn next_if(&mut self, is_it: impl Fn(&str) -> bool) -> bool {
        let is_next = self.words.get(self.at).is_some_and(|word| is_it(word));
        self.at += usize::from(is_next);
        is_next
    }

    /// Reads the next word; the error names it.
    fn value<T>(&mut self, read: impl FnOnce(&'t str) -> Option<T>) -> Result<T, WordError> {
        let at = self.at;
        self.next().and_then(read).ok_or(WordError { at, is_known: false })
    }
}

/// Reads a route; it may name no way at all, see [`Route::on`] and [`Route::is_complete`].
///
/// **Errors:** the word that cannot be read or applied.
pub(super) fn route(words: &[&str]) -> Result<Entry<Route>, WordError> {
    let mut draft = RouteDraft::default();
    let mut words = Words { words, at: 0 };
    while let Some(word) = words.next() {
        let at = words.at - 1;
        if !(draft.place(word, &mut words)? || draft.hop(word, &mut words)? || draft.option(word, at, &mut words)?) {
            draft.destination(word).ok_or(WordError { at, is_known: false })?;
        }
    }
    draft.finish(words.words.len())
}

#[derive(Default)]
struct RouteDraft {
    kind: RouteKind,
    family: Option<Family>,
    /// `None` inside: everything, of a family that the other words tell.
    to: Option<Option<Prefix>>,
    source: Option<IpAddr>,
    hops: Vec<Hop>,
    table: Option<u32>,
    metric: Option<u32>,
    scope: Option<u8>,
    tos: u8,
    metrics: Vec<(Metric, u32)>,
    is_untracked: bool,
    unapplied: Vec<(usize, &'static str)>,
}

impl RouteDraft {
    /// Takes in what says which route it is.
    fn place(&mut self, word: &str, words: &mut Words<'_, '_>) -> Result<bool, WordError> {
        match word {
            "unicast" => self.kind = RouteKind::Unicast,
            "blackhole" => self.kind = RouteKind::Blackhole,
            "unreachable" => self.kind = RouteKind::Unreachable,
            "prohibit" => self.kind = RouteKind::Prohibit,
            "throw" => self.kind = RouteKind::Throw,
            "inet" => self.family = Some(Family::V4),
            "inet6" => self.family = Some(Family::V6),
            "to" => {}
            "src" => self.source = Some(words.value(address)?),
            "table" => self.table = Some(words.value(table)?),
            "metric" | "priority" | "preference" => self.metric = Some(words.value(number)?),
            "scope" => self.scope = Some(words.value(scope)?),
            "tos" | "dsfield" => self.tos = words.value(byte)?,
            "no_track" => self.is_untracked = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes in what says which way it goes.
    fn hop(&mut self, word: &str, words: &mut Words<'_, '_>) -> Result<bool, WordError> {
        match word {
            "nexthop" => self.hops.push(NO_HOP),
            "or" => {
                let interface = self.last_hop().interface.clone();
                let via = Some(words.value(address)?);
                self.hops.push(Hop { via, interface, ..NO_HOP });
            }
            "via" | "gw" => {
                let wants_v6 = words.next_if(|word| word == "inet6");
                let _ = wants_v6 || words.next_if(|word| word == "inet");
                let read = |text| address(text).filter(|via| !wants_v6 || via.is_ipv6());
                self.last_hop().via = Some(words.value(read)?);
            }
            "dev" | "oif" => self.last_hop().interface = Some(words.value(interface)?),
            "weight" => {
                let read = |text| number(text).and_then(|weight| u16::try_from(weight).ok());
                self.last_hop().weight = words.value(|text| read(text).filter(|weight| (1..=256).contains(weight)))?;
            }
            "onlink" => self.last_hop().is_onlink = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn last_hop(&mut self) -> &mut Hop {
        if self.hops.is_empty() {
            self.hops.push(NO_HOP);
        }
        let last = self.hops.len() - 1;
        &mut self.hops[last]
    }

    /// Takes in what connections begin with, and what has no effect.
    fn option(&mut self, word: &str, at: usize, words: &mut Words<'_, '_>) -> Result<bool, WordError> {
        if let Some((metric, _)) = Metric::ALL.iter().find(|(_, name)| *name == word) {
            let is_locked = *metric == Metric::Mtu && words.next_if(|word| word == "lock");
            let metric = if is_locked { Metric::LockedMtu } else { *metric };
            let value = words.value(number)?;
            self.metrics
                .retain(|(known, _)| *known != metric && (known.is_mtu() != metric.is_mtu() || !metric.is_mtu()));
            self.metrics.push((metric, value));
            return Ok(true);
        }
        match word {
            "from" | "encap" | "vrf" => return Err(WordError { at, is_known: true }),
            "prepend" => {}
            "add" | "append" => self.unapplied.push((at, "the route goes in front of others to the same network")),
            "protocol" => {
                words.value(Some)?;
                self.unapplied.push((at, "its routes carry the daemon's own number, by which it finds them again"));
            }
            "track_group" => {
                words.value(Some)?;
                self.unapplied.push((at, "static entries are put back, and their loss takes no instance to FAULT"));
            }
            _ if UNAPPLIED.contains(&word) => {
                words.next_if(|word| word == "lock");
                words.value(Some)?;
                self.unapplied.push((at, "the route is applied without it"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn destination(&mut self, word: &str) -> Option<()> {
        if self.to.is_some() {
            return None;
        }
        self.to = Some(match word {
            "default" | "any" | "all" => None,
            "default6" => Some(Prefix::any(Family::V6)),
            _ => Some(prefix(word)?),
        });
        Some(())
    }

    fn finish(mut self, end: usize) -> Result<Entry<Route>, WordError> {
        let missing = WordError { at: end, is_known: false };
        let to = match self.to.ok_or(missing)? {
            Some(to) => to,
            None => {
                let by_hop = self.hops.iter().find_map(|hop| hop.via).or(self.source);
                let family = self.family.or(by_hop.as_ref().map(Family::of));
                Prefix::any(family.unwrap_or(Family::V4))
            }
        };
        let is_v6 = to.family() == Family::V6;
        let fits = |address: &IpAddr| Family::of(address) == to.family();
        let hops_fit = self.hops.iter().all(|hop| hop.via.is_none_or(|via| !is_v6 || via.is_ipv6()));
        if !hops_fit || !self.source.as_ref().is_none_or(fits) {
            return Err(missing);
        }
        if self.kind != RouteKind::Unicast && !self.hops.is_empty() {
            self.hops.clear();
            self.unapplied.push((0, "a route that takes no packet goes nowhere: gateway and interface are ignored"));
        }
        self.metrics.sort_unstable();
        let route = Route {
            kind: self.kind,
            to,
            source: self.source,
            hops: self.hops,
            table: self.table.unwrap_or(MAIN_TABLE),
            metric: self.metric,
            scope: self.scope,
            tos: self.tos,
            metrics: self.metrics,
            is_untracked: self.is_untracked,
        };
        Ok(Entry { value: route, unapplied: self.unapplied })
    }
}

impl Metric {
    fn is_mtu(self) -> bool {
        matches!(self, Self::Mtu | Self::LockedMtu)
    }
}

/// Reads a rule.
///
/// **Errors:** the word that cannot be read or applied.
pub(super) fn rule(words: &[&str]) -> Result<Entry<Rule>, WordError> {
    let mut rule = Rule::new(Family::V4, RuleAction::Table(MAIN_TABLE));
    let (mut family, mut unapplied) = (None, Vec::new());
    let mut words = Words { words, at: 0 };
    while let Some(word) = words.next() {
        let at = words.at - 1;
        if selector(&mut rule, word, &mut words)? || action(&mut rule, word, &mut words)? {
            continue;
        }
        match word {
            "from" | "to" => {
                let network = words.value(any_or_prefix)?;
                let of_network = network.map(|network| network.family());
                if let (Some(known), Some(other)) = (family, of_network)
                    && known != other
                {
                    return Err(WordError { at: words.at - 1, is_known: false });
                }
                family = of_network.or(family);
                let network = network.filter(|network| !network.is_any());
                if word == "from" {
                    rule.from = network;
                } else {
                    rule.to = network;
                }
            }
            "inet" | "inet6" => {
                let said = if word == "inet" { Family::V4 } else { Family::V6 };
                if family.is_some_and(|known| known != said) {
                    return Err(WordError { at, is_known: false });
                }
                family = Some(said);
            }
            "protocol" => {
                words.value(Some)?;
                unapplied.push((at, "its rules carry the daemon's own number, by which it finds them again"));
            }
            "track_group" => {
                words.value(Some)?;
                unapplied.push((at, "static entries are put back, and their loss takes no instance to FAULT"));
            }
            "realms" => {
                words.value(Some)?;
                unapplied.push((at, "the rule is applied without it"));
            }
            "no_track" => rule.is_untracked = true,
            "l3mdev" | "tunnel-id" | "suppress_ifgroup" => return Err(WordError { at, is_known: true }),
            _ => return Err(WordError { at, is_known: false }),
        }
    }
    rule.family = family.unwrap_or(Family::V4);
    if words.words.is_empty() {
        return Err(WordError { at: 0, is_known: false });
    }
    Ok(Entry { value: rule, unapplied })
}

/// Takes in what says which packets fit.
fn selector(rule: &mut Rule, word: &str, words: &mut Words<'_, '_>) -> Result<bool, WordError> {
    match word {
        "not" => rule.is_inverted = true,
        "tos" | "dsfield" => rule.tos = words.value(byte)?,
        "fwmark" => {
            rule.mark = Some(words.value(|text| match text.split_once('/') {
                Some((mark, mask)) => Some((number(mark)?, number(mask)?)),
                None => Some((number(text)?, u32::MAX)),
            })?);
        }
        "iif" | "dev" => rule.incoming = Some(words.value(interface)?),
        "oif" => rule.outgoing = Some(words.value(interface)?),
        "ipproto" => rule.protocol = Some(words.value(ip_protocol)?),
        "sport" => rule.source_ports = Some(words.value(ports)?),
        "dport" => rule.destination_ports = Some(words.value(ports)?),
        "uidrange" => {
            let read = |text: &str| {
                let (first, last) = text.split_once('-')?;
                Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
            };
            rule.users = Some(words.value(read)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Takes in what becomes of packets that fit.
fn action(rule: &mut Rule, word: &str, words: &mut Words<'_, '_>) -> Result<bool, WordError> {
    let word = if word == "type" { words.value(Some)? } else { word };
    match word {
        "table" | "lookup" => rule.action = RuleAction::Table(words.value(table)?),
        "goto" => rule.action = RuleAction::Goto(words.value(number)?),
        "nop" => rule.action = RuleAction::Nop,
        "blackhole" => rule.action = RuleAction::Blackhole,
        "unreachable" => rule.action = RuleAction::Unreachable,
        "prohibit" => rule.action = RuleAction::Prohibit,
        "unicast" => {}
        "preference" | "priority" | "order" | "pref" => rule.preference = Some(words.value(number)?),
        "suppress_prefixlength" => {
            rule.suppressed_len = Some(words.value(|text| number(text).filter(|len| *len <= 128))?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn any_or_prefix(text: &str) -> Option<Option<Prefix>> {
    match text {
        "default" | "any" | "all" => Some(None),
        _ => prefix(text).map(Some),
    }
}

fn prefix(text: &str) -> Option<Prefix> {
    match text.split_once('/') {
        Some((text, len)) => Prefix::new(address(text)?, len.parse().ok()?),
        None => {
            let address = address(text)?;
            Prefix::new(address, Family::of(&address).max_prefix_len())
        }
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    (!is_mapped).then_some(address)
}

fn interface(text: &str) -> Option<String> {
    let is_fit = is_plain(text, 15) && !text.contains(['/', ':']) && text != "." && text != "..";
    is_fit.then(|| text.to_owned())
}

/// Reads a number, decimal or with `0x`.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn byte(text: &str) -> Option<u8> {
    number(text).and_then(|number| u8::try_from(number).ok())
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then_some((first, last))
}

fn ip_protocol(text: &str) -> Option<u8> {
    match text {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "gre" => Some(47),
        "esp" => Some(50),
        "ah" => Some(51),
        "ipv6-icmp" | "icmpv6" => Some(58),
        "sctp" => Some(132),
        _ => byte(text),
    }
}

fn scope(text: &str) -> Option<u8> {
    match text {
        "global" | "universe" => Some(0),
        "site" => Some(200),
        "link" => Some(253),
        "host" => Some(254),
        "nowhere" => Some(255),
        _ => byte(text),
    }
}

/// Reads the number or name of a table; names are those of this host.
fn table(text: &str) -> Option<u32> {
    match text {
        "main" => Some(MAIN_TABLE),
        "default" => Some(253),
        "local" => Some(255),
        _ => number(text).or_else(|| named_table(text)).filter(|table| *table > 0),
    }
}

/// Looks a name up in the files of iproute2, the operator's first.
fn named_table(name: &str) -> Option<u32> {
    TABLE_FILES.iter().find_map(|path| {
        let mut text = String::new();
        File::open(path).ok()?.take(TABLE_FILE_MAX).read_to_string(&mut text).ok()?;
        find_table(&text, name)
    })
}

fn find_table(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let table = number(words.next()?)?;
        (words.next()? == name).then_some(table)
    })
}

const NO_HOP: Hop = Hop { via: None, interface: None, is_onlink: false, weight: 1 };

/// Options with a value that no request carries, and without which the packets go the same way.
const UNAPPLIED: [&str; 10] = [
    "expires",
    "rtt",
    "rttvar",
    "rto_min",
    "realms",
    "features",
    "congctl",
    "pref",
    "ttl-propagate",
    "fastopen_no_cookie",
];

const TABLE_FILES: [&str; 2] = ["/etc/iproute2/rt_tables", "/usr/share/iproute2/rt_tables"];
const TABLE_FILE_MAX: u64 = 1 << 16;

#[cfg(test)]
mod tests;
