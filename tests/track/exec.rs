//! `exec` checks and the cadence of checks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use vrrpd::engine::input::CheckResult::{Failed, Passed};
use vrrpd::engine::params::{CheckKind, CheckParams};

use super::world::{Folder, check, command, ms, run, until};

#[test]
fn a_program_that_comes_and_goes_passes_and_fails() {
    let folder = Folder::new();
    let script = folder.script("s", "exit 0");
    let params = check(CheckKind::Exec(command(&script, &[])), ms(50), ms(5000));
    run(vec![params], async |reports| {
        assert_eq!(reports.next(0, Passed).await.1, "exit status 0");
        folder.script("s", "echo no backend; exit 255");
        assert_eq!(reports.next(0, Failed).await.1, "exit status 255: no backend");
        folder.script("s", "exit 0");
        reports.next(0, Passed).await;
        fs::remove_file(&script).unwrap();
        assert_eq!(reports.next(0, Failed).await.1, format!("cannot run: {} does not exist", script.display()));
        folder.script("s", "exit 0");
        reports.next(0, Passed).await;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
        let words = reports.next(0, Failed).await.1;
        assert!(words.starts_with("cannot run: user ") && words.contains(" may not execute "), "{words}");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        reports.next(0, Passed).await;
    });
}

#[test]
fn a_hung_check_fails_at_its_timeout_and_delays_no_other() {
    let folder = Folder::new();
    let hang = folder.script("hang", "trap '' TERM; for i in 1 2 3 4 5 6; do sleep 10; done");
    let stamp = folder.path("stamp");
    let quick = folder.script("quick", &format!("echo x >> {}", stamp.display()));
    let hung = check(CheckKind::Exec(command(&hang, &[])), ms(200), ms(200));
    let other = check(CheckKind::Exec(command(&quick, &[])), ms(100), ms(5000));
    run(vec![hung, other], async |reports| {
        let start = Instant::now();
        let (at, words) = reports.next(0, Failed).await;
        assert_eq!(words, "timed out after 200 ms");
        assert!(at - start < ms(1200), "{:?}", at - start);
        until("the other runs on", || fs::read(&stamp).unwrap_or_default().len() >= 2 * 20).await;
        let spent = start.elapsed();
        assert!(spent >= ms(1700) && spent < ms(5000), "20 runs at 100 ms took {spent:?}");
    });
}

#[test]
fn a_run_that_takes_longer_than_the_interval_costs_the_runs_it_overlaps() {
    let folder = Folder::new();
    let starts = folder.path("starts");
    let slow = folder.script("slow", &format!("date +%s%N >> {}; sleep 0.25", starts.display()));
    let params = check(CheckKind::Exec(command(&slow, &[])), ms(200), ms(5000));
    let lines = || fs::read_to_string(&starts).unwrap_or_default();
    run(vec![params], async |_| until("six runs have begun", || lines().lines().count() >= 6).await);
    let starts: Vec<u64> = lines().lines().map(|line| line.parse().unwrap()).collect();
    let gaps: Vec<u64> = starts.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    // Each lasts 250 ms and more: every other start of the cadence is left out, and none is late by what a run took.
    let total: u64 = gaps.iter().sum();
    assert!((1960..=2400).contains(&total), "{gaps:?}");
}

#[test]
fn a_check_that_hangs_for_its_whole_interval_still_has_a_verdict_each_interval() {
    let folder = Folder::new();
    let hang = folder.script("hang", "exec sleep 60");
    let hung = check(CheckKind::Exec(command(&hang, &[])), ms(200), ms(200));
    // So many equal results are told.
    let hung = CheckParams { fall: u32::MAX, ..(*hung).clone() };
    run(vec![hung.into()], async |reports| {
        let start = Instant::now();
        until("ten verdicts", || reports.of(0).len() >= 10).await;
        assert!(start.elapsed() >= ms(1900) && start.elapsed() < ms(3000), "{:?}", start.elapsed());
        assert!(reports.of(0).iter().all(|(_, result, words)| *result == Failed && words == "timed out after 200 ms"));
    });
}

#[test]
fn the_cadence_does_not_drift() {
    let folder = Folder::new();
    let starts = folder.path("starts");
    let script = folder.script("s", &format!("date +%s%N >> {}", starts.display()));
    let params = check(CheckKind::Exec(command(&script, &[])), ms(100), ms(5000));
    let lines = || fs::read_to_string(&starts).unwrap_or_default();
    run(vec![params], async |_| until("it runs 41 times", || lines().lines().count() >= 41).await);
    let starts: Vec<i64> = lines().lines().map(|line| line.parse::<i64>().unwrap() / 1_000_000).collect();
    // Where in the interval each starts, -50 to 49 ms from the first. A busy host makes some late, but not all of a few.
    let phases: Vec<i64> = starts.iter().map(|start| (start - starts[0] + 50).rem_euclid(100) - 50).collect();
    let earliest: Vec<i64> = phases.chunks(8).map(|few| *few.iter().min().unwrap()).collect();
    let (least, most) = (earliest.iter().min().unwrap(), earliest.iter().max().unwrap());
    assert!(most - least < 30, "{phases:?}");
}
