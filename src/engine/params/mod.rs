//! What an operator decided, as typed values: the engine's configuration.
//!
//! Written by `config`, read by the engine and by the adapters (VIP options concern only `net::vips`). Nothing here
//! changes while a router runs, except by a reload that hands in another [`RouterParams`].

mod auth;
mod check;
mod hook;
mod ownership;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

pub use auth::{Auth, AuthMode, HmacParams, ReplayGuard};
pub use check::{
    ArgumentMatch, CheckKind, CheckParams, Effect, Endpoint, FileSense, HttpParams, Initial, ProcessParams,
    ProcessTarget, Track,
};
pub use hook::{Command, DaemonHook, Fallback, FifoParams, Hook, HookEvent, Hooks, NodeHooks, Scripts, UserParams};
pub use ownership::{OnConflict, Ownership};

use super::route::{Route, Rule};
use crate::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

/// Everything one node takes part in, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodeParams {
    /// One entry per instance; names are unique.
    pub routers: Vec<Arc<RouterParams>>,
    /// One entry per check that some router names; names are unique.
    pub checks: Vec<Arc<CheckParams>>,
    /// One entry per group; names are unique, no router is in two.
    pub groups: Vec<Arc<GroupParams>>,
    /// Pipes and programs of the daemon as a whole.
    pub hooks: Arc<NodeHooks>,
    /// What is there whoever is Master.
    pub fixed: Fixed,
}

/// What is held from the start of the daemon to its end, whatever the state of any router.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Fixed {
    /// Addresses; each names its interface.
    pub addresses: Vec<Vip>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Rules.
    pub rules: Vec<Rule>,
}

/// Routers that move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupParams {
    /// Its name in status, logs and hooks; never empty.
    pub name: String,
    /// Names of its members ([`RouterParams::name`]); never empty. What is tracked on behalf of the group is in the
    /// tracks of each member already.
    pub members: Vec<String>,
    /// What is called when its state changes.
    pub hooks: Hooks,
}

/// One virtual router as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterParams {
    /// The instance's name in status, logs and hooks; unique, never empty.
    pub name: String,
    /// The interface that carries the adverts; VIPs without one of their own go there too.
    pub interface: String,
    /// Identifier on the wire.
    pub vrid: Vrid,
    /// Protocol version; IPv6 is always [`Version::V3`].
    pub version: Version,
    /// Family of the adverts.
    pub family: Family,
    /// Configured priority, before weights.
    pub priority: Priority,
    /// Own interval between adverts.
    pub advertisement_interval: AdverInterval,
    /// When a better Backup takes over from a worse Master.
    pub preempt: Preempt,
    /// Where adverts go and whose are believed.
    pub transport: Transport,
    /// Source address of adverts; `None`: the interface's first address of the family (IPv6: link-local).
    pub source: Option<IpAddr>,
    /// Virtual addresses in configured order; the advertised ones travel in that order.
    pub vips: Vec<Vip>,
    /// Routes that are there while the addresses are, in configured order; added after them and removed before.
    pub routes: Vec<Route>,
    /// Rules that are there while the routes are; added after them and removed before.
    pub rules: Vec<Rule>,
    /// Which checksum of version 3 over IPv4 is sent and believed.
    pub checksum: ChecksumPolicy,
    /// Drop what an RFC lets us drop; see design table in `docs/rfc9568-ledger.md`.
    pub strict: bool,
    /// How adverts prove whose they are.
    pub auth: Auth,
    /// How often addresses are announced again.
    pub announce: AnnounceSchedule,
    /// How many intervals without an advert make the Master dead; 3 by the RFC.
    pub master_down_adverts: u8,
    /// The interface may be down or without carrier; only its absence or want of an address is a fault.
    pub ignores_link: bool,
    /// What is tracked on its behalf, in configured order; no check twice.
    pub tracks: Vec<Track>,
    /// What is called when its state changes.
    pub hooks: Hooks,
    /// How it holds its addresses.
    pub ownership: Ownership,
}

/// When a Backup with the higher priority takes over from a living Master. An owner (255) always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preempt {
    /// At the end of its master-down interval.
    Always,
    /// Never while a Master is heard.
    Never,
    /// As `Always`, after it has heard a worse Master for this long.
    After(Duration),
}

/// Where adverts go and whose are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// To each peer in turn; only peers are believed. Never empty.
    Unicast {
        /// The other nodes.
        peers: Vec<PeerParams>,
        /// A group that is sent to as well, and on which the peers are heard: while nodes move from multicast to unicast.
        also: Option<IpAddr>,
    },
    /// To a group on the interface; any sender there with TTL 255 is believed.
    Multicast {
        /// 224.0.0.18 or ff02::12 unless configured otherwise.
        group: IpAddr,
    },
}

/// One other node, reached by unicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerParams {
    /// Where it is reached, and the source address of what it sends.
    pub address: IpAddr,
    /// Its configured priority, when the node list names it.
    pub priority: Option<Priority>,
    /// Lowest TTL or hop limit accepted from it; `None`: any.
    pub min_ttl: Option<u8>,
    /// Highest TTL or hop limit accepted from it; `None`: any.
    pub max_ttl: Option<u8>,
}

/// One virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// 1 to 32 or 128; a bare address gets 32 or 128.
    pub prefix_len: u8,
    /// Another interface than the router's.
    pub interface: Option<String>,
    /// Whether it is listed in adverts; never true for the other family.
    pub advertise: bool,
    /// IPv4 label, at most 15 bytes.
    pub label: Option<String>,
    /// IPv4 broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Route scope of the address.
    pub scope: Scope,
    /// What few addresses have.
    pub options: VipOptions,
}

/// What few addresses have; the default is none of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct VipOptions {
    /// The other end of a point-to-point link; the prefix length is that of its network.
    pub peer: Option<IpAddr>,
    /// IPv6: seconds until it is no longer chosen as a source, 0 at once; `None`: never.
    pub preferred_lifetime: Option<u32>,
    /// IPv6: the kernel looks for duplicates before the address is used.
    pub detects_duplicates: bool,
    /// IPv6: home address of a mobile node.
    pub is_home: bool,
    /// IPv6: the kernel makes temporary addresses from it.
    pub manages_temporary: bool,
    /// The kernel adds no route to its network.
    pub has_no_route: bool,
    /// The host joins the multicast group of this address.
    pub joins_group: bool,
    /// Removal by somebody else is left alone.
    pub is_untracked: bool,
}

/// Scope of an address, as `ip address` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Valid everywhere.
    #[default]
    Global,
    /// Valid on the site (253 is `link`, 200 is `site`).
    Site,
    /// Valid on the link.
    Link,
    /// Valid on this host.
    Host,
    /// Any other number.
    Other(u8),
}

impl Scope {
    /// Returns the number that the kernel knows it by.
    pub const fn number(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Site => 200,
            Self::Link => 253,
            Self::Host => 254,
            Self::Other(number) => number,
        }
    }
}

/// Which checksum of version 3 over IPv4 is sent and believed; the forms are in `wire::checksum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumPolicy {
    /// Believe all three; send the pseudo-header form until a peer is heard to use another.
    Auto,
    /// Send and believe the pseudo-header form alone.
    Pseudo,
    /// Send and believe the form of RFC 9568 alone.
    Rfc9568,
    /// Send and believe the form of Keepalived before 1.3.7 alone (unicast).
    OldUnicast,
}

/// How often addresses are announced while Master, besides the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceSchedule {
    /// Once after each of these, counted from becoming Master, ascending.
    pub repeats: Vec<Duration>,
    /// Then again and again; `None`: never.
    pub refresh: Option<Duration>,
}

impl Default for AnnounceSchedule {
    /// After 1 s and 5 s, then every 60 s.
    fn default() -> Self {
        Self { repeats: vec![Duration::from_secs(1), Duration::from_secs(5)], refresh: Some(Duration::from_secs(60)) }
    }
}

impl RouterParams {
    /// Makes a router of version 3 with what it must have: priority 100, an interval of 1 s, no addresses, and nothing that
    /// a file would have to say.
    pub fn plain(name: &str, interface: &str, vrid: Vrid, family: Family, transport: Transport) -> Self {
        Self {
            name: name.to_owned(),
            interface: interface.to_owned(),
            vrid,
            version: Version::V3,
            family,
            priority: Priority::DEFAULT,
            advertisement_interval: AdverInterval::DEFAULT,
            preempt: Preempt::Always,
            transport,
            source: None,
            vips: Vec::new(),
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
            ownership: Ownership::default(),
        }
    }

    /// Says whether this node owns the addresses.
    pub fn is_owner(&self) -> bool {
        self.priority.is_owner()
    }

    /// Returns the addresses that travel in adverts, in order.
    pub fn advertised(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.vips.iter().filter(|vip| vip.advertise).map(|vip| vip.address)
    }

    /// Returns the unicast peers; empty for multicast.
    pub fn peers(&self) -> &[PeerParams] {
        match &self.transport {
            Transport::Unicast { peers, .. } => peers,
            Transport::Multicast { .. } => &[],
        }
    }
}
