//! `vrrp_instance`: what one block says, keyword by keyword.
//!
//! Reads values and lists; what they mean together is decided in `finish`. One stop before: the tree; one stop after:
//! `finish`.

use std::net::IpAddr;
use std::time::Duration;

use super::document::{InstanceParts, Secret};
use super::fates;
use super::global::{Garp, Inherited, down_adverts, version};
use super::hmac::Hmac;
use super::refusal::Refusal;
use super::remark::{Remark, excerpt};
use super::report::{At, Report, Spot};
use super::route;
use super::script;
use super::track::Tracked;
use super::tree::Node;
use super::value::{self, is_interface, no_more_words, no_secret_words, number, seconds, switch, unfit, value_spot};
use super::vip::{self, Entry};
use crate::engine::params::{ChecksumPolicy, Hook};
use crate::engine::route::{Route, Rule};
use crate::wire::field::{Family, Priority, Version, Vrid};

/// One instance as it is written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Its block.
    pub spot: Spot,
    /// Its name.
    pub name: String,
    /// `state MASTER`.
    pub wants_master: Option<Spot>,
    /// `interface`.
    pub interface: Option<At<String>>,
    /// `virtual_router_id`.
    pub vrid: Option<At<Vrid>>,
    /// `priority`.
    pub priority: Option<At<Priority>>,
    /// `advert_int`.
    pub interval: Option<At<Duration>>,
    /// `nopreempt`.
    pub never_preempts: Option<Spot>,
    /// `preempt_delay`; never zero.
    pub preempt_delay: Option<At<Duration>>,
    /// `version`.
    pub version: Option<At<Version>>,
    /// The first family that is seen.
    pub family: Option<Family>,
    /// `virtual_ipaddress`.
    pub vips: Vec<At<Entry>>,
    /// `virtual_ipaddress_excluded`.
    pub excluded: Vec<At<Entry>>,
    /// `virtual_routes`.
    pub routes: Vec<Route>,
    /// `virtual_rules`.
    pub rules: Vec<Rule>,
    /// `unicast_peer`, when it is there.
    pub peers: Option<At<Vec<At<Peer>>>>,
    /// `unicast_src_ip` or `mcast_src_ip`.
    pub source: Option<At<IpAddr>>,
    /// `mcast_dst_ip`.
    pub group: Option<At<IpAddr>>,
    /// Without peers it never takes part.
    pub needs_peers: bool,
    /// `check_unicast_src` or a range of TTLs.
    pub checks_source: bool,
    /// `auth_type`.
    pub auth_type: Option<At<String>>,
    /// `auth_pass`.
    pub password: Option<At<Secret>>,
    /// `auth_hmac`.
    pub hmac: Option<Hmac>,
    /// `old_unicast_checksum` or `v3_checksum_as_v2`.
    pub checksum: Option<ChecksumPolicy>,
    /// `strict_mode`.
    pub is_strict: Option<bool>,
    /// `garp_...`.
    pub garp: Garp,
    /// `down_timer_adverts`.
    pub down_adverts: Option<u8>,
    /// `dont_track_primary`.
    pub ignores_link: bool,
    /// What it watches.
    pub tracks: Vec<Tracked>,
    /// What is called when its state changes.
    pub calls: Vec<Hook>,
    /// The rest.
    pub parts: InstanceParts,
}

/// One entry of `unicast_peer`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// `min_ttl`; never 0.
    pub min_ttl: Option<u8>,
    /// `max_ttl`; never 0, and not below `min_ttl`.
    pub max_ttl: Option<u8>,
}

impl Draft {
    /// Begins an instance with what it copies from `global_defs`.
    pub fn new(name: String, spot: Spot, inherited: Inherited) -> Self {
        Self {
            spot,
            name,
            garp: inherited.garp,
            down_adverts: inherited.down_adverts,
            checksum: inherited.has_short_checksum.then_some(ChecksumPolicy::Rfc9568),
            ..Self::default()
        }
    }

    /// Takes in one keyword of the block; track blocks are read elsewhere.
    pub fn read(&mut self, node: &Node, report: &mut Report) {
        let is_known = self.garp.read(node, report)
            || self.identity(node, report)
            || self.election(node, report)
            || self.transport(node, report)
            || self.lists(node, report)
            || self.switches(node, report);
        if !is_known && !script::hook(node, &mut self.calls, report) {
            fates::tell(node, fates::INSTANCE, report);
        }
    }

    fn identity(&mut self, node: &Node, report: &mut Report) -> bool {
        let Some(word) = node.word(0) else { return false };
        match node.keyword.as_str() {
            "interface" => {
                if is_interface(&word.value) {
                    self.interface = Some(word.clone());
                } else {
                    report.refuse(word.spot, Refusal::BadInterface { found: excerpt(&word.value) });
                }
            }
            "virtual_router_id" => {
                let number = number(node, 1..=255, "the instance cannot run without", report);
                let vrid = number.and_then(|at| Vrid::new(u8::try_from(at.value).ok()?));
                self.vrid = vrid.map(|value| At { value, spot: value_spot(node) }).or(self.vrid.take());
            }
            "version" => {
                let version = version(node, report);
                self.version = version.map(|value| At { value, spot: value_spot(node) }).or(self.version.take());
            }
            _ => return false,
        }
        no_more_words(node, 1, report);
        true
    }

    fn election(&mut self, node: &Node, report: &mut Report) -> bool {
        let Some(word) = node.word(0) else { return false };
        match node.keyword.as_str() {
            "state" => match word.value.as_str() {
                "MASTER" => self.wants_master = Some(word.spot),
                "BACKUP" => {}
                _ => {
                    let expected = "MASTER or BACKUP".to_owned();
                    unfit::<()>("state", word, expected, "BACKUP is taken", report);
                }
            },
            "priority" => {
                let number = number(node, 1..=255, "100 is taken", report);
                let priority = number.and_then(|at| Priority::new(u8::try_from(at.value).ok()?));
                let value = priority.unwrap_or(Priority::DEFAULT);
                self.priority = Some(At { value, spot: word.spot });
            }
            "advert_int" => {
                let range = Duration::from_millis(10)..=Duration::from_secs(255);
                self.interval = seconds(node, range, "1 second is taken", report);
            }
            "preempt_delay" => {
                let delay = seconds(node, Duration::ZERO..=Duration::from_secs(1000), "there is no delay", report);
                self.preempt_delay = delay.filter(|delay| !delay.value.is_zero());
            }
            "down_timer_adverts" => self.down_adverts = down_adverts(node, report).or(self.down_adverts),
            _ => return false,
        }
        no_more_words(node, 1, report);
        true
    }

    fn transport(&mut self, node: &Node, report: &mut Report) -> bool {
        let Some(word) = node.entry().nth(1) else { return false };
        match node.keyword.as_str() {
            "unicast_src_ip" | "mcast_src_ip" => {
                let spot = word.spot;
                let address = value::host(word, &node.keyword, "the interface's own address is taken", report);
                if let Some(value) = address.filter(|address| self.is_of_family(*address, &node.keyword, spot, report))
                {
                    self.source = Some(At { value, spot });
                }
            }
            "mcast_dst_ip" => {
                let word = At { value: word.value.to_owned(), spot: word.spot };
                match value::address(&word.value).filter(IpAddr::is_multicast) {
                    Some(value) => self.group = Some(At { value, spot: word.spot }),
                    None => {
                        let expected = "a multicast group".to_owned();
                        unfit::<()>(&node.keyword, &word, expected, "the default group is taken", report);
                    }
                }
            }
            "unicast_ttl" => {
                if number(node, 0..=255, "255 is sent", report).is_some_and(|ttl| ttl.value != 255) {
                    let effect = "adverts are always sent with 255, as RFC 9568 says";
                    report.remark(node.spot, Remark::NotApplied { keyword: node.keyword.clone(), effect });
                }
            }
            _ => return false,
        }
        no_more_words(node, 1, report);
        true
    }

    /// Says whether an address is of the family of the instance; the first one decides.
    fn is_of_family(&mut self, address: IpAddr, keyword: &str, spot: Spot, report: &mut Report) -> bool {
        let family = *self.family.get_or_insert(Family::of(&address));
        if family == Family::of(&address) {
            return true;
        }
        let expected = format!("an {family} address, as the one in front of it");
        let word = At { value: address.to_string(), spot };
        unfit::<()>(keyword, &word, expected, "ignored, as by Keepalived", report);
        false
    }

    fn lists(&mut self, node: &Node, report: &mut Report) -> bool {
        match node.keyword.as_str() {
            "virtual_ipaddress" => {
                for entry in &node.body {
                    let Some(entry) = vip::read(entry, report) else { continue };
                    let address = entry.value.vip.address;
                    let family = *self.family.get_or_insert(Family::of(&address));
                    if family == Family::of(&address) {
                        self.vips.push(entry);
                    } else {
                        report.remark(entry.spot, Remark::OtherFamily { address, family });
                    }
                }
            }
            "virtual_ipaddress_excluded" => {
                self.excluded.extend(node.body.iter().filter_map(|entry| vip::read(entry, report)));
            }
            "unicast_peer" => {
                let mut peers = self.peers.take().unwrap_or(At { value: Vec::new(), spot: node.spot });
                peers.value.extend(node.body.iter().filter_map(|entry| self.peer(entry, report)));
                self.peers = Some(peers);
            }
            "virtual_routes" => {
                self.routes.extend(node.body.iter().filter_map(|entry| route::route(entry, report)));
            }
            "virtual_rules" => self.rules.extend(node.body.iter().filter_map(|entry| route::rule(entry, report))),
            "authentication" => {
                self.authentication(node, report);
                no_secret_words(node, 0, report);
                return true;
            }
            "auth_hmac" => {
                self.hmac.get_or_insert_with(|| Hmac::new(node.spot)).read(node, report);
                no_secret_words(node, 0, report);
                return true;
            }
            _ => return false,
        }
        no_more_words(node, 0, report);
        true
    }

    fn peer(&mut self, entry: &Node, report: &mut Report) -> Option<At<Peer>> {
        let first = entry.entry().next()?;
        let spot = first.spot;
        let address = value::host(first, "unicast_peer", "this peer is left out", report)?;
        if !self.is_of_family(address, "unicast_peer", spot, report) {
            return None;
        }
        let mut peer = Peer { address, min_ttl: None, max_ttl: None };
        let mut words = entry.words.iter();
        while let Some(word) = words.next() {
            let ttl = words.next().and_then(|word| word.value.parse::<u8>().ok());
            match (word.value.as_str(), ttl) {
                ("min_ttl", Some(ttl)) => peer.min_ttl = Some(ttl).filter(|ttl| *ttl > 0),
                ("max_ttl", Some(ttl)) => peer.max_ttl = Some(ttl).filter(|ttl| *ttl < u8::MAX),
                _ => {
                    let words = excerpt(&word.value);
                    report.remark(word.spot, Remark::ExtraWords { keyword: "unicast_peer".to_owned(), words });
                    break;
                }
            }
            self.checks_source = true;
        }
        if let Some(max) = peer.max_ttl.filter(|max| *max < peer.min_ttl.unwrap_or(1)) {
            let expected = format!("a number from {} to 255", peer.min_ttl.unwrap_or(1));
            let word = At { value: max.to_string(), spot };
            unfit::<()>("max_ttl", &word, expected, "no peer could be heard, so any higher TTL is accepted", report);
            peer.max_ttl = None;
        }
        Some(At { value: peer, spot })
    }

    fn authentication(&mut self, block: &Node, report: &mut Report) {
        for node in &block.body {
            let Some(word) = node.word(0) else { continue };
            match node.keyword.as_str() {
                "auth_type" => {
                    if matches!(word.value.as_str(), "PASS" | "AH") {
                        self.auth_type = Some(word.clone());
                    } else {
                        let expected = "PASS or AH".to_owned();
                        unfit::<()>("auth_type", word, expected, "there is no authentication", report);
                    }
                }
                _ => {
                    if word.value.len() > 8 {
                        report.remark(word.spot, Remark::LongPassword);
                    }
                    self.password = Some(At { value: Secret(word.value.clone()), spot: word.spot });
                }
            }
            no_secret_words(node, 1, report);
        }
    }

    fn switches(&mut self, node: &Node, report: &mut Report) -> bool {
        match node.keyword.as_str() {
            "nopreempt" => self.never_preempts = Some(node.spot),
            "preempt" => self.never_preempts = None,
            "native_ipv6" => self.family = self.family.or(Some(Family::V6)),
            "no_virtual_ipaddress" => {}
            "check_unicast_src" => self.checks_source = true,
            "unicast_fault_no_peer" => self.needs_peers = true,
            "old_unicast_checksum" => {
                let is_never = node.word(0).is_some_and(|word| word.value == "never");
                self.checksum = Some(if is_never { ChecksumPolicy::Pseudo } else { ChecksumPolicy::OldUnicast });
                return true;
            }
            "v3_checksum_as_v2" => self.checksum = switch(node, report).then_some(ChecksumPolicy::Rfc9568),
            "strict_mode" => self.is_strict = Some(switch(node, report)),
            "dont_track_primary" => self.ignores_link = true,
            _ => return false,
        }
        true
    }
}
