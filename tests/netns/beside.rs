//! A Keepalived on the same node: `vrrpd run` refuses where it has the same virtual routers, and nowhere else.

use std::process::Command;
use std::time::Duration;

use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::plan::Plan;

use crate::beside_others;
use crate::cluster::Cluster;
use crate::driver::Kind::{Keepalived, Vrrpd};
use crate::driver::{config, our_program};
use crate::stories::quick;

#[test]
fn daemon_refuses_beside_a_keepalived_with_the_same_virtual_router() {
    beside_others(|| refuses().unwrap_or_else(|error| panic!("{error}")));
}

/// What `timeout` ends with when the program still ran.
const RAN: i32 = 124;

fn refuses() -> Result<(), LabError> {
    // The interval that a daemon without a file to read has to listen for.
    let plan = Plan { interval: Duration::from_secs(1), ..quick() };
    let mut cluster = Cluster::new(&plan, &[Keepalived, Keepalived])?;
    let same = plan.toml(A);
    let other = same.replace("virtual_router_id = 51", "virtual_router_id = 52").replace("10.77.1.1", "10.77.1.2");
    let same_address = same.replace("virtual_router_id = 51", "virtual_router_id = 53");
    assert!(other != same && same_address != same, "{same}");

    // One on another node, in another network namespace, is no reason.
    cluster.start(B)?;
    assert_eq!(run(&cluster, A, "alone", &same, &[])?.0, RAN);

    cluster.start(A)?;
    cluster.watch.wait("node a to hold the address", Duration::from_secs(15), |log| {
        (log.holders(cluster.address()) == [A]).then_some(())
    })?;
    let (code, text) = run(&cluster, A, "same", &same, &[])?;
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("runs the same on this host: web (eth0, virtual_router_id 51); to switch over: "), "{text}");
    assert_eq!(text.lines().count(), 1, "one clear error: {text}");
    let (code, text) = run(&cluster, A, "address", &same_address, &[])?;
    assert!(code == 78 && text.contains("web (10.77.1.1); to switch over: "), "{code} {text}");
    assert_eq!(run(&cluster, A, "other", &other, &[])?.0, RAN);
    assert_eq!(run(&cluster, A, "overridden", &other, &["--beside-keepalived"])?.0, RAN);

    // Where its file says nothing any more, what it sends does.
    let file = cluster.folder(A)?.join("keepalived.conf");
    std::fs::write(&file, "vrrp_instance {\n").map_err(LabError::kernel("spoil a file"))?;
    let (code, text) = run(&cluster, A, "heard", &same, &[])?;
    assert!(code == 78 && text.contains("sends adverts for virtual_router_id 51 on eth0"), "{code} {text}");
    let (code, text) = run(&cluster, A, "unheard", &other, &[])?;
    assert!(code == RAN && text.contains("its file cannot be used"), "{code} {text}");

    // Switched over as it says.
    cluster.stop(A)?;
    assert_eq!(run(&cluster, A, "after", &config(Vrrpd, &plan, A), &[])?.0, RAN);
    cluster.check_alive()
}

/// Runs our daemon on a node for a moment beside whatever runs there; returns its exit code and all that it wrote.
fn run(cluster: &Cluster, node: Node, name: &str, text: &str, options: &[&str]) -> Result<(i32, String), LabError> {
    let file = cluster.path(name, node);
    std::fs::write(&file, text).map_err(LabError::kernel(format!("write {}", file.display())))?;
    let mut command = Command::new("timeout");
    command.arg("4").arg(our_program().get_program()).args(["run", "--log", "text", "--config"]).arg(&file);
    command.arg("--runtime-dir").arg(cluster.path(&format!("run-{name}"), node)).args(options);
    let output = cluster.lab().namespace(node)?.enter(move || command.output());
    let output = output.map_err(LabError::kernel("run vrrpd"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Ok((output.status.code().unwrap_or(-1), text))
}
