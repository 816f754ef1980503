//! Hears who answers inquiries; the sockets are there while answers are awaited, and a little longer.
//!
//! Packet sockets, because the answers name a hardware address and are of no use to the kernel. A filter in the kernel
//! lets nothing through but answers. One stop before: the wire. One stop after: `net::conflict`, `net::asking`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{LinkAddr, recvfrom, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::engine::time::Instant;
use crate::wire::announce::Mac;
use crate::wire::inquiry::{arp_reply, neighbor_advert};

/// Which hardware addresses answered for an address, by interface.
pub type Answers = BTreeMap<(u32, IpAddr), Vec<Mac>>;

/// Sockets that are there while answers are awaited, and for a while after.
///
/// Answers come within microseconds where the host asked for lives, so that a takeover of thousands would open and close
/// them once for each question.
#[derive(Debug, Default)]
pub struct Ears {
    prober: Option<Prober>,
    is_awaiting: bool,
    /// When they are closed, while nothing is awaited.
    close_at: Option<Instant>,
}

impl Ears {
    /// Answers are awaited from here on; says whether any can be heard. What came before is no answer.
    pub fn listen(&mut self) -> bool {
        if self.prober.is_none() {
            self.prober = Prober::open().ok();
        } else if !self.is_awaiting {
            self.read();
        }
        self.is_awaiting = self.prober.is_some();
        self.is_awaiting
    }

    /// Reads what was answered, at most a bounded number.
    pub fn read(&self) -> Answers {
        self.prober.as_ref().map(Prober::read).unwrap_or_default()
    }

    /// No answer is awaited any more.
    pub fn rest(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_awaiting) {
            self.close_at = Some(now + LINGER);
        }
    }

    /// Closes the sockets when nothing was awaited for a while.
    pub fn turn(&mut self, now: Instant) {
        if !self.is_awaiting && self.close_at.take_if(|at| *at <= now).is_some() {
            self.prober = None;
        }
    }

    /// Returns when the sockets are closed; `None`: answers are awaited, or there are no sockets.
    pub fn deadline(&self) -> Option<Instant> {
        self.close_at.filter(|_| !self.is_awaiting)
    }
}

/// The two sockets.
#[derive(Debug)]
pub struct Prober {
    sockets: Option<Sockets>,
}

#[derive(Debug)]
struct Sockets {
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
        Ok(Self { sockets: Some(Sockets { arp, neighbor: tap(ETHERTYPE_IPV6, &filter).ok() }) })
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
        let Some(Sockets { arp, neighbor }) = &self.sockets else { return answers };
        drain(arp, |interface, frame| {
            arp_reply(frame).into_iter().for_each(|(address, mac)| add(interface, address.into(), mac));
        });
        if let Some(socket) = neighbor {
            drain(socket, |interface, frame| {
                neighbor_advert(frame).into_iter().for_each(|(address, mac)| add(interface, address.into(), mac));
            });
        }
        answers
    }
}

impl Drop for Prober {
    /// Closes the sockets without waiting for it: the kernel lets go of a packet socket only when no processor looks at a
    /// packet for it any more, which takes ten milliseconds and more.
    fn drop(&mut self) {
        let sockets = self.sockets.take();
        // Without a thread they are closed here, within the call.
        let _ = thread::Builder::new().name("close".to_owned()).stack_size(STACK).spawn(move || drop(sockets));
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
/// How long the sockets stay when nothing is awaited.
const LINGER: Duration = Duration::from_secs(2);
/// Of the thread that closes sockets.
const STACK: usize = 64 << 10;
/// Longer than any answer that is read.
const FRAME: usize = 128;
/// Answers read at once.
const FRAMES: usize = 8192;
/// Hardware addresses kept for one address.
const MACS: usize = 4;
/// Room for the answers of some thousand addresses.
const RECEIVE_BUFFER: usize = 4 << 20;
