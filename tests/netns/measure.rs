//! Measurements: one thing many times, with limits on what is usual and on the worst.

use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::plan::Plan;

use crate::cluster::Cluster;
use crate::driver::Kind;
use crate::stories::quick;

/// How late after its deadline a backup takes over when the master's host dies, ten times.
///
/// Never before the deadline (but for the stamps' own error), usually within 20 ms, never by more than 300 ms. The
/// limits allow for a machine with two busy cores.
pub fn host_death_lateness(kinds: &[Kind]) {
    let lateness = (|| {
        let mut cluster = both_running(kinds, quick())?;
        let mut lateness = Vec::new();
        for _ in 0..10 {
            let since = now();
            cluster.die(A)?;
            let taken = cluster.watch.wait("node b to take over", Duration::from_secs(5), |log| {
                log.acquisitions(cluster.address(), B, since).first().copied()
            })?;
            let heard = cluster.watch.look(|log| log.last_heard(B, cluster.plan.source(A), taken));
            let heard = heard.ok_or_else(|| LabError::Daemon {
                name: "b".to_owned(),
                problem: "heard no advert before node a died".to_owned(),
            })?;
            let deadline = heard + cluster.plan.master_down(B);
            lateness.push((taken.as_secs_f64() - deadline.as_secs_f64()) * 1e3);
            cluster.start(A)?;
            settle(&cluster, &[A])?;
        }
        lateness.sort_by(f64::total_cmp);
        Ok::<_, LabError>(lateness)
    })();
    let lateness = lateness.unwrap_or_else(|error| panic!("{kinds:?}: {error}"));
    eprintln!("host death lateness {kinds:?}, ms: {lateness:.2?}");
    let (first, median, last) = (lateness[0], lateness[lateness.len() / 2], lateness[lateness.len() - 1]);
    assert!(first > -5.0 && median < 20.0 && last < 300.0, "{kinds:?}: lateness in ms {lateness:.2?}");
}

/// How far apart the adverts of a master are at the shortest interval, 10 ms, over three seconds.
///
/// The mean, in milliseconds, must be between 9.9 and `limit`: lateness must not add up. The worst may be 20 times the
/// interval, the time in which a loaded machine serves nobody.
pub fn advert_spacing(kinds: &[Kind], limit: f64) {
    let spacing = (|| {
        let cluster = both_running(kinds, Plan { interval: Duration::from_millis(10), ..quick() })?;
        let since = now();
        cluster.watch.pause(Duration::from_secs(3))?;
        Ok::<_, LabError>(cluster.watch.look(|log| log.spacing(A, since)))
    })();
    let spacing = spacing.unwrap_or_else(|error| panic!("{kinds:?}: {error}"));
    let spacing = spacing.unwrap_or_else(|| panic!("{kinds:?}: no adverts in three seconds"));
    let (mean, longest) = (spacing.mean.as_secs_f64() * 1e3, spacing.longest.as_secs_f64() * 1e3);
    eprintln!("advert spacing {kinds:?}, ms: mean {mean:.3}, longest {longest:.3}");
    assert!((9.9..limit).contains(&mean) && longest < 200.0, "{kinds:?}: mean {mean:.3} ms, longest {longest:.3} ms");
}

/// After each of 50 healed splits the client must be answered by the winner.
pub fn client_after_50_heals(kinds: &[Kind]) {
    let healed = (|| {
        // Splits are quicker to come with quicker adverts.
        let cluster = both_running(kinds, Plan { interval: Duration::from_millis(100), ..quick() })?;
        for round in 0..50 {
            // Each side of the split in turn: the client is with the loser in one half of the rounds.
            let node = if round % 2 == 0 { A } else { B };
            cluster.isolate(node)?;
            settle(&cluster, &[A, B])?;
            cluster.heal(node)?;
            settle(&cluster, &[A])?;
            let awaited = format!("node a to answer the client after heal {}", round + 1);
            cluster.watch.wait(&awaited, Duration::from_secs(2), |_| {
                (cluster.probe.answered_by(Duration::from_millis(20)) == Some(A)).then_some(())
            })?;
        }
        Ok::<_, LabError>(())
    })();
    healed.unwrap_or_else(|error| panic!("{kinds:?}: {error}"));
}

fn both_running(kinds: &[Kind], plan: Plan) -> Result<Cluster, LabError> {
    let mut cluster = Cluster::new(&plan, kinds)?;
    cluster.start(A)?;
    cluster.start(B)?;
    settle(&cluster, &[A])?;
    // Both have heard each other by then.
    cluster.watch.pause(cluster.plan.interval * 3)?;
    Ok(cluster)
}

/// Waits until exactly these nodes hold the address.
fn settle(cluster: &Cluster, holders: &[Node]) -> Result<(), LabError> {
    let awaited = format!("{holders:?} to hold the address");
    cluster.watch.wait(&awaited, Duration::from_secs(5), |log| (cluster.holders(log) == holders).then_some(()))?;
    cluster.watch.pause(cluster.plan.interval * 2)
}
