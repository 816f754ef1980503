//! `vrrpd drain` and `vrrpd resume`: take a node, or some of its instances, out of service and put it back.
//!
//! One stop before: the command line; one stop after: `control::client`, which asks the daemon.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::Exit;
use crate::config::{DEFAULT_RUNTIME_DIR, parse_duration};
use crate::control::client::{self, ClientError};
use crate::control::drain::{DrainRequest, ResumeRequest, missing};

/// Arguments of `vrrpd drain`.
#[derive(Args, Debug)]
pub struct DrainArgs {
    /// The instances to drain [default: the whole node]
    #[arg(value_name = "INSTANCE")]
    pub instances: Vec<String>,
    /// Return when another master is heard and no address is left here.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, with --wait
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, requires = "wait")]
    pub timeout: Duration,
    /// Resume by itself after this, such as 30m [default: never]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub length: Option<Duration>,
    /// What to tell other people, in status and log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Also when nobody would take over.
    #[arg(long)]
    pub force: bool,
    /// Directory of the daemon's socket [default: /run/vrrpd]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
}

/// Arguments of `vrrpd resume`.
#[derive(Args, Debug)]
pub struct ResumeArgs {
    /// The instances to resume [default: all that are drained]
    #[arg(value_name = "INSTANCE")]
    pub instances: Vec<String>,
    /// Directory of the daemon's socket [default: /run/vrrpd]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
}

/// What `vrrpd drain --help` says.
pub const DRAIN_ABOUT: &str = "Give addresses away without losing a packet, and stay away.\n\n\
    A master hands over as at a stop: it answers for its addresses until the next master does. From then on the \
    instance listens and is never master, whatever happens to the others, until vrrpd resume; a restart or reboot \
    does not end it. A group is drained as one. Refused when nobody would take over: each other node is asked by ARP \
    or neighbour solicitation whether it is there.";

/// What `vrrpd resume --help` says.
pub const RESUME_ABOUT: &str = "Take part again after a drain.\n\n\
    The instance goes on as backup, listens for a whole master-down interval, and takes over as priority and preempt \
    say.";

/// Behind the help of `vrrpd drain`.
pub const DRAIN_EXAMPLES: &str = "\
Examples:
  vrrpd drain --wait --reason \"kernel update\"
                                     The whole node, before a reboot
  vrrpd drain web --for 30m          One instance and its group, for a while

Exit codes:
  0 done, 3 the daemon is not running, 64 wrong command line or no such
  instance, 69 refused, or --wait was in vain, 77 not permitted
";

/// Behind the help of `vrrpd resume`.
pub const RESUME_EXAMPLES: &str = "\
Examples:
  vrrpd resume                       Whatever is drained
  vrrpd resume web                   One instance and its group

Exit codes:
  0 done, 3 the daemon is not running, 64 no such instance, 69 refused, 77 not
  permitted
";

/// Drains, and waits where that is asked for.
pub fn drain(args: DrainArgs) -> ExitCode {
    let DrainArgs { instances, wait, timeout, length, reason, force, runtime_dir } = args;
    let runtime_dir = runtime_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_RUNTIME_DIR));
    let for_ms = length.map(|length| u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
    let asked = instances.clone();
    let outcome = match client::drain(&runtime_dir, DrainRequest { instances, for_ms, reason, force }) {
        Ok(outcome) => outcome,
        Err(error) => return fail_for(&error, &asked, &runtime_dir),
    };
    print(&outcome.text());
    if !wait {
        return Exit::Good.into();
    }
    let names: Vec<String> = outcome.instances.into_iter().map(|moved| moved.name).collect();
    match await_departure(&runtime_dir, &names, timeout) {
        Ok(missing) if missing.is_empty() => {
            print("another master is heard, and no address is left here\n");
            Exit::Good.into()
        }
        Ok(missing) => {
            let _ = writeln!(io::stderr(), "vrrpd: waited {timeout:?} in vain: {}", missing.join("; "));
            Exit::Unavailable.into()
        }
        Err(error) => fail(&error),
    }
}

/// Resumes.
pub fn resume(args: ResumeArgs) -> ExitCode {
    let ResumeArgs { instances, runtime_dir } = args;
    let runtime_dir = runtime_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_RUNTIME_DIR));
    match client::resume(&runtime_dir, ResumeRequest { instances: instances.clone() }) {
        Ok(outcome) => {
            print(&outcome.text());
            Exit::Good.into()
        }
        Err(error) => fail_for(&error, &instances, &runtime_dir),
    }
}

/// Waits until these instances have left; returns what is missing when that took too long.
#[expect(clippy::disallowed_methods, reason = "waits for another process, for a bounded time")]
fn await_departure(runtime_dir: &Path, names: &[String], patience: Duration) -> Result<Vec<String>, ClientError> {
    let mut waited = Duration::ZERO;
    loop {
        let status = client::status(runtime_dir)?.status;
        let instances = status.instances.iter().filter(|instance| names.contains(&instance.name));
        let missing: Vec<String> = instances.filter_map(missing).collect();
        if missing.is_empty() || waited >= patience {
            return Ok(missing);
        }
        std::thread::sleep(PAUSE);
        waited += PAUSE;
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn print(text: &str) {
    // A closed standard output leaves nobody to tell.
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Tells what is wrong; a refusal where one of the names is that of no instance is a wrong command line.
fn fail_for(error: &ClientError, names: &[String], runtime_dir: &Path) -> ExitCode {
    let code = fail(error);
    if !matches!(error, ClientError::Refused(_)) {
        return code;
    }
    let Ok(reply) = client::status(runtime_dir) else { return code };
    let is_known = |name: &String| reply.status.instances.iter().any(|instance| instance.name == *name);
    if names.iter().all(is_known) { code } else { Exit::Usage.into() }
}

fn fail(error: &ClientError) -> ExitCode {
    // A clause a line: for several instances they are many.
    let text = error.to_string().replace("; ", "\n  ");
    let _ = writeln!(io::stderr(), "vrrpd: {text}");
    ExitCode::from(error.exit_code())
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
