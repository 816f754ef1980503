//! What the service thread answers to clients of the control socket.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Net, Service};
use crate::control::message::{Command, Reply};
use crate::control::server::Peer;
use crate::control::status::{self, Seen};
use crate::control::upgrade::UpgradeReply;
use crate::daemon::channel::{Snapshot, ToProtocol};
use crate::daemon::upgrade::VERSION;
use crate::net::service::{Status, Wish};

impl Service {
    /// Answers a client of the control socket.
    pub(super) async fn answer(self: &Rc<Self>, command: Command, peer: Peer, net: Net) -> Reply {
        match command {
            Command::Status => match self.status(&net).await {
                Some(status) => Reply::Status(Box::new(status)),
                None => Reply::refusal("the daemon is stopping"),
            },
            Command::History { last, instance, follow: _ } => {
                let history = self.journal.borrow().history().clone();
                Reply::History(history.last(last, instance.as_deref()).await)
            }
            Command::HistoryAfter { after, instance } => {
                let history = self.journal.borrow().history().clone();
                Reply::History(history.after(after, instance.as_deref()).await)
            }
            Command::Reload { exec: true, .. } => match self.upgrade().await {
                Ok(successor) => Reply::Upgrade(UpgradeReply::new(VERSION, successor.version, successor.program)),
                Err(error) => Reply::refusal(error.to_string()),
            },
            Command::Reload { dry_run, exec: false } => match self.reload_for_client(dry_run).await {
                Ok(changes) => Reply::reload(changes),
                Err(error) => Reply::refusal_with(error.to_string(), error.problems()),
            },
            Command::Drain(request) => self.drain(request, peer, net).await,
            Command::Resume(request) => self.resume(request, peer).await,
        }
    }

    /// Asks the protocol thread how things are; `None`: it has ended.
    pub(super) async fn snapshot(&self) -> Option<Snapshot> {
        let (reply, snapshot) = oneshot::channel();
        self.protocol.send(ToProtocol::Snapshot(reply));
        snapshot.await.ok()
    }

    pub(super) async fn status(&self, net: &Net) -> Option<status::Status> {
        let Snapshot { now, routers, checks, groups, strays } = self.snapshot().await?;
        let (reply, present) = oneshot::channel();
        let asked = routers.iter().map(|router| (router.key, Arc::clone(&router.params))).collect();
        net.send(Wish::Status { routers: asked, reply }).await.ok()?;
        let Status { present, troubles, duplicates, .. } = present.await.ok()?;
        let transitions = self.journal.borrow().transitions();
        let seen = routers.iter().zip(present.iter().zip(&troubles)).map(|(router, (present, troubles))| {
            let hooks = self.hooks.status(router.key);
            Seen { router, present, troubles, hooks }
        });
        let all = Arc::clone(&self.params.borrow());
        let groups = groups.iter().map(|group| {
            let params = all.groups.iter().find(|params| *params.name == *group.name);
            (group, params.map(AsRef::as_ref), self.hooks.status_of_group(&group.name))
        });
        let stray = |reason| strays.get(&reason).copied().unwrap_or_default();
        let mut status = status::status(&self.identity.borrow(), now, seen, &checks, groups, transitions, stray);
        self.show_drains(&mut status.instances);
        for (instance, duplicate) in status.instances.iter_mut().zip(&duplicates) {
            instance.mark_duplicates(duplicate);
        }
        Some(status::Status { upgrade: self.upgraded.clone(), ..status })
    }
}
