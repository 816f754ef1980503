//! What a running daemon asks of the kernel: system calls of its protocol thread for each advert, as strace counts them.
//!
//! 64 routers at 100 ms are due together, so a turn of the Master is to wait, to send all of them in one call, and to set the
//! timer; one of the Backup is to wait and to read them, 64 in a call. Nothing here depends on time: a loaded machine makes fewer turns of
//! the same adverts, not more.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::frame::Frame;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::watch::{Log, Sight};

use crate::beside_others;
use crate::crowd::{begin, head, instance};
use crate::status::status;

const ROUTERS: u8 = 64;
const INTERVAL: Duration = Duration::from_millis(100);
const LENGTH: Duration = Duration::from_secs(4);
/// System calls for each advert. A turn of the Master has 64 adverts and six calls, the writing of the state file among them; of one
/// that hears them, as many as the packets come in.
const SENT_MOST: f64 = 0.15;
const HEARD_MOST: f64 = 0.5;

#[test]
fn adverts_are_sent_and_read_many_in_a_system_call() {
    beside_others(|| counts_calls().unwrap_or_else(|error| panic!("{error}")));
}

fn counts_calls() -> Result<(), LabError> {
    let scratch = Scratch::new()?;
    let files = [A, B].map(file);
    let mut cluster = begin(&files, ROUTERS, INTERVAL)?;
    // Past the repeated announcements that follow a takeover.
    cluster.watch.pause(Duration::from_secs(6))?;

    let papers = [A, B].map(|node| scratch.path().join(node.to_string()));
    let mut counters = Vec::new();
    for (node, paper) in [A, B].into_iter().zip(&papers) {
        counters.push(trace(status(&cluster, node, "r1")?.pid, paper));
    }
    let since = now();
    cluster.watch.pause(LENGTH)?;
    let sent = cluster.watch.look(|log| adverts(log, since));
    counters.into_iter().for_each(end);
    let [master, backup] = papers.map(|paper| calls(&paper));
    cluster.check_alive()?;
    let each = |calls: &BTreeMap<String, u64>| calls.values().sum::<u64>() as f64 / sent as f64;
    eprintln!(
        "{sent} adverts; calls for each: {:.3} by the master {master:?}, {:.3} by the backup {backup:?}",
        each(&master),
        each(&backup)
    );
    let expected = u64::from(ROUTERS) * (LENGTH.as_millis() / INTERVAL.as_millis()) as u64;
    assert!(sent * 10 > expected * 8, "{sent} adverts, expected {expected}");
    assert!(master.contains_key("sendmmsg") && backup.contains_key("recvmmsg"), "{master:?} {backup:?}");
    assert!(each(&master) < SENT_MOST, "calls for each advert sent: {master:?} for {sent}");
    assert!(each(&backup) < HEARD_MOST, "calls for each advert heard: {backup:?} for {sent}");
    cluster.stop(A)
}

/// Counts the system calls of the first thread of a process, which is that of the protocol.
fn trace(pid: u32, paper: &Path) -> Child {
    let mut command = Command::new("strace");
    command.args(["-qq", "-c", "-o"]).arg(paper).args(["-p", &pid.to_string()]);
    let child = command.stdin(Stdio::null()).spawn();
    child.unwrap_or_else(|error| panic!("strace: {error}; ./tests/run --install-only has it"))
}

/// Ends a count; the process goes on.
fn end(mut counter: Child) {
    let pid = Pid::from_raw(i32::try_from(counter.id()).expect("a process number"));
    kill(pid, Signal::SIGINT).expect("strace runs");
    counter.wait().expect("strace ends");
}

/// Reads a table of strace: calls by name.
fn calls(paper: &Path) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(paper).expect("a table of strace");
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let read = |row: Vec<&str>| Some(((*row.last()?).to_owned(), row.get(3)?.parse().ok()?));
    rows.filter_map(read).filter(|(name, _)| name != "total").collect()
}

fn adverts(log: &Log, since: Duration) -> u64 {
    let is_ours = |seen: &&vrrpd::demo::watch::Sighting| {
        seen.at >= since && seen.node == A && matches!(seen.what, Sight::Sent(Frame::Advert { .. }))
    };
    log.sightings().iter().filter(is_ours).count() as u64
}

fn file(node: Node) -> String {
    (1..=ROUTERS).map(|number| instance(node, number, INTERVAL)).fold(head(node), |text, table| text + &table)
}
