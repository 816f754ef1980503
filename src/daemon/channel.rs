//! What the two threads say to each other. Bounded both ways; the protocol thread never waits.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

use crate::engine::input::{Input, RouterKey};
use crate::engine::output::{Discard, Output};
use crate::engine::snapshot::{CheckSnapshot, GroupSnapshot, RouterSnapshot};
use crate::engine::time::Now;

/// From the service thread to the protocol thread.
#[derive(Debug)]
pub(super) enum ToProtocol {
    /// Something happened.
    Input(Input<'static>),
    /// The service thread is about to end; without it nothing can be held.
    GiveUp,
    /// Somebody asks how things are.
    Snapshot(oneshot::Sender<Snapshot>),
}

/// How things are, and when that was.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub now: Now,
    pub routers: Vec<RouterSnapshot>,
    pub checks: Vec<CheckSnapshot>,
    pub groups: Vec<GroupSnapshot>,
    /// Packets that fitted no router, or could not be read.
    pub strays: BTreeMap<Discard, u64>,
}

/// From the protocol thread to the service thread.
#[derive(Debug)]
pub(super) enum ToService {
    /// Everything but adverts that one turn brought about, in order.
    Outputs(Now, Vec<Output>),
    /// Earlier outputs were lost because the channel was full; these routers want their VIPs and no others do.
    Resync {
        wanted: Vec<RouterKey>,
        /// How many turns' outputs were lost.
        lost: u64,
    },
    /// A signal arrived.
    Signal(Signal),
    /// Adverts could not be sent; at most once a second.
    SendFailed {
        router: RouterKey,
        errno: nix::errno::Errno,
        /// Since the last such message.
        count: u64,
    },
    /// The state file could not be written, and was removed.
    StateLost(io::Error),
    /// Every router has handed over, and no more will come.
    Finished,
}

/// A signal and who sent it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    pub number: i32,
    /// Process and user id of the sender; `None` when the kernel does not say.
    pub sender: Option<(i32, u32)>,
}

/// The service thread's end: sends and wakes the protocol thread up.
#[derive(Clone, Debug)]
pub(super) struct ProtocolHandle {
    sender: SyncSender<ToProtocol>,
    bell: Arc<EventFd>,
}

impl ProtocolHandle {
    /// Sends; waits while the channel is full, which lasts no longer than a turn of the protocol thread: that never waits
    /// for this thread while it takes messages, and takes none any more before its last words.
    ///
    /// Messages after the protocol thread has ended are dropped.
    pub fn send(&self, message: ToProtocol) {
        if self.sender.send(message).is_ok() {
            // The counter cannot overflow: the protocol thread reads it at every turn.
            let _ = self.bell.write(1);
        }
    }
}

/// The protocol thread's end.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: Receiver<ToProtocol>,
    pub bell: Arc<EventFd>,
}

impl Inbox {
    /// Takes what waits, at most a bounded number.
    pub fn drain(&self) -> impl Iterator<Item = ToProtocol> + '_ {
        // Reset before reading, so that what comes in between rings again.
        let _ = self.bell.read();
        self.receiver.try_iter().take(CAPACITY)
    }
}

/// Makes the channel to the protocol thread.
pub(super) fn to_protocol() -> io::Result<(ProtocolHandle, Inbox)> {
    let (sender, receiver) = sync_channel(CAPACITY);
    let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    Ok((ProtocolHandle { sender, bell: Arc::clone(&bell) }, Inbox { receiver, bell }))
}

/// Messages that may wait in one direction.
pub(super) const CAPACITY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_waits_for_room_is_let_go_when_the_inbox_is_gone() {
        let (handle, inbox) = to_protocol().unwrap();
        for _ in 0..CAPACITY {
            handle.send(ToProtocol::GiveUp);
        }
        let waiting = std::thread::spawn(move || handle.send(ToProtocol::GiveUp));
        drop(inbox);
        waiting.join().unwrap();
    }

    #[test]
    fn one_drain_takes_all_that_waited_and_what_comes_later_rings_again() {
        let (handle, inbox) = to_protocol().unwrap();
        for _ in 0..CAPACITY {
            handle.send(ToProtocol::GiveUp);
        }
        assert_eq!(inbox.drain().count(), CAPACITY);
        assert!(inbox.bell.read().is_err(), "nothing rings");
        handle.send(ToProtocol::GiveUp);
        assert_eq!(inbox.bell.read().unwrap(), 1);
    }
}
