//! How much memory a router takes: counted in bytes by an allocator, so that nothing depends on time or on the machine.
//!
//! Bounds are a tenth to a fifth above what it is; a change that goes beyond is to say why. The sizes of single values are
//! judged by `engine::footprint`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use vrrpd::config::{self, Format, LocalHost};
use vrrpd::engine::input::{Input, Interface, RouterKey};
use vrrpd::engine::node::Node;
use vrrpd::engine::output::{Output, StateName};
use vrrpd::engine::params::NodeParams;
use vrrpd::engine::time::{Instant, Now};

use crate::counting::held_by;

/// One address each, one peer each: as many as fit on an interface.
const ROUTERS: usize = 255;

#[test]
fn parameters_of_a_router_are_small() {
    let loaded = config::load_from("pair.conf", file().as_bytes(), Format::Keepalived).unwrap();
    let (held, params) = held_by(|| params_of(&loaded.config));
    assert_eq!(params.routers.len(), ROUTERS);
    expect("parameters", held, 850);
}

#[test]
fn router_that_listens_is_small() {
    let params = params();
    let (held, node) = held_by(|| started(&params));
    assert!(node.snapshot().iter().all(|router| router.state == StateName::Backup));
    expect("Backup", held, 1230);
}

#[test]
fn master_is_small_and_nothing_of_its_rise_is_left() {
    let params = params();
    let (held, node) = held_by(|| risen(&params));
    assert!(node.snapshot().iter().all(|router| router.state == StateName::Master));
    expect("Master", held, 1650);
}

fn expect(what: &str, held: i64, most: i64) {
    let each = held / ROUTERS as i64;
    println!("{what}: {each} bytes a router");
    assert!((most * 3 / 4..=most).contains(&each), "{what}: {each} bytes a router, expected at most {most}");
}

/// A node that listens on all routers.
fn started(params: &NodeParams) -> Node {
    let mut node = Node::new(params);
    let own = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));
    let interface =
        Interface { name: "eth0".to_owned(), index: Some(2), is_up: true, addresses: vec![own], elsewhere: Vec::new() };
    node.handle(at(Duration::ZERO), Input::Interface(interface));
    node.handle(at(Duration::ZERO), Input::Startup);
    take_all(&mut node);
    node.poll_timeout();
    node
}

/// A node that is Master of all routers, holds their addresses, and has sent for a while.
fn risen(params: &NodeParams) -> Node {
    let mut node = started(params);
    let patience = Duration::from_secs(5);
    while let Some(next) = node.poll_timeout().filter(|next| next.since(Instant::default()) < patience) {
        node.handle(at(next.since(Instant::default())), Input::Timeout);
        for router in take_all(&mut node) {
            node.handle(at(next.since(Instant::default())), Input::Vips { router, held: 0..1 });
        }
        take_all(&mut node);
    }
    node
}

/// Takes all outputs; returns whose addresses are wanted.
fn take_all(node: &mut Node) -> Vec<RouterKey> {
    let mut wanted = Vec::new();
    while let Some(output) = node.poll_output() {
        match output {
            Output::AcquireVips { router } => wanted.push(router),
            Output::Send(_)
            | Output::ReleaseVips { .. }
            | Output::Announce { .. }
            | Output::Event(_)
            | Output::Finished => {}
        }
    }
    node.flushed();
    wanted
}

fn at(time: Duration) -> Now {
    Now { mono: Instant::default() + time, utc: Duration::from_secs(1_700_000_000) + time }
}

fn params() -> Arc<NodeParams> {
    let loaded = config::load_from("pair.conf", file().as_bytes(), Format::Keepalived).unwrap();
    Arc::new(params_of(&loaded.config))
}

fn params_of(config: &config::Config) -> NodeParams {
    let addresses = [IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1))];
    config.for_this_host(&LocalHost { addresses: &addresses, host_name: "lb1" }).unwrap()
}

/// A keepalived.conf as scripts write it: a line for each address with its interface.
fn file() -> String {
    let instance = |n: usize| {
        format!(
            "vrrp_instance i{n} {{\n  state BACKUP\n  interface eth0\n  virtual_router_id {n}\n  priority 100\n  advert_int 1\n  \
             version 3\n  unicast_src_ip 10.1.0.1\n  unicast_peer {{\n    10.1.0.2\n  }}\n  virtual_ipaddress {{\n    \
             10.1.100.{n}/32 dev eth0\n  }}\n}}\n"
        )
    };
    (1..=ROUTERS).map(instance).collect()
}
