//! The parts of the status that are about checks, hooks and groups.

use serde::{Deserialize, Serialize};

use super::{SeenGroup, State, milliseconds, wall_clock};
use crate::engine::output::Verdict;
use crate::engine::params::{Effect, Track};
use crate::engine::snapshot::{CheckSnapshot, TrackSnapshot};
use crate::engine::time::Now;

/// A check, and what it does to one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// `passing`, `failing`, `number` or `unknown`.
    pub status: String,
    /// What the weight is multiplied by, with status `number`.
    #[serde(default)]
    pub value: Option<i32>,
    /// What it adds to the priority; none: a failure means FAULT.
    pub weight: Option<i16>,
    /// The other way round: `reverse`.
    #[serde(default)]
    pub reversed: bool,
    /// What it adds to the priority as things are.
    #[serde(default)]
    pub contribution: i32,
    /// Whether it keeps the instance in FAULT.
    #[serde(default)]
    pub fault: bool,
    /// What its last run said, for a person.
    #[serde(default)]
    pub words: String,
    /// Since when it has this status, RFC 3339; none: it has not run.
    #[serde(default)]
    pub since: Option<String>,
    /// How long ago that was, in milliseconds.
    #[serde(default)]
    pub in_status_ms: Option<u64>,
}

/// What became of the hooks of an instance or a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookStatus {
    /// The number of the last occasion; 0: there was none.
    pub sequence: u64,
    /// Failed attempts in a row in the present state.
    pub failed_attempts: u32,
    /// Occasions that were left out because something newer happened.
    pub superseded: u64,
    /// The call that runs, else the one that failed last, else the last one; none: nothing was called.
    pub last: Option<HookCallStatus>,
}

/// One call of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCallStatus {
    /// The program.
    pub program: String,
    /// The state it was told.
    pub state: String,
    /// Why it was called: `start`, `transition`, `rivalry`, `refresh` or `retry`.
    pub cause: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When it was started, RFC 3339.
    pub began_at: String,
    /// When it ended; none: it runs.
    pub ended_at: Option<String>,
    /// How it ended, such as `exit status 0`; none: it runs.
    pub result: Option<String>,
    /// Whether it ended as it should; none: it runs.
    pub succeeded: Option<bool>,
    /// The last line that it wrote; empty: none.
    pub last_line: String,
}

/// A group of instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// The state its members share.
    pub state: State,
    /// When it entered that state, RFC 3339.
    #[serde(default)]
    pub since: String,
    /// How long ago that was, in milliseconds.
    #[serde(default)]
    pub in_state_ms: u64,
    /// Names of its members.
    #[serde(default)]
    pub instances: Vec<String>,
    /// What became of its hooks; none: it has no hooks.
    #[serde(default)]
    pub hooks: Option<HookStatus>,
}

pub(super) fn group(now: Now, (group, params, hooks): SeenGroup<'_>) -> GroupStatus {
    GroupStatus {
        name: group.name.to_string(),
        state: group.state.into(),
        since: wall_clock(now, group.since),
        in_state_ms: milliseconds(now.mono.since(group.since)),
        instances: params.map_or_else(Vec::new, |params| params.members.clone()),
        hooks,
    }
}

pub(super) fn check_status(
    now: Now,
    track: &Track,
    done: &TrackSnapshot,
    check: Option<&CheckSnapshot>,
) -> CheckStatus {
    let (weight, reversed) = match track.effect {
        Effect::Fault { is_reversed } => (None, is_reversed),
        Effect::Weight { weight, is_reversed } => (Some(weight), is_reversed),
    };
    let (status, value) = match check.map(|check| check.verdict) {
        None | Some(Verdict::Unknown) => ("unknown", None),
        Some(Verdict::Passing) => ("passing", None),
        Some(Verdict::Failing) => ("failing", None),
        Some(Verdict::Number(number)) => ("number", Some(number)),
    };
    let since = check.and_then(|check| check.since);
    CheckStatus {
        name: track.check.clone(),
        status: status.to_owned(),
        value,
        weight,
        reversed,
        contribution: done.contribution,
        fault: done.is_fault,
        words: check.map_or_else(String::new, |check| check.words.to_string()),
        since: since.map(|since| wall_clock(now, since)),
        in_status_ms: since.map(|since| milliseconds(now.mono.since(since))),
    }
}
