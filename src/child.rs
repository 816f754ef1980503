//! The one place that starts, times out and kills programs.
//!
//! No shell. A program runs in its own process group, as an unprivileged user unless somebody is named, and is killed as
//! a group. One stop before: `track::exec` and `notify`.

use std::time::Duration;

use crate::engine::params::{Command, Scripts};

/// How a program is called.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What and, if it says so, as whom.
    pub command: &'a Command,
    /// As whom otherwise.
    pub scripts: &'a Scripts,
    /// Arguments after the configured ones.
    pub appended: &'a [String],
    /// Variables besides those of the daemon.
    pub environment: &'a [(String, String)],
    /// After this the group gets SIGTERM, and soon SIGKILL.
    pub timeout: Duration,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub how: How,
    /// The last line it wrote to its standard output or error, printable, at most 160 bytes; empty: none.
    pub last_line: String,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// With this status.
    Exited(i32),
    /// By this signal, which we did not send.
    Signaled(i32),
    /// It took too long and was killed.
    TimedOut,
    /// It was not started; what stands in the way.
    NotStarted(String),
}

/// Runs a program to its end; dropping the future kills its process group.
pub async fn run(call: Call<'_>) -> Ended {
    let _ = call;
    Ended { how: How::NotStarted("not built".to_owned()), last_line: String::new() }
}
