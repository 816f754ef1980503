//! Tells the neighbours where VIPs are: gratuitous ARP and unsolicited neighbour advertisements, paced.
//!
//! One packet socket for all interfaces; each frame names its interface by a link-layer address. Such an address cannot
//! be made from an index in safe Rust, so it is taken from the list of interfaces that the C library gives out; of what
//! it holds the kernel heeds only the index. First every address once, then (IPv4) every address in the second form,
//! so that a long list does not keep an address waiting for the repeats of others.
//! One stop before: [`super::service`]. One stop after: the wire.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, MultiHeaders, sendmmsg, sendto, setsockopt, sockopt};
use rustc_hash::{FxHashMap, FxHashSet};
use socket2::{Domain, Socket, Type};

use super::links::Links;
use super::vips::{VipId, Vips};
use crate::engine::input::RouterKey;
use crate::wire::announce::{ARP_FRAME_LEN, ArpForm, NA_FRAME_LEN, write_gratuitous_arp, write_neighbor_advert};

/// Frames that may go out at once after a quiet time.
const BURST: usize = 256;
/// Frames that may go out per tick of a millisecond: 2000 addresses in 16 ms, 90 Mbit/s at most.
const PER_TICK: usize = 128;
/// Frames per system call.
const BATCH: usize = 64;
/// Announcements that may be pending; beyond that they are dropped and counted, for the next refresh to make up.
const MAX_PENDING: usize = 1 << 16;
/// Send buffer asked for.
const SEND_BUFFER: usize = 4 << 20;

/// Counts since start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AnnounceCounters {
    /// Frames sent.
    pub sent: u64,
    /// Frames the kernel refused for good.
    pub failed: u64,
    /// Announcements that were pending already.
    pub merged: u64,
    /// Announcements dropped because too many were pending.
    pub dropped: u64,
}

/// The packet socket and what it has yet to send.
pub struct Announcer {
    socket: Socket,
    queue: Queue,
    targets: FxHashMap<u32, LinkAddr>,
    credit: usize,
    counters: AnnounceCounters,
}

/// What became of one system call.
enum Sent {
    /// The whole batch left or was refused for good.
    All,
    /// The kernel's queue is full; frames from this one on are to be tried again.
    UpTo(usize),
}

/// One frame, ready to leave.
struct Frame {
    entry: Entry,
    target: LinkAddr,
    bytes: [u8; NA_FRAME_LEN],
    len: usize,
}

impl Announcer {
    /// Opens the packet socket, which receives nothing.
    ///
    /// **Errors:** what the kernel says; permission is denied without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        if setsockopt(&socket, sockopt::SndBufForce, &SEND_BUFFER).is_err() {
            let _ = socket.set_send_buffer_size(SEND_BUFFER);
        }
        Ok(Self {
            socket,
            queue: Queue::default(),
            targets: FxHashMap::default(),
            credit: BURST,
            counters: AnnounceCounters::default(),
        })
    }

    /// Queues VIPs of a router; one that is pending already is not queued twice.
    pub fn announce(&mut self, router: RouterKey, vips: Range<u16>) {
        for index in vips {
            match self.queue.push((router, index)) {
                Pushed::Queued => {}
                Pushed::Merged => self.counters.merged += 1,
                Pushed::Dropped => self.counters.dropped += 1,
            }
        }
    }

    /// Learns the link-layer addresses of interfaces that appeared, so that the first announcement need not.
    pub fn learn(&mut self) {
        let Ok(list) = getifaddrs() else { return };
        self.targets.clear();
        for entry in list {
            if let Some(target) = entry.address.as_ref().and_then(|address| address.as_link_addr())
                && let Ok(index) = u32::try_from(target.ifindex())
            {
                self.targets.insert(index, *target);
            }
        }
    }

    /// Says whether the link-layer address of an interface is known.
    pub fn knows(&self, index: u32) -> bool {
        self.targets.contains_key(&index)
    }

    /// Sends one frame that is no announcement; one that the kernel refuses is lost.
    pub fn send_frame(&mut self, interface: u32, frame: &[u8]) {
        if !self.knows(interface) {
            self.learn();
        }
        if let Some(target) = self.targets.get(&interface) {
            let _ = sendto(self.socket.as_raw_fd(), frame, target, MsgFlags::MSG_DONTWAIT);
        }
    }

    /// Returns the counts since start.
    pub fn counters(&self) -> AnnounceCounters {
        self.counters
    }

    /// Says whether anything waits to be sent.
    pub fn is_pending(&self) -> bool {
        !self.queue.is_empty()
    }

    /// A quiet time passed: a full burst may go out.
    pub fn rested(&mut self) {
        self.credit = BURST;
    }

    /// A millisecond passed.
    pub fn tick(&mut self) {
        self.credit = (self.credit + PER_TICK).min(BURST);
    }

    /// Sends what may be sent. An announcement of a VIP that is not held, or whose interface has no use for it, is left out.
    ///
    /// While addresses are being added nothing is sent twice: the first announcement of the last one comes first.
    pub fn flush(&mut self, vips: &Vips, links: &Links) {
        let mut forwarding = FxHashMap::default();
        let mut has_learnt = false;
        let is_busy = vips.has_work();
        while self.credit > 0 && !self.queue.is_empty() {
            let mut frames: Vec<Frame> =
                Vec::with_capacity(BATCH.min(self.queue.first.len() + self.queue.second.len()));
            while frames.len() < BATCH.min(self.credit) {
                let Some(entry) = self.queue.pop(is_busy) else { break };
                frames.extend(self.frame(entry, vips, links, &mut forwarding, &mut has_learnt));
            }
            if frames.is_empty() && is_busy {
                return;
            }
            self.credit -= frames.len();
            match self.send(&frames) {
                Sent::All => {}
                Sent::UpTo(count) => {
                    for frame in frames.drain(..).skip(count).rev() {
                        self.queue.put_back(frame.entry);
                    }
                    self.credit = 0;
                }
            }
        }
    }

    /// Makes the frame of an announcement; `None` when there is nothing to tell.
    fn frame(
        &mut self,
        entry: Entry,
        vips: &Vips,
        links: &Links,
        forwarding: &mut FxHashMap<u32, bool>,
        has_learnt: &mut bool,
    ) -> Option<Frame> {
        let place = vips.held(entry.vip)?;
        let link = links.link(place.interface)?;
        let mac = link.mac.filter(|_| link.is_up && link.is_running)?;
        if !self.targets.contains_key(&place.interface) && !std::mem::replace(has_learnt, true) {
            self.learn();
        }
        let target = *self.targets.get(&place.interface)?;
        let mut bytes = [0; NA_FRAME_LEN];
        let len = match place.address {
            IpAddr::V4(address) => {
                let mut frame = [0; ARP_FRAME_LEN];
                write_gratuitous_arp(&mut frame, mac, address, entry.form);
                bytes.get_mut(..ARP_FRAME_LEN)?.copy_from_slice(&frame);
                ARP_FRAME_LEN
            }
            IpAddr::V6(address) => {
                let is_router = *forwarding.entry(place.interface).or_insert_with(|| is_forwarding(&link.name));
                write_neighbor_advert(&mut bytes, mac, address, is_router);
                NA_FRAME_LEN
            }
        };
        match (place.address, entry.form) {
            (IpAddr::V4(_), ArpForm::Request) => self.queue.push_second(entry.vip),
            (IpAddr::V4(_), ArpForm::Reply) | (IpAddr::V6(_), ArpForm::Request | ArpForm::Reply) => {}
        }
        Some(Frame { entry, target, bytes, len })
    }

    fn send(&mut self, frames: &[Frame]) -> Sent {
        let pieces: Vec<[IoSlice<'_>; 1]> =
            frames.iter().map(|frame| [IoSlice::new(frame.bytes.get(..frame.len).unwrap_or_default())]).collect();
        let targets: Vec<Option<LinkAddr>> = frames.iter().map(|frame| Some(frame.target)).collect();
        let mut headers = MultiHeaders::preallocate(frames.len(), None);
        let mut done = 0;
        while let (Some(pieces), Some(targets)) = (pieces.get(done..), targets.get(done..))
            && !pieces.is_empty()
        {
            match sendmmsg(self.socket.as_raw_fd(), &mut headers, pieces, targets, [], MsgFlags::MSG_DONTWAIT) {
                Ok(sent) => {
                    let count = sent.count();
                    self.counters.sent += count as u64;
                    done += count.max(1);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return Sent::UpTo(done),
                Err(_) => {
                    self.counters.failed += 1;
                    done += 1;
                }
            }
        }
        Sent::All
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Says whether an interface forwards IPv6, which is what the kernel's own answers put into the router flag.
pub fn is_forwarding(name: &str) -> bool {
    let setting = fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}/forwarding"));
    setting.is_ok_and(|text| text.trim_end() != "0")
}

/// Announcements to be sent.
#[derive(Debug, Default)]
struct Queue {
    first: VecDeque<VipId>,
    second: VecDeque<VipId>,
    in_first: FxHashSet<VipId>,
    in_second: FxHashSet<VipId>,
}

/// One announcement to be sent; the form matters for IPv4 only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    vip: VipId,
    form: ArpForm,
}

/// What became of an announcement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pushed {
    Queued,
    Merged,
    Dropped,
}

impl Queue {
    fn push(&mut self, vip: VipId) -> Pushed {
        if self.in_first.contains(&vip) {
            return Pushed::Merged;
        }
        if self.first.len() >= MAX_PENDING {
            return Pushed::Dropped;
        }
        self.in_first.insert(vip);
        self.first.push_back(vip);
        Pushed::Queued
    }

    fn push_second(&mut self, vip: VipId) {
        // Bounded by what was in the first pass.
        if self.second.len() < MAX_PENDING && self.in_second.insert(vip) {
            self.second.push_back(vip);
        }
    }

    /// Takes out the next one; `only_first`: none that is a repeat.
    fn pop(&mut self, only_first: bool) -> Option<Entry> {
        if let Some(vip) = self.first.pop_front() {
            self.in_first.remove(&vip);
            return Some(Entry { vip, form: ArpForm::Request });
        }
        if only_first {
            return None;
        }
        let vip = self.second.pop_front()?;
        self.in_second.remove(&vip);
        Some(Entry { vip, form: ArpForm::Reply })
    }

    /// Puts back what could not be sent, to be the next.
    fn put_back(&mut self, entry: Entry) {
        match entry.form {
            ArpForm::Request if self.in_first.insert(entry.vip) => self.first.push_front(entry.vip),
            ArpForm::Reply if self.in_second.insert(entry.vip) => self.second.push_front(entry.vip),
            ArpForm::Request | ArpForm::Reply => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.second.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vip(index: u16) -> VipId {
        (RouterKey(0), index)
    }

    #[test]
    fn every_address_goes_once_before_any_goes_twice() {
        let mut queue = Queue::default();
        for index in 0..3 {
            assert_eq!(queue.push(vip(index)), Pushed::Queued);
        }
        let mut order = Vec::new();
        while let Some(entry) = queue.pop(false) {
            order.push((entry.vip.1, entry.form));
            if entry.form == ArpForm::Request {
                queue.push_second(entry.vip);
            }
            if order.len() == 1 {
                assert_eq!(queue.push(vip(7)), Pushed::Queued);
            }
        }
        let first = [0, 1, 2, 7].map(|index| (index, ArpForm::Request));
        let second = [0, 1, 2, 7].map(|index| (index, ArpForm::Reply));
        assert_eq!(order, [first, second].concat());
    }

    #[test]
    fn pending_announcement_is_merged_and_a_sent_one_is_not() {
        let mut queue = Queue::default();
        queue.push(vip(1));
        assert_eq!(queue.push(vip(1)), Pushed::Merged);
        queue.pop(false);
        assert_eq!(queue.push(vip(1)), Pushed::Queued);
    }

    #[test]
    fn queue_is_bounded() {
        let mut queue = Queue::default();
        for router in 0..u32::try_from(MAX_PENDING).unwrap() {
            assert_eq!(queue.push((RouterKey(router), 0)), Pushed::Queued);
        }
        assert_eq!(queue.push(vip(1)), Pushed::Dropped);
    }

    #[test]
    fn what_could_not_be_sent_comes_next() {
        let mut queue = Queue::default();
        queue.push(vip(1));
        queue.push(vip(2));
        let entry = queue.pop(false).unwrap();
        queue.put_back(entry);
        assert_eq!(queue.pop(false), Some(entry));
        assert_eq!(queue.pop(false).map(|entry| entry.vip), Some(vip(2)));
    }
}
