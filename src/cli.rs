//! The command line: what can be asked, and who answers.
//!
//! Parses arguments and hands each command to its room; decides nothing itself. One stop before: `main`; one stop after:
//! `check` and `manual` here, `daemon`, `control` and `demo` for the rest.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::config;
use crate::control::{render, watch};
use crate::daemon;
use crate::demo;

mod args;
mod check;
mod convert;
mod doctor;
mod drain;
mod explain;
mod history;
mod keygen;
mod manual;
mod prometheus;
mod release;
mod reload;
mod report;
mod sniff;
mod upgrade;

pub use args::{
    CheckArgs, ConvertArgs, DemoArgs, ExplainArgs, FormatName, LogFormat, ReleaseArgs, ReloadArgs, RunArgs, StatusArgs,
};

/// Parses the arguments of this process, does what they say and returns its exit code.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command),
        Err(error) => {
            // A closed standard output or error leaves nobody to tell.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Good }.into()
        }
    }
}

/// Exit codes, as sysexits.h numbers them; the small ones are answers of `vrrpd status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Good = 0,
    /// `status`: an instance is in FAULT or has a rival.
    Fault = 1,
    /// `status`: the daemon is not running.
    NotRunning = 3,
    /// The command line is wrong.
    Usage = 64,
    /// What is asked for is not there.
    Unavailable = 69,
    /// Our own mistake, or something the system should not refuse.
    Software = 70,
    /// The caller may not.
    Permission = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// VRRP floating-IP high availability for Linux.
#[derive(Parser, Debug)]
#[command(
    name = "vrrpd",
    version,
    about = "VRRP floating-IP high availability for Linux",
    long_about = "Moves virtual addresses between the nodes of a cluster: the nodes elect a master by VRRP \
                  (RFC 9568, RFC 3768), and the master holds the addresses.",
    after_long_help = EXAMPLES,
    max_term_width = 80,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked of `vrrpd`.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the daemon in the foreground.
    #[command(after_long_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Check configuration files; silent when all is well.
    #[command(
        long_about = "Check configuration files; silent when all is well.\n\n\
                      Each problem is one line on standard error, FILE:LINE:COL: error|warning: text. \
                      All problems are found in one go. Only what the files prove is told: that an interface \
                      or address is missing on this host is none of their mistakes. The programs of checks and \
                      hooks are looked at, as root for all users: a check whose program cannot run is an error, for \
                      it has failed; the line names the element of the path, its mode and owner, and the command \
                      that repairs it.",
        after_long_help = CHECK_EXAMPLES
    )]
    Check(CheckArgs),
    /// Write a keepalived.conf as TOML.
    #[command(
        long_about = "Write a keepalived.conf as TOML.\n\n\
                      The TOML goes to standard output and loads to equal parameters; comments are kept. What is \
                      dropped or understood differently goes to standard error, a line each, as with check.",
        after_long_help = CONVERT_EXAMPLES
    )]
    Convert(ConvertArgs),
    /// Say what files mean: who is master, what each failure does.
    #[command(
        long_about = "Say what files mean: who is master, what each failure does.\n\n\
                      From the files alone, nothing is asked of this host or of a daemon: who is master when all is \
                      well, where the address goes and how soon when a host, a link or a check fails, which checks can \
                      never move it, and in what the files of two nodes differ. Times are the longest that the protocol \
                      and the checks allow.",
        after_long_help = EXPLAIN_EXAMPLES
    )]
    Explain(ExplainArgs),
    /// Show who is master, why, and since when.
    #[command(after_long_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Show what happened, and why.
    #[command(
        long_about = "Show what happened, and why.\n\n\
                      The last transitions with their causes, and the starts, stops and reloads of the daemon, newest last; \
                      over restarts and reboots, a thousand entries at most. When the daemon does not run, its file is read.",
        after_long_help = history::EXAMPLES
    )]
    History(history::HistoryArgs),
    /// Show adverts as they pass, and what this node would say to each.
    #[command(
        long_about = "Show adverts as they pass, and what this node would say to each.\n\n\
                      One line for each VRRP packet of an interface, whoever it is for: who sent it to whom, what it \
                      says, and whether the configuration takes it or, with the words of the log, why not. Nothing is \
                      sent, and a daemon that runs is not disturbed. Passwords are not shown.",
        after_long_help = sniff::EXAMPLES
    )]
    Sniff(sniff::SniffArgs),
    /// Say what on this host would fight with the configuration.
    #[command(long_about = doctor::ABOUT, after_long_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArgs),
    /// Have the running daemon read its configuration again.
    #[command(
        long_about = "Have the running daemon read its configuration again.\n\n\
                      The same as the signal HUP, with an answer: what changes, a line for each instance. All of the file is \
                      checked first; any error leaves everything as it was. What is equal goes on undisturbed.",
        after_long_help = RELOAD_EXAMPLES
    )]
    Reload(ReloadArgs),
    /// Give addresses away without losing a packet, and stay away.
    #[command(long_about = drain::DRAIN_ABOUT, after_long_help = drain::DRAIN_EXAMPLES)]
    Drain(drain::DrainArgs),
    /// Take part again after a drain.
    #[command(long_about = drain::RESUME_ABOUT, after_long_help = drain::RESUME_EXAMPLES)]
    Resume(drain::ResumeArgs),
    /// Write one file for people who help from afar.
    #[command(long_about = report::ABOUT, after_long_help = report::EXAMPLES)]
    Report(report::ReportArgs),
    /// Print a fresh key for the HMAC trailer.
    #[command(
        long_about = "Print a fresh key for the HMAC trailer.\n\n\
                      32 random bytes of the kernel as one line on standard output, hex: and 64 digits, and nothing else \
                      there: a key file as the configuration takes it. The file must belong to root or to the user that \
                      runs the daemon, and be nobody else's to read.",
        after_long_help = KEYGEN_EXAMPLES
    )]
    Keygen,
    /// Take care of the addresses that a dead daemon left behind.
    #[command(
        long_about = "Take care of the addresses that a dead daemon left behind; for ExecStopPost= of the unit.\n\n\
                      Where there is time to start the daemon again before the peers take over, the addresses stay, \
                      with a lifetime in the kernel that ends before that: a daemon that is back by then goes on as \
                      master, and nobody has noticed. Otherwise they are removed at once, and the peers are told \
                      (priority 0). What was a master and until when is read from the state file. One line on standard \
                      output for each instance that had addresses left.",
        after_long_help = RELEASE_EXAMPLES
    )]
    Release(ReleaseArgs),
    /// Show a cluster at work in network namespaces of this machine.
    #[command(after_long_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Print the completions of a shell.
    #[command(after_long_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell to print them for.
        shell: Shell,
    },
    /// Write the manual pages.
    #[command(hide = true)]
    Man {
        /// The directory to write them to; made when missing.
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// Hands a command to its room.
fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Run(args) if args.preflight => daemon::preflight(&args.into()),
        Command::Run(args) => daemon::run(&args.into()),
        Command::Check(args) => check::run(&args).into(),
        Command::Convert(args) => convert::run(&args).into(),
        Command::Explain(args) => explain::run(&args).into(),
        Command::Status(args) if args.watch => {
            let runtime_dir = args.runtime_dir.unwrap_or_else(|| PathBuf::from(config::DEFAULT_RUNTIME_DIR));
            ExitCode::from(watch::run(&runtime_dir, args.instance.as_deref()))
        }
        Command::Status(args) => {
            let runtime_dir = args.runtime_dir.unwrap_or_else(|| PathBuf::from(config::DEFAULT_RUNTIME_DIR));
            if args.prometheus {
                return prometheus::run(&runtime_dir);
            }
            render::run_status(&runtime_dir, args.json, args.instance.as_deref())
        }
        Command::History(args) => history::run(&args),
        Command::Doctor(args) => doctor::run(args),
        Command::Reload(args) => {
            let runtime_dir = args.runtime_dir.unwrap_or_else(|| PathBuf::from(config::DEFAULT_RUNTIME_DIR));
            match args.exec {
                true => upgrade::run(&runtime_dir),
                false => reload::run(&runtime_dir, args.dry_run),
            }
        }
        Command::Drain(args) => drain::drain(args),
        Command::Resume(args) => drain::resume(args),
        Command::Sniff(args) => ExitCode::from(sniff::run(args)),
        Command::Report(args) => report::run(args).into(),
        Command::Keygen => keygen::run().into(),
        Command::Release(args) => {
            let runtime_dir = args.runtime_dir.unwrap_or_else(|| PathBuf::from(config::DEFAULT_RUNTIME_DIR));
            release::run(&runtime_dir).into()
        }
        Command::Demo(DemoArgs {}) => demo::run(),
        Command::Completions { shell } => manual::print_completions(shell, &mut Cli::command()).into(),
        Command::Man { directory } => manual::write_pages(&directory, Cli::command()).into(),
    }
}

const EXAMPLES: &str = "\
Examples:
  vrrpd check                        Check the configuration of this host
  vrrpd run --config ./pair.toml     Run the daemon with another one
  vrrpd status                       Who is master, and why

Exit codes:
  0 done, 64 wrong command line, 69 not available, 70 failed, 77 not permitted,
  78 wrong configuration

Files:
  /etc/vrrpd/vrrpd.toml              The configuration
  /run/vrrpd                         Socket, state and lock
";

const RUN_EXAMPLES: &str = "\
Examples:
  vrrpd run                          As the systemd unit does
  vrrpd run --config pair.toml --runtime-dir /tmp/lb1 --log text
                                     In a terminal, beside another daemon

Signals:
  HUP   read the configuration again
  TERM  hand the addresses over and end; INT does the same
  USR1  write the status to the log
";

const CHECK_EXAMPLES: &str = "\
Examples:
  vrrpd check                        The file that run would read
  vrrpd check conf/*.toml            Several files
  ./make-config | vrrpd check -      Standard input
  vrrpd check --json new.toml        For programs
  vrrpd check --strict pair.conf     What of a keepalived.conf is not as before
  vrrpd check --no-programs lb2.toml A file for another host

Exit codes:
  0 usable (warnings are no errors without --strict), 64 wrong command line,
  78 an error in a file, or a file that cannot be read
";

const CONVERT_EXAMPLES: &str = "\
Examples:
  vrrpd convert /etc/keepalived/keepalived.conf > /etc/vrrpd/vrrpd.toml

Exit codes:
  0 written, 64 wrong command line, 78 the file cannot be used
";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  vrrpd explain                      The configuration of this host
  vrrpd explain lb1.conf lb2.conf    Two nodes' files, and in what they differ

Exit codes:
  0 explained, 78 a file is wrong or two files contradict each other so that
  there would be two masters, or none for an address
";

const STATUS_EXAMPLES: &str = "\
Examples:
  vrrpd status                       All instances
  vrrpd status web                   One instance
  vrrpd status --watch               Again each second; q ends it
  vrrpd status --json                For programs

Exit codes:
  0 running and no instance in FAULT, 1 an instance in FAULT or with a rival,
  3 the daemon is not running
";

const RELOAD_EXAMPLES: &str = "\
Examples:
  vrrpd reload --dry-run             What would change, and who would move
  vrrpd reload                       Change it
  vrrpd reload --exec                After another version was installed: become
                                     it, with the same addresses

Exit codes:
  0 done, 3 the daemon is not running, 69 the daemon refuses, 70 the new program
  failed and the old one goes on, 77 not permitted, 78 wrong configuration:
  everything is as it was
";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  umask 077; vrrpd keygen > /etc/vrrpd/keys/web
                                     A key file, for root alone
  vrrpd keygen                       For a store of secrets

Exit codes:
  0 printed, 64 wrong command line, 70 no key was written
";

const RELEASE_EXAMPLES: &str = "\
Examples:
  ExecStopPost=/usr/sbin/vrrpd release
                                     In the unit: after every end, also a crash
  vrrpd release --runtime-dir /run/lb1
                                     For a daemon with a directory of its own

Exit codes:
  0 nothing is left to do, 64 wrong command line, 69 a daemon is running, or the
  kernel refused, 77 not permitted
";

const DEMO_EXAMPLES: &str = "\
Examples:
  vrrpd demo                         Needs root, changes nothing outside its
                                     own network namespaces
";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  vrrpd completions bash > /usr/share/bash-completion/completions/vrrpd
  vrrpd completions zsh > /usr/local/share/zsh/site-functions/_vrrpd
  vrrpd completions fish > /etc/fish/completions/vrrpd.fish
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
