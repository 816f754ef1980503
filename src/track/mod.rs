//! Checks: each looks at one thing on this host and reports what it saw; rise, fall and weights are the engine's.
//!
//! They fail closed: a check that cannot run has failed. One stop before: `daemon::service`, which starts them; one stop
//! after: `Input::Check`.

mod exec;
mod file;
mod http;
mod number;
mod ping;
mod process;
mod ready;
mod schedule;
mod tcp;
mod unit;

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engine::input::{CheckKey, CheckResult};
use crate::engine::params::{CheckParams, Scripts};

/// What one run of a check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub check: CheckKey,
    /// What came out.
    pub result: CheckResult,
    /// What an operator reads, such as `exit status 1`; at most 200 bytes, printable.
    pub words: Arc<str>,
}

/// What one look saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What came out.
    pub result: CheckResult,
    /// What an operator reads.
    pub words: String,
}

impl Outcome {
    /// All is well.
    fn passed(words: impl Into<String>) -> Self {
        Self { result: CheckResult::Passed, words: words.into() }
    }

    /// It is not, or it could not be found out.
    fn failed(words: impl Into<String>) -> Self {
        Self { result: CheckResult::Failed, words: words.into() }
    }
}

/// Runs checks until dropped, inside a `LocalSet`. A run of equal results longer than rise and fall is reported no further,
/// unless its words change.
///
/// `CheckKind::Interface` is not run here: the daemon knows the interfaces already.
pub async fn run(checks: Vec<(CheckKey, Arc<CheckParams>)>, scripts: Arc<Scripts>, report: impl Fn(Report)) {
    let (_kept, checks): (Vec<_>, Vec<_>) = checks.into_iter().map(|(key, params)| stoppable(key, params)).unzip();
    run_until(checks, scripts, report).await;
}

/// A check, and how it hears that it is to end.
pub struct Stoppable {
    key: CheckKey,
    params: Arc<CheckParams>,
    stopped: oneshot::Receiver<()>,
}

impl Stoppable {
    /// Returns when it is to end: for whoever runs it himself.
    pub async fn stopped(self) {
        // An error means that the other end is gone.
        let _ = self.stopped.await;
    }
}

/// Makes a check that runs for as long as the first value is there; a program that it runs is killed with it.
pub fn stoppable(key: CheckKey, params: Arc<CheckParams>) -> (oneshot::Sender<()>, Stoppable) {
    let (stop, stopped) = oneshot::channel();
    (stop, Stoppable { key, params, stopped })
}

/// As [`run`], but returns when every check was stopped.
pub async fn run_until(checks: Vec<Stoppable>, scripts: Arc<Scripts>, report: impl Fn(Report)) {
    let (checks, stops) = checks.into_iter().map(|check| ((check.key, check.params), check.stopped)).unzip();
    let checks: Vec<(CheckKey, Arc<CheckParams>)> = checks;
    schedule::run(&checks, stops, &scripts, &report).await;
}
