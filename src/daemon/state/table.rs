//! The table of the state file: who the routers are, without a secret.
//!
//! Enough to recognise a router and its addresses, and to tell its peers that it leaves.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::input::RouterKey;
use crate::engine::params::{Auth, RouterParams, Transport};
use crate::wire::field::{Family, Priority};

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
        let addresses = params.vips.iter().map(|vip| Held {
            address: vip.address,
            prefix_len: vip.prefix_len,
            interface: vip.interface.clone().unwrap_or_else(|| params.interface.clone()),
            advertise: vip.advertise,
        });
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
            auth: match params.auth {
                Auth::None => AuthKind::None,
                Auth::Password { .. } => AuthKind::Password,
                Auth::Ah(_) => AuthKind::Ah,
                Auth::Hmac(_) => AuthKind::Hmac,
            },
            addresses: addresses.collect(),
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

    /// Returns the interval between adverts.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    /// Says whether the node owns the addresses, whoever is Master.
    pub fn is_owner(&self) -> bool {
        Priority::new(self.priority).is_some_and(Priority::is_owner)
    }
}

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

/// Returns the kernel's name for the time since it began; empty when it does not say.
fn boot_id() -> String {
    let path = "/proc/sys/kernel/random/boot_id";
    std::fs::read_to_string(path).map(|id| id.trim_end().to_owned()).unwrap_or_default()
}

/// Of this layout.
const SCHEMA: u32 = 1;
