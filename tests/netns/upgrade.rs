//! Live upgrade on the real kernel: a Master becomes the program on the disk, and nobody notices.
//!
//! Node a runs a copy of our program that can be replaced; node b is a peer of any kind. Judged by the client's probe, by the
//! kernel's address notifications and by the adverts on the wire.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::{A, B};
use vrrpd::demo::lab::VIP_V4;
use vrrpd::demo::plan::{Plan, VRID};
use vrrpd::demo::process::Process;
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::site::Site;
use vrrpd::wire::field::{Family, Version};

use crate::cluster::Cluster;
use crate::driver::Kind::{self, Keepalived, Vrrpd};
use crate::in_turn;
use crate::repeat::repeats;

#[test]
fn upgrade_goes_unnoticed() {
    in_turn(|| {
        for peer in [Vrrpd, Keepalived] {
            for interval in [1000, 100, 10] {
                told(goes_unnoticed(peer, Duration::from_millis(interval)));
            }
        }
    });
}

#[test]
fn upgrade_that_is_refused_changes_nothing() {
    in_turn(|| told(refused()));
}

#[test]
fn upgrade_that_fails_leads_back() {
    in_turn(|| told(leads_back()));
}

/// In which anything comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// A client that sends nothing for so long stood still with the machine.
const STALL: Duration = Duration::from_millis(10);
/// How many rounds may be spoilt by the machine for each that is judged.
const TRIES: u32 = 8;

/// A pair whose first node runs a program that can be replaced.
struct World {
    // Dropped in this order.
    daemon: Process,
    cluster: Cluster,
    scratch: Scratch,
}

impl World {
    fn new(peer: Kind, interval: Duration) -> Result<Self, LabError> {
        let mut cluster = Cluster::new(&plan(interval), &[Vrrpd, peer])?;
        let scratch = Scratch::new()?;
        install(&scratch.path().join("vrrpd"))?;
        scratch.write("vrrpd.toml", &cluster.plan.toml(A))?;
        let daemon = start(&cluster, scratch.path())?;
        cluster
            .watch
            .wait("node a to hold the address", PATIENCE, |log| (cluster.holders(log) == [A]).then_some(()))?;
        cluster.start(B)?;
        cluster.watch.pause(peer.start_slack() + interval * 4)?;
        Ok(Self { daemon, cluster, scratch })
    }

    fn program(&self) -> PathBuf {
        self.scratch.path().join("vrrpd")
    }

    /// Puts another file in the place of the program, as a package does.
    fn replace(&self, text: Option<&str>) -> Result<(), LabError> {
        let (fresh, failed) = (self.scratch.path().join("vrrpd.new"), || LabError::kernel("replace the program"));
        match text {
            Some(text) => {
                fs::write(&fresh, text).map_err(failed())?;
                fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).map_err(failed())?;
            }
            None => install(&fresh)?,
        }
        fs::rename(&fresh, self.program()).map_err(failed())
    }

    /// Asks for the upgrade as an operator does.
    fn upgrade(&self) -> Result<Output, LabError> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
        command.args(["reload", "--exec", "--runtime-dir"]).arg(self.scratch.path().join("run"));
        command.output().map_err(LabError::kernel("run vrrpd reload"))
    }

    fn is_master(&self) -> Result<(), LabError> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpd"));
        command.args(["status", "--json", "--runtime-dir"]).arg(self.scratch.path().join("run"));
        let output = command.output().map_err(LabError::kernel("run vrrpd status"))?;
        let page: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!(page["instances"][0]["state"], "MASTER", "{page}");
        Ok(())
    }

    /// Says whether the daemon, or the client, had to wait for a processor for longer than this interval forgives; the pair is whole
    /// again then. `waited`: how long the daemon had waited before.
    ///
    /// At 10 ms the peers miss a Master after 36 ms, whatever it does: a host that gives it no processor for so long moves the address.
    fn is_disturbed(&self, since: Duration, waited: Duration) -> Result<bool, LabError> {
        let (cluster, starved) = (&self.cluster, waiting(self.daemon.id()).saturating_sub(waited));
        cluster.watch.pause(cluster.plan.interval * 4 + Duration::from_millis(100))?;
        let limit = cluster.plan.interval / 2;
        let own_pause = cluster.probe.outage(since, now()).own_pause;
        if cluster.plan.interval < Duration::from_millis(100) && (starved >= limit || own_pause >= limit) {
            cluster
                .watch
                .wait("node a to hold the address", PATIENCE, |log| (cluster.holders(log) == [A]).then_some(()))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// From `since` on: one Master, no probe lost, and no advert later than the interval allows and once more. Returns how late one
    /// was at most.
    fn nothing_happened(&self, since: Duration) -> Duration {
        let (address, interval) = (self.cluster.address(), self.cluster.plan.interval);
        self.cluster.watch.pause(interval * 2).unwrap();
        let (spacing, moves, resigned) = self.cluster.watch.look(|log| {
            let moves = [A, B].map(|node| log.acquisitions(address, node, since).len());
            let resigned = log.adverts(A, since).iter().filter(|(_, priority)| *priority < 200).count();
            (log.spacing(A, since).unwrap(), moves, resigned)
        });
        let account = || self.cluster.account(since) + &self.daemon.last_lines(30).join("\n");
        assert_eq!(moves, [0, 0], "nodes a and b came to hold the address\n{}", account());
        assert_eq!(resigned, 0, "{}", account());
        let late = spacing.longest.saturating_sub(interval);
        assert!(late <= interval.max(Duration::from_millis(20)), "an advert was {late:?} late\n{}", account());
        let outage = self.cluster.probe.outage(since, now());
        if outage.own_pause < STALL {
            assert_eq!(outage.lost, 0, "{outage:?}\n{}", account());
        }
        late
    }
}

fn goes_unnoticed(peer: Kind, interval: Duration) -> Result<(), LabError> {
    let world = World::new(peer, interval)?;
    let pid = world.daemon.id();
    let rounds = repeats();
    let mut judged = 0;
    for round in 0..rounds * TRIES {
        if judged == rounds {
            break;
        }
        world.replace(None)?;
        let fresh = fs::metadata(world.program()).map_err(LabError::kernel("look at the program"))?.ino();
        let (since, waited) = (now(), waiting(pid));
        let output = world.upgrade()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}\n{}", world.daemon.last_lines(30).join("\n"));
        assert!(said.ends_with(&format!("process id {pid} as before\n")), "{said}");
        let runs = fs::metadata(format!("/proc/{pid}/exe")).map_err(LabError::kernel("look at the daemon"))?.ino();
        assert_eq!(runs, fresh, "another program runs");
        if world.is_disturbed(since, waited)? {
            eprintln!("upgrade | peer {peer:?} | {interval:?} | round {round} | the machine stood still, not judged");
            continue;
        }
        judged += 1;
        let late = world.nothing_happened(since);
        eprintln!(
            "upgrade | peer {peer:?} | {interval:?} | round {round} | advert late by {late:?} | {}",
            said.trim_end()
        );
    }
    if judged == 0 {
        let loaded = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load: f64 = loaded.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(load > cores as f64, "no processor in time in {} rounds, at a load of {load}", rounds * TRIES);
        eprintln!("upgrade | peer {peer:?} | {interval:?} | not judged: a load of {load} on {cores} cores");
    }
    world.is_master()
}

fn refused() -> Result<(), LabError> {
    let world = World::new(Vrrpd, Duration::from_millis(100))?;
    let config = world.scratch.path().join("vrrpd.toml");
    let text = world.cluster.plan.toml(A);
    let since = now();
    let ask = |expected: &str| -> Result<(), LabError> {
        let output = world.upgrade()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && words.contains(expected), "{words}");
        Ok(())
    };
    world.replace(Some("#!/bin/sh\necho 'no such library' >&2\nexit 127\n"))?;
    ask("would not start here (exit status: 127): no such library")?;
    world.replace(Some("#!/bin/sh\nkill -SEGV $$\n"))?;
    ask("would not start here (signal: 11")?;
    world.replace(Some("#!/bin/sh\nexec sleep 60\n"))?;
    ask("did not end its rehearsal within 2.5s")?;
    world.replace(None)?;
    fs::write(&config, "[instance\n").map_err(LabError::kernel("break the configuration"))?;
    ask("vrrpd.toml:1:")?;
    fs::write(&config, text).map_err(LabError::kernel("mend the configuration"))?;
    fs::remove_file(world.program()).map_err(LabError::kernel("remove the program"))?;
    ask("no program can be executed at ")?;
    let late = world.nothing_happened(since);
    eprintln!("upgrade refused | advert late by {late:?}");
    Ok(())
}

/// Two that pass the rehearsal: one that cannot read its configuration then, one that hangs. At an interval that outlives both.
fn leads_back() -> Result<(), LabError> {
    let world = World::new(Vrrpd, Duration::from_secs(2))?;
    let pid = world.daemon.id();
    let (program, config) = (env!("CARGO_BIN_EXE_vrrpd"), world.scratch.path().join("vrrpd.toml"));
    let config = config.display();
    let prepare = format!("mv {config} {config}.keep; mkfifo {config}");
    // The reader has its end of file when the file that it was is back.
    let broken = format!("({{ echo '[instance'; mv -f {config}.keep {config}; }} >{config}) &");
    let hangs = format!("(sleep 0.5; mv -f {config}.keep {config}) &");
    for (failure, expected) in [(broken, "vrrpd.toml:1:"), (hangs, "not ready within 5s")] {
        let rehearsal = format!("case \"$*\" in *--preflight*) exec {program} \"$@\" ;; esac");
        world.replace(Some(&format!("#!/bin/sh\n{rehearsal}\n{prepare}\n{failure}\nexec {program} \"$@\"\n")))?;
        let since = now();
        let output = world.upgrade()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = world.daemon.last_lines(30).join("\n");
        assert_eq!(output.status.code(), Some(70), "{words}\n{lines}");
        assert!(words.contains("could not take over") && words.contains(expected), "{words}");
        assert_eq!(world.daemon.id(), pid);
        let moves = world.cluster.watch.look(|log| [A, B].map(|node| log.acquisitions(VIP_V4, node, since).len()));
        assert_eq!(moves, [0, 0], "{lines}");
        let outage = world.cluster.probe.outage(since, now());
        if outage.own_pause < STALL {
            assert_eq!(outage.lost, 0, "{outage:?}\n{lines}");
        }
        eprintln!("upgrade failed | {}", words.trim_end());
        world.cluster.watch.pause(world.cluster.plan.interval * 2)?;
    }
    world.is_master()
}

/// Returns how long the threads of a process have waited for a processor.
fn waiting(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    // The second of three numbers, in nanoseconds.
    Duration::from_nanos(texts.filter_map(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).sum())
}

fn start(cluster: &Cluster, folder: &Path) -> Result<Process, LabError> {
    let mut command = Command::new(folder.join("vrrpd"));
    command.arg("run").arg("--config").arg(folder.join("vrrpd.toml")).arg("--runtime-dir").arg(folder.join("run"));
    command.args(["--log", "text", "--exit-with-parent"]);
    Process::start(cluster.lab().namespace(A)?, "vrrpd on node a", command, Box::new(|_| {}))
}

/// Copies our program; another build of it (optimised, say) is measured with VRRPD_BINARY.
pub fn install(path: &Path) -> Result<(), LabError> {
    let program = std::env::var_os("VRRPD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_vrrpd").into());
    fs::copy(program, path).map(|_| ()).map_err(LabError::kernel(format!("write {}", path.display())))
}

pub fn plan(interval: Duration) -> Plan {
    Plan {
        site: Site::USUAL,
        vrid: VRID,
        version: Version::V3,
        family: Family::V4,
        is_multicast: false,
        interval,
        priorities: vec![200, 100],
        preempt: true,
        addresses: vec![VIP_V4],
    }
}

fn told(outcome: Result<(), LabError>) {
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
