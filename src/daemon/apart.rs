//! Work that needs much memory for a moment, done on a heap of its own.
//!
//! On its way from a file to parameters a configuration is many times what the daemon needs of it, in pieces that lie
//! between those that stay: the allocator could never give that room back. A thread has a heap of its own, which is
//! given back as soon as nothing is left in it, or used by the next thread.
//! One stop before: `daemon::start`, `daemon::reload`. One stop after: `config`, `daemon::state`.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

use crate::config::{self, Format, Loaded, Problems};

/// Reads and checks a file, see [`config::load`]; [`unload`] is for who has taken from it what he needs.
///
/// **Errors:** everything that is wrong with it, warnings included.
pub(super) fn load(path: &Path, format: Option<Format>) -> Result<Loaded, Problems> {
    work(|| config::load(path, format))
}

/// Drops a configuration; on another thread, since each keeps some of what it drops for its next use.
pub(super) fn unload(loaded: Loaded) {
    work(move || drop(loaded));
}

/// Does something on a thread of its own and waits for it; on this one where the kernel has no other.
pub(super) fn work<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    let what = Mutex::new(Some(what));
    let run = || what.lock().unwrap_or_else(PoisonError::into_inner).take().map(|what| what());
    let done =
        scope(|scope| match Builder::new().name("apart".to_owned()).stack_size(STACK).spawn_scoped(scope, run) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => run(),
        });
    // It is taken once: by the thread, or here when there is none.
    done.expect("work that was not done yet")
}

/// As much as a process begins with: how deep a file may nest does not depend on who reads it.
const STACK: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_another_thread_and_its_value_comes_back() {
        let here = std::thread::current().id();
        assert_ne!(work(|| std::thread::current().id()), here);
    }
}
