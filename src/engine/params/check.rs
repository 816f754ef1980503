//! Checks: what is watched on this host, and what its verdict means for a router.
//!
//! Written by `config`; `track` runs the kinds, `engine::health` does the arithmetic.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::hook::Command;

/// One check; it runs once, however many routers name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckParams {
    /// Its name in status, logs and [`Track::check`]; unique among the checks of a node, never empty.
    pub name: String,
    /// What is looked at.
    pub kind: CheckKind,
    /// From one look to the next, for the kinds that must look again and again; 1 ms or more.
    pub interval: Duration,
    /// How long one look may take; 1 ms or more.
    pub timeout: Duration,
    /// Successes in a row until it passes; 1 or more.
    pub rise: u32,
    /// Failures in a row until it fails; 1 or more.
    pub fall: u32,
    /// What counts before the first verdict.
    pub initial: Initial,
}

/// What a check is before it has a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Initial {
    /// Nothing: a router that depends on it without weight waits; a weight adds nothing. The first result counts at
    /// once, whatever rise and fall are.
    #[default]
    Unknown,
    /// It passes until `fall` failures in a row.
    Passing,
    /// It fails until `rise` successes in a row (`init_fail`).
    Failing,
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A program without a shell; exit status 0 passes.
    Exec(Command),
    /// A request over HTTP/1.1.
    Http(HttpParams),
    /// A connection over TCP or to a unix socket.
    Tcp(Endpoint),
    /// Processes that run, noticed without polling.
    Process(ProcessParams),
    /// A systemd unit that is active; with its suffix, such as `haproxy.service`.
    Unit(String),
    /// A file.
    File {
        /// Absolute.
        path: PathBuf,
        /// What about it.
        sense: FileSense,
    },
    /// An interface that is up and running; its name.
    Interface(String),
    /// An answer to an ICMP echo request.
    Ping(IpAddr),
}

/// Where a probe connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address and a port.
    Inet(SocketAddr),
    /// A unix stream socket; absolute.
    Unix(PathBuf),
}

/// A request over HTTP/1.1; no redirects, no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpParams {
    /// Where it connects to.
    pub endpoint: Endpoint,
    /// The `Host` header.
    pub host: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// Status codes that pass; never empty.
    pub status: Vec<RangeInclusive<u16>>,
    /// Text that the first 64 KiB of the body must contain; `None`: the body is not read.
    pub body: Option<String>,
}

/// Processes that must run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessParams {
    /// Which.
    pub target: ProcessTarget,
    /// At least so many; 1 or more.
    pub quorum: u32,
    /// At most so many; `None`: any number, 0: none may run.
    pub quorum_max: Option<u32>,
    /// How long a gain must last before it counts.
    pub gain_delay: Duration,
    /// How long a loss must last before it counts.
    pub loss_delay: Duration,
}

/// How processes are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessTarget {
    /// By the command name of the kernel (`/proc/PID/comm`), at most 15 bytes.
    Name(String),
    /// By program and arguments (`/proc/PID/cmdline`); never empty.
    CommandLine {
        /// The program, then its arguments.
        words: Vec<String>,
        /// How the arguments are compared.
        matching: ArgumentMatch,
    },
    /// By the number in a file; absolute.
    PidFile(PathBuf),
}

/// How the arguments of a process are compared with the configured ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ArgumentMatch {
    /// All equal.
    #[default]
    Exact,
    /// All equal, but the last one may be longer.
    Partial,
    /// The process may have more.
    Initial,
}

/// What about a file decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSense {
    /// It passes while the file exists.
    Exists,
    /// It passes while the file does not exist.
    Absent,
    /// The number it begins with (decimal, `0x` or leading 0 as in C); missing, empty or unreadable counts as 0.
    Number,
}

/// What the verdict of a check means for one router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// [`CheckParams::name`].
    pub check: String,
    /// What a failure does.
    pub effect: Effect,
    /// A Master withdraws its addresses before anybody else has them: what is answered while the check fails is worse
    /// than no answer.
    pub is_urgent: bool,
}

/// What the verdict of a check does to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A failure means FAULT; of a number: anything but 0 does. Reversed: the other way round.
    Fault {
        /// The opposite verdict is the bad one.
        is_reversed: bool,
    },
    /// A positive weight is added while the check passes, a negative one while it fails. A number is multiplied by it, cut to
    /// -254..=253, and means FAULT at -254.
    Weight {
        /// -254..=254, not 0.
        weight: i16,
        /// The sign of what is added is turned round, in the same states.
        is_reversed: bool,
    },
}
