//! A checked configuration of all nodes, and which of them this host is.
//!
//! Asks no system: addresses and host name are passed in. One stop before: `resolve`; one stop after: the daemon, which
//! runs the [`NodeParams`], or waits and asks again when an address is not there yet.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::engine::params::{
    CheckParams, Endpoint, Fixed, GroupParams, NodeHooks, NodeParams, PeerParams, RouterParams, Transport,
};
use crate::wire::field::Priority;

/// A configuration without errors, the same on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[daemon]`.
    pub daemon: DaemonSettings,
    /// In the order of the file; never empty.
    pub(super) instances: Vec<Instance>,
    /// In the order of the file; names are unique. Those that no instance of a node names are not for that node.
    pub checks: Vec<Arc<CheckParams>>,
    /// In the order of the file; names are unique, no instance is in two.
    pub groups: Vec<Arc<GroupParams>>,
    /// Pipes and programs of the daemon as a whole.
    pub hooks: Arc<NodeHooks>,
    /// What is there whoever is Master.
    pub fixed: Fixed,
}

/// What concerns the process and no instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// The name of this host; `None`: see [`Config::node_name`].
    pub node: Option<String>,
    /// Where socket, state and lock are; absolute, at most 96 bytes.
    pub runtime_dir: PathBuf,
    /// Whose members may use the control socket; `None`: nobody named one, so `vrrpd` if there is such a group.
    pub control_group: Option<String>,
    /// Where metrics and health are asked for; `None`: nowhere.
    pub metrics: Option<Endpoint>,
}

/// One instance on all its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    /// As the first node of the list sees it, or this host where there is no list.
    pub params: RouterParams,
    /// The list; empty where the file holds this host's seat alone.
    pub nodes: Vec<Node>,
}

/// One node of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Its name, unique in the list.
    pub name: Option<String>,
    /// Where its adverts come from and go to, unique in the list.
    pub address: IpAddr,
    /// Its configured priority.
    pub priority: Priority,
}

/// What this host knows about itself.
#[derive(Clone, Copy, Debug)]
pub struct LocalHost<'a> {
    /// The addresses of all interfaces.
    pub addresses: &'a [IpAddr],
    /// The name of the host, with or without its domain.
    pub host_name: &'a str,
}

impl Config {
    /// Returns the part of this host.
    ///
    /// In each node list the host is the node that has the name of `[daemon] node`, else one of the host's addresses,
    /// else the host's name. A name that is found in one list holds in all. A list in which every node has a name, and
    /// none has this one, is not for this host: the instance is left out (see [`Config::left_out`]).
    ///
    /// **Errors:** see [`Unplaced`]. Never panics.
    pub fn for_this_host(&self, host: &LocalHost<'_>) -> Result<NodeParams, Unplaced> {
        let name = self.listed_name(host)?;
        let mut routers = Vec::with_capacity(self.instances.len());
        for instance in &self.instances {
            match instance.seat(name, host, self)? {
                Seat::Only => routers.push(Arc::new(instance.params.clone())),
                Seat::Listed(at) => routers.push(Arc::new(instance.seated(at))),
                Seat::NotListed => {}
            }
        }
        let (checks, groups) = (self.checks_of(&routers), self.groups_of(&routers));
        // Copies, so that they live apart from the configuration of all nodes, which does not live long.
        let hooks = Arc::new(NodeHooks::clone(&self.hooks));
        Ok(NodeParams { routers, checks, groups, hooks, fixed: self.fixed.clone() })
    }

    /// Returns each instance as the first node of its list sees it; what is called does not differ between nodes.
    pub fn routers(&self) -> impl Iterator<Item = &RouterParams> {
        self.instances.iter().map(|instance| &instance.params)
    }

    /// Returns the checks that some of these instances name.
    fn checks_of(&self, routers: &[Arc<RouterParams>]) -> Vec<Arc<CheckParams>> {
        let tracks = routers.iter().flat_map(|router| &router.tracks);
        let named: BTreeSet<&str> = tracks.map(|track| track.check.as_str()).collect();
        let is_named = |check: &&Arc<CheckParams>| named.contains(check.name.as_str());
        self.checks.iter().filter(is_named).map(|check| Arc::new(CheckParams::clone(check))).collect()
    }

    /// Returns the groups with those of their members that are among these instances; a group without any is left out.
    fn groups_of(&self, routers: &[Arc<RouterParams>]) -> Vec<Arc<GroupParams>> {
        let present: BTreeSet<&str> = routers.iter().map(|router| router.name.as_str()).collect();
        let seated = |group: &Arc<GroupParams>| {
            if group.members.iter().all(|member| present.contains(member.as_str())) {
                return Some(Arc::new(GroupParams::clone(group)));
            }
            let mut group = GroupParams::clone(group);
            group.members.retain(|member| present.contains(member.as_str()));
            (!group.members.is_empty()).then(|| Arc::new(group))
        };
        self.groups.iter().filter_map(seated).collect()
    }

    /// Returns the instances that [`Config::for_this_host`] leaves out, because their lists name other nodes only.
    pub fn left_out(&self, host: &LocalHost<'_>) -> Vec<&str> {
        let Ok(name) = self.listed_name(host) else { return Vec::new() };
        self.instances
            .iter()
            .filter(|instance| matches!(instance.seat(name, host, self), Ok(Seat::NotListed)))
            .map(|instance| instance.params.name.as_str())
            .collect()
    }

    /// Returns the name of this host in status and events: `[daemon] node`, else its name in a list, else the host name.
    pub fn node_name(&self, host: &LocalHost<'_>) -> String {
        let listed = self.listed_name(host).ok().flatten();
        self.daemon.node.as_deref().or(listed).unwrap_or(host.host_name).to_owned()
    }

    /// Finds the name that this host has in the lists.
    fn listed_name<'c>(&'c self, host: &LocalHost<'_>) -> Result<Option<&'c str>, Unplaced> {
        let names = || {
            let nodes = self.instances.iter().flat_map(|instance| &instance.nodes);
            nodes.filter_map(|node| node.name.as_deref())
        };
        if let Some(own) = &self.daemon.node
            && let Some(name) = names().find(|name| name == own)
        {
            return Ok(Some(name));
        }
        let mut found: Option<(&str, IpAddr)> = None;
        for instance in &self.instances {
            let Some(node) = instance.by_address(host, self)?.and_then(|at| instance.nodes.get(at)) else { continue };
            match (found, node.name.as_deref()) {
                (Some((first, address)), Some(name)) if first != name => {
                    let instance = instance.params.name.clone();
                    return Err(Unplaced::Ambiguous { instance, addresses: vec![address, node.address] });
                }
                (None, Some(name)) => found = Some((name, node.address)),
                (_, _) => {}
            }
        }
        let by_address = found.map(|(name, _)| name);
        Ok(by_address.or_else(|| names().find(|name| is_host_name(name, host.host_name))))
    }

    fn is_vip(&self, address: &IpAddr) -> bool {
        self.instances.iter().any(|instance| instance.params.vips.iter().any(|vip| vip.address == *address))
    }
}

/// Where this host sits in an instance.
enum Seat {
    /// There is no list: the file is this host's own.
    Only,
    /// At this place of the list.
    Listed(usize),
    /// The list names other nodes only.
    NotListed,
}

impl Instance {
    fn seat(&self, name: Option<&str>, host: &LocalHost<'_>, config: &Config) -> Result<Seat, Unplaced> {
        if self.nodes.is_empty() {
            return Ok(Seat::Only);
        }
        let by_name = name.and_then(|name| self.nodes.iter().position(|node| node.name.as_deref() == Some(name)));
        if let Some(at) = by_name {
            return Ok(Seat::Listed(at));
        }
        if let Some(at) = self.by_address(host, config)? {
            return Ok(Seat::Listed(at));
        }
        if name.is_some() && self.nodes.iter().all(|node| node.name.is_some()) {
            return Ok(Seat::NotListed);
        }
        Err(Unplaced::NotHere {
            instance: self.params.name.clone(),
            interface: self.params.interface.clone(),
            addresses: self.nodes.iter().map(|node| node.address).collect(),
            host_name: host.host_name.to_owned(),
        })
    }

    /// Finds the node that has one of the host's addresses.
    ///
    /// A node address that is a VIP too says nothing while another one is there: the Master holds it for its owner.
    fn by_address(&self, host: &LocalHost<'_>, config: &Config) -> Result<Option<usize>, Unplaced> {
        let here = |node: &Node| host.addresses.contains(&node.address);
        let mut found: Vec<_> = self.nodes.iter().enumerate().filter(|(_, node)| here(node)).collect();
        if found.len() > 1 {
            found.retain(|(_, node)| !config.is_vip(&node.address));
        }
        match found.as_slice() {
            [] => Ok(None),
            [(at, _)] => Ok(Some(*at)),
            more => Err(Unplaced::Ambiguous {
                instance: self.params.name.clone(),
                addresses: more.iter().map(|(_, node)| node.address).collect(),
            }),
        }
    }

    /// Returns the instance as the node `at` sees it.
    pub(super) fn seated(&self, at: usize) -> RouterParams {
        let mut params = self.params.clone();
        if let Some(node) = self.nodes.get(at) {
            params.priority = node.priority;
            params.source = Some(node.address);
        }
        match &params.transport {
            Transport::Unicast { peers, also } => {
                // Every peer of a list has the instance's range.
                let ttl = peers.first().map(|peer| TtlRange { min: peer.min_ttl, max: peer.max_ttl });
                params.transport = unicast_to_others(&self.nodes, at, ttl.unwrap_or_default(), *also);
            }
            Transport::Multicast { .. } => {}
        }
        params
    }
}

/// Which TTLs or hop limits are accepted from a unicast peer; `None`: no bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct TtlRange {
    /// The lowest.
    pub min: Option<u8>,
    /// The highest.
    pub max: Option<u8>,
}

/// Returns the transport of the node `at`: to every other node of the list, and to the group `also`.
pub(super) fn unicast_to_others(nodes: &[Node], at: usize, ttl: TtlRange, also: Option<IpAddr>) -> Transport {
    let others = nodes.iter().enumerate().filter(|(other, _)| *other != at);
    let peers = others.map(|(_, node)| PeerParams {
        address: node.address,
        priority: Some(node.priority),
        min_ttl: ttl.min,
        max_ttl: ttl.max,
    });
    Transport::Unicast { peers: peers.collect(), also }
}

/// Compares a listed name with that of the host; the host's domain need not be listed.
fn is_host_name(listed: &str, host_name: &str) -> bool {
    let short = host_name.split('.').next().unwrap_or(host_name);
    !listed.is_empty() && (listed.eq_ignore_ascii_case(host_name) || listed.eq_ignore_ascii_case(short))
}

/// Why this host has no place in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// None of an instance's nodes is this host, as far as it can be told by what is there.
    NotHere {
        /// The instance.
        instance: String,
        /// Where one of the addresses should be.
        interface: String,
        /// The addresses looked for.
        addresses: Vec<IpAddr>,
        /// The host name looked for among the names of nodes.
        host_name: String,
    },
    /// Several nodes of the lists are this host.
    Ambiguous {
        /// The instance.
        instance: String,
        /// Their addresses.
        addresses: Vec<IpAddr>,
    },
}

impl Unplaced {
    /// Says whether an interface or address that comes later may help, so that it is worth waiting.
    pub fn may_appear(&self) -> bool {
        match self {
            Self::NotHere { .. } => true,
            Self::Ambiguous { .. } => false,
        }
    }
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[IpAddr]| {
            let unique: BTreeSet<_> = addresses.iter().map(IpAddr::to_string).collect();
            unique.into_iter().collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::NotHere { instance, interface, addresses, host_name } => write!(
                f,
                "instance {instance:?}: this host has none of the node addresses {} (yet; expected on {interface}), \
                 and no node is named {host_name:?}; set `node` in [daemon] to the node's name",
                list(addresses)
            ),
            Self::Ambiguous { instance, addresses } => write!(
                f,
                "instance {instance:?}: this host has the addresses of several nodes, {}; \
                 set `node` in [daemon] to the node's name",
                list(addresses)
            ),
        }
    }
}
