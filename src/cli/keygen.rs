//! `vrrpd keygen`: a fresh key on standard output, and nothing else there.
//!
//! One stop before: the command line; one stop after: `keygen`, which makes it.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;

use super::Exit;
use crate::keygen;

/// Prints a fresh key.
pub fn run() -> Exit {
    let printed = keygen::fresh_key().and_then(|key| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(keygen::line(key.as_slice()).as_bytes())?;
        stdout.flush()
    });
    if let Err(error) = printed {
        // Nobody has the key then, so a reader that went away is a failure too.
        let _ = writeln!(io::stderr(), "vrrpd: no key was written: {error}");
        return Exit::Software;
    }
    let _ = io::stderr().write_all(hint().as_bytes());
    Exit::Good
}

/// Returns what somebody should do next; empty when the key is where it belongs.
fn hint() -> &'static str {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return TERMINAL;
    }
    let file = stdout.as_fd().try_clone_to_owned().map(File::from);
    match file.and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 => EXPOSED,
        Ok(_) | Err(_) => "",
    }
}

const TERMINAL: &str = "\
Into a file of its own, the same on every node:  umask 077; vrrpd keygen > /etc/vrrpd/keys/web
In [instance.NAME.auth] of each of them:         hmac = { keys = { 1 = \"file:/etc/vrrpd/keys/web\" } }
";

const EXPOSED: &str = "\
vrrpd: others can read or change the file that the key went to, so it would be refused: chmod 600 it, and next time umask 077 first
";
