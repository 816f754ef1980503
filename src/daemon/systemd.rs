//! What the service manager is told. Without one (no `NOTIFY_SOCKET`) nothing happens.
//!
//! One stop before: `daemon::event_loop`. One stop after: systemd.

use sd_notify::NotifyState;

/// Tells that start-up is finished; `text` is what `systemctl status` shows.
pub fn ready(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(text)]);
}

/// Tells that the configuration is being read again; [`ready`] tells that this is over, whatever came of it.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Tells that the daemon hands over and stops.
pub fn stopping(text: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(text)]);
}

/// Tells what `systemctl status` shows.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Returns the line for `systemctl status`: how many instances are in which state.
pub fn summary(master: usize, backup: usize, fault: usize) -> String {
    match fault {
        0 => format!("{master} MASTER, {backup} BACKUP"),
        _ => format!("{master} MASTER, {backup} BACKUP, {fault} FAULT"),
    }
}

/// Sends one datagram. A service manager that does not listen changes nothing for the addresses, so it is only noted.
fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "cannot tell the service manager");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_faults_only_when_there_are_some() {
        assert_eq!(summary(2, 1, 0), "2 MASTER, 1 BACKUP");
        assert_eq!(summary(2, 1, 3), "2 MASTER, 1 BACKUP, 3 FAULT");
    }
}
