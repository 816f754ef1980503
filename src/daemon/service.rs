//! The service thread: everything that waits on many things. Netlink, announcements, the control socket, the log.
//!
//! One stop before: `daemon::effects`, which passes the engine's wishes on. One stop after: `net::service`, and
//! `daemon::event_loop` with what the kernel says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::channel::{ProtocolHandle, Signal, Snapshot, ToProtocol, ToService};
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
        Self { identity, routers, fixed, log, journal, protocol, states: RefCell::default() }
    }

    /// Serves until the protocol thread has finished and the kernel holds none of our addresses.
    ///
    /// **Errors:** netlink or the control socket cannot be used at all.
    pub async fn run(self, server: Server, mut from_protocol: mpsc::Receiver<ToService>) -> Result<(), ServiceFailure> {
        let (net, wishes) = mpsc::channel(WISHES.max(2 * self.routers.len()));
        let net_service = NetService::open(wishes, |report| self.report(report)).map_err(ServiceFailure::Net)?;
        let watch =
            Watch::of(&NodeParams { routers: self.routers.values().cloned().collect(), fixed: (*self.fixed).clone() });
        // Cannot be full or closed yet.
        let _ = net.try_send(Wish::Watch(watch));
        if *self.fixed != Fixed::default() {
            let _ = net.try_send(Wish::Fix(Arc::clone(&self.fixed)));
        }
        let server = server.run(|command, peer| self.answer(command, peer, net.clone()));
        let netting = net_service.run();
        tokio::pin!(server, netting);
        loop {
            tokio::select! {
                biased;
                message = from_protocol.recv() => match message {
                    Some(ToService::Finished) | None => break,
                    Some(message) => self.obey(message, &net),
                },
                () = &mut netting => break,
                result = &mut server => return result.map_err(ServiceFailure::Control),
            }
        }
        systemd::stopping("removing addresses");
        let released = async {
            // What is static goes last: the instances may need it until they have nothing left.
            for wish in [Wish::Wanted(Vec::new()), Wish::Fix(Arc::default())] {
                let _ = net.try_send(wish);
                let (done, is_done) = oneshot::channel();
                let _ = net.try_send(Wish::Settle(done));
                // An error means that the service is gone.
                let _ = is_done.await;
            }
        };
        let settled = async {
            tokio::select! {
                () = released => {}
                () = &mut netting => {}
            }
        };
        if tokio::time::timeout(RELEASE_PATIENCE, settled).await.is_err() {
            tracing::error!("the kernel did not remove all addresses within {RELEASE_PATIENCE:?}");
        }
        Ok(())
    }

    /// Does what the protocol thread wants.
    fn obey(&self, message: ToService, net: &Net) {
        match message {
            ToService::Outputs(now, outputs) => {
                for output in outputs {
                    self.carry_out(now, output, net);
                }
            }
            ToService::Resync { wanted, lost } => {
                tracing::warn!(lost, "the service thread fell behind; wishes are made up for");
                let params = |key| Some((key, Arc::clone(self.routers.get(&key)?)));
                wish(net, Wish::Wanted(wanted.into_iter().filter_map(params).collect()));
            }
            ToService::Signal(signal) => self.signal(signal),
            ToService::SendFailed { router, errno, count } => {
                let name = self.routers.get(&router).map_or("?", |params| &params.name);
                tracing::warn!("VRRP_Instance({name}) send advert error {} ({errno}), {count} times", errno as i32);
            }
            ToService::Finished => {}
        }
    }

    fn carry_out(&self, now: Now, output: Output, net: &Net) {
        match output {
            Output::AcquireVips { router } => {
                if let Some(params) = self.routers.get(&router) {
                    wish(net, Wish::Acquire { router, params: Arc::clone(params) });
                }
            }
            Output::ReleaseVips { router } => wish(net, Wish::Release { router }),
            Output::Announce { router, vips } => wish(net, Wish::Announce { router, vips }),
            Output::Event(event) => self.write_down(now, &event),
            Output::Send(_) | Output::Finished => {}
        }
    }

    fn write_down(&self, now: Now, event: &Event) {
        let params = event.router.and_then(|router| self.routers.get(&router));
        self.journal.borrow_mut().write(now, params.map(AsRef::as_ref), event);
        if let (EventKind::Transition(transition), Some(router)) = (&event.kind, event.router) {
            let mut states = self.states.borrow_mut();
            states.insert(router, transition.to);
            let count = |state| states.values().filter(|known| **known == state).count();
            let summary = systemd::summary(count(StateName::Master), count(StateName::Backup), count(StateName::Fault));
            systemd::status(&summary);
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

    async fn status(&self, net: &Net) -> Option<status::Status> {
        let (reply, snapshot) = oneshot::channel();
        self.protocol.send(ToProtocol::Snapshot(reply));
        let Snapshot { now, routers } = snapshot.await.ok()?;
        let (reply, present) = oneshot::channel();
        let asked = routers.iter().map(|router| Arc::clone(&router.params)).collect();
        net.send(Wish::Status { routers: asked, reply }).await.ok()?;
        let Status { present, .. } = present.await.ok()?;
        let transitions: Vec<TransitionStatus> = self.journal.borrow().transitions().cloned().collect();
        let with_presence = routers.iter().zip(present.iter().map(Vec::as_slice));
        Some(status::status(&self.identity, now, with_presence, transitions))
    }
}

/// Passes a wish on. The channel has room for more wishes than the routers can have between two turns of its reader.
fn wish(net: &Net, wish: Wish) {
    if net.try_send(wish).is_err() {
        tracing::error!("the network service fell behind; a wish is lost");
    }
}

/// Why the service thread ended before its time.
#[derive(Debug)]
pub(super) enum ServiceFailure {
    /// Netlink or the packet socket cannot be opened.
    Net(ServiceError),
    /// The control socket cannot be used.
    Control(io::Error),
}

impl fmt::Display for ServiceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(error) => error.fmt(f),
            Self::Control(error) => write!(f, "cannot use the control socket: {error}"),
        }
    }
}

/// The way to the network service.
type Net = mpsc::Sender<Wish>;

/// Wishes that may wait at least.
const WISHES: usize = 1024;

/// How long the kernel may take to remove addresses at the end.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);
