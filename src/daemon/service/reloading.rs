//! What the service thread does for a reload.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{spawn_blocking, spawn_local};

use super::metrics::Offer;
use super::{Net, Service};
use crate::child::forget_owners;
use crate::control::changes::Changes;
use crate::control::history::Kind;
use crate::daemon::channel::{Snapshot, ToProtocol};
use crate::daemon::event_loop::read_clocks;
use crate::daemon::record::Level;
use crate::daemon::reload::{Prepared, ReloadError, Source, both, changes, prepare};
use crate::daemon::state::table::Table;
use crate::daemon::{audit, secrecy, systemd};
use crate::engine::change::{Plan, Reloaded};
use crate::engine::input::RouterKey;
use crate::engine::output::StateName;
use crate::engine::params::{NodeParams, RouterParams, Transport};
use crate::engine::snapshot::RouterSnapshot;
use crate::net::links::Watch;
use crate::net::service::Wish;
use crate::wire::field::{Family, Vrid};

/// What the task that owns everything is to do.
#[derive(Debug)]
pub(in crate::daemon) enum Order {
    /// Go on with this configuration.
    Reload(Prepared, oneshot::Sender<Result<Changes, ReloadError>>),
    /// Tell which addresses this host has, by which a configuration may say what is for it.
    Addresses(oneshot::Sender<Vec<IpAddr>>),
}

/// The state of reloading.
#[derive(Debug)]
pub(super) struct Reloading {
    source: Source,
    orders: mpsc::UnboundedSender<Order>,
    /// One at a time.
    turn: Mutex<()>,
    /// A signal asked for one that has not begun: another signal asks for the same.
    is_asked: Cell<bool>,
    /// Routers that are gone but of which something is yet to come, and whether that is the end of their addresses.
    parting: RefCell<BTreeMap<RouterKey, bool>>,
    /// Routers of the configuration, once there was a reload.
    live: RefCell<BTreeSet<RouterKey>>,
    /// Where metrics are asked for.
    pub metrics: Offer,
}

impl Reloading {
    pub fn new(source: Source) -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, ordered) = mpsc::unbounded_channel();
        let (turn, is_asked) = (Mutex::new(()), Cell::new(false));
        let metrics = Offer::new(&source.settings);
        let (parting, live) = (RefCell::default(), RefCell::default());
        (Self { source, orders, turn, is_asked, parting, live, metrics }, ordered)
    }

    /// Says whether a router is gone but something is yet to come of it.
    pub fn is_parting(&self, router: RouterKey) -> bool {
        self.parting.borrow().contains_key(&router)
    }

    /// Says whether that is the end of its addresses.
    pub fn is_holding(&self, router: RouterKey) -> bool {
        self.parting.borrow().get(&router) == Some(&true)
    }

    fn is_live(&self, router: RouterKey) -> bool {
        self.live.borrow().contains(&router) || self.is_parting(router)
    }

    /// Returns the routers that are gone but of which something is yet to come.
    pub fn parting(&self) -> Vec<RouterKey> {
        self.parting.borrow().keys().copied().collect()
    }
}

impl Service {
    /// Reloads because of a signal, and says in the log what came of it.
    pub(super) fn reload_by_signal(self: &Rc<Self>) {
        if self.reloading.is_asked.replace(true) {
            return;
        }
        let service = Rc::clone(self);
        spawn_local(async move {
            let turn = service.reloading.turn.lock().await;
            service.reloading.is_asked.set(false);
            // The log has it.
            let _ = service.reload().await;
            drop(turn);
        });
    }

    /// Reloads because a client asks for it; goes on although the client may go away.
    pub(super) async fn reload_for_client(self: &Rc<Self>, dry_run: bool) -> Result<Changes, ReloadError> {
        let service = Rc::clone(self);
        let (reply, done) = oneshot::channel();
        spawn_local(async move {
            let turn = service.reloading.turn.lock().await;
            let result = if dry_run { service.rehearse().await } else { service.reload().await };
            drop(turn);
            let _ = reply.send(result);
        });
        done.await.unwrap_or(Err(ReloadError::Stopping))
    }

    /// Reads the configuration and goes on with it, or says why not; either way the log and the service manager know.
    async fn reload(&self) -> Result<Changes, ReloadError> {
        let path = self.reloading.source.path.display();
        tracing::info!("Reloading {path}");
        systemd::reloading();
        let result = match self.prepare().await {
            Ok(prepared) => {
                let (reply, done) = oneshot::channel();
                // An error means that nobody takes orders any more.
                let _ = self.reloading.orders.send(Order::Reload(prepared, reply));
                done.await.unwrap_or(Err(ReloadError::Stopping))
            }
            Err(error) => Err(error),
        };
        match &result {
            Ok(changes) => {
                for warning in &changes.warnings {
                    // Notes are no news to whoever has read them at the start.
                    if warning.contains(": note: ") {
                        tracing::info!("{warning}");
                    } else {
                        tracing::warn!("{warning}");
                    }
                }
                let now = read_clocks();
                self.journal.borrow().note(now, Level::Info, Kind::Reload, &changes.summary());
                for line in changes.text().iter().filter(|line| !line.starts_with("kept ")).take(LINES_MAX) {
                    tracing::info!("reload: {}", line.trim_start());
                }
            }
            Err(error) => {
                for line in error.to_string().lines().take(LINES_MAX) {
                    tracing::error!("{line}");
                }
                let words = format!("{path} is not used, everything is as it was");
                self.journal.borrow().note(read_clocks(), Level::Error, Kind::Reload, &words);
            }
        }
        let summary = self.last_summary();
        systemd::ready(if summary.is_empty() { "started" } else { &summary });
        result
    }

    /// Says what a reload would change.
    async fn rehearse(&self) -> Result<Changes, ReloadError> {
        let prepared = self.prepare().await?;
        let Snapshot { routers: states, .. } = self.snapshot().await.ok_or(ReloadError::Stopping)?;
        Ok(Changes { dry_run: true, ..self.forecast(&prepared, &states) })
    }

    async fn prepare(&self) -> Result<Prepared, ReloadError> {
        let source = self.reloading.source.clone();
        let (reply, addresses) = oneshot::channel();
        // An error means that nobody takes orders any more.
        let _ = self.reloading.orders.send(Order::Addresses(reply));
        let addresses = addresses.await.map_err(|_| ReloadError::Stopping)?;
        let hidden = secrecy::hide();
        let result = spawn_blocking(move || prepare(&source, &addresses)).await.unwrap_or(Err(ReloadError::Stopping));
        let params = result.as_ref().map_or_else(|_| Arc::clone(&self.params.borrow()), |new| Arc::clone(&new.params));
        hidden.unless_needed(&params);
        result
    }

    fn forecast(&self, prepared: &Prepared, states: &[RouterSnapshot]) -> Changes {
        let routers = self.routers.borrow();
        let live = routers.iter().filter(|(key, _)| !self.reloading.is_parting(**key));
        let before: Vec<_> = live.map(|(key, router)| (*key, Arc::clone(router))).collect();
        let plan = Plan::new(&before, &prepared.params.routers);
        let mut changes = changes(&self.params.borrow(), &routers, states, prepared, &plan);
        changes.other.extend(self.reloading.metrics.difference(prepared.metrics.as_ref()));
        changes
    }

    /// Goes on with a configuration; in the task that hears the protocol thread, so that nothing comes in between.
    pub(super) async fn carry_out_order(self: &Rc<Self>, order: Order, net: &Net) {
        let (prepared, reply) = match order {
            Order::Reload(prepared, reply) => (prepared, reply),
            Order::Addresses(reply) => {
                let _ = net.send(Wish::Addresses(reply)).await;
                return;
            }
        };
        let metrics = prepared.metrics.clone();
        let result = self.go_on_with(prepared, net).await;
        if result.is_ok() {
            self.reloading.metrics.change(metrics);
            let restates = self.params.borrow().hooks.tells_states_on_reload;
            if restates && let Some(now) = self.snapshot().await {
                self.hooks.restate(&now);
            }
        }
        let _ = reply.send(result);
    }

    async fn go_on_with(self: &Rc<Self>, prepared: Prepared, net: &Net) -> Result<Changes, ReloadError> {
        let before = Arc::clone(&self.params.borrow());
        let after = Arc::clone(&prepared.params);
        if before == after {
            self.identify(prepared.node.clone());
            return Ok(self.forecast(&prepared, &[]));
        }
        let (old, new) = (Watch::of(&before), Watch::of(&after));
        if old != new {
            let _ = net.send(Wish::Watch(both(old, &new))).await;
            self.interfaces_are_told(net).await;
        }
        let Snapshot { routers: states, .. } = self.snapshot().await.ok_or(ReloadError::Stopping)?;
        let changes = self.forecast(&prepared, &states);
        let (reply, reloaded) = oneshot::channel();
        self.protocol.send(ToProtocol::Reload { params: Arc::clone(&after), reply });
        let reloaded = match reloaded.await {
            Ok(Ok(reloaded)) => reloaded,
            refused => {
                let _ = net.send(Wish::Watch(Watch::of(&before))).await;
                return Err(refused.map_or(ReloadError::Stopping, |refused| match refused {
                    Ok(_) => ReloadError::Stopping,
                    Err(refusal) => ReloadError::Refused(refusal),
                }));
            }
        };
        self.follow_up(&reloaded, prepared, net).await;
        self.describe();
        if before.fixed != after.fixed {
            let _ = net.send(Wish::Fix(Arc::new(after.fixed.clone()))).await;
        }
        Ok(changes)
    }

    /// Has the routers that there are written down, for the next process.
    fn describe(&self) {
        let routers = self.routers.borrow();
        let live = routers.iter().filter(|(key, _)| !self.reloading.is_parting(**key));
        let table = Table::new(&self.reloading.source.path, live.map(|(key, router)| (*key, router.as_ref())));
        self.protocol.send(ToProtocol::Describe(table));
    }

    /// Takes over what the protocol thread has made of it.
    async fn follow_up(self: &Rc<Self>, reloaded: &Reloaded, prepared: Prepared, net: &Net) {
        let before = self.params.replace(Arc::clone(&prepared.params));
        let after = prepared.params;
        let began = |key: &RouterKey| self.states.borrow().of(*key).is_some_and(|state| state != StateName::Init);
        {
            let mut routers = self.routers.borrow_mut();
            let old = std::mem::replace(&mut *routers, reloaded.routers.iter().cloned().collect());
            let mut parting = self.reloading.parting.borrow_mut();
            // Nobody is told that what did not begin has ended.
            parting.extend(reloaded.plan.ending().filter(|key| began(key)).map(|key| (key, false)));
            parting.extend(reloaded.parting.iter().map(|key| (*key, true)));
            drop(parting);
            self.reloading.live.replace(reloaded.routers.iter().map(|(key, _)| *key).collect());
            // Who still holds addresses is still spoken of.
            routers.extend(old.into_iter().filter(|(key, _)| self.reloading.is_parting(*key)));
        }
        let is_live = |key: &RouterKey| self.routers.borrow().contains_key(key);
        self.states.borrow_mut().retain(|key| is_live(&key));
        self.journal.borrow_mut().replace_checks(&after.checks);
        self.identify(prepared.node);
        if before.hooks != after.hooks {
            forget_owners();
            self.hooks.reconfigure(&after.hooks).await;
        }
        let is_heard_anew = self.hooks.replace(&after, &self.routers.borrow());
        if is_heard_anew && let Some(snapshot) = self.snapshot().await {
            self.hooks.correct(&snapshot);
            self.hooks.tell(snapshot.now.mono);
        }
        self.checks.replace(&reloaded.checks, &after.hooks.scripts);
        if runs_others(&before, &after) {
            audit::warn(&after);
        }
        if self.reloading.parting().is_empty() {
            self.watch_anew(net).await;
        }
    }

    fn identify(&self, node: String) {
        let mut identity = self.identity.borrow_mut();
        identity.config_loaded_at = read_clocks().mono;
        identity.node = node;
    }

    /// A router that is gone has given its addresses up: answers when the kernel has none of them.
    pub(super) async fn await_end(self: &Rc<Self>, router: RouterKey, net: &Net) {
        let Some(params) = self.routers.borrow().get(&router).cloned() else { return };
        let (reply, is_gone) = oneshot::channel();
        let _ = net.send(Wish::Withdrawn { params, reply }).await;
        let (service, net) = (Rc::clone(self), net.clone());
        spawn_local(async move {
            if is_gone.await.is_ok() {
                service.forget(router, &net).await;
            }
        });
    }

    /// Forgets a router that is gone; the last of them takes what only they needed along.
    pub(super) async fn forget(&self, router: RouterKey, net: &Net) {
        let is_last = {
            let mut parting = self.reloading.parting.borrow_mut();
            parting.remove(&router).is_some() && parting.is_empty()
        };
        if !is_last {
            return;
        }
        self.routers.borrow_mut().retain(|key, _| self.reloading.is_live(*key));
        self.hooks.replace(&self.params.borrow(), &self.routers.borrow());
        self.watch_anew(net).await;
    }

    async fn watch_anew(&self, net: &Net) {
        let watch = Watch::of(&self.params.borrow());
        let _ = net.send(Wish::Watch(watch)).await;
    }

    /// Waits until the network service has told of every interface that it was asked to watch.
    async fn interfaces_are_told(&self, net: &Net) {
        let nowhere = Transport::Unicast { peers: Vec::new(), also: None };
        let Some(vrid) = Vrid::new(1) else { return };
        let nothing = Arc::new(RouterParams::plain("", "", vrid, Family::V4, nowhere));
        let (reply, is_told) = oneshot::channel();
        // Answered after interfaces are told of; there is nothing of this router to wait for.
        let _ = net.send(Wish::Withdrawn { params: nothing, reply }).await;
        let _ = is_told.await;
    }
}

/// Says whether programs are different, or run otherwise.
fn runs_others(before: &NodeParams, after: &NodeParams) -> bool {
    let calls = |params: &NodeParams| {
        let routers = params.routers.iter().map(|router| router.hooks.clone());
        routers.chain(params.groups.iter().map(|group| group.hooks.clone())).collect::<Vec<_>>()
    };
    before.hooks != after.hooks || before.checks != after.checks || calls(before) != calls(after)
}

/// Lines of one reload in the log.
const LINES_MAX: usize = 20;
