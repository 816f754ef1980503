//! Seeded simulation of two to five nodes on virtual time.
//!
//! `VRRPD_SIM_SEEDS=n` sets how many seeds run; `VRRPD_SIM_SEED=n cargo test --test sim replay -- --nocapture` shows
//! what one of them did. `docs/testing-simulation.md` says what is checked and which broken engine each check catches.

mod case;
mod expect;
mod exposure;
mod flood;
mod inputs;
mod kills;
mod run;
mod secrets;
#[path = "../simulator/mod.rs"]
mod simulator;
mod steps;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use run::Run;

#[test]
fn seeds_keep_every_invariant() {
    let seeds = number("VRRPD_SIM_SEEDS").unwrap_or(SEEDS);
    let tally = in_parallel("VRRPD_SIM_SEED", None, seeds, |seed| {
        let mut run = Run::new(seed, false);
        let verdict = run.finish();
        (verdict, run.world.tally)
    });
    for (what, per_thousand) in HAPPENS {
        let times = tally.get(what).copied().unwrap_or_default();
        assert!(times >= per_thousand * seeds / 1000, "{what}: only {times} times in {seeds} seeds");
    }
}

#[test]
fn replay() {
    let seed = number("VRRPD_SIM_SEED");
    let mut first = Run::new(seed.unwrap_or(1), true);
    let verdict = first.finish();
    if seed.is_some() {
        println!("{:#?}", first.case);
        for seen in first.world.seen.iter().flatten() {
            let (ms, ns) = (seen.at / simulator::MS, seen.at % simulator::MS);
            let priority = seen.priority.map_or(String::new(), |priority| format!("priority {priority} "));
            println!("{ms:>8}.{ns:06} host {} router {} {priority}{:?}", seen.host, seen.router, seen.output);
        }
        println!("{verdict:?}");
    }
    let mut second = Run::new(seed.unwrap_or(1), true);
    assert_eq!(second.finish(), verdict);
    assert_eq!(first.world.seen, second.world.seen, "one seed, two runs");
    assert!(verdict.is_ok(), "{verdict:?}");
}

/// How often what happened.
type Tally = BTreeMap<&'static str, u64>;

/// Runs seeds on all cores, or one alone; panics with the first that fail. `variable`: what replays one.
fn in_parallel(
    variable: &str,
    only: Option<u64>,
    seeds: u64,
    run: impl Fn(u64) -> (Result<(), String>, Tally) + Sync,
) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let part = |first: u64| {
        let (mut tally, mut failures) = (Tally::new(), BTreeMap::new());
        let (begin, end) = only.map_or((0, seeds), |seed| (seed, seed + 1));
        for seed in (begin + first..end).step_by(threads as usize) {
            let (verdict, seen) =
                catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|_| (Err("panic".into()), Tally::new()));
            failures.extend(verdict.err().map(|text| (seed, text)));
            seen.into_iter().for_each(|(what, times)| *tally.entry(what).or_insert(0) += times);
        }
        (tally, failures)
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let (mut tally, mut failures) = (Tally::new(), BTreeMap::new());
    for (seen, failed) in parts {
        seen.into_iter().for_each(|(what, times)| *tally.entry(what).or_insert(0) += times);
        failures.extend(failed);
    }
    println!("{seeds} seeds: {tally:#?}");
    for (seed, text) in failures.iter().take(SHOWN) {
        println!("seed {seed}: {text}");
    }
    let show = failures.keys().next().copied().unwrap_or_default();
    assert!(failures.is_empty(), "{} of {seeds} seeds; {variable}={show} runs the first alone", failures.len());
    tally
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Seeds of an ordinary test run.
const SEEDS: u64 = 10_000;

/// Failing seeds that are told.
const SHOWN: usize = 8;

/// What must have happened, at least so often in a thousand seeds: a simulation that never fails over proves nothing.
const HAPPENS: &[(&str, u64)] = &[
    ("addresses removed by somebody", 50),
    ("announcements", 10_000),
    ("boots of all at once", 100),
    ("carrier lost by a Master", 30),
    ("carrier lost by another", 30),
    ("check verdicts", 5000),
    ("checks failed", 800),
    ("clean demotions", 50),
    ("clean failures", 30),
    ("clean losses", 300),
    ("clean pauses of a Backup", 60),
    ("clean pauses of a Master", 100),
    ("clean removals of addresses", 100),
    ("clean splits", 100),
    ("clean stops", 300),
    ("drained", 100),
    ("drained without a Master", 50),
    ("drains", 800),
    ("graceful stops", 1000),
    ("group faults", 250),
    ("group moves", 400),
    ("group transitions", 3000),
    ("handed over", 700),
    ("handed over to nobody", 30),
    ("hosts drained for good", 20),
    ("interface missing", 1000),
    ("link down", 400),
    ("newcomers after a pause", 250),
    ("no address", 400),
    ("outranked", 100),
    ("owner starts", 300),
    ("packets duplicated", 5000),
    ("packets lost", 20_000),
    ("packets reordered", 1000),
    ("pauses without a rival", 5),
    ("preempt delays", 500),
    ("preemptions", 1000),
    ("priority changes", 1000),
    ("queue overflows", 1000),
    ("resignations lost", 400),
    ("resumes", 500),
    ("rivals", 2000),
    ("splits that heal from the Master first", 30),
    ("splits that heal towards the Master first", 30),
    ("takeovers after a resignation", 1000),
    ("takeovers after silence", 3000),
    ("waiting for checks", 400),
    ("yields to a higher address", 400),
    ("yields to a higher priority", 2000),
];
