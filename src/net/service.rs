//! The one task that owns netlink, VIPs and announcements.
//!
//! It is the only user of the view, the wishes and the sockets, so there are no locks. Work is done in slices of a few
//! milliseconds at most; between two slices wishes, notifications and announcements get their turn.
//! One stop before: the protocol thread, through a channel of [`Wish`]. One stop after: a callback with [`Report`].

mod entries;
mod error;
mod ownership;
mod view;

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use error::ServiceError;
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::announce::{AnnounceCounters, Announcer};
use super::asking::Asking;
use super::conflict::Conflicts;
use super::fixed::{FIXED, as_router};
use super::introduce::Introductions;
use super::links::{Change, Links, Watch};
use super::netlink::{Dumper, Event, Monitor, Place, Refusal, Request, Requests, RouteMonitor};
use super::notice::Notice;
use super::prober::Ears;
use super::routes::{self, Routes};
use super::trouble::Troubles;
use super::vips::{Job, Vips};
use crate::engine::input::{Interface, RouterKey, Trouble};
use crate::engine::params::{Fixed, RouterParams};
use crate::engine::time::Instant;

/// Something to do.
#[derive(Debug)]
pub enum Wish {
    /// Tell of these interfaces from here on.
    Watch(Watch),
    /// Hold the router's VIPs; also when its VIPs are others than before. What is held already is confirmed at once.
    Acquire {
        /// Whose.
        router: RouterKey,
        /// Which.
        params: Arc<RouterParams>,
    },
    /// Give the router's VIPs up, and announce none of them; also when the router is forgotten. Harmless when none is held.
    Release {
        /// Whose.
        router: RouterKey,
    },
    /// Hold the VIPs of exactly these routers: after a full channel lost wishes.
    Wanted(Vec<(RouterKey, Arc<RouterParams>)>),
    /// An earlier run held these addresses, and may have left them without our mark (kernels before 5.18). Heeded before
    /// leftovers are removed; those that nobody wants go with them.
    Disown(Vec<(String, IpAddr, u8)>),
    /// Hold these static entries from here on, whatever the routers want; none at the end.
    Fix(Arc<Fixed>),
    /// Tell the neighbours where these VIPs are; those that are not held are left out.
    Announce {
        /// Whose.
        router: RouterKey,
        /// Indices into `RouterParams::vips`.
        vips: Range<u16>,
    },
    /// The protocol thread began a turn then, and what it wanted in it was wished for before: leases may be renewed.
    Beat(Instant),
    /// This host on the link of that interface can be reached again, as far as we know: what is sent to it is not to wait
    /// for the kernel's next try.
    Reach {
        /// The interface's name.
        interface: String,
        /// The host.
        host: IpAddr,
    },
    /// Answer with whether this host on the link of that interface is there, within a second; or not, where nobody can tell.
    Ask {
        /// The interface's name.
        interface: String,
        /// The host.
        host: IpAddr,
        /// Where to.
        reply: oneshot::Sender<bool>,
    },
    /// Answer with all addresses of this host, ours among them.
    Addresses(oneshot::Sender<Vec<IpAddr>>),
    /// Answer when every released address is deleted. There is no answer while the kernel refuses to delete one, so
    /// whoever waits sets himself a limit.
    Settle(oneshot::Sender<()>),
    /// Answer when none of this router's VIPs is still to be deleted, whatever others wait for. As with `Settle`, whoever
    /// waits sets himself a limit.
    Withdrawn {
        /// Whose.
        params: Arc<RouterParams>,
        /// Where to.
        reply: oneshot::Sender<()>,
    },
    /// Answer with what the kernel holds of these routers' VIPs, wanted or not.
    Status {
        /// Whose.
        routers: Vec<(RouterKey, Arc<RouterParams>)>,
        /// Where to.
        reply: oneshot::Sender<Status>,
    },
}

/// What the kernel holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Status {
    /// For each router asked for, in that order: for each VIP whether the kernel holds it on its interface.
    pub present: Vec<Vec<bool>>,
    /// For each router asked for, in that order: what is wrong with what it holds, for a person.
    pub troubles: Vec<Vec<String>>,
    /// For each router asked for, in that order: for each VIP whether another host has it, too; empty: none is known to be.
    pub duplicates: Vec<Vec<bool>>,
    /// What was announced since start.
    pub announced: AnnounceCounters,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Everything was read once, each watched interface was told of, and leftovers of an earlier run are gone.
    Ready,
    /// A watched interface is as this says; for `Input::Interface`.
    Interface(Interface),
    /// The kernel holds these VIPs; for `Input::Vips`.
    Vips {
        /// Whose.
        router: RouterKey,
        /// Confirmed since the last such report.
        held: Range<u16>,
    },
    /// For `Input::Trouble`.
    Trouble {
        /// Whose.
        router: RouterKey,
        /// What; `None`: it is over.
        trouble: Option<Trouble>,
    },
    /// Leases wait for a sign of life of the protocol thread: answer with [`Wish::Beat`]. Asked again when none comes.
    Pulse,
    /// Something for the journal.
    Notice(Notice),
}

/// Pace of announcements.
const PACE: Duration = Duration::from_millis(1);
/// Unit of the back-off after a refusal.
const RETRY: Duration = Duration::from_millis(100);

/// The task.
pub struct NetService<F> {
    wishes: mpsc::Receiver<Wish>,
    clock: fn() -> Instant,
    on: F,
    links: Links,
    vips: Vips,
    routes: Routes,
    troubles: Troubles,
    conflicts: Conflicts,
    introductions: Introductions,
    prober: Ears,
    asking: Asking,
    asker: Ears,
    /// There while there are routes or rules to follow.
    follower: Option<RouteMonitor>,
    announcer: Announcer,
    requests: Requests,
    monitor: Monitor,
    dumper: Dumper,
    pace: Interval,
    retry: Interval,
    /// Notifications were lost.
    is_stale: bool,
    /// The monitor or the wishes ended.
    is_deaf: bool,
    is_closed: bool,
    /// What an earlier run may have left without our mark: interface, address, prefix length.
    disowned: Vec<(String, IpAddr, u8)>,
    settling: Vec<oneshot::Sender<()>>,
    withdrawing: Vec<(Arc<RouterParams>, oneshot::Sender<()>)>,
    changes: Vec<Change>,
    batch: Vec<Job>,
    entries: Vec<routes::Job>,
    results: Vec<Result<(), Refusal>>,
    dropped: u64,
}

impl<F: FnMut(Report)> NetService<F> {
    /// Opens all sockets; inside a tokio runtime only, whose thread runs nothing that must not wait a few milliseconds.
    ///
    /// `wishes` should have room for a wish of each router and then some. `clock` tells the time of the
    /// protocol thread. `on` is called within [`NetService::run`] and must not block.
    ///
    /// **Errors:** the socket that could not be opened.
    pub fn open(wishes: mpsc::Receiver<Wish>, clock: fn() -> Instant, on: F) -> Result<Self, ServiceError> {
        let failed = |what| move |source| ServiceError { what, source };
        let mut pace = interval(PACE);
        // Late ticks are made up for, so that the pace holds although the timer is coarse.
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            wishes,
            clock,
            on,
            links: Links::new(),
            vips: Vips::new(),
            routes: Routes::new(),
            troubles: Troubles::default(),
            conflicts: Conflicts::default(),
            introductions: Introductions::default(),
            prober: Ears::default(),
            asking: Asking::default(),
            asker: Ears::default(),
            follower: None,
            announcer: Announcer::open().map_err(failed("a packet socket for announcements"))?,
            requests: Requests::open().map_err(failed("a netlink socket for requests"))?,
            monitor: Monitor::open().map_err(failed("a netlink socket for notifications"))?,
            dumper: Dumper::open().map_err(failed("a netlink socket for dumps"))?,
            pace,
            retry,
            is_stale: false,
            is_deaf: false,
            is_closed: false,
            disowned: Vec::new(),
            settling: Vec::new(),
            withdrawing: Vec::new(),
            changes: Vec::new(),
            batch: Vec::new(),
            entries: Vec::new(),
            results: Vec::new(),
            dropped: 0,
        })
    }

    /// Runs until the sender of the wishes is dropped and everything released is deleted. What is wanted then stays on its
    /// interfaces.
    ///
    /// Wishes that wait in the channel at the beginning are heeded before leftovers are removed: an address that is
    /// acquired there is adopted without a request.
    pub async fn run(mut self) {
        self.start().await;
        loop {
            self.hear();
            if self.is_stale || self.is_deaf {
                self.resynchronise().await;
            }
            if self.routes.is_stale() {
                self.compare_rules().await;
            }
            self.work();
            self.tell();
            if self.vips.has_work() || self.routes.has_work() {
                tokio::task::yield_now().await;
            } else if self.is_closed && !self.is_deleting() {
                return;
            } else {
                self.wait().await;
            }
        }
    }

    /// Reads everything, removes leftovers and reports that the service is ready.
    async fn start(&mut self) {
        self.read_all().await;
        self.hear();
        self.vips.compare(&self.links);
        self.vips.sweep(&self.links, &std::mem::take(&mut self.disowned));
        self.sweep_routes().await;
        while self.vips.has_work() || self.routes.has_work() {
            self.work();
        }
        self.tell();
        self.introductions.begin();
        (self.on)(Report::Ready);
    }

    /// Takes in all notifications and wishes that wait.
    fn hear(&mut self) {
        self.turn();
        self.take_in();
        loop {
            match self.wishes.try_recv() {
                Ok(wish) => self.heed(wish),
                Err(mpsc::error::TryRecvError::Empty) => return,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.is_closed = true;
                    return;
                }
            }
        }
    }

    /// Takes in all notifications that wait.
    fn take_in(&mut self) {
        while let Some(event) = self.monitor.try_next() {
            self.apply(event);
        }
    }

    /// Waits for something to do, and takes it in.
    async fn wait(&mut self) {
        let alarm = self.alarm();
        let is_pending = self.announcer.is_pending();
        let is_waiting = self.vips.is_waiting() || self.routes.is_waiting();
        tokio::select! {
            biased;
            wish = self.wishes.recv(), if !self.is_closed => match wish {
                Some(wish) => self.heed(wish),
                None => self.is_closed = true,
            },
            event = self.monitor.next() => match event {
                Some(event) => self.apply(event),
                None => self.is_deaf = true,
            },
            _ = self.pace.tick(), if is_pending => self.announcer.tick(),
            touch = entries::next_touch(&mut self.follower) => self.touched(touch),
            () = ownership::ring(alarm) => {}
            _ = self.retry.tick(), if is_waiting => {
                self.vips.tick();
                self.routes.tick();
            }
        }
    }

    fn apply(&mut self, event: Event) {
        self.vips.turn((self.clock)());
        self.links.apply(event, &mut self.changes);
        for change in std::mem::take(&mut self.changes) {
            self.routes.apply(&change);
            match change {
                Change::Lost => self.is_stale = true,
                Change::Address(_) | Change::AddressGone(_) => self.vips.apply(&change, &self.links),
                Change::Link(ref name) => {
                    self.vips.apply(&change, &self.links);
                    self.introduce(&self.links.interface(name));
                    if self.links.named(name).is_some_and(|link| link.is_running) {
                        // While there was no carrier nothing was heard, and the switch may have forgotten the port.
                        for (router, vips) in self.vips.on_interface(name) {
                            announce(&mut self.announcer, &mut self.pace, router, vips);
                        }
                    }
                }
            }
        }
    }

    fn heed(&mut self, wish: Wish) {
        self.vips.turn((self.clock)());
        match wish {
            Wish::Watch(watch) => self.links.watch(watch),
            Wish::Acquire { router, params } => self.acquire(router, params),
            Wish::Release { router } => self.release(router),
            Wish::Disown(left) => self.disowned = left,
            Wish::Fix(fixed) if *fixed == Fixed::default() => self.release(FIXED),
            Wish::Fix(fixed) => self.acquire(FIXED, as_router(&fixed)),
            Wish::Wanted(wanted) => self.want_exactly(wanted),
            Wish::Announce { router, vips } => {
                let vips = vips.start..vips.end.min(self.vips.len_of(router));
                announce(&mut self.announcer, &mut self.pace, router, vips);
            }
            Wish::Beat(at) => self.vips.beat(at),
            Wish::Reach { interface, host } => self.reach(&interface, host),
            Wish::Ask { interface, host, reply } => self.ask_host(&interface, host, reply),
            Wish::Addresses(reply) => {
                // The kernel may have told of more, and whoever made the change asks right after it.
                self.take_in();
                let _ = reply.send(self.links.addresses().collect());
            }
            Wish::Settle(reply) => self.settling.push(reply),
            Wish::Withdrawn { params, reply } => self.withdrawing.push((params, reply)),
            Wish::Status { routers, reply } => {
                let present = routers.iter().map(|(_, params)| self.present(params)).collect();
                let troubles = routers.iter().map(|(router, _)| self.troubles_of(*router)).collect();
                let duplicates = routers.iter().map(|(router, _)| self.conflicts.duplicates_of(*router)).collect();
                // Whoever asked may have gone away.
                let _ = reply.send(Status { present, troubles, duplicates, announced: self.announcer.counters() });
            }
        }
    }

    fn want_exactly(&mut self, wanted: Vec<(RouterKey, Arc<RouterParams>)>) {
        let keys: std::collections::HashSet<RouterKey> = wanted.iter().map(|(key, _)| *key).collect();
        let unwanted: Vec<RouterKey> = self.vips.wanting().filter(|key| !keys.contains(key) && *key != FIXED).collect();
        for router in unwanted {
            self.release(router);
        }
        for (router, params) in wanted {
            self.acquire(router, params);
        }
    }

    fn present(&self, params: &RouterParams) -> Vec<bool> {
        let holds = |vip: &crate::engine::params::Vip| {
            let name = vip.interface.as_deref().unwrap_or(&params.interface);
            self.links.named(name).is_some_and(|link| {
                let place = Place { interface: link.index, address: vip.address, prefix_len: vip.prefix_len };
                self.links.address(&place).is_some()
            })
        };
        params.vips.iter().map(holds).collect()
    }

    /// Does one batch of requests and sends what may be announced.
    ///
    /// Rules and routes that go, then addresses that go or come, then routes and rules that come.
    fn work(&mut self) {
        self.announce_some();
        self.batch.clear();
        if !self.withdraw_entries() {
            self.vips.next_batch(&self.links, &mut self.batch);
        }
        if !self.batch.is_empty() {
            let requests: Vec<Request> = self.batch.iter().map(|job| job.request.clone()).collect();
            self.requests.carry_out(&requests, &mut self.results);
            for (job, result) in self.batch.iter().zip(self.results.drain(..)) {
                self.vips.done(job, result, &mut self.links);
            }
        }
        if !self.vips.has_work() {
            self.add_entries();
        }
        self.announce_some();
    }

    /// Sends what may be announced; the repeats of some addresses do not keep others from being added.
    fn announce_some(&mut self) {
        while self.announcer.is_pending() && self.pace.tick().now_or_never().is_some() {
            self.announcer.tick();
        }
        self.announcer.flush(&self.vips, &self.links);
    }

    /// Reports what changed.
    fn tell(&mut self) {
        for interface in self.links.changed((self.clock)()) {
            if interface.index.is_some_and(|index| !self.announcer.knows(index)) {
                self.announcer.learn();
            }
            self.introduce(&interface);
            (self.on)(Report::Interface(interface));
        }
        for (router, held) in self.vips.take_reports() {
            // No router waits for what is static.
            if router != FIXED {
                (self.on)(Report::Vips { router, held });
            }
        }
        self.tell_troubles();
        let notices = self.vips.take_notices().into_iter().chain(self.routes.take_notices());
        for notice in notices.chain(self.conflicts.take_notices()) {
            (self.on)(Report::Notice(notice));
        }
        let dropped = self.announcer.counters().dropped;
        if dropped > self.dropped && !self.announcer.is_pending() {
            (self.on)(Report::Notice(Notice::AnnounceOverflow { count: dropped - self.dropped }));
            self.dropped = dropped;
        }
        if !self.is_deleting() {
            for reply in self.settling.drain(..) {
                let _ = reply.send(());
            }
        }
        let (vips, links) = (&self.vips, &self.links);
        for (_, reply) in self.withdrawing.extract_if(.., |(params, _)| !vips.is_leaving(params, links)) {
            let _ = reply.send(());
        }
    }
}

/// Queues announcements; after a quiet time the pace begins anew.
fn announce(announcer: &mut Announcer, pace: &mut Interval, router: RouterKey, vips: Range<u16>) {
    if !announcer.is_pending() {
        pace.reset();
        announcer.rested();
    }
    announcer.announce(router, vips);
}

impl<F> fmt::Debug for NetService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetService").field("links", &self.links).field("vips", &self.vips).finish_non_exhaustive()
    }
}
