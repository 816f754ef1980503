//! Many checks beside many adverts: 200 programs ten times a second each while 100 routers say ten times a second that
//! they are there. No advert may wait for a child, no child may be left over.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::frame::Frame;
use vrrpd::demo::lab::Node::{self, A, B};
use vrrpd::demo::scratch::Scratch;
use vrrpd::demo::watch::{Log, Sight};

use crate::crowd::{begin, head, instance, vip};
use crate::in_turn;
use crate::processes::{descriptors, zombies};
use crate::status::status;

const ROUTERS: u8 = 100;
const CHECKS: usize = 200;
/// The checks whose runs are counted: the first, the last, and some between.
const COUNTED: [usize; 6] = [1, 40, 80, 120, 160, 200];
const INTERVAL: Duration = Duration::from_millis(100);
/// How long it is looked at.
const LENGTH: Duration = Duration::from_secs(8);
/// How late an advert may be: on time for every backup, and what a busy machine with two cores may take.
const LATE: Duration = Duration::from_millis(200);
/// What descriptors may grow by between two looks: those of children that happen to run. That none at all is lost is shown
/// by `ten_thousand_runs_leave_no_child_and_no_descriptor`.
const DESCRIPTORS: usize = 40;

#[test]
fn adverts_keep_their_cadence_beside_200_checks() {
    in_turn(|| keeps_cadence().unwrap_or_else(|error| panic!("{error}")));
}

fn keeps_cadence() -> Result<(), LabError> {
    let scratch = Scratch::new()?;
    let counted = COUNTED.map(|number| scratch.path().join(number.to_string()));
    let files = [A, B].map(|node| file(node, &scratch.path().display().to_string()));
    let mut cluster = begin(&files, ROUTERS, INTERVAL)?;
    // Past the repeated announcements that follow a takeover.
    cluster.watch.pause(Duration::from_secs(2))?;

    let pid = status(&cluster, A, "r1")?.pid;
    let before = descriptors(pid);
    let (since, runs) = (now(), lines(&counted));
    cluster.watch.pause(LENGTH)?;
    let runs: Vec<usize> = lines(&counted).iter().zip(&runs).map(|(after, before)| after - before).collect();
    let spacings = cluster.watch.look(|log| spacings(log, since));
    let moves = cluster.watch.look(|log| {
        let moved = |node| (1..=ROUTERS).map(|number| log.acquisitions(vip(number), node, since).len()).sum::<usize>();
        [moved(A), moved(B)]
    });
    let after = descriptors(pid);
    cluster.check_alive()?;

    let longest = spacings.iter().max().copied().unwrap_or_default();
    let on_time = spacings.iter().filter(|gap| **gap <= INTERVAL + INTERVAL / 5).count();
    eprintln!(
        "load: {} adverts in {LENGTH:?}, {on_time} of them at most a fifth of the interval late, longest gap {longest:?}; \
         runs of {} of the checks {runs:?}; descriptors {before} to {after}",
        spacings.len(),
        COUNTED.len(),
    );
    let expected = usize::from(ROUTERS) * (LENGTH.as_millis() / INTERVAL.as_millis()) as usize;
    assert!(spacings.len() * 100 > expected * 95, "{} adverts, expected {expected}", spacings.len());
    assert!(longest < INTERVAL + LATE, "an advert came {:?} late", longest - INTERVAL);
    assert_eq!(moves, [0, 0], "how often an address came to node a and b");
    // A machine that cannot start so many programs leaves runs out, but the same number of each check.
    let (least, most) = (runs.iter().min().copied().unwrap_or(0), runs.iter().max().copied().unwrap_or(0));
    assert!(least >= 3 && least * 3 >= most, "runs of some checks in {LENGTH:?}, at most 80: {runs:?}");
    assert_eq!(zombies(pid), [0; 0], "children that ended and were not waited for");
    assert!(after <= before + DESCRIPTORS, "descriptors grew from {before} to {after}");
    let lines = cluster.lines(A);
    let failed = lines.iter().find(|line| line.contains("FAULT") || line.contains("is failing"));
    assert_eq!(failed, None, "a check failed that cannot");
    cluster.stop(A)?;
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap_or(true), "the daemon is gone");
    Ok(())
}

/// Returns the times between adverts of node a, of each router for itself.
fn spacings(log: &Log, since: Duration) -> Vec<Duration> {
    let mut last: BTreeMap<u8, Duration> = BTreeMap::new();
    let mut gaps = Vec::new();
    for seen in log.sightings().iter().filter(|seen| seen.at >= since && seen.node == A) {
        if let Sight::Sent(Frame::Advert { vrid, .. }) = seen.what {
            gaps.extend(last.insert(vrid, seen.at).map(|before| seen.at.saturating_sub(before)));
        }
    }
    gaps
}

/// Node a has the checks, two for each router; some of them write a line each time, to a file in `folder`.
fn file(node: Node, folder: &str) -> String {
    let mut text = head(node);
    for number in 1..=ROUTERS {
        text += &instance(node, number, INTERVAL);
        // Writing to a string does not fail.
        if node == A {
            let second = usize::from(number) + CHECKS / 2;
            let _ = writeln!(text, "checks = [\"c{number}\", \"c{second}\"]");
        }
    }
    for number in 1..=CHECKS {
        let exec = match number {
            number if COUNTED.contains(&number) => {
                format!("[\"/bin/sh\", \"-c\", \"echo >>{folder}/{number}\"]\nuser = \"root\"")
            }
            _ => "\"/bin/true\"".to_owned(),
        };
        if node == A {
            let _ =
                write!(text, "[check.c{number}]\nexec = {exec}\ninterval = \"100ms\"\ntimeout = \"5s\"\nfall = 3\n");
        }
    }
    text
}

/// Each line is a byte.
fn lines(paths: &[PathBuf]) -> Vec<usize> {
    paths.iter().map(|path| fs::read(path).unwrap_or_default().len()).collect()
}
