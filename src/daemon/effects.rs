//! Carries out what the engine wants: adverts to the sockets, everything else to the service thread.
//!
//! One stop before: `daemon::event_loop`. One stop after: `net::socket` and `daemon::service`.

use std::time::Duration;

use tokio::sync::mpsc::Sender as Channel;
use tokio::sync::mpsc::error::TrySendError;

use super::channel::ToService;
use super::state::live::State;
use crate::engine::input::RouterKey;
use crate::engine::node::Node;
use crate::engine::output::{EventKind, Output, Transmit};
use crate::engine::time::{Instant, Now};
use crate::net::socket::{OpenError, Sender, Wanted};

/// The protocol thread's way out.
pub(super) struct Effects {
    sender: Sender,
    service: Channel<ToService>,
    state: State,
    /// Routers whose state or wish changed in this turn; kept for its capacity.
    changed: Vec<RouterKey>,
    /// Adverts of this turn; kept for its capacity.
    adverts: Vec<Transmit>,
    /// Turns whose outputs did not fit into the channel since the last resynchronisation.
    lost: u64,
    failed: u64,
    failure_told_at: Option<Instant>,
    is_given_up: bool,
    /// Adverts left since somebody asked.
    has_sent: bool,
}

impl Effects {
    pub fn new(sender: Sender, service: Channel<ToService>, state: State) -> Self {
        Self {
            sender,
            service,
            state,
            changed: Vec::new(),
            adverts: Vec::new(),
            lost: 0,
            failed: 0,
            failure_told_at: None,
            is_given_up: false,
            has_sent: false,
        }
    }

    /// Opens sockets to send by that are wanted and not open yet.
    ///
    /// **Errors:** the kernel refused one.
    pub fn open_more(&mut self, wanted: Wanted) -> Result<(), OpenError> {
        self.sender.open_more(wanted)
    }

    /// Sends this turn's adverts in one go and passes the rest on; says whether the node has finished.
    pub fn carry_out(&mut self, now: Now, node: &mut Node) -> bool {
        let mut rest = Vec::new();
        let mut is_finished = self.is_given_up;
        while let Some(output) = node.poll_output() {
            self.changed.extend(changed(&output));
            match output {
                Output::Send(transmit) => {
                    self.state.sent(now.mono, transmit.router);
                    self.adverts.push(transmit);
                }
                Output::Finished => is_finished = true,
                Output::AcquireVips { .. }
                | Output::ReleaseVips { .. }
                | Output::Announce { .. }
                | Output::Event(_) => rest.push(output),
            }
        }
        self.state.before_sending(node, &self.changed);
        self.flush(now, node);
        self.state.after_sending(now.mono, node, &self.changed);
        self.changed.clear();
        if let Some(error) = self.state.take_failure() {
            self.tell(ToService::StateLost(error));
        }
        if !rest.is_empty() {
            self.pass_on(ToService::Outputs(now, rest));
        }
        if self.lost > 0 {
            self.resync(node);
        }
        is_finished
    }

    /// Says the last words. These may wait, since no advert is left to be sent, but not for a thread that waits for this
    /// one: nothing may be on its way to the protocol thread any more.
    pub fn finish(self, node: &Node) {
        if self.lost > 0 {
            let message = ToService::Resync { wanted: node.wanting_vips().collect(), lost: self.lost };
            let _ = self.service.blocking_send(message);
        }
        let _ = self.service.blocking_send(ToService::Finished);
    }

    /// Tells the service thread something that may be lost.
    pub fn tell(&mut self, message: ToService) {
        // A full channel loses a log line, never a wish.
        let _ = self.service.try_send(message);
    }

    /// Says whether adverts left since the last call.
    pub fn has_sent(&mut self) -> bool {
        std::mem::take(&mut self.has_sent)
    }

    /// Returns the state file, for whoever replaces its table or this process.
    pub fn state(&mut self) -> &mut State {
        &mut self.state
    }

    /// Does not wait for the handover any longer.
    pub fn give_up(&mut self) {
        self.is_given_up = true;
    }

    fn flush(&mut self, now: Now, node: &mut Node) {
        if self.adverts.is_empty() {
            return;
        }
        let message = |index: usize| {
            let transmit = self.adverts.get(index)?;
            Some((transmit, node.payload(transmit)))
        };
        let failures = self.sender.send_each(self.adverts.len(), message);
        self.has_sent = true;
        self.failed += failures.len() as u64;
        let told = failures.first().and_then(|failure| {
            let transmit = self.adverts.get(failure.index)?;
            Some((transmit.router, failure.errno))
        });
        self.adverts.clear();
        node.flushed();
        let is_quiet = self.failure_told_at.is_some_and(|at| now.mono.since(at) < TELL_AGAIN);
        if let Some((router, errno)) = told.filter(|_| !is_quiet) {
            self.failure_told_at = Some(now.mono);
            let count = std::mem::take(&mut self.failed);
            self.tell(ToService::SendFailed { router, errno, count });
        }
    }

    fn pass_on(&mut self, message: ToService) {
        match self.service.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.lost += 1,
            // The service thread is gone: the process is about to end.
            Err(TrySendError::Closed(_)) => self.is_given_up = true,
        }
    }

    /// Makes up for lost outputs with the whole truth, as soon as there is room for it.
    fn resync(&mut self, node: &Node) {
        let message = ToService::Resync { wanted: node.wanting_vips().collect(), lost: self.lost };
        if self.service.try_send(message).is_ok() {
            self.lost = 0;
        }
    }
}

/// Returns whose state or wish an output changes.
fn changed(output: &Output) -> Option<RouterKey> {
    match output {
        Output::AcquireVips { router } | Output::ReleaseVips { router } => Some(*router),
        Output::Event(event) => event.router.filter(|_| matches!(event.kind, EventKind::Transition(_))),
        Output::Send(_) | Output::Announce { .. } | Output::Finished => None,
    }
}

/// Failures to send are told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(1);
