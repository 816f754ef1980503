//! `vrrpd release`: one line for each instance whose addresses were left behind.
//!
//! One stop before: the command line; one stop after: `daemon::release`, which does it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use nix::errno::Errno;

use super::Exit;
use crate::control::lock::LockError;
use crate::daemon::release::{Fate, ReleaseError, Released, release};

/// Releases what a dead daemon left, and says so.
pub fn run(runtime_dir: &Path) -> Exit {
    let released = match release(runtime_dir) {
        Ok(released) => released,
        Err(error) => {
            let _ = writeln!(io::stderr(), "vrrpd: {error}");
            return match error {
                ReleaseError::Lock(LockError::System { source, .. }) | ReleaseError::State(_, source)
                    if source.kind() == io::ErrorKind::PermissionDenied =>
                {
                    Exit::Permission
                }
                ReleaseError::Lock(_) | ReleaseError::State(..) | ReleaseError::Netlink(_) => Exit::Unavailable,
            };
        }
    };
    let text: String = released.iter().map(line).collect();
    let _ = io::stdout().write_all(text.as_bytes());
    let mut refusals = released.iter().flat_map(|released| &released.refused).peekable();
    match refusals.peek() {
        None => Exit::Good,
        Some((_, refusal)) if refusal.errno == Errno::EPERM as i32 => Exit::Permission,
        Some(_) => Exit::Unavailable,
    }
}

/// Says what was done for one router.
fn line(released: &Released) -> String {
    let addresses = match released.count {
        1 => "1 address".to_owned(),
        count => format!("{count} addresses"),
    };
    let mut text = match released.fate {
        Fate::Lent { seconds } => {
            let seconds = if seconds == 1 { "1 second".to_owned() } else { format!("{seconds} seconds") };
            format!("{}: {addresses} left for {seconds}, which end before the peers take over", released.name)
        }
        Fate::Withdrawn { .. } => format!("{}: {addresses} removed", released.name),
    };
    // Writing to a string does not fail.
    let _ = match &released.told {
        None => Ok(()),
        Some(Ok(())) => write!(text, ", and the peers told"),
        Some(Err(problem)) => write!(text, ", but the peers not told: {problem}"),
    };
    for (place, refusal) in &released.refused {
        let _ = write!(text, "; refused for {place}: {refusal}");
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(fate: Fate, count: usize, told: Option<Result<(), String>>) -> Released {
        Released { name: "web".into(), fate, count, told, refused: Vec::new() }
    }

    #[test]
    fn each_router_has_one_line() {
        let withdrawn = |is_missed| Fate::Withdrawn { is_missed };
        for (released, expected) in [
            (
                released(Fate::Lent { seconds: 2 }, 2, None),
                "web: 2 addresses left for 2 seconds, which end before the peers take over\n",
            ),
            (
                released(Fate::Lent { seconds: 1 }, 1, None),
                "web: 1 address left for 1 second, which end before the peers take over\n",
            ),
            (released(withdrawn(true), 1, Some(Ok(()))), "web: 1 address removed, and the peers told\n"),
            (
                released(withdrawn(true), 1, Some(Err("no key".into()))),
                "web: 1 address removed, but the peers not told: no key\n",
            ),
            (released(withdrawn(false), 3, None), "web: 3 addresses removed\n"),
        ] {
            assert_eq!(line(&released), expected);
        }
    }
}
