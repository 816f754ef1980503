//! The daemon's side of the control socket: reads requests, asks the daemon, writes replies.
//!
//! Runs on the service thread. Costs a bounded amount whatever clients do: so many at a time, a deadline for each line,
//! a pace for all answers together, a limit for replies not yet read. One stop before: the socket. One stop after:
//! the `answer` function of the daemon.

mod follow;

use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use nix::unistd::geteuid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use follow::Next;

use super::group::give_to;
use super::lock::Lock;
use super::message::{Command, Reply};
use super::socket_path;

/// Most clients at a time; the next is told so and closed.
pub const MAX_CLIENTS: usize = 32;
/// Most clients that follow the history: they stay, and others need a place too.
pub const MAX_FOLLOWERS: usize = 8;
/// Longest request line in bytes, newline included.
pub const MAX_REQUEST: u64 = 4096;
/// How long a client may take to write a request, and again to read the reply. The daemon has three fifths of it to
/// answer: less than clients wait, so that they hear about it.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a change may take; clients wait for [`PATIENCE`] longer.
pub const CHANGE_PATIENCE: Duration = Duration::from_secs(55);
/// Shortest time between two answers to whomever: a snapshot costs the protocol thread something.
const PACE: Duration = Duration::from_millis(10);
/// Most kibibytes of replies that clients have not read yet.
const MAX_UNREAD_KIB: usize = 32 * 1024;

/// A bound control socket. Its file goes away with it.
#[derive(Debug)]
pub struct Server {
    listener: StdListener,
    path: PathBuf,
    patience: Duration,
}

impl Server {
    /// Binds `RUNTIME_DIR/vrrpd.sock` with mode 0660 for root and the members of `group`.
    ///
    /// `lock`: proves that a socket file already there is a dead daemon's, so it is replaced; in one step and with its
    /// final permissions, so that no client ever meets another state. A group that does not exist or may not be given
    /// is told once in the log: the socket stays root's.
    pub fn bind(lock: &Lock, group: Option<&str>) -> Result<Self, BindError> {
        let path = socket_path(lock.runtime_dir());
        let unborn = lock.runtime_dir().join("vrrpd.sock.new");
        let failed = |source| BindError { path: path.clone(), source };
        match fs::remove_file(&unborn) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let listener = StdListener::bind(&unborn).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        fs::set_permissions(&unborn, fs::Permissions::from_mode(0o660)).map_err(failed)?;
        if let Some(group) = group {
            give_to("control socket", &unborn, group);
        }
        fs::rename(&unborn, &path).map_err(failed)?;
        Ok(Self { listener, path, patience: PATIENCE })
    }

    /// Serves clients until dropped.
    ///
    /// `answer` is called for one request at a time, from this task. Nothing is held while a reply is written. Returns
    /// only when the listener cannot be used at all. Cancel-safe: clients in flight are closed.
    pub async fn run<A, F>(&self, answer: A) -> io::Result<()>
    where
        A: Fn(Command, Peer) -> F,
        F: Future<Output = Reply>,
    {
        let listener = UnixListener::from_std(self.listener.try_clone()?)?;
        let room = Room {
            answer,
            patience: self.patience,
            turn: Semaphore::new(1),
            unread: Semaphore::new(MAX_UNREAD_KIB),
            followers: Semaphore::new(MAX_FOLLOWERS),
        };
        let mut clients = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = clients.next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if clients.len() < MAX_CLIENTS => clients.push(room.serve(stream)),
                    Ok((stream, _)) => turn_away(&stream),
                    // Out of descriptors, or the client is gone already: the listener itself is well.
                    Err(error) => {
                        tracing::debug!(%error, "control socket: cannot accept a client");
                        sleep(PACE).await;
                    }
                },
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A file that stays is replaced by the next daemon.
        let _ = fs::remove_file(&self.path);
    }
}

/// Why the control socket could not be made.
#[derive(Debug)]
pub struct BindError {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot bind the control socket {}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Process id, where the kernel knows it.
    pub pid: Option<i32>,
}

impl Peer {
    /// Says whether it may ask for `command`: everyone who could open the socket for reads, for changes root alone and the
    /// daemon's own user, as which its unit runs `vrrpd reload`.
    pub fn may(self, command: &Command) -> bool {
        !command.is_change() || self.uid == 0 || self.uid == geteuid().as_raw()
    }
}

/// What all clients share.
struct Room<A> {
    answer: A,
    patience: Duration,
    turn: Semaphore,
    unread: Semaphore,
    followers: Semaphore,
}

impl<A, F> Room<A>
where
    A: Fn(Command, Peer) -> F,
    F: Future<Output = Reply>,
{
    /// A change may take longer than a look: a large configuration is read and checked first.
    fn patience_for(&self, command: &Command) -> Duration {
        if command.is_change() { CHANGE_PATIENCE } else { self.patience * 3 / 5 }
    }

    async fn serve(&self, mut stream: UnixStream) {
        let peer = match stream.peer_cred() {
            Ok(credentials) => Peer { uid: credentials.uid(), pid: credentials.pid() },
            Err(error) => {
                tracing::debug!(%error, "control socket: no credentials of a client");
                return;
            }
        };
        let (reader, mut writer) = stream.split();
        let mut reader = BufReader::with_capacity(512, reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut reader).take(MAX_REQUEST);
            match timeout(self.patience, limited.read_until(b'\n', &mut line)).await {
                Err(_elapsed) => return,
                Ok(Err(_) | Ok(0)) => return,
                Ok(Ok(_)) => {}
            }
            let Some(request) = line.strip_suffix(b"\n") else {
                let why = if line.len() as u64 == MAX_REQUEST {
                    "request is longer than 4096 bytes"
                } else {
                    "request has no newline"
                };
                let _ = timeout(self.patience, writer.write_all(&Reply::refusal(why).to_line())).await;
                return;
            };
            match self.reply(request, peer, &mut writer).await {
                Some(Next::Request) => {}
                Some(Next::Follow { after, instance }) => {
                    return self.follow((after, instance), peer, &mut reader, &mut writer).await;
                }
                None => return,
            }
        }
    }

    /// Answers one request; `None`: the client did not take it.
    async fn reply(&self, request: &[u8], peer: Peer, writer: &mut (impl AsyncWriteExt + Unpin)) -> Option<Next> {
        let turn = self.turn.acquire().await.ok()?;
        let mut follows = None;
        let reply = match Command::parse(request) {
            Ok(command) if peer.may(&command) => {
                if let Command::History { instance, follow: true, .. } = &command {
                    follows = Some(instance.clone());
                }
                let patience = self.patience_for(&command);
                timeout(patience, (self.answer)(command, peer))
                    .await
                    .unwrap_or_else(|_elapsed| Reply::refusal("protocol thread does not answer"))
            }
            Ok(_) => Reply::refusal("only root may change anything"),
            Err(error) => Reply::refusal(error.to_string()),
        };
        let next = match (&reply, follows) {
            (Reply::History(history), Some(instance)) => Next::Follow { after: history.until, instance },
            (_, _) => Next::Request,
        };
        let write = self.write(&reply, writer);
        let pace = async {
            sleep(PACE).await;
            drop(turn);
        };
        let (written, ()) = tokio::join!(write, pace);
        written.map(|()| next)
    }

    /// Writes one reply; `None`: the client did not take it.
    async fn write(&self, reply: &Reply, writer: &mut (impl AsyncWriteExt + Unpin)) -> Option<()> {
        let mut line = reply.to_line();
        let kib = u32::try_from(line.len() / 1024 + 1).unwrap_or(u32::MAX);
        let unread = self.unread.try_acquire_many(kib);
        if unread.is_err() {
            line = Reply::refusal("too many replies are unread, try again").to_line();
        }
        timeout(self.patience, writer.write_all(&line)).await.ok()?.ok()
    }
}

/// Tells a client that there are too many. It may hear nothing when its own end is closed.
fn turn_away(stream: &UnixStream) {
    let line = Reply::refusal(format!("{MAX_CLIENTS} clients are connected already, try again")).to_line();
    let _ = stream.try_write(&line);
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "measures how long a real client waits")]
mod tests {
    use std::io::{BufRead, Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream as Client;
    use std::thread;
    use std::time::Instant;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use tokio::sync::oneshot;

    use super::*;
    use crate::control::{client, lock, samples};

    /// What clients are given instead of [`PATIENCE`].
    const SHORT: Duration = Duration::from_millis(500);

    /// A server on a thread of its own that answers with [`samples::pair`].
    pub(super) struct Running {
        dir: tempfile::TempDir,
        stop: Option<oneshot::Sender<()>>,
        thread: Option<thread::JoinHandle<()>>,
    }

    impl Running {
        fn start() -> Self {
            Self::start_with(|_, _| async { Reply::Status(Box::new(samples::pair())) })
        }

        pub(super) fn start_with<F: Future<Output = Reply>>(
            answer: impl Fn(Command, Peer) -> F + Send + 'static,
        ) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (stop, stopped) = oneshot::channel();
            let lock = lock::lock(dir.path()).unwrap();
            let mut server = Server::bind(&lock, None).unwrap();
            server.patience = SHORT;
            let thread = thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    tokio::select! {
                        ended = server.run(answer) => panic!("{ended:?}"),
                        _ = stopped => {}
                    }
                });
                drop((server, lock));
            });
            Self { dir, stop: Some(stop), thread: Some(thread) }
        }

        pub(super) fn connect(&self) -> Client {
            let client = Client::connect(socket_path(self.dir.path())).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            client
        }

        /// Sends bytes and returns everything until the server closes.
        fn say(&self, bytes: &[u8]) -> String {
            let mut client = self.connect();
            client.write_all(bytes).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            text
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            drop(self.stop.take());
            let ended = self.thread.take().map(thread::JoinHandle::join);
            assert!(matches!(ended, Some(Ok(()))) || thread::panicking());
        }
    }

    #[test]
    fn status_comes_over_the_socket_and_the_file_goes_with_the_server() {
        let running = Running::start();
        let reply = client::status(running.dir.path()).unwrap();
        assert_eq!(reply.status, samples::pair());
        assert_eq!(reply.json.as_bytes(), Reply::Status(Box::new(samples::pair())).to_line().trim_ascii_end());
        let path = socket_path(running.dir.path());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
        let dir = running.dir.path().to_owned();
        drop(running);
        assert!(!path.exists());
        let error = client::status(&dir).unwrap_err();
        assert_eq!(error.exit_code(), 3, "{error}");
    }

    #[test]
    fn one_connection_may_ask_more_than_once_at_the_common_pace() {
        let running = Running::start();
        let began = Instant::now();
        let text = running.say(Command::Status.to_line().repeat(30).as_bytes());
        assert_eq!(text.lines().count(), 30);
        assert!(began.elapsed() >= PACE * 29, "30 answers within {:?}", began.elapsed());
    }

    #[test]
    fn a_daemon_that_hangs_is_told_to_the_client() {
        let running = Running::start_with(|_, _| std::future::pending());
        let error = client::status(running.dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "daemon refuses: protocol thread does not answer");
    }

    #[test]
    fn a_reply_nobody_reads_is_dropped_at_the_deadline() {
        let running = Running::start_with(|_, _| async { Reply::refusal("x".repeat(4 << 20)) });
        let mut client = running.connect();
        client.write_all(Command::Status.to_line().as_bytes()).unwrap();
        // Nothing is asked for: only the end of the other side wakes this up.
        let mut end = [PollFd::new(client.as_fd(), PollFlags::empty())];
        assert_eq!(poll(&mut end, PollTimeout::from(20_000_u16)).unwrap(), 1, "still open");
        let mut text = Vec::new();
        client.read_to_end(&mut text).unwrap();
        assert!(text.len() < 4 << 20, "all {} bytes came", text.len());
    }

    #[test]
    fn replies_that_nobody_reads_have_a_limit_together() {
        let running = Running::start_with(|_, _| async { Reply::refusal("x".repeat(20 << 20)) });
        let mut first = running.connect();
        first.write_all(Command::Status.to_line().as_bytes()).unwrap();
        first.read_exact(&mut [0; 1]).unwrap();
        let text = running.say(Command::Status.to_line().as_bytes());
        assert_eq!(text, "{\"schema\":1,\"error\":\"too many replies are unread, try again\"}\n");
    }

    #[test]
    fn bad_requests_are_refused_and_the_next_is_served() {
        let running = Running::start();
        let text = running.say(b"nonsense\n{\"schema\":1,\"command\":\"status\"}\n");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with(r#"{"schema":1,"error":"request is not understood: "#), "{}", lines[0]);
        assert!(lines[1].starts_with(r#"{"schema":1,"version""#), "{}", lines[1]);
    }

    #[test]
    fn an_endless_line_is_cut_at_its_limit() {
        let running = Running::start();
        let mut client = running.connect();
        // The server closes with bytes unread: the client may be reset before or after it has read the refusal.
        let _ = client.write_all(&[b'x'; 2 * MAX_REQUEST as usize]);
        let mut line = String::new();
        let read = std::io::BufReader::new(&client).read_line(&mut line);
        match read {
            Ok(_) => assert_eq!(line, "{\"schema\":1,\"error\":\"request is longer than 4096 bytes\"}\n"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
        assert!(running.say(Command::Status.to_line().as_bytes()).contains("\"node\":\"lb1\""));
    }

    #[test]
    fn a_line_that_ends_with_the_connection_is_no_request() {
        let running = Running::start();
        let text = running.say(b"{\"schema\":1,\"command\":\"status\"}");
        assert_eq!(text, "{\"schema\":1,\"error\":\"request has no newline\"}\n");
    }

    #[test]
    fn silent_clients_fill_their_places_only_until_the_deadline() {
        let running = Running::start();
        let began = Instant::now();
        let mut silent: Vec<Client> = (0..MAX_CLIENTS).map(|_| running.connect()).collect();
        let error = client::status(running.dir.path()).unwrap_err();
        assert!(error.to_string().contains("32 clients are connected already"), "{error}");
        assert_eq!(error.exit_code(), 69);
        // Closed by the server, not by their own end.
        assert_eq!(silent.pop().unwrap().read(&mut [0; 1]).unwrap(), 0);
        assert!(began.elapsed() >= SHORT, "closed after {:?}", began.elapsed());
        for mut client in silent {
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
        assert!(client::status(running.dir.path()).is_ok());
    }

    #[test]
    fn a_flooding_client_does_not_keep_another_from_its_answer() {
        let running = Running::start();
        let mut flood = running.connect();
        flood.write_all(Command::Status.to_line().repeat(2000).as_bytes()).unwrap();
        let began = Instant::now();
        client::status(running.dir.path()).unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "answered after {:?}", began.elapsed());
    }

    #[test]
    fn the_socket_of_a_dead_daemon_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        drop(StdListener::bind(socket_path(dir.path())).unwrap());
        assert_eq!(client::status(dir.path()).unwrap_err().exit_code(), 3);
        let lock = lock::lock(dir.path()).unwrap();
        let server = Server::bind(&lock, Some("no-such-group")).unwrap();
        assert!(Client::connect(socket_path(dir.path())).is_ok());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "lock and socket, nothing else");
        drop(server);
    }

    #[test]
    fn a_daemon_that_says_nothing_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let _listener = StdListener::bind(socket_path(dir.path())).unwrap();
        let error = client::status_within(dir.path(), SHORT).unwrap_err();
        assert_eq!(error.exit_code(), 69);
        assert!(error.to_string().starts_with("daemon does not answer on "), "{error}");
    }

    #[test]
    fn only_root_and_the_daemon_itself_may_change() {
        let own = geteuid().as_raw();
        let reload = Command::Reload { dry_run: true, exec: false };
        for (uid, may_change) in [(0, true), (own, true), (own + 1000, false)] {
            let peer = Peer { uid, pid: None };
            assert!(peer.may(&Command::Status));
            assert_eq!(peer.may(&reload), may_change, "{uid}");
        }
    }
}
