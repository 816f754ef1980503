//! A client of the service: an HTTP request every 10 ms, each over a connection of its own, and who answered it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Socket, Type};
use vrrpd::demo::clock::now;
use vrrpd::demo::error::LabError;
use vrrpd::demo::lab::{Lab, Node};

use crate::balancer::{MARK, PORT};

/// How often the client asks.
pub const EVERY: Duration = Duration::from_millis(10);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_millis(250);

/// The asking thread; ends when dropped.
pub struct Web {
    log: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One request that has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was sent.
    pub sent_at: Duration,
    /// When it ended.
    pub ended_at: Duration,
    /// Whose balancer answered 200; `None`: it failed.
    pub served_by: Option<Node>,
}

/// What the client saw of the service in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Requests sent.
    pub sent: usize,
    /// Requests that failed.
    pub failed: usize,
    /// When the first that failed was sent, and the last.
    pub failing: Option<(Duration, Duration)>,
    /// When the first answer of the asked node came.
    pub first_served: Option<Duration>,
}

impl Web {
    /// Begins to ask `vip` from the laboratory's client.
    pub fn new(lab: &Lab, vip: IpAddr) -> Result<Self, LabError> {
        let namespace = lab.client().as_fd().try_clone_to_owned().map_err(LabError::kernel("copy a descriptor"))?;
        let (log, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::Builder::new()
            .name("web".to_owned())
            .spawn({
                let (log, stop) = (Arc::clone(&log), Arc::clone(&stop));
                move || ask(namespace.as_fd(), SocketAddr::new(vip, PORT), &log, &stop)
            })
            .map_err(LabError::kernel("start a thread"))?;
        Ok(Self { log, stop, thread: Some(thread) })
    }

    /// Returns what the client saw of requests sent from `since` on that have ended, and when `node` first served one.
    pub fn service(&self, since: Duration, node: Node) -> Service {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = || log.iter().filter(|request| request.sent_at >= since);
        let failed = || requests().filter(|request| request.served_by.is_none()).map(|request| request.sent_at);
        Service {
            sent: requests().count(),
            failed: failed().count(),
            failing: failed().min().zip(failed().max()),
            first_served: requests().filter(|one| one.served_by == Some(node)).map(|one| one.ended_at).min(),
        }
    }

    /// Says whether everything that was asked in the last `within` and has ended was served by `node`, and that is something.
    pub fn is_served_by(&self, node: Node, within: Duration) -> bool {
        let since = now().saturating_sub(within);
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recent = log.iter().filter(|request| request.sent_at >= since).peekable();
        recent.peek().is_some() && recent.all(|request| request.served_by == Some(node))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A request under way.
struct Attempt {
    socket: Socket,
    sent_at: Duration,
    is_asked: bool,
    answer: Vec<u8>,
}

/// What became of an attempt.
enum Progress {
    Waits,
    Ended(Option<Node>),
}

fn ask(namespace: BorrowedFd<'_>, service: SocketAddr, log: &Mutex<Vec<Request>>, stop: &AtomicBool) {
    setns(namespace, CloneFlags::CLONE_NEWNET).expect("the client's namespace is there while its descriptor is");
    let mut attempts = Vec::new();
    let mut next = now();
    while !stop.load(Ordering::Relaxed) {
        if now() >= next {
            attempts.push(Attempt::begin(service).expect("a socket for the client"));
            next = now() + EVERY;
        }
        let mut fds: Vec<_> = attempts
            .iter()
            .map(|attempt| {
                PollFd::new(
                    attempt.socket.as_fd(),
                    if attempt.is_asked { PollFlags::POLLIN } else { PollFlags::POLLOUT },
                )
            })
            .collect();
        let left = u16::try_from(next.saturating_sub(now()).as_millis()).unwrap_or(u16::MAX);
        // Interrupted: the attempts are looked at all the same.
        let _ = poll(&mut fds, PollTimeout::from(left));
        let is_ready: Vec<_> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(fds);
        let mut is_ready = is_ready.into_iter();
        attempts.retain_mut(|attempt| {
            let progress = if is_ready.next().unwrap_or(false) { attempt.proceed() } else { Progress::Waits };
            let ended_at = now();
            let served_by = match progress {
                Progress::Ended(served_by) => served_by,
                Progress::Waits if ended_at > attempt.sent_at + PATIENCE => None,
                Progress::Waits => return true,
            };
            let request = Request { sent_at: attempt.sent_at, ended_at, served_by };
            log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            false
        });
    }
}

impl Attempt {
    fn begin(service: SocketAddr) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::for_address(service), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // What fails at once is told by the socket when it is looked at.
        let _ = socket.connect(&service.into());
        Ok(Self { socket, sent_at: now(), is_asked: false, answer: Vec::new() })
    }

    fn proceed(&mut self) -> Progress {
        match self.exchange() {
            Ok(()) => Progress::Ended(served_by(&self.answer)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Progress::Waits,
            Err(_) => Progress::Ended(None),
        }
    }

    fn exchange(&mut self) -> std::io::Result<()> {
        if !self.is_asked {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            self.socket.write_all(b"GET / HTTP/1.0\r\nHost: service\r\n\r\n")?;
            self.is_asked = true;
        }
        let mut buffer = [0; 1024];
        loop {
            match self.socket.read(&mut buffer)? {
                0 => return Ok(()),
                len => self.answer.extend(buffer.iter().take(len)),
            }
        }
    }
}

/// Returns whose answer this is; `None` unless it is a whole one with status 200.
fn served_by(answer: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let is_good = lines.next()?.split(' ').nth(1) == Some("200") && body == "ok\n";
    let name = lines.find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(MARK)))?.1;
    Node::ALL.into_iter().find(|node| is_good && node.to_string() == name)
}
