//! Who holds an address and who says what, with times: a thread that listens to the kernel.
//!
//! Addresses come from netlink notifications in each node's namespace, adverts and announcements from a tap on the
//! switch ports, stamped by the kernel. Nothing here asks a daemon.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::clock::now;
use super::error::LabError;
use super::frame::{self, Frame};
use super::lab::{Lab, Node};

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When, by the wall clock since 1970-01-01 UTC.
    pub at: Duration,
    /// At whose place, or who sent it.
    pub node: Node,
    /// What.
    pub what: Sight,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The node's kernel holds this address from here on.
    Acquired(IpAddr),
    /// The node's kernel holds this address no longer.
    Released(IpAddr),
    /// The node sent this.
    Sent(Frame),
    /// This advert of another node was delivered to the node.
    Heard(Frame),
}

/// Everything seen so far, in the order it was read.
#[derive(Clone, Debug, Default)]
pub struct Log {
    sightings: Vec<Sighting>,
    held: BTreeSet<(IpAddr, Node)>,
}

impl Log {
    /// Returns what was seen, oldest first.
    pub fn sightings(&self) -> &[Sighting] {
        &self.sightings
    }

    /// Returns who holds the address, in the order of the nodes.
    pub fn holders(&self, address: IpAddr) -> Vec<Node> {
        self.held.iter().filter(|(held, _)| *held == address).map(|(_, node)| *node).collect()
    }

    /// Returns the times at which `node` came to hold `address`, from `since` on.
    pub fn acquisitions(&self, address: IpAddr, node: Node, since: Duration) -> Vec<Duration> {
        let wanted = Sight::Acquired(address);
        self.sightings
            .iter()
            .filter(|seen| seen.at >= since && seen.node == node && seen.what == wanted)
            .map(|seen| seen.at)
            .collect()
    }

    /// Returns for how long a node told the neighbours of an address before it had it, from `since` on; zero when it first
    /// had it. What a client sends to it in that time is lost.
    pub fn announced_too_early(&self, address: IpAddr, node: Node, since: Duration) -> Duration {
        let first = |wanted: Sight| {
            self.sightings.iter().find(|seen| seen.at >= since && seen.node == node && seen.what == wanted)
        };
        match (first(Sight::Sent(Frame::Announcement { address })), first(Sight::Acquired(address))) {
            (Some(told), Some(held)) => held.at.saturating_sub(told.at),
            (_, _) => Duration::ZERO,
        }
    }

    /// Returns the times and priorities of a node's adverts, from `since` on.
    pub fn adverts(&self, node: Node, since: Duration) -> Vec<(Duration, u8)> {
        self.sightings
            .iter()
            .filter(|seen| seen.at >= since && seen.node == node)
            .filter_map(|seen| match seen.what {
                Sight::Sent(Frame::Advert { priority, .. }) => Some((seen.at, priority)),
                Sight::Sent(Frame::Announcement { .. }) => None,
                Sight::Heard(_) | Sight::Acquired(_) | Sight::Released(_) => None,
            })
            .collect()
    }

    /// Returns how far apart a node's adverts were, from `since` on; `None` with fewer than two.
    pub fn spacing(&self, node: Node, since: Duration) -> Option<Spacing> {
        let times: Vec<_> = self.adverts(node, since).into_iter().map(|(at, _)| at).collect();
        let (first, last) = (times.first()?, times.last()?);
        let mut gaps: Vec<_> =
            times.iter().zip(times.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one)).collect();
        gaps.sort_unstable();
        let count = u32::try_from(gaps.len()).ok().filter(|count| *count > 0)?;
        Some(Spacing {
            mean: last.saturating_sub(*first) / count,
            median: *gaps.get(gaps.len() / 2)?,
            nine_in_ten: *gaps.get(gaps.len() * 9 / 10)?,
            longest: *gaps.last()?,
        })
    }

    /// Returns when the last advert of a router with a priority above 0 from `source` was delivered to `node`, before `until`.
    pub fn last_heard(&self, node: Node, vrid: u8, source: IpAddr, until: Duration) -> Option<Duration> {
        let mut heard = self.sightings.iter().rev().filter(|seen| seen.at < until && seen.node == node);
        let is_from_source = |seen: &&Sighting| match &seen.what {
            Sight::Heard(Frame::Advert { vrid: of, priority, source: from, .. }) => {
                *priority > 0 && *from == source && *of == vrid
            }
            Sight::Heard(Frame::Announcement { .. }) => false,
            Sight::Sent(_) | Sight::Acquired(_) | Sight::Released(_) => false,
        };
        heard.find(is_from_source).map(|seen| seen.at)
    }

    /// Returns who sent an advert with a priority above 0 in the last `within`, in the order of the nodes.
    pub fn advertisers(&self, within: Duration) -> BTreeSet<Node> {
        let since = now().saturating_sub(within);
        let senders = self.sightings.iter().rev().take_while(|seen| seen.at >= since);
        senders
            .filter(|seen| matches!(seen.what, Sight::Sent(Frame::Advert { priority: 1.., .. })))
            .map(|seen| seen.node)
            .collect()
    }

    fn add(&mut self, sighting: Sighting) {
        let is_change = match sighting.what {
            Sight::Acquired(address) => self.held.insert((address, sighting.node)),
            Sight::Released(address) => self.held.remove(&(address, sighting.node)),
            Sight::Sent(_) | Sight::Heard(_) => true,
        };
        // A renewed lifetime or a changed flag is a notification without a change of hands.
        if is_change {
            self.sightings.push(sighting);
        }
    }
}

/// How far apart adverts were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spacing {
    /// On average; what a machine that stood still adds is in it.
    pub mean: Duration,
    /// Half of them at most.
    pub median: Duration,
    /// Nine in ten at most.
    pub nine_in_ten: Duration,
    /// At most.
    pub longest: Duration,
}

/// The watching thread; ends when dropped.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    log: Mutex<Log>,
    changed: Condvar,
    stop: EventFd,
    interrupted: Arc<AtomicBool>,
}

impl Watch {
    /// Watches every node of a laboratory. Once `interrupted` is true, waiting ends with [`LabError::Interrupted`].
    pub fn new(lab: &Lab, interrupted: Arc<AtomicBool>) -> Result<Self, LabError> {
        let tap = lab.switch().enter(open_tap).map_err(LabError::kernel("tap the switch"))?;
        let (mut ports, mut listeners) = (Vec::new(), Vec::new());
        for node in lab.nodes() {
            let index = usize::try_from(lab.port(node)?).unwrap_or(usize::MAX);
            ports.push((index, node));
            let listener = lab.namespace(node)?.enter(open_listener);
            listeners.push((node, listener.map_err(LabError::kernel(format!("watch addresses of node {node}")))?));
        }
        let stop = EventFd::new().map_err(io::Error::from).map_err(LabError::kernel("make an eventfd"))?;
        let shared = Arc::new(Shared { log: Mutex::new(Log::default()), changed: Condvar::new(), stop, interrupted });
        let sources = Sources { tap, ports, listeners };
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || watch(&shared, &sources)
            })
            .map_err(LabError::kernel("start a thread"))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Runs `look` on what was seen so far. Short: the watcher waits meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Log) -> T) -> T {
        look(&lock(&self.shared))
    }

    /// Waits until `find` returns something, asking after each sighting and every few milliseconds.
    ///
    /// **Errors:** [`LabError::TooLate`] after `timeout`, [`LabError::Interrupted`].
    pub fn wait<T>(
        &self,
        awaited: &str,
        timeout: Duration,
        mut find: impl FnMut(&Log) -> Option<T>,
    ) -> Result<T, LabError> {
        let end = now() + timeout;
        let mut log = lock(&self.shared);
        loop {
            if let Some(found) = find(&log) {
                return Ok(found);
            }
            if self.shared.interrupted.load(Ordering::Relaxed) {
                return Err(LabError::Interrupted);
            }
            let left = end.saturating_sub(now());
            if left.is_zero() {
                return Err(LabError::TooLate { awaited: awaited.to_owned(), waited: timeout });
            }
            let slice = left.min(Duration::from_millis(20));
            log = self.shared.changed.wait_timeout(log, slice).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets time pass.
    ///
    /// **Errors:** [`LabError::Interrupted`].
    pub fn pause(&self, length: Duration) -> Result<(), LabError> {
        match self.wait("the end of a pause", length, |_| None::<()>) {
            Err(LabError::TooLate { .. }) => Ok(()),
            other => other,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Fails only when the counter is full, and then the thread is awake already.
        let _ = self.shared.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Sources {
    tap: Socket,
    ports: Vec<(usize, Node)>,
    listeners: Vec<(Node, netlink_sys::Socket)>,
}

fn lock(shared: &Shared) -> MutexGuard<'_, Log> {
    shared.log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(shared: &Shared, sources: &Sources) {
    loop {
        let mut fds = vec![PollFd::new(shared.stop.as_fd(), PollFlags::POLLIN)];
        fds.push(PollFd::new(sources.tap.as_fd(), PollFlags::POLLIN));
        fds.extend(sources.listeners.iter().map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        if poll(&mut fds, PollTimeout::NONE).is_err() {
            continue;
        }
        if fds.first().is_some_and(|fd| fd.any().unwrap_or(true)) {
            return;
        }
        let mut seen = Vec::new();
        while let Some(sighting) = read_tap(sources) {
            seen.extend(sighting);
        }
        for (node, socket) in &sources.listeners {
            read_addresses(*node, socket, &mut seen);
        }
        if !seen.is_empty() {
            let mut log = lock(shared);
            seen.into_iter().for_each(|sighting| log.add(sighting));
            shared.changed.notify_all();
        }
    }
}

/// Opens one packet socket for all ports of the switch: each packet says where it came in.
fn open_tap() -> io::Result<Socket> {
    const ALL_PROTOCOLS: u16 = 0x0003;
    // Without a protocol nothing arrives before the filter is in place.
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ALL_PROTOCOLS.to_be()))))?;
    socket.attach_filter(&frame::filter())?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    // A larger buffer needs a privilege over the first namespace; the default holds some hundred frames.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20));
    Ok(socket)
}

fn open_listener() -> io::Result<netlink_sys::Socket> {
    const IPV4_ADDRESSES: u32 = 0x10;
    const IPV6_ADDRESSES: u32 = 0x100;
    let mut socket = netlink_sys::Socket::new(NETLINK_ROUTE)?;
    socket.bind(&netlink_sys::SocketAddr::new(0, IPV4_ADDRESSES | IPV6_ADDRESSES))?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// Reads one frame: `None` when there is none left, `Some(None)` when it says nothing.
fn read_tap(sources: &Sources) -> Option<Option<Sighting>> {
    /// Frames that leave by a port, on their way to its node.
    const OUTGOING: u8 = 4;
    let mut buffer = [0; 256];
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let fd = sources.tap.as_raw_fd();
    let message = recvmsg::<LinkAddr>(fd, &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT).ok()?;
    let stamp = message.cmsgs().ok().and_then(|mut messages| {
        messages.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
            _ => None,
        })
    });
    let (port, is_outgoing) = message.address.map(|address| (address.ifindex(), address.pkttype() == OUTGOING))?;
    let len = message.bytes.min(256);
    let node = sources.ports.iter().find(|(index, _)| *index == port).map(|(_, node)| *node);
    let (Some(node), Some(frame)) = (node, buffer.get(..len).and_then(Frame::parse)) else {
        return Some(None);
    };
    let what = match (is_outgoing, frame) {
        (false, frame) => Sight::Sent(frame),
        (true, frame @ Frame::Advert { .. }) => Sight::Heard(frame),
        (true, Frame::Announcement { .. }) => return Some(None),
    };
    Some(Some(Sighting { at: stamp.unwrap_or_else(now), node, what }))
}

fn read_addresses(node: Node, socket: &netlink_sys::Socket, seen: &mut Vec<Sighting>) {
    while let Ok((bytes, _)) = socket.recv_from_full() {
        let at = now();
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes) else {
            continue;
        };
        let what = match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => {
                address_of(&message).map(Sight::Acquired)
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(message)) => {
                address_of(&message).map(Sight::Released)
            }
            _ => None,
        };
        seen.extend(what.map(|what| Sighting { at, node, what }));
    }
}

fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let attribute = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = |attribute: &AddressAttribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    };
    // IPv6 names the address so.
    let address = |attribute: &AddressAttribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    };
    attribute(local).or_else(|| attribute(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::lab::VIP_V4;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    fn advert(at: u64, node: Node, priority: u8) -> Sighting {
        let source = node.address(crate::wire::field::Family::V4);
        Sighting { at: ms(at), node, what: Sight::Sent(Frame::Advert { version: 3, vrid: 51, priority, source }) }
    }

    #[test]
    fn a_renewed_address_is_no_second_acquisition() {
        let mut log = Log::default();
        let add = |log: &mut Log, at, what| log.add(Sighting { at: ms(at), node: Node::A, what });
        add(&mut log, 1, Sight::Acquired(VIP_V4));
        add(&mut log, 2, Sight::Acquired(VIP_V4));
        assert_eq!(log.acquisitions(VIP_V4, Node::A, ms(0)), [ms(1)]);
        assert_eq!(log.holders(VIP_V4), [Node::A]);
        add(&mut log, 3, Sight::Released(VIP_V4));
        add(&mut log, 4, Sight::Acquired(VIP_V4));
        assert_eq!(log.acquisitions(VIP_V4, Node::A, ms(0)), [ms(1), ms(4)]);
        assert_eq!(log.acquisitions(VIP_V4, Node::B, ms(0)), []);
    }

    #[test]
    fn spacing_is_that_of_one_node() {
        let mut log = Log::default();
        for (at, node) in [(0, Node::A), (10, Node::A), (13, Node::B), (40, Node::A)] {
            log.add(advert(at, node, 100));
        }
        assert_eq!(
            log.spacing(Node::A, ms(0)),
            Some(Spacing { mean: ms(20), median: ms(30), nine_in_ten: ms(30), longest: ms(30) })
        );
        assert_eq!(log.spacing(Node::B, ms(0)), None);
    }

    #[test]
    fn a_resignation_is_not_a_sign_of_life() {
        let mut log = Log::default();
        let heard = |at, priority| Sighting {
            what: match advert(at, Node::A, priority).what {
                Sight::Sent(frame) => Sight::Heard(frame),
                other => other,
            },
            ..advert(at, Node::B, priority)
        };
        log.add(heard(10, 100));
        log.add(heard(20, 0));
        let source = Node::A.address(crate::wire::field::Family::V4);
        assert_eq!(log.last_heard(Node::B, 51, source, ms(30)), Some(ms(10)));
        assert_eq!(log.last_heard(Node::B, 51, source, ms(10)), None, "heard later than asked for");
    }
}
