//! Threads that start programs for another thread, which must not wait.
//!
//! The kernel keeps whoever starts a program until it runs: about a millisecond on a busy host, and for ever when the program is on a
//! file system that does not answer. The user database may take its time as well.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Something to be done.
type Job = Box<dyn FnOnce() + Send>;

/// Threads that have what the thread has that made this: capabilities, signal mask, scheduling. They end with it.
#[derive(Default)]
struct Starters(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

/// Does something in a thread that starts programs for this one; later, while all of them are busy.
///
/// Dropped undone when the kernel gives no thread at all.
pub(super) fn submit(job: impl FnOnce() + Send + 'static) {
    STARTERS.with(|starters| starters.submit(Box::new(job)));
}

impl Starters {
    fn submit(&self, job: Job) {
        let mut queue = self.0.lock();
        queue.jobs.push_back(job);
        if queue.idle < queue.jobs.len() && queue.threads < THREADS_MAX {
            let shared = Arc::clone(&self.0);
            let thread = std::thread::Builder::new().name("starter".to_owned()).spawn(move || shared.work());
            if thread.is_ok() {
                queue.threads += 1;
            } else if queue.threads == 0 {
                queue.jobs.clear();
            }
        }
        drop(queue);
        self.0.bell.notify_one();
    }
}

impl Drop for Starters {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.bell.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                job();
                queue = self.lock();
            } else if queue.is_closed {
                return;
            } else {
                queue.idle += 1;
                queue = self.bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            }
        }
    }
}

thread_local! {
    /// Made when this thread starts its first program.
    static STARTERS: Starters = Starters::default();
}

/// How many programs are being started at the same moment; so many file systems may hang before others are affected.
const THREADS_MAX: usize = 8;
