//! Health on the real kernel: a check moves the address, groups move together, hooks are told.
//!
//! What is checked is whether a file is there, by a program: the node is well while it is.

use std::fs::OpenOptions;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};

use crate::article::said;
use crate::cluster::Cluster;
use crate::driver::Kind::Vrrpd;
use crate::in_turn;
use crate::stories::{quick, steps};
use crate::story::Act::{Break, Repair, Start, Stop};
use crate::story::{Miss, Step, play};

/// From one run of the check to the next.
const INTERVAL: Duration = Duration::from_millis(100);
/// What a program may take to start and to end on a busy machine.
const RUN: Duration = Duration::from_millis(100);
/// The address of the second instance.
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 1, 2));
/// In which a file has what it should.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn failed_check_moves_the_address_by_fault_and_back_by_preemption() {
    in_turn(|| told(by_fault()));
}

#[test]
fn failed_check_moves_the_address_by_weight_and_back_by_preemption() {
    in_turn(|| told(by_weight()));
}

#[test]
fn group_moves_together() {
    in_turn(|| told(by_group()));
}

#[test]
fn hooks_and_pipe_are_told_the_sequence() {
    in_turn(|| told(hooks()));
}

fn by_fault() -> Result<(), LabError> {
    let mut cluster = cluster("checks = [\"alive\"]", "")?;
    there_and_back(&mut cluster, "by fault")?;
    said(&cluster, A, "VRRP_Script(alive) failed (exited with status 1)")?;
    said(
        &cluster,
        A,
        "VRRP_Instance(web) Entering FAULT STATE from=MASTER reason=\"check alive failed: exit status 1\"",
    )?;
    said(&cluster, A, "VRRP_Script(alive) succeeded")?;
    let (text, code) = break_and_ask(&mut cluster)?;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("! web: FAULT, check alive failed: exit status 1\n"), "{text}");
    assert!(text.contains("\n  checks     alive  failing for "), "{text}");
    Ok(())
}

fn by_weight() -> Result<(), LabError> {
    let mut cluster = cluster("checks = [{ name = \"alive\", weight = -150 }]", "")?;
    there_and_back(&mut cluster, "by weight")?;
    let sum = "VRRP_Instance(web) Changing effective priority from 200 to 50 priority=50 \
               reason=\"200 - 150 (alive failing: exit status 1)\"";
    said(&cluster, A, sum)?;
    said(
        &cluster,
        A,
        "VRRP_Instance(web) Entering BACKUP STATE from=MASTER reason=\"priority fell below 100 of a peer\"",
    )?;
    said(&cluster, A, "VRRP_Instance(web) Changing effective priority from 50 to 200 priority=200 reason=200")?;
    let (text, code) = break_and_ask(&mut cluster)?;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\n  priority   50 = 200 - 150 (alive failing: exit status 1)\n"), "{text}");
    Ok(())
}

/// The check fails on the master and recovers; the address goes and comes back, and the client misses nothing.
fn there_and_back(cluster: &mut Cluster, name: &str) -> Result<(), LabError> {
    let started = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
    };
    play(cluster, name, &started);
    for _ in 0..3 {
        let since = now();
        let broken = steps! { Break(A) => [B], Handover; };
        play(cluster, name, &broken);
        let taken = cluster.watch.look(|log| log.acquisitions(cluster.address(), B, since).first().copied());
        let took = taken.map(|at| at - since).unwrap_or_default();
        let noise = cluster.probe.outage(since, now()).own_pause;
        let limit = INTERVAL + RUN + cluster.plan.skew(B) + Duration::from_millis(50) + noise;
        eprintln!("{name}: from failure to the other node {took:?}, limit {limit:?}");
        assert!(took <= limit, "{name}: {took:?} from failure to the other node, limit {limit:?}");
        let repaired = steps! { Repair(A) => [A], Handover; };
        play(cluster, name, &repaired);
    }
    Ok(())
}

/// Breaks the master and returns what its status says then.
fn break_and_ask(cluster: &mut Cluster) -> Result<(String, i32), LabError> {
    let broken = steps! { Break(A) => [B], Handover; };
    play(cluster, "asked", &broken);
    cluster.status(A, &[])
}

fn by_group() -> Result<(), LabError> {
    let rest = |node: Node| {
        let (priority, own, other) = if node == A { (200, 1, 2) } else { (100, 2, 1) };
        format!(
            "[instance.mail]\ninterface = \"eth0\"\nvirtual_router_id = 52\nversion = 3\npriority = {priority}\n\
             advert_interval = \"200ms\"\nsource = \"10.77.0.{own}\"\npeers = [\"10.77.0.{other}\"]\n\
             addresses = [\"{SECOND}\"]\n\n[group.front]\ninstances = [\"web\", \"mail\"]\n"
        )
    };
    let mut cluster = cluster("checks = [\"alive\"]", "")?;
    for node in [A, B] {
        let text = config(&cluster, node, "checks = [\"alive\"]", "") + &rest(node);
        cluster.configure(node, text);
    }
    let second_is_with = |cluster: &Cluster, node: Node| {
        let awaited = format!("node {node} to hold the second address");
        cluster.watch.wait(&awaited, PATIENCE, |log| (log.holders(SECOND) == [node]).then_some(()))
    };
    let both_on_a = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
    };
    play(&mut cluster, "group", &both_on_a);
    second_is_with(&cluster, A)?;
    for _ in 0..3 {
        let broken = steps! { Break(A) => [B], Handover; };
        play(&mut cluster, "group", &broken);
        second_is_with(&cluster, B)?;
        let repaired = steps! { Repair(A) => [A], Handover; };
        play(&mut cluster, "group", &repaired);
        second_is_with(&cluster, A)?;
    }
    said(
        &cluster,
        A,
        "VRRP_Instance(mail) Entering FAULT STATE from=MASTER reason=\"web of the same group is in FAULT\"",
    )?;
    said(&cluster, A, "VRRP_Group(front) Syncing instances to FAULT state")?;
    said(&cluster, B, "VRRP_Group(front) Syncing instances to MASTER state")?;
    let (json, _) = cluster.status(A, &["--json"])?;
    let status: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(status["groups"][0]["state"], "MASTER", "{json}");
    Ok(())
}

fn hooks() -> Result<(), LabError> {
    let mut cluster = cluster("checks = [\"alive\"]", "")?;
    let (script, log, pipe) = (cluster.path("notify", A), cluster.path("told", A), cluster.path("pipe", A));
    let text = format!("#!/bin/sh\necho \"$* $VRRPD_PREVIOUS_STATE $VRRPD_CAUSE\" >> {}\n", log.display());
    std::fs::write(&script, text).map_err(LabError::kernel("write a script"))?;
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).map_err(LabError::kernel("allow a script"))?;
    let web = format!("checks = [\"alive\"]\nnotify = \"{}\"", script.display());
    let daemon = format!("notify_fifo = \"{}\"", pipe.display());
    let text = config(&cluster, A, &web, &daemon);
    cluster.configure(A, text);
    let lives = steps! {
        Start(A) => [A], Anything;
        Start(B) => [A], Nothing;
        Break(A) => [B], Handover;
        Repair(A) => [A], Handover;
    };
    play(&mut cluster, "hooks", &lives);
    let mut reader = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(&pipe)
        .map_err(LabError::kernel("open the pipe"))?;
    let stopped = steps! { Stop(A) => [B], Handover; };
    play(&mut cluster, "hooks", &stopped);
    let told = std::fs::read_to_string(&log).map_err(LabError::kernel("read what a hook was told"))?;
    let states = [
        ("BACKUP", "INIT start"),
        ("MASTER", "BACKUP transition"),
        ("FAULT", "MASTER transition"),
        ("BACKUP", "FAULT transition"),
        ("MASTER", "BACKUP transition"),
        ("STOP", "MASTER transition"),
    ];
    let expected: String = states.iter().map(|(state, rest)| format!("INSTANCE web {state} 200 {rest}\n")).collect();
    assert_eq!(told, expected, "the hook");
    let mut lines = String::new();
    // At the end of the data it says that it would block, or nothing more when the daemon has closed it.
    let _ = reader.read_to_string(&mut lines);
    let expected: String = states.iter().map(|(state, _)| format!("INSTANCE \"web\" {state} 200\n")).collect();
    assert_eq!(lines, expected, "the pipe");
    assert!(!pipe.exists(), "the daemon made the pipe, and removes it");
    Ok(())
}

/// Builds a pair of ours whose nodes are well; `web`: lines of the instance, `daemon`: of the daemon.
fn cluster(web: &str, daemon: &str) -> Result<Cluster, LabError> {
    let mut cluster = Cluster::new(&quick(), &[Vrrpd, Vrrpd])?;
    for node in [A, B] {
        cluster.set_healthy(node, true)?;
        let text = config(&cluster, node, web, daemon);
        cluster.configure(node, text);
    }
    Ok(cluster)
}

/// Writes the file of a node.
fn config(cluster: &Cluster, node: Node, web: &str, daemon: &str) -> String {
    let plan = cluster.plan.toml(node);
    let daemon = format!("[daemon]\nscript_user = \"root\"\n{daemon}\n");
    let plan = plan.strip_prefix("[daemon]\n").map(|rest| daemon + rest).unwrap_or(plan.clone());
    let healthy = cluster.path("healthy", node);
    format!(
        "{plan}{web}\n\n[check.alive]\nexec = [\"/usr/bin/test\", \"-e\", \"{}\"]\ninterval = \"{}ms\"\n\n",
        healthy.display(),
        INTERVAL.as_millis()
    )
}

fn told(story: Result<(), LabError>) {
    if let Err(error) = story {
        panic!("{error}");
    }
}
