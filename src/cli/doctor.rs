//! `vrrpd doctor`: says what on this host would fight with the configuration, and how to mend it.
//!
//! One stop before: the command line; one stop after: `doctor`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::{Exit, FormatName};
use crate::doctor::{self, Options};

/// Arguments of `vrrpd doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// The configuration [default: the file that run would read]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Language of the file [default: keepalived for a name ending in .conf,
    /// else toml]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatName>,
    /// Directory of the daemon's socket [default: `runtime_dir` of the
    /// configuration]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
    /// Listen to the links for so many seconds; 0: not at all
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=60))]
    pub seconds: u32,
    /// Print JSON [default: text]
    #[arg(long)]
    pub json: bool,
}

/// Looks, prints what was found and returns the exit code.
pub fn run(args: DoctorArgs) -> ExitCode {
    let json = args.json;
    let options = Options {
        config: args.config,
        format: args.format.map(Into::into),
        runtime_dir: args.runtime_dir,
        seconds: args.seconds,
    };
    let diagnosis = match doctor::run(&options) {
        Ok(diagnosis) => diagnosis,
        Err(problems) => {
            eprintln!("{problems}");
            return Exit::Config.into();
        }
    };
    let text = match json {
        true => serde_json::to_string(&diagnosis).map(|text| text + "\n").unwrap_or_default(),
        false => diagnosis.to_string(),
    };
    // A reader that went away has seen enough.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::from(diagnosis.exit_code())
}

pub(super) const ABOUT: &str = "Say what on this host would fight with the configuration, and how to mend it.\n\n\
    Reads the configuration and the host and changes nothing: interfaces, who else configures them, settings of the \
    kernel, the packet filter, the clock where adverts are signed, programs that cannot run, a Keepalived beside, and \
    for two seconds the link: who sends adverts with the same numbers, and who has the addresses. Each finding says \
    what is so, why it matters for this configuration, and the lines to add.";

pub(super) const EXAMPLES: &str = "\
Examples:
  vrrpd doctor                       Before the first start, and after a failure
  vrrpd doctor --config new.toml     Of another configuration
  vrrpd doctor --json --seconds 0    For programs, without listening

Exit codes:
  0 no problem, 1 problems, 64 wrong command line, 69 no problem, but something
  could not be looked at (not root?), 78 wrong configuration
";
