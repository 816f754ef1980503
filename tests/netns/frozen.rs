//! A master that stands still for ten seconds, with and without a lease on its addresses.

use std::time::Duration;

use nix::sys::signal::Signal;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::watch::{Sight, Sighting};

use crate::cluster::Cluster;
use crate::driver::Kind::{self, Keepalived, Vrrpd};
use crate::driver::config;
use crate::repeat::repeats;
use crate::stories::{quick, steps};
use crate::story::Act::Start;
use crate::story::{Miss, Step, play};
use crate::{beside_others, in_turn};

const FROZEN: Duration = Duration::from_secs(10);
/// From its continuation until everything is as it was.
const THAWED: Duration = Duration::from_secs(8);
const LEASE: Duration = Duration::from_secs(2);
/// Two owners at an advert a second, with a lease.
const RIVALRY: Duration = Duration::from_secs(1);

#[test]
fn frozen_master_with_a_lease_loses_its_addresses_before_or_with_the_takeover() {
    beside_others(|| repeated(&USUAL, true, true));
}

#[test]
fn frozen_master_with_a_lease_and_nopreempt_stays_backup_afterwards() {
    beside_others(|| repeated(&USUAL, true, false));
}

#[test]
fn frozen_master_without_a_lease_comes_back_by_the_rules() {
    beside_others(|| repeated(&USUAL, false, true));
}

#[test]
fn frozen_master_without_a_lease_and_nopreempt_becomes_backup() {
    beside_others(|| repeated(&USUAL, false, false));
}

#[test]
fn frozen_master_at_100_ms_comes_back_by_the_rules() {
    let pair = Pair { interval: Duration::from_millis(100), ..USUAL };
    beside_others(|| [false, true].into_iter().for_each(|has_lease| repeated(&pair, has_lease, true)));
}

#[test]
fn frozen_master_at_10_ms_comes_back_by_the_rules() {
    let pair = Pair { interval: Duration::from_millis(10), ..USUAL };
    in_turn(|| [false, true].into_iter().for_each(|has_lease| repeated(&pair, has_lease, true)));
}

#[test]
fn frozen_master_with_a_keepalived_as_its_backup() {
    let pair = Pair { kinds: [Vrrpd, Keepalived], ..USUAL };
    beside_others(|| {
        [(true, true), (false, false)].into_iter().for_each(|(lease, preempt)| repeated(&pair, lease, preempt))
    });
}

#[test]
fn frozen_keepalived_is_followed_once() {
    beside_others(|| repeated(&Pair { kinds: [Keepalived, Vrrpd], ..USUAL }, false, true));
}

fn repeated(pair: &Pair, has_lease: bool, preempt: bool) {
    (0..repeats()).for_each(|_| frozen(pair, has_lease, preempt).unwrap_or_else(|error| panic!("{error}")));
}

/// Who plays, and at which interval; node a is Master, and stands still.
struct Pair {
    kinds: [Kind; 2],
    interval: Duration,
}

const USUAL: Pair = Pair { kinds: [Vrrpd, Vrrpd], interval: Duration::from_secs(1) };

fn frozen(pair: &Pair, has_lease: bool, preempt: bool) -> Result<(), LabError> {
    let &Pair { interval, kinds } = pair;
    // Keepalived keeps addresses of the other family apart.
    let addresses = if kinds.contains(&Keepalived) { vec![VIP_V4] } else { vec![VIP_V6, VIP_V4] };
    let plan = Plan { interval, preempt, addresses, ..quick() };
    let lease = if has_lease { "vip_lease = \"2s\"\n" } else { "" };
    let file =
        |node: Node| config(kinds[node.index()], &plan, node).replace("[daemon]\n", &format!("[daemon]\n{lease}"));
    let mut cluster = Cluster::with_files(&plan, &kinds, &[file(A), file(B)])?;
    let steps = steps! { Start(A) => [A], Anything; Start(B) => [A], Nothing; };
    play(&mut cluster, "frozen", &steps);
    let since = now();
    cluster.signal(A, Signal::SIGSTOP);
    cluster.watch.pause(FROZEN)?;
    let thawed_at = now();
    cluster.signal(A, Signal::SIGCONT);
    cluster.watch.pause(THAWED)?;
    cluster.check_alive()?;
    let sightings = cluster.watch.look(|log| log.sightings().to_vec());
    for vip in plan.addresses.iter().copied() {
        let rivalry = both_held(&sightings, vip, since, thawed_at);
        let outage = cluster.probe.outage(since, thawed_at);
        eprintln!(
            "{kinds:?} {interval:?} lease {has_lease}, preempt {preempt}: both nodes had {vip} for {rivalry:?} of the freeze, client's silence {:?}",
            outage.gap
        );
        // A lease is two seconds, and a takeover at a shorter interval comes before its end.
        let limit = RIVALRY.max(LEASE.saturating_sub(plan.master_down(B)) + RIVALRY);
        assert!(!has_lease || rivalry < limit, "both nodes had {vip} for {rivalry:?}");
        let moves = |node: Node| {
            let is_acquired = |seen: &&Sighting| seen.node == node && seen.what == Sight::Acquired(vip);
            sightings.iter().filter(|seen| seen.at >= since).filter(is_acquired).count()
        };
        // Once to the other node, and back only by preemption; Keepalived takes it to be its own all the time.
        let back = usize::from(preempt && kinds[0].is_ours());
        // At 10 ms a machine that stands still for a moment moves it as well.
        if interval >= Duration::from_millis(100) {
            assert_eq!((moves(A), moves(B)), (back, 1), "{vip} flapped: {}", cluster.account(since));
        }
        let holder = if preempt { A } else { B };
        cluster
            .watch
            .wait("the address to be where it belongs", THAWED, |log| (log.holders(vip) == [holder]).then_some(()))?;
    }
    let rivals = both_held(&sightings, VIP_V4, thawed_at + Duration::from_millis(500), now());
    assert!(rivals < Duration::from_millis(200), "both nodes had it for {rivals:?} after the thaw");
    let holder = if preempt { A } else { B };
    assert_eq!(cluster.probe.answered_by(Duration::from_millis(200)), Some(holder));
    Ok(())
}

/// Returns for how long both nodes held an address within a stretch of time.
fn both_held(sightings: &[Sighting], vip: std::net::IpAddr, from: Duration, to: Duration) -> Duration {
    let (mut held, mut both, mut last) = ([false; 2], Duration::ZERO, from);
    for seen in sightings.iter().filter(|seen| seen.at < to && matches!(seen.node, A | B)) {
        let is_held = match &seen.what {
            Sight::Acquired(address) if *address == vip => true,
            Sight::Released(address) if *address == vip => false,
            Sight::Acquired(_) | Sight::Released(_) | Sight::Sent(_) | Sight::Heard(_) => continue,
        };
        if held == [true, true] {
            both += seen.at.saturating_sub(last);
        }
        held[seen.node.index()] = is_held;
        last = seen.at.max(from);
    }
    if held == [true, true] {
        both += to.saturating_sub(last);
    }
    both
}
