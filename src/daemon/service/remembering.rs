//! What the service thread does for the history: it tells what happens to the daemon, and asks for a Master that fell silent.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::spawn_local;

use super::Service;
use crate::control::history::Kind;
use crate::daemon::event_loop::read_clocks;
use crate::daemon::guard::Origin;
use crate::daemon::history::Mark;
use crate::daemon::journal::{Finding, Journal};
use crate::daemon::record::Level;
use crate::daemon::upgrade::VERSION;
use crate::engine::output::{Event, EventKind, Reason, Transition};
use crate::net::service::Wish;

impl Service {
    /// Wishes to know whether the host of a Master that fell silent is still there: its daemon may have died alone.
    ///
    /// What is found out comes into the history; nobody waits for it.
    pub(super) fn ask_for_silent(&self, event: &Event, mark: Option<Mark>) -> Option<Wish> {
        let EventKind::Transition(Transition { reason: Reason::MasterDown { .. }, peer, .. }) = &event.kind else {
            return None;
        };
        let (host, mark) = ((*peer)?, mark?);
        let params = self.routers.borrow().get(&event.router?).cloned()?;
        let (reply, answer) = oneshot::channel();
        let journal = Rc::clone(&self.journal);
        let wish = Wish::Ask { interface: params.interface.clone(), host, reply };
        spawn_local(async move {
            // An error means that it cannot be found out: the host is behind a router, say.
            let Ok(is_there) = answer.await else { return };
            let finding = if is_there { Finding::Answers } else { Finding::Silent };
            journal.borrow().write_finding(read_clocks(), &params.name, mark, host, finding);
        });
        Some(wish)
    }

    /// Writes the end down, and waits until the history is in its file.
    pub(super) fn remember_stop(&self) {
        let journal = self.journal.borrow();
        journal.write_stop(read_clocks());
        if !journal.history().flush(FLUSH_PATIENCE) {
            let path = self.draining.state_dir().path().display();
            tracing::warn!("the history is not on the disk yet, {path} does not answer: its end may be missing");
        }
    }
}

/// Writes down how this process came to run this program.
pub(super) fn remember_start(journal: &Journal, origin: &Origin) {
    let (level, kind, words) = match origin {
        Origin::Started => (Level::Info, Kind::Start, format!("version {VERSION}")),
        Origin::Upgraded { from } => (Level::Info, Kind::Upgrade, format!("from version {from} to {VERSION}")),
        Origin::Returned { from, why } => {
            (Level::Error, Kind::Upgrade, format!("version {from} failed, back to {VERSION}: {why}"))
        }
    };
    journal.note(read_clocks(), level, kind, &words);
}

/// How long the disk may take at the end.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
