//! Nodes and a client on one switch, each in a network namespace of its own.
//!
//! No command of the system is needed, only the kernel. One stop after: `demo::watch` and `demo::probe` look at it,
//! `demo::daemon` fills it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::Path;

use super::error::LabError;
use super::namespace::Namespace;
use super::netlink::{Netlink, index_of};
use super::site::Site;
use crate::wire::field::Family;

/// The interface of each node and of the client, unless the [`Site`] says otherwise.
pub const INTERFACE: &str = "eth0";
/// The address that moves, IPv4.
pub const VIP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 1, 1));
/// The address that moves, IPv6.
pub const VIP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 1, 1));
/// The link-local address that RFC 9568 wants first in an IPv6 advert.
pub const VIP_LINK_LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, 1));

/// A node of the laboratory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Node {
    /// The first.
    A,
    /// The second.
    B,
    /// The third.
    C,
}

impl Node {
    /// All, in order.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// Returns the place in [`Node::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
            Self::C => 2,
        }
    }

    /// Returns the node's own address.
    pub const fn address(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 77, 0, self.index() as u8 + 1)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, self.index() as u16 + 1)),
        }
    }

    /// Returns the node's link-local address.
    pub const fn link_local(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, self.index() as u16 + 1))
    }

    /// Returns the TTL and hop limit of what the node answers, by which the prober knows it.
    pub const fn ttl(self) -> u8 {
        100 + self.index() as u8
    }

    /// Returns the node that answers with this TTL.
    pub fn with_ttl(ttl: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|node| node.ttl() == ttl)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        })
    }
}

/// The laboratory. Dropping it removes everything.
pub struct Lab {
    nodes: Vec<(Node, Namespace)>,
    client: Namespace,
    switch: Namespace,
    bridge: u32,
    site: Site,
    /// Switch ports by node, in the order of `nodes`.
    ports: Vec<u32>,
}

impl Lab {
    /// Builds a laboratory with the first `size` nodes (1 to 3) and a client.
    ///
    /// **Errors:** [`LabError::Forbidden`] when the user may not make namespaces.
    pub fn new(size: usize) -> Result<Self, LabError> {
        Self::at(Site::USUAL, size)
    }

    /// Builds a laboratory as [`Lab::new`] does, with other names and addresses.
    pub fn at(site: Site, size: usize) -> Result<Self, LabError> {
        let switch = Namespace::new("switch")?;
        let bridge = switch
            .enter(|| Netlink::open()?.add_bridge("br0"))
            .map_err(LabError::kernel("make the switch (bridge)"))?;
        let client = host(&switch, bridge, site.interface, "client", &client_addresses(site), 64)?.0;
        let (mut nodes, mut ports) = (Vec::new(), Vec::new());
        for node in Node::ALL.into_iter().take(size) {
            let addresses = node_addresses(site, node);
            let (namespace, port) = host(&switch, bridge, site.interface, &node.to_string(), &addresses, node.ttl())?;
            nodes.push((node, namespace));
            ports.push(port);
        }
        Ok(Self { nodes, client, switch, bridge, site, ports })
    }

    /// Returns the nodes, in order.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.nodes.iter().map(|(node, _)| *node)
    }

    /// Returns the namespace of a node.
    ///
    /// **Errors:** the laboratory has no such node.
    pub fn namespace(&self, node: Node) -> Result<&Namespace, LabError> {
        self.nodes.get(node.index()).map(|(_, namespace)| namespace).ok_or_else(|| no_such(node))
    }

    /// Returns the namespace of the client.
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// Returns the namespace of the switch.
    pub fn switch(&self) -> &Namespace {
        &self.switch
    }

    /// Returns the interface index of a node's port on the switch.
    pub fn port(&self, node: Node) -> Result<u32, LabError> {
        self.ports.get(node.index()).copied().ok_or_else(|| no_such(node))
    }

    /// Plugs one more host into the switch: no node, and nobody watches its port.
    pub fn plug(&self, name: &str, addresses: &[(IpAddr, u8)]) -> Result<Namespace, LabError> {
        Ok(host(&self.switch, self.bridge, self.site.interface, name, addresses, 64)?.0)
    }

    /// Takes the node's port out of the switch: nobody hears it, it hears nobody, and its link stays up.
    pub fn isolate(&self, node: Node) -> Result<(), LabError> {
        let port = self.port(node)?;
        self.at_switch(format!("isolate node {node}"), move |netlink| netlink.set_bridge(port, None))
    }

    /// Sets the node's port down: the node sees its carrier go.
    pub fn carrier_down(&self, node: Node) -> Result<(), LabError> {
        let port = self.port(node)?;
        self.at_switch(format!("cut the link of node {node}"), move |netlink| netlink.set_up(port, false))
    }

    /// Undoes [`Lab::isolate`] and [`Lab::carrier_down`].
    pub fn heal(&self, node: Node) -> Result<(), LabError> {
        let (port, bridge) = (self.port(node)?, self.bridge);
        self.at_switch(format!("heal node {node}"), move |netlink| {
            netlink.set_up(port, true)?;
            netlink.set_bridge(port, Some(bridge))
        })
    }

    /// Sets a node's interface down or up, as an operator does. Up brings back its own addresses: the kernel drops those
    /// of IPv6 with the interface.
    pub fn set_card(&self, node: Node, is_up: bool) -> Result<(), LabError> {
        let (interface, addresses) = (self.site.interface, node_addresses(self.site, node));
        let set = self.namespace(node)?.enter(move || {
            if is_up {
                return bring_up(interface, &addresses);
            }
            Netlink::open()?.set_up(index_of(interface)?, false)
        });
        set.map_err(LabError::kernel(format!("set the interface of node {node} up or down")))
    }

    /// Takes the interface out of a node: it does not exist any more, nor do its addresses.
    pub fn pull_card(&self, node: Node) -> Result<(), LabError> {
        let port = self.port(node)?;
        self.at_switch(format!("take the interface out of node {node}"), move |netlink| netlink.delete_link(port))
    }

    /// Puts another one in, with another hardware address: same name, same addresses, same port of the switch.
    pub fn insert_card(&self, node: Node) -> Result<(), LabError> {
        let addresses = node_addresses(self.site, node);
        let port = self.port(node)?;
        plug_in(&self.switch, self.bridge, self.namespace(node)?, self.site.interface, &port_name(node), port)?;
        let interface = self.site.interface;
        let up = self.namespace(node)?.enter(move || bring_up(interface, &addresses));
        up.map_err(LabError::kernel(format!("give node {node} its addresses")))
    }

    /// Gives a node's interface another name.
    pub fn rename_card(&self, node: Node, from: &'static str, to: &'static str) -> Result<(), LabError> {
        let renamed = self.namespace(node)?.enter(move || Netlink::open()?.rename(index_of(from)?, to));
        renamed.map_err(LabError::kernel(format!("rename {from} of node {node} to {to}")))
    }

    /// Returns what the interface of a node is called when nobody renamed it.
    pub fn interface(&self) -> &'static str {
        self.site.interface
    }

    /// Takes an address from a node, as its reboot would; no error if it is not there.
    pub fn forget_address(&self, node: Node, address: IpAddr) -> Result<(), LabError> {
        let interface = self.site.interface;
        self.namespace(node)?
            .enter(move || {
                let max_prefix_len = Family::of(&address).max_prefix_len();
                Netlink::open()?.delete_address(index_of(interface)?, address, max_prefix_len)
            })
            .map_err(LabError::kernel(format!("delete {address} from node {node}")))
    }

    fn at_switch(
        &self,
        tried: String,
        body: impl FnOnce(&mut Netlink) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), LabError> {
        self.switch.enter(move || body(&mut Netlink::open()?)).map_err(LabError::kernel(tried))
    }
}

fn no_such(node: Node) -> LabError {
    LabError::Kernel { tried: format!("find node {node}"), source: std::io::ErrorKind::NotFound.into() }
}

/// Makes one host on the switch; returns it and its port.
fn host(
    switch: &Namespace,
    bridge: u32,
    interface: &'static str,
    name: &str,
    addresses: &[(IpAddr, u8)],
    ttl: u8,
) -> Result<(Namespace, u32), LabError> {
    let namespace = Namespace::new(name)?;
    namespace.set("ipv4/ip_default_ttl", ttl)?;
    if has_ipv6() {
        // The link-local address is ours to give, so that it is known and usable at once. 1: the kernel makes none.
        namespace.set("ipv6/conf/default/addr_gen_mode", 1)?;
        namespace.set("ipv6/conf/default/accept_dad", 0)?;
        namespace.set("ipv6/conf/default/hop_limit", ttl)?;
        namespace.set("ipv6/conf/default/disable_ipv6", 0)?;
    }
    let port = plug_in(switch, bridge, &namespace, interface, &port_name(name), 0)?;
    let addresses = addresses.to_vec();
    namespace
        .enter(move || bring_up(interface, &addresses))
        .map_err(LabError::kernel(format!("give {name} its addresses")))?;
    Ok((namespace, port))
}

/// Makes the cable between a host and its port, which gets this index unless that is 0; returns the port.
fn plug_in(
    switch: &Namespace,
    bridge: u32,
    host: &Namespace,
    interface: &'static str,
    port_name: &str,
    index: u32,
) -> Result<u32, LabError> {
    let other_end = host.as_fd().try_clone_to_owned().map_err(LabError::kernel("copy a descriptor"))?;
    let (tried, port_name) = (format!("plug {port_name} into the switch"), port_name.to_owned());
    let plugged = switch.enter(move || {
        let mut netlink = Netlink::open()?;
        let port = netlink.add_veth(&port_name, index, interface, other_end.as_fd())?;
        netlink.set_bridge(port, Some(bridge))?;
        Ok(port)
    });
    plugged.map_err(LabError::kernel(tried))
}

/// Sets an interface of this namespace up and gives it these addresses.
fn bring_up(interface: &str, addresses: &[(IpAddr, u8)]) -> std::io::Result<()> {
    let mut netlink = Netlink::open()?;
    let index = index_of(interface)?;
    netlink.set_up(index, true)?;
    let mut usable = addresses.iter().filter(|(address, _)| address.is_ipv4() || has_ipv6());
    usable.try_for_each(|(address, prefix_len)| netlink.add_address(index, *address, *prefix_len))
}

fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

fn port_name(host: impl fmt::Display) -> String {
    format!("p-{host}")
}

fn node_addresses(site: Site, node: Node) -> [(IpAddr, u8); 3] {
    [(site.address(node, Family::V4), site.prefix_len), (node.link_local(), 64), (node.address(Family::V6), 64)]
}

fn client_addresses(site: Site) -> [(IpAddr, u8); 3] {
    [
        (IpAddr::V4(site.client), site.prefix_len),
        (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe)), 64),
        (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 0xfe)), 64),
    ]
}
