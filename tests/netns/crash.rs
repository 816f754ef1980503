//! A daemon dies without a goodbye: restarted in time nobody notices, otherwise one node owns the address.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use vrrpd::daemon::state::past::Past;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::lab::{VIP_LINK_LOCAL, VIP_V4, VIP_V6};
use vrrpd::demo::plan::Plan;
use vrrpd::demo::watch::{Log, Sight, Sighting};
use vrrpd::wire::field::{Family, Version};

use crate::cluster::Cluster;
use crate::driver::Kind::{self, Keepalived, Vrrpd};
use crate::repeat::repeats;
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
    if ms.is_multiple_of(1000) {
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
            for _ in 0..repeats() {
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
            for _ in 0..repeats() {
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

/// Killed and never started again, `vrrpd release` run as the unit does it: one owner within the master-down interval. At a
/// second the kernel removes the addresses before the peer takes over; at a tenth they go at once and the peer is told.
pub fn released_master_leaves_one_owner() {
    for (case, is_lent) in
        cases(1000).into_iter().map(|case| (case, true)).chain(cases(100).into_iter().map(|c| (c, false)))
    {
        tell(&case, |cluster| {
            let since = now();
            let folder = cluster.kill(A)?;
            let said = release(cluster, &folder)?;
            let expected = if is_lent { "left for" } else { "removed, and the peers told" };
            if !said.contains(expected) || said.lines().count() != 1 {
                return Err(wrong(format!("release said {said:?}, not {expected:?}")));
            }
            let patience = cluster.plan.master_down(B) + SLACK;
            let awaited = "node b to hold the address";
            cluster.watch.wait(awaited, patience, |log| (log.holders(cluster.address()) == [B]).then_some(()))?;
            let both = cluster.watch.look(|log| two_owners(log, cluster, since));
            cluster.watch.pause(Duration::from_secs(1))?;
            let again = release(cluster, &folder)?;
            if !again.is_empty() {
                return Err(wrong(format!("a second release did something: {again}")));
            }
            let outage = cluster.probe.outage(since, now());
            eprintln!(
                "    b after {:?}, two owners for {both:?}, client without an answer for {:?}",
                now() - since,
                outage.gap
            );
            if both > Duration::ZERO || outage.gap > patience {
                return Err(wrong(format!("two owners for {both:?}, client without an answer for {:?}", outage.gap)));
            }
            Ok(())
        });
    }
}

/// Lent addresses are for good again when the daemon is back in time, and the client has not noticed.
pub fn lent_addresses_are_taken_back() {
    for case in cases(1000) {
        tell(&case, |cluster| {
            let since = now();
            let folder = cluster.kill(A)?;
            let said = release(cluster, &folder)?;
            cluster.revive(A, &folder)?;
            cluster.watch.pause(Duration::from_secs(5))?;
            cluster.check_alive()?;
            let outage = cluster.probe.outage(since, now());
            let holders = cluster.watch.look(|log| log.holders(cluster.address()));
            match (outage.lost, holders == [A], said.contains("left for")) {
                (0, true, true) => Ok(()),
                _ => Err(wrong(format!("{said}: {holders:?} hold the address; {outage:?}"))),
            }
        });
    }
}

/// Killed, not released, and started long after: what was left goes before anything is sent, also what the configuration
/// names no longer; nothing is adopted, nor is it when the state is of another run of the kernel.
pub fn late_start_is_that_of_a_newcomer() {
    for case in cases(100) {
        for is_other_boot in [false, true] {
            tell(&case, |cluster| {
                let folder = cluster.kill(A)?;
                if is_other_boot {
                    pretend_other_boot(&folder)?;
                } else {
                    cluster.watch.pause(cluster.plan.master_down(B) + SLACK)?;
                }
                let renamed =
                    cluster.plan.toml(A).replace("10.77.1.1", "10.77.1.9").replace("fd00:77::1:1", "fd00:77::1:9");
                cluster.configure(A, renamed);
                let since = now();
                cluster.revive(A, &folder)?;
                let gone = cluster.watch.wait("the leftover to go", Duration::from_secs(3), |log| {
                    let gone = |seen: &&Sighting| matches!(seen.what, Sight::Released(address) if address == cluster.address());
                    log.sightings().iter().filter(|seen| seen.at >= since && seen.node == A).find(gone).map(|seen| seen.at)
                })?;
                let first = cluster.watch.look(|log| log.adverts(A, since).first().map(|(at, _)| *at));
                if first.is_some_and(|first| first < gone) {
                    return Err(wrong("an advert left before the leftovers were gone".to_owned()));
                }
                if let Some(line) = cluster.lines(A).iter().find(|line| line.contains("adopted")) {
                    return Err(wrong(format!("adopted: {line}")));
                }
                Ok(())
            });
        }
    }
}

/// A better node comes back to a Keepalived that holds the address. That lets go when it hears the advert, and the
/// announcement is right behind it: what comes in between is lost.
pub fn failback_from_keepalived_loses_two_probes_at_most() {
    let plan = Plan { interval: Duration::from_millis(100), ..quick() };
    let kinds = [Vrrpd, Keepalived];
    tell(&Case { kinds, plan }, |cluster| {
        for _ in 0..repeats() * 5 {
            cluster.die(A)?;
            settle(cluster, B)?;
            let since = now();
            cluster.start(A)?;
            settle(cluster, A)?;
            let outage = cluster.probe.outage(since, now());
            eprintln!("    {} of {} probes lost, longest silence {:?}", outage.lost, outage.sent, outage.gap);
            if outage.lost > 2 {
                return Err(wrong(format!("the failback lost probes: {outage:?}")));
            }
        }
        Ok(())
    });
}

/// Runs `vrrpd release` on node a, as the unit does, and returns what it said.
fn release(cluster: &Cluster, folder: &Path) -> Result<String, LabError> {
    let runtime_dir = folder.join("run");
    let output = cluster.lab().namespace(A)?.enter(move || {
        Command::new(env!("CARGO_BIN_EXE_vrrpd")).arg("release").arg("--runtime-dir").arg(runtime_dir).output()
    });
    let output = output.map_err(LabError::kernel("run vrrpd release"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(wrong(format!("release: {} {said} {}", output.status, String::from_utf8_lossy(&output.stderr))));
    }
    Ok(said)
}

/// Lets the state file be of another run of the kernel, and right otherwise.
fn pretend_other_boot(folder: &Path) -> Result<(), LabError> {
    let runtime_dir = folder.join("run");
    let tried = LabError::kernel("change the state file");
    let past = Past::read(&runtime_dir).and_then(|past| past.ok_or(std::io::ErrorKind::NotFound.into()));
    let changed = past.and_then(|mut past| {
        past.table.boot_id = "00000000-0000-0000-0000-000000000000".to_owned();
        past.write(&runtime_dir)
    });
    changed.map_err(tried)
}

/// For how long both nodes held the address, from `since` on.
fn two_owners(log: &Log, cluster: &Cluster, since: Duration) -> Duration {
    let mut holders = BTreeSet::from([A]);
    let (mut began, mut total) = (None, Duration::ZERO);
    for seen in log.sightings().iter().filter(|seen| seen.at >= since) {
        match seen.what {
            Sight::Acquired(address) if address == cluster.address() => holders.insert(seen.node),
            Sight::Released(address) if address == cluster.address() => holders.remove(&seen.node),
            Sight::Acquired(_) | Sight::Released(_) | Sight::Sent(_) | Sight::Heard(_) => continue,
        };
        match (holders.len() > 1, began) {
            (true, None) => began = Some(seen.at),
            (false, Some(at)) => (total, began) = (total + (seen.at - at), None),
            _ => {}
        }
    }
    total + began.map_or(Duration::ZERO, |at| now() - at)
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

/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(700);

fn wrong(problem: String) -> LabError {
    LabError::Daemon { name: "story".to_owned(), problem }
}
