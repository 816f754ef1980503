//! Configurations of simulated nodes: one line per virtual router, with what differs between the hosts in lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use vrrpd::engine::params::{
    CheckKind, CheckParams, Effect, FileSense, GroupParams, Hooks, Initial, NodeParams, PeerParams, Preempt,
    RouterParams, Scope, Track, Transport, Vip, VipOptions,
};
use vrrpd::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

use super::secret::Secret;

/// What all hosts take part in.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub routers: Vec<RouterSpec>,
    pub checks: Vec<CheckSpec>,
    /// Places of the members.
    pub groups: Vec<Vec<usize>>,
}

/// One check on all hosts.
#[derive(Clone, Copy, Debug)]
pub struct CheckSpec {
    /// It gives numbers, not verdicts.
    pub is_number: bool,
    pub rise: u32,
    pub fall: u32,
    pub initial: Initial,
}

/// What a check does to a router.
#[derive(Clone, Copy, Debug)]
pub struct TrackSpec {
    /// Place of the check.
    pub check: usize,
    pub effect: Effect,
    pub is_urgent: bool,
}

/// One virtual router on all hosts; a list shorter than the number of hosts goes on with its last entry.
#[derive(Clone, Debug)]
pub struct RouterSpec {
    pub version: Version,
    pub family: Family,
    pub is_multicast: bool,
    /// By unicast, and to the group as well.
    pub is_both: bool,
    pub secret: Secret,
    /// In milliseconds, per host.
    pub intervals: Vec<u64>,
    /// Per host.
    pub priorities: Vec<u8>,
    /// Per host.
    pub preempts: Vec<Preempt>,
    pub vips: u16,
    /// The node list names the priorities of the peers.
    pub names_priorities: bool,
    /// What peers take for a host's address instead of its own (address translation).
    pub masks: Vec<Option<IpAddr>>,
    /// Which of the two interfaces of each host.
    pub link: usize,
    pub tracks: Vec<TrackSpec>,
}

impl RouterSpec {
    /// Version 3, unicast, IPv4, 1 s, preempting at once, two VIPs.
    pub fn new(priorities: &[u8]) -> Self {
        Self {
            version: Version::V3,
            family: Family::V4,
            is_multicast: false,
            is_both: false,
            secret: Secret::None,
            intervals: vec![1000],
            priorities: priorities.to_vec(),
            preempts: vec![Preempt::Always],
            vips: 2,
            names_priorities: true,
            masks: Vec::new(),
            link: 0,
            tracks: Vec::new(),
        }
    }

    pub fn interval(&self, host: usize) -> Duration {
        Duration::from_millis(entry(&self.intervals, host))
    }

    pub fn longest_interval(&self) -> Duration {
        Duration::from_millis(self.intervals.iter().copied().max().unwrap_or_default())
    }

    pub fn preempt(&self, host: usize) -> Preempt {
        entry(&self.preempts, host)
    }

    /// Returns the address other hosts know a host by.
    pub fn address(&self, host: usize) -> IpAddr {
        self.masks.get(host).copied().flatten().unwrap_or(address(self.family, host))
    }

    /// Returns it with a check, place 0, whose number is added to the priority.
    #[must_use]
    pub fn weighed(mut self) -> Self {
        self.tracks.push(TrackSpec::weight(0, 1));
        self
    }

    /// Returns the configured priority of a host.
    pub fn priority(&self, host: usize) -> u8 {
        entry(&self.priorities, host)
    }

    fn params(&self, index: usize, host: usize, hosts: usize) -> RouterParams {
        let peer = |other: usize| PeerParams {
            address: self.address(other),
            priority: Priority::new(entry(&self.priorities, other)).filter(|_| self.names_priorities),
            min_ttl: None,
            max_ttl: None,
        };
        let group = match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        };
        let transport = if self.is_multicast {
            Transport::Multicast { group }
        } else {
            let peers = (0..hosts).filter(|&other| other != host).map(peer).collect();
            Transport::Unicast { peers, also: self.is_both.then_some(group) }
        };
        let (name, vrid) = (format!("r{index}"), Vrid::new(index as u8 + 1).unwrap());
        RouterParams {
            version: self.version,
            priority: Priority::new(entry(&self.priorities, host)).unwrap(),
            advertisement_interval: AdverInterval::new(self.version, self.interval(host)).unwrap(),
            preempt: self.preempt(host),
            vips: (0..self.vips).map(|number| vip(self.family, index, number)).collect(),
            tracks: self.tracks.iter().map(TrackSpec::params).collect(),
            auth: self.secret.params(host),
            ..RouterParams::plain(&name, INTERFACES[self.link], vrid, self.family, transport)
        }
    }
}

impl Cluster {
    /// Returns the group that a router is in, or the router alone.
    pub fn unit(&self, router: usize) -> Vec<usize> {
        self.groups.iter().find(|members| members.contains(&router)).cloned().unwrap_or_else(|| vec![router])
    }
}

impl From<RouterSpec> for Cluster {
    /// One router, with each check that it tracks.
    fn from(router: RouterSpec) -> Self {
        let is_number = |check| {
            let mut tracks = router.tracks.iter().filter(|track| track.check == check);
            tracks.any(|track| matches!(track.effect, Effect::Weight { weight: 1, .. }))
        };
        let count = router.tracks.iter().map(|track| track.check + 1).max().unwrap_or_default();
        let checks = (0..count).map(|check| CheckSpec { is_number: is_number(check), ..CheckSpec::PLAIN }).collect();
        Self { routers: vec![router], checks, groups: Vec::new() }
    }
}

impl CheckSpec {
    /// Decided by one result, and not before.
    pub const PLAIN: Self = Self { is_number: false, rise: 1, fall: 1, initial: Initial::Unknown };

    fn params(&self, index: usize) -> CheckParams {
        let second = Duration::from_secs(1);
        CheckParams {
            name: format!("c{index}"),
            kind: if self.is_number {
                CheckKind::File { path: "/run/number".into(), sense: FileSense::Number }
            } else {
                CheckKind::Unit("haproxy.service".into())
            },
            interval: second,
            timeout: second,
            rise: self.rise,
            fall: self.fall,
            initial: self.initial,
        }
    }
}

impl TrackSpec {
    /// A failure of the check means FAULT.
    pub const fn fault(check: usize) -> Self {
        Self { check, effect: Effect::Fault { is_reversed: false }, is_urgent: false }
    }

    /// The check moves the priority; the weight 1 is that of a number.
    pub const fn weight(check: usize, weight: i16) -> Self {
        Self { check, effect: Effect::Weight { weight, is_reversed: false }, is_urgent: false }
    }

    fn params(&self) -> Track {
        Track { check: format!("c{}", self.check), effect: self.effect, is_urgent: self.is_urgent }
    }
}

/// Returns the configuration of one host.
pub fn node_params(cluster: &Cluster, host: usize, hosts: usize) -> NodeParams {
    let router = |(index, spec): (usize, &RouterSpec)| Arc::new(spec.params(index, host, hosts));
    let group = |(index, members): (usize, &Vec<usize>)| {
        let members = members.iter().map(|member| format!("r{member}")).collect();
        Arc::new(GroupParams { name: format!("g{index}"), members, hooks: Hooks::default() })
    };
    NodeParams {
        routers: cluster.routers.iter().enumerate().map(router).collect(),
        checks: (0..).zip(&cluster.checks).map(|(index, check)| Arc::new(check.params(index))).collect(),
        groups: cluster.groups.iter().enumerate().map(group).collect(),
        ..NodeParams::default()
    }
}

/// Returns a host's own address: the higher the index, the higher the address.
pub fn address(family: Family, host: usize) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + host as u8)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10 + host as u16)),
    }
}

fn vip(family: Family, router: usize, number: u16) -> Vip {
    let address = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(198, 51, 100, router as u8 * 20 + number as u8)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, router as u16, number + 1)),
    };
    Vip {
        address,
        prefix_len: family.max_prefix_len(),
        interface: None,
        advertise: true,
        label: None,
        broadcast: None,
        scope: Scope::Global,
        options: VipOptions::default(),
    }
}

fn entry<T: Copy>(list: &[T], host: usize) -> T {
    *list.get(host).or(list.last()).expect("a list is never empty")
}

/// The interfaces of every host.
pub const INTERFACES: [&str; 2] = ["eth0", "eth1"];
