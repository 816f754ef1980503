//! A client that asks an address for an answer every millisecond and writes down when it got one, and from whom.
//!
//! One stop before: the client's namespace of `demo::lab`. The node is known by the TTL of its answer.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::clock::now;
use super::echo;
use super::error::LabError;
use super::lab::Node;
use super::namespace::Namespace;
use crate::wire::field::Family;

/// How often the client asks.
pub const EVERY: Duration = Duration::from_millis(1);

/// The asking thread; ends when dropped.
pub struct Probe {
    log: Arc<Mutex<Log>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the client saw in a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Requests sent.
    pub sent: usize,
    /// Requests that were never answered.
    pub lost: usize,
    /// The longest time without an answer; about [`EVERY`] when nothing was missed.
    pub gap: Duration,
    /// When that began.
    pub gap_from: Duration,
    /// The longest time in which the client itself sent nothing: a gap of that length proves nothing.
    pub own_pause: Duration,
    /// Who answered, in order, each change once; `None`: an unknown TTL.
    pub answered_by: Vec<Option<Node>>,
}

#[derive(Default)]
struct Log {
    requests: Vec<Request>,
    /// Arrival and TTL, in order of arrival.
    answers: Vec<(Duration, u8)>,
    /// When the client last read all answers there were.
    read_up_to: Duration,
}

struct Request {
    sent_at: Duration,
    is_answered: bool,
}

impl Probe {
    /// Begins to ask `address` from `client`.
    pub fn new(client: &Namespace, address: IpAddr) -> Result<Self, LabError> {
        let family = Family::of(&address);
        let socket =
            client.enter(move || open(family)).map_err(LabError::kernel("open a raw socket for the client"))?;
        let (log, stop) = (Arc::new(Mutex::new(Log::default())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn({
                let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
                move || ask(&socket, SocketAddr::new(address, 0).into(), family, &log, &stop)
            })
            .map_err(LabError::kernel("start a thread"))?;
        Ok(Self { log, stop, thread: Some(thread) })
    }

    /// Returns what the client saw of the requests sent in `from..to`.
    ///
    /// The last [`GRACE`] before the client last read its answers is left out: those may be under way, and on a busy machine
    /// the client itself may not have been run for a while.
    pub fn outage(&self, from: Duration, to: Duration) -> Outage {
        lock(&self.log).known_outage(from, to)
    }

    /// Returns who gave the latest answer, if one came in the last `within`.
    pub fn answered_by(&self, within: Duration) -> Option<Node> {
        let since = now().saturating_sub(within);
        let log = lock(&self.log);
        log.answers.last().filter(|(at, _)| *at >= since).and_then(|(_, ttl)| Node::with_ttl(*ttl))
    }
}

/// How long after its request an answer may come.
pub const GRACE: Duration = Duration::from_millis(30);

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Log {
    fn known_outage(&self, from: Duration, to: Duration) -> Outage {
        self.outage(from, to.min(self.read_up_to.saturating_sub(GRACE)))
    }

    fn outage(&self, from: Duration, to: Duration) -> Outage {
        let requests = || self.requests.iter().filter(|request| (from..to).contains(&request.sent_at));
        let answers = || self.answers.iter().filter(|(at, _)| (from..to).contains(at));
        let (gap, gap_from) = longest_pause(from, to, answers().map(|(at, _)| *at));
        let (own_pause, _) = longest_pause(from, to, requests().map(|request| request.sent_at));
        let mut answered_by: Vec<_> = answers().map(|(_, ttl)| Node::with_ttl(*ttl)).collect();
        answered_by.dedup();
        let lost = requests().filter(|request| !request.is_answered).count();
        Outage { sent: requests().count(), lost, gap, gap_from, own_pause, answered_by }
    }
}

/// Returns the longest stretch of `from..to` without any of `times` (ascending), and its beginning.
fn longest_pause(from: Duration, to: Duration, times: impl Iterator<Item = Duration>) -> (Duration, Duration) {
    let mut longest = (Duration::ZERO, from);
    let mut previous = from;
    for time in times.chain([to]) {
        let pause = time.saturating_sub(previous);
        if pause > longest.0 {
            longest = (pause, previous);
        }
        previous = time;
    }
    longest
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(family: Family) -> io::Result<Socket> {
    let socket = match family {
        Family::V4 => Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?,
        Family::V6 => Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?,
    };
    match family {
        Family::V4 => {}
        Family::V6 => setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?,
    }
    socket.set_nonblocking(true)?;
    // A larger buffer needs a privilege over the first namespace; the default holds some hundred answers.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20));
    Ok(socket)
}

fn ask(socket: &Socket, target: SockAddr, family: Family, log: &Mutex<Log>, stop: &AtomicBool) {
    let mut next = now();
    while !stop.load(Ordering::Relaxed) {
        let time = now();
        if time >= next {
            let sequence = {
                let mut log = lock(log);
                log.requests.push(Request { sent_at: time, is_answered: false });
                log.requests.len() as u64 - 1
            };
            // "Host unreachable" and the like: a lost request, and that is what is counted.
            let _ = socket.send_to(&echo::request(family, sequence), &target);
            // After a pause of its own the client does not catch up: a burst says nothing about time.
            next = if time > next + EVERY * 2 { time + EVERY } else { next + EVERY };
        }
        let left = next.saturating_sub(now());
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let ready = ppoll(&mut fds, Some(TimeSpec::from_duration(left)), None);
        if matches!(ready, Ok(1..)) {
            while let Some(answer) = read(socket, family) {
                if let Some((sequence, ttl)) = answer {
                    note_answer(&mut lock(log), sequence, ttl);
                }
            }
        }
        if ready.is_ok() {
            // Whatever had come by then has been read.
            lock(log).read_up_to = time;
        }
    }
}

fn note_answer(log: &mut Log, sequence: u64, ttl: u8) {
    let request = usize::try_from(sequence).ok().and_then(|sequence| log.requests.get_mut(sequence));
    if let Some(request) = request {
        request.is_answered = true;
        log.answers.push((now(), ttl));
    }
}

/// Reads one packet: `None` when there is none left, `Some(None)` when it is no answer, else sequence number and TTL.
fn read(socket: &Socket, family: Family) -> Option<Option<(u64, u8)>> {
    let mut buffer = [0; 256];
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let mut control = nix::cmsg_space!(i32);
    let received =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT);
    let message = received.ok()?;
    let hop_limit = message.cmsgs().ok().and_then(|mut messages| {
        messages.find_map(|message| match message {
            ControlMessageOwned::Ipv6HopLimit(limit) => u8::try_from(limit).ok(),
            _ => None,
        })
    });
    let len = message.bytes.min(256);
    let packet = buffer.get(..len)?;
    Some(match family {
        Family::V4 => parse_ipv4(packet),
        Family::V6 => echo::parse_reply(family, packet).map(|sequence| (sequence, hop_limit.unwrap_or(0))),
    })
}

fn parse_ipv4(packet: &[u8]) -> Option<(u64, u8)> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let ttl = *packet.get(8)?;
    Some((echo::parse_reply(Family::V4, packet.get(header_len..)?)?, ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// A client that asks every millisecond and gets each answer 0.5 ms later, but none for requests in `dead`.
    fn log(dead: std::ops::Range<u64>) -> Log {
        let mut log = Log::default();
        for at in 0..1000 {
            let is_answered = !dead.contains(&at);
            log.requests.push(Request { sent_at: ms(at), is_answered });
            if is_answered {
                let ttl = if at < dead.start { Node::A.ttl() } else { Node::B.ttl() };
                log.answers.push((ms(at) + ms(1) / 2, ttl));
            }
        }
        log
    }

    #[test]
    fn an_outage_counts_what_was_lost_and_for_how_long() {
        let outage = log(300..500).outage(ms(100), ms(900));
        assert_eq!((outage.sent, outage.lost), (800, 200));
        assert_eq!(outage.gap, ms(201), "from the answer to request 299 to the answer to request 500");
        assert_eq!(outage.gap_from, ms(299) + ms(1) / 2);
        assert_eq!(outage.own_pause, ms(1));
        assert_eq!(outage.answered_by, [Some(Node::A), Some(Node::B)]);
    }

    #[test]
    fn what_the_client_has_not_read_yet_is_not_lost() {
        let mut log = log(600..1000);
        log.read_up_to = ms(610);
        assert_eq!(log.known_outage(ms(100), ms(1000)).lost, 0, "sent at 600 ms, and not looked for since 610 ms");
        log.read_up_to = ms(640);
        assert_eq!(log.known_outage(ms(100), ms(1000)).lost, 10);
    }

    #[test]
    fn silence_up_to_the_end_counts_up_to_the_end() {
        assert_eq!(log(300..1000).outage(ms(0), ms(1000)).gap, ms(1000) - ms(299) - ms(1) / 2);
        assert_eq!(Log::default().outage(ms(0), ms(1000)).gap, ms(1000));
    }
}
