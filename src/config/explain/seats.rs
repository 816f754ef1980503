//! Which nodes of which files elect one Master between them.
//!
//! A node list seats all its nodes; a file without one seats its own host, and the other seats are in the other nodes'
//! files. Instances of two files belong together when they have one name, or are each other's peers.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::Loaded;
use super::super::placement::{Config, Instance};
use crate::engine::params::{CheckParams, GroupParams, RouterParams, Transport};

/// One file: its name as it was given, and what it holds.
pub type File<'a> = (&'a str, &'a Loaded);

/// Everything that the files say.
#[derive(Debug)]
pub struct Cluster {
    /// In the order of the first file that names each.
    pub routers: Vec<VirtualRouter>,
    /// Groups of all files, each once.
    pub groups: Vec<Arc<GroupParams>>,
    /// The names of the files.
    pub files: Vec<String>,
}

/// One virtual router on all nodes that are known.
#[derive(Debug)]
pub struct VirtualRouter {
    /// The instance's name in the first file that has it.
    pub name: String,
    /// Every node as each file describes it; never empty.
    pub views: Vec<Seat>,
    /// The first view of each node, in order; never empty.
    pub seats: Vec<usize>,
}

/// One node of a virtual router as one file describes it.
#[derive(Debug)]
pub struct Seat {
    /// Its name in the list, else that of `[daemon] node`, else its address, else the file's name.
    pub node: String,
    /// Index into [`Cluster::files`].
    pub file: usize,
    /// The instance as this node sees it.
    pub params: RouterParams,
    /// The checks of the file.
    pub checks: Vec<Arc<CheckParams>>,
}

impl Cluster {
    /// Reads the seats out of files.
    pub fn of(files: &[File<'_>]) -> Self {
        let mut cluster = Self {
            routers: Vec::new(),
            groups: Vec::new(),
            files: files.iter().map(|(name, _)| (*name).to_owned()).collect(),
        };
        for (file, (name, loaded)) in files.iter().enumerate() {
            for instance in &loaded.config.instances {
                cluster.seat(instance.params.name.clone(), seats(file, name, &loaded.config, instance));
            }
            for group in &loaded.config.groups {
                if !cluster.groups.iter().any(|known| known.name == group.name) {
                    cluster.groups.push(Arc::clone(group));
                }
            }
        }
        cluster
    }

    /// Puts the seats of an instance where they belong.
    fn seat(&mut self, name: String, seats: Vec<Seat>) {
        let from_here = |view: &Seat| seats.iter().any(|seat| seat.file == view.file);
        let others = self.routers.iter().filter(|router| !router.views.iter().any(from_here));
        let same = others.clone().find(|router| router.name == name).or_else(|| {
            let mut others = others;
            others.find(|router| seats.iter().any(|seat| router.views.iter().any(|view| are_peers(seat, view))))
        });
        let same = same.map(|router| router.name.clone());
        let router = self.routers.iter_mut().find(|router| Some(&router.name) == same.as_ref());
        match router {
            Some(router) => router.take(seats),
            None => {
                let mut router = VirtualRouter { name, views: Vec::new(), seats: Vec::new() };
                router.take(seats);
                self.routers.push(router);
            }
        }
    }

    /// Returns the group that a virtual router moves with.
    pub fn group_of(&self, router: &VirtualRouter) -> Option<&GroupParams> {
        let group = self.groups.iter().find(|group| group.members.contains(&router.name));
        group.map(AsRef::as_ref).filter(|group| group.members.len() > 1)
    }
}

impl VirtualRouter {
    fn take(&mut self, seats: Vec<Seat>) {
        for seat in seats {
            let is_known = self.nodes().any(|known| {
                let is_same_source = seat.params.source.is_some() && known.params.source == seat.params.source;
                known.node == seat.node || is_same_source
            });
            if !is_known {
                self.seats.push(self.views.len());
            }
            self.views.push(seat);
        }
    }

    /// Returns each node once.
    pub fn nodes(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter_map(|at| self.views.get(*at))
    }

    /// Returns a node by its place among [`VirtualRouter::nodes`].
    pub fn node(&self, at: usize) -> Option<&Seat> {
        self.seats.get(at).and_then(|view| self.views.get(*view))
    }

    /// Returns the peers whose files are not here, each once.
    pub fn strangers(&self) -> Vec<IpAddr> {
        let mut strangers: Vec<IpAddr> = Vec::new();
        for peer in self.nodes().flat_map(|seat| seat.params.peers()) {
            let is_seated = self.nodes().any(|seat| seat.params.source == Some(peer.address));
            if !is_seated && !strangers.contains(&peer.address) {
                strangers.push(peer.address);
            }
        }
        strangers
    }

    /// Says whether every node is known, as far as the files tell: a single one has no one to lose against.
    pub fn is_complete(&self) -> bool {
        self.seats.len() > 1 && self.strangers().is_empty()
    }
}

/// Returns the seats that one instance of one file describes.
fn seats(file: usize, name: &str, config: &Config, instance: &Instance) -> Vec<Seat> {
    let seat = |node: String, params: RouterParams| Seat { node, file, params, checks: config.checks.clone() };
    if instance.nodes.is_empty() {
        let node = config.daemon.node.clone().or_else(|| instance.params.source.map(|source| source.to_string()));
        return vec![seat(node.unwrap_or_else(|| name.to_owned()), instance.params.clone())];
    }
    let nodes = instance.nodes.iter().enumerate();
    nodes
        .map(|(at, node)| seat(node.name.clone().unwrap_or_else(|| node.address.to_string()), instance.seated(at)))
        .collect()
}

/// Says whether two seats of different files elect one Master between them.
fn are_peers(one: &Seat, other: &Seat) -> bool {
    let (a, b) = (&one.params, &other.params);
    let lists = |a: &RouterParams, b: &RouterParams| a.peers().iter().any(|peer| Some(peer.address) == b.source);
    let is_reached = match (&a.transport, &b.transport) {
        (Transport::Unicast { .. }, Transport::Unicast { .. }) => lists(a, b) || lists(b, a),
        (Transport::Multicast { group }, Transport::Multicast { group: other }) => group == other,
        (Transport::Unicast { .. }, Transport::Multicast { .. })
        | (Transport::Multicast { .. }, Transport::Unicast { .. }) => false,
    };
    (a.vrid, a.family) == (b.vrid, b.family) && is_reached
}
