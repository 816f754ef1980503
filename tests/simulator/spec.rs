//! Configurations of simulated nodes: one line per virtual router, with what differs between the hosts in lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use vrrpd::engine::params::{
    AnnounceSchedule, Auth, ChecksumPolicy, Hooks, NodeParams, PeerParams, Preempt, RouterParams, Scope, Transport,
    Vip, VipOptions,
};
use vrrpd::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

/// One virtual router on all hosts; a list shorter than the number of hosts goes on with its last entry.
#[derive(Clone, Debug)]
pub struct RouterSpec {
    pub version: Version,
    pub family: Family,
    pub is_multicast: bool,
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
}

impl RouterSpec {
    /// Version 3, unicast, IPv4, 1 s, preempting at once, two VIPs.
    pub fn new(priorities: &[u8]) -> Self {
        Self {
            version: Version::V3,
            family: Family::V4,
            is_multicast: false,
            intervals: vec![1000],
            priorities: priorities.to_vec(),
            preempts: vec![Preempt::Always],
            vips: 2,
            names_priorities: true,
            masks: Vec::new(),
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

    fn params(&self, index: usize, host: usize, hosts: usize) -> RouterParams {
        let peer = |other: usize| PeerParams {
            address: self.address(other),
            priority: Priority::new(entry(&self.priorities, other)).filter(|_| self.names_priorities),
            min_ttl: None,
        };
        let transport = match (self.is_multicast, self.family) {
            (false, _) => Transport::Unicast { peers: (0..hosts).filter(|&other| other != host).map(peer).collect() },
            (true, Family::V4) => Transport::Multicast { group: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)) },
            (true, Family::V6) => {
                Transport::Multicast { group: IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)) }
            }
        };
        RouterParams {
            name: format!("r{index}"),
            interface: INTERFACE.into(),
            vrid: Vrid::new(index as u8 + 1).unwrap(),
            version: self.version,
            family: self.family,
            priority: Priority::new(entry(&self.priorities, host)).unwrap(),
            advertisement_interval: AdverInterval::new(self.version, self.interval(host)).unwrap(),
            preempt: self.preempt(host),
            transport,
            source: None,
            vips: (0..self.vips).map(|number| vip(self.family, index, number)).collect(),
            routes: Vec::new(),
            rules: Vec::new(),
            checksum: ChecksumPolicy::Auto,
            strict: false,
            auth: Auth::None,
            announce: AnnounceSchedule::default(),
            master_down_adverts: 3,
            ignores_link: false,
            tracks: Vec::new(),
            hooks: Hooks::default(),
        }
    }
}

/// Returns the configuration of one host.
pub fn node_params(specs: &[RouterSpec], host: usize, hosts: usize) -> NodeParams {
    let router = |(index, spec): (usize, &RouterSpec)| Arc::new(spec.params(index, host, hosts));
    NodeParams { routers: specs.iter().enumerate().map(router).collect(), ..NodeParams::default() }
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

/// The one interface of every host.
pub const INTERFACE: &str = "eth0";
