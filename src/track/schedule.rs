//! When each check looks, and which of its results are worth a report.
//!
//! The cadence of a check is absolute, from start to start. A look that takes longer than the interval costs the looks it
//! overlaps and nothing else; it ends at its timeout. Checks do not wait for each other.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use super::file::{self, Files};
use super::process::{self, Census};
use super::{Outcome, Report, exec, http, ping, tcp, unit};
use crate::engine::input::{CheckKey, CheckResult};
use crate::engine::params::{CheckKind, CheckParams, ProcessTarget, Scripts};

/// Runs all checks side by side, each until its end of `stops` is dropped or sent something; returns when all have ended.
pub(super) async fn run(
    checks: &[(CheckKey, Arc<CheckParams>)],
    stops: Vec<oneshot::Receiver<()>>,
    scripts: &Scripts,
    report: &impl Fn(Report),
) {
    let files = Files::open();
    let census = Census::new(checks.iter().filter_map(|(key, params)| Some((*key, census_target(params)?))));
    // Each says whether it was a check that was stopped.
    let mut tasks: FuturesUnordered<Pin<Box<dyn Future<Output = bool> + '_>>> = FuturesUnordered::new();
    tasks.push(Box::pin(files.run().map(|()| false)));
    tasks.push(Box::pin(census.run(rescan_interval(checks)).map(|()| false)));
    for (place, ((key, params), stop)) in checks.iter().zip(stops).enumerate() {
        let filter = Filter::new(params);
        let tell = move |outcome: Outcome| {
            if let Some((result, words)) = filter.pass(outcome) {
                report(Report { check: *key, result, words });
            }
        };
        let delay = first_delay(place, checks.len(), params.interval);
        let checked = check(*key, params, delay, scripts, &files, &census, tell);
        tasks.push(Box::pin(async move {
            tokio::select! {
                biased;
                _ = stop => true,
                () = async { checked.await; std::future::pending().await } => false,
            }
        }));
    }
    let mut left = checks.len();
    while let Some(is_stopped) = tasks.next().await {
        left -= usize::from(is_stopped);
        if left == 0 {
            return;
        }
    }
}

async fn check(
    key: CheckKey,
    params: &CheckParams,
    delay: Duration,
    scripts: &Scripts,
    files: &Files,
    census: &Census,
    tell: impl Fn(Outcome),
) {
    let limit = params.timeout;
    match &params.kind {
        CheckKind::Exec(command) => poll(params, delay, tell, || exec::probe(command, scripts, limit)).await,
        CheckKind::Http(http) => poll(params, delay, tell, || within(limit, http::probe(http))).await,
        CheckKind::Tcp(endpoint) => poll(params, delay, tell, || within(limit, tcp::probe(endpoint))).await,
        CheckKind::Ping(address) => poll(params, delay, tell, || within(limit, ping::probe(*address))).await,
        CheckKind::Unit(name) => loop {
            unit::watch(name, &tell).await;
            tell(Outcome::failed("cannot be watched"));
            sleep(params.interval.max(RESTART)).await;
        },
        CheckKind::File { path, sense } => file::watch(path, *sense, params.interval, files, tell).await,
        CheckKind::Process(process) => match &process.target {
            ProcessTarget::PidFile(path) => process::watch_pid_file(path, process, params.interval, files, tell).await,
            ProcessTarget::Name(_) | ProcessTarget::CommandLine { .. } => {
                if let Some(count) = census.count(key) {
                    process::watch(process, count, params.interval, tell).await;
                }
            }
        },
        CheckKind::Interface(_) => {}
    }
}

/// Looks again and again; the first time after `delay`.
async fn poll<Look: Future<Output = Outcome>>(
    params: &CheckParams,
    delay: Duration,
    tell: impl Fn(Outcome),
    mut look: impl FnMut() -> Look,
) {
    sleep(delay).await;
    let mut ticks = ticks(params.interval);
    let slack = (params.interval / 10).clamp(SLACK_MIN, SLACK_MAX);
    loop {
        ticks.tick().await;
        loop {
            let (outcome, is_due) = look_across(&mut ticks, slack, look()).await;
            tell(outcome);
            if !is_due {
                break;
            }
        }
    }
}

/// Waits for a look and leaves out the ticks it overlaps, but for one at its very end; says whether there was one.
///
/// So a check that hangs until a timeout as long as its interval still has a verdict each interval.
async fn look_across(ticks: &mut Interval, slack: Duration, look: impl Future<Output = Outcome>) -> (Outcome, bool) {
    let mut look = pin!(look);
    let mut grace = pin!(sleep(Duration::ZERO));
    let mut is_due = false;
    loop {
        tokio::select! {
            biased;
            outcome = &mut look => return (outcome, is_due),
            () = &mut grace, if is_due => is_due = false,
            _ = ticks.tick() => {
                is_due = true;
                grace.set(sleep(slack));
            }
        }
    }
}

/// Returns an absolute cadence, its first tick at once; ticks that nobody waited for are left out.
pub(super) fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

async fn within(limit: Duration, look: impl Future<Output = Outcome>) -> Outcome {
    match timeout(limit, look).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Outcome::failed(format!("timed out after {}", span(limit))),
    }
}

/// Returns when a check looks first, so that many do not all look in the same millisecond for ever after.
///
/// `place` of `count` checks; less than the interval, and at most a few milliseconds for the first ones.
fn first_delay(place: usize, count: usize, interval: Duration) -> Duration {
    let (place, count) = (u32::try_from(place).unwrap_or(u32::MAX), u32::try_from(count).unwrap_or(u32::MAX));
    (interval / count.max(1)).min(STEP_MAX).saturating_mul(place)
}

/// Says a length of time as an operator does.
pub(super) fn span(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

/// What of a node's checks the census has to count.
fn census_target(params: &CheckParams) -> Option<ProcessTarget> {
    match &params.kind {
        CheckKind::Process(process) => match &process.target {
            ProcessTarget::Name(_) | ProcessTarget::CommandLine { .. } => Some(process.target.clone()),
            ProcessTarget::PidFile(_) => None,
        },
        CheckKind::Exec(_)
        | CheckKind::Http(_)
        | CheckKind::Tcp(_)
        | CheckKind::Unit(_)
        | CheckKind::File { .. }
        | CheckKind::Interface(_)
        | CheckKind::Ping(_) => None,
    }
}

/// Returns how often processes are looked for where the kernel does not tell of them.
fn rescan_interval(checks: &[(CheckKey, Arc<CheckParams>)]) -> Duration {
    let counted = checks.iter().filter(|(_, params)| census_target(params).is_some());
    counted.map(|(_, params)| params.interval).min().unwrap_or(Duration::from_secs(1))
}

/// Which results of a check are told: as many equal ones as rise and fall may need, and each with other words.
struct Filter {
    limit: u32,
    told: RefCell<Option<Told>>,
}

struct Told {
    result: CheckResult,
    words: Arc<str>,
    /// How often in a row.
    count: u32,
}

impl Filter {
    fn new(params: &CheckParams) -> Self {
        Self { limit: params.rise.max(params.fall).max(1), told: RefCell::new(None) }
    }

    /// Returns what is to be told, if it is.
    fn pass(&self, outcome: Outcome) -> Option<(CheckResult, Arc<str>)> {
        let words = tidy(&outcome.words);
        let mut told = self.told.borrow_mut();
        let count = match &*told {
            Some(told) if told.result == outcome.result => {
                if told.count >= self.limit && *told.words == *words {
                    return None;
                }
                told.count.saturating_add(1)
            }
            Some(_) | None => 1,
        };
        let words: Arc<str> = words.into();
        *told = Some(Told { result: outcome.result, words: Arc::clone(&words), count });
        Some((outcome.result, words))
    }
}

/// Returns words printable and at most [`WORDS_MAX`] bytes long.
fn tidy(words: &str) -> String {
    let mut tidy = String::with_capacity(words.len().min(WORDS_MAX));
    for c in words.chars().map(|c| if c.is_control() { '?' } else { c }) {
        if tidy.len() + c.len_utf8() > WORDS_MAX {
            break;
        }
        tidy.push(c);
    }
    tidy
}

/// Bytes of words in a report.
const WORDS_MAX: usize = 200;

/// The most that a check's first look comes after that of the check before it.
const STEP_MAX: Duration = Duration::from_millis(2);

/// The least and the most by which a look may start late rather than not at all; else a tenth of the interval.
const SLACK_MIN: Duration = Duration::from_millis(5);
const SLACK_MAX: Duration = Duration::from_millis(50);

/// The least time between two attempts to watch a unit.
const RESTART: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::params::Initial;

    fn params(rise: u32, fall: u32) -> CheckParams {
        CheckParams {
            name: "c".to_owned(),
            kind: CheckKind::Interface("lo".to_owned()),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise,
            fall,
            initial: Initial::Unknown,
        }
    }

    #[test]
    fn equal_results_are_told_as_often_as_rise_and_fall_need() {
        let filter = Filter::new(&params(2, 3));
        let tell = |outcome| filter.pass(outcome).is_some();
        let told: Vec<bool> = (0..6).map(|_| tell(Outcome::failed("x"))).collect();
        assert_eq!(told, [true, true, true, false, false, false]);
        assert!(tell(Outcome::failed("y")), "other words");
        assert!(!tell(Outcome::failed("y")));
        assert!(tell(Outcome::passed("y")), "another result");
        assert!(tell(Outcome { result: CheckResult::Number(1), words: "y".to_owned() }));
        assert!(tell(Outcome { result: CheckResult::Number(2), words: "y".to_owned() }));
    }

    #[test]
    fn words_are_printable_and_short() {
        let filter = Filter::new(&params(1, 1));
        let (_, words) = filter.pass(Outcome::failed(format!("a\nb{}", "\u{e4}".repeat(200)))).unwrap();
        assert!(words.starts_with("a?b\u{e4}"), "{words}");
        assert_eq!(words.len(), 199);
    }

    #[test]
    fn first_looks_are_spread_within_the_interval() {
        let ms = Duration::from_millis;
        assert_eq!(first_delay(0, 200, ms(100)), Duration::ZERO);
        assert_eq!(first_delay(199, 200, ms(100)), Duration::from_micros(99_500));
        assert_eq!(first_delay(1, 2, ms(1000)), ms(2));
        assert_eq!(first_delay(199, 200, ms(1000)), ms(398));
    }

    #[test]
    fn lengths_of_time_are_said_with_their_unit() {
        assert_eq!(span(Duration::from_millis(500)), "500 ms");
        assert_eq!(span(Duration::from_millis(1500)), "1500 ms");
        assert_eq!(span(Duration::from_secs(2)), "2 s");
    }
}
