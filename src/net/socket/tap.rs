//! All VRRP packets that pass an interface, in and out, whoever they are for: for who only looks.
//!
//! A packet socket without link-layer header: what it delivers begins with the IP header on every kind of link. The kernel
//! leaves out all that is neither VRRP nor an Authentication Header. One stop after: `daemon::sniff`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{LinkAddr, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::OpenError;

/// The socket. It receives alone.
#[derive(Debug)]
pub struct Tap {
    socket: Socket,
}

/// Where a packet was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Index of the interface.
    pub interface: u32,
    /// It leaves this host; else it arrived.
    pub is_outgoing: bool,
}

impl Tap {
    /// Opens the socket for all interfaces.
    ///
    /// **Errors:** [`OpenError::is_permission`] without CAP_NET_RAW.
    pub fn open() -> Result<Self, OpenError> {
        let refused = |source| OpenError { what: "a packet socket", source };
        let all = Some(Protocol::from(i32::from(ALL.to_be())));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), all).map_err(refused)?;
        socket.attach_filter(&filter()).map_err(refused)?;
        Ok(Self { socket })
    }

    /// Reads the next packet into `buffer`; `None`: there is none. What is longer than the buffer is cut.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<(Seen, &'a [u8])>> {
        match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), buffer) {
            Ok((len, from)) => {
                let index = from.and_then(|from| u32::try_from(from.ifindex()).ok()).unwrap_or_default();
                let is_outgoing = from.is_some_and(|from| from.pkttype() == OUTGOING);
                Ok(Some((Seen { interface: index, is_outgoing }, buffer.get(..len).unwrap_or_default())))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Returns the kernel filter: protocols 112 and 51 of IPv4, 112 of IPv6.
fn filter() -> Vec<SockFilter> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// Not a place in the packet, but what the link layer says that it is.
    const LINK_PROTOCOL: u32 = 0xffff_f000;
    [
        (LOAD_HALF, 0, 0, LINK_PROTOCOL),
        (JUMP_EQUAL, 0, 3, 0x0800),
        (LOAD_BYTE, 0, 0, 9),
        (JUMP_EQUAL, 4, 0, super::VRRP as u32),
        (JUMP_EQUAL, 3, 4, super::AH as u32),
        (JUMP_EQUAL, 0, 3, 0x86dd),
        (LOAD_BYTE, 0, 0, 6),
        (JUMP_EQUAL, 0, 1, super::VRRP as u32),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
    ]
    .into_iter()
    .map(|(code, when_true, when_false, operand)| SockFilter::new(code, when_true, when_false, operand))
    .collect()
}

/// Every protocol, `ETH_P_ALL`.
const ALL: u16 = 3;
/// `PACKET_OUTGOING`.
const OUTGOING: u8 = 4;
