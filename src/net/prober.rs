//! Hears who answers inquiries; the sockets are there only while answers are awaited.
//!
//! Packet sockets, because the answers name a hardware address and are of no use to the kernel. A filter in the kernel
//! lets nothing through but answers. One stop before: the wire. One stop after: `net::conflict`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{LinkAddr, recvfrom, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::wire::announce::Mac;
use crate::wire::inquiry::{arp_reply, neighbor_advert};

/// Which hardware addresses answered for an address, by interface.
pub type Answers = BTreeMap<(u32, IpAddr), Vec<Mac>>;

/// The two sockets.
#[derive(Debug)]
pub struct Prober {
    arp: Socket,
    neighbor: Option<Socket>,
}

impl Prober {
    /// Opens the sockets; answers are heard from here on.
    ///
    /// **Errors:** what the kernel says. Without IPv6 in the kernel there is no second socket.
    pub fn open() -> io::Result<Self> {
        let arp = tap(ETHERTYPE_ARP, &[LOAD_HALF_OPERATION, jump(ARP_REPLY, 0, 1), TAKE, LEAVE])?;
        let filter =
            [LOAD_NEXT_HEADER, jump(ICMPV6, 0, 3), LOAD_ICMP_TYPE, jump(NEIGHBOUR_ADVERTISEMENT, 0, 1), TAKE, LEAVE];
        Ok(Self { arp, neighbor: tap(ETHERTYPE_IPV6, &filter).ok() })
    }

    /// Reads what was answered, at most a bounded number.
    pub fn read(&self) -> Answers {
        let mut answers = Answers::new();
        let mut add = |interface, address, mac| {
            let macs: &mut Vec<Mac> = answers.entry((interface, address)).or_default();
            if !macs.contains(&mac) && macs.len() < MACS {
                macs.push(mac);
            }
        };
        drain(&self.arp, |interface, frame| {
            arp_reply(frame).into_iter().for_each(|(address, mac)| add(interface, address.into(), mac));
        });
        if let Some(socket) = &self.neighbor {
            drain(socket, |interface, frame| {
                neighbor_advert(frame).into_iter().for_each(|(address, mac)| add(interface, address.into(), mac));
            });
        }
        answers
    }
}

fn tap(ethertype: u16, filter: &[SockFilter]) -> io::Result<Socket> {
    let protocol = Protocol::from(i32::from(ethertype.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), Some(protocol))?;
    socket.attach_filter(filter)?;
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    Ok(socket)
}

fn drain(socket: &Socket, mut on: impl FnMut(u32, &[u8])) {
    let mut frame = [0; FRAME];
    for _ in 0..FRAMES {
        let Ok((len, Some(from))) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut frame) else { return };
        if let (Ok(interface), Some(frame)) = (u32::try_from(from.ifindex()), frame.get(..len)) {
            on(interface, frame);
        }
    }
}

const fn jump(value: u32, if_true: u8, if_false: u8) -> SockFilter {
    SockFilter::new(0x15, if_true, if_false, value)
}

/// Half a word at the operation of ARP.
const LOAD_HALF_OPERATION: SockFilter = SockFilter::new(0x28, 0, 0, 20);
const LOAD_NEXT_HEADER: SockFilter = SockFilter::new(0x30, 0, 0, 20);
const LOAD_ICMP_TYPE: SockFilter = SockFilter::new(0x30, 0, 0, 54);
const TAKE: SockFilter = SockFilter::new(0x06, 0, 0, 0xffff);
const LEAVE: SockFilter = SockFilter::new(0x06, 0, 0, 0);
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ARP_REPLY: u32 = 2;
const ICMPV6: u32 = 58;
const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
/// Longer than any answer that is read.
const FRAME: usize = 128;
/// Answers read at once.
const FRAMES: usize = 8192;
/// Hardware addresses kept for one address.
const MACS: usize = 4;
/// Room for the answers of some thousand addresses.
const RECEIVE_BUFFER: usize = 4 << 20;
