//! `vrrpd reload --exec`: the running daemon becomes the program on the disk.
//!
//! One stop before: the command line; one stop after: `control::upgrade`, which asks and waits.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::control::upgrade::upgrade;

/// Asks the daemon of a runtime directory, waits, and says what came of it.
#[expect(clippy::disallowed_methods, reason = "waits for another process, for a bounded time")]
pub fn run(runtime_dir: &Path) -> ExitCode {
    let began = Instant::now();
    match upgrade(runtime_dir, || began.elapsed(), std::thread::sleep) {
        Ok(upgraded) => {
            let (from, pid) = (&upgraded.begun.from, upgraded.begun.pid);
            let (to, took) = (&upgraded.version, upgraded.took.as_millis());
            println!("version {to} took over from version {from} within {took} ms, process id {pid} as before");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("vrrpd: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
