//! Another host has the address: it is told of, and yielded to where that is configured; a handover is no such host.

use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{A, B};
use vrrpd::demo::lab::{VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;

use crate::article::said;
use crate::cluster::Cluster;
use crate::driver::Kind::{Keepalived, Vrrpd};
use crate::in_turn;
use crate::stories::{quick, steps};
use crate::story::Act::{Start, Stop};
use crate::story::{Miss, Step, play};
use crate::tap::link_of;

/// By when the first round of questions is over, and the second.
const ROUNDS: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn third_host_with_the_addresses_is_told_of_and_the_addresses_are_held() {
    in_turn(|| told(third_host(false)));
}

#[test]
fn third_host_with_the_addresses_is_yielded_to_where_configured() {
    in_turn(|| told(third_host(true)));
}

#[test]
fn handover_between_any_two_is_no_conflict() {
    in_turn(|| told(handovers()));
}

fn plan() -> Plan {
    Plan { interval: Duration::from_millis(100), addresses: vec![VIP_V6, VIP_V4], ..quick() }
}

fn third_host(yields: bool) -> Result<(), LabError> {
    let plan = plan();
    let option = if yields { "on_conflict = \"yield\"\n" } else { "" };
    let file = format!("{}{option}", plan.toml(A));
    let mut cluster = Cluster::with_files(&plan, &[Vrrpd, Vrrpd], &[file, plan.toml(B)])?;
    let stranger = cluster.lab().plug("stranger", &[(VIP_V4, 32), (VIP_V6, 128)])?;
    let mac = link_of(&stranger)?.addr().map(|mac| mac.map(|byte| format!("{byte:02x}")).join(":")).unwrap_or_default();
    let since = now();
    cluster.start(A)?;
    cluster.start(B)?;
    cluster.watch.wait("node a to hold the address", PATIENCE, |log| {
        (!log.acquisitions(VIP_V4, A, since).is_empty()).then_some(())
    })?;
    said(&cluster, A, "VRRP_Instance(web) DUPLICATE ADDRESS: 10.77.1.1 and 1 more addresses also at")?;
    said(&cluster, A, &format!("also at {mac}, which is no peer"))?;
    let holder = if yields { B } else { A };
    cluster.watch.wait(&format!("node {holder} to hold the address"), PATIENCE, |log| {
        (log.holders(VIP_V4) == [holder] && log.holders(VIP_V6) == [holder]).then_some(())
    })?;
    if yields {
        said(
            &cluster,
            A,
            &format!("Entering FAULT STATE from=MASTER reason=\"10.77.1.1 is also at {mac}, which is no peer\""),
        )?;
    }
    // Nothing changes while the stranger is there, and nobody says it again and again.
    cluster.watch.pause(Duration::from_secs(12))?;
    cluster.check_alive()?;
    assert_eq!(cluster.watch.look(|log| log.holders(VIP_V4)), [holder]);
    let lines = cluster.lines(A).iter().filter(|line| line.contains("DUPLICATE ADDRESS")).count();
    assert_eq!(lines, 1, "{:?}", cluster.lines(A));
    let (status, _) = cluster.status(A, &[])?;
    assert!(status.contains(&format!("10.77.1.1 is also at {mac}, which is no peer")), "{status}");
    drop(stranger);
    if !yields {
        let words = "nobody else has 10.77.1.1 and 1 more addresses any more";
        let is_said = || cluster.lines(A).iter().any(|line| line.contains(words));
        cluster.watch.wait(words, PATIENCE * 2, |_| is_said().then_some(()))?;
    }
    Ok(())
}

fn handovers() -> Result<(), LabError> {
    for kinds in [[Vrrpd, Vrrpd], [Keepalived, Vrrpd], [Vrrpd, Keepalived]] {
        let mut cluster = Cluster::new(&plan(), &kinds)?;
        let steps = steps! { Start(B) => [B], Anything; Start(A) => [A], Handover; };
        play(&mut cluster, "handover", &steps);
        cluster.watch.pause(ROUNDS)?;
        let steps = steps! { Stop(A) => [B], Handover; };
        play(&mut cluster, "handover", &steps);
        cluster.watch.pause(ROUNDS)?;
        for node in [A, B].into_iter().filter(|node| cluster.kind(*node).is_ours()) {
            let lines = cluster.lines(node);
            assert!(!lines.iter().any(|line| line.contains("DUPLICATE")), "{kinds:?}: {lines:?}");
        }
    }
    Ok(())
}

fn told(done: Result<(), LabError>) {
    done.unwrap_or_else(|error| panic!("{error}"));
}
