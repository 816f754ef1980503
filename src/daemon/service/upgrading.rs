//! The service thread's part of a live upgrade: rehearses the new program, brings everything to rest, and asks the protocol thread
//! to become it.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, spawn_local};

use super::{Service, ServiceFailure};
use crate::child;
use crate::daemon::channel::ToProtocol;
use crate::daemon::systemd;
use crate::daemon::upgrade::{Replacement, UpgradeError, VERSION, program_on_disk, rehearse};

/// A program that is about to take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Successor {
    pub program: PathBuf,
    pub version: String,
}

/// How far an upgrade is.
#[derive(Default)]
pub(super) struct Upgrading {
    is_under_way: Cell<bool>,
    replacement: RefCell<Option<Replacement>>,
    /// A program was rehearsed: nothing is begun any more.
    pub begun: Notify,
    /// What ran has ended.
    pub rested: Notify,
}

impl Service {
    /// Rehearses the program on the disk; when it may take over, everything else happens by itself, a moment later.
    ///
    /// **Errors:** why it must not; nothing has changed then.
    pub(super) async fn upgrade(&self) -> Result<Successor, UpgradeError> {
        if self.upgrading.is_under_way.replace(true) {
            return Err(UpgradeError::Busy);
        }
        let rehearsed = self.rehearse_program().await;
        match &rehearsed {
            Ok(successor) => {
                let (program, version) = (successor.program.display(), &successor.version);
                tracing::info!("version {version} ({program}) takes over from version {VERSION}");
                self.upgrading.begun.notify_one();
            }
            Err(error) => {
                tracing::error!("no upgrade, version {VERSION} goes on: {error}");
                self.upgrading.is_under_way.set(false);
            }
        }
        rehearsed
    }

    async fn rehearse_program(&self) -> Result<Successor, UpgradeError> {
        let program = program_on_disk()?;
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let version = rehearse(&program, &arguments).await?.version;
        self.upgrading.replacement.replace(Some(Replacement::new(&program)?));
        Ok(Successor { program, version })
    }

    /// Stops the checks and waits for programs to end, while everything else goes on.
    pub(super) fn bring_to_rest(self: &Rc<Self>) {
        self.checks.stop();
        systemd::reloading();
        let service = Rc::clone(self);
        spawn_local(async move {
            service.hooks.rest(HOOKS_PATIENCE).await;
            child::all_ended(CHECKS_PATIENCE).await;
            service.upgrading.rested.notify_one();
        });
    }

    /// Lets go of what the kernel takes its time to close, and asks the protocol thread to become the other program.
    ///
    /// Returns only when that is impossible: then the daemon has nothing left to work with.
    pub(super) async fn become_other(&self, netting: JoinHandle<()>) -> Result<(), ServiceFailure> {
        let Some(replacement) = self.upgrading.replacement.take() else { return Err(ServiceFailure::NetEnded) };
        // A packet socket is closed after a grace period of the kernel, some milliseconds in which no advert could leave.
        netting.abort();
        let _ = netting.await;
        systemd::alive();
        self.log.flush(LOG_PATIENCE);
        self.journal.borrow().history().flush(LOG_PATIENCE);
        let (reply, failed) = oneshot::channel();
        self.protocol.send(ToProtocol::Replace(replacement, reply));
        match failed.await {
            Ok(error) => Err(ServiceFailure::Upgrade(error)),
            // The protocol thread has ended meanwhile: somebody wants the daemon to stop.
            Err(_) => Ok(()),
        }
    }
}

/// How long hooks that run may hold an upgrade up.
const HOOKS_PATIENCE: Duration = Duration::from_secs(10);

/// How long checks that were stopped may: somewhat longer than until they are killed.
const CHECKS_PATIENCE: Duration = Duration::from_millis(2500);

/// How long the log may.
const LOG_PATIENCE: Duration = Duration::from_millis(200);
