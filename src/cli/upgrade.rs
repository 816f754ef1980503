//! `vrrpd reload --exec`: the running daemon becomes the program on the disk.
//!
//! One stop before: the command line; one stop after: `control::upgrade`, which asks and waits.

use std::path::Path;
use std::process::ExitCode;

use crate::control::upgrade::upgrade;

/// Asks the daemon of a runtime directory, waits, and says what came of it.
#[expect(clippy::disallowed_methods, reason = "waits for another process, for a bounded time")]
pub fn run(runtime_dir: &Path) -> ExitCode {
    match upgrade(runtime_dir, std::thread::sleep) {
        Ok(upgraded) => {
            let (to, from, pid) = (&upgraded.version, &upgraded.begun.from, upgraded.begun.pid);
            println!("version {to} took over from version {from}, process id {pid} as before");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("vrrpd: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
