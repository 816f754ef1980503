//! What becomes of a packet in a ruleset of nftables, as `nft -j list ruleset` writes it.
//!
//! Walks the chains of a hook as the kernel does, for one packet. What cannot be decided here (marks, limits, matches of
//! iptables) is true or false, so that the answer may be "perhaps"; it is never a guess. One stop after: `doctor::firewall`.

use std::net::IpAddr;

use serde_json::Value;

use crate::net::links::is_within;
use crate::wire::field::Family;

/// A packet on its way in or out.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Where it arrives or leaves.
    pub interface: String,
    /// It leaves.
    pub is_outgoing: bool,
    /// Its sender; `None`: not known.
    pub source: Option<IpAddr>,
    /// Its receiver.
    pub destination: IpAddr,
    /// 112 or 51.
    pub protocol: u8,
}

/// What becomes of a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It gets through.
    Passes,
    /// Perhaps not; by what it would be dropped.
    MayDrop(String),
    /// It is dropped; by what.
    Drops(String),
}

/// Says what a ruleset makes of a packet; `hooks`: those that it passes, such as `input`.
pub fn fate(ruleset: &Value, hooks: &[&str], packet: &Packet) -> Fate {
    let walker = Walker { objects: objects(ruleset), packet };
    let mut worst = Fate::Passes;
    for chain in walker.objects.iter().filter_map(|object| object.get("chain")) {
        let is_asked = hooks.contains(&text(chain, "hook")) && walker.concerns(chain);
        if !is_asked {
            continue;
        }
        match walker.base(chain) {
            Fate::Passes => {}
            Fate::Drops(by) => return Fate::Drops(by),
            Fate::MayDrop(by) => worst = Fate::MayDrop(by),
        }
    }
    worst
}

fn objects(ruleset: &Value) -> &[Value] {
    ruleset.get("nftables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a match holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    Perhaps,
}

/// Where a walk through a chain ends for certain.
#[derive(Clone, PartialEq, Eq)]
enum End {
    Accepted,
    Dropped(String),
    /// At the end of the chain.
    Through,
}

/// What a walk came to, and what else it may have come to on the way.
struct Walk {
    end: End,
    may_accept: bool,
    may_drop: Option<String>,
}

enum Verdict<'a> {
    Accept,
    Drop,
    Jump(&'a str),
    Goto(&'a str),
    Return,
}

struct Walker<'a> {
    objects: &'a [Value],
    packet: &'a Packet,
}

impl Walker<'_> {
    /// Says whether the table of a chain sees packets of this family.
    fn concerns(&self, chain: &Value) -> bool {
        match (text(chain, "family"), Family::of(&self.packet.destination)) {
            ("inet", _) | ("ip", Family::V4) | ("ip6", Family::V6) => true,
            (_, _) => false,
        }
    }

    fn base(&self, chain: &Value) -> Fate {
        let Walk { end, may_accept, may_drop } = self.walk(chain, 0);
        let policy = || match text(chain, "policy") {
            "drop" => End::Dropped(format!("the policy of {}", name(chain))),
            _ => End::Accepted,
        };
        let end = if end == End::Through { policy() } else { end };
        match (end, may_drop) {
            (End::Dropped(by), _) if may_accept => Fate::MayDrop(by),
            (End::Dropped(by), _) => Fate::Drops(by),
            (End::Accepted | End::Through, Some(by)) => Fate::MayDrop(by),
            (End::Accepted | End::Through, None) => Fate::Passes,
        }
    }

    fn walk(&self, chain: &Value, depth: usize) -> Walk {
        let mut walk = Walk { end: End::Through, may_accept: false, may_drop: None };
        // The kernel permits 16.
        if depth > 16 {
            return walk;
        }
        for rule in self.objects.iter().filter_map(|object| object.get("rule")) {
            let is_inside = ["family", "table"].iter().all(|key| rule.get(key) == chain.get(key))
                && rule.get("chain") == chain.get("name");
            if !is_inside {
                continue;
            }
            for (truth, verdict) in self.verdicts(rule) {
                if self.take(&mut walk, chain, (truth, verdict), depth) {
                    return walk;
                }
            }
        }
        walk
    }

    /// Follows one verdict; true: the walk ends here.
    fn take(&self, walk: &mut Walk, chain: &Value, (truth, verdict): (Truth, Verdict<'_>), depth: usize) -> bool {
        let by = || format!("a rule of {}", name(chain));
        let end = match verdict {
            Verdict::Accept => End::Accepted,
            Verdict::Drop => End::Dropped(by()),
            Verdict::Return => End::Through,
            Verdict::Jump(target) | Verdict::Goto(target) => {
                let Some(target) = self.chain(chain, target) else { return false };
                let inner = self.walk(target, depth + 1);
                walk.may_accept |= inner.may_accept;
                walk.may_drop = walk.may_drop.take().or(inner.may_drop);
                if inner.end == End::Through && matches!(verdict, Verdict::Jump(_)) {
                    return false;
                }
                inner.end
            }
        };
        if truth == Truth::Yes {
            walk.end = end;
            return true;
        }
        match end {
            End::Accepted => walk.may_accept = true,
            End::Dropped(by) => walk.may_drop = walk.may_drop.take().or(Some(by)),
            // It may have left the chain here, for what comes behind it.
            End::Through => {}
        }
        false
    }

    fn chain(&self, from: &Value, target: &str) -> Option<&Value> {
        let mut chains = self.objects.iter().filter_map(|object| object.get("chain"));
        chains.find(|chain| {
            text(chain, "name") == target && ["family", "table"].iter().all(|key| chain.get(key) == from.get(key))
        })
    }

    /// Returns what a rule does with the packet, and whether it does.
    fn verdicts<'r>(&self, rule: &'r Value) -> Vec<(Truth, Verdict<'r>)> {
        let mut truth = Truth::Yes;
        let mut found = Vec::new();
        let statements = rule.get("expr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (word, value) in statements.iter().filter_map(Value::as_object).flatten() {
            match word.as_str() {
                "match" => truth = both(truth, self.holds(value)),
                "vmap" => {
                    for (holds, verdict) in self.mapped(value) {
                        found.push((both(truth, holds), verdict));
                    }
                }
                "counter" | "log" | "comment" | "mangle" | "notrack" | "set" => {}
                word => match verdict(word, value) {
                    Some(verdict) => found.push((truth, verdict)),
                    None => truth = both(truth, Truth::Perhaps),
                },
            }
        }
        found.retain(|(truth, _)| *truth != Truth::No);
        found
    }

    /// Returns the verdicts of a map that may concern the packet.
    fn mapped<'r>(&self, map: &'r Value) -> Vec<(Truth, Verdict<'r>)> {
        let left = map.get("key").unwrap_or(&Value::Null);
        let entries = map.pointer("/data/set").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let of = |entry: &'r Value| {
            let (word, value) = entry.get(1)?.as_object()?.iter().next()?;
            Some((self.compare(left, entry.get(0)?), verdict(word, value)?))
        };
        entries.iter().filter_map(of).filter(|(truth, _)| *truth != Truth::No).collect()
    }

    fn holds(&self, comparison: &Value) -> Truth {
        let (Some(left), Some(right)) = (comparison.get("left"), comparison.get("right")) else {
            return Truth::Perhaps;
        };
        // Of another protocol: the rule does not apply, whatever it compares.
        if left.get("payload").is_some_and(|payload| self.is_foreign(payload)) {
            return Truth::No;
        }
        match (text(comparison, "op"), self.compare(left, right)) {
            ("==" | "in", truth) | ("!=", truth @ Truth::Perhaps) => truth,
            ("!=", Truth::Yes) => Truth::No,
            ("!=", Truth::No) => Truth::Yes,
            (_, _) => Truth::Perhaps,
        }
    }

    fn compare(&self, left: &Value, right: &Value) -> Truth {
        if let Some(payload) = left.get("payload") {
            return self.compare_payload(payload, right);
        }
        if let Some(meta) = left.get("meta") {
            return self.compare_meta(text(meta, "key"), right);
        }
        match left.get("ct").map(|ct| text(ct, "key")) {
            // The first advert of a node that was not spoken to.
            Some("state") => self.any_of(right, |state| is(state == "new")),
            _ => Truth::Perhaps,
        }
    }

    fn compare_payload(&self, payload: &Value, right: &Value) -> Truth {
        match (text(payload, "protocol"), text(payload, "field")) {
            _ if self.is_foreign(payload) => Truth::No,
            ("ip" | "ip6", "protocol" | "nexthdr") => self.any_of(right, |value| self.is_protocol(value)),
            ("ip" | "ip6", "saddr") => match self.packet.source {
                Some(source) => self.any_of(right, |value| is(value.parse() == Ok(source))),
                None => Truth::Perhaps,
            },
            ("ip" | "ip6", "daddr") => self.any_of(right, |value| is(value.parse() == Ok(self.packet.destination))),
            (_, _) => Truth::Perhaps,
        }
    }

    /// Says whether a header is asked for that the packet does not have.
    fn is_foreign(&self, payload: &Value) -> bool {
        match (text(payload, "protocol"), Family::of(&self.packet.destination)) {
            ("ip", family) => family == Family::V6,
            ("ip6", family) => family == Family::V4,
            ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmpv6" | "igmp" | "th", _) => true,
            (_, _) => false,
        }
    }

    fn compare_meta(&self, key: &str, right: &Value) -> Truth {
        let is_v4 = Family::of(&self.packet.destination) == Family::V4;
        let is_multicast = self.packet.destination.is_multicast();
        let on_interface = |name: &str| match name.strip_suffix('*') {
            Some(start) => is(self.packet.interface.starts_with(start)),
            None => is(self.packet.interface == name),
        };
        match (key, self.packet.is_outgoing) {
            ("l4proto", _) => self.any_of(right, |value| self.is_protocol(value)),
            ("nfproto", _) => self.any_of(right, |value| is(value == if is_v4 { "ipv4" } else { "ipv6" })),
            ("protocol", _) => self.any_of(right, |value| is(value == if is_v4 { "ip" } else { "ip6" })),
            ("iifname" | "iif", false) | ("oifname" | "oif", true) => self.any_of(right, on_interface),
            ("pkttype", false) => self.any_of(right, |value| is((value == "multicast") == is_multicast)),
            (_, _) => Truth::Perhaps,
        }
    }

    fn is_protocol(&self, value: &str) -> Truth {
        let number = match value {
            "vrrp" | "carp" => Some(112),
            "ah" => Some(51),
            other => other.parse().ok(),
        };
        is(number == Some(u16::from(self.packet.protocol)))
    }

    /// Looks for the packet's value in what stands on the right: a word, a number, a prefix, a range, a list or a set.
    fn any_of(&self, right: &Value, is_it: impl Fn(&str) -> Truth + Copy) -> Truth {
        match right {
            Value::String(word) if word.starts_with('@') => match self.elements(word.trim_start_matches('@')) {
                Some(elements) => self.any_of(elements, is_it),
                None => Truth::Perhaps,
            },
            Value::String(word) => is_it(word),
            Value::Number(number) => is_it(&number.to_string()),
            Value::Array(words) => {
                let truths: Vec<Truth> = words.iter().map(|word| self.any_of(word, is_it)).collect();
                let has = |wanted| truths.contains(&wanted);
                if has(Truth::Yes) { Truth::Yes } else { either(has(Truth::Perhaps)) }
            }
            Value::Object(object) => match (object.get("set"), object.get("prefix"), object.get("elem")) {
                (Some(set), _, _) => self.any_of(set, is_it),
                (_, Some(prefix), _) => self.in_prefix(prefix, is_it),
                (_, _, Some(element)) => self.any_of(element.get("val").unwrap_or(element), is_it),
                (None, None, None) => Truth::Perhaps,
            },
            Value::Null | Value::Bool(_) => Truth::Perhaps,
        }
    }

    /// Compares with a prefix: whichever of the packet's addresses is asked for is in it, or is not.
    fn in_prefix(&self, prefix: &Value, is_it: impl Fn(&str) -> Truth) -> Truth {
        let len = prefix.get("len").and_then(Value::as_u64).and_then(|len| u8::try_from(len).ok());
        let (Ok(base), Some(len)) = (text(prefix, "addr").parse::<IpAddr>(), len) else { return Truth::Perhaps };
        let own = [self.packet.source, Some(self.packet.destination)].into_iter().flatten();
        let asked = own.filter(|address| is_it(&address.to_string()) == Truth::Yes);
        asked.map(|address| is(is_within(address, base, len))).next().unwrap_or(Truth::Perhaps)
    }

    fn elements(&self, set: &str) -> Option<&Value> {
        let mut sets = self.objects.iter().filter_map(|object| object.get("set"));
        let found = sets.find(|found| text(found, "name") == set)?;
        Some(found.get("elem").unwrap_or(&EMPTY))
    }
}

/// A set without elements has no such key.
static EMPTY: Value = Value::Array(Vec::new());

fn verdict<'a>(word: &str, value: &'a Value) -> Option<Verdict<'a>> {
    let target = || value.get("target").and_then(Value::as_str);
    Some(match word {
        "accept" => Verdict::Accept,
        "drop" | "reject" => Verdict::Drop,
        "return" => Verdict::Return,
        "jump" => Verdict::Jump(target()?),
        "goto" => Verdict::Goto(target()?),
        _ => return None,
    })
}

const fn is(truth: bool) -> Truth {
    if truth { Truth::Yes } else { Truth::No }
}

const fn either(truth: bool) -> Truth {
    if truth { Truth::Perhaps } else { Truth::No }
}

const fn both(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Truth::No, _) | (_, Truth::No) => Truth::No,
        (Truth::Yes, Truth::Yes) => Truth::Yes,
        (Truth::Perhaps, Truth::Perhaps | Truth::Yes) | (Truth::Yes, Truth::Perhaps) => Truth::Perhaps,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn name(chain: &Value) -> String {
    format!("{} {} {}", text(chain, "family"), text(chain, "table"), text(chain, "name"))
}

#[cfg(test)]
mod tests;
