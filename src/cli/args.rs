//! The arguments of the commands, as the command line knows them.
//!
//! Only what can be written behind each command; what is done with it is the command's room. One stop before: `Cli` in
//! the parent. One stop after: `check`, `daemon::Options` and the other rooms.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use crate::config;
use crate::daemon::{self, logging};

/// Arguments of `vrrpd run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Configuration file [default: /etc/vrrpd/vrrpd.toml, else
    /// /etc/keepalived/keepalived.conf if only that exists]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Language of the file [default: keepalived for a name ending in .conf,
    /// else toml]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatName>,
    /// Directory of socket, state and lock [default: `runtime_dir` of the
    /// configuration, else /run/vrrpd]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
    /// Directory of what outlives a reboot [default: $STATE_DIRECTORY, else
    /// /var/lib/vrrpd, or another --runtime-dir itself]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
    /// Where and how to log [default: journald under systemd, else text]
    #[arg(long, value_name = "LOG")]
    pub log: Option<LogFormat>,
    /// Start even where a Keepalived runs the same virtual routers.
    #[arg(long)]
    pub beside_keepalived: bool,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
    /// Only say whether the daemon would start, and which it is.
    #[arg(long, hide = true)]
    pub preflight: bool,
}

impl From<RunArgs> for daemon::Options {
    fn from(args: RunArgs) -> Self {
        Self {
            config: args.config,
            format: args.format.map(Into::into),
            runtime_dir: args.runtime_dir,
            state_dir: args.state_dir,
            log: args.log.map(Into::into),
            exits_with_parent: args.exit_with_parent,
            beside_keepalived: args.beside_keepalived,
        }
    }
}

/// Arguments of `vrrpd check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Files to check, - for standard input [default: the file that run would
    /// read]
    #[arg(value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub paths: Vec<PathBuf>,
    /// Language of the files [default: keepalived for a name ending in .conf,
    /// else toml]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatName>,
    /// Print the problems as one JSON object on standard output [default: as
    /// lines on standard error]
    #[arg(long)]
    pub json: bool,
    /// Take warnings for errors; notes are none.
    #[arg(long)]
    pub strict: bool,
    /// Do not look at the programs, key files and credentials that the files
    /// name: they are for another host
    #[arg(long)]
    pub no_programs: bool,
}

/// Arguments of `vrrpd explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Files to explain together, such as those of two nodes [default: the file
    /// that run would read]
    #[arg(value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub paths: Vec<PathBuf>,
    /// Language of the files [default: keepalived for a name ending in .conf,
    /// else toml]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatName>,
    /// Do not look at the key files and credentials that the files name: they
    /// are for another host
    #[arg(long)]
    pub no_programs: bool,
}

/// Arguments of `vrrpd convert`.
#[derive(Args, Debug)]
pub struct ConvertArgs {
    /// The keepalived.conf, - for standard input
    #[arg(value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub path: PathBuf,
}

/// Arguments of `vrrpd status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The instance to show [default: all]
    #[arg(value_name = "INSTANCE")]
    pub instance: Option<String>,
    /// Print JSON [default: a table]
    #[arg(long)]
    pub json: bool,
    /// Print metrics for the textfile collector of Prometheus' node exporter
    #[arg(long, conflicts_with_all = ["json", "instance"])]
    pub prometheus: bool,
    /// Show it again each second, in place, until q or Ctrl-C.
    #[arg(long, conflicts_with_all = ["json", "prometheus"])]
    pub watch: bool,
    /// Directory of the daemon's socket [default: /run/vrrpd]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
}

/// Arguments of `vrrpd reload`.
#[derive(Args, Debug)]
pub struct ReloadArgs {
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Become the program on the disk, too.
    #[arg(long, conflicts_with = "dry_run")]
    pub exec: bool,
    /// Directory of the daemon's socket [default: /run/vrrpd]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
}

/// Arguments of `vrrpd release`.
#[derive(Args, Debug)]
pub struct ReleaseArgs {
    /// Directory of the daemon's state and lock [default: /run/vrrpd]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
}

/// Arguments of `vrrpd demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {}

/// The language of a configuration file, as it is named on the command line.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormatName {
    /// vrrpd's own TOML
    Toml,
    /// keepalived.conf
    Keepalived,
}

impl From<FormatName> for config::Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Toml => Self::Toml,
            FormatName::Keepalived => Self::Keepalived,
        }
    }
}

impl From<LogFormat> for logging::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
            LogFormat::Journald => Self::Journald,
        }
    }
}

/// Where log lines go and how they look.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines of text on standard error
    Text,
    /// Lines of JSON on standard error
    Json,
    /// Fields to the system's journal
    Journald,
}
