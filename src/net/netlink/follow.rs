//! Hears of routes and rules of ours that somebody else takes away, on a socket that is there only while some are held.

use std::io;

use futures_util::StreamExt;
use netlink_packet_core::{NLM_F_REPLACE, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::SocketAddr;
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::task::JoinHandle;

use super::route::{Leftover, destination, is_ours};
use crate::engine::route::Prefix;

/// Something that may have taken a route or a rule away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Touch {
    /// A route to this network in this table.
    Route(Prefix, u32),
    /// This rule.
    Rule(Box<Leftover>),
    /// Notifications were lost: any of them.
    Lost,
}

/// The notification socket for routes and rules.
pub struct RouteMonitor {
    messages: Box<dyn futures_util::Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Unpin + Send>,
    reader: JoinHandle<()>,
}

impl RouteMonitor {
    /// Opens the socket and begins to listen; inside a tokio runtime only.
    ///
    /// **Errors:** what the kernel says.
    pub fn open() -> io::Result<Self> {
        let groups =
            [MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route, MulticastGroup::Ipv4Rule, MulticastGroup::Ipv6Rule];
        let (connection, _handle, messages) = new_multicast_connection(&groups)?;
        Ok(Self { messages: Box::new(messages), reader: tokio::spawn(connection) })
    }

    /// Waits for the next touch; `None` when the socket is gone.
    ///
    /// May be dropped while it waits without losing one.
    pub async fn next(&mut self) -> Option<Touch> {
        loop {
            let (message, _) = self.messages.next().await?;
            if let Some(touch) = touch(message) {
                return Some(touch);
            }
        }
    }
}

impl Drop for RouteMonitor {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn touch(message: NetlinkMessage<RouteNetlinkMessage>) -> Option<Touch> {
    let replaces = message.header.flags & NLM_F_REPLACE != 0;
    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRoute(route)) if is_ours(&route) => {
            destination(&route).map(|(to, table)| Touch::Route(to, table))
        }
        // What was there before is not told of.
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) if replaces && !is_ours(&route) => {
            destination(&route).map(|(to, table)| Touch::Route(to, table))
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelRule(rule)) => {
            // Read as what a dump would list.
            Leftover::of(RouteNetlinkMessage::NewRule(rule)).map(|rule| Touch::Rule(Box::new(rule)))
        }
        NetlinkPayload::Overrun(_) => Some(Touch::Lost),
        _ => None,
    }
}
