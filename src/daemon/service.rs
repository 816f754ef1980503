//! The service thread: everything that waits on many things. Netlink, announcements, checks, hooks, the control socket,
//! the log.
//!
//! One stop before: `daemon::effects`, which passes the engine's wishes on. One stop after: `net::service`, and
//! `daemon::event_loop` with what the kernel and the checks say.

mod answers;
mod draining;
mod failure;
mod lease;
mod metrics;
mod reloading;
mod remembering;
mod reports;
mod rivals;
mod showing;
mod standing;
mod upgrading;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::audit;
use super::channel::{CAPACITY, ProtocolHandle, Signal, ToService};
use super::checks::Checks;
use super::drains::Drains;
use super::event_loop::read_clocks;
use super::guard::{Guard, Origin};
use super::heartbeat::Heartbeat;
use super::history::{History, Mark};
use super::hooks::Hooks;
use super::journal::{self, Journal};
use super::logging::Log;
use super::reload::Source;
use super::state_dir::StateDir;
use super::systemd;
use super::telling::Withdrawal;
use crate::child::settle_thread;
use crate::control::server::Server;
use crate::control::status::Identity;
use crate::control::upgrade::UpgradeStatus;
use crate::engine::input::{CheckKey, RouterKey};
use crate::engine::output::{Event, EventKind, Output};
use crate::engine::params::{CheckParams, Fixed, NodeParams, RouterParams};
use crate::engine::time::Now;
use crate::net::links::Watch;
use crate::net::service::{NetService, Wish};
use draining::Draining;
pub(super) use failure::ServiceFailure;
use reloading::{Order, Reloading};
use remembering::remember_start;
use showing::Showing;
use standing::{States, Told};
use upgrading::Upgrading;

/// What the service thread is to know from the start.
pub(super) struct Setup {
    pub identity: Identity,
    /// What a reload reads.
    pub source: Source,
    pub params: NodeParams,
    pub routers: BTreeMap<RouterKey, Arc<RouterParams>>,
    pub log: Log,
    pub protocol: ProtocolHandle,
    /// What leads back to the program before until this one is ready.
    pub guard: Guard,
    /// How this process came to run this program.
    pub origin: Origin,
    /// Routers that go on as Master: their addresses stay.
    pub adopting: Vec<RouterKey>,
    /// What an earlier process may have left without our mark: interface, address, prefix length.
    pub left: Vec<(String, IpAddr, u8)>,
    /// Where what outlives a reboot is kept.
    pub state_dir: StateDir,
    /// Who is drained since an earlier process.
    pub drains: Drains,
}

/// What the service thread knows. Borrowed by several tasks of one thread, never across a wait.
pub(super) struct Service {
    identity: RefCell<Identity>,
    params: RefCell<Arc<NodeParams>>,
    /// Those of the configuration, and those that a reload ended for as long as they hold addresses.
    routers: RefCell<BTreeMap<RouterKey, Arc<RouterParams>>>,
    reloading: Reloading,
    log: Log,
    journal: Rc<RefCell<Journal>>,
    protocol: ProtocolHandle,
    adopting: Vec<RouterKey>,
    left: Vec<(String, IpAddr, u8)>,
    draining: Draining,
    hooks: Hooks,
    checks: Checks,
    guard: Guard,
    upgrading: Upgrading,
    upgraded: Option<UpgradeStatus>,
    showing: Showing,
    /// Leases wait for a sign of life of the protocol thread.
    pulse: Notify,
    states: RefCell<States>,
    told: RefCell<Told>,
}

impl Service {
    /// Makes the service, and the way by which configurations come to [`Service::run`]; inside a `LocalSet` only.
    pub fn new(setup: Setup) -> (Rc<Self>, Orders) {
        let Setup {
            identity,
            source,
            params,
            routers,
            log,
            protocol,
            adopting,
            left,
            state_dir,
            drains,
            guard,
            origin,
        } = setup;
        let journal =
            Rc::new(RefCell::new(Journal::new(log.clone(), History::open(state_dir.clone()), &params.checks)));
        remember_start(&journal.borrow(), &origin);
        let written = Rc::clone(&journal);
        let report = move |report| written.borrow().write_hook(read_clocks(), &report);
        let hooks = Hooks::new(&identity.node, &params, &routers, read_clocks, report);
        let checks = Checks::new(protocol.clone());
        let (reloading, orders) = Reloading::new(source);
        let service = Self {
            identity: RefCell::new(identity),
            params: RefCell::new(Arc::new(params)),
            routers: RefCell::new(routers),
            reloading,
            log,
            journal,
            protocol,
            adopting,
            left,
            draining: Draining::new(state_dir, drains),
            hooks,
            checks,
            guard,
            upgrading: Upgrading::default(),
            upgraded: origin.into_status(),
            showing: Showing::default(),
            pulse: Notify::new(),
            states: RefCell::default(),
            told: RefCell::default(),
        };
        (Rc::new(service), orders)
    }

    /// Serves until the protocol thread has finished, the kernel holds none of our addresses and hooks were told.
    ///
    /// Inside a `LocalSet` only: the network service and the checks are tasks of their own, so that they go on while this
    /// one waits for room. **Errors:** netlink or the control socket cannot be used at all, or a task ended.
    pub async fn run(
        self: Rc<Self>,
        mut orders: Orders,
        server: Server,
        mut from_protocol: mpsc::Receiver<ToService>,
    ) -> Result<(), ServiceFailure> {
        self.watch_drains();
        spawn_local(systemd::feed_watchdog(Heartbeat::new(self.protocol.clone())));
        let params = Arc::clone(&self.params.borrow());
        audit::warn(&params);
        for note in settle_thread().iter().filter(|_| audit::runs_programs(&params)) {
            tracing::warn!("{note}");
        }
        if !self.start_hooks(&mut from_protocol).await {
            self.hooks.stop(HOOKS_PATIENCE).await;
            self.hooks.shutdown().await;
            self.remember_stop();
            return Ok(());
        }
        let (net, wishes) = mpsc::channel(CAPACITY);
        let reporter = Rc::clone(&self);
        let net_service = NetService::open(wishes, || read_clocks().mono, move |report| reporter.report(report));
        let wanted = self.adopting.iter().filter_map(|key| Some((*key, Arc::clone(self.routers.borrow().get(key)?))));
        let wanted = Wish::Wanted(wanted.collect());
        let _ = net.send(wanted).await;
        let _ = net.send(Wish::Disown(self.left.clone())).await;
        let mut netting = spawn_local(net_service.map_err(ServiceFailure::Net)?.run());
        // The receiver goes away only together with the task, which is watched below.
        let _ = net.send(Wish::Watch(Watch::of(&params))).await;
        if params.fixed != Fixed::default() {
            let _ = net.send(Wish::Fix(Arc::new(params.fixed.clone()))).await;
        }
        self.checks.replace(&numbered(&params), &params.hooks.scripts);
        drop(params);
        spawn_local(Rc::clone(&self).offer_metrics(net.clone()));
        let server = server.run(|command, peer| self.answer(command, peer, net.clone()));
        tokio::pin!(server);
        let mut heartbeat = Heartbeat::new(self.protocol.clone());
        loop {
            tokio::select! {
                biased;
                message = from_protocol.recv() => match message {
                    Some(ToService::Finished) | None => break,
                    Some(message) => self.obey(message, &net).await,
                },
                _ = &mut netting => return Err(ServiceFailure::NetEnded),
                () = self.checks.failed() => return Err(ServiceFailure::ChecksEnded),
                Some(order) = orders.recv() => self.carry_out_order(order, &net).await,
                result = &mut server => return result.map_err(ServiceFailure::Control),
                beat = self.beat(&mut heartbeat) => {
                    // What the protocol thread wanted before comes first.
                    while let Ok(message) = from_protocol.try_recv() {
                        self.obey(message, &net).await;
                    }
                    let _ = net.send(Wish::Beat(beat)).await;
                }
                () = self.patience() => self.tell_late(),
                () = self.upgrading.begun.notified() => self.bring_to_rest(),
                () = self.upgrading.rested.notified() => return self.become_other(netting).await,
            }
        }
        self.checks.stop();
        // Who waits for a reload hears that there is none.
        drop(orders);
        self.end(&net).await;
        self.remember_stop();
        Ok(())
    }

    /// Runs the startup program and opens the pipes; says whether the daemon goes on.
    async fn start_hooks(self: &Rc<Self>, from_protocol: &mut mpsc::Receiver<ToService>) -> bool {
        let startup = async {
            match &self.upgraded {
                None => self.hooks.startup().await,
                Some(_) => self.hooks.resume().await,
            }
        };
        tokio::pin!(startup);
        loop {
            tokio::select! {
                biased;
                () = &mut startup => return true,
                message = from_protocol.recv() => match message {
                    Some(ToService::Finished) | None => return false,
                    Some(ToService::Signal(signal)) => self.signal(signal),
                    // Nothing takes part yet, so there is nothing to do for it.
                    Some(
                        ToService::Outputs(..)
                        | ToService::Resync { .. }
                        | ToService::SendFailed { .. }
                        | ToService::StateLost(_),
                    ) => {}
                },
            }
        }
    }

    /// Removes the addresses, tells the hooks, and removes what is static: the instances and programs may need it until they
    /// have nothing left.
    async fn end(&self, net: &Net) {
        systemd::stopping("removing addresses");
        settle(net, Wish::Wanted(Vec::new())).await;
        self.hooks.stop(HOOKS_PATIENCE).await;
        if self.params.borrow().fixed != Fixed::default() {
            settle(net, Wish::Fix(Arc::default())).await;
        }
        self.hooks.shutdown().await;
    }

    /// Waits until something is to be told although what it waits for has not happened.
    async fn patience(&self) {
        match self.hooks.deadline().into_iter().chain(self.summary_at()).min() {
            Some(at) => sleep(at.since(read_clocks().mono)).await,
            None => std::future::pending().await,
        }
    }

    /// Tells what waited long enough.
    fn tell_late(&self) {
        let now = read_clocks().mono;
        self.hooks.tell(now);
        self.summarize(now);
    }

    /// Does what the protocol thread wants; waits while the network service has no room for more.
    async fn obey(self: &Rc<Self>, message: ToService, net: &Net) {
        match message {
            ToService::Outputs(now, outputs) => {
                if self.acquires_leased(&outputs) {
                    let _ = net.send(Wish::Beat(now.mono)).await;
                }
                for output in outputs {
                    if let Some(wish) = self.carry_out(now, &output) {
                        let _ = net.send(wish).await;
                    }
                    self.part(&output, net).await;
                    if let Some((router, withdrawal)) = self.hooks.observe(now, &output) {
                        self.await_withdrawal(router, withdrawal, net).await;
                    }
                }
                self.hooks.tell(now.mono);
            }
            ToService::Resync { wanted, lost } => {
                tracing::warn!(lost, "the service thread fell behind; wishes are made up for");
                for router in self.reloading.parting().into_iter().filter(|router| !wanted.contains(router)) {
                    self.await_end(router, net).await;
                }
                let wanted = {
                    let routers = self.routers.borrow();
                    let params = |key| Some((key, Arc::clone(routers.get(&key)?)));
                    wanted.into_iter().filter_map(params).collect()
                };
                let _ = net.send(Wish::Wanted(wanted)).await;
                if let Some(snapshot) = self.snapshot().await {
                    let states = snapshot.routers.iter().map(|router| (router.key, router.state));
                    self.states.replace(states.collect());
                    self.hooks.correct(&snapshot);
                    self.hooks.tell(snapshot.now.mono);
                }
            }
            ToService::Signal(signal) => {
                self.signal(signal);
                if signal.number == signal_hook::consts::SIGUSR1 {
                    self.show_by_signal(net);
                }
            }
            ToService::SendFailed { router, errno, count } => {
                let routers = self.routers.borrow();
                let name = routers.get(&router).map_or("?", |params| &params.name);
                tracing::warn!("VRRP_Instance({name}) send advert error {} ({errno}), {count} times", errno as i32);
            }
            ToService::StateLost(error) => {
                tracing::error!("cannot write the state file, removed it: {error}; a restart will not adopt");
            }
            ToService::Finished => {}
        }
        self.summarize(read_clocks().mono);
    }

    /// Takes note of what ends a router that a reload ended.
    async fn part(self: &Rc<Self>, output: &Output, net: &Net) {
        match output {
            Output::ReleaseVips { router } if self.reloading.is_holding(*router) => self.await_end(*router, net).await,
            Output::Event(Event { router: Some(router), kind: EventKind::Transition(_) })
                if self.reloading.is_parting(*router) && !self.reloading.is_holding(*router) =>
            {
                self.forget(*router, net).await;
            }
            Output::ReleaseVips { .. }
            | Output::Event(_)
            | Output::AcquireVips { .. }
            | Output::Announce { .. }
            | Output::Send(_)
            | Output::Finished => {}
        }
    }

    /// Writes an event down, or turns an output into a wish.
    fn carry_out(&self, now: Now, output: &Output) -> Option<Wish> {
        match output {
            Output::AcquireVips { router } => {
                let params = Arc::clone(self.routers.borrow().get(router)?);
                Some(Wish::Acquire { router: *router, params })
            }
            Output::ReleaseVips { router } => Some(Wish::Release { router: *router }),
            Output::Announce { router, vips } => Some(Wish::Announce { router: *router, vips: vips.clone() }),
            Output::Event(event) => {
                let mark = self.write_down(now, event);
                self.reach_rival(event).or_else(|| self.ask_for_silent(event, mark))
            }
            Output::Send(_) | Output::Finished => None,
        }
    }

    /// Tells the hooks when the kernel has none of a router's addresses any more.
    async fn await_withdrawal(self: &Rc<Self>, router: RouterKey, withdrawal: Withdrawal, net: &Net) {
        let Some(params) = self.routers.borrow().get(&router).cloned() else { return };
        let (reply, is_gone) = oneshot::channel();
        let _ = net.send(Wish::Withdrawn { params, reply }).await;
        let service = Rc::clone(self);
        spawn_local(async move {
            // An error means that the network service is gone, and with it the daemon.
            if is_gone.await.is_ok() {
                service.hooks.withdrawn(read_clocks().mono, router, withdrawal);
            }
        });
    }

    fn write_down(&self, now: Now, event: &Event) -> Option<Mark> {
        let routers = self.routers.borrow();
        let params = event.router.and_then(|router| routers.get(&router));
        let mark = self.journal.borrow_mut().write(now, params.map(AsRef::as_ref), event);
        if let (EventKind::Transition(transition), Some(router)) = (&event.kind, event.router) {
            let mut states = self.states.borrow_mut();
            if self.reloading.is_parting(router) {
                states.remove(router);
            } else {
                states.set(router, transition.to);
            }
        }
        mark
    }

    fn signal(self: &Rc<Self>, signal: Signal) {
        let (name, action) = match signal.number {
            signal_hook::consts::SIGTERM => ("SIGTERM", "handing over and stopping"),
            signal_hook::consts::SIGINT => ("SIGINT", "handing over and stopping"),
            signal_hook::consts::SIGHUP => ("SIGHUP", "reloading"),
            _ => ("SIGUSR1", "writing the status to the log"),
        };
        let signal = journal::Signal { name, sender: signal.sender };
        let now = read_clocks();
        self.journal.borrow_mut().write_signal(now, signal, action);
        if name == "SIGHUP" {
            self.reload_by_signal();
        }
    }
}

/// The way to the network service.
pub(super) type Net = mpsc::Sender<Wish>;

/// Configurations to go on with.
pub(super) type Orders = mpsc::UnboundedReceiver<Order>;

/// Returns the checks of a node that was just made, with their numbers.
fn numbered(params: &NodeParams) -> Vec<(CheckKey, Arc<CheckParams>)> {
    (0..).map(CheckKey).zip(params.checks.iter().cloned()).collect()
}

/// Asks for a wish that makes addresses go, and waits until they are gone.
async fn settle(net: &Net, wish: Wish) {
    let settled = async {
        let _ = net.send(wish).await;
        let (done, is_done) = oneshot::channel();
        let _ = net.send(Wish::Settle(done)).await;
        // An error means that the service is gone.
        let _ = is_done.await;
    };
    if timeout(RELEASE_PATIENCE, settled).await.is_err() {
        tracing::error!("the kernel did not remove all addresses within {RELEASE_PATIENCE:?}");
    }
}

/// How long the kernel may take to remove addresses at the end.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// How long hooks may take at the end.
const HOOKS_PATIENCE: Duration = Duration::from_secs(10);
