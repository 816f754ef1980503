//! Hears of changes to interfaces and addresses, on a socket of its own.

use std::io;

use futures_util::{FutureExt, StreamExt};
use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{AsyncSocket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::task::JoinHandle;

use super::Event;
use super::message::event;

/// Receive buffer asked for: a takeover of thousands of addresses makes one notification each.
const RECEIVE_BUFFER: usize = 16 << 20;

/// The notification socket of the service thread.
pub struct Monitor {
    messages: Box<dyn futures_util::Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Unpin + Send>,
    reader: JoinHandle<()>,
}

impl Monitor {
    /// Opens the socket and begins to listen; inside a tokio runtime only.
    ///
    /// **Errors:** what the kernel says.
    pub fn open() -> io::Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (mut connection, _handle, messages) = new_multicast_connection(&groups)?;
        let socket = connection.socket_mut().socket_mut();
        if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _ = socket.set_rx_buf_sz(i32::try_from(RECEIVE_BUFFER).unwrap_or(i32::MAX));
        }
        Ok(Self { messages: Box::new(messages), reader: tokio::spawn(connection) })
    }

    /// Waits for the next change; `None` when the socket is gone and must be opened again.
    ///
    /// May be dropped while it waits without losing an event.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let (message, _) = self.messages.next().await?;
            if let Some(event) = event(message.payload) {
                return Some(event);
            }
        }
    }

    /// Returns the next change if it was read already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.next().now_or_never().flatten()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}
