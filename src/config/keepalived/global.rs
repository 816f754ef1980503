//! `global_defs`: defaults of all instances, and what concerns the daemon.
//!
//! Some values are copied by an instance when it begins, so they hold only for what comes later in the file. One stop
//! before: the tree; one stop after: `instance` and `finish`.

use std::net::IpAddr;
use std::time::Duration;

use super::fates;
use super::hooks::NodeScripts;
use super::remark::Remark;
use super::report::{Report, Spot};
use super::tree::Node;
use super::value::{self, no_more_words, number, seconds, switch, unfit};
use crate::wire::field::Version;

/// What `global_defs` says to instances.
#[derive(Clone, Debug, Default)]
pub(super) struct Global {
    /// `router_id`.
    pub node: Option<String>,
    /// `vrrp_version`.
    pub version: Option<Version>,
    /// `vrrp_mcast_group4` and `vrrp_mcast_group6`.
    pub groups: [Option<IpAddr>; 2],
    /// `default_interface`.
    pub interface: Option<String>,
    /// `vrrp_strict`.
    pub is_strict: bool,
    /// `vrrp_check_unicast_src`.
    pub checks_source: bool,
    /// What instances copy.
    pub inherited: Inherited,
    /// Programs and pipes.
    pub scripts: NodeScripts,
}

/// What an instance copies when it begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inherited {
    /// How addresses are announced.
    pub garp: Garp,
    /// `down_timer_adverts`.
    pub down_adverts: Option<u8>,
    /// `v3_checksum_as_v2`.
    pub has_short_checksum: bool,
}

/// How addresses are announced, as far as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Garp {
    /// Until the second burst; zero: none.
    pub delay: Option<Duration>,
    /// Times in a burst.
    pub repeat: Option<u32>,
    /// From refresh to refresh; zero: none.
    pub refresh: Option<Duration>,
}

impl Garp {
    /// Takes in a keyword without its `vrrp_`; says whether it is one of these.
    pub fn read(&mut self, node: &Node, report: &mut Report) -> bool {
        const LENGTH: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600 * 24);
        let keyword = node.keyword.strip_prefix("vrrp_").unwrap_or(&node.keyword);
        match keyword {
            "garp_master_delay" => {
                self.delay = seconds(node, LENGTH, "the default holds", report).map(|at| at.value).or(self.delay);
            }
            "garp_master_refresh" => {
                self.refresh = seconds(node, LENGTH, "the default holds", report).map(|at| at.value).or(self.refresh);
            }
            "garp_master_repeat" => {
                let repeat = number(node, 0..=i64::from(u32::MAX), "the default holds", report);
                // Keepalived makes 0 a 1.
                let repeat = repeat.and_then(|at| u32::try_from(at.value.max(1)).ok());
                if repeat.is_some_and(|repeat| repeat > MOST_COPIES) {
                    let effect = "each address is announced at most 5 times in a burst, 50 ms apart";
                    report.remark(node.spot, Remark::NotApplied { keyword: node.keyword.clone(), effect });
                }
                self.repeat = repeat.or(self.repeat);
            }
            _ => return false,
        }
        true
    }
}

/// How many announcements of one burst are made.
pub(super) const MOST_COPIES: u32 = 5;

/// Reads a block; blocks add up.
pub(super) fn read(block: &Node, global: &mut Global, instances: usize, report: &mut Report) {
    no_more_words(block, 0, report);
    for node in &block.body {
        if instances > 0 && COPIED.contains(&node.keyword.as_str()) {
            report.remark(node.spot, Remark::TooLate { keyword: node.keyword.clone() });
        }
        let is_read = global.inherited.garp.read(node, report)
            || keyword(node, global, report)
            || global.scripts.read(node, report);
        if is_read {
            continue;
        }
        fates::tell(node, fates::GLOBAL, report);
    }
}

fn keyword(node: &Node, global: &mut Global, report: &mut Report) -> bool {
    let Some(word) = node.word(0) else { return flag(node, global, report) };
    match node.keyword.as_str() {
        "router_id" => {
            let is_fit = crate::config::resolve::is_plain(&word.value, 64) && !word.value.contains('/');
            if is_fit {
                global.node = Some(word.value.clone());
            } else {
                let expected = "a name of 1 to 64 characters without blanks and slashes".to_owned();
                unfit::<()>(&node.keyword, word, expected, "the host name is shown instead", report);
            }
        }
        "vrrp_version" => global.version = version(node, report).or(global.version),
        "vrrp_mcast_group4" | "vrrp_mcast_group6" => {
            let is_v6 = node.keyword.ends_with('6');
            let group = value::address(&word.value).filter(|group| group.is_multicast() && group.is_ipv6() == is_v6);
            if group.is_none() {
                let expected = "a multicast group of its family".to_owned();
                unfit::<()>(&node.keyword, word, expected, "the group of the protocol holds", report);
            }
            global.groups[usize::from(is_v6)] = group.or(global.groups[usize::from(is_v6)]);
        }
        "default_interface" => global.interface = Some(word.value.clone()),
        "vrrp_down_timer_adverts" => {
            global.inherited.down_adverts = down_adverts(node, report).or(global.inherited.down_adverts);
        }
        _ => return flag(node, global, report),
    }
    no_more_words(node, 1, report);
    true
}

fn flag(node: &Node, global: &mut Global, report: &mut Report) -> bool {
    match node.keyword.as_str() {
        "vrrp_strict" => global.is_strict = switch(node, report),
        "vrrp_check_unicast_src" => global.checks_source = switch(node, report),
        "v3_checksum_as_v2" => global.inherited.has_short_checksum = switch(node, report),
        _ => return false,
    }
    true
}

/// Reads 2 or 3.
pub(super) fn version(node: &Node, report: &mut Report) -> Option<Version> {
    match number(node, 2..=3, "the default holds", report)?.value {
        2 => Some(Version::V2),
        _ => Some(Version::V3),
    }
}

/// Reads how many adverts must be missing.
pub(super) fn down_adverts(node: &Node, report: &mut Report) -> Option<u8> {
    number(node, 1..=100, "the default, 3, holds", report).and_then(|at| u8::try_from(at.value).ok())
}

/// Says where a file begins.
pub(super) const START: Spot = Spot { file: 0, line: 1, column: 1 };

/// What instances copy when they begin.
const COPIED: &[&str] = &[
    "vrrp_garp_master_delay",
    "vrrp_garp_master_repeat",
    "vrrp_garp_master_refresh",
    "vrrp_down_timer_adverts",
    "v3_checksum_as_v2",
];
