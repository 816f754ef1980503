//! Where a laboratory pretends to be: what the interface of each host is called, and the IPv4 addresses of the hosts.
//!
//! One stop after: `demo::lab` builds it, `demo::plan` writes it into configuration files. Configuration files that come
//! from elsewhere bring their own.

use std::net::{IpAddr, Ipv4Addr};

use super::lab::{INTERFACE, Node};
use crate::wire::field::Family;

/// Names and IPv4 addresses of a laboratory. IPv6 addresses are the same everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site {
    /// The interface of each node and of the client.
    pub interface: &'static str,
    /// The first node's address; the others have those behind it.
    pub first_node: Ipv4Addr,
    /// The client's address.
    pub client: Ipv4Addr,
    /// Prefix length of all of these, in bits.
    pub prefix_len: u8,
}

impl Site {
    /// The one for which nobody else's file is needed. Its addresses are those of [`Node::address`].
    pub const USUAL: Self = Self {
        interface: INTERFACE,
        first_node: Ipv4Addr::new(10, 77, 0, 1),
        client: Ipv4Addr::new(10, 77, 0, 254),
        prefix_len: 16,
    };

    /// Returns a node's own address.
    pub fn address(&self, node: Node, family: Family) -> IpAddr {
        match family {
            Family::V4 => {
                let first = u32::from(self.first_node);
                IpAddr::V4(Ipv4Addr::from(first.saturating_add(node.index() as u32)))
            }
            Family::V6 => node.address(family),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_site_has_the_addresses_of_the_nodes() {
        for node in Node::ALL {
            for family in [Family::V4, Family::V6] {
                assert_eq!(Site::USUAL.address(node, family), node.address(family), "{node}");
            }
        }
    }

    #[test]
    fn nodes_follow_the_first() {
        let site = Site { first_node: Ipv4Addr::new(10, 0, 0, 20), ..Site::USUAL };
        assert_eq!(site.address(Node::B, Family::V4).to_string(), "10.0.0.21");
    }
}
