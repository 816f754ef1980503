//! Commands, users and hooks: words without a shell.
//!
//! Warns of what only a shell could do. One stop before: the tree; one stop after: `document`.

use super::document::{Command, Hook, HookEvent, User};
use super::lexer::{command_words, script_words};
use super::remark::{Remark, excerpt};
use super::report::{At, Report};
use super::tree::Node;

/// Reads `"COMMAND ARGUMENT..." [USER [GROUP]]`.
pub(super) fn command(node: &Node, report: &mut Report) -> Option<Command> {
    let words = script_words(&node.rest);
    let command = words.first().filter(|command| !command.trim().is_empty())?;
    let words_of_command = command_words(command);
    if let Some(word) = shell_syntax(&words_of_command) {
        report.remark(node.spot, Remark::ShellSyntax { word: excerpt(word) });
    }
    let mut identity = words.into_iter().skip(1);
    let user = identity.next().map(|name| User { name, group: identity.next() });
    let extra: Vec<_> = identity.collect();
    if !extra.is_empty() {
        let words = excerpt(&extra.join(" "));
        report.remark(node.spot, Remark::ExtraWords { keyword: node.keyword.clone(), words });
    }
    (!words_of_command.is_empty()).then_some(Command { words: words_of_command, user })
}

/// Reads `USER [[:]GROUP]`.
pub(super) fn user(words: &[At<String>], report: &mut Report) -> Option<User> {
    let name = words.first()?;
    if let Some(extra) = words.get(2) {
        report.remark(extra.spot, Remark::ExtraWords { keyword: "user".to_owned(), words: excerpt(&extra.value) });
    }
    let group = words.get(1).map(|group| group.value.trim_start_matches(':').to_owned());
    Some(User { name: name.value.clone(), group })
}

/// Reads a `notify...` keyword; `None` when it is no hook.
pub(super) fn hook(node: &Node, owner: &str, report: &mut Report) -> Option<Hook> {
    let event = match node.keyword.as_str() {
        "notify" => HookEvent::Any,
        "notify_master" => HookEvent::Master,
        "notify_backup" => HookEvent::Backup,
        "notify_fault" => HookEvent::Fault,
        "notify_stop" => HookEvent::Stop,
        "notify_deleted" => HookEvent::Deleted,
        "notify_master_rx_lower_pri" => HookEvent::MasterHearsLower,
        _ => return None,
    };
    let what = format!("`{}` of {}", node.keyword, excerpt(owner));
    let effect = "nobody is told when the state changes; whatever it sets up must be set up otherwise";
    report.remark(node.spot, Remark::NotRun { what, effect });
    Some(Hook { event, command: command(node, report)? })
}

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
