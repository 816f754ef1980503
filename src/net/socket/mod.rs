//! Raw sockets of the protocol thread: adverts in, adverts out, group memberships.
//!
//! One receive socket per family and one send socket per family, however many virtual routers there are: the kernel
//! copies each packet to every matching raw socket, so a socket per router would cost a copy per router. Nothing here
//! blocks, and nothing allocates per packet. [`Receiver`] and [`Sender`] hold preallocated kernel headers (raw
//! pointers), so neither can move to another thread: open them in the thread that uses them.
//!
//! One stop before: the kernel. One stop after: `engine::input::Datagram`; outgoing: `engine::output::Transmit`.

mod groups;
mod receiver;
mod sender;
mod tap;

pub use groups::Groups;
pub use receiver::{Drained, Receiver};
pub use sender::{Failure, Message, Sender};
pub use tap::{Seen, Tap};

use std::fmt;
use std::io;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// IP protocol number of VRRP.
const VRRP: i32 = 112;
/// IP protocol number of the Authentication Header.
const AH: i32 = 51;
/// TTL or hop limit of everything sent. RFC 9568 sections 5.1.1.3 and 5.1.2.3.
const TTL: u32 = 255;
/// TOS or traffic class of everything sent: class selector 6, as other daemons send it.
const TRAFFIC_CLASS: u32 = 0xc0;
/// Messages per system call.
const BATCH: usize = 64;

/// Which sockets are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// VRRP over IPv4.
    pub v4: bool,
    /// VRRP over IPv6.
    pub v6: bool,
    /// VRRP inside the Authentication Header, IPv4.
    pub ah: bool,
}

/// A socket could not be opened or set up.
#[derive(Debug)]
pub struct OpenError {
    /// What was tried.
    what: &'static str,
    /// What the kernel said.
    source: io::Error,
}

impl OpenError {
    /// Says whether a missing privilege is the cause (exit code 77).
    pub fn is_permission(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open {}: {}", self.what, self.source)?;
        if self.is_permission() {
            f.write_str(
                "; needs CAP_NET_RAW: run as root, or set AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in the unit",
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Opens a non-blocking raw socket.
fn open_raw(domain: Domain, protocol: i32, what: &'static str) -> Result<Socket, OpenError> {
    Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(protocol)))
        .map_err(|source| OpenError { what, source })
}

/// Asks for a large receive buffer, beyond the system's limit where the privilege allows it.
fn grow_receive_buffer(socket: &Socket, bytes: usize) {
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        // The system's limit applies; a smaller buffer only makes bursts more likely to overflow it.
        let _ = socket.set_recv_buffer_size(bytes);
    }
}

/// Asks for a large send buffer, as [`grow_receive_buffer`].
fn grow_send_buffer(socket: &Socket, bytes: usize) {
    if setsockopt(socket, sockopt::SndBufForce, &bytes).is_err() {
        let _ = socket.set_send_buffer_size(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_privilege_is_named_with_its_cure() {
        let refused = OpenError { what: "a raw IPv4 socket", source: io::Error::from_raw_os_error(1) };
        assert!(refused.is_permission());
        let text = refused.to_string();
        assert!(text.contains("CAP_NET_RAW") && text.contains("AmbientCapabilities"), "{text}");
        let other = OpenError { what: "a raw IPv4 socket", source: io::Error::from_raw_os_error(24) };
        assert!(!other.is_permission());
        assert!(!other.to_string().contains("CAP_NET_RAW"));
    }
}
