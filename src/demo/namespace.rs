//! A network namespace without a name: a thread that lives in it.
//!
//! Nothing to clean up: the namespace, its links and addresses are gone when the thread has ended, the last process in
//! it has ended and the last descriptor of it is closed, whatever way this process ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, unshare};

use super::error::LabError;

/// One namespace. Its loopback interface is up.
pub struct Namespace {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    file: File,
}

type Job = Box<dyn FnOnce() + Send>;

impl Namespace {
    /// Makes a namespace.
    ///
    /// **Errors:** [`LabError::Forbidden`] when the user may not.
    pub fn new(name: &str) -> Result<Self, LabError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (reply, outcome) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("net-{name}"))
            .spawn(move || {
                let made = enter_fresh_namespace();
                let is_made = made.is_ok();
                // The receiver waits below.
                let _ = reply.send(made);
                if is_made {
                    // This thread stays until the namespace is dropped: children it starts may have asked the kernel
                    // to die with their parent, and the kernel takes that to be the thread.
                    inbox.into_iter().for_each(|job| job());
                }
            })
            .map_err(LabError::kernel("start a thread"))?;
        let source = match outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended"))) {
            Ok(file) => return Ok(Self { jobs: Some(jobs), thread: Some(thread), file }),
            Err(source) => source,
        };
        // It has nothing more to do; a panic in there has been reported by the panic hook.
        let _ = thread.join();
        Err(match source.kind() {
            io::ErrorKind::PermissionDenied => LabError::Forbidden { tried: "make network namespaces", source },
            _ => LabError::Kernel { tried: "make a network namespace".to_owned(), source },
        })
    }

    /// Runs `body` in the namespace and returns what it returned.
    ///
    /// **Errors:** those of `body`; one of our own when `body` panicked.
    pub fn enter<T: Send + 'static>(&self, body: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let (reply, outcome) = mpsc::channel();
        let job: Job = Box::new(move || {
            // The receiver waits below.
            let _ = reply.send(body());
        });
        let gone = || io::Error::other("the namespace's thread ended");
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        outcome.recv().map_err(|_| gone())?
    }

    /// Starts a process in the namespace.
    pub fn spawn(&self, mut command: Command) -> io::Result<Child> {
        self.enter(move || command.spawn())
    }

    /// Sets a kernel setting of the namespace; `path` is below `/proc/sys/net/`.
    pub fn set(&self, path: &str, value: impl ToString) -> Result<(), LabError> {
        let path = format!("/proc/sys/net/{path}");
        let value = value.to_string();
        let tried = format!("write {value} to {path}");
        self.enter(move || std::fs::write(path, value)).map_err(LabError::kernel(tried))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Without a sender the thread's loop ends.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn enter_fresh_namespace() -> io::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let mut netlink = super::netlink::Netlink::open()?;
    netlink.set_up(super::netlink::index_of("lo")?, true)?;
    File::open("/proc/thread-self/ns/net")
}
