//! A started program and its process group, until nothing of it is left.
//!
//! The group is signalled only while its leader has not been waited for: after that its number may be somebody else's.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::runtime::Handle;

use super::How;
use super::output::Output;

/// A program that leads a process group of its own. Dropping it ends the group.
pub(super) struct Group {
    /// `None`: it has been waited for, or is being ended elsewhere.
    child: Option<Child>,
    words: Vec<String>,
}

impl Group {
    /// Takes charge of a child that leads a group; `words`: its program and configured arguments.
    pub fn new(child: Child, words: Vec<String>) -> Self {
        Self { child: Some(child), words }
    }

    /// Waits for the end of the leader. Losing the future loses nothing.
    pub async fn wait(&mut self) -> io::Result<How> {
        let Some(child) = &mut self.child else { return std::future::pending().await };
        let status = child.wait().await;
        self.child = None;
        status.map(ended)
    }

    /// Returns how the leader has ended, if it has. For the moment of a timeout: an end that nobody had the time to look
    /// at is no timeout.
    pub fn ended_already(&mut self) -> Option<How> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        Some(ended(status))
    }

    /// Asks the group to stop, makes it stop after a while, and waits for it, all in the background.
    ///
    /// Its output is read on meanwhile.
    pub fn end(mut self, output: Option<Output>) {
        self.hand_over(output);
    }

    fn hand_over(&mut self, output: Option<Output>) {
        let Some(child) = self.child.take() else { return };
        let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        let ending = Ending::new(child, Pid::from_raw(pid), std::mem::take(&mut self.words));
        // Without a runtime, or with one that stops, `Ending` is dropped: that kills too.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(ending.run(output));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.hand_over(None);
    }
}

/// A group that has been told to stop. Dropping it kills what is left.
struct Ending {
    child: Child,
    group: Pid,
    words: Vec<String>,
    is_killed: bool,
}

impl Ending {
    fn new(child: Child, group: Pid, words: Vec<String>) -> Self {
        *ending().entry(words.clone()).or_default() += 1;
        // Fails only if nobody is left or the user is not ours to signal; neither changes what follows.
        let _ = killpg(group, Signal::SIGTERM);
        Self { child, group, words, is_killed: false }
    }

    async fn run(mut self, output: Option<Output>) {
        let patience = async {
            // The leader is looked at without waiting for it, so that the number of the group stays ours.
            for pause in LOOKS {
                tokio::time::sleep(pause).await;
                if is_dead(self.group) {
                    // The others of the group were told to stop as well, and get the same again to do so.
                    tokio::time::sleep(LAST_GRACE).await;
                    return;
                }
            }
        };
        match output {
            Some(mut output) => tokio::select! {
                () = patience => {}
                () = output.swallow() => {}
            },
            None => patience.await,
        }
        self.kill();
        // Without a bound: a program that sleeps in the kernel cannot be killed. `is_full` bounds how many there can be.
        let _ = self.child.wait().await;
    }

    fn kill(&mut self) {
        if !self.is_killed {
            self.is_killed = true;
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.kill();
        let mut ending = ending();
        if let Some(count) = ending.get_mut(&self.words) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                ending.remove(&self.words);
            }
        }
    }
}

/// Waits until no program that was told to stop is left, at most about `patience`.
pub async fn all_ended(patience: Duration) {
    let gone = async {
        while !ending().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let _ = tokio::time::timeout(patience, gone).await;
}

/// Says whether so many runs of a program refuse to die that it may not be started once more.
pub(super) fn is_full(words: &[String]) -> bool {
    ending().get(words).is_some_and(|count| *count >= ENDING_MAX)
}

/// Says whether a child has ended; it stays to be waited for.
fn is_dead(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::Pid(pid), flags), Ok(WaitStatus::StillAlive))
}

fn ended(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Exited(code),
        (None, Some(signal)) => How::Signaled(signal),
        // A process that has ended has one of both.
        (None, None) => How::Signaled(0),
    }
}

/// How many groups have been told to stop and are not known to be dead, by program and arguments.
static ENDING: Mutex<BTreeMap<Vec<String>, usize>> = Mutex::new(BTreeMap::new());

fn ending() -> MutexGuard<'static, BTreeMap<Vec<String>, usize>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many runs of one program may be about to die before it is not started again.
pub(super) const ENDING_MAX: usize = 64;

/// When the leader is looked at after SIGTERM; together the time from SIGTERM to SIGKILL.
const LOOKS: [Duration; 8] = [
    Duration::from_millis(5),
    Duration::from_millis(15),
    Duration::from_millis(30),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_millis(1000),
];

/// How long the rest of a group has after its leader has died.
const LAST_GRACE: Duration = Duration::from_millis(100);
