//! Keeps secrets in the memory of this process: no core file, and no look into it by other processes of the same user.
//!
//! The kernel then lets only root read `/proc/PID/mem`, `maps`, `environ` and the like, and trace the process. Programs that
//! the daemon starts are not concerned: executing one makes it readable again. What `systemd` and `ps` read stays readable.

use crate::engine::params::{Auth, NodeParams};

/// A process whose memory is hidden.
#[derive(Debug)]
pub(super) struct Hidden {
    was_readable: bool,
}

/// Hides the memory of this process; before anything secret is read.
pub(super) fn hide() -> Hidden {
    let was_readable = nix::sys::prctl::get_dumpable().unwrap_or(false);
    // Cannot fail with a valid argument.
    let _ = nix::sys::prctl::set_dumpable(false);
    Hidden { was_readable }
}

/// Hides it until the process ends; for commands that end soon.
pub(crate) fn hide_for_good() {
    let _ = hide();
}

impl Hidden {
    /// Lets a core file be written again where there is nothing to hide: it helps to find a defect.
    pub fn unless_needed(self, params: &NodeParams) {
        if self.was_readable && !holds_secret(params) {
            let _ = nix::sys::prctl::set_dumpable(true);
        }
    }
}

fn holds_secret(params: &NodeParams) -> bool {
    params.routers.iter().any(|router| match router.auth {
        Auth::None => false,
        Auth::Password { .. } | Auth::Ah(_) | Auth::Hmac(_) => true,
    })
}
