//! A link that loses one direction: the adverts of one node do not reach another one, all else does.

use std::io;
use std::net::IpAddr;
use std::process::Command;

use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node;

use crate::cluster::Cluster;

/// From here on `deaf` hears no advert of `speaker`. The switch still delivers them: [`vrrpd::demo::watch`] sees them
/// as heard.
pub fn lose_adverts(cluster: &Cluster, speaker: Node, deaf: Node) -> Result<(), LabError> {
    let source = cluster.plan.source(speaker);
    let what = match source {
        IpAddr::V4(source) => format!("ip saddr {source} ip protocol 112 drop"),
        IpAddr::V6(source) => format!("ip6 saddr {source} ip6 nexthdr 112 drop"),
    };
    let interface = cluster.plan.site.interface;
    let rules = format!(
        "table netdev one_way {{\nchain arriving {{\ntype filter hook ingress device {interface} priority 0;\n{what}\n}}\n}}"
    );
    run(cluster, deaf, rules)
}

/// Undoes [`lose_adverts`].
pub fn hear_all(cluster: &Cluster, deaf: Node) -> Result<(), LabError> {
    run(cluster, deaf, "delete table netdev one_way".to_owned())
}

fn run(cluster: &Cluster, node: Node, rules: String) -> Result<(), LabError> {
    let done = cluster.lab().namespace(node)?.enter(move || {
        let output = Command::new("nft").arg(&rules).output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(io::Error::other(text)) }
    });
    done.map_err(LabError::kernel(format!("filter adverts on node {node} (nft)")))
}
