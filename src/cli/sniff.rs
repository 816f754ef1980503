//! `vrrpd sniff`: shows adverts as they pass, and what this node would say to each.
//!
//! One stop before: the command line; one stop after: `daemon::sniff`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::config;
use crate::control::client;
use crate::daemon::{SniffOptions, sniff};

/// Arguments of `vrrpd sniff`.
#[derive(Args, Debug)]
pub struct SniffArgs {
    /// Only what passes this interface [default: all]
    #[arg(short, long, value_name = "INTERFACE")]
    pub interface: Option<String>,
    /// The configuration that judges [default: that of the running daemon, else
    /// the file that run would read]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// End after so many seconds [default: at Ctrl-C]
    #[arg(long, value_name = "N")]
    pub seconds: Option<u32>,
    /// End after so many packets [default: at Ctrl-C]
    #[arg(short = 'n', value_name = "N")]
    pub count: Option<u64>,
    /// Print all that is in a packet, on indented lines [default: one line]
    #[arg(short, long)]
    pub verbose: bool,
    /// Print a JSON object for each packet [default: a line]
    #[arg(long)]
    pub json: bool,
}

/// Shows what passes; returns the exit code.
pub fn run(args: SniffArgs) -> u8 {
    let config = args.config.or_else(found);
    if config.is_none() {
        eprintln!("vrrpd: no configuration here: packets are shown and not judged; --config names one");
    }
    let length = args.seconds.map(|seconds| Duration::from_secs(u64::from(seconds)));
    sniff(&SniffOptions {
        interface: args.interface,
        config,
        length,
        count: args.count,
        json: args.json,
        long: args.verbose,
    })
}

/// Returns the file of the running daemon, else the usual one, if it is there.
fn found() -> Option<PathBuf> {
    let running = client::status(Path::new(config::DEFAULT_RUNTIME_DIR)).ok();
    running.map(|reply| reply.status.config.path).or_else(|| Some(config::default_path())).filter(|path| path.exists())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  vrrpd sniff                        All interfaces, until Ctrl-C
  vrrpd sniff -i eth0 -n 10          Ten packets of one
  vrrpd sniff --config new.toml      What another configuration would say
  vrrpd sniff --json --seconds 5     For programs

Packets on their way out are shown and not judged. What was accepted before
this began to look is not known to it: an advert recorded earlier and sent
again may be shown as accepted.

Exit codes:
  0 done, 64 wrong command line, 70 no such interface, 77 not permitted,
  78 wrong configuration
";
