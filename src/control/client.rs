//! The command line's side of the control socket: one request, one reply, never waits for ever.
//!
//! One stop before: `cli`. One stop after: `control::render`.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};

use super::changes::Changes;
use super::drain::{DrainReply, DrainRequest, Outcome, ResumeReply, ResumeRequest};
use super::history::HistoryReply;
use super::message::{Command, Refusal, Reload, SCHEMA};
use super::server::CHANGE_PATIENCE;
use super::socket_path;
use super::status::Status;
use super::upgrade::UpgradeReply;

/// How long each step of a request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest reply in bytes: the status of 4080 routers has about 6 MB.
const MAX_REPLY: u64 = 256 << 20;

/// A status as it came and as values.
#[derive(Clone, Debug)]
pub struct StatusReply {
    /// The line without its newline, with keys that this version may not know.
    pub json: String,
    /// What this version knows of it.
    pub status: Status,
}

/// Asks the daemon of a runtime directory for its status.
///
/// Blocks for at most a few seconds. **Errors:** see [`ClientError`].
pub fn status(runtime_dir: &Path) -> Result<StatusReply, ClientError> {
    status_within(runtime_dir, PATIENCE)
}

/// Asks the daemon of a runtime directory to become the program on the disk.
///
/// Returns when that was rehearsed and is about to take over. **Errors:** see [`ClientError`].
pub fn upgrade(runtime_dir: &Path) -> Result<UpgradeReply, ClientError> {
    let path = socket_path(runtime_dir);
    let stream = connect(&path, PATIENCE)?;
    let json = exchange(stream, Command::Reload { dry_run: false, exec: true })
        .map_err(|source| ClientError::Broken { path: path.clone(), source })?;
    if let Ok(refusal) = serde_json::from_str::<Refusal>(&json) {
        return Err(ClientError::Refused(refusal.error));
    }
    serde_json::from_str(&json).map_err(|error| ClientError::Malformed(format!("{error} on {}", path.display())))
}

/// As [`status`], with another patience for each step.
pub(super) fn status_within(runtime_dir: &Path, patience: Duration) -> Result<StatusReply, ClientError> {
    let json = ask(runtime_dir, Command::Status, patience)?;
    let status = decode(&json, &socket_path(runtime_dir))?;
    Ok(StatusReply { json, status })
}

/// Has the daemon of a runtime directory read its configuration again, or with `dry_run` say what that would change.
///
/// Blocks for as long as the daemon takes, about a minute at most. **Errors:** see [`ClientError`].
pub fn reload(runtime_dir: &Path, dry_run: bool) -> Result<Changes, ClientError> {
    let command = Command::Reload { dry_run, exec: false };
    let json = ask(runtime_dir, command, CHANGE_PATIENCE + PATIENCE)?;
    let reply: Reload = decode(&json, &socket_path(runtime_dir))?;
    Ok(reply.reload)
}

/// Has the daemon of a runtime directory give addresses away and stay away.
///
/// Returns when it is written down and begun. Blocks for as long as the daemon takes, about a minute at most.
/// **Errors:** see [`ClientError`].
pub fn drain(runtime_dir: &Path, request: DrainRequest) -> Result<Outcome, ClientError> {
    let json = ask(runtime_dir, Command::Drain(request), CHANGE_PATIENCE + PATIENCE)?;
    decode::<DrainReply>(&json, &socket_path(runtime_dir)).map(|reply| reply.drain)
}

/// Has the daemon of a runtime directory take part again. As [`drain`].
pub fn resume(runtime_dir: &Path, request: ResumeRequest) -> Result<Outcome, ClientError> {
    let json = ask(runtime_dir, Command::Resume(request), CHANGE_PATIENCE + PATIENCE)?;
    decode::<ResumeReply>(&json, &socket_path(runtime_dir)).map(|reply| reply.resume)
}

/// Asks the daemon of a runtime directory what happened: the last entries, of an instance or of all.
///
/// Blocks for at most a few seconds. **Errors:** see [`ClientError`].
pub fn history(runtime_dir: &Path, last: usize, instance: Option<&str>) -> Result<HistoryReply, ClientError> {
    let command = Command::History { last, instance: instance.map(str::to_owned), follow: false };
    let json = ask(runtime_dir, command, PATIENCE)?;
    decode(&json, &socket_path(runtime_dir))
}

/// Follows what happens to the daemon of a runtime directory: calls `on` with the last entries, then with those that come.
///
/// Returns when `on` says that it wants no more. **Errors:** see [`ClientError`]; [`ClientError::Broken`] when the daemon
/// ends.
pub fn follow_history(
    runtime_dir: &Path,
    last: usize,
    instance: Option<&str>,
    mut on: impl FnMut(HistoryReply) -> ControlFlow<()>,
) -> Result<(), ClientError> {
    let path = socket_path(runtime_dir);
    let broken = |source| ClientError::Broken { path: path.clone(), source };
    let stream = connect(&path, PATIENCE)?;
    let command = Command::History { last, instance: instance.map(str::to_owned), follow: true };
    (&stream).write_all(command.to_line().as_bytes()).map_err(broken)?;
    let mut reader = BufReader::new(stream.take(MAX_REPLY));
    loop {
        let mut line = String::new();
        reader.get_mut().set_limit(MAX_REPLY);
        reader.read_line(&mut line).map_err(broken)?;
        if line.pop() != Some('\n') {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let reply: HistoryReply = decode(&line, &path)?;
        if on(reply).is_break() {
            return Ok(());
        }
        // The next one may take a year.
        reader.get_ref().get_ref().set_read_timeout(None).map_err(broken)?;
    }
}

fn ask(runtime_dir: &Path, command: Command, patience: Duration) -> Result<String, ClientError> {
    let path = socket_path(runtime_dir);
    let stream = connect(&path, patience)?;
    exchange(stream, command).map_err(|source| ClientError::Broken { path, source })
}

/// Why there is no reply.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens.
    NotRunning {
        /// Where.
        path: PathBuf,
    },
    /// The user may not open the socket.
    Denied {
        /// Which.
        path: PathBuf,
    },
    /// The daemon did not answer, or not in time.
    Broken {
        /// On which socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon speaks another version.
    Schema(u32),
    /// The reply is not understood.
    Malformed(String),
    /// The daemon answered no.
    Refused(String),
    /// The daemon does not take its configuration; what is wrong with it, a line each.
    Configuration(Vec<String>),
}

impl ClientError {
    /// Returns the exit code for the command line: 3 not running, 77 permission, 78 configuration, 69 else.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotRunning { .. } => 3,
            Self::Denied { .. } => 77,
            Self::Configuration(_) => 78,
            Self::Broken { .. } | Self::Schema(_) | Self::Malformed(_) | Self::Refused(_) => 69,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { path } => write!(f, "not running: nobody listens on {}", path.display()),
            Self::Denied { path } => {
                write!(f, "permission denied on {}: be root or a member of its group", path.display())
            }
            Self::Broken { path, source } if is_timeout(source) => {
                write!(f, "daemon does not answer on {} in time", path.display())
            }
            Self::Broken { path, source } => write!(f, "no reply on {}: {source}", path.display()),
            Self::Schema(number) => {
                write!(f, "daemon speaks schema {number}, expected {SCHEMA}: use the vrrpd that is running")
            }
            Self::Malformed(why) => write!(f, "reply is not understood: {why}"),
            Self::Refused(why) => write!(f, "daemon refuses: {why}"),
            Self::Configuration(problems) => f.write_str(&problems.join("\n")),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken { source, .. } => Some(source),
            Self::NotRunning { .. }
            | Self::Denied { .. }
            | Self::Schema(_)
            | Self::Malformed(_)
            | Self::Refused(_)
            | Self::Configuration(_) => None,
        }
    }
}

/// Connects without waiting for a daemon that accepts nobody.
fn connect(path: &Path, patience: Duration) -> Result<UnixStream, ClientError> {
    let connected = || -> io::Result<UnixStream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.connect_timeout(&SockAddr::unix(path)?, patience)?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        Ok(UnixStream::from(OwnedFd::from(socket)))
    };
    connected().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning { path: path.to_owned() },
        io::ErrorKind::PermissionDenied => ClientError::Denied { path: path.to_owned() },
        _ => ClientError::Broken { path: path.to_owned(), source },
    })
}

fn exchange(stream: UnixStream, command: Command) -> io::Result<String> {
    match (&stream).write_all(command.to_line().as_bytes()) {
        // A daemon that turns a client away closes at once; what it said can still be read.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REPLY)).read_line(&mut line)?;
    if line.pop() == Some('\n') { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn decode<T: DeserializeOwned>(json: &str, path: &Path) -> Result<T, ClientError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let malformed = |error: serde_json::Error| ClientError::Malformed(format!("{error} on {}", path.display()));
    if let Ok(refusal) = serde_json::from_str::<Refusal>(json) {
        return Err(match refusal.problems {
            problems if problems.is_empty() => ClientError::Refused(refusal.error),
            problems => ClientError::Configuration(problems),
        });
    }
    let head: Head = serde_json::from_str(json).map_err(malformed)?;
    if head.schema != SCHEMA {
        return Err(ClientError::Schema(head.schema));
    }
    serde_json::from_str(json).map_err(malformed)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
