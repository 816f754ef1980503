//! Engine events to the lines an operator reads, and the memory of the last transitions.
//!
//! Every line about an instance begins with `VRRP_Instance(NAME)`; the phrases are those that alerts written for
//! Keepalived look for. Lines that packets cause have a limit for the whole node, however many routers they aim at.
//! One stop before: `engine::output`. One stop after: `daemon::logging`.

mod budget;
mod clock;
mod health;
mod lines;
mod refusals;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::logging::Log;
use super::record::{Key, Kind, Level, Record, Value};
use crate::control::status::TransitionStatus;
use crate::engine::output::{Event, EventKind, Refusal};
use crate::engine::params::{CheckParams, RouterParams};
use crate::engine::time::Now;
use crate::notify::{HookReport, Owner};
use budget::{Budget, Cause};
use health::Health;
use lines::{record, suppressed};

/// Returns why a packet was refused, as the log says it.
pub(super) fn words_of_refusal(params: Option<&RouterParams>, refusal: Refusal, source: Option<IpAddr>) -> String {
    refusals::of_discard(params, refusal, source, 1).message
}

/// Writes down what happened.
pub struct Journal {
    log: Log,
    past: VecDeque<TransitionStatus>,
    refused: Budget,
    accepted: Budget,
    health: Health,
}

impl Journal {
    /// Makes a journal without a past; `checks`: those whose verdicts it will write down.
    pub fn new(log: Log, checks: &[Arc<CheckParams>]) -> Self {
        Self {
            log,
            past: VecDeque::new(),
            refused: Budget::new(Cause::Refused),
            accepted: Budget::new(Cause::Accepted),
            health: Health::new(checks),
        }
    }

    /// Writes down the verdicts of other checks from here on; what is known of those that stay is kept.
    pub fn replace_checks(&mut self, checks: &[Arc<CheckParams>]) {
        self.health.replace(checks);
    }

    /// Writes the line of an event. `params`: the configuration of the event's router, if it has one.
    pub fn write(&mut self, now: Now, params: Option<&RouterParams>, event: &Event) {
        if let EventKind::Check { check, to, words, .. } = &event.kind {
            self.health.note(check, *to, words);
        }
        let mut record = record(&self.health, params, &event.kind);
        if let (EventKind::Transition(transition), Some(params)) = (&event.kind, params) {
            self.remember(TransitionStatus::new(now.utc, &params.name, transition));
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
    }

    /// Writes the line of a signal: `Received SIGTERM from pid 123 (uid 0, systemd): handing over and stopping`.
    pub fn write_signal(&self, now: Now, signal: Signal, action: &str) {
        let sender = match signal.sender {
            Some((pid, uid)) => match name_of_process(pid) {
                Some(name) => format!("pid {pid} (uid {uid}, {name})"),
                None => format!("pid {pid} (uid {uid})"),
            },
            None => "the kernel".to_owned(),
        };
        let message = format!("Received {} from {sender}: {action}", signal.name);
        self.log.write(now.utc, Record { kind: Some(Kind::Signal), ..Record::new(Level::Info, message) });
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
    pub fn transitions(&self) -> impl Iterator<Item = &TransitionStatus> {
        self.past.iter()
    }

    fn remember(&mut self, transition: TransitionStatus) {
        if self.past.len() == MAX_PAST {
            self.past.pop_front();
        }
        self.past.push_back(transition);
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

/// Transitions kept in memory.
const MAX_PAST: usize = 100;

/// Returns the name of a living process.
fn name_of_process(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;
