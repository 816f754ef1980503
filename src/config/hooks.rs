//! Programs, users and pipes: words without a shell.
//!
//! Looks at no file and no user of this host: what a program is allowed is found out where it is run. One stop before:
//! `schema`; one stop after: the parameters, which `child` and `notify` read.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{HookError, ValueError, excerpt};
use super::health::SHELL;
use super::problem::Report;
use super::resolve::{is_plain, length, unfit, unknown_word};
use super::schema::{self, Items, Program, Words};
use super::source::{Place, Written};
use super::table::Key;
use crate::engine::params::{Command, DaemonHook, Fallback, FifoParams, Hook, Hooks, NodeHooks, Scripts, UserParams};

/// Reads the hooks of an instance or a group; `None` when something was reported.
pub(super) fn hooks(written: &schema::Hooks<'_>, report: &mut Report<'_>) -> Option<Hooks> {
    let default = Hooks::default();
    let mut calls = Vec::new();
    let mut is_complete = true;
    for (event, key, program) in &written.programs {
        match program.and_then(|program| command(key, &program.value, report)) {
            Key::Absent => {}
            Key::Wrong => is_complete = false,
            Key::Here(command) => calls.push(Hook { event: *event, command: command.value }),
        }
    }
    let timeout =
        limited("notify_timeout", &written.timeout, TIMEOUT, "\"10ms\" to \"1h\"", report).or(default.timeout);
    let refresh = written.refresh.and_then(|text| {
        if text.value == "off" {
            return Some(None);
        }
        let length = length("notify_refresh", text, report)?;
        if REFRESH.contains(&length) { Some(Some(length)) } else { unfit("notify_refresh", text, REFRESHED, report) }
    });
    let hooks = Hooks { calls, timeout: timeout?, refresh: refresh.or(default.refresh)? };
    is_complete.then_some(hooks)
}

/// Reads what `[daemon]` says about programs and pipes; `None` when something was reported.
pub(super) fn of_node(written: &schema::NodeHooks<'_>, report: &mut Report<'_>) -> Option<NodeHooks> {
    let user = written.user.and_then(|text| user("script_user", text, report)).optional();
    let fallback = written.fallback.and_then(|word| match word.value {
        "unprivileged" => Some(Fallback::Unprivileged),
        "keepalived" => Some(Fallback::Keepalived),
        _ => unknown_word("script_fallback", word, &["unprivileged", "keepalived"], report),
    });
    let startup = daemon_hook("startup_script", &written.startup, &written.startup_timeout, report);
    let shutdown = daemon_hook("shutdown_script", &written.shutdown, &written.shutdown_timeout, report);
    let fifos = fifos(&written.fifos, report);
    let scripts = Scripts {
        user: user?,
        fallback: fallback.or(Fallback::Unprivileged)?,
        refuses_unsafe: written.security.clone().or(true)?,
    };
    Some(NodeHooks {
        scripts,
        startup: startup?,
        shutdown: shutdown?,
        fifos: fifos?,
        tells_priority: written.priority_changes.clone().or(false)?,
        tells_states_on_reload: written.states_on_reload.clone().or(false)?,
    })
}

/// Reads a program with its user.
fn command(key: &'static str, written: &Program<'_>, report: &mut Report<'_>) -> Option<Command> {
    let words = words(key, &written.words.value, written.words.place, report);
    let user = written.user.and_then(|text| user("user", text, report)).optional();
    Some(Command { words: words?, user: user? })
}

/// Reads a program and its arguments.
pub(super) fn words(
    key: &'static str,
    written: &Words<'_>,
    place: Place,
    report: &mut Report<'_>,
) -> Option<Vec<String>> {
    let words = match written {
        Words::Alone(line) => {
            let is_line = line.contains(SHELL) || line.contains(char::is_whitespace);
            if is_line && !line.contains('\0') {
                report.error(place, HookError::ShellLine { key, line: (*line).to_owned() });
                return None;
            }
            vec![Written { value: *line, place }]
        }
        Words::List(Items { items, is_complete: true }) => items.clone(),
        // An entry was reported.
        Words::List(Items { is_complete: false, .. }) => return None,
    };
    let Some(program) = words.first() else {
        report.error(place, HookError::NoProgram { key });
        return None;
    };
    // In a list a bare name is looked for in PATH where it is run: a converted keepalived.conf may need that.
    let is_list = matches!(written, Words::List(_));
    let is_bare = is_list && !program.value.trim().is_empty() && !program.value.contains('/');
    if !is_bare && (!program.value.starts_with('/') || program.value.ends_with('/')) {
        report.error(program.place, HookError::RelativeProgram { key, program: excerpt(program.value) });
        return None;
    }
    if let Some(odd) = words.iter().find(|word| word.value.contains('\0')) {
        return unfit(key, odd, "words without NUL bytes", report);
    }
    Some(words.iter().map(|word| word.value.to_owned()).collect())
}

/// Reads `USER` or `USER:GROUP`, names or numbers.
pub(super) fn user(key: &'static str, written: &Written<&str>, report: &mut Report<'_>) -> Option<UserParams> {
    let (name, group) = match written.value.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (written.value, None),
    };
    let is_fit = |name: &str| is_plain(name, 32) && !name.contains([':', '/']);
    if is_fit(name) && group.is_none_or(is_fit) {
        return Some(UserParams { name: name.to_owned(), group: group.map(str::to_owned) });
    }
    unfit(key, written, "a user such as \"nobody\", or user and group such as \"nobody:nogroup\"", report)
}

/// Reads an absolute path of at most `longest` bytes.
pub(super) fn path(
    key: &'static str,
    written: &Written<&str>,
    longest: usize,
    report: &mut Report<'_>,
) -> Option<PathBuf> {
    let text = written.value;
    let is_fit = text.starts_with('/') && !text.ends_with('/') && text.len() <= longest && !text.contains('\0');
    if is_fit {
        return Some(PathBuf::from(text));
    }
    let expected = if longest < PATH_MAX {
        "a path that begins with a slash, does not end with one and has at most 107 bytes"
    } else {
        "a path that begins with a slash and does not end with one"
    };
    unfit(key, written, expected, report)
}

/// Reads a length of time within a range, which `expected` says in words.
pub(super) fn limited(
    key: &'static str,
    written: &Key<&str>,
    range: RangeInclusive<Duration>,
    expected: &'static str,
    report: &mut Report<'_>,
) -> Key<Duration> {
    written.and_then(|text| {
        let length = length(key, text, report)?;
        if range.contains(&length) { Some(length) } else { unfit(key, text, expected, report) }
    })
}

fn daemon_hook(
    key: &'static str,
    written: &Key<Program<'_>>,
    timeout: &Key<&str>,
    report: &mut Report<'_>,
) -> Option<Option<DaemonHook>> {
    let timeout_key = if key == "startup_script" { "startup_script_timeout" } else { "shutdown_script_timeout" };
    let length = limited(timeout_key, timeout, TIMEOUT, "\"10ms\" to \"1h\"", report);
    if let (Key::Absent, Some(alone)) = (written, timeout.here()) {
        report.error(alone.place, HookError::TimeoutAlone { key: timeout_key, of: key });
    }
    let command = written.and_then(|program| command(key, &program.value, report)).optional();
    let timeout = length.or(DAEMON_TIMEOUT)?;
    Some(command?.map(|command| DaemonHook { command, timeout }))
}

fn fifos(written: &Key<Items<schema::Fifo<'_>>>, report: &mut Report<'_>) -> Option<Vec<FifoParams>> {
    let Some(Written { value: Items { items, .. }, .. }) = written.here() else {
        return matches!(written, Key::Absent).then(Vec::new);
    };
    let mut fifos: Vec<FifoParams> = Vec::with_capacity(items.len());
    for (at, entry) in items.iter().enumerate() {
        let path = path("notify_fifo", &entry.path, PATH_MAX, report);
        let user = entry.user.and_then(|text| user("user", text, report)).optional();
        let reader = entry.reader.and_then(|program| command("reader", &program.value, report));
        if let Some(first) = items.iter().take(at).find(|first| first.path.value == entry.path.value) {
            report.error(entry.path.place, HookError::FifoTwice { first_line: report.line(first.path.place) });
        }
        let (Some(path), Some(user), Some(reader)) = (path, user, reader.optional()) else { continue };
        fifos.push(FifoParams { path, user, reader });
    }
    (fifos.len() == items.len()).then_some(fifos)
}

/// Reports a number out of range; returns `None` for the caller to return.
pub(super) fn unfit_number<T>(
    key: &'static str,
    written: &Written<i64>,
    expected: &'static str,
    report: &mut Report<'_>,
) -> Option<T> {
    report.error(written.place, ValueError::Unfit { key, found: written.value.to_string(), expected });
    None
}

/// What the kernel takes as a path, its NUL byte counted.
pub(super) const PATH_MAX: usize = 4095;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);
const DAEMON_TIMEOUT: Duration = Duration::from_secs(10);
const REFRESH: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const REFRESHED: &str = "\"1s\" to \"24h\", or \"off\"";
