//! Adverts out: `engine::output::Transmit` values, up to 64 per system call.
//!
//! Source address and interface go with each call as packet information, so messages are grouped by them. Never waits:
//! what the kernel does not take at once is reported and lost, as any datagram may be. One stop before:
//! `daemon::effects`.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, sendmmsg};
use socket2::{Domain, SockFilter, Socket};

use super::{AH, BATCH, OpenError, TRAFFIC_CLASS, TTL, VRRP, Wanted, grow_send_buffer, open_raw};
use crate::engine::output::Transmit;

/// Send buffer asked for: what several stuck interfaces can hold must not keep the others from sending.
const SEND_BUFFER: usize = 16 << 20;
/// IP protocol of a raw socket that receives nothing and whose sender writes the IP header.
const RAW: i32 = 255;
/// Length of the IPv4 header that is written for the Authentication Header.
const IP_HEADER: usize = 20;
/// Queueing priority "control"; needs CAP_NET_ADMIN.
const PRIORITY_CONTROL: u32 = 7;
/// Queueing priority "interactive", the highest that needs nothing.
const PRIORITY_FREE: u32 = 6;

/// A message the kernel did not take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its place in the batch.
    pub index: usize,
    /// Why.
    pub errno: Errno,
}

/// The send sockets of the protocol thread.
pub struct Sender {
    v4: Option<Socket>,
    v6: Option<Socket>,
    ah: Option<Socket>,
    headers_v4: MultiHeaders<SockaddrIn>,
    headers_v6: MultiHeaders<SockaddrIn6>,
    /// Places in the batch, grouped; kept for its capacity.
    order: Vec<Place>,
    failures: Vec<Failure>,
}

/// Which socket a message leaves by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Outlet {
    V4,
    V6,
    Ah,
}

/// One message: where to and what.
pub type Message<'a> = (&'a Transmit, &'a [u8]);

/// A message of a batch: its [`neighbourhood`] and its index.
type Place = (u64, usize);

impl Sender {
    /// Opens the sockets that are wanted.
    ///
    /// **Errors:** the first that the kernel refused; [`OpenError::is_permission`] without CAP_NET_RAW.
    pub fn open(wanted: Wanted) -> Result<Self, OpenError> {
        let mut sender = Self {
            v4: None,
            v6: None,
            ah: None,
            headers_v4: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(in_pktinfo))),
            headers_v6: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(in6_pktinfo))),
            order: Vec::new(),
            failures: Vec::new(),
        };
        sender.open_more(wanted)?;
        Ok(sender)
    }

    /// Opens what is wanted and not open yet; what is open stays.
    ///
    /// **Errors:** as [`Sender::open`]; what was opened before that stays open.
    pub fn open_more(&mut self, wanted: Wanted) -> Result<(), OpenError> {
        if wanted.v4 && self.v4.is_none() {
            self.v4 = Some(open_v4(VRRP, "a raw IPv4 socket to send VRRP")?);
        }
        if wanted.v6 && self.v6.is_none() {
            self.v6 = Some(open_v6("a raw IPv6 socket to send VRRP")?);
        }
        if wanted.ah && self.ah.is_none() {
            self.ah = Some(open_v4(RAW, "a raw IPv4 socket to send the authentication header")?);
        }
        Ok(())
    }

    /// Sends every message of a batch, as [`Sender::send_each`].
    pub fn send(&mut self, batch: &[Message<'_>]) -> &[Failure] {
        self.send_each(batch.len(), |index| batch.get(index).copied())
    }

    /// Sends `count` messages, grouped by interface, family and source, else in their order; `message` returns each by its
    /// place.
    ///
    /// Never blocks, and allocates nothing once it has sent as many. Returns the messages the kernel did not take; one
    /// failing does not stop the others, except that a full send buffer fails the rest of its group at once.
    pub fn send_each<'a>(&mut self, count: usize, message: impl Fn(usize) -> Option<Message<'a>>) -> &[Failure] {
        self.failures.clear();
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend((0..count).filter_map(|index| Some((neighbourhood(message(index)?.0), index))));
        // Unstable sorting needs no memory; the index makes it stable.
        order.sort_unstable();
        let group = |place: &Place| message(place.1).map(|(transmit, _)| key(transmit));
        for group in order.chunk_by(|a, b| a.0 == b.0 && group(a) == group(b)) {
            for chunk in group.chunks(BATCH) {
                self.send_chunk(&message, chunk);
            }
        }
        self.order = order;
        &self.failures
    }

    /// Sends up to [`BATCH`] messages of one group.
    fn send_chunk<'a>(&mut self, message: &impl Fn(usize) -> Option<Message<'a>>, chunk: &[Place]) {
        let Some((first, _)) = chunk.first().and_then(|(_, index)| message(*index)) else {
            return;
        };
        let outlet = outlet(first);
        let socket = match outlet {
            Outlet::V4 => &self.v4,
            Outlet::V6 => &self.v6,
            Outlet::Ah => &self.ah,
        };
        let Some(socket) = socket else {
            return fail(&mut self.failures, chunk, Errno::EAFNOSUPPORT);
        };
        let mut headers = [[0; IP_HEADER]; BATCH];
        let mut pieces = [[IoSlice::new(&[]), IoSlice::new(&[])]; BATCH];
        for ((piece, header), (_, index)) in pieces.iter_mut().zip(&mut headers).zip(chunk) {
            let Some((transmit, bytes)) = message(*index) else { continue };
            *piece = match outlet {
                Outlet::V4 | Outlet::V6 => [IoSlice::new(&[]), IoSlice::new(bytes)],
                Outlet::Ah => {
                    *header = ip_header(transmit);
                    [IoSlice::new(header), IoSlice::new(bytes)]
                }
            };
        }
        match first.source {
            IpAddr::V4(source) => {
                let place = in_pktinfo {
                    ipi_ifindex: first.interface.cast_signed(),
                    ipi_spec_dst: in_addr { s_addr: u32::from(source).to_be() },
                    ipi_addr: in_addr { s_addr: 0 },
                };
                let control = [ControlMessage::Ipv4PacketInfo(&place)];
                let mut targets = [None; BATCH];
                for (target, (_, index)) in targets.iter_mut().zip(chunk) {
                    *target = message(*index).and_then(|(transmit, _)| target_v4(transmit));
                }
                flush(socket, &mut self.headers_v4, &pieces, &targets, &control, chunk, &mut self.failures);
            }
            IpAddr::V6(source) => {
                let place =
                    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: source.octets() }, ipi6_ifindex: first.interface };
                let control = [ControlMessage::Ipv6PacketInfo(&place)];
                let mut targets = [None; BATCH];
                for (target, (_, index)) in targets.iter_mut().zip(chunk) {
                    *target = message(*index).and_then(|(transmit, _)| target_v6(transmit));
                }
                flush(socket, &mut self.headers_v6, &pieces, &targets, &control, chunk, &mut self.failures);
            }
        }
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("v4", &self.v4)
            .field("v6", &self.v6)
            .field("ah", &self.ah)
            .finish_non_exhaustive()
    }
}

/// Hands a chunk to the kernel, going on behind each message it refuses.
fn flush<S: SockaddrLike + Copy>(
    socket: &Socket,
    headers: &mut MultiHeaders<S>,
    pieces: &[[IoSlice<'_>; 2]; BATCH],
    targets: &[Option<S>; BATCH],
    control: &[ControlMessage<'_>; 1],
    chunk: &[Place],
    failures: &mut Vec<Failure>,
) {
    let mut done = 0;
    while done < chunk.len() {
        let (Some(pieces), Some(targets), Some(rest)) =
            (pieces.get(done..chunk.len()), targets.get(done..chunk.len()), chunk.get(done..))
        else {
            return;
        };
        if targets.first().is_some_and(Option::is_none) {
            // Its destination is of another family than its source.
            fail(failures, rest.get(..1).unwrap_or_default(), Errno::EAFNOSUPPORT);
            done += 1;
            continue;
        }
        let sendable = targets.iter().take_while(|target| target.is_some()).count();
        let targets = targets.get(..sendable).unwrap_or_default();
        let fd = socket.as_raw_fd();
        match sendmmsg(fd, headers, pieces, targets, control, MsgFlags::MSG_DONTWAIT) {
            Ok(sent) => done += sent.count().max(1),
            Err(Errno::EINTR) => {}
            Err(full @ (Errno::EAGAIN | Errno::ENOBUFS)) => return fail(failures, rest, full),
            Err(errno) => {
                fail(failures, rest.get(..1).unwrap_or_default(), errno);
                done += 1;
            }
        }
    }
}

/// Notes that messages were not taken.
fn fail(failures: &mut Vec<Failure>, places: &[Place], errno: Errno) {
    failures.extend(places.iter().map(|(_, index)| Failure { index: *index, errno }));
}

/// Returns what all messages of one call must share.
fn key(transmit: &Transmit) -> (Outlet, IpAddr, u32) {
    (outlet(transmit), transmit.source, transmit.interface)
}

/// Returns a number that is the same for messages of one [`key`], and as a rule for no others: cheap to sort by.
fn neighbourhood(transmit: &Transmit) -> u64 {
    let folded = match transmit.source {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits ^ bits >> 32 ^ bits >> 64 ^ bits >> 96) as u32
        }
    };
    u64::from(transmit.interface) << 32 | u64::from(outlet(transmit) as u8) << 30 | u64::from(folded & 0x3fff_ffff)
}

/// Chooses the socket.
fn outlet(transmit: &Transmit) -> Outlet {
    match (transmit.source, transmit.ah) {
        (IpAddr::V4(_), None) => Outlet::V4,
        (IpAddr::V4(_), Some(_)) => Outlet::Ah,
        (IpAddr::V6(_), None | Some(_)) => Outlet::V6,
    }
}

/// Returns the kernel's form of the destination.
fn target_v4(transmit: &Transmit) -> Option<SockaddrIn> {
    match transmit.destination {
        IpAddr::V4(address) => Some(SocketAddrV4::new(address, 0).into()),
        IpAddr::V6(_) => None,
    }
}

/// As [`target_v4`]; link-local and multicast destinations need the interface as their scope.
fn target_v6(transmit: &Transmit) -> Option<SockaddrIn6> {
    match transmit.destination {
        IpAddr::V6(address) => {
            let scope = if needs_scope(address) { transmit.interface } else { 0 };
            Some(SocketAddrV6::new(address, 0, 0, scope).into())
        }
        IpAddr::V4(_) => None,
    }
}

/// Says whether an address means something on one link only.
fn needs_scope(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() || address.is_multicast()
}

/// Writes the IPv4 header in front of an Authentication Header, whose digest covers it; the kernel fills in total
/// length and checksum and keeps the rest.
fn ip_header(transmit: &Transmit) -> [u8; IP_HEADER] {
    let id = transmit.ah.map_or(0, |ah| ah.ip_id).to_be_bytes();
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED.octets(),
    };
    let [s0, s1, s2, s3] = octets(transmit.source);
    let [d0, d1, d2, d3] = octets(transmit.destination);
    let (tos, ttl, protocol) = (TRAFFIC_CLASS as u8, TTL as u8, AH as u8);
    [0x45, tos, 0, 0, id[0], id[1], 0, 0, ttl, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3]
}

/// Opens an IPv4 send socket; with protocol [`RAW`] the sender writes the IP header.
fn open_v4(protocol: i32, what: &'static str) -> Result<Socket, OpenError> {
    let socket = open_raw(Domain::IPV4, protocol, what)?;
    let set_up = || {
        socket.set_ttl_v4(TTL)?;
        socket.set_multicast_ttl_v4(TTL)?;
        socket.set_multicast_loop_v4(false)?;
        socket.set_tos_v4(TRAFFIC_CLASS)?;
        // Setting the traffic class sets a priority too, so this comes after it.
        send_only(&socket)
    };
    set_up().map_err(|source| OpenError { what, source })?;
    stand_aside(&socket, IpAddr::V4(Ipv4Addr::LOCALHOST));
    Ok(socket)
}

/// Opens the IPv6 send socket.
fn open_v6(what: &'static str) -> Result<Socket, OpenError> {
    let socket = open_raw(Domain::IPV6, VRRP, what)?;
    let set_up = || {
        socket.set_unicast_hops_v6(TTL)?;
        socket.set_multicast_hops_v6(TTL)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_tclass_v6(TRAFFIC_CLASS)?;
        send_only(&socket)
    };
    set_up().map_err(|source| OpenError { what, source })?;
    stand_aside(&socket, IpAddr::V6(Ipv6Addr::LOCALHOST));
    Ok(socket)
}

/// Keeps the kernel from making a copy of each packet that arrives, only for the filter of [`send_only`] to drop it: a bound raw
/// socket is offered only what is for its address. What is sent names its own source.
///
/// Where that fails, the copies are made.
fn stand_aside(socket: &Socket, address: IpAddr) {
    let set_freebind = |on| match address {
        IpAddr::V4(_) => socket.set_freebind_v4(on),
        IpAddr::V6(_) => socket.set_freebind_v6(on),
    };
    // The loopback interface may be down, or have no addresses.
    let _ = set_freebind(true);
    let _ = socket.bind(&SocketAddr::new(address, 0).into());
    // With it the kernel would not check the source address of what is sent.
    let _ = set_freebind(false);
}

/// Gives a socket its priority and a large send buffer, and keeps the kernel from queueing what it would receive: a raw
/// socket gets a copy of every packet of its protocol.
fn send_only(socket: &Socket) -> std::io::Result<()> {
    // "Return 0": accept no byte of any packet.
    socket.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
    grow_send_buffer(socket, SEND_BUFFER);
    socket.set_priority(PRIORITY_CONTROL).or_else(|_| socket.set_priority(PRIORITY_FREE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::input::RouterKey;
    use crate::engine::output::AhHeader;

    fn transmit(source: &str, destination: &str, interface: u32) -> Transmit {
        Transmit {
            router: RouterKey(0),
            interface,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            ah: None,
            range: 0..0,
        }
    }

    #[test]
    fn header_for_ah_holds_what_the_digest_covers() {
        let mut packet = transmit("10.0.0.1", "224.0.0.18", 3);
        packet.ah = Some(AhHeader { ip_id: 0x1234 });
        let expected = [0x45, 0xc0, 0, 0, 0x12, 0x34, 0, 0, 255, 51, 0, 0, 10, 0, 0, 1, 224, 0, 0, 18];
        assert_eq!(ip_header(&packet), expected);
        assert_eq!(outlet(&packet), Outlet::Ah);
    }

    #[test]
    fn only_link_local_and_group_destinations_carry_the_interface() {
        for (destination, scope) in [("fe80::1", 3), ("ff02::12", 3), ("2001:db8::1", 0)] {
            let target = target_v6(&transmit("fe80::2", destination, 3)).unwrap();
            assert_eq!(target.scope_id(), scope, "{destination}");
        }
        assert_eq!(target_v6(&transmit("fe80::2", "10.0.0.1", 3)), None);
        assert_eq!(target_v4(&transmit("10.0.0.2", "fe80::1", 3)), None);
    }

    #[test]
    fn messages_for_a_socket_that_is_not_open_fail_one_by_one() {
        let mut sender = Sender::open(Wanted { v4: false, v6: false, ah: false }).unwrap();
        let (first, second) = (transmit("10.0.0.1", "10.0.0.2", 1), transmit("fe80::1", "fe80::2", 1));
        let batch: Vec<Message<'_>> = vec![(&second, &[]), (&first, &[])];
        let failed: Vec<usize> = sender.send(&batch).iter().map(|failure| failure.index).collect();
        assert_eq!(failed, [1, 0]);
    }
}
