//! Programs and pipes of the daemon as a whole, and who runs programs: what `global_defs` says about them.
//!
//! One stop before: `global`; one stop after: [`NodeHooks`].

use std::path::PathBuf;
use std::time::Duration;

use super::remark::Remark;
use super::report::{At, Report, Spot};
use super::script;
use super::tree::Node;
use super::value::{no_more_words, number, switch, unfit};
use crate::engine::params::{Command, DaemonHook, Fallback, FifoParams, NodeHooks, Scripts, UserParams};

/// Programs and pipes as far as they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeScripts {
    user: Option<UserParams>,
    refuses_unsafe: bool,
    startup: Option<Command>,
    startup_timeout: Option<Duration>,
    shutdown: Option<Command>,
    shutdown_timeout: Option<Duration>,
    /// `notify_fifo` and `vrrp_notify_fifo`, and who reads them.
    fifos: [Option<FifoParams>; 2],
    readers: [Option<At<Command>>; 2],
    tells_priority: bool,
    tells_states_on_reload: bool,
    /// What instances and groups say about priorities, and where.
    deviations: Vec<(Spot, bool)>,
}

impl NodeScripts {
    /// Takes in a keyword of `global_defs`; says whether it is one of these.
    pub fn read(&mut self, node: &Node, report: &mut Report) -> bool {
        let keyword = node.keyword.as_str();
        let place = usize::from(keyword.starts_with("vrrp_"));
        let again = |report: &mut Report| report.remark(node.spot, Remark::Again { keyword: keyword.to_owned() });
        match keyword {
            "script_user" => self.user = script::user(&node.words, report),
            "enable_script_security" => {
                // `off` behind it changes nothing there.
                no_more_words(node, 0, report);
                self.refuses_unsafe = true;
            }
            "vrrp_notify_priority_changes" => self.tells_priority = switch(node, report),
            "fifo_write_vrrp_states_on_reload" => {
                no_more_words(node, 0, report);
                self.tells_states_on_reload = true;
            }
            "notify_fifo" | "vrrp_notify_fifo" => match fifo(node, report) {
                Some(_) if self.fifos[place].is_some() => again(report),
                fifo => self.fifos[place] = fifo.or(self.fifos[place].take()),
            },
            "notify_fifo_script" | "vrrp_notify_fifo_script" => {
                let command = script::command(node, report).map(|value| At { value, spot: node.spot });
                match command {
                    Some(_) if self.readers[place].is_some() => again(report),
                    command => self.readers[place] = command.or(self.readers[place].take()),
                }
            }
            "startup_script" => first(&mut self.startup, node, report),
            "shutdown_script" => first(&mut self.shutdown, node, report),
            "startup_script_timeout" => self.startup_timeout = timeout(node, report),
            "shutdown_script_timeout" => self.shutdown_timeout = timeout(node, report),
            _ => return false,
        }
        true
    }

    /// Takes in `notify_priority_changes` of an instance or a group.
    pub fn priority_changes(&mut self, node: &Node, report: &mut Report) {
        self.deviations.push((node.spot, switch(node, report)));
    }

    /// Returns what they mean together.
    pub fn finish(&mut self, report: &mut Report) -> NodeHooks {
        let mut fifos: Vec<FifoParams> = Vec::new();
        for (fifo, reader) in self.fifos.iter_mut().zip(&mut self.readers) {
            match (fifo.take(), reader.take()) {
                (Some(mut fifo), reader) => {
                    fifo.reader = reader.map(|reader| reader.value);
                    if !fifos.iter().any(|other| other.path == fifo.path) {
                        fifos.push(fifo);
                    }
                }
                (None, Some(reader)) => {
                    let text = "nobody writes to a pipe for this program, so it is not started, as by Keepalived; \
                                write notify_fifo";
                    report.remark(reader.spot, Remark::Contradiction { text });
                }
                (None, None) => {}
            }
        }
        let tells_priority = self.tells_priority || self.deviations.iter().any(|(_, wants)| *wants);
        for (spot, wants) in &self.deviations {
            if *wants != self.tells_priority && tells_priority {
                let text = "pipes get lines about the priority of all instances or of none; here they get them";
                report.remark(*spot, Remark::Note { text });
            }
        }
        let hook = |command: Option<Command>, timeout: Option<Duration>| {
            command.map(|command| DaemonHook { command, timeout: timeout.unwrap_or(TIMEOUT) })
        };
        NodeHooks {
            scripts: Scripts {
                user: self.user.take(),
                fallback: Fallback::Keepalived,
                refuses_unsafe: self.refuses_unsafe,
            },
            startup: hook(self.startup.take(), self.startup_timeout),
            shutdown: hook(self.shutdown.take(), self.shutdown_timeout),
            fifos,
            tells_priority,
            tells_states_on_reload: self.tells_states_on_reload,
        }
    }
}

/// Leaves the defaults to say who runs programs, when instances and groups run none: there is nothing to keep as it was.
pub(super) fn forget_runner(hooks: &mut NodeHooks) {
    let has_reader = hooks.fifos.iter().any(|fifo| fifo.reader.is_some());
    if hooks.startup.is_none() && hooks.shutdown.is_none() && !has_reader {
        hooks.scripts = Scripts { user: None, fallback: Fallback::Unprivileged, refuses_unsafe: true };
    }
}

/// Reads `PATH [USER [GROUP]]`.
fn fifo(node: &Node, report: &mut Report) -> Option<FifoParams> {
    let path = node.word(0)?;
    if !path.value.starts_with('/') || path.value.ends_with('/') {
        return unfit(&node.keyword, path, "an absolute path".to_owned(), "there is no pipe", report);
    }
    let user = script::user(node.words.get(1..).unwrap_or_default(), report);
    Some(FifoParams { path: PathBuf::from(&path.value), user, reader: None })
}

/// Reads a program; the first one that is written holds.
fn first(command: &mut Option<Command>, node: &Node, report: &mut Report) {
    match script::command(node, report) {
        Some(_) if command.is_some() => {
            report.remark(node.spot, Remark::Again { keyword: node.keyword.clone() });
        }
        found => *command = found.or(command.take()),
    }
}

fn timeout(node: &Node, report: &mut Report) -> Option<Duration> {
    no_more_words(node, 1, report);
    let seconds = number(node, 1..=1000, "10 seconds are taken", report)?;
    u64::try_from(seconds.value).ok().map(Duration::from_secs)
}

/// How long a program at the start or the end may take.
const TIMEOUT: Duration = Duration::from_secs(10);
