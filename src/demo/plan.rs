//! One virtual router in the laboratory: what every node is told, and what the protocol makes of it.
//!
//! One stop after: the configuration file of each kind of daemon.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::lab::Node;
use super::site::Site;
use crate::wire::field::{Family, Version};

/// Identifier of the laboratory's virtual router, where nothing asks for another.
pub const VRID: u8 = 51;

/// The plan for one virtual router.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the nodes are.
    pub site: Site,
    /// Identifier of the virtual router.
    pub vrid: u8,
    /// Protocol version.
    pub version: Version,
    /// Family of the adverts.
    pub family: Family,
    /// Adverts go to the group instead of to each other node.
    pub is_multicast: bool,
    /// Between adverts.
    pub interval: Duration,
    /// By node, in the order of [`Node::ALL`]; the length says how many nodes take part.
    pub priorities: Vec<u8>,
    /// Whether a better node takes over from a living worse one.
    pub preempt: bool,
    /// The addresses that move; the last one is what the client asks.
    pub addresses: Vec<IpAddr>,
}

impl Plan {
    /// Returns the nodes that take part.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        Node::ALL.into_iter().take(self.priorities.len())
    }

    /// Returns a node's priority; 0 if it takes no part.
    pub fn priority(&self, node: Node) -> u8 {
        self.priorities.get(node.index()).copied().unwrap_or(0)
    }

    /// Returns the address that a node's adverts come from.
    pub fn source(&self, node: Node) -> IpAddr {
        match (self.family, self.is_multicast) {
            (Family::V6, true) => node.link_local(),
            (Family::V4, _) | (Family::V6, false) => self.site.address(node, self.family),
        }
    }

    /// Returns the other nodes' addresses.
    pub fn peers(&self, node: Node) -> impl Iterator<Item = IpAddr> + '_ {
        self.nodes().filter(move |other| *other != node).map(|other| self.source(other))
    }

    /// Returns how long a node waits after a resignation. RFC 9568 section 6.1; version 2: RFC 3768 section 6.1.
    pub fn skew(&self, node: Node) -> Duration {
        let base = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.interval,
        };
        base * (256 - u32::from(self.priority(node))) / 256
    }

    /// Returns how long a node waits without adverts before it takes over.
    pub fn master_down(&self, node: Node) -> Duration {
        self.interval * 3 + self.skew(node)
    }

    /// Writes a node's configuration in our own format; the instance is called `web`.
    pub fn toml(&self, node: Node) -> String {
        let quoted = |addresses: &mut dyn Iterator<Item = IpAddr>| {
            addresses.map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ")
        };
        let mut text =
            format!("[daemon]\nnode = \"{node}\"\n\n[instance.web]\ninterface = \"{}\"\n", self.site.interface);
        // Writing to a string does not fail.
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{key} = {value}");
        };
        line("virtual_router_id", &self.vrid);
        line("version", &self.version.number());
        line("priority", &self.priority(node));
        line("advert_interval", &format_args!("\"{}ms\"", self.interval.as_millis()));
        if !self.preempt {
            line("preempt", &"\"never\"");
        }
        line("source", &format_args!("\"{}\"", self.source(node)));
        if self.is_multicast {
            line("multicast", &true);
        } else {
            line("peers", &format_args!("[{}]", quoted(&mut self.peers(node))));
        }
        line("addresses", &format_args!("[{}]", quoted(&mut self.addresses.iter().copied())));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::lab::VIP_V4;

    fn plan(version: Version, interval: Duration) -> Plan {
        Plan {
            site: Site::USUAL,
            vrid: VRID,
            version,
            family: Family::V4,
            is_multicast: false,
            interval,
            priorities: vec![200, 100],
            preempt: false,
            addresses: vec![VIP_V4],
        }
    }

    #[test]
    fn limits_are_those_of_the_rfc() {
        let v3 = plan(Version::V3, Duration::from_millis(200));
        assert_eq!(v3.skew(Node::B).as_micros(), 121_875);
        assert_eq!(v3.master_down(Node::B).as_micros(), 721_875);
        let v2 = plan(Version::V2, Duration::from_secs(2));
        assert_eq!(v2.skew(Node::B).as_micros(), 609_375, "version 2: a share of one second");
    }

    #[test]
    fn our_own_format_says_all_of_the_plan() {
        let text = plan(Version::V3, Duration::from_millis(200)).toml(Node::B);
        let wanted = "[daemon]\nnode = \"b\"\n\n[instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\n\
                      version = 3\npriority = 100\nadvert_interval = \"200ms\"\npreempt = \"never\"\n\
                      source = \"10.77.0.2\"\npeers = [\"10.77.0.1\"]\naddresses = [\"10.77.1.1\"]\n";
        assert_eq!(text, wanted);
    }
}
