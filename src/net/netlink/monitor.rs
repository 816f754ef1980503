//! Hears of changes to interfaces and addresses, on a socket of its own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::Event;
use super::message::events;

/// Receive buffer asked for: a takeover of thousands of addresses makes one notification each.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Longest datagram that the kernel sends.
const DATAGRAM: usize = 32 << 10;
/// The groups of interfaces, of IPv4 and of IPv6 addresses.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// The notification socket of the service thread.
pub struct Monitor {
    socket: TokioSocket,
    datagram: Vec<u8>,
    /// Read, and not handed out yet.
    events: VecDeque<Event>,
}

impl Monitor {
    /// Opens the socket and begins to listen; inside a tokio runtime only.
    ///
    /// **Errors:** what the kernel says.
    pub fn open() -> io::Result<Self> {
        let mut socket = <TokioSocket as AsyncSocket>::new(NETLINK_ROUTE)?;
        let inner = socket.socket_mut();
        if setsockopt(inner, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _ = inner.set_rx_buf_sz(i32::try_from(RECEIVE_BUFFER).unwrap_or(i32::MAX));
        }
        inner.bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self { socket, datagram: Vec::new(), events: VecDeque::new() })
    }

    /// Waits for the next change; `None` when the socket is gone and must be opened again.
    ///
    /// May be dropped while it waits without losing an event.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Returns the next change if the kernel told of it already; a bounded number in one turn of the task.
    pub fn try_next(&mut self) -> Option<Event> {
        self.next().now_or_never().flatten()
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            self.datagram.clear();
            self.datagram.reserve(DATAGRAM);
            match ready!(self.socket.poll_recv(context, &mut self.datagram)) {
                Ok(()) => events(&self.datagram, |event| self.events.push_back(event)),
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                    return Poll::Ready(Some(Event::Lost));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Poll::Ready(None),
            }
        }
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}
