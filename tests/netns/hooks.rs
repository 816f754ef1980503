//! Hooks of real daemons whose state changes faster than a hook runs, and of a daemon that dies meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::Node::A;
use vrrpd::demo::plan::Plan;
use vrrpd::demo::scratch::Scratch;

use crate::cluster::Cluster;
use crate::driver::{Kind, config};
use crate::in_turn;
use crate::processes::{children, is_running};
use crate::status::{Status, status};
use crate::stories::quick;

/// In which anything comes.
const PATIENCE: Duration = Duration::from_secs(10);

/// One node, a check of a file, and a hook that takes its time and writes down when it began and when it ended.
struct Bench {
    cluster: Cluster,
    scratch: Scratch,
}

impl Bench {
    /// Builds it: `seconds` is how long the hook takes.
    fn new(seconds: &str) -> Result<Self, LabError> {
        let scratch = Scratch::new()?;
        // Scripts run as somebody who may do little.
        set_mode(&scratch, "", 0o755);
        let record = scratch.write("record", "")?;
        set_mode(&scratch, "record", 0o666);
        let script = format!(
            "#!/bin/sh\necho \"begin $3 $VRRPD_SEQUENCE\" >>{record}\nsleep {seconds}\n\
             echo \"end $3 $VRRPD_SEQUENCE\" >>{record}\n",
            record = record.display()
        );
        let hook = scratch.write("hook", &script)?;
        set_mode(&scratch, "hook", 0o755);
        // The shortest interval: a node alone is Master 40 ms after it may be.
        let plan = Plan { interval: Duration::from_millis(10), ..quick() };
        let file = format!(
            "{}checks = [\"switch\"]\nnotify = \"{}\"\n\n[check.switch]\nfile = \"{}\"\nsense = \"exists\"\n",
            config(Kind::Vrrpd, &plan, A),
            hook.display(),
            scratch.path().join("switch").display()
        );
        let cluster = Cluster::with_files(&plan, &[Kind::Vrrpd], &[file])?;
        Ok(Self { cluster, scratch })
    }

    fn switch(&self, is_on: bool) {
        let path = self.scratch.path().join("switch");
        if is_on {
            fs::write(path, "").expect("a directory of ours");
        } else {
            // It fails when it is off already.
            let _ = fs::remove_file(path);
        }
    }

    fn record(&self) -> Vec<String> {
        let text = fs::read_to_string(self.scratch.path().join("record")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn status(&self) -> Result<Status, LabError> {
        status(&self.cluster, A, "web")
    }

    fn await_record(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Result<(), LabError> {
        let awaited = format!("{what}; recorded: {:?}", self.record());
        self.cluster.watch.wait(&awaited, PATIENCE, |_| is_so(&self.record()).then_some(()))
    }
}

/// Fifty times and more the state changes within some seconds, and each time the hook takes longer than that: the last thing
/// it says is what is so.
#[test]
fn last_word_of_a_slow_hook_is_right_after_50_transitions() {
    for ends_on in [true, false] {
        in_turn(|| last_word_is_right(ends_on).unwrap_or_else(|error| panic!("ends on {ends_on}: {error}")));
    }
}

fn last_word_is_right(ends_on: bool) -> Result<(), LabError> {
    let mut bench = Bench::new("0.3")?;
    bench.switch(false);
    bench.cluster.start(A)?;
    bench.await_record("the hook for FAULT to begin", |lines| lines.iter().any(|line| line.contains("FAULT")))?;
    let since = now();
    for round in 0..40 {
        bench.switch((round % 2 == 0) == ends_on);
        bench.cluster.watch.pause(Duration::from_millis(70))?;
    }
    bench.switch(ends_on);
    let wanted = if ends_on { "MASTER" } else { "FAULT" };
    let is_last = |lines: &[String]| lines.last().is_some_and(|line| line.starts_with(&format!("end {wanted} ")));
    bench.await_record("the hook to end", is_last)?;
    // Nothing comes after it.
    bench.cluster.watch.pause(Duration::from_secs(1))?;
    let (lines, status) = (bench.record(), bench.status()?);
    assert!(is_last(&lines), "{lines:?}");
    assert_eq!(status.state, wanted);
    let transitions = bench.cluster.lines(A).iter().filter(|line| line.contains("Entering ")).count();
    eprintln!("hooks: {transitions} transitions in {:?}, {} calls", now() - since, lines.len() / 2);
    assert!(transitions >= 50, "{transitions} transitions");
    assert!(lines.len() / 2 < transitions, "each of them was told: nothing was superseded");
    // One at a time: each end belongs to the begin before it. The daemon stops one that is out of date, if it does.
    let sequences: Vec<u64> = lines.iter().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert_eq!(sequences.len(), lines.len(), "a line without a sequence number: {lines:?}");
    assert!(sequences.is_sorted(), "out of order: {lines:?}");
    let overlaps =
        lines.windows(2).find(|pair| pair[1].starts_with("end") && pair[0].replace("begin", "end") != pair[1]);
    assert_eq!(overlaps, None, "two at a time");
    bench.cluster.stop(A)
}

/// A daemon that is killed can end nothing: its hook goes on, in the daemon's control group, where systemd finds it
/// (`KillMode=control-group`, the default; `process` would leave it). This test does what systemd does. The daemon
/// that comes next tells the state that is so, after whatever was told before.
#[test]
fn hook_of_a_killed_daemon_is_found_and_its_successor_has_the_last_word() {
    in_turn(|| killed_in_mid_hook().unwrap_or_else(|error| panic!("{error}")));
}

fn killed_in_mid_hook() -> Result<(), LabError> {
    let mut bench = Bench::new("2")?;
    bench.switch(true);
    bench.cluster.start(A)?;
    bench.await_record("the hook for MASTER to begin", |lines| lines.iter().any(|line| line.contains("MASTER")))?;
    let daemon = bench.status()?.pid;
    let hooks = children(daemon);
    assert!(!hooks.is_empty(), "no hook runs");
    let group = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    for hook in &hooks {
        assert_eq!(group(*hook), group(daemon), "a hook must stay where the service manager looks for it");
    }
    let to_pid = |pid: u32| Pid::from_raw(i32::try_from(pid).expect("a process number"));
    kill(to_pid(daemon), Signal::SIGKILL).expect("a daemon of ours");
    bench.cluster.watch.wait("the daemon to be dead", PATIENCE, |_| (!is_running(daemon)).then_some(()))?;
    for hook in &hooks {
        // Each is the first of its own process group. One that ended meanwhile is not there.
        let _ = nix::sys::signal::killpg(to_pid(*hook), Signal::SIGKILL);
    }
    let before = bench.record().len();
    bench.switch(false);
    bench.cluster.start(A)?;
    bench.await_record("the hook for FAULT to end", |lines| {
        lines.last().is_some_and(|line| line.starts_with("end FAULT "))
    })?;
    bench.cluster.watch.pause(Duration::from_millis(2500))?;
    let lines = bench.record();
    let stale = lines.iter().skip(before).find(|line| line.contains("MASTER"));
    assert_eq!(stale, None, "the dead daemon's hook had its say: {lines:?}");
    assert!(lines.last().is_some_and(|line| line.starts_with("end FAULT ")), "{lines:?}");
    bench.cluster.stop(A)
}

fn set_mode(scratch: &Scratch, name: &str, mode: u32) {
    let path: PathBuf = scratch.path().join(name);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a file of ours");
}
