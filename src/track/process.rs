//! Processes that must run: counted, compared with the quorum, and reported after the configured delays.
//!
//! `census` counts by name, told by the kernel (`connector`) where it may; a process that dies is noticed by its pidfd.

mod census;
mod connector;
mod proc;

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

pub(super) use census::Census;

use super::Outcome;
use super::file::{Files, read_start};
use super::ready::Ready;
use super::schedule::ticks;
use crate::engine::params::ProcessParams;

/// How many there are; `None`: not known yet.
pub(super) type Count = Option<u32>;

/// Reports on one check; does not return while somebody counts.
///
/// A change is told at once, or when it has lasted for its delay. The same again is told once an interval, for rise and fall.
pub(super) async fn watch(
    params: &ProcessParams,
    mut count: watch::Receiver<Count>,
    interval: Duration,
    tell: impl Fn(Outcome),
) {
    let Ok(Some(mut number)) = count.wait_for(Option::is_some).await.map(|count| *count) else { return };
    let mut counted = number;
    tell(outcome(params, counted));
    let mut ticks = ticks(interval);
    // The first one has just been told.
    ticks.reset();
    let mut delayed: Option<Pin<Box<Sleep>>> = None;
    loop {
        tokio::select! {
            biased;
            changed = count.changed() => {
                if changed.is_err() {
                    return;
                }
                let before = number;
                number = count.borrow_and_update().unwrap_or(number);
                let delay = if number > before { params.gain_delay } else { params.loss_delay };
                if is_well(params, number) == is_well(params, counted) {
                    counted = number;
                    delayed = None;
                } else if delay.is_zero() {
                    counted = number;
                    delayed = None;
                    tell(outcome(params, counted));
                } else if delayed.is_none() {
                    delayed = Some(Box::pin(sleep(delay)));
                }
            }
            () = wait(&mut delayed) => {
                delayed = None;
                counted = number;
                tell(outcome(params, counted));
            }
            _ = ticks.tick() => tell(outcome(params, counted)),
        }
    }
}

/// Reports on the process whose number is in a file; does not return.
pub(super) async fn watch_pid_file(
    path: &Path,
    params: &ProcessParams,
    interval: Duration,
    files: &Files,
    tell: impl Fn(Outcome),
) {
    let (sender, count) = watch::channel(None);
    tokio::join!(count_pid_file(path, interval, files, sender), watch(params, count, interval, tell));
}

async fn count_pid_file(path: &Path, interval: Duration, files: &Files, sender: watch::Sender<Count>) {
    let mut subscription = files.subscribe(path);
    let mut ticks = ticks(interval);
    loop {
        subscription.renew();
        let pid = read_start(path).ok().and_then(|text| proc::parse_pid(&text));
        // Without a pidfd its end is noticed at the interval.
        let life = pid.and_then(|pid| Life::of(pid).ok());
        let runs = pid.is_some_and(proc::is_running);
        sender.send_replace(Some(u32::from(runs)));
        tokio::select! {
            () = subscription.changed() => {}
            () = end(life.filter(|_| runs)) => {}
            _ = ticks.tick() => {}
        }
    }
}

/// A process that was there when this was made; its number may be another's since.
struct Life(Ready);

impl Life {
    /// **Errors:** there is no such process, or no pidfd to be had.
    fn of(pid: i32) -> std::io::Result<Self> {
        let pid = rustix::process::Pid::from_raw(pid).ok_or(std::io::ErrorKind::NotFound)?;
        let flags = rustix::process::PidfdFlags::NONBLOCK;
        Ok(Self(Ready::new(rustix::process::pidfd_open(pid, flags)?)?))
    }

    /// Waits until all its threads have ended.
    async fn end(&self) {
        // Fails only with the runtime.
        let _ = self.0.wait().await;
    }
}

async fn end(life: Option<Life>) {
    match life {
        Some(life) => life.end().await,
        None => std::future::pending().await,
    }
}

async fn wait(sleep: &mut Option<Pin<Box<Sleep>>>) {
    match sleep {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

fn is_well(params: &ProcessParams, number: u32) -> bool {
    number >= params.quorum.min(params.quorum_max.unwrap_or(u32::MAX))
        && params.quorum_max.is_none_or(|most| number <= most)
}

fn outcome(params: &ProcessParams, number: u32) -> Outcome {
    let running = if number == 0 { "none running".to_owned() } else { format!("{number} running") };
    if is_well(params, number) {
        return Outcome::passed(running);
    }
    match params.quorum_max {
        Some(0) => Outcome::failed(format!("{running}, expected none")),
        Some(most) if number > most => Outcome::failed(format!("{running}, expected at most {most}")),
        Some(_) | None => Outcome::failed(format!("{running}, expected at least {}", params.quorum)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::engine::input::CheckResult::{self, Failed, Passed};
    use crate::engine::params::ProcessTarget;

    fn params(quorum: u32, quorum_max: Option<u32>) -> ProcessParams {
        ProcessParams {
            target: ProcessTarget::Name("x".to_owned()),
            quorum,
            quorum_max,
            gain_delay: Duration::ZERO,
            loss_delay: Duration::ZERO,
        }
    }

    #[test]
    fn the_quorum_is_a_range() {
        let cases = [
            (1, None, 0, Failed, "none running, expected at least 1"),
            (1, None, 1, Passed, "1 running"),
            (3, None, 2, Failed, "2 running, expected at least 3"),
            (1, Some(2), 3, Failed, "3 running, expected at most 2"),
            (1, Some(2), 2, Passed, "2 running"),
            (1, Some(0), 0, Passed, "none running"),
            (1, Some(0), 1, Failed, "1 running, expected none"),
        ];
        for (quorum, most, number, result, words) in cases {
            let outcome = outcome(&params(quorum, most), number);
            assert_eq!((outcome.result, outcome.words.as_str()), (result, words));
        }
    }

    /// Returns what is told while a count changes; no time passes, so it is told at once or never.
    fn told(params: &ProcessParams, numbers: &[u32]) -> Vec<CheckResult> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (sender, count) = watch::channel(None);
            let told = RefCell::new(Vec::new());
            let tell = |outcome: Outcome| told.borrow_mut().push(outcome.result);
            let story = async {
                for number in numbers {
                    sender.send_replace(Some(*number));
                    for _ in 0..10 {
                        tokio::task::yield_now().await;
                    }
                }
            };
            tokio::select! {
                biased;
                () = watch(params, count, Duration::from_secs(1000), tell) => {}
                () = story => {}
            }
            told.into_inner()
        })
    }

    #[test]
    fn a_change_is_told_at_once_without_a_delay() {
        assert_eq!(told(&params(1, None), &[1, 0, 2, 3]), [Passed, Failed, Passed]);
    }

    #[test]
    fn a_change_with_a_delay_is_not_told_at_once() {
        let hour = Duration::from_secs(3600);
        let slow_to_lose = ProcessParams { loss_delay: hour, ..params(1, None) };
        assert_eq!(told(&slow_to_lose, &[1, 0]), [Passed]);
        assert_eq!(told(&slow_to_lose, &[0, 1]), [Failed, Passed]);
        let slow_to_gain = ProcessParams { gain_delay: hour, ..params(1, None) };
        assert_eq!(told(&slow_to_gain, &[0, 1]), [Failed]);
        assert_eq!(told(&slow_to_gain, &[1, 0]), [Passed, Failed]);
        // A gain can be the bad news.
        let none_may_run = ProcessParams { gain_delay: hour, ..params(1, Some(0)) };
        assert_eq!(told(&none_may_run, &[0, 1]), [Passed]);
    }
}
