//! `vrrpd report`: writes one file for people who help from afar.
//!
//! One stop before: the command line; one stop after: `daemon::report`, which makes it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};

use super::{Exit, FormatName};
use crate::config;
use crate::daemon::report::{Report, ReportOptions, WITHOUT, refused, report};

/// Arguments of `vrrpd report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// The file to write, - for standard output [default: vrrpd-report-TIME.tar
    /// here]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// How long to listen to packets; 0: not at all
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=600))]
    pub seconds: u32,
    /// The configuration [default: that of the running daemon, else the file
    /// that run would read]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Language of the file [default: keepalived for a name ending in .conf,
    /// else toml]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<FormatName>,
    /// Directory of the daemon's socket and state [default: /run/vrrpd]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub runtime_dir: Option<PathBuf>,
    /// Directory of what outlives a reboot [default: as run has it]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<PathBuf>,
}

/// What `vrrpd report --help` says.
pub const ABOUT: &str = "Write one file for people who help from afar.\n\n\
    A tar with versions, the configuration without its secrets, status, history, state, addresses, routes and settings of the \
    host, the journal's last thousand lines and some seconds of VRRP packets. Changes nothing, and works without a daemon. What \
    cannot be read is said in the archive.";

/// Behind the help of `vrrpd report`.
pub const EXAMPLES: &str = "\
Examples:
  vrrpd report                       Ten seconds later there is a file to send
  vrrpd report --seconds 0 -o a.tar  Without packets, at once
  ssh lb1 vrrpd report -o - > lb1.tar
                                     From another host

Exit codes:
  0 written, whatever could not be read, 64 wrong command line, 70 the file
  cannot be written, 77 the file may not be written
";

/// Makes the report, writes it, and says what is in it.
pub fn run(args: ReportArgs) -> Exit {
    let ReportArgs { output, seconds, config, format, runtime_dir, state_dir } = args;
    let options = ReportOptions {
        config,
        format: format.map(Into::into),
        runtime_dir: runtime_dir.unwrap_or_else(|| PathBuf::from(config::DEFAULT_RUNTIME_DIR)),
        state_dir,
        length: Duration::from_secs(u64::from(seconds)),
    };
    if seconds > 0 {
        let _ = writeln!(io::stderr(), "vrrpd: listening to packets for {seconds} s");
    }
    let report = report(&options);
    if output.as_deref() == Some(Path::new("-")) {
        let _ = io::stderr().write_all(summary(&report, "standard output").as_bytes());
        return match io::stdout().write_all(&report.bytes).and_then(|()| io::stdout().flush()) {
            Ok(()) => Exit::Good,
            Err(error) => failed(&format!("standard output: {error}"), error.kind()),
        };
    }
    let time = report.at.get(..19).unwrap_or_default().replace(':', "");
    let path = output.unwrap_or_else(|| PathBuf::from(format!("vrrpd-report-{time}Z.tar")));
    // Never through a link that somebody else put there, and for nobody else to read.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match file.and_then(|mut file| file.write_all(&report.bytes)) {
        Ok(()) => {
            // A closed standard output leaves nobody to tell.
            let _ = io::stdout().write_all(summary(&report, &path.display().to_string()).as_bytes());
            Exit::Good
        }
        Err(error) => failed(&refused(&path, &error), error.kind()),
    }
}

/// Returns what is said of a report that is written.
fn summary(report: &Report, place: &str) -> String {
    let members = report.members.iter().map(|(name, len)| format!("  {name:<36} {len:>9} bytes\n"));
    let mut text: String = std::iter::once(format!("{place}:\n")).chain(members).collect();
    text += &format!("\n{WITHOUT}\n");
    if !report.errors.is_empty() {
        text += "\nNot in it:\n";
        text.extend(report.errors.iter().map(|error| format!("  {error}\n")));
    }
    text
}

fn failed(words: &str, kind: io::ErrorKind) -> Exit {
    let _ = writeln!(io::stderr(), "vrrpd: {words}");
    if kind == io::ErrorKind::PermissionDenied { Exit::Permission } else { Exit::Software }
}
