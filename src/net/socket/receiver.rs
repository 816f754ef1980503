//! Adverts in: packets of raw sockets as `engine::input::Datagram`, 64 per system call.
//!
//! Passes on whole packets only and judges nothing in them. One stop after: `engine::receive`.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, setsockopt,
    sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Socket};

use super::{AH, BATCH, OpenError, VRRP, Wanted, grow_receive_buffer, open_raw};
use crate::engine::input::Datagram;

/// The longest advert (IPv6, 255 addresses, trailer) with the longest IPv4 header, rounded up.
const BUFFER: usize = 4352;
/// Receive buffer asked for: 4080 routers' adverts at 832 bytes each, several times over.
const RECEIVE_BUFFER: usize = 16 << 20;

/// The longest time that a packet can arrive after a wall clock was read and before the turn that read it ends.
const LATER_MAX: Duration = Duration::from_secs(1);

/// What one call of [`Receiver::receive`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drained {
    /// Packets passed on.
    pub packets: usize,
    /// Packets longer than any advert, dropped.
    pub truncated: usize,
    /// Packets without the control messages that name their interface, dropped.
    pub unknown: usize,
    /// System calls that failed with anything but "nothing there".
    pub errors: usize,
    /// Whether a socket was left with more to read that may have arrived before the time asked for.
    pub more: bool,
}

/// The receive sockets of the protocol thread.
#[derive(Debug)]
pub struct Receiver {
    v4: Option<Inlet<SockaddrIn>>,
    v6: Option<Inlet<SockaddrIn6>>,
    ah: Option<Inlet<SockaddrIn>>,
}

impl Receiver {
    /// Opens the sockets that are wanted.
    ///
    /// **Errors:** the first that the kernel refused; [`OpenError::is_permission`] without CAP_NET_RAW.
    pub fn open(wanted: Wanted) -> Result<Self, OpenError> {
        let mut receiver = Self { v4: None, v6: None, ah: None };
        receiver.open_more(wanted)?;
        Ok(receiver)
    }

    /// Opens what is wanted and not open yet; what is open stays.
    ///
    /// **Errors:** as [`Receiver::open`]; what was opened before that stays open.
    pub fn open_more(&mut self, wanted: Wanted) -> Result<(), OpenError> {
        if wanted.v4 && self.v4.is_none() {
            self.v4 = Some(Inlet::open_v4(VRRP, "a raw IPv4 socket for VRRP")?);
        }
        if wanted.v6 && self.v6.is_none() {
            self.v6 = Some(Inlet::open_v6("a raw IPv6 socket for VRRP")?);
        }
        if wanted.ah && self.ah.is_none() {
            self.ah = Some(Inlet::open_v4(AH, "a raw IPv4 socket for the authentication header")?);
        }
        Ok(())
    }

    /// Returns the descriptors to wait on for reading; at most three.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let v4 = self.v4.as_ref().map(|inlet| inlet.socket.as_fd());
        let v6 = self.v6.as_ref().map(|inlet| inlet.socket.as_fd());
        let ah = self.ah.as_ref().map(|inlet| inlet.socket.as_fd());
        [v4, v6, ah].into_iter().flatten()
    }

    /// Passes on what waits, at most 64 packets per socket, in the order of arrival within each socket; with each the
    /// wall clock of its arrival as time since 1970-01-01, when the kernel says it.
    ///
    /// `until`: a wall clock; what arrived from then on may be left for the next time ([`Drained::more`]), so that a flood does
    /// not keep the caller for as long as it lasts. A packet stamped more than a second later was stamped by a clock that was
    /// set, and says nothing of that.
    ///
    /// Never blocks. An error of one socket is counted and keeps nothing else from being read; the kernel reports it
    /// once and the socket goes on working.
    pub fn receive(&mut self, until: Duration, mut on: impl FnMut(Datagram<'_>, Option<Duration>)) -> Drained {
        let mut drained = Drained::default();
        if let Some(inlet) = &mut self.v4 {
            inlet.receive(&mut drained, until, v4_datagram, &mut on);
        }
        if let Some(inlet) = &mut self.ah {
            inlet.receive(&mut drained, until, v4_datagram, &mut on);
        }
        if let Some(inlet) = &mut self.v6 {
            inlet.receive(&mut drained, until, v6_datagram, &mut on);
        }
        drained
    }
}

/// One socket with its preallocated buffers.
struct Inlet<S> {
    socket: Socket,
    headers: MultiHeaders<S>,
    /// Room for control messages, per packet.
    room: fn() -> Vec<u8>,
    buffers: Box<[[u8; BUFFER]; BATCH]>,
}

/// A packet and the wall clock of its arrival.
type Arrived<'a> = (Datagram<'a>, Option<Duration>);

/// A raw packet with its control messages, before it is a [`Datagram`].
type Raw<'a, 's, S> = RecvMsg<'a, 's, S>;

impl Inlet<SockaddrIn> {
    fn open_v4(protocol: i32, what: &'static str) -> Result<Self, OpenError> {
        let socket = open_raw(Domain::IPV4, protocol, what)?;
        grow_receive_buffer(&socket, RECEIVE_BUFFER);
        let refused = |source: Errno| OpenError { what, source: source.into() };
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).map_err(refused)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).map_err(refused)?;
        Ok(Self::new(socket, || cmsg_space!(in_pktinfo, TimeSpec)))
    }
}

impl Inlet<SockaddrIn6> {
    /// Without IPV6_CHECKSUM: the engine verifies, so that a bad sum is counted where an operator sees it.
    fn open_v6(what: &'static str) -> Result<Self, OpenError> {
        let refused = |source| OpenError { what, source };
        let socket = open_raw(Domain::IPV6, VRRP, what)?;
        grow_receive_buffer(&socket, RECEIVE_BUFFER);
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true).map_err(|e| refused(e.into()))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).map_err(|e| refused(e.into()))?;
        socket.set_recv_hoplimit_v6(true).map_err(refused)?;
        Ok(Self::new(socket, || cmsg_space!(in6_pktinfo, i32, TimeSpec)))
    }
}

impl<S: SockaddrLike + Copy> Inlet<S> {
    fn new(socket: Socket, room: fn() -> Vec<u8>) -> Self {
        let headers = MultiHeaders::preallocate(BATCH, Some(room()));
        // Made on the heap; the conversion cannot fail, since the vector has exactly BATCH elements.
        let buffers = vec![[0; BUFFER]; BATCH].into_boxed_slice().try_into().expect("as many buffers as headers");
        Self { socket, headers, room, buffers }
    }

    fn receive(
        &mut self,
        drained: &mut Drained,
        until: Duration,
        datagram: impl for<'a> Fn(&Raw<'_, '_, S>, &'a [u8]) -> Option<Arrived<'a>>,
        on: &mut impl FnMut(Datagram<'_>, Option<Duration>),
    ) {
        let unknown = drained.unknown;
        self.read(drained, until, datagram, on);
        if drained.unknown > unknown {
            // The headers keep the length of the last control messages as room for the next; start afresh.
            self.headers = MultiHeaders::preallocate(BATCH, Some((self.room)()));
        }
    }

    fn read(
        &mut self,
        drained: &mut Drained,
        until: Duration,
        datagram: impl for<'a> Fn(&Raw<'_, '_, S>, &'a [u8]) -> Option<Arrived<'a>>,
        on: &mut impl FnMut(Datagram<'_>, Option<Duration>),
    ) {
        let mut slices = self.buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        let fd = self.socket.as_raw_fd();
        let messages = match recvmmsg(fd, &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(messages) => messages,
            Err(Errno::EAGAIN) => return,
            Err(Errno::EINTR) => {
                drained.more = true;
                return;
            }
            Err(_) => {
                // Whatever still waits makes the descriptor readable again.
                drained.errors += 1;
                return;
            }
        };
        let mut count = 0;
        let mut last = None;
        for message in messages {
            count += 1;
            if message.flags.contains(MsgFlags::MSG_TRUNC) {
                drained.truncated += 1;
                continue;
            }
            let bytes = message.iovs().next().unwrap_or_default();
            match datagram(&message, bytes) {
                Some((datagram, at)) => {
                    drained.packets += 1;
                    last = at;
                    on(datagram, at);
                }
                None => drained.unknown += 1,
            }
        }
        drained.more |= count == BATCH && !last.is_some_and(|at| is_later(at, until));
    }
}

impl<S> std::fmt::Debug for Inlet<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inlet").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Says whether a packet arrived at or after a time, by a wall clock that was not set in between.
fn is_later(at: Duration, until: Duration) -> bool {
    at.checked_sub(until).is_some_and(|later| later <= LATER_MAX)
}

/// Makes a datagram from an IPv4 packet; `None` when the kernel did not name the interface.
fn v4_datagram<'a>(message: &Raw<'_, '_, SockaddrIn>, packet: &'a [u8]) -> Option<Arrived<'a>> {
    let mut place = None;
    let mut at = None;
    for control in message.cmsgs().ok()? {
        if let ControlMessageOwned::Ipv4PacketInfo(found) = control {
            place = Some(found);
        } else if let ControlMessageOwned::ScmTimestampns(found) = control {
            at = Some(Duration::from(found));
        }
    }
    Some((Datagram::V4 { interface: u32::try_from(place?.ipi_ifindex).ok()?, packet }, at))
}

/// Makes a datagram from an IPv6 payload; `None` when a control message or the source address is missing.
fn v6_datagram<'a>(message: &Raw<'_, '_, SockaddrIn6>, payload: &'a [u8]) -> Option<Arrived<'a>> {
    let mut place = None;
    let mut hops = None;
    let mut at = None;
    for control in message.cmsgs().ok()? {
        if let ControlMessageOwned::Ipv6PacketInfo(found) = control {
            place = Some(found);
        } else if let ControlMessageOwned::Ipv6HopLimit(found) = control {
            hops = Some(found);
        } else if let ControlMessageOwned::ScmTimestampns(found) = control {
            at = Some(Duration::from(found));
        }
    }
    let (place, hops) = (place?, hops?);
    let datagram = Datagram::V6 {
        interface: place.ipi6_ifindex,
        source: message.address?.ip(),
        destination: place.ipi6_addr.s6_addr.into(),
        hop_limit: u8::try_from(hops).ok()?,
        payload,
    };
    Some((datagram, at))
}
