//! The lines about checks, hooks and groups.

use std::fmt::Write as _;

use super::{MAX_LINE, MAX_LISTED, Paint, clean, cut, length};
use crate::control::status::{CheckStatus, GroupStatus, HookStatus, InstanceStatus, State};
use crate::control::summands::{Summand, sum};

/// Returns the effective priority, as a sum where checks add to it: `80 = 100 - 20 (apache failing: HTTP 503)`.
pub(super) fn priority(instance: &InstanceStatus) -> String {
    let (effective, configured) = (instance.effective_priority, instance.priority);
    let summands = instance.checks.iter().map(|check| Summand {
        check: &check.name,
        contribution: check.contribution,
        verdict: said(check),
        words: &check.words,
    });
    let sum = sum(configured, effective, summands);
    if sum != configured.to_string() {
        format!("{effective} = {}", clean(&sum))
    } else if effective == configured {
        configured.to_string()
    } else {
        format!("{effective}, configured {configured}")
    }
}

/// Returns a line for each check: what it says, since when, what that does, and its last words.
pub(super) fn checks(instance: &InstanceStatus, paint: Paint) -> Vec<String> {
    let width = instance.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default().min(MAX_NAME);
    let mut lines: Vec<String> =
        instance.checks.iter().take(MAX_LISTED).map(|check| of_check(check, width, paint)).collect();
    if instance.checks.len() > MAX_LISTED {
        lines.push(format!("and {} more", instance.checks.len() - MAX_LISTED));
    }
    lines
}

/// Returns the line of the last call of a hook, if there was one.
pub(super) fn hooks(hooks: Option<&HookStatus>, paint: Paint) -> Option<String> {
    let hooks = hooks?;
    let call = hooks.last.as_ref()?;
    let begin = format!("{} for {}: ", cut(&clean(&call.program), MAX_PROGRAM), clean(&call.state));
    let result = call.result.as_deref().map_or_else(|| "runs".to_owned(), clean);
    let count = match hooks.failed_attempts {
        0 => String::new(),
        count => format!(", failed {count} times"),
    };
    let room = MAX_LINE.saturating_sub(begin.chars().count() + result.chars().count() + count.len());
    let last_line = if call.last_line.is_empty() { String::new() } else { format!(": {}", clean(&call.last_line)) };
    let result = if call.succeeded == Some(false) { paint.problem(&result) } else { result };
    Some(format!("{begin}{result}{count}{}", shorten(last_line, room)))
}

/// Returns what somebody may have to act on: checks that fail without a FAULT, and hooks that fail.
pub(super) fn problems(instance: &InstanceStatus) -> Vec<String> {
    let name = clean(&instance.name);
    let lowers = |check: &&CheckStatus| check.contribution < 0 || (check.fault && instance.state != State::Fault);
    let lowering = instance.checks.iter().filter(lowers).map(|check| {
        let does = match check.contribution {
            0 => String::new(),
            contribution => format!(", priority {contribution:+}"),
        };
        format!("{name}: check {} {}{}{does}", clean(&check.name), said(check), words(&check.words))
    });
    lowering.chain(failing_hooks(&name, instance.hooks.as_ref())).collect()
}

/// Returns what somebody may have to act on about a group.
pub(super) fn problems_of_group(group: &GroupStatus) -> Option<String> {
    failing_hooks(&format!("group {}", clean(&group.name)), group.hooks.as_ref())
}

/// Adds a line for each group.
pub(super) fn groups(out: &mut String, groups: &[GroupStatus], paint: Paint) {
    if !groups.is_empty() {
        out.push('\n');
    }
    for group in groups.iter().take(MAX_LISTED) {
        let (name, state) = (clean(&group.name), paint.state(group.state, 0));
        let members: Vec<String> = group.instances.iter().map(|name| clean(name)).collect();
        let _ = writeln!(out, "group {name}  {state} for {}: {}", length(group.in_state_ms), list(&members));
        if let Some(line) = hooks(group.hooks.as_ref(), paint) {
            let _ = writeln!(out, "  hooks      {line}");
        }
    }
    if groups.len() > MAX_LISTED {
        let _ = writeln!(out, "and {} more groups", groups.len() - MAX_LISTED);
    }
}

fn failing_hooks(name: &str, hooks: Option<&HookStatus>) -> Option<String> {
    let hooks = hooks.filter(|hooks| hooks.failed_attempts > 0)?;
    let call = hooks.last.as_ref()?;
    let why = call.result.as_deref().filter(|_| call.succeeded == Some(false)).unwrap_or("failed before");
    let count = hooks.failed_attempts;
    Some(format!("{name}: hook {} for {}: {}, {count} times", clean(&call.program), clean(&call.state), clean(why)))
}

fn of_check(check: &CheckStatus, width: usize, paint: Paint) -> String {
    let status = said(check);
    let is_bad = check.fault || check.contribution < 0;
    let age = check.in_status_ms.map_or_else(String::new, |age| format!(" for {}", length(age)));
    let does = match (check.fault, check.contribution) {
        (true, _) => ", FAULT".to_owned(),
        (false, 0) => String::new(),
        (false, contribution) => format!(", {contribution:+}"),
    };
    let words = if check.words == status { String::new() } else { words(&check.words) };
    let name = clean(&check.name);
    let room = MAX_LINE.saturating_sub(name.chars().count().max(width) + 2 + status.len() + age.len() + does.len());
    let words = shorten(words, room);
    let status = if is_bad { paint.problem(&status) } else { status };
    format!("{name:<width$}  {status}{age}{does}{words}")
}

/// Returns what a check says: `passing`, or its number.
fn said(check: &CheckStatus) -> String {
    check.value.map_or_else(|| clean(&check.status), |value| value.to_string())
}

fn words(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {}", clean(words)) }
}

/// Cuts the end of a line.
fn shorten(text: String, room: usize) -> String {
    if text.chars().count() <= room {
        return text;
    }
    match room {
        ..=7 => String::new(),
        _ => text.chars().take(room - 3).collect::<String>() + "...",
    }
}

fn list(names: &[String]) -> String {
    let mut text = names.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MAX_LISTED {
        let _ = write!(text, " and {} more", names.len() - MAX_LISTED);
    }
    text
}

/// Longest program that is shown whole.
const MAX_PROGRAM: usize = 32;
/// Longest name that the others are aligned with.
const MAX_NAME: usize = 24;
