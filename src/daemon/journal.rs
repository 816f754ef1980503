//! Engine events to the lines an operator reads, and the memory of the last transitions.
//!
//! Every line about an instance begins with `VRRP_Instance(NAME)`; the phrases are those that alerts written for
//! Keepalived look for. Lines that packets cause have a limit for the whole node, however many routers they aim at.
//! One stop before: `engine::output`. One stop after: `daemon::logging`.

mod budget;
mod clock;
mod happenings;
mod health;
mod lines;
mod refusals;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::history::{History, Mark};
use super::logging::Log;
use super::record::{Key, Kind, Level, Record, Value};
use crate::control::history::{Entry, Kind as Happening};
use crate::control::status::TransitionStatus;
use crate::engine::output::{Event, EventKind, Refusal};
use crate::engine::params::{CheckParams, RouterParams};
use crate::engine::time::Now;
use crate::notify::{HookReport, Owner};
use budget::{Budget, Cause};
pub use happenings::Finding;
use happenings::{of_finding, of_happening};
use health::Health;
use lines::{record, suppressed};

/// Returns why a packet was refused, as the log says it.
pub(super) fn words_of_refusal(params: Option<&RouterParams>, refusal: Refusal, source: Option<IpAddr>) -> String {
    refusals::of_discard(params, refusal, source, 1).message
}

/// Writes down what happened.
pub struct Journal {
    log: Log,
    history: History,
    /// Who asked for the end of the daemon.
    stopped_by: String,
    refused: Budget,
    accepted: Budget,
    health: Health,
}

impl Journal {
    /// Makes a journal that adds to a history; `checks`: those whose verdicts it will write down.
    pub fn new(log: Log, history: History, checks: &[Arc<CheckParams>]) -> Self {
        Self {
            log,
            history,
            stopped_by: String::new(),
            refused: Budget::new(Cause::Refused),
            accepted: Budget::new(Cause::Accepted),
            health: Health::new(checks),
        }
    }

    /// Writes down the verdicts of other checks from here on; what is known of those that stay is kept.
    pub fn replace_checks(&mut self, checks: &[Arc<CheckParams>]) {
        self.health.replace(checks);
    }

    /// Writes the line of an event, and returns the mark of its entry in the history when it is a transition.
    ///
    /// `params`: the configuration of the event's router, if it has one.
    pub fn write(&mut self, now: Now, params: Option<&RouterParams>, event: &Event) -> Option<Mark> {
        if let EventKind::Check { check, to, words, .. } = &event.kind {
            self.health.note(check, *to, words);
        }
        let mut record = record(&self.health, params, &event.kind);
        let mark = if let (EventKind::Transition(transition), Some(params)) = (&event.kind, params) {
            Some(self.history.add(Entry::transition(now, &params.name, transition)))
        } else {
            None
        };
        if let EventKind::Group(transition) = &event.kind {
            self.history.add(Entry::of_group(now, transition));
        }
        if let Some(cause) = Cause::of(&event.kind).filter(|_| record.level < Level::Debug) {
            let budget = match cause {
                Cause::Refused => &mut self.refused,
                Cause::Accepted => &mut self.accepted,
            };
            if !budget.spend(now.mono) {
                record.level = Level::Debug;
            }
        }
        self.log.write(now.utc, record);
        for (cause, budget) in [(Cause::Refused, &mut self.refused), (Cause::Accepted, &mut self.accepted)] {
            if let Some(count) = budget.tell(now.mono) {
                self.log.write(now.utc, suppressed(cause, count));
            }
        }
        mark
    }

    /// Writes the line of a signal: `Received SIGTERM from pid 123 (uid 0, systemd): handing over and stopping`.
    pub fn write_signal(&mut self, now: Now, signal: Signal, action: &str) {
        let sender = match signal.sender {
            Some((pid, uid)) => match name_of_process(pid) {
                Some(name) => format!("pid {pid} (uid {uid}, {name})"),
                None => format!("pid {pid} (uid {uid})"),
            },
            None => "the kernel".to_owned(),
        };
        if matches!(signal.name, "SIGTERM" | "SIGINT") {
            self.stopped_by = format!("{} from {sender}", signal.name);
        }
        let message = format!("Received {} from {sender}: {action}", signal.name);
        self.log.write(now.utc, Record { kind: Some(Kind::Signal), ..Record::new(Level::Info, message) });
    }

    /// Writes down who was drained or resumed, into the history and as a line; without `what` it is only told again.
    pub fn write_drain(&self, now: Now, what: Option<Happening>, words: &str) {
        let message = match what {
            Some(what) => {
                self.history.add(Entry::new(now, what, None, words));
                format!("{} {words}", if what == Happening::Resume { "resumed" } else { "drained" })
            }
            None => words.to_owned(),
        };
        self.log.write(now.utc, Record { kind: Some(Kind::Drain), ..Record::new(Level::Info, message) });
    }

    /// Writes down what happened to the daemon, or to instances beside their transitions: into the history, and as a line.
    pub fn note(&self, now: Now, level: Level, what: Happening, words: &str) {
        self.history.add(Entry::new(now, what, None, words));
        self.log.write(now.utc, of_happening(level, what, words));
    }

    /// Writes down that the daemon ends, and who wanted that.
    pub fn write_stop(&self, now: Now) {
        self.note(now, Level::Info, Happening::Stop, &self.stopped_by);
    }

    /// Writes down what was found out about a transition: into the history, and as a line.
    pub fn write_finding(&self, now: Now, instance: &str, mark: Mark, peer: IpAddr, finding: Finding) {
        self.history.find(mark, finding.words(peer));
        self.log.write(now.utc, of_finding(instance, peer, finding));
    }

    /// Returns the history.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Writes the line of what became of a hook.
    pub fn write_hook(&self, now: Now, report: &HookReport) {
        let level = if report.is_harmless() { Level::Info } else { Level::Warn };
        let mut record = Record { kind: Some(Kind::Hook), ..Record::new(level, report.to_string()) };
        match &report.owner {
            Owner::Instance(name) => record.fields.push((Key::Instance, Value::Text(name.to_string()))),
            Owner::Group(name) => record.fields.push((Key::Group, Value::Text(name.to_string()))),
            Owner::Daemon => {}
        }
        self.log.write(now.utc, record);
    }

    /// Returns the last transitions, oldest first, at most 100.
    pub fn transitions(&self) -> Vec<TransitionStatus> {
        self.history.transitions(MAX_SHOWN)
    }
}

/// A signal and who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// `SIGTERM`, `SIGHUP` ...
    pub name: &'static str,
    /// Process and user id; none when the kernel did, as for a key on the terminal.
    pub sender: Option<(i32, u32)>,
}

/// Transitions that the status shows.
const MAX_SHOWN: usize = 100;

/// Returns the name of a living process.
fn name_of_process(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;
