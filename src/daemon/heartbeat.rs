//! Whether the protocol thread turns in time: asked through its channel, answered at the end of a turn.
//!
//! A lease of addresses and the service manager's watchdog go by it. One stop before: whoever may not go on for a hung
//! thread. One stop after: `daemon::event_loop`.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::channel::{ProtocolHandle, ToProtocol};
use crate::engine::time::Instant;

/// One who asks; has at most one question under way, however long the thread hangs.
#[derive(Debug)]
pub(super) struct Heartbeat {
    protocol: ProtocolHandle,
    pending: Option<oneshot::Receiver<Instant>>,
}

impl Heartbeat {
    pub fn new(protocol: ProtocolHandle) -> Self {
        Self { protocol, pending: None }
    }

    /// Says whether an answer is awaited.
    pub fn is_asked(&self) -> bool {
        self.pending.is_some()
    }

    /// Asks, unless an earlier question is without an answer, and waits for it at most `patience`.
    ///
    /// Returns when the turn that answered began: it may have been interrupted since then, so whoever counts on it looks at
    /// that. Everything the turn wanted is in the channel to the service thread by then. `None`: no answer in time. May be
    /// dropped while it waits; then the next call waits for the same answer.
    pub async fn beat(&mut self, patience: Duration) -> Option<Instant> {
        if self.pending.is_none() {
            let (reply, answer) = oneshot::channel();
            // A full channel is a thread that does not turn.
            self.pending = self.protocol.offer(ToProtocol::Ping(reply)).then_some(answer);
        }
        let Some(answer) = &mut self.pending else {
            tokio::time::sleep(patience).await;
            return None;
        };
        let answered = timeout(patience, answer).await.ok()?;
        self.pending = None;
        answered.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::channel::to_protocol;
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn a_hung_thread_is_asked_once_and_its_late_answer_counts() {
        let (handle, inbox) = to_protocol().unwrap();
        let mut heartbeat = Heartbeat::new(handle);
        let at = Instant::from_nanos(7);
        block_on(async {
            for _ in 0..3 {
                assert_eq!(heartbeat.beat(Duration::from_millis(1)).await, None);
            }
            let mut pings = inbox.drain().filter_map(|message| match message {
                ToProtocol::Ping(reply) => Some(reply),
                _ => None,
            });
            pings.next().unwrap().send(at).unwrap();
            assert!(pings.next().is_none(), "asked again without an answer");
            assert_eq!(heartbeat.beat(Duration::from_secs(5)).await, Some(at));
        });
    }

    #[test]
    fn an_ended_thread_does_not_beat() {
        let (handle, inbox) = to_protocol().unwrap();
        drop(inbox);
        let mut heartbeat = Heartbeat::new(handle);
        assert_eq!(block_on(heartbeat.beat(Duration::from_millis(1))), None);
    }
}
