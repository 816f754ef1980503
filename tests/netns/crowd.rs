//! Many routers on one interface: node a is Master of all of them, node b Backup.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::watch::Log;
use vrrpd::wire::field::Family;

use crate::cluster::Cluster;
use crate::driver::Kind;
use crate::stories::quick;

/// Returns the beginning of a node's configuration.
pub fn head(node: Node) -> String {
    format!("[daemon]\nnode = \"{node}\"\n")
}

/// Returns the table of a router; what follows it in the text belongs to it.
pub fn instance(node: Node, number: u8, interval: Duration) -> String {
    let (peer, priority) = if node == A { (B, 200) } else { (A, 100) };
    format!(
        "[instance.r{number}]\ninterface = \"eth0\"\nvirtual_router_id = {number}\nversion = 3\npriority = {priority}\n\
         advert_interval = \"{}ms\"\nsource = \"{}\"\npeers = [\"{}\"]\naddresses = [\"{}\"]\n",
        interval.as_millis(),
        node.address(Family::V4),
        peer.address(Family::V4),
        vip(number)
    )
}

/// Returns the address of a router.
pub fn vip(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 2, number))
}

/// Starts both nodes with these configurations and waits until node a holds the addresses of all routers.
pub fn begin(files: &[String; 2], routers: u8, interval: Duration) -> Result<Cluster, LabError> {
    let plan = Plan { interval, addresses: vec![vip(routers)], ..quick() };
    let mut cluster = Cluster::with_files(&plan, &[Kind::Vrrpd, Kind::Vrrpd], files)?;
    cluster.start(A)?;
    cluster.start(B)?;
    let all_held = |log: &Log| (1..=routers).all(|number| log.holders(vip(number)) == [A]).then_some(());
    if let Err(error) = cluster.watch.wait("node a to hold all addresses", Duration::from_secs(20), all_held) {
        panic!("{error}\n{}", cluster.lines(A).join("\n"));
    }
    Ok(cluster)
}
