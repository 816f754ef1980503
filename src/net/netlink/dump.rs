//! Reads all interfaces and addresses of the kernel.

use std::fmt;
use std::io;

use futures_util::StreamExt;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use rtnetlink::{Handle, new_connection_with_strict_check};
use tokio::task::JoinHandle;

use super::message::event;
use super::{Address, Event, Link, Refusal};

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

    async fn list(&mut self, question: RouteNetlinkMessage) -> Result<Vec<Event>, DumpError> {
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
                match event(answer.payload) {
                    Some(Event::Lost) => is_whole = false,
                    Some(event) => events.push(event),
                    None => {}
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

impl Drop for Dumper {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
