//! Everything that can happen to a node.
//!
//! Made by the adapters and `daemon::event_loop`; one stop after: `engine::node`.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::adopt::Imprint;
use super::drain::Drains;

/// A virtual router of this node: its place in the node's table.
///
/// Stays the same for as long as the router exists, also across a reload that keeps it; a number is not given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouterKey(pub u32);

/// A check of this node: its place in the node's table.
///
/// Stays the same for as long as the check exists, also across a reload that keeps it; a number is not given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CheckKey(pub u32);

/// What came out of one run of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// It is well.
    Passed,
    /// It is not, or it could not be found out.
    Failed,
    /// A number that weights are multiplied by; rise and fall do not apply.
    Number(i32),
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A packet arrived on a raw socket.
    Datagram(Datagram<'a>),
    /// A deadline may be due; harmless when none is.
    Timeout,
    /// An interface is as this says: it appeared, changed or went away.
    Interface(Interface),
    /// The kernel holds these VIPs of a router that asked for them; indices into `RouterParams::vips`.
    Vips {
        /// Whose.
        router: RouterKey,
        /// Confirmed since the last such input.
        held: Range<u16>,
    },
    /// A check was run, or what it watches changed. Rise and fall are counted by the node.
    Check {
        /// Which.
        check: CheckKey,
        /// What came out of this one run.
        result: CheckResult,
        /// What an operator reads, such as `exit status 1`; at most 200 bytes.
        words: Arc<str>,
    },
    /// What the process before this one left of a router, of the same identity; ignored after `Startup`.
    Adopt {
        /// Whose.
        router: RouterKey,
        /// What.
        imprint: Imprint,
    },
    /// What keeps a router from holding its addresses came, with `None` it is over.
    Trouble {
        /// Whose.
        router: RouterKey,
        /// What.
        trouble: Option<Trouble>,
    },
    /// These routers stay away on request, and no others; before `Startup`, too.
    Drain(Arc<Drains>),
    /// The node begins to take part.
    Startup,
    /// The node hands over what it holds and takes part no longer.
    Shutdown,
}

/// What keeps a router from holding its addresses although it could send adverts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another program removes an address again and again.
    Removed {
        /// Which.
        address: IpAddr,
        /// How often within a minute.
        count: u32,
    },
    /// A host that is no peer has an address too.
    Taken {
        /// Which.
        address: IpAddr,
        /// That host.
        mac: [u8; 6],
    },
}

/// One packet as a raw socket delivers it.
#[derive(Clone, Copy, Debug)]
pub enum Datagram<'a> {
    /// IPv4: header included, protocol 112 or 51.
    V4 {
        /// Index of the interface it came in on.
        interface: u32,
        /// From the first byte of the IP header.
        packet: &'a [u8],
    },
    /// IPv6: the payload alone, the rest from control messages.
    V6 {
        /// Index of the interface it came in on.
        interface: u32,
        /// Source address.
        source: std::net::Ipv6Addr,
        /// Destination address.
        destination: std::net::Ipv6Addr,
        /// Hop limit on arrival.
        hop_limit: u8,
        /// From the first byte of the VRRP message.
        payload: &'a [u8],
    },
}

/// State of one interface, found by the name in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The name the configuration uses.
    pub name: String,
    /// Kernel index; `None` while no interface has that name. Another number than before: deleted and made again.
    pub index: Option<u32>,
    /// Administratively up and running (carrier).
    pub is_up: bool,
    /// Its addresses in the kernel's order, tentative ones and our own VIPs left out.
    pub addresses: Vec<IpAddr>,
    /// Configured source addresses that other interfaces of this host have (a loopback, say), ascending.
    pub elsewhere: Vec<IpAddr>,
}
