//! The lines about checks and what follows from them.
//!
//! Programs that run as checks have the phrases of Keepalived, since alerts look for them; processes too. The other
//! kinds, which it does not have, are `Check(NAME)`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lines::{line, number, text};
use crate::control::summands::{Summand, sum};
use crate::daemon::record::{Key, Kind, Level, Record};
use crate::engine::health::contribution;
use crate::engine::output::{GroupTransition, Verdict};
use crate::engine::params::{CheckKind, CheckParams, RouterParams, Track};
use crate::wire::field::Priority;

/// What the lines need to know of the checks: what each is, and what it said last.
#[derive(Debug, Default)]
pub(super) struct Health {
    checks: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    params: Arc<CheckParams>,
    verdict: Verdict,
    words: Arc<str>,
}

impl Health {
    /// Knows these checks, none of which has a verdict.
    pub fn new(checks: &[Arc<CheckParams>]) -> Self {
        let known = |params: &Arc<CheckParams>| {
            let verdict = Verdict::Unknown;
            (params.name.clone(), Known { params: Arc::clone(params), verdict, words: "".into() })
        };
        Self { checks: checks.iter().map(known).collect() }
    }

    /// Knows other checks from here on, and of those with the same name what they said last.
    pub fn replace(&mut self, checks: &[Arc<CheckParams>]) {
        let mut new = Self::new(checks);
        for (name, check) in &mut new.checks {
            if let Some(known) = self.checks.remove(name) {
                (check.verdict, check.words) = (known.verdict, known.words);
            }
        }
        *self = new;
    }

    /// Takes note of a verdict.
    pub fn note(&mut self, check: &str, verdict: Verdict, words: &Arc<str>) {
        if let Some(known) = self.checks.get_mut(check) {
            known.verdict = verdict;
            known.words = Arc::clone(words);
        }
    }

    /// Returns the line of a verdict.
    pub fn of_check(&self, check: &str, to: Verdict, words: &str) -> Record {
        let kind = self.checks.get(check).map(|known| &known.params.kind);
        let message = match (kind, to) {
            (Some(CheckKind::Exec(_)), Verdict::Passing) => format!("VRRP_Script({check}) succeeded"),
            (Some(CheckKind::Exec(_)), Verdict::Failing) => format!("VRRP_Script({check}) {}", of_failure(words)),
            (Some(CheckKind::Process(_)), Verdict::Passing) => format!("Quorum gained for tracked process {check}"),
            (Some(CheckKind::Process(_)), Verdict::Failing) => format!("Quorum lost for tracked process {check}"),
            (_, to) => format!("Check({check}) is {to}"),
        };
        let level = match to {
            Verdict::Failing => Level::Warn,
            Verdict::Passing | Verdict::Unknown | Verdict::Number(_) => Level::Info,
        };
        let mut fields = vec![(Key::Check, text(check)), (Key::Verdict, text(to))];
        if !words.is_empty() {
            fields.push((Key::Reason, text(words)));
        }
        line(level, Kind::Check, message, fields)
    }

    /// Returns the line of a change of the effective priority, with the summands of the new one.
    pub fn of_priority<'a>(&'a self, params: Option<&'a RouterParams>, from: Priority, to: Priority) -> Record {
        let message = format!("Changing effective priority from {from} to {to}");
        let mut fields = vec![(Key::Priority, number(to.get()))];
        if let Some(params) = params {
            let summand = |track: &'a Track| {
                let known = self.checks.get(&track.check)?;
                let contribution = contribution(params.priority, track.effect, known.verdict);
                Some(Summand {
                    check: &track.check,
                    contribution,
                    verdict: known.verdict.to_string(),
                    words: &known.words,
                })
            };
            let summands = params.tracks.iter().filter_map(summand);
            fields.push((Key::Reason, text(sum(params.priority.get(), to.get(), summands))));
        }
        line(Level::Info, Kind::Priority, message, fields)
    }
}

/// Returns the line of a group's change of state.
pub(super) fn of_group(transition: &GroupTransition) -> Record {
    let message = format!("VRRP_Group({}) Syncing instances to {} state", transition.group, transition.to);
    let fields = vec![
        (Key::Group, text(&transition.group)),
        (Key::From, text(transition.from)),
        (Key::To, text(transition.to)),
        (Key::Reason, text(&transition.reason)),
    ];
    line(Level::Info, Kind::Group, message, fields)
}

/// Returns Keepalived's words for how a program failed: `failed (exited with status 1)`.
fn of_failure(words: &str) -> String {
    let number_after = |start: &str| {
        let rest = words.strip_prefix(start)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().filter(|digits| !digits.is_empty())?;
        Some(digits.to_owned())
    };
    if let Some(status) = number_after("exit status ") {
        format!("failed (exited with status {status})")
    } else if let Some(signal) = number_after("signal ") {
        format!("failed (due to signal {signal})")
    } else if words.starts_with("timed out") {
        "timed_out".to_owned()
    } else {
        "failed".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_words_that_alerts_look_for() {
        for (words, expected) in [
            ("exit status 1", "failed (exited with status 1)"),
            ("exit status 12 (no route)", "failed (exited with status 12)"),
            ("signal 9", "failed (due to signal 9)"),
            ("timed out after 1s", "timed_out"),
            ("not started: /x: no such file", "failed"),
            ("exit status", "failed"),
            ("", "failed"),
        ] {
            assert_eq!(of_failure(words), expected, "{words:?}");
        }
    }
}
