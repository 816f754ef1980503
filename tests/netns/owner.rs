//! Who owns an address when somebody else meddles with it or with its interface: removal, changes, cables, names.
//!
//! Judged by the kernel's own notifications and by a client's probe.

use std::time::Duration;

use nix::sys::signal::Signal;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::probe::GRACE;
use vrrpd::demo::watch::Sight;

use crate::article::said;
use crate::cluster::Cluster;
use crate::driver::Kind::Vrrpd;
use crate::repeat::repeats;
use crate::stories::{self, quick, steps};
use crate::story::Act::Start;
use crate::story::{self, Miss, Step, play};
use crate::{beside_others, in_turn};

const DELETE_V4: &[&str] = &["ip", "addr", "del", "10.77.1.1/32", "dev", "eth0"];
const DELETE_V6: &[&str] = &["ip", "addr", "del", "fd00:77::1:1/128", "dev", "eth0"];
/// The loopback interface changes again and again, and then our address goes.
const FLOOD_AND_DELETE: &[&str] = &[
    "sh",
    "-c",
    "{ for n in $(seq 8000); do
         echo link set lo mtu 60001
         echo link set lo mtu 60002
       done
       echo addr del 10.77.1.1/32 dev eth0
     } | ip -batch -",
];
/// A removal is undone within this.
const UNDONE: Duration = Duration::from_millis(50);
/// For so long a busy machine may keep one thread waiting.
const STALL: Duration = Duration::from_millis(200);
/// What a request may miss around one removal.
const LOST: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
/// At how many adverts a second; the slow one last.
const INTERVALS: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(100), Duration::from_secs(1)];

#[test]
fn removed_addresses_are_put_back_at_once() {
    in_turn(|| INTERVALS.into_iter().for_each(|interval| told(put_back(interval))));
}

#[test]
fn ten_removals_in_a_minute_are_a_fault_and_the_peer_takes_over() {
    in_turn(|| INTERVALS.into_iter().for_each(|interval| told(removed_for_good(interval))));
}

#[test]
fn flushed_interface_is_given_up_and_a_flushed_address_is_not() {
    in_turn(|| told(flushed()));
}

#[test]
fn own_address_that_is_away_for_a_moment_moves_nothing() {
    in_turn(|| told(configured_anew()));
}

#[test]
fn interface_that_goes_down_or_is_renamed_leaves_nothing_behind_and_comes_back() {
    in_turn(|| told(down_and_renamed()));
}

#[test]
fn deleted_interface_is_a_fault_and_another_in_its_place_is_heard_by_the_peer() {
    beside_others(|| INTERVALS.into_iter().for_each(|interval| told(deleted_and_made_again(interval))));
}

#[test]
fn lost_notifications_are_made_up_for() {
    in_turn(|| told(overrun()));
}

#[test]
fn another_hardware_address_is_told_to_the_clients() {
    beside_others(|| told(other_mac()));
}

#[test]
fn carrier_lost_and_found() {
    in_turn(|| {
        // At 10 ms `edges` has it, with what the machine's own pauses add.
        for interval in INTERVALS.into_iter().filter(|interval| *interval >= Duration::from_millis(100)) {
            let story = stories::link_loss();
            story::tell(&story::Story { plan: plan(interval), ..story }, &[Vrrpd, Vrrpd]);
        }
    });
}

fn plan(interval: Duration) -> Plan {
    Plan { interval, addresses: vec![VIP_V6, VIP_V4], ..quick() }
}

fn begin(interval: Duration) -> Result<Cluster, LabError> {
    let mut cluster = Cluster::new(&plan(interval), &[Vrrpd, Vrrpd])?;
    let steps = steps! { Start(A) => [A], Anything; Start(B) => [A], Nothing; };
    play(&mut cluster, "owner", &steps);
    Ok(cluster)
}

fn put_back(interval: Duration) -> Result<(), LabError> {
    let cluster = begin(interval)?;
    let since = now();
    for _ in 0..4 {
        for (command, vip) in [(DELETE_V4, VIP_V4), (DELETE_V6, VIP_V6)] {
            let before = now();
            cluster.output(A, command)?;
            cluster.watch.wait("the address to be back", PATIENCE, |log| {
                (!log.acquisitions(vip, A, before).is_empty()).then_some(())
            })?;
            cluster.watch.pause(Duration::from_millis(100))?;
        }
    }
    cluster.watch.pause(Duration::from_millis(500))?;
    let outage = cluster.probe.outage(since, now());
    for vip in [VIP_V4, VIP_V6] {
        let pauses = cluster.watch.look(|log| absences(log.sightings(), vip, since));
        eprintln!("{interval:?}: {vip} was away for {pauses:?}, client lost {} of {}", outage.lost, outage.sent);
        assert_eq!(pauses.len(), 4, "{vip}");
        let mut sorted = pauses.clone();
        sorted.sort_unstable();
        assert!(sorted[sorted.len() / 2 - 1] <= UNDONE, "{vip}: {pauses:?}");
        assert!(sorted.iter().all(|pause| *pause <= UNDONE + STALL + outage.own_pause), "{vip}: {pauses:?}");
    }
    let stalled = outage.own_pause.as_millis() as usize;
    assert!(outage.lost <= 4 * (LOST + stalled), "client lost {} (own pause {stalled} ms)", outage.lost);
    assert_eq!(cluster.watch.look(|log| log.acquisitions(VIP_V4, B, since).len()), 0, "the peer stays backup");
    said(&cluster, A, "10.77.1.1 was removed by another program and put back (")?;
    let (status, _) = cluster.status(A, &[])?;
    assert!(status.contains("10.77.1.1 was removed by another program 4 times in the last minute"), "{status}");
    Ok(())
}

/// Returns for how long an address was away, each time.
fn absences(sightings: &[vrrpd::demo::watch::Sighting], vip: std::net::IpAddr, since: Duration) -> Vec<Duration> {
    let mut gone_at = None;
    let mut pauses = Vec::new();
    for seen in sightings.iter().filter(|seen| seen.at >= since && seen.node == A) {
        if seen.what == Sight::Released(vip) {
            gone_at = Some(seen.at);
        } else if seen.what == Sight::Acquired(vip) {
            pauses.extend(gone_at.take().map(|gone_at| seen.at - gone_at));
        }
    }
    pauses
}

fn removed_for_good(interval: Duration) -> Result<(), LabError> {
    let mut cluster = begin(interval)?;
    let mut since = now();
    for _ in 0..10 {
        since = now();
        cluster.output(A, DELETE_V4)?;
        cluster.watch.wait("the address to be somewhere", PATIENCE, |log| {
            (!log.holders(VIP_V4).is_empty() && log.sightings().iter().any(|seen| seen.at >= since)).then_some(())
        })?;
        cluster.watch.pause(Duration::from_millis(60))?;
    }
    held_by(&cluster, &[B])?;
    let outage = cluster.probe.outage(since, now());
    eprintln!("{interval:?}: client lost {}, silence {:?}", outage.lost, outage.gap);
    let limit = cluster.plan.skew(B) + Duration::from_millis(500);
    assert!(outage.gap <= limit + outage.own_pause, "{:?} over {limit:?}", outage.gap);
    said(
        &cluster,
        A,
        "Entering FAULT STATE from=MASTER reason=\"10.77.1.1 was removed by another program 10 times in",
    )?;
    let (status, code) = cluster.status(A, &[])?;
    assert!(code == 1 && status.contains("10.77.1.1 was removed by another program 10 times"), "{status}");
    cluster.check_alive()
}

fn flushed() -> Result<(), LabError> {
    let cluster = begin(Duration::from_millis(100))?;
    let since = now();
    cluster.output(A, &["ip", "addr", "flush", "dev", "eth0", "to", "10.77.1.1/32"])?;
    cluster.watch.wait("the address to be back", PATIENCE, |log| {
        (!log.acquisitions(VIP_V4, A, since).is_empty()).then_some(())
    })?;
    cluster.output(A, &["ip", "-4", "addr", "flush", "dev", "eth0"])?;
    held_by(&cluster, &[B])?;
    said(&cluster, A, "Entering FAULT STATE from=MASTER reason=\"interface has no source address\"")?;
    let left = cluster.output(A, &["ip", "-o", "addr", "show", "dev", "eth0"])?;
    assert!(!left.contains("10.77.1.1") && !left.contains("fd00:77::1:1"), "{left}");
    cluster.output(A, &["ip", "addr", "add", "10.77.0.1/16", "dev", "eth0"])?;
    held_by(&cluster, &[A])
}

/// As programs do that configure an interface anew: its own address goes, and with it what is in the same prefix, and is back.
fn configured_anew() -> Result<(), LabError> {
    for interval in INTERVALS.into_iter().filter(|interval| *interval >= Duration::from_millis(100)) {
        let cluster = begin(interval)?;
        let since = now();
        let script = "ip addr del 10.77.0.1/16 dev eth0; sleep 0.015; ip addr add 10.77.0.1/16 dev eth0";
        cluster.output(A, &["sh", "-c", script])?;
        cluster.watch.pause(plan(interval).master_down(B) * 2)?;
        let outage = cluster.probe.outage(since, now());
        eprintln!("{interval:?}: client lost {} of {}, silence {:?}", outage.lost, outage.sent, outage.gap);
        assert_eq!(cluster.watch.look(|log| log.acquisitions(VIP_V4, B, since).len()), 0, "the peer stays backup");
        let entered = |line: &&String| line.contains("Entering FAULT");
        assert_eq!(cluster.lines(A).iter().filter(entered).count(), 0, "{:?}", cluster.lines(A));
        // The route back is away as long as the address is.
        assert!(outage.gap < Duration::from_millis(100) + outage.own_pause, "{outage:?}");
        held_by(&cluster, &[A])?;
    }
    Ok(())
}

fn down_and_renamed() -> Result<(), LabError> {
    for interval in INTERVALS {
        let cluster = begin(interval)?;
        cluster.output(A, &["ip", "link", "set", "eth0", "down"])?;
        held_by(&cluster, &[B])?;
        said(&cluster, A, "Entering FAULT STATE from=MASTER reason=\"link down\"")?;
        cluster.output(A, &["ip", "link", "set", "eth0", "up"])?;
        held_by(&cluster, &[A])?;
        for to_and_fro in [["eth0", "lan0"], ["lan0", "eth0"]] {
            let [from, to] = to_and_fro;
            cluster.output(A, &["ip", "link", "set", from, "down"])?;
            cluster.output(A, &["ip", "link", "set", from, "name", to])?;
            cluster.output(A, &["ip", "link", "set", to, "up"])?;
            if to == "lan0" {
                held_by(&cluster, &[B])?;
                let left = cluster.output(A, &["ip", "-o", "addr", "show", "dev", "lan0"])?;
                assert!(!left.contains("10.77.1.1") && !left.contains("fd00:77::1:1"), "{left}");
            }
        }
        held_by(&cluster, &[A])?;
        let held = cluster.output(A, &["ip", "-o", "addr", "show", "dev", "eth0"])?;
        assert!(held.contains("10.77.1.1") && held.contains("fd00:77::1:1"), "{held}");
    }
    Ok(())
}

/// A card that goes and comes back has another hardware address, which the peer must learn to be heard from: it is Backup first and
/// preempts a Master that it hears, and does not take the address because nobody speaks to it.
fn deleted_and_made_again(interval: Duration) -> Result<(), LabError> {
    let mut cluster = begin(interval)?;
    for round in 0..repeats() {
        cluster.lab().pull_card(A)?;
        held_by(&cluster, &[B])?;
        // It goes down before it goes away.
        said(&cluster, A, "reason=\"interface does not exist\"")?;
        let since = now();
        cluster.lab().insert_card(A)?;
        held_by(&cluster, &[A])?;
        cluster.watch.pause(GRACE)?;
        let outage = cluster.probe.outage(since, now());
        let stalled = outage.own_pause.as_millis() as usize;
        eprintln!("made again at {interval:?}: client lost {} (own pause {stalled} ms)", outage.lost);
        let preempted =
            cluster.lines(A).iter().filter(|line| line.contains("reason=\"master has lower priority 100\"")).count();
        // In an interval of 10 ms the announcement can be later than the third advert.
        if interval > Duration::from_millis(10) {
            assert_eq!(preempted, 1 + round as usize, "{}", cluster.lines(A).join("\n"));
            assert!(outage.lost <= stalled, "client lost {} (own pause {stalled} ms)", outage.lost);
        }
        cluster.check_alive()?;
    }
    Ok(())
}

/// More notifications while the daemon stands still than its socket holds (32 MiB); the last of them tells that its address is gone.
/// At shorter intervals the peer takes over before so many are made.
fn overrun() -> Result<(), LabError> {
    let cluster = begin(Duration::from_secs(1))?;
    // Ten removals in a minute would be a fault.
    for _ in 0..repeats().min(8) {
        let since = now();
        cluster.signal(A, Signal::SIGSTOP);
        cluster.output(A, FLOOD_AND_DELETE)?;
        cluster.signal(A, Signal::SIGCONT);
        let thawed_at = now();
        held_by(&cluster, &[A]).inspect_err(|_| {
            let addresses = cluster.output(A, &["ip", "-o", "addr", "show", "dev", "eth0"]).unwrap_or_default();
            eprintln!("{addresses}{}", cluster.account(since));
        })?;
        let back = cluster.watch.look(|log| log.acquisitions(VIP_V4, A, since).first().copied());
        let back = back.map(|at| at.saturating_sub(thawed_at)).unwrap_or(PATIENCE);
        eprintln!("overrun: frozen {:?}, the address was back {back:?} later", thawed_at - since);
        assert!(back <= UNDONE + STALL, "{back:?}");
    }
    assert_eq!(cluster.watch.look(|log| log.acquisitions(VIP_V4, B, Duration::ZERO).len()), 0, "the peer stays backup");
    said(&cluster, A, "Netlink: receive buffer overrun; interfaces and addresses were read again")
}

/// The hardware address of the Master's interface is changed while it is up: the clients are told at once where its address is.
fn other_mac() -> Result<(), LabError> {
    let cluster = begin(Duration::from_secs(1))?;
    cluster.output(A, &["ip", "link", "set", "eth0", "address", "02:77:00:00:00:aa"])?;
    cluster.watch.pause(Duration::from_millis(500))?;
    let since = now();
    cluster.watch.pause(Duration::from_secs(5))?;
    let outage = cluster.probe.outage(since, now() - GRACE);
    assert_eq!(outage.lost, 0, "client lost some of {}", outage.sent);
    held_by(&cluster, &[A])?;
    assert_eq!(cluster.watch.look(|log| log.acquisitions(VIP_V4, B, Duration::ZERO).len()), 0, "the peer stays backup");
    Ok(())
}

/// Waits until exactly these nodes hold both addresses, and one of them answers the client.
fn held_by(cluster: &Cluster, nodes: &[Node]) -> Result<(), LabError> {
    let limit = cluster.plan.master_down(B) * 2 + PATIENCE;
    let awaited = format!("{nodes:?} to hold the addresses");
    cluster
        .watch
        .wait(&awaited, limit, |log| (log.holders(VIP_V4) == nodes && log.holders(VIP_V6) == nodes).then_some(()))?;
    cluster.watch.wait("the client to be answered", limit, |_| {
        let answered_by = cluster.probe.answered_by(Duration::from_millis(100));
        answered_by.is_some_and(|node| nodes.contains(&node)).then_some(())
    })
}

fn told(done: Result<(), LabError>) {
    done.unwrap_or_else(|error| panic!("{error}"));
}
