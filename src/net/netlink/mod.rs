//! Everything that knows netlink: interfaces and addresses of the kernel as plain values.
//!
//! | file | does |
//! |---|---|
//! | [`requests`] | adds and deletes addresses, many per system call |
//! | [`monitor`] | hears of changes, on a socket of its own |
//! | [`follow`] | hears of routes and rules of ours that are taken away |
//! | [`dump`] | reads everything, at start and after lost notifications |
//! | `message`, `address`, `route` | attributes to values and back |
//!
//! Requests have a socket of their own without `rtnetlink`: the kernel answers within the system call that asks, so a
//! batch is one send and a few receives, where a request through a connection task costs two task switches each.
//! Dumps and notifications about routes, which do wait, go through `rtnetlink`.

mod address;
pub mod dump;
pub mod follow;
mod message;
pub mod monitor;
mod neighbour;
pub mod requests;
mod route;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::engine::params::VipOptions;

pub use dump::{Dump, DumpError, Dumper};
pub use follow::{RouteMonitor, Touch};
pub use monitor::Monitor;
pub use neighbour::ask_anew;
pub use requests::Requests;
pub use route::{Entry, Leftover};

/// The number by which our addresses (`IFA_PROTO`, kernel 5.18), routes and rules are recognised; that of VRRP in IP.
pub const OUR_PROTOCOL: u8 = 112;

/// An address at an interface: what the kernel tells addresses apart by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// Index of the interface.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix_len: u8,
}

/// An address as the kernel holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// Where.
    pub place: Place,
    /// Who added it (`IFA_PROTO`); 0 when nobody said.
    pub protocol: u8,
    /// Route scope, as a number.
    pub scope: u8,
    /// IPv4: behind a primary address of the same prefix.
    pub is_secondary: bool,
    /// Neither tentative nor refused by duplicate address detection.
    pub is_usable: bool,
    /// Refused by duplicate address detection (IPv6).
    pub is_duplicate: bool,
    /// No longer chosen as a source.
    pub is_deprecated: bool,
    /// Seconds until the kernel removes it; `None`: never.
    pub lifetime: Option<u32>,
    /// IPv4: the other end of a point-to-point link.
    pub peer: Option<Ipv4Addr>,
}

/// An interface as the kernel shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Administratively up.
    pub is_up: bool,
    /// Operational: it has carrier.
    pub is_running: bool,
    /// Its hardware address; `None` unless it is an Ethernet-like interface that answers ARP.
    pub mac: Option<[u8; 6]>,
}

/// One change that the kernel told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// An interface appeared or changed.
    Link(Link),
    /// An interface went away.
    LinkGone {
        /// Its index.
        index: u32,
    },
    /// An address appeared or changed.
    Address(Address),
    /// An address went away.
    AddressGone(Place),
    /// Notifications were lost: what is known may be wrong until the next dump.
    Lost,
}

/// A change to ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Add the address, or make the existing one like this.
    Add(NewAddress),
    /// Delete the address; one that does not exist counts as deleted.
    Delete(Place),
    /// Delete the IPv4 address with this other end.
    DeletePeer(Place, Ipv4Addr),
    /// Add the route or rule; refused with `EEXIST` when it is there.
    AddEntry(Entry),
    /// Delete the route or rule; one that does not exist counts as deleted.
    DeleteEntry(Entry),
    /// Delete what an earlier run left.
    Forget(Box<Leftover>),
}

/// An address to add. It is marked as ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAddress {
    /// Where.
    pub place: Place,
    /// IPv4 label, at most 15 bytes.
    pub label: Option<String>,
    /// IPv4 broadcast address; none is made up.
    pub broadcast: Option<Ipv4Addr>,
    /// Route scope, as a number.
    pub scope: u8,
    /// Whole seconds until the kernel removes it by itself, at least 1; `None`: never.
    pub lifetime: Option<u32>,
    /// What few addresses have.
    pub options: VipOptions,
}

/// The kernel refused a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Error number, positive.
    pub errno: i32,
    /// The kernel's own words, when it gave any.
    pub text: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", nix::errno::Errno::from_raw(self.errno).desc())?;
        match &self.text {
            Some(text) => write!(f, " ({text})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on interface {}", self.address, self.prefix_len, self.interface)
    }
}
