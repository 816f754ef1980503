//! The first moments of a program that took the place of another: until it is ready, whatever goes wrong leads back.
//!
//! An error, a panic in any thread, and a start that takes too long end in executing the program before, from the descriptor it
//! left; it adopts as any other does. A program that is killed in these moments cannot do that: then the service manager starts what is
//! on the disk. One stop before: `daemon::upgrade` of the program before. One stop after: the same, of this one.

use std::ffi::CString;
use std::fs;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::SigmaskHow;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::upgrade::{Note, become_program, hold_signals, own_arguments, path_of};
use crate::control::upgrade::UpgradeStatus;

/// How this process came to run this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was started.
    Started,
    /// It took the place of a program of this version.
    Upgraded {
        /// Which.
        from: String,
    },
    /// It is back: the program that took its place was not ready in time.
    Returned {
        /// The version of that one.
        from: String,
        /// What went wrong.
        why: String,
    },
}

impl Origin {
    /// Returns what the status says of it.
    pub fn into_status(self) -> Option<UpgradeStatus> {
        match self {
            Self::Started => None,
            Self::Upgraded { from } => Some(UpgradeStatus { from, failure: None }),
            Self::Returned { from, why } => Some(UpgradeStatus { from, failure: Some(why) }),
        }
    }
}

/// Leads back until it is dismissed. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Guard(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    phase: Mutex<Phase>,
    changed: Condvar,
    note: Note,
    arguments: Vec<CString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Leaving,
}

impl Guard {
    /// Reads the note of the program before, if there was one, and begins to watch. To be called before all else.
    ///
    /// Children of the program before are waited for from here on, so that none stays a zombie.
    pub fn post() -> (Self, Origin) {
        let Some(note) = Note::own() else { return (Self(None), Origin::Started) };
        let children = own_children();
        if let Some(why) = note.failure {
            forget(note.way_back);
            let _ = thread::Builder::new().name("heirs".to_owned()).spawn(move || await_end(children));
            return (Self(None), Origin::Returned { from: note.from, why });
        }
        let origin = Origin::Upgraded { from: note.from.clone() };
        let (phase, changed) = (Mutex::new(Phase::Starting), Condvar::new());
        let arguments = arguments_as(&note.name);
        let shared = Arc::new(Shared { phase, changed, note, arguments });
        let watched = Arc::clone(&shared);
        let watch = move || {
            watched.watch();
            await_end(children);
        };
        // Without a thread nobody looks at the time; all else leads back still.
        let _ = thread::Builder::new().name("guard".to_owned()).spawn(watch);
        (Self(Some(shared)), origin)
    }

    /// Lets a panic of any thread lead back, after it was reported. To be called after the log has set its own hook.
    pub fn catch_panics(&self) {
        let Some(shared) = self.0.clone() else { return };
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            shared.leave("panicked");
        }));
    }

    /// The program is ready: nothing leads back any more.
    pub fn dismiss(&self) {
        let Some(shared) = &self.0 else { return };
        let mut phase = shared.phase();
        if *phase == Phase::Starting {
            *phase = Phase::Ready;
            drop(phase);
            shared.changed.notify_all();
            forget(shared.note.way_back);
        }
    }

    /// Goes back to the program before, unless this one was ready; returns where there is none, or it cannot be executed.
    pub fn leave(&self, why: &str) {
        if let Some(shared) = &self.0 {
            shared.leave(why);
        }
    }
}

impl Shared {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        let patience = Duration::from_millis(self.note.patience_ms);
        let (phase, _) = self
            .changed
            .wait_timeout_while(self.phase(), patience, |phase| *phase == Phase::Starting)
            .unwrap_or_else(PoisonError::into_inner);
        let is_late = *phase == Phase::Starting;
        drop(phase);
        if is_late {
            let why = format!("not ready within {patience:?}");
            tracing::error!("{why}: going back to version {}", self.note.from);
            self.leave(&why);
        }
    }

    fn leave(&self, why: &str) {
        let mut phase = self.phase();
        if *phase != Phase::Starting {
            return;
        }
        *phase = Phase::Leaving;
        drop(phase);
        let note =
            Note { from: super::upgrade::VERSION.to_owned(), failure: Some(why.to_owned()), ..self.note.clone() };
        // They wait for the program that catches them.
        let _ = hold_signals(SigmaskHow::SIG_BLOCK);
        let error = become_program(&path_of(note.way_back), &self.arguments, &note);
        tracing::error!("cannot go back to version {}: {error}", self.note.from);
    }
}

/// Returns the arguments of this process, under the name of the program before.
fn arguments_as(name: &str) -> Vec<CString> {
    let arguments = own_arguments().unwrap_or_default();
    CString::new(name).into_iter().chain(arguments.into_iter().skip(1)).collect()
}

/// Closes the descriptor of the program before.
fn forget(descriptor: i32) {
    // It came with the note for this very process, and nothing in here knows of it otherwise.
    let _ = nix::unistd::close(descriptor);
}

/// Returns the children that this process had under its program before.
fn own_children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .map(Pid::from_raw)
        .collect()
}

/// Waits for children, one after the other: they are ours alone, nobody else knows of them.
fn await_end(children: Vec<Pid>) {
    for child in children {
        let _ = waitpid(child, None);
    }
}
