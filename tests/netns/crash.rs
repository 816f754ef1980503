//! A daemon dies without a goodbye: restarted in time nobody notices, otherwise one node owns the address.

use std::fmt;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{VIP_LINK_LOCAL, VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::wire::field::{Family, Version};

use crate::cluster::Cluster;
use crate::driver::Kind::{self, Keepalived, Vrrpd};
use crate::stories::quick;

/// A pair and what it is told; node a, which is master, is ours.
#[derive(Clone)]
pub struct Case {
    kinds: [Kind; 2],
    plan: Plan,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { version, family, interval, .. } = &self.plan;
        write!(f, "{:?} v{} {family} {interval:?}", self.kinds, version.number())
    }
}

/// Versions, families and peers at this interval.
fn cases(ms: u64) -> Vec<Case> {
    let interval = Duration::from_millis(ms);
    let plan = |version, family, addresses| Plan { version, family, addresses, interval, ..quick() };
    let mut plans =
        vec![plan(Version::V3, Family::V4, vec![VIP_V4]), plan(Version::V3, Family::V6, vec![VIP_LINK_LOCAL, VIP_V6])];
    if ms % 1000 == 0 {
        plans.push(plan(Version::V2, Family::V4, vec![VIP_V4]));
    }
    let pairs = [[Vrrpd, Vrrpd], [Vrrpd, Keepalived]];
    plans.iter().flat_map(|plan| pairs.map(|kinds| Case { kinds, plan: plan.clone() })).collect()
}

/// Killed and started again a tenth of a second later, at an interval of a second: no probe is lost, and the peer's state
/// and its log stay as they were.
pub fn restart_is_not_noticed() {
    for case in cases(1000) {
        tell(&case, |cluster| {
            for _ in 0..repetitions() {
                restart_unnoticed(cluster, Duration::from_millis(100))?;
            }
            Ok(())
        });
    }
}

/// The same at a tenth of a second, started again at once: an optimised binary is back in time.
pub fn restart_is_not_noticed_at_100_ms() {
    for case in cases(100) {
        tell(&case, |cluster| {
            for _ in 0..repetitions() {
                restart_unnoticed(cluster, Duration::ZERO)?;
            }
            Ok(())
        });
    }
}

fn restart_unnoticed(cluster: &mut Cluster, pause: Duration) -> Result<(), LabError> {
    let (since, lines) = (now(), cluster.lines(B).len());
    cluster.restart(A, pause)?;
    cluster.watch.pause(cluster.plan.interval * 4 + Duration::from_millis(500))?;
    cluster.check_alive()?;
    let outage = cluster.probe.outage(since, now());
    if outage.lost > 0 || outage.answered_by != [Some(A)] {
        return Err(wrong(format!("the client noticed the restart: {outage:?}")));
    }
    let moves = cluster.watch.look(|log| [A, B].map(|node| log.acquisitions(cluster.address(), node, since).len()));
    if moves != [0, 0] {
        return Err(wrong(format!("the address was added {moves:?} times")));
    }
    let said = cluster.lines(B).split_off(lines);
    if let Some(line) = said.iter().find(|line| line.contains("STATE")) {
        return Err(wrong(format!("the peer noticed the restart: {line}")));
    }
    let gap = cluster.watch.look(|log| log.spacing(A, since)).map(|spacing| spacing.longest);
    eprintln!("    {} probes, 0 lost; longest pause between adverts {gap:?}", outage.sent);
    Ok(())
}

/// Builds a pair, waits until node a is master, and tells; panics with what went wrong.
fn tell(case: &Case, story: impl FnOnce(&mut Cluster) -> Result<(), LabError>) {
    eprintln!("{case}");
    let told = (|| {
        let mut cluster = Cluster::new(&case.plan, &case.kinds)?;
        cluster.start(A)?;
        cluster.start(B)?;
        settle(&cluster, A)?;
        let since = now();
        story(&mut cluster).map_err(|error| wrong(format!("{error}\n{}", cluster.account(since))))
    })();
    told.unwrap_or_else(|error: LabError| panic!("{case}: {error}"));
}

/// Waits until this node alone holds the address and the other one has listened for a while.
fn settle(cluster: &Cluster, holder: Node) -> Result<(), LabError> {
    let patience = Duration::from_secs(8);
    let awaited = format!("node {holder} to hold the address");
    cluster.watch.wait(&awaited, patience, |log| (cluster.holders(log) == [holder]).then_some(()))?;
    cluster.watch.pause((cluster.plan.interval * 2).max(Duration::from_millis(1500)))
}

/// As often as `VRRPD_REPEAT` says.
fn repetitions() -> u32 {
    std::env::var("VRRPD_REPEAT").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "story".to_owned(), problem }
}
