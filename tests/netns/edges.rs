//! The edges of a pair: carrier lost on either side and on both, adverts lost in one direction, both nodes booting at once.
//!
//! Each at 1 s, 100 ms and 10 ms, as often as `repeat.rs` says. Judged by the kernel's own notifications (who held the
//! address when: doubled, or nobody's), by a client that asks a thousand times a second, and by that client's neighbour cache.

use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::probe::{EVERY, GRACE, Outage};

use crate::beside_others;
use crate::cluster::Cluster;
use crate::driver::Kind::Vrrpd;
use crate::holding::{longest_doubled, longest_missing};
use crate::neighbours::{Belief, belief};
use crate::one_way::{hear_all, lose_adverts};
use crate::repeat::{PACES, pair, repeats};

/// What a machine with two busy cores may add to a limit.
const SLACK: Duration = Duration::from_millis(250);
/// How long a Master that makes way keeps its addresses after it heard its successor, and twice that for the machine.
const OVERLAP: Duration = Duration::from_millis(30);

/// Makes one test for each case and pace.
macro_rules! edges {
    ($($pace:ident = $number:expr;)+) => {
        $(mod $pace {
            use super::*;

            #[test]
            fn carrier_lost_by_the_master() {
                repeated(PACES[$number], lost_by_the_master);
            }

            #[test]
            fn carrier_lost_by_the_backup() {
                repeated(PACES[$number], lost_by_the_backup);
            }

            #[test]
            fn carrier_lost_by_both() {
                repeated(PACES[$number], lost_by_both);
            }

            #[test]
            fn adverts_lost_one_way() {
                repeated(PACES[$number], adverts_lost);
            }

            #[test]
            fn both_boot_at_once() {
                beside_others(|| boots(PACES[$number]).unwrap_or_else(|error| panic!("{error}")));
            }
        })+
    };
}

edges! {
    at_1_s = 0;
    at_100_ms = 1;
    at_10_ms = 2;
}

/// Starts a pair and repeats a case, which leaves it as it found it: node a is Master.
fn repeated(interval: Duration, case: fn(&mut Cluster, u32) -> Result<(), LabError>) {
    beside_others(|| {
        let told = (|| {
            let mut cluster = Cluster::new(&pair(interval), &[Vrrpd, Vrrpd])?;
            cluster.start(A)?;
            cluster.start(B)?;
            settle(&cluster, &[A])?;
            cluster.watch.pause(interval * 2)?;
            for round in 0..repeats() {
                let since = now();
                case(&mut cluster, round).map_err(|error| {
                    eprintln!("round {}: {error}\n{}", round + 1, cluster.account(since));
                    error
                })?;
                cluster.check_alive()?;
            }
            Ok::<_, LabError>(())
        })();
        told.unwrap_or_else(|error| panic!("at {interval:?}: {error}"));
    });
}

/// The Master withdraws at once, the Backup takes over in its time, and the Master comes back without a lost request.
fn lost_by_the_master(cluster: &mut Cluster, _: u32) -> Result<(), LabError> {
    let since = now();
    cluster.unplug(A)?;
    settle(cluster, &[B])?;
    let outage = seen(cluster, since)?;
    at_most("without an answer", outage.gap, cluster.plan.master_down(B) + SLACK + outage.own_pause)?;
    // It withdraws as soon as the kernel says so; only the machine can make that later than a takeover at 10 ms.
    let machine = if cluster.plan.master_down(B) > SLACK { Duration::ZERO } else { SLACK };
    at_most("two owners while the Master has no carrier", doubled(cluster, since), machine)?;
    client_is_with(cluster, B)?;

    let back = now();
    cluster.heal(A)?;
    settle(cluster, &[A])?;
    let outage = seen(cluster, back)?;
    nothing_lost("when the Master comes back", &outage)?;
    at_most("two owners when the Master comes back", doubled(cluster, back), handover(cluster, back))?;
    eprintln!("carrier of the Master, {:?}: nobody's for {:?}", cluster.plan.interval, missing(cluster, since));
    client_is_with(cluster, A)
}

/// Nothing happens to anybody else.
fn lost_by_the_backup(cluster: &mut Cluster, _: u32) -> Result<(), LabError> {
    let since = now();
    cluster.unplug(B)?;
    cluster.watch.pause(cluster.plan.master_down(B) + SLACK)?;
    cluster.heal(B)?;
    cluster.watch.pause(cluster.plan.master_down(B) + SLACK)?;
    let outage = seen(cluster, since)?;
    nothing_lost("when the Backup has no carrier", &outage)?;
    let address = cluster.address();
    let moves = |node| cluster.watch.look(|log| log.acquisitions(address, node, since).len());
    expect("takeovers", moves(A) + moves(B), 0)?;
    at_most("nobody's", missing(cluster, since), Duration::ZERO)?;
    client_is_with(cluster, A)
}

/// A switch that restarts: nobody holds the address meanwhile; afterwards both listen, and the better one has it, alone.
fn lost_by_both(cluster: &mut Cluster, round: u32) -> Result<(), LabError> {
    let order = if round.is_multiple_of(2) { [A, B] } else { [B, A] };
    let since = now();
    order.iter().try_for_each(|node| cluster.unplug(*node))?;
    settle(cluster, &[])?;
    at_most("two owners", doubled(cluster, since), Duration::ZERO)?;
    // For less than a takeover takes, and for more.
    cluster.watch.pause(cluster.plan.master_down(B) / 2 * (round % 3))?;
    let back = now();
    order.iter().try_for_each(|node| cluster.heal(*node))?;
    settle(cluster, &[A])?;
    at_most("two owners", doubled(cluster, back), handover(cluster, back))?;
    let taken = missing(cluster, back);
    at_most("nobody's after the carrier came back", taken, cluster.plan.master_down(B) + SLACK)?;
    client_is_with(cluster, A)
}

/// Node b hears node a no longer and takes the address, too; node a hears it and goes on. The client has its answers from one
/// or the other all the time, and from node a when all is well again. In the other direction nothing happens at all.
fn adverts_lost(cluster: &mut Cluster, _: u32) -> Result<(), LabError> {
    let since = now();
    lose_adverts(cluster, B, A)?;
    cluster.watch.pause(cluster.plan.master_down(A) + SLACK)?;
    hear_all(cluster, A)?;
    let outage = seen(cluster, since)?;
    nothing_lost("when the Backup is not heard", &outage)?;

    let since = now();
    lose_adverts(cluster, A, B)?;
    settle(cluster, &[A, B])?;
    cluster.watch.pause(cluster.plan.interval * 3)?;
    let outage = seen(cluster, since)?;
    at_most("without an answer of two owners", outage.gap, two_intervals(cluster, &outage))?;

    let healed = now();
    hear_all(cluster, B)?;
    settle(cluster, &[A])?;
    let outage = seen(cluster, healed)?;
    at_most("without an answer after the heal", outage.gap, two_intervals(cluster, &outage))?;
    let rivals = doubled(cluster, healed);
    at_most("two owners after the heal", rivals, cluster.plan.interval + SLACK)?;
    eprintln!(
        "adverts lost one way, {:?}: client {:?} without an answer, two owners for {rivals:?} after the heal",
        cluster.plan.interval, outage.gap
    );
    client_is_with(cluster, A)
}

/// How the interfaces come up when both nodes boot, by the number of master-down intervals; `None`: it is up already.
const BOOTS: [[Option<f64>; 2]; 5] = [
    [None, None],
    [Some(0.5), None],
    [None, Some(0.5)],
    [Some(0.3), Some(0.6)],
    // Longer than node b waits: it is Master before node a is there.
    [Some(2.2), Some(0.1)],
];

/// Both daemons start at the same instant, their interfaces come when they come.
fn boots(interval: Duration) -> Result<(), LabError> {
    let mut cluster = Cluster::new(&pair(interval), &[Vrrpd, Vrrpd])?;
    for round in 0..repeats().div_ceil(3) {
        for (number, delays) in BOOTS.iter().enumerate() {
            // Interfaces that are down at first, and interfaces that are not there at first.
            let is_missing = (number as u32 + round).is_multiple_of(2);
            let since = now();
            boot(&mut cluster, delays, is_missing).map_err(|error| {
                eprintln!("boot {delays:?}, missing: {is_missing}: {error}\n{}", cluster.account(since));
                error
            })?;
        }
    }
    Ok(())
}

fn boot(cluster: &mut Cluster, delays: &[Option<f64>; 2], is_missing: bool) -> Result<(), LabError> {
    let late: Vec<(Node, f64)> = [A, B].into_iter().zip(delays).filter_map(|(node, at)| Some((node, (*at)?))).collect();
    for (node, _) in &late {
        if is_missing { cluster.lab().pull_card(*node)? } else { cluster.lab().set_card(*node, false)? }
    }
    let since = now();
    // Neither has a daemon that runs: what is started is there in a few milliseconds.
    [A, B].into_iter().try_for_each(|node| cluster.launch_fresh(node))?;
    let mut order = late.clone();
    order.sort_by(|one, other| one.1.total_cmp(&other.1));
    for (node, at) in order {
        cluster.watch.pause((since + cluster.plan.master_down(B).mul_f64(at)).saturating_sub(now()))?;
        if is_missing { cluster.lab().insert_card(node)? } else { cluster.lab().set_card(node, true)? }
    }
    let is_settled = || settle(cluster, &[A]);
    // A node with another hardware address is not found by its peer's adverts at first, and may take the address once.
    is_settled().or_else(|_| is_settled())?;
    cluster.watch.pause(cluster.plan.master_down(B))?;
    let address = cluster.address();
    let (ours, theirs) =
        cluster.watch.look(|log| (log.acquisitions(address, A, since), log.acquisitions(address, B, since)));
    expect("takeovers of node a", ours.len(), 1)?;
    if theirs.len() > 1 {
        return Err(wrong(format!("node b took the address {} times", theirs.len())));
    }
    at_most("two owners", doubled(cluster, since), handover(cluster, since))?;
    client_is_with(cluster, A)?;
    cluster.check_alive()?;
    eprintln!(
        "boot {delays:?} (missing: {is_missing}), {:?}: node a has it after {:?}, node b had it {} times",
        cluster.plan.interval,
        ours.first().map(|at| *at - since),
        theirs.len()
    );
    cluster.stop(B)?;
    cluster.stop(A)
}

/// Waits until exactly these nodes hold the address, for two intervals.
fn settle(cluster: &Cluster, holders: &[Node]) -> Result<(), LabError> {
    let awaited = format!("{holders:?} to hold the address");
    let limit = cluster.plan.master_down(B) * 2 + Duration::from_secs(5);
    cluster.watch.wait(&awaited, limit, |log| (cluster.holders(log) == holders).then_some(()))?;
    cluster.watch.pause(cluster.plan.interval * 2)?;
    let after = cluster.watch.look(|log| cluster.holders(log));
    if after == holders { Ok(()) } else { Err(wrong(format!("{after:?} hold the address after {holders:?} did"))) }
}

/// Returns what the client saw since then, without what may be under way.
fn seen(cluster: &Cluster, since: Duration) -> Result<Outage, LabError> {
    cluster.watch.pause(GRACE)?;
    Ok(cluster.probe.outage(since, now()))
}

fn doubled(cluster: &Cluster, since: Duration) -> Duration {
    cluster.watch.look(|log| longest_doubled(log, cluster.address(), since, now()))
}

fn missing(cluster: &Cluster, since: Duration) -> Duration {
    cluster.watch.look(|log| longest_missing(log, cluster.address(), since, now()))
}

/// How long two nodes may hold the address at a handover, on a machine that let the client wait for so long since then.
fn handover(cluster: &Cluster, since: Duration) -> Duration {
    cluster.plan.interval + OVERLAP + cluster.probe.outage(since, now()).own_pause * 3
}

fn two_intervals(cluster: &Cluster, outage: &Outage) -> Duration {
    cluster.plan.interval * 2 + outage.own_pause + OVERLAP
}

/// The client's answers come from this node, and its neighbour cache says so.
fn client_is_with(cluster: &Cluster, node: Node) -> Result<(), LabError> {
    let believed = belief(cluster.lab(), cluster.address())?;
    let answered_by = cluster.probe.answered_by(Duration::from_millis(200));
    if believed == Belief::With(node) && answered_by == Some(node) {
        return Ok(());
    }
    Err(wrong(format!("{answered_by:?} answers the client, which believes {believed:?}; expected node {node}")))
}

/// Fails when a request was lost, unless the machine stood still: then, as many as in that time.
fn nothing_lost(when: &str, outage: &Outage) -> Result<(), LabError> {
    let stalled = if outage.own_pause > EVERY * 5 { outage.own_pause } else { Duration::ZERO };
    let permitted = (stalled.as_nanos() / EVERY.as_nanos()) as usize;
    if outage.lost <= permitted {
        return Ok(());
    }
    Err(wrong(format!("requests lost {when}: {}, at most {permitted} (own pause {:?})", outage.lost, outage.own_pause)))
}

fn at_most(what: &str, measured: Duration, limit: Duration) -> Result<(), LabError> {
    if measured <= limit { Ok(()) } else { Err(wrong(format!("{what}: {measured:?}, at most {limit:?} expected"))) }
}

fn expect(what: &str, measured: usize, wanted: usize) -> Result<(), LabError> {
    if measured == wanted { Ok(()) } else { Err(wrong(format!("{what}: {measured}, expected {wanted}"))) }
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "edges".to_owned(), problem }
}
