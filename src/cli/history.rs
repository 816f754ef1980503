//! `vrrpd history`: what happened, from the running daemon or from its file.
//!
//! One stop before: the command line; one stop after: `control::client`, or `daemon::history::file` when nobody answers.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::Exit;
use crate::config;
use crate::control::client::{self, ClientError};
use crate::control::history::{Cursor, Entry, HistoryReply, MAX_ENTRIES, finding_text, text};
use crate::daemon::history::file;
use crate::daemon::state_dir::{self, StateDir};

/// Arguments of `vrrpd history`.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// The instance to show [default: all, and the daemon itself]
    #[arg(value_name = "INSTANCE")]
    pub instance: Option<String>,
    /// Show the last N entries
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 50)]
    pub lines: usize,
    /// Go on with entries as they come, also over a restart of the daemon; ends
    /// by Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    /// Print JSON: one object, with --follow one entry a line [default: text]
    #[arg(long)]
    pub json: bool,
    /// Directory of the daemon's socket [default: /run/vrrpd]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
    /// Directory of what outlives a reboot, read when the daemon does not run
    /// [default: as run has it]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
}

/// Prints the history, and with `--follow` goes on.
pub fn run(args: &HistoryArgs) -> ExitCode {
    let runtime_dir = args.runtime_dir.clone().unwrap_or_else(|| PathBuf::from(config::DEFAULT_RUNTIME_DIR));
    if args.follow {
        return follow(args, &runtime_dir);
    }
    match reply(args, &runtime_dir) {
        Ok(reply) => {
            let page = if args.json { json(&reply) } else { page(&reply.entries) };
            // A closed standard output leaves nobody to tell.
            let _ = io::stdout().write_all(page.as_bytes());
            Exit::Good.into()
        }
        Err(code) => code,
    }
}

/// Asks the daemon, or reads its file where none runs; an error is told.
fn reply(args: &HistoryArgs, runtime_dir: &Path) -> Result<HistoryReply, ExitCode> {
    let lines = args.lines.min(MAX_ENTRIES);
    match client::history(runtime_dir, lines, args.instance.as_deref()) {
        Ok(reply) => Ok(reply),
        Err(ClientError::NotRunning { .. }) => {
            let state_dir = StateDir::at(state_dir::resolve(args.state_dir.as_deref(), runtime_dir));
            let path = state_dir.file(file::NAME);
            let content = file::read(&state_dir).map_err(|error| {
                tell(&format!("the daemon is not running, and {} cannot be read: {error}", path.display()));
                ExitCode::from(ClientError::NotRunning { path: path.clone() }.exit_code())
            })?;
            tell(&format!("the daemon is not running; this is from {}", path.display()));
            let until = Cursor { n: content.entries.last().map_or(0, |entry| entry.n), findings: 0 };
            Ok(HistoryReply::new(content.entries.iter(), lines, args.instance.as_deref(), until))
        }
        Err(error) => {
            tell(&error.to_string());
            Err(ExitCode::from(error.exit_code()))
        }
    }
}

/// Prints what was and what comes, until somebody ends it. A daemon that goes away is waited for.
fn follow(args: &HistoryArgs, runtime_dir: &Path) -> ExitCode {
    let mut seen: Option<u64> = None;
    let mut is_away = false;
    loop {
        let mut is_first = true;
        // After a pause everything is asked for, so that nothing is missed.
        let lines = if seen.is_some() { MAX_ENTRIES } else { args.lines.min(MAX_ENTRIES) };
        let followed = client::follow_history(runtime_dir, lines, args.instance.as_deref(), |reply| {
            is_away = false;
            let was_first = std::mem::take(&mut is_first);
            let known = seen.unwrap_or(0);
            let out: String = reply.entries.iter().map(|entry| passing(args.json, entry, known, was_first)).collect();
            seen = Some(reply.last.max(known));
            match io::stdout().write_all(out.as_bytes()).and_then(|()| io::stdout().flush()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        let error = match followed {
            Ok(()) => return Exit::Good.into(),
            Err(error) => error,
        };
        match &error {
            ClientError::NotRunning { .. } | ClientError::Broken { .. } => {
                if seen.is_none()
                    && let Ok(reply) = reply(args, runtime_dir)
                {
                    let out: String = reply.entries.iter().map(|entry| passing(args.json, entry, 0, true)).collect();
                    let _ = io::stdout().write_all(out.as_bytes());
                    seen = Some(reply.last);
                }
                if !std::mem::replace(&mut is_away, true) {
                    tell("the daemon is not running; waiting for it");
                }
                pause();
            }
            ClientError::Denied { .. }
            | ClientError::Schema(_)
            | ClientError::Malformed(_)
            | ClientError::Refused(_)
            | ClientError::Configuration(_) => {
                tell(&error.to_string());
                return ExitCode::from(error.exit_code());
            }
        }
    }
}

/// Returns what is to be printed of an entry: all of it, only what was found out later, or nothing.
fn passing(json: bool, entry: &Entry, known: u64, is_first: bool) -> String {
    match (entry.n > known, is_first) {
        (false, true) => String::new(),
        (false, false) if !json => finding_text(entry),
        (_, _) if json => serde_json::to_string(entry).unwrap_or_default() + "\n",
        (_, _) => text(entry),
    }
}

fn page(entries: &[Entry]) -> String {
    if entries.is_empty() { "nothing has happened\n".to_owned() } else { entries.iter().map(text).collect() }
}

fn json(reply: &HistoryReply) -> String {
    // All keys are strings: this cannot fail.
    serde_json::to_string_pretty(reply).unwrap_or_default() + "\n"
}

fn tell(words: &str) {
    let _ = writeln!(io::stderr(), "vrrpd: {words}");
}

#[expect(clippy::disallowed_methods, reason = "waits for another process; somebody ends it by Ctrl-C")]
fn pause() {
    std::thread::sleep(Duration::from_secs(1));
}

/// Examples in the help.
pub const EXAMPLES: &str = "\
Examples:
  vrrpd history                      What happened last
  vrrpd history -n 1000 web          All that is known of one instance
  vrrpd history --follow             And what happens next
  vrrpd history --json               For programs

Exit codes:
  0 printed, also from the file when the daemon is not running, 3 it is not
  running and the file cannot be read, 69 it does not answer, 77 not permitted
";
