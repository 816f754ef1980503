//! Reads all interfaces and addresses of the kernel, and our routes and rules.

use std::fmt;
use std::io;

use futures_util::StreamExt;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::{RouteMessage, RouteProtocol};
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, new_connection_with_strict_check};
use tokio::task::JoinHandle;

use super::message::event;
use super::{Address, Event, Leftover, Link, OUR_PROTOCOL, Refusal};

/// Header flag: something changed while the dump was made.
const NLM_F_DUMP_INTR: u16 = 0x10;
/// How often an interrupted dump is begun again before it is taken as it is; the notifications correct it.
const ATTEMPTS: usize = 8;

/// Everything the kernel has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Interfaces by index, ascending.
    pub links: Vec<Link>,
    /// Addresses, for each interface and family in the kernel's order.
    pub addresses: Vec<Address>,
}

/// A dump failed.
#[derive(Debug)]
pub enum DumpError {
    /// The kernel refused it.
    Refused(Refusal),
    /// The socket is gone.
    Closed,
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "kernel refused to list interfaces and addresses: {refusal}"),
            Self::Closed => f.write_str("netlink socket closed"),
        }
    }
}

impl std::error::Error for DumpError {}

/// The dump socket of the service thread.
#[derive(Debug)]
pub struct Dumper {
    handle: Handle,
    reader: JoinHandle<()>,
}

impl Dumper {
    /// Opens the socket; inside a tokio runtime only.
    ///
    /// **Errors:** what the kernel says.
    pub fn open() -> io::Result<Self> {
        let (connection, handle, _messages) = new_connection_with_strict_check()?;
        Ok(Self { handle, reader: tokio::spawn(connection) })
    }

    /// Reads everything.
    ///
    /// **Errors:** the kernel's refusal, or the socket is gone: open another.
    pub async fn dump(&mut self) -> Result<Dump, DumpError> {
        let mut dump = Dump::default();
        let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        for event in self.list(links).await?.into_iter().chain(self.list(addresses).await?) {
            match event {
                Event::Link(link) => dump.links.push(link),
                Event::Address(address) => dump.addresses.push(address),
                Event::LinkGone { .. } | Event::AddressGone(_) | Event::Lost => {}
            }
        }
        Ok(dump)
    }

    /// Reads the routes and rules that carry our mark.
    ///
    /// What the kernel has no support for counts as empty. **Errors:** the socket is gone: open another.
    pub async fn leftovers(&mut self) -> Result<Vec<Leftover>, DumpError> {
        let mut leftovers = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut routes = RouteMessage::default();
            routes.header.address_family = family;
            // The kernel leaves the others out; there may be very many.
            routes.header.protocol = RouteProtocol::Other(OUR_PROTOCOL);
            let mut rules = RuleMessage::default();
            rules.header.family = family;
            for question in [RouteNetlinkMessage::GetRule(rules), RouteNetlinkMessage::GetRoute(routes)] {
                match self.ask(question, leftover).await {
                    Ok(found) => leftovers.extend(found),
                    Err(DumpError::Refused(_)) => {}
                    Err(DumpError::Closed) => return Err(DumpError::Closed),
                }
            }
        }
        Ok(leftovers)
    }

    async fn list(&mut self, question: RouteNetlinkMessage) -> Result<Vec<Event>, DumpError> {
        self.ask(question, |payload| match event(payload) {
            Some(Event::Lost) => Line::Lost,
            Some(event) => Line::Wanted(event),
            None => Line::Other,
        })
        .await
    }

    async fn ask<T>(
        &mut self,
        question: RouteNetlinkMessage,
        read: impl Fn(NetlinkPayload<RouteNetlinkMessage>) -> Line<T>,
    ) -> Result<Vec<T>, DumpError> {
        let mut events = Vec::new();
        for _ in 0..ATTEMPTS {
            events.clear();
            let mut request = NetlinkMessage::from(question.clone());
            request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
            let mut answers = self.handle.request(request).map_err(|_| DumpError::Closed)?;
            let mut is_whole = true;
            while let Some(answer) = answers.next().await {
                is_whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
                if let NetlinkPayload::Error(refused) = &answer.payload {
                    let errno = refused.raw_code().saturating_abs();
                    return Err(DumpError::Refused(Refusal { errno, text: None }));
                }
                match read(answer.payload) {
                    Line::Lost => is_whole = false,
                    Line::Wanted(found) => events.push(found),
                    Line::Other => {}
                }
            }
            if self.reader.is_finished() {
                return Err(DumpError::Closed);
            }
            if is_whole {
                break;
            }
        }
        Ok(events)
    }
}

/// What a line of a dump is.
enum Line<T> {
    Wanted(T),
    Other,
    Lost,
}

fn leftover(payload: NetlinkPayload<RouteNetlinkMessage>) -> Line<Leftover> {
    match payload {
        NetlinkPayload::InnerMessage(message) => Leftover::of(message).map_or(Line::Other, Line::Wanted),
        NetlinkPayload::Overrun(_) => Line::Lost,
        _ => Line::Other,
    }
}

impl Drop for Dumper {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
