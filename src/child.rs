//! The one place that starts, times out and kills programs.
//!
//! No shell. A program runs in its own process group, as an unprivileged user unless somebody is named, and is killed as
//! a group. What makes a session of its own (`setsid`) is out of reach, as is whatever a program left behind when it
//! ended in time. Programs do not die with the daemon by themselves, because only code between fork and exec could arrange
//! that: the unit's `KillMode=` does it. One stop before: `track::exec` and `notify`.

mod audit;
mod group;
mod identity;
mod output;
mod path;
mod start;
mod starters;

use std::pin::pin;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use audit::{Obstacle, audit};
pub use group::all_ended;
pub use identity::{Identity, IdentityError, forget_owners, identity, owner};
pub use start::settle_thread;

use crate::engine::params::{Command, Scripts};
use group::Group;
use output::Output;

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
///
/// Returns at the timeout whatever the program does: that its group is dead is seen to in the background. Returns at once when
/// the program itself has ended, even if something it started still holds its output open; that is read on and thrown away.
/// Does not keep the thread while a program is started. Inside a tokio runtime only, with I/O and time.
pub async fn run(call: Call<'_>) -> Ended {
    let mut limit = pin!(tokio::time::sleep(call.timeout));
    let started = tokio::select! {
        biased;
        started = begin(&call) => started,
        // Once it has started it will be killed.
        () = &mut limit => return Ended { how: How::TimedOut, last_line: String::new() },
    };
    let (mut group, mut output) = match started {
        Ok(Started { group, output }) => (group, output),
        Err(why) => return Ended { how: How::NotStarted(why), last_line: String::new() },
    };
    let status = tokio::select! {
        biased;
        status = group.wait() => Some(status),
        () = output.swallow() => None,
        () = limit => None,
    };
    let how = match status {
        Some(status) => status.unwrap_or_else(|error| How::NotStarted(format!("cannot wait for it: {error}"))),
        None => group.ended_already().unwrap_or(How::TimedOut),
    };
    output.take_rest();
    let last_line = output.last_line();
    match how {
        // The group needs its output until it is dead: a handler of SIGTERM may write.
        How::TimedOut => group.end(Some(output)),
        How::Exited(_) | How::Signaled(_) | How::NotStarted(_) => output.linger(),
    }
    Ended { how, last_line }
}

/// A program that runs. Dropping it kills its group.
struct Started {
    group: Group,
    output: Output,
}

/// Starts a program without keeping this thread.
///
/// **Errors:** what stands in the way, for an operator to read.
async fn begin(call: &Call<'_>) -> Result<Started, String> {
    let (sender, started) = oneshot::channel();
    let plan = start::Plan::of(call);
    let runtime = Handle::current();
    starters::submit(move || {
        let _inside = runtime.enter();
        let started = plan.start().map(|(child, pipe)| {
            let group = Group::new(child, plan.command.words);
            Started { group, output: Output::new(pipe) }
        });
        // What nobody waits for any more is dropped, and so killed.
        let _ = sender.send(started);
    });
    started.await.unwrap_or_else(|_| Err("no thread to start it in".to_owned()))
}
