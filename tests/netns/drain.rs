//! Drain and resume of running daemons, under a client that asks each millisecond.

use std::time::Duration;

use nix::sys::signal::Signal;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{VIP_LINK_LOCAL, VIP_V6};
use vrrpd::demo::plan::{Plan, VRID};
use vrrpd::wire::field::{Family, Version};

use crate::authentication::Pair;
use crate::cluster::Cluster;
use crate::driver::Kind::{self, Keepalived, Vrrpd};
use crate::driver::our_program;
use crate::in_turn;
use crate::routers::{Router, file};
use crate::stories::quick;
use crate::story::lost_to_haste;

#[test]
fn drain_and_resume_lose_no_packet() {
    for peer in [Vrrpd, Keepalived] {
        told(|| there_and_back(peer));
    }
}

#[test]
fn drain_is_refused_when_the_peer_is_gone_unless_forced() {
    let v6 = Plan { family: Family::V6, addresses: vec![VIP_LINK_LOCAL, VIP_V6], ..quick() };
    for (plan, way) in [(quick(), "ARP"), (v6, "neighbour solicitation")] {
        told(|| refused(&plan, way));
    }
}

#[test]
fn drain_survives_a_kill_and_nobody_takes_over_from_a_dead_master() {
    told(survives);
}

#[test]
fn drain_for_a_while_ends_by_itself_also_across_a_restart() {
    told(ends);
}

#[test]
fn drain_of_a_node_takes_groups_and_what_a_reload_adds() {
    told(whole_node);
}

fn told(story: impl Fn() -> Result<(), LabError>) {
    in_turn(|| story().unwrap_or_else(|error| panic!("{error}")));
}

/// Runs our program about the daemon of a node; returns what it wrote and its exit code.
fn run(cluster: &Cluster, node: Node, arguments: &[&str]) -> Result<(String, i32), LabError> {
    let mut command = our_program();
    command.args(arguments).arg("--runtime-dir").arg(cluster.folder(node)?.join("run"));
    let output = command.output().map_err(LabError::kernel("run vrrpd"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    eprintln!("    vrrpd {}: exit {:?}\n{}", arguments.join(" "), output.status.code(), text.trim_end());
    Ok((text, output.status.code().unwrap_or(-1)))
}

/// Runs our program, which must end so and say this.
fn expect(cluster: &Cluster, node: Node, arguments: &[&str], code: i32, words: &[&str]) -> Result<(), LabError> {
    let (text, found) = run(cluster, node, arguments)?;
    match words.iter().find(|words| !text.contains(**words)) {
        None if found == code => Ok(()),
        missing => Err(wrong(cluster, format!("vrrpd {arguments:?}: exit {found}, without {missing:?}:\n{text}"))),
    }
}

/// Waits until these nodes hold an address, and for a while more.
fn settle(cluster: &Cluster, holders: &[Node]) -> Result<(), LabError> {
    let awaited = format!("{holders:?} to hold the address");
    let patience = Duration::from_secs(5);
    cluster
        .watch
        .wait(&awaited, patience, |log| (cluster.holders(log) == holders).then_some(()))
        .map_err(|error| wrong(cluster, error.to_string()))?;
    cluster.watch.pause(cluster.plan.interval * 4)
}

fn started(plan: &Plan, kinds: [Kind; 2]) -> Result<Cluster, LabError> {
    let mut cluster = Cluster::new(plan, &kinds)?;
    cluster.start(A)?;
    settle(&cluster, &[A])?;
    cluster.start(B)?;
    cluster.watch.pause(kinds[1].start_slack() + plan.interval * 4)?;
    Ok(cluster)
}

/// The client lost nothing since then, or what the other program cannot help.
fn check_lost(cluster: &Cluster, since: Duration, permitted: usize) -> Result<(), LabError> {
    let outage = cluster.probe.outage(since, now());
    eprintln!("    client lost {} of {}, longest silence {:?}", outage.lost, outage.sent, outage.gap);
    if outage.lost <= permitted { Ok(()) } else { Err(wrong(cluster, format!("{outage:?}, permitted {permitted}"))) }
}

fn there_and_back(peer: Kind) -> Result<(), LabError> {
    let cluster = started(&quick(), [Vrrpd, peer])?;
    for _ in 0..3 {
        let since = now();
        let words = ["hands over, then stays BACKUP", "another master is heard, and no address is left here"];
        expect(&cluster, A, &["drain", "--wait", "--reason", "new disks"], 0, &words)?;
        settle(&cluster, &[B])?;
        check_lost(&cluster, since, lost_to_haste(&cluster, Some(B), since))?;
        let status = crate::status::status(&cluster, A, "web")?;
        let drain = &status.instance["drain"];
        let is_right = status.state == "BACKUP"
            && status.reason == "drained: new disks"
            && status.instance["drained"] == true
            && drain["reason"] == "new disks"
            && drain["until"].is_null();
        if !is_right {
            return Err(wrong(&cluster, format!("{status:?}")));
        }
        expect(&cluster, A, &["status"], 0, &["why        drained: new disks", "drained    since 20"])?;
        // Longer than any Backup waits: who is drained does not come back by itself.
        cluster.watch.pause(cluster.plan.master_down(A) * 2)?;
        settle(&cluster, &[B])?;
        let since = now();
        expect(&cluster, A, &["resume"], 0, &["web  takes part again, BACKUP"])?;
        settle(&cluster, &[A])?;
        // A Keepalived lets go the moment it hears a better one.
        check_lost(&cluster, since, if peer == Keepalived { 2 } else { 0 })?;
    }
    expect(&cluster, A, &["resume"], 0, &["nothing was drained"])?;
    expect(&cluster, A, &["drain", "wbe"], 64, &["no instance \"wbe\", expected one of web"])
}

fn refused(plan: &Plan, way: &str) -> Result<(), LabError> {
    let cluster = started(plan, [Vrrpd, Vrrpd])?;
    cluster.isolate(B)?;
    cluster.watch.pause(cluster.plan.interval * 2)?;
    let words = ["nobody would take over web: ", &format!("does not answer {way}\n  --force drains all the same")];
    expect(&cluster, A, &["drain"], 69, &words)?;
    let status = crate::status::status(&cluster, A, "web")?;
    if status.state != "MASTER" || status.instance["drained"] != false {
        return Err(wrong(&cluster, format!("refused, and yet {status:?}")));
    }
    let words = ["forced: nobody would take over web", "in vain: web: no other master heard"];
    expect(&cluster, A, &["drain", "--force", "--wait", "--timeout", "2s"], 69, &words)?;
    let is_held = cluster.watch.look(|log| log.holders(cluster.address()).contains(&A));
    let line = "VRRP_Instance(web) drained, and nobody is master";
    let told = cluster.lines(A).iter().filter(|said| said.contains(line)).count();
    if is_held || told != 1 {
        return Err(wrong(&cluster, format!("held: {is_held}, said {told} times: {line}")));
    }
    expect(&cluster, A, &["status"], 0, &["! web: drained, and no other master is heard"])?;
    expect(&cluster, A, &["resume"], 0, &[])?;
    let awaited = "node a to hold the address";
    cluster.watch.wait(awaited, Duration::from_secs(5), |log| log.holders(cluster.address()).contains(&A).then_some(()))
}

fn survives() -> Result<(), LabError> {
    let mut cluster = started(&quick(), [Vrrpd, Vrrpd])?;
    // A Backup is drained whoever is there; its Master dies.
    expect(&cluster, B, &["drain", "web"], 0, &["web  drained, stays BACKUP"])?;
    cluster.restart(B, Duration::from_millis(300))?;
    cluster.watch.pause(cluster.plan.master_down(B) * 2)?;
    let lines = cluster.lines(B);
    if !lines.iter().any(|line| line.contains("drained web since 20")) {
        return Err(wrong(&cluster, format!("it does not say that it is drained: {lines:#?}")));
    }
    cluster.die(A)?;
    cluster.watch.pause(cluster.plan.master_down(B) * 4)?;
    settle(&cluster, &[])?;
    // Nor does it when it starts with nobody there.
    cluster.restart(B, Duration::ZERO)?;
    cluster.watch.pause(cluster.plan.master_down(B) * 3)?;
    settle(&cluster, &[])?;
    expect(&cluster, B, &["resume", "web"], 0, &["takes part again"])?;
    settle(&cluster, &[B])?;
    // A Master that is killed the moment it was told, and starts again.
    cluster.start(A)?;
    settle(&cluster, &[A])?;
    expect(&cluster, A, &["drain"], 0, &["hands over"])?;
    cluster.restart(A, Duration::ZERO)?;
    settle(&cluster, &[B])?;
    cluster.watch.pause(cluster.plan.master_down(A) * 3)?;
    settle(&cluster, &[B])
}

fn ends() -> Result<(), LabError> {
    let mut cluster = started(&quick(), [Vrrpd, Vrrpd])?;
    let since = now();
    expect(&cluster, A, &["drain", "--for", "2s", "--wait"], 0, &["until 20"])?;
    settle(&cluster, &[B])?;
    settle(&cluster, &[A])?;
    let length = now() - since;
    check_lost(&cluster, since, 0)?;
    let line = "resumed the whole node: the time it was drained for is over";
    if length < Duration::from_secs(2) || !cluster.lines(A).iter().any(|said| said.contains(line)) {
        return Err(wrong(&cluster, format!("master again after {length:?}")));
    }
    expect(&cluster, A, &["drain", "--for", "3s", "--wait"], 0, &[])?;
    let since = now();
    cluster.restart(A, Duration::from_millis(300))?;
    cluster.watch.pause(Duration::from_secs(1))?;
    settle(&cluster, &[B])?;
    settle(&cluster, &[A])?;
    let length = now() - since;
    let is_left = cluster.folder(A)?.join("run/drained.json").exists();
    // A restart beyond the end of it finds nothing.
    expect(&cluster, A, &["drain", "--for", "1s", "--wait"], 0, &[])?;
    cluster.restart(A, Duration::from_millis(1500))?;
    settle(&cluster, &[A])?;
    match length >= Duration::from_millis(2500) && !is_left {
        true => Ok(()),
        false => Err(wrong(&cluster, format!("master again after {length:?}, file still there: {is_left}"))),
    }
}

const GROUP: &str = "[group.front]\ninstances = [\"web\", \"more\"]\n";

fn routers(names: &[&'static str]) -> Vec<Router> {
    let router = |(number, name): (u8, &&'static str)| {
        Router::plain(name, VRID + number, Version::V3, false, &format!("10.77.1.{}", 1 + number))
    };
    (0..).zip(names).map(router).collect()
}

/// Waits until each of these addresses is held by one node.
fn settle_each(pair: &Pair, holders: &[Node]) -> Result<(), LabError> {
    let address = |number: usize| std::net::IpAddr::from([10, 77, 1, 1 + number as u8]);
    let awaited = format!("{holders:?} to hold the addresses");
    let patience = Duration::from_secs(5);
    let is_so = |log: &vrrpd::demo::watch::Log| {
        holders.iter().enumerate().all(|(number, node)| log.holders(address(number)) == [*node])
    };
    let cluster = &pair.cluster;
    for _ in 0..2 {
        cluster
            .watch
            .wait(&awaited, patience, |log| is_so(log).then_some(()))
            .map_err(|error| wrong(cluster, error.to_string()))?;
        cluster.watch.pause(cluster.plan.interval * 4)?;
    }
    Ok(())
}

fn whole_node() -> Result<(), LabError> {
    let names = ["web", "more", "db"];
    let mut pair = Pair::new([Vrrpd, Vrrpd], routers(&names))?;
    let text =
        |pair: &Pair, names: &[&'static str], node| file(&routers(names), Vrrpd, &pair.cluster.plan, node) + GROUP;
    for node in [A, B] {
        let text = text(&pair, &names, node);
        pair.cluster.configure(node, text);
        pair.cluster.start(node)?;
        settle_each(&pair, &[A, A, A])?;
    }
    let since = now();
    expect(&pair.cluster, A, &["drain", "db", "--wait"], 0, &["db  hands over"])?;
    settle_each(&pair, &[A, A, B])?;
    expect(
        &pair.cluster,
        A,
        &["drain", "more", "--wait"],
        0,
        &["web   hands over", "web drained too: of the same group"],
    )?;
    settle_each(&pair, &[B, B, B])?;
    expect(&pair.cluster, A, &["resume", "web"], 0, &["more resumed too: of the same group"])?;
    settle_each(&pair, &[A, A, B])?;
    expect(&pair.cluster, A, &["drain", "--wait"], 0, &["web   hands over", "db    drained, stays BACKUP"])?;
    settle_each(&pair, &[B, B, B])?;
    check_lost(&pair.cluster, since, 0)?;
    // A reload keeps it, and what it adds is drained as well.
    for node in [B, A] {
        let path = pair.cluster.folder(node)?.join("vrrpd.toml");
        let text = text(&pair, &["web", "more", "db", "late"], node);
        std::fs::write(&path, text).map_err(LabError::kernel("write a file"))?;
        pair.cluster.signal(node, Signal::SIGHUP);
        settle_each(&pair, &[B, B, B])?;
    }
    pair.cluster.watch.pause(pair.cluster.plan.master_down(A) * 2)?;
    settle_each(&pair, &[B, B, B, B])?;
    expect(&pair.cluster, A, &["status"], 0, &["4 BACKUP"])?;
    expect(&pair.cluster, A, &["resume", "db"], 0, &["the whole node was drained: the other instances stay so"])?;
    settle_each(&pair, &[B, B, A, B])?;
    expect(&pair.cluster, A, &["resume"], 0, &["late  takes part again"])?;
    settle_each(&pair, &[A, A, A, A])?;
    check_lost(&pair.cluster, since, 0)
}

fn wrong(cluster: &Cluster, problem: String) -> LabError {
    let account = cluster.account(now().saturating_sub(Duration::from_secs(8)));
    LabError::Daemon { name: "drain".to_owned(), problem: format!("{problem}\n{account}") }
}
