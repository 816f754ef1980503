//! What the service manager is told, and its watchdog. Without one (no `NOTIFY_SOCKET`) nothing happens.
//!
//! The watchdog hears that the daemon lives only while the protocol thread turns: that of a hung one ends it, which leads to
//! the release of its addresses and to a restart. One stop before: `daemon::service`. One stop after: systemd.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;

use super::event_loop::read_clocks;
use super::heartbeat::Heartbeat;

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

/// Tells the watchdog, if there is one, that a daemon without a protocol thread lives: one that waits to start.
pub fn alive() {
    if sd_notify::watchdog_enabled().is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

/// Feeds the watchdog for as long as the protocol thread answers; for ever, and without doing anything where nobody watches.
pub(super) async fn feed_watchdog(heartbeat: Heartbeat) {
    match sd_notify::watchdog_enabled().filter(|period| !period.is_zero()) {
        Some(period) => feed(heartbeat, period / 3, || tell(&[NotifyState::Watchdog])).await,
        None => std::future::pending().await,
    }
}

/// Asks for a sign of life each `pace`, and passes one on that comes within it.
async fn feed(mut heartbeat: Heartbeat, pace: Duration, pass_on: impl Fn()) {
    loop {
        let asked_at = read_clocks().mono;
        if heartbeat.beat(pace).await.is_some() {
            pass_on();
        }
        sleep((asked_at + pace).since(read_clocks().mono)).await;
    }
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
    use std::cell::Cell;

    use super::super::channel::{ToProtocol, to_protocol};
    use super::*;

    #[test]
    fn only_answers_in_time_are_passed_on() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (handle, inbox) = to_protocol().unwrap();
        let fed = Cell::new(0);
        runtime.block_on(async {
            let feeding = feed(Heartbeat::new(handle), Duration::from_millis(10), || fed.set(fed.get() + 1));
            let answering = async {
                while fed.get() < 5 {
                    for message in inbox.drain() {
                        if let ToProtocol::Ping(reply) = message {
                            let _ = reply.send(read_clocks().mono);
                        }
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::pin!(feeding);
            tokio::select! {
                () = &mut feeding => {}
                () = answering => {}
            }
            // Hung: asked on for three more paces, and nothing is passed on.
            let _ = tokio::time::timeout(Duration::from_millis(35), feeding).await;
        });
        assert_eq!(fed.get(), 5);
        assert_eq!(inbox.drain().count(), 1, "a hung thread is asked once");
    }

    #[test]
    fn summary_names_faults_only_when_there_are_some() {
        assert_eq!(summary(2, 1, 0), "2 MASTER, 1 BACKUP");
        assert_eq!(summary(2, 1, 3), "2 MASTER, 1 BACKUP, 3 FAULT");
    }
}
