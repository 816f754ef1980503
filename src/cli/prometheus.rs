//! `vrrpd status --prometheus`: the metrics once, for the textfile collector of the node exporter.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::control::client::{self, ClientError};
use crate::control::metrics;

/// Prints the metrics of the daemon of a runtime directory.
///
/// Of a daemon that does not run it says just that, on both outputs. Exit code: 0 done, whatever state instances are in; 3 not
/// running; 69 no sensible reply; 77 permission.
pub(super) fn run(runtime_dir: &Path) -> ExitCode {
    let (text, code) = match client::status(runtime_dir) {
        Ok(reply) => (metrics::text(&reply.status), 0),
        Err(error) => {
            eprintln!("vrrpd: {error}");
            let text = match error {
                ClientError::NotRunning { .. } => metrics::text_of_no_daemon(),
                ClientError::Denied { .. }
                | ClientError::Broken { .. }
                | ClientError::Schema(_)
                | ClientError::Malformed(_)
                | ClientError::Refused(_)
                | ClientError::Configuration(_) => String::new(),
            };
            (text, error.exit_code())
        }
    };
    // A reader that went away has what it wanted.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::from(code)
}
