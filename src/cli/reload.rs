//! `vrrpd reload`: has the running daemon read its configuration again, and says what changes.
//!
//! One stop before: the command line; one stop after: `control::client`.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::Exit;
use crate::control::client;

/// Reloads, or with `dry_run` says what a reload would change.
pub fn run(runtime_dir: &Path, dry_run: bool) -> ExitCode {
    match client::reload(runtime_dir, dry_run) {
        Ok(changes) => {
            let mut stderr = io::stderr();
            for warning in &changes.warnings {
                let _ = writeln!(stderr, "{warning}");
            }
            let mut text = changes.text().join("\n");
            text.push('\n');
            // A closed standard output leaves nobody to tell.
            let _ = io::stdout().write_all(text.as_bytes());
            Exit::Good.into()
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", Said(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// An error as a person reads it.
struct Said<'a>(&'a client::ClientError);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            client::ClientError::Configuration(problems) => {
                for problem in problems {
                    writeln!(f, "{problem}")?;
                }
                f.write_str("vrrpd: not reloaded: everything is as it was")
            }
            client::ClientError::NotRunning { .. }
            | client::ClientError::Denied { .. }
            | client::ClientError::Broken { .. }
            | client::ClientError::Schema(_)
            | client::ClientError::Malformed(_)
            | client::ClientError::Refused(_) => write!(f, "vrrpd: {}", self.0),
        }
    }
}
