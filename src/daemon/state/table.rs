//! The table of the state file: who the routers are, without a secret.
//!
//! Enough to recognise a router and its addresses, and to tell its peers that it leaves.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::input::RouterKey;
use crate::engine::params::{Auth, ChecksumPolicy, PeerParams, RouterParams, Scope, Transport, Vip, VipOptions};
use crate::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

/// The routers in the order of their slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Of this layout; 1.
    pub schema: u32,
    /// The kernel's name for the time since it began.
    pub boot_id: String,
    /// The configuration that made them.
    pub config: PathBuf,
    /// One for each slot.
    pub routers: Vec<Entry>,
    /// By slot: who it is for the engine of the process that wrote this.
    #[serde(skip)]
    pub(super) keys: Vec<RouterKey>,
}

/// One router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name of the instance.
    pub name: String,
    /// Where its adverts go.
    pub interface: String,
    /// Identifier on the wire.
    pub virtual_router_id: u8,
    /// 2 or 3.
    pub version: u8,
    /// 4 or 6.
    pub family: u8,
    /// As configured; 255 owns the addresses.
    pub priority: u8,
    /// Interval between adverts.
    pub interval_ms: u64,
    /// Intervals without an advert that make the Master dead.
    pub master_down_adverts: u8,
    /// Its peers, and the group that is sent to.
    pub destinations: Vec<IpAddr>,
    /// How adverts prove whose they are: `none`, `password`, `ah` or `hmac`.
    pub auth: AuthKind,
    /// Which checksum is sent in version 3 over IPv4.
    pub checksum: ChecksumName,
    /// The addresses in their order.
    pub addresses: Vec<Held>,
}

/// How adverts prove whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthKind {
    /// Not at all.
    None,
    /// By eight bytes.
    Password,
    /// By an Authentication Header.
    Ah,
    /// By a signed trailer.
    Hmac,
}

/// Which checksum is sent, as [`ChecksumPolicy`] explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChecksumName {
    /// As the peers are heard to.
    Auto,
    /// With the pseudo-header.
    Pseudo,
    /// That of RFC 9568.
    Rfc9568,
    /// That of old Keepalived.
    OldUnicast,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix_len: u8,
    /// Name of its interface.
    pub interface: String,
    /// It is listed in adverts.
    pub advertise: bool,
    /// IPv4 label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// IPv4 broadcast address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<Ipv4Addr>,
    /// Route scope, as a number.
    pub scope: u8,
    /// The other end of a point-to-point link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// IPv6: seconds until it is no longer chosen as a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_lifetime: Option<u32>,
    /// Flags, in the words of [`VipOptions`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
}

/// What few addresses have, as [`VipOptions`] explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The kernel looks for duplicates.
    DetectsDuplicates,
    /// Home address of a mobile node.
    Home,
    /// The kernel makes temporary addresses from it.
    ManagesTemporary,
    /// No route to its network.
    NoRoute,
    /// The host joins its group.
    JoinsGroup,
}

impl Table {
    /// Describes the routers of a node. May take a millisecond for a thousand of them: not for the protocol thread
    /// while adverts are due.
    pub fn new<'a>(config: &Path, routers: impl Iterator<Item = (RouterKey, &'a RouterParams)>) -> Self {
        let (keys, routers) = routers.map(|(key, params)| (key, Entry::of(params))).unzip();
        Self { schema: SCHEMA, boot_id: boot_id(), config: config.to_owned(), routers, keys }
    }

    /// Says whether addresses and times in it are of this run of the kernel.
    pub fn is_of_this_boot(&self) -> bool {
        !self.boot_id.is_empty() && self.boot_id == boot_id()
    }

    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let table: Self = serde_json::from_slice(json).ok()?;
        (table.schema == SCHEMA).then_some(table)
    }
}

impl Entry {
    fn of(params: &RouterParams) -> Self {
        let mut destinations: Vec<IpAddr> = params.peers().iter().map(|peer| peer.address).collect();
        match &params.transport {
            Transport::Unicast { also, .. } => destinations.extend(also),
            Transport::Multicast { group } => destinations.push(*group),
        }
        Self {
            name: params.name.clone(),
            interface: params.interface.clone(),
            virtual_router_id: params.vrid.get(),
            version: params.version.number(),
            family: number(params.family),
            priority: params.priority.get(),
            interval_ms: params.advertisement_interval.as_duration().as_millis() as u64,
            master_down_adverts: params.master_down_adverts,
            destinations,
            checksum: match params.checksum {
                ChecksumPolicy::Auto => ChecksumName::Auto,
                ChecksumPolicy::Pseudo => ChecksumName::Pseudo,
                ChecksumPolicy::Rfc9568 => ChecksumName::Rfc9568,
                ChecksumPolicy::OldUnicast => ChecksumName::OldUnicast,
            },
            auth: match params.auth {
                Auth::None => AuthKind::None,
                Auth::Password { .. } => AuthKind::Password,
                Auth::Ah(_) => AuthKind::Ah,
                Auth::Hmac(_) => AuthKind::Hmac,
            },
            addresses: params.vips.iter().map(|vip| Held::of(vip, &params.interface)).collect(),
        }
    }

    /// Says whether this was the same virtual router, whatever else has changed.
    pub fn is(&self, params: &RouterParams) -> bool {
        self.name == params.name
            && self.interface == params.interface
            && self.virtual_router_id == params.vrid.get()
            && self.version == params.version.number()
            && self.family == number(params.family)
    }

    /// Makes what an engine needs to speak for this router, without checks, hooks and secrets; `None`: no configuration makes
    /// such an entry.
    pub fn params(&self) -> Option<RouterParams> {
        let family = if self.family == 4 { Family::V4 } else { Family::V6 };
        let (groups, peers): (Vec<IpAddr>, Vec<IpAddr>) = self.destinations.iter().partition(|to| to.is_multicast());
        let peer = |address| PeerParams { address, priority: None, min_ttl: None, max_ttl: None };
        let transport = match (groups.first(), peers.is_empty()) {
            (Some(&group), true) => Transport::Multicast { group },
            (None, true) => return None,
            (also, false) => Transport::Unicast { peers: peers.into_iter().map(peer).collect(), also: also.copied() },
        };
        let vrid = Vrid::new(self.virtual_router_id)?;
        let version = if self.version == 2 { Version::V2 } else { Version::V3 };
        let vip = |held: &Held| Vip {
            address: held.address,
            prefix_len: held.prefix_len,
            interface: None,
            advertise: held.advertise,
            label: None,
            broadcast: None,
            scope: Scope::Global,
            options: VipOptions::default(),
        };
        Some(RouterParams {
            version,
            priority: Priority::new(self.priority)?,
            advertisement_interval: AdverInterval::new(version, self.interval())?,
            master_down_adverts: self.master_down_adverts,
            checksum: match self.checksum {
                ChecksumName::Auto => ChecksumPolicy::Auto,
                ChecksumName::Pseudo => ChecksumPolicy::Pseudo,
                ChecksumName::Rfc9568 => ChecksumPolicy::Rfc9568,
                ChecksumName::OldUnicast => ChecksumPolicy::OldUnicast,
            },
            vips: self.addresses.iter().map(vip).collect(),
            ..RouterParams::plain(&self.name, &self.interface, vrid, family, transport)
        })
    }

    /// Returns the interval between adverts.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    /// Says whether the node owns the addresses, whoever is Master.
    pub fn is_owner(&self) -> bool {
        Priority::new(self.priority).is_some_and(Priority::is_owner)
    }
}

impl Held {
    fn of(vip: &Vip, interface: &str) -> Self {
        let options = &vip.options;
        let flags = [
            (options.detects_duplicates, Flag::DetectsDuplicates),
            (options.is_home, Flag::Home),
            (options.manages_temporary, Flag::ManagesTemporary),
            (options.has_no_route, Flag::NoRoute),
            (options.joins_group, Flag::JoinsGroup),
        ];
        Self {
            address: vip.address,
            prefix_len: vip.prefix_len,
            interface: vip.interface.as_deref().unwrap_or(interface).to_owned(),
            advertise: vip.advertise,
            label: vip.label.clone(),
            broadcast: vip.broadcast,
            scope: vip.scope.number(),
            peer: options.peer,
            preferred_lifetime: options.preferred_lifetime,
            flags: flags.into_iter().filter_map(|(is_set, flag)| is_set.then_some(flag)).collect(),
        }
    }

    /// Returns what few addresses have.
    pub fn options(&self) -> VipOptions {
        let has = |flag| self.flags.contains(&flag);
        VipOptions {
            peer: self.peer,
            preferred_lifetime: self.preferred_lifetime,
            detects_duplicates: has(Flag::DetectsDuplicates),
            is_home: has(Flag::Home),
            manages_temporary: has(Flag::ManagesTemporary),
            has_no_route: has(Flag::NoRoute),
            joins_group: has(Flag::JoinsGroup),
            is_untracked: false,
        }
    }
}

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

/// Returns the kernel's name for the time since it began; empty when it does not say.
pub fn boot_id() -> String {
    let path = "/proc/sys/kernel/random/boot_id";
    std::fs::read_to_string(path).map(|id| id.trim_end().to_owned()).unwrap_or_default()
}

/// Of this layout.
const SCHEMA: u32 = 1;
