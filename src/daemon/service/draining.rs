//! What the service thread does for drain and resume: asks whether anybody would take over, writes it down, tells the engine.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::timeout;

use super::{Net, Service};
use crate::control::drain::{DrainReply, DrainRequest, MAX_REASON, Moved, Outcome, ResumeReply, ResumeRequest};
use crate::control::history::Kind as Happening;
use crate::control::message::Reply;
use crate::control::rfc3339;
use crate::control::server::Peer;
use crate::control::status::InstanceStatus;
use crate::daemon::channel::{Snapshot, ToProtocol};
use crate::daemon::drains::{Drain, Drains, with_mates};
use crate::daemon::event_loop::read_clocks;
use crate::daemon::state_dir::StateDir;
use crate::engine::input::Input;
use crate::engine::output::StateName;
use crate::engine::params::NodeParams;
use crate::engine::snapshot::RouterSnapshot;
use crate::net::service::Wish;

/// Who is drained, and what waits for it.
#[derive(Debug)]
pub(super) struct Draining {
    state_dir: StateDir,
    drains: RefCell<Drains>,
    /// One order at a time: what is written last is what holds.
    turn: Mutex<()>,
    /// Another order may end sooner.
    changed: Notify,
}

impl Draining {
    pub fn new(state_dir: StateDir, drains: Drains) -> Self {
        Self { state_dir, drains: RefCell::new(drains), turn: Mutex::new(()), changed: Notify::new() }
    }

    /// Returns where it is written down.
    pub fn state_dir(&self) -> &StateDir {
        &self.state_dir
    }
}

impl Service {
    /// Says who is drained from an earlier process, and ends orders whose time is over, for as long as the daemon runs.
    pub(super) fn watch_drains(self: &Rc<Self>) {
        for line in self.draining.drains.borrow().lines() {
            self.journal.borrow().write_drain(read_clocks(), None, &line);
        }
        let service = Rc::clone(self);
        spawn_local(async move {
            loop {
                let next_end = service.draining.drains.borrow().next_end();
                match next_end {
                    // In steps, since somebody may set the clock that this is about.
                    Some(end) if end > read_clocks().utc => {
                        let left = (end - read_clocks().utc).min(STEP);
                        let _ = timeout(left, service.draining.changed.notified()).await;
                    }
                    Some(_) => service.end_drains().await,
                    None => service.draining.changed.notified().await,
                }
            }
        });
    }

    /// Gives addresses away for a client, and stays away.
    pub(super) async fn drain(self: &Rc<Self>, request: DrainRequest, peer: Peer, net: Net) -> Reply {
        let service = Rc::clone(self);
        // Goes on although the client may go away.
        let done = spawn_local(async move {
            let _turn = service.draining.turn.lock().await;
            service.carry_out_drain(request, peer, &net).await
        });
        done.await.map_or_else(|_| Reply::refusal(STOPPING), |done| done.map_or_else(Reply::refusal, Reply::Drain))
    }

    /// Takes part again for a client.
    pub(super) async fn resume(self: &Rc<Self>, request: ResumeRequest, peer: Peer) -> Reply {
        let service = Rc::clone(self);
        let done = spawn_local(async move {
            let _turn = service.draining.turn.lock().await;
            service.carry_out_resume(request, peer).await
        });
        done.await.map_or_else(|_| Reply::refusal(STOPPING), |done| done.map_or_else(Reply::refusal, Reply::Resume))
    }

    /// Adds to a status who is drained since when.
    pub(super) fn show_drains(&self, instances: &mut [InstanceStatus]) {
        let (drains, params) = (self.draining.drains.borrow(), self.params.borrow());
        for instance in instances.iter_mut().filter(|instance| instance.drained) {
            instance.drain = drains.of(&instance.name, &params).map(Drain::status);
        }
    }

    async fn carry_out_drain(&self, request: DrainRequest, peer: Peer, net: &Net) -> Result<DrainReply, String> {
        let params = self.params.borrow().clone();
        check_names(&request.instances, &params)?;
        let reason = request.reason.unwrap_or_default();
        if reason.chars().count() > MAX_REASON || reason.contains(char::is_control) {
            return Err(format!("reason is not one line of at most {MAX_REASON} characters"));
        }
        let before = self.snapshot().await.ok_or(STOPPING)?;
        let meant = if request.instances.is_empty() { all(&params) } else { with_mates(&request.instances, &params) };
        let mut notes = mates(&request.instances, &meant, "drained");
        match self.look_for_successors(&before, &meant, net).await {
            Ok(()) => {}
            Err(nobody) if request.force => notes.push(format!("forced: {nobody}")),
            Err(nobody) => return Err(format!("{nobody}; --force drains all the same")),
        }
        let utc = read_clocks().utc;
        let until = request.for_ms.map(|length| rfc3339::format(utc.saturating_add(Duration::from_millis(length))));
        let drain = Drain { since: rfc3339::format(utc), until, reason, uid: peer.uid };
        self.draining.drains.borrow_mut().drain(&request.instances, &drain);
        notes.extend(self.settle_drains().await);
        let who = if request.instances.is_empty() { "the whole node".to_owned() } else { meant.join(", ") };
        self.tell_drain(Happening::Drain, &format!("{who} by {}{}", by(peer), drain.tail()));
        notes.extend(drain.until.map(|until| format!("until {until}")));
        let after = self.snapshot().await.ok_or(STOPPING)?;
        Ok(DrainReply::new(self.outcome(&before, &after, &meant, notes)))
    }

    async fn carry_out_resume(&self, request: ResumeRequest, peer: Peer) -> Result<ResumeReply, String> {
        let params = self.params.borrow().clone();
        check_names(&request.instances, &params)?;
        let before = self.snapshot().await.ok_or(STOPPING)?;
        let meant = if request.instances.is_empty() { all(&params) } else { with_mates(&request.instances, &params) };
        let is_drained = |router: &RouterSnapshot| router.drained.is_some() && meant.contains(&router.params.name);
        let resumed: Vec<String> = before
            .routers
            .iter()
            .filter(|router| is_drained(router))
            .map(|router| router.params.name.clone())
            .collect();
        let had_node = self.draining.drains.borrow().node.is_some();
        let mut notes = mates(&request.instances, &meant, "resumed");
        self.draining.drains.borrow_mut().resume(&request.instances, &params);
        notes.extend(self.settle_drains().await);
        if had_node && !request.instances.is_empty() {
            notes.push("the whole node was drained: the other instances stay so".to_owned());
        }
        let shown = if request.instances.is_empty() { resumed.clone() } else { meant };
        if shown.is_empty() {
            notes.push("nothing was drained".to_owned());
        }
        if !resumed.is_empty() || had_node {
            let who = if resumed.is_empty() { "the whole node".to_owned() } else { resumed.join(", ") };
            self.tell_drain(Happening::Resume, &format!("{who} by {}", by(peer)));
        }
        let after = self.snapshot().await.ok_or(STOPPING)?;
        Ok(ResumeReply::new(self.outcome(&before, &after, &shown, notes)))
    }

    /// Ends orders whose time is over.
    async fn end_drains(&self) {
        let _turn = self.draining.turn.lock().await;
        let ended = self.draining.drains.borrow_mut().expire(read_clocks().utc);
        if ended.is_empty() {
            return;
        }
        // A file that cannot be written ends at the next start, since its time is over then, too.
        let _ = self.settle_drains().await;
        let who = |name: &String| if name.is_empty() { "the whole node".to_owned() } else { name.clone() };
        let who = ended.iter().map(who).collect::<Vec<_>>().join(", ");
        self.tell_drain(Happening::Resume, &format!("{who}: the time it was drained for is over"));
    }

    /// Writes down who is drained, then tells the engine; returns what an operator should know.
    async fn settle_drains(&self) -> Option<String> {
        let drains = {
            let mut drains = self.draining.drains.borrow_mut();
            drains.retain(&self.params.borrow());
            drains.clone()
        };
        let (state_dir, written) = (self.draining.state_dir.clone(), drains.clone());
        let result = spawn_blocking(move || written.write(&state_dir)).await;
        self.protocol.send(ToProtocol::Input(Input::Drain(drains.for_engine())));
        self.draining.changed.notify_one();
        let error = match result {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let path = self.draining.state_dir.path().display();
        tracing::warn!("cannot write down in {path} who is drained: {error}; the next start will not know it");
        Some(format!("not written down, the next start will not know it: {path}: {error}"))
    }

    fn tell_drain(&self, what: Happening, words: &str) {
        self.journal.borrow().write_drain(read_clocks(), Some(what), words);
    }

    fn outcome(&self, before: &Snapshot, after: &Snapshot, shown: &[String], notes: Vec<String>) -> Outcome {
        let earlier: BTreeMap<&str, &RouterSnapshot> =
            before.routers.iter().map(|router| (router.params.name.as_str(), router)).collect();
        let shown = after.routers.iter().filter(|router| shown.contains(&router.params.name));
        let moved = |router: &RouterSnapshot| Moved {
            name: router.params.name.clone(),
            state: router.state.into(),
            drained: router.drained.is_some(),
            what: what(earlier.get(router.params.name.as_str()).copied(), router),
        };
        Outcome { node: self.draining.drains.borrow().node.is_some(), instances: shown.map(moved).collect(), notes }
    }

    /// Asks the other nodes of each instance that is or would be Master whether they are there.
    ///
    /// **Errors:** of whom nobody is, for a person. A Backup is silent, so that its host answers is all that can be known.
    async fn look_for_successors(&self, now: &Snapshot, meant: &[String], net: &Net) -> Result<(), String> {
        let gives_away = |router: &&RouterSnapshot| {
            meant.contains(&router.params.name)
                && match router.state {
                    StateName::Master => true,
                    StateName::Backup | StateName::Init => router.master.is_none() && router.drained.is_none(),
                    StateName::Fault => false,
                }
        };
        let routers: Vec<&RouterSnapshot> = now.routers.iter().filter(gives_away).collect();
        let hosts: Vec<(String, IpAddr)> = routers
            .iter()
            .flat_map(|router| router.peers.iter().map(move |peer| (router.params.interface.clone(), peer.address)))
            .collect();
        let silent = silent_of(hosts, net).await;
        let nobody: Vec<String> = routers.iter().filter_map(|router| nobody_for(router, now, &silent)).collect();
        if nobody.is_empty() { Ok(()) } else { Err(nobody.join("; ")) }
    }
}

/// Returns which hosts do not answer, each with the interface it is asked on; it takes a second at most. Who is behind a router
/// is not asked, and not known to be gone.
async fn silent_of(mut hosts: Vec<(String, IpAddr)>, net: &Net) -> BTreeSet<(String, IpAddr)> {
    // Many instances have the same peer.
    hosts.sort_unstable();
    hosts.dedup();
    let mut answers = Vec::with_capacity(hosts.len());
    for (interface, host) in hosts {
        let (reply, answer) = oneshot::channel();
        // An error drops the reply: it cannot be found out.
        let _ = net.send(Wish::Ask { interface: interface.clone(), host, reply }).await;
        answers.push(((interface, host), answer));
    }
    let mut silent = BTreeSet::new();
    for (asked, answer) in answers {
        if answer.await == Ok(false) {
            silent.insert(asked);
        }
    }
    silent
}

/// Says why nobody would take over from a router; `None`: somebody may.
fn nobody_for(router: &RouterSnapshot, now: &Snapshot, silent: &BTreeSet<(String, IpAddr)>) -> Option<String> {
    let params = &router.params;
    if router.peers.is_empty() {
        return Some(format!("nobody would take over {}: no other node was ever heard", params.name));
    }
    let is_recent = |at| now.now.mono.since(at) <= router.master_down;
    let is_silent = |host: IpAddr| silent.contains(&(params.interface.clone(), host));
    let is_gone = |peer: &&crate::engine::snapshot::PeerSnapshot| {
        !peer.last_heard_at.is_some_and(is_recent) && is_silent(peer.address)
    };
    let gone: Vec<String> = router.peers.iter().filter(is_gone).map(|peer| peer.address.to_string()).collect();
    let way = if params.family == crate::wire::field::Family::V4 { "ARP" } else { "neighbour solicitation" };
    let verb = if gone.len() == 1 { "does" } else { "do" };
    (gone.len() == router.peers.len())
        .then(|| format!("nobody would take over {}: {} {verb} not answer {way}", params.name, gone.join(", ")))
}

/// Says what becomes of an instance.
fn what(before: Option<&RouterSnapshot>, after: &RouterSnapshot) -> String {
    let was_master = before.is_some_and(|before| before.state == StateName::Master);
    let was_drained = before.is_some_and(|before| before.drained.is_some());
    match (after.drained.is_some(), after.state) {
        (true, StateName::Backup) if was_master => "hands over, then stays BACKUP".to_owned(),
        (true, state) => format!("drained, stays {state}"),
        (false, state) if was_drained => format!("takes part again, {state}"),
        (false, state) => format!("was not drained, {state}"),
    }
}

/// Says that members of groups go with those that were named.
fn mates(named: &[String], meant: &[String], what: &str) -> Vec<String> {
    let others: Vec<&str> = meant.iter().filter(|name| !named.contains(name)).map(String::as_str).collect();
    if named.is_empty() || others.is_empty() {
        return Vec::new();
    }
    vec![format!("{} {what} too: of the same group", others.join(", "))]
}

fn check_names(names: &[String], params: &NodeParams) -> Result<(), String> {
    let all = all(params);
    match names.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(format!("no instance {unknown:?}, expected one of {}", all.join(", "))),
        None => Ok(()),
    }
}

fn all(params: &NodeParams) -> Vec<String> {
    params.routers.iter().map(|router| router.name.clone()).collect()
}

fn by(peer: Peer) -> String {
    match peer.pid {
        Some(pid) => format!("pid {pid} (uid {})", peer.uid),
        None => format!("uid {}", peer.uid),
    }
}

const STOPPING: &str = "the daemon is stopping";

/// How long at most until the wall clock is looked at again.
const STEP: Duration = Duration::from_secs(10);
