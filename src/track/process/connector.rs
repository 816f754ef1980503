//! The kernel's process connector: news of processes that begin, become another program or end.
//!
//! Works with CAP_NET_ADMIN in the first namespaces of the host alone; elsewhere it keeps silent.
//!
//! Bytes, in the order of the host: a netlink header of 16; a connector header of 20 (index and value, sequence, ack, length,
//! flags); the kind of event (4), processor (4), time (8); then numbers of 4 bytes each.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_CONNECTOR};
use tokio::time::timeout;

use crate::track::ready::Ready;

/// What happened to a process; its number, never a thread's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It was made.
    Fork {
        /// By this one, whose name and arguments it has.
        parent: i32,
        /// Which.
        pid: i32,
    },
    /// It became another program, or took another name.
    Changed(i32),
    /// Its first thread ended.
    Exit(i32),
}

/// News were lost: look for yourself.
#[derive(Debug)]
pub(super) struct Lost;

/// An open connector. Dropping it tells the kernel that nobody listens.
pub(super) struct Connector {
    socket: Socket,
    ready: Ready,
}

impl Connector {
    /// Begins to listen.
    ///
    /// **Errors:** the kernel refuses, or does not answer within [`PATIENCE`].
    pub async fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_CONNECTOR)?;
        // More than the kernel allows is cut.
        let _ = socket.set_rx_buf_sz(BUFFER);
        socket.set_non_blocking(true)?;
        socket.bind(&SocketAddr::new(0, CN_IDX_PROC))?;
        let ready = Ready::new(socket.as_fd().try_clone_to_owned()?)?;
        let connector = Self { socket, ready };
        connector.tell(PROC_CN_MCAST_LISTEN)?;
        match timeout(PATIENCE, connector.acknowledged()).await {
            Ok(result) => result.map(|()| connector),
            Err(_elapsed) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no answer; it needs CAP_NET_ADMIN in the first namespaces of the host",
            )),
        }
    }

    /// Waits for news. Losing the future loses nothing.
    ///
    /// **Errors:** some were lost.
    pub async fn next(&self) -> Result<Vec<Event>, Lost> {
        let mut events = Vec::new();
        while events.is_empty() {
            self.ready.wait().await.map_err(|_| Lost)?;
            for _ in 0..BATCH {
                match self.receive() {
                    Ok(message) => events.extend(message.and_then(|message| event(&message))),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_overrun) => return Err(Lost),
                }
            }
        }
        Ok(events)
    }

    async fn acknowledged(&self) -> io::Result<()> {
        loop {
            self.ready.wait().await?;
            match self.receive() {
                Ok(Some(message)) if number(&message, WHAT) == Some(PROC_EVENT_NONE) => {
                    return match number(&message, NUMBERS) {
                        Some(0) => Ok(()),
                        errno => Err(io::Error::from_raw_os_error(errno.unwrap_or_default().cast_signed())),
                    };
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads one message; `None`: it is not the kernel's.
    fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::with_capacity(256);
        let (_, sender) = self.ready.read(|| self.socket.recv_from(&mut message, 0))?;
        Ok((sender.port_number() == 0).then_some(message))
    }

    fn tell(&self, operation: u32) -> io::Result<()> {
        let mut message = Vec::with_capacity(NUMBERS);
        message.extend(40_u32.to_ne_bytes());
        message.extend(NLMSG_DONE.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(CN_IDX_PROC.to_ne_bytes());
        message.extend(CN_VAL_PROC.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(4_u16.to_ne_bytes());
        message.extend([0; 2]);
        message.extend(operation.to_ne_bytes());
        self.socket.send(&message, 0).map(|_| ())
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // The kernel finds out by itself, if later.
        let _ = self.tell(PROC_CN_MCAST_IGNORE);
    }
}

/// Returns what a message says; `None`: nothing of interest.
fn event(message: &[u8]) -> Option<Event> {
    let at = |place: usize| number(message, NUMBERS + 4 * place).map(u32::cast_signed);
    match number(message, WHAT)? {
        PROC_EVENT_FORK => {
            let (parent, thread, pid) = (at(1)?, at(2)?, at(3)?);
            (thread == pid).then_some(Event::Fork { parent, pid })
        }
        PROC_EVENT_EXEC => Some(Event::Changed(at(1)?)),
        PROC_EVENT_COMM => {
            let (thread, pid) = (at(0)?, at(1)?);
            (thread == pid).then_some(Event::Changed(pid))
        }
        PROC_EVENT_EXIT => {
            let (thread, pid) = (at(0)?, at(1)?);
            (thread == pid).then_some(Event::Exit(pid))
        }
        _ => None,
    }
}

fn number(message: &[u8], offset: usize) -> Option<u32> {
    message.get(offset..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Offset of the kind of event.
const WHAT: usize = 36;
/// Offset of the numbers that depend on it.
const NUMBERS: usize = 52;

// Names and values of linux/netlink.h, linux/connector.h and linux/cn_proc.h.
const NLMSG_DONE: u16 = 3;
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_CN_MCAST_IGNORE: u32 = 2;
const PROC_EVENT_NONE: u32 = 0;
const PROC_EVENT_FORK: u32 = 1;
const PROC_EVENT_EXEC: u32 = 2;
const PROC_EVENT_COMM: u32 = 0x200;
const PROC_EVENT_EXIT: u32 = 0x8000_0000;

/// How long the kernel has to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes that may wait in the socket.
const BUFFER: i32 = 1 << 20;
/// Messages read in one go.
const BATCH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(what: u32, numbers: &[u32]) -> Vec<u8> {
        let mut message = vec![0; WHAT];
        message.extend(what.to_ne_bytes());
        message.extend([0; 12]);
        message.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        message
    }

    #[test]
    fn events_of_processes_are_read_and_those_of_threads_left_out() {
        let cases = [
            (PROC_EVENT_FORK, vec![10, 9, 20, 20], Some(Event::Fork { parent: 9, pid: 20 })),
            (PROC_EVENT_FORK, vec![10, 9, 20, 9], None),
            (PROC_EVENT_EXEC, vec![21, 20], Some(Event::Changed(20))),
            (PROC_EVENT_COMM, vec![20, 20, 0, 0, 0, 0], Some(Event::Changed(20))),
            (PROC_EVENT_COMM, vec![21, 20, 0, 0, 0, 0], None),
            (PROC_EVENT_EXIT, vec![20, 20, 0, 17], Some(Event::Exit(20))),
            (PROC_EVENT_EXIT, vec![21, 20, 0, 17], None),
            (PROC_EVENT_NONE, vec![0], None),
            (4, vec![20, 20], None),
        ];
        for (what, numbers, expected) in cases {
            assert_eq!(event(&message(what, &numbers)), expected, "{what} {numbers:?}");
        }
    }

    #[test]
    fn a_short_message_is_nothing() {
        let whole = message(PROC_EVENT_FORK, &[10, 9, 20, 20]);
        for length in 0..whole.len() {
            assert_eq!(event(&whole[..length]), None, "{length}");
        }
    }
}
