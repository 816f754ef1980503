//! `vrrpd convert`: a keepalived.conf as TOML.
//!
//! One stop before: the command line; one stop after: `config::keepalived`, which reads and writes it.

use std::io::{self, Write};
use std::path::Path;

use super::check::print_lines;
use super::{ConvertArgs, Exit};
use crate::config::{self, Format, Keys, keepalived};

/// Writes the TOML to standard output and what is not carried over to standard error.
pub fn run(args: &ConvertArgs) -> Exit {
    // What is written are names of keys; who runs this need not be allowed to read them.
    let keys = Keys::LeftAlone;
    let loaded = if args.path == Path::new("-") {
        config::load_from_with("-", io::stdin().lock(), Format::Keepalived, keys)
    } else {
        config::load_with(&args.path, Some(Format::Keepalived), keys)
    };
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(problems) => {
            // Nobody may be listening; the exit code says enough.
            let _ = print_lines(&problems.0);
            return Exit::Config;
        }
    };
    let text = keepalived::convert(&loaded.config, loaded.document.as_deref().unwrap_or(&Default::default()));
    let printed = print_lines(&loaded.warnings).and_then(|()| io::stdout().lock().write_all(text.as_bytes()));
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Software,
        Err(_) | Ok(()) => Exit::Good,
    }
}
