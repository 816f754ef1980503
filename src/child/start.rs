//! Starts a program: who, where, with which environment; and makes a thread fit for it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::sys::signal::SigSet;
use rustix::process::{Pid, getpriority_process, setpriority_process};
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;

use super::Call;
use super::audit;
use super::group;
use super::identity::{Identity, identity};
use super::path::locate;
use crate::engine::params::{Command, Scripts};

/// What is started, how and by whom; a [`Call`] that can be given to another thread.
pub(super) struct Plan {
    pub command: Command,
    scripts: Scripts,
    appended: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Plan {
    pub fn of(call: &Call<'_>) -> Self {
        Self {
            command: call.command.clone(),
            scripts: call.scripts.clone(),
            appended: call.appended.to_vec(),
            environment: call.environment.to_vec(),
        }
    }

    /// Starts the program; returns it and the reading end of its output. Inside a runtime only.
    ///
    /// **Errors:** what stands in the way, for an operator to read.
    pub fn start(&self) -> Result<(Child, Receiver), String> {
        if group::is_full(&self.command.words) {
            return Err(format!("{} earlier runs of it do not die", group::ENDING_MAX));
        }
        let (program, arguments) = self.command.words.split_first().ok_or("no program is named")?;
        let who = identity(&self.command, &self.scripts).map_err(|error| error.to_string())?;
        let search = search_path();
        let path =
            locate(program, &search).ok_or_else(|| format!("{program:?} is in no directory of PATH ({search})"))?;
        if who.uid.is_root() && self.scripts.refuses_unsafe {
            audit::refuse_unsafe(&path)?;
        }
        let mut command = std::process::Command::new(&path);
        command.arg0(program).args(arguments).args(&self.appended).process_group(0).stdin(Stdio::null());
        command.env_clear().envs(environment()).env("PATH", &search);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let own = Identity::own();
        if who != own {
            // Drops the supplementary groups too if we are root.
            command.uid(who.uid.as_raw()).gid(who.gid.as_raw());
        }
        let refused = |error: io::Error| format!("cannot make a pipe: {error}");
        let (reader, writer) = io::pipe().map_err(refused)?;
        if who != own {
            // Or it could not open /dev/stderr. Where that fails, only this does not work.
            let _ = nix::unistd::fchown(&writer, Some(who.uid), Some(who.gid));
        }
        let pipe = Receiver::from_owned_fd(reader.into()).map_err(refused)?;
        command.stdout(writer.try_clone().map_err(refused)?).stderr(writer);
        let mut command = tokio::process::Command::from(command);
        let child = command.spawn().map_err(|error| audit::explain(&self.command, &self.scripts, &error))?;
        calm(&child);
        Ok((child, pipe))
    }
}

/// Makes the calling thread fit to start programs, which inherit what it has; to be called first by each that does.
///
/// It loses its ambient capabilities, so that a program has only those its user has: what the thread itself may do stays the same.
/// Its signal mask becomes empty, because `std` passes it on. Signals that we catch are reset by the kernel.
///
/// Returns what programs inherit all the same, each as a sentence for the log. Safe code cannot leave real-time scheduling: the
/// unit's `CPUSchedulingResetOnFork=yes` does.
pub fn settle_thread() -> Vec<String> {
    let mut notes = Vec::new();
    if let Err(error) = rustix::thread::clear_ambient_capability_set() {
        notes.push(format!("programs inherit the daemon's ambient capabilities: cannot clear them: {error}"));
    }
    if let Err(errno) = SigSet::empty().thread_set_mask() {
        notes.push(format!("programs inherit blocked signals: {}", errno.desc()));
    }
    // Field 41 of proc_pid_stat(5); the second one is in parentheses and may hold anything.
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let policy = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(38));
    if let Some(policy @ ("1" | "2" | "6")) = policy {
        notes.push(format!(
            "runs with real-time scheduling (policy {policy}), which programs inherit without CPUSchedulingResetOnFork=yes"
        ));
    }
    notes
}

/// Takes away from a child the niceness of a daemon that was made to go first.
fn calm(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let (Some(pid), Ok(..0)) = (pid, getpriority_process(None)) {
        // It may have ended, or may not be ours to change; then it goes first for its short life.
        let _ = setpriority_process(Some(pid), 0);
    }
}

/// Returns the variables of the daemon that are a program's as well.
fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !name.to_str().is_some_and(is_ours))
}

/// Says whether a variable is meant for the daemon alone, or changes what a program does behind its back.
fn is_ours(name: &str) -> bool {
    matches!(name, "IFS" | "LD_PRELOAD" | "LD_LIBRARY_PATH" | "NOTIFY_SOCKET")
        || name.starts_with("LISTEN_")
        || name.starts_with("WATCHDOG_")
        || name.starts_with("VRRPD_")
}

/// Returns where programs without a slash are looked for.
pub(super) fn search_path() -> String {
    std::env::var("PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned())
}

/// PATH when the daemon has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
