//! The service thread: everything that waits on many things. Netlink, announcements, the control socket, the log.
//!
//! One stop before: `daemon::effects`, which passes the engine's wishes on. One stop after: `net::service`, and
//! `daemon::event_loop` with what the kernel says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::channel::{CAPACITY, ProtocolHandle, Signal, Snapshot, ToProtocol, ToService};
use super::event_loop::read_clocks;
use super::journal::{self, Journal};
use super::logging::Log;
use super::notices;
use super::record::Record;
use super::systemd;
use crate::control::message::{Command, Reply};
use crate::control::server::{Peer, Server};
use crate::control::status::{self, Identity, TransitionStatus};
use crate::engine::input::{Input, RouterKey};
use crate::engine::output::{Event, EventKind, Output, StateName};
use crate::engine::params::{Fixed, NodeParams, RouterParams};
use crate::engine::time::Now;
use crate::net::links::Watch;
use crate::net::notice::Notice;
use crate::net::service::{NetService, Report, ServiceError, Status, Wish};

/// What the service thread knows. Borrowed by several tasks of one thread, never across a wait.
pub(super) struct Service {
    identity: Identity,
    routers: BTreeMap<RouterKey, Arc<RouterParams>>,
    fixed: Arc<Fixed>,
    log: Log,
    journal: RefCell<Journal>,
    protocol: ProtocolHandle,
    states: RefCell<BTreeMap<RouterKey, StateName>>,
    /// The last summary for the service manager.
    told: RefCell<String>,
}

impl Service {
    pub fn new(
        identity: Identity,
        routers: BTreeMap<RouterKey, Arc<RouterParams>>,
        fixed: Arc<Fixed>,
        log: Log,
        protocol: ProtocolHandle,
    ) -> Self {
        let journal = RefCell::new(Journal::new(log.clone()));
        Self { identity, routers, fixed, log, journal, protocol, states: RefCell::default(), told: RefCell::default() }
    }

    /// Serves until the protocol thread has finished and the kernel holds none of our addresses.
    ///
    /// Inside a `LocalSet` only: the network service is a task of its own, so that it empties its channel while this one
    /// waits for room. **Errors:** netlink or the control socket cannot be used at all.
    pub async fn run(
        self: Rc<Self>,
        server: Server,
        mut from_protocol: mpsc::Receiver<ToService>,
    ) -> Result<(), ServiceFailure> {
        let (net, wishes) = mpsc::channel(CAPACITY);
        let reporter = Rc::clone(&self);
        let net_service = NetService::open(wishes, move |report| reporter.report(report));
        let mut netting = spawn_local(net_service.map_err(ServiceFailure::Net)?.run());
        let watch = Watch::of(&NodeParams {
            routers: self.routers.values().cloned().collect(),
            fixed: (*self.fixed).clone(),
            ..NodeParams::default()
        });
        // The receiver goes away only together with the task, which is watched below.
        let _ = net.send(Wish::Watch(watch)).await;
        if *self.fixed != Fixed::default() {
            let _ = net.send(Wish::Fix(Arc::clone(&self.fixed))).await;
        }
        let server = server.run(|command, peer| self.answer(command, peer, net.clone()));
        tokio::pin!(server);
        loop {
            tokio::select! {
                biased;
                message = from_protocol.recv() => match message {
                    Some(ToService::Finished) | None => break,
                    Some(message) => self.obey(message, &net).await,
                },
                _ = &mut netting => return Err(ServiceFailure::NetEnded),
                result = &mut server => return result.map_err(ServiceFailure::Control),
            }
        }
        systemd::stopping("removing addresses");
        let settled = async {
            // What is static goes last: the instances may need it until they have nothing left.
            for wish in [Wish::Wanted(Vec::new()), Wish::Fix(Arc::default())] {
                let _ = net.send(wish).await;
                let (done, is_done) = oneshot::channel();
                let _ = net.send(Wish::Settle(done)).await;
                // An error means that the service is gone.
                let _ = is_done.await;
            }
        };
        if timeout(RELEASE_PATIENCE, settled).await.is_err() {
            tracing::error!("the kernel did not remove all addresses within {RELEASE_PATIENCE:?}");
        }
        Ok(())
    }

    /// Does what the protocol thread wants; waits while the network service has no room for more.
    async fn obey(&self, message: ToService, net: &Net) {
        match message {
            ToService::Outputs(now, outputs) => {
                for output in outputs {
                    if let Some(wish) = self.carry_out(now, output) {
                        let _ = net.send(wish).await;
                    }
                }
            }
            ToService::Resync { wanted, lost } => {
                tracing::warn!(lost, "the service thread fell behind; wishes are made up for");
                let params = |key| Some((key, Arc::clone(self.routers.get(&key)?)));
                let _ = net.send(Wish::Wanted(wanted.into_iter().filter_map(params).collect())).await;
                if let Some(snapshot) = self.snapshot().await {
                    let states = snapshot.routers.iter().map(|router| (router.key, router.state));
                    self.states.replace(states.collect());
                }
            }
            ToService::Signal(signal) => self.signal(signal),
            ToService::SendFailed { router, errno, count } => {
                let name = self.routers.get(&router).map_or("?", |params| &params.name);
                tracing::warn!("VRRP_Instance({name}) send advert error {} ({errno}), {count} times", errno as i32);
            }
            ToService::Finished => {}
        }
        self.summarize();
    }

    /// Writes an event down, or turns an output into a wish.
    fn carry_out(&self, now: Now, output: Output) -> Option<Wish> {
        match output {
            Output::AcquireVips { router } => {
                Some(Wish::Acquire { router, params: Arc::clone(self.routers.get(&router)?) })
            }
            Output::ReleaseVips { router } => Some(Wish::Release { router }),
            Output::Announce { router, vips } => Some(Wish::Announce { router, vips }),
            Output::Event(event) => {
                self.write_down(now, &event);
                None
            }
            Output::Send(_) | Output::Finished => None,
        }
    }

    fn write_down(&self, now: Now, event: &Event) {
        let params = event.router.and_then(|router| self.routers.get(&router));
        self.journal.borrow_mut().write(now, params.map(AsRef::as_ref), event);
        if let (EventKind::Transition(transition), Some(router)) = (&event.kind, event.router) {
            self.states.borrow_mut().insert(router, transition.to);
        }
    }

    /// Tells the service manager how many instances are in which state, if that is different from the last time.
    fn summarize(&self) {
        let states = self.states.borrow();
        let count = |state| states.values().filter(|known| **known == state).count();
        let summary = systemd::summary(count(StateName::Master), count(StateName::Backup), count(StateName::Fault));
        let mut told = self.told.borrow_mut();
        if *told != summary {
            systemd::status(&summary);
            *told = summary;
        }
    }

    /// Passes on what the kernel says.
    fn report(&self, report: Report) {
        match report {
            Report::Interface(interface) => self.protocol.send(ToProtocol::Input(Input::Interface(interface))),
            Report::Vips { router, held } => self.protocol.send(ToProtocol::Input(Input::Vips { router, held })),
            Report::Ready => {
                self.protocol.send(ToProtocol::Input(Input::Startup));
                systemd::ready("started");
            }
            Report::Notice(notice) => self.log.write(read_clocks().utc, self.notice(&notice)),
        }
    }

    fn notice(&self, notice: &Notice) -> Record {
        let router = match notice {
            Notice::PutBack { router, .. }
            | Notice::Refused { router, .. }
            | Notice::Accepted { router, .. }
            | Notice::EntryPutBack { router, .. }
            | Notice::EntryRefused { router, .. }
            | Notice::EntryAccepted { router, .. } => self.routers.get(router),
            Notice::Stuck { .. }
            | Notice::EntryStuck { .. }
            | Notice::LeftoverEntries { .. }
            | Notice::Leftovers { .. }
            | Notice::AnnounceOverflow { .. }
            | Notice::Overrun
            | Notice::Netlink { .. } => None,
        };
        notices::record(notice, router.map(|params| params.name.as_str()))
    }

    fn signal(&self, signal: Signal) {
        let (name, action) = match signal.number {
            signal_hook::consts::SIGTERM => ("SIGTERM", "handing over and stopping"),
            signal_hook::consts::SIGINT => ("SIGINT", "handing over and stopping"),
            signal_hook::consts::SIGHUP => ("SIGHUP", "nothing is reloaded by this version"),
            _ => ("SIGUSR1", "writing the state to the log"),
        };
        let signal = journal::Signal { name, sender: signal.sender };
        let now = read_clocks();
        self.journal.borrow_mut().write_signal(now, signal, action);
        if name == "SIGUSR1" {
            for (key, state) in self.states.borrow().iter() {
                let name = self.routers.get(key).map_or("?", |params| &params.name);
                tracing::info!("VRRP_Instance({name}) is in {state} STATE");
            }
        }
    }

    /// Answers a client of the control socket.
    async fn answer(&self, command: Command, _peer: Peer, net: Net) -> Reply {
        match command {
            Command::Status => match self.status(&net).await {
                Some(status) => Reply::Status(Box::new(status)),
                None => Reply::refusal("the daemon is stopping"),
            },
        }
    }

    /// Asks the protocol thread how things are; `None`: it has ended.
    async fn snapshot(&self) -> Option<Snapshot> {
        let (reply, snapshot) = oneshot::channel();
        self.protocol.send(ToProtocol::Snapshot(reply));
        snapshot.await.ok()
    }

    async fn status(&self, net: &Net) -> Option<status::Status> {
        let Snapshot { now, routers } = self.snapshot().await?;
        let (reply, present) = oneshot::channel();
        let asked = routers.iter().map(|router| Arc::clone(&router.params)).collect();
        net.send(Wish::Status { routers: asked, reply }).await.ok()?;
        let Status { present, .. } = present.await.ok()?;
        let transitions: Vec<TransitionStatus> = self.journal.borrow().transitions().cloned().collect();
        let with_presence = routers.iter().zip(present.iter().map(Vec::as_slice));
        Some(status::status(&self.identity, now, with_presence, transitions))
    }
}

/// Why the service thread ended before its time.
#[derive(Debug)]
pub(super) enum ServiceFailure {
    /// Netlink or the packet socket cannot be opened.
    Net(ServiceError),
    /// The network service ended by itself.
    NetEnded,
    /// The control socket cannot be used.
    Control(io::Error),
}

impl fmt::Display for ServiceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(error) => error.fmt(f),
            Self::NetEnded => f.write_str("the network service ended by itself"),
            Self::Control(error) => write!(f, "cannot use the control socket: {error}"),
        }
    }
}

/// The way to the network service.
type Net = mpsc::Sender<Wish>;

/// How long the kernel may take to remove addresses at the end.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);
