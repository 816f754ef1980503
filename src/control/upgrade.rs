//! A live upgrade as the control socket tells it: the answer to the request, and what became of it in the status.
//!
//! One stop before: `daemon::service`. One stop after: `cli`, which waits for the daemon to be back.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{self, ClientError};
use super::message::SCHEMA;

/// The answer to a request whose program was rehearsed: it takes over after this line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeReply {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Who takes over from whom.
    pub upgrade: Begun,
}

/// Who takes over from whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Version of the program that answers.
    pub from: String,
    /// Version of the next.
    pub to: String,
    /// Where that is.
    pub program: PathBuf,
    /// The process that becomes it.
    pub pid: u32,
}

impl UpgradeReply {
    /// Makes the answer of this process.
    pub fn new(from: &str, to: String, program: PathBuf) -> Self {
        let upgrade = Begun { from: from.to_owned(), to, program, pid: std::process::id() };
        Self { schema: SCHEMA, upgrade }
    }
}

/// What became of the last upgrade of a daemon, in its status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeStatus {
    /// Version of the program before this one.
    pub from: String,
    /// Why the program before this one was not ready in time, so that this one is back; none: this one took over.
    pub failure: Option<String>,
}

/// What an upgrade came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// As it was begun.
    pub begun: Begun,
    /// Version of the program that runs.
    pub version: String,
}

/// Asks a daemon to become the program on the disk, and waits until that or the old one answers.
///
/// Blocks for some seconds, somewhat longer while hooks run. `pause`: lets time pass. **Errors:** see [`UpgradeFailure`].
pub fn upgrade(runtime_dir: &Path, pause: impl Fn(Duration)) -> Result<Upgraded, UpgradeFailure> {
    // Grows for as long as it is the same program that answers.
    let mut uptime_ms = client::status(runtime_dir).map_err(UpgradeFailure::Refused)?.status.uptime_ms;
    let begun = client::upgrade(runtime_dir).map_err(UpgradeFailure::Refused)?.upgrade;
    for _ in 0..LOOKS {
        pause(PACE);
        // Nobody listens for a moment.
        let Ok(reply) = client::status(runtime_dir) else { continue };
        let is_next = reply.status.uptime_ms < uptime_ms;
        uptime_ms = reply.status.uptime_ms;
        let Some(upgrade) = reply.status.upgrade.filter(|_| is_next) else { continue };
        return match upgrade.failure {
            None => Ok(Upgraded { begun, version: reply.status.version }),
            Some(why) => Err(UpgradeFailure::Returned { begun, why }),
        };
    }
    Err(UpgradeFailure::Silent(begun))
}

/// Why a daemon is not the program on the disk.
#[derive(Debug)]
pub enum UpgradeFailure {
    /// It was not begun.
    Refused(ClientError),
    /// The new program was not ready in time: the old one goes on.
    Returned {
        /// As it was begun.
        begun: Begun,
        /// What went wrong.
        why: String,
    },
    /// Neither answers.
    Silent(Begun),
}

impl UpgradeFailure {
    /// Returns the exit code for the command line: that of the client, 70 for a program that failed.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(error) => error.exit_code(),
            Self::Returned { .. } | Self::Silent(_) => 70,
        }
    }
}

impl fmt::Display for UpgradeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Returned { begun, why } => {
                write!(f, "version {} could not take over, version {} goes on: {why}", begun.to, begun.from)
            }
            Self::Silent(begun) => {
                write!(f, "neither version {} nor version {} answers", begun.to, begun.from)
            }
        }
    }
}

/// How often the next program is looked for: hooks may hold it up for 10 s, and it may take 5 s to fail.
const LOOKS: u32 = 1000;

/// Between two looks.
const PACE: Duration = Duration::from_millis(20);
