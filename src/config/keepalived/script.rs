//! Commands, users and hooks: words without a shell.
//!
//! Warns of what only a shell could do. One stop before: the tree; one stop after: [`Hooks`], and `track` for scripts.

use std::time::Duration;

use super::lexer::{command_words, script_words};
use super::remark::{Remark, excerpt};
use super::report::{At, Report};
use super::tree::Node;
use crate::engine::params::{Command, Hook, HookEvent, Hooks, UserParams};

/// Reads `"COMMAND ARGUMENT..." [USER [GROUP]]`.
pub(super) fn command(node: &Node, report: &mut Report) -> Option<Command> {
    let mut words = script_words(&node.rest).into_iter();
    let command = words.next()?;
    // What follows a NUL byte does not reach a program.
    let cut = |word: String| word.split('\0').next().unwrap_or_default().to_owned();
    let mut words_of_command: Vec<String> = command_words(&command).into_iter().map(cut).collect();
    if let Some(word) = shell_syntax(&words_of_command) {
        report.remark(node.spot, Remark::ShellSyntax { word: excerpt(word) });
    }
    let user = words.next().and_then(|name| named(&name, words.next().as_deref()));
    let extra: Vec<_> = words.collect();
    if !extra.is_empty() {
        let words = excerpt(&extra.join(" "));
        report.remark(node.spot, Remark::ExtraWords { keyword: node.keyword.clone(), words });
    }
    if let Some(path) = opened_file(&words_of_command) {
        words_of_command = ["/usr/bin/test", "-r", path].map(str::to_owned).to_vec();
    }
    let (keyword, found) = (node.keyword.clone(), excerpt(&command));
    let value = |expected: &str, instead: &str| {
        let (expected, instead) = (expected.to_owned(), instead.to_owned());
        Remark::Value { keyword, found, expected, instead }
    };
    let program = words_of_command.first_mut().filter(|program| !program.trim_matches('/').trim().is_empty());
    let Some(program) = program else {
        report.remark(node.spot, value("a program", "nothing is run"));
        return None;
    };
    if program.ends_with('/') || (program.contains('/') && !program.starts_with('/')) {
        *program = format!("/{}", program.trim_matches('/'));
        report.remark(node.spot, value("a path from the slash on", "it is looked for in the root directory"));
    }
    Some(Command { words: words_of_command, user })
}

/// Returns the file of `"</path"`, which Keepalived gives to a shell to see whether it can be opened.
fn opened_file(words: &[String]) -> Option<&str> {
    let [word] = words else { return None };
    word.strip_prefix('<').filter(|path| path.starts_with('/'))
}

/// Reads `USER [[:]GROUP]`.
pub(super) fn user(words: &[At<String>], report: &mut Report) -> Option<UserParams> {
    if let Some(extra) = words.get(2) {
        report.remark(extra.spot, Remark::ExtraWords { keyword: "user".to_owned(), words: excerpt(&extra.value) });
    }
    named(&words.first()?.value, words.get(1).map(|group| group.value.as_str()))
}

fn named(name: &str, group: Option<&str>) -> Option<UserParams> {
    let group = group.map(|group| group.trim_start_matches(':')).filter(|group| !group.is_empty());
    (!name.is_empty()).then(|| UserParams { name: identity(name), group: group.map(identity) })
}

/// Returns a name that a user can have; one that nobody has stays one that nobody has, so that what it should run fails.
fn identity(name: &str) -> String {
    let is_fit = |c: char| c.is_ascii_graphic() && !matches!(c, ':' | '/');
    name.chars().map(|c| if is_fit(c) { c } else { '_' }).take(32).collect()
}

/// Takes a `notify...` keyword into the calls; says whether it is one.
pub(super) fn hook(node: &Node, calls: &mut Vec<Hook>, report: &mut Report) -> bool {
    let event = match node.keyword.as_str() {
        "notify" => HookEvent::Any,
        "notify_master" => HookEvent::Master,
        "notify_backup" => HookEvent::Backup,
        "notify_fault" => HookEvent::Fault,
        "notify_stop" => HookEvent::Stop,
        "notify_deleted" => HookEvent::Deleted,
        "notify_master_rx_lower_pri" => HookEvent::MasterHearsLower,
        _ => return false,
    };
    if event == HookEvent::Deleted && node.words.is_empty() {
        // Alone it asks that removal is told as DELETED, which it is.
        return true;
    }
    let Some(command) = command(node, report) else { return true };
    if calls.iter().any(|call| call.event == event) {
        report.remark(node.spot, Remark::Again { keyword: node.keyword.clone() });
    } else {
        calls.push(Hook { event, command });
    }
    true
}

/// Returns what is called, the hook of the event before `notify`.
pub(super) fn hooks(mut calls: Vec<Hook>) -> Hooks {
    if calls.is_empty() {
        return Hooks::default();
    }
    calls.sort_by_key(|call| (call.event == HookEvent::Any, call.event));
    Hooks { calls, timeout: HOOK_TIMEOUT, refresh: None }
}

/// How long a hook of a keepalived.conf may take. Keepalived waits for ever and overtakes it with the next one; here the
/// next one waits, so it must end, and late enough for a cloud that is slow to move an address.
const HOOK_TIMEOUT: Duration = Duration::from_secs(60);

/// Finds a word that means something to a shell, when the program is none.
fn shell_syntax(words: &[String]) -> Option<&str> {
    let (program, arguments) = words.split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    let is_shell = matches!(name, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh");
    if is_shell && arguments.iter().any(|word| word.starts_with('-') && word.contains('c')) {
        return None;
    }
    if matches!(program.as_str(), "if" | "for" | "while" | "!" | "cd" | "exit" | "source" | ".") {
        return Some(program);
    }
    words.iter().map(String::as_str).find(|word| {
        matches!(*word, "|" | "||" | "&" | "&&" | ";" | ">" | ">>" | "<" | "]")
            || word.contains("$(")
            || word.contains('`')
            || word.ends_with(';')
            || word.starts_with("2>")
            || word.starts_with("1>")
            || word.starts_with("&>")
            || (word.starts_with(['>', '<']) && word.len() > 1 && *word != program.as_str())
            || (word.starts_with('$') && word.len() > 1)
            || word.starts_with("|")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_shell_could_do_is_seen() {
        for (command, word) in [
            ("/usr/bin/killall -0 haproxy", None),
            ("sh -c 'a | b && exit 1'", None),
            ("/bin/bash -ec 'a | b'", None),
            ("echo hello | grep hello", Some("|")),
            ("[ -f x ] && exit 1", Some("]")),
            ("a 2>/dev/null", Some("2>/dev/null")),
            ("a > /dev/null", Some(">")),
            ("if true; then false", Some("if")),
            ("kill -0 `cat /run/x`", Some("`cat")),
            ("kill -0 $(cat /run/x)", Some("$(cat")),
            ("test $HOME", Some("$HOME")),
            ("</run/x", None),
        ] {
            assert_eq!(shell_syntax(&command_words(command)), word, "{command}");
        }
    }
}
