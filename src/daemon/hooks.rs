//! Joins what the engine wants and tells with the hooks that are told of it.
//!
//! One stop before: `daemon::service`. One stop after: `daemon::telling`, which knows when, and `notify`, which tells.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::channel::Snapshot;
use super::telling::{Telling, Told, Withdrawal};
use crate::child::How;
use crate::control::{rfc3339, status};
use crate::engine::input::{Interface, RouterKey};
use crate::engine::output::{Event, EventKind, GroupTransition, Output, Transition};
use crate::engine::params::{NodeHooks, NodeParams, RouterParams};
use crate::engine::time::{Instant, Now};
use crate::notify::{CallStatus, Cause, HookReport, HookStatus, Notifier, Occasion, Subject, SubjectParams};
use crate::wire::field::{Family, Priority};

/// The hooks of a node.
pub(super) struct Hooks {
    notifier: Notifier,
    telling: RefCell<Telling>,
    routers: RefCell<BTreeMap<RouterKey, Arc<RouterParams>>>,
    /// The group of each router that is in one.
    groups: RefCell<BTreeMap<RouterKey, Arc<str>>>,
    interfaces: RefCell<BTreeMap<String, Interface>>,
    /// There is somebody to be told; nothing is waited for otherwise.
    is_heard: Cell<bool>,
    /// There was somebody to be told at some time. Until then nothing is kept of any router.
    was_ever_heard: Cell<bool>,
}

impl Hooks {
    /// Makes the hooks of a node, which are told nothing before [`Hooks::startup`]. `clock`: for reports and status.
    ///
    /// Inside a `LocalSet` only.
    pub fn new(
        node: &str,
        params: &NodeParams,
        routers: &BTreeMap<RouterKey, Arc<RouterParams>>,
        clock: impl Fn() -> Now + 'static,
        report: impl Fn(HookReport) + 'static,
    ) -> Self {
        let notifier = Notifier::new(node, Arc::clone(&params.hooks), clock, report);
        let hooks = Self {
            notifier,
            telling: RefCell::default(),
            routers: RefCell::default(),
            groups: RefCell::default(),
            interfaces: RefCell::default(),
            is_heard: Cell::default(),
            was_ever_heard: Cell::default(),
        };
        hooks.replace(params, routers);
        hooks
    }

    /// Tells of these routers and groups from here on. Who is still there goes on with what was told; who is not is told
    /// that it was removed. Says whether there is somebody to be told who was not there before.
    pub fn replace(&self, params: &NodeParams, routers: &BTreeMap<RouterKey, Arc<RouterParams>>) -> bool {
        let all = routers.values().map(|router| &router.hooks);
        let mut all = all.chain(params.groups.iter().map(|group| &group.hooks));
        let is_heard = !params.hooks.fifos.is_empty() || all.any(|hooks| !hooks.calls.is_empty());
        let was_heard = self.is_heard.replace(is_heard);
        if !is_heard && !self.was_ever_heard.get() {
            return false;
        }
        self.was_ever_heard.set(true);
        let instances = routers.iter().map(|(key, router)| SubjectParams::instance(*key, router));
        let members = || params.routers.iter().map(AsRef::as_ref);
        let groups = params.groups.iter().map(|group| SubjectParams::group(group, members()));
        self.notifier.subscribe(instances.chain(groups).collect());
        self.telling.borrow_mut().replace(
            routers.iter().map(|(key, router)| (*key, router.as_ref())),
            params.groups.iter().map(AsRef::as_ref),
        );
        let mut group_of: BTreeMap<&str, &str> = BTreeMap::new();
        for group in &params.groups {
            group_of.extend(group.members.iter().map(|member| (member.as_str(), group.name.as_str())));
        }
        let group_of = |(key, router): (&RouterKey, &Arc<RouterParams>)| {
            Some((*key, Arc::from(*group_of.get(router.name.as_str())?)))
        };
        self.groups.replace(routers.iter().filter_map(group_of).collect());
        self.routers.replace(routers.clone());
        is_heard && !was_heard
    }

    /// Goes on with other pipes, and other ways to run programs.
    pub async fn reconfigure(&self, hooks: &Arc<NodeHooks>) {
        self.notifier.reconfigure(Arc::clone(hooks)).await;
    }

    /// Writes all states into the pipes, if they are to get that after a reload.
    pub fn restate(&self, now: &Snapshot) {
        let priorities: BTreeMap<RouterKey, Priority> =
            now.routers.iter().map(|router| (router.key, router.effective_priority)).collect();
        self.notifier.restate(|router| priorities.get(&router).copied());
    }

    /// Runs the startup program to its end and opens the pipes.
    pub async fn startup(&self) {
        self.notifier.startup().await;
    }

    /// Opens the pipes: the process ran another program before, whose startup program has done its part.
    pub async fn resume(&self) {
        self.notifier.resume().await;
    }

    /// Takes note of what an interface is like.
    pub fn look(&self, interface: &Interface) {
        self.interfaces.borrow_mut().insert(interface.name.clone(), interface.clone());
    }

    /// Takes note of an output that was carried out. For a release the caller asks the network service when the
    /// addresses are gone, and says so with [`Hooks::withdrawn`].
    #[must_use]
    pub fn observe(&self, now: Now, output: &Output) -> Option<(RouterKey, Withdrawal)> {
        if !self.is_heard.get() {
            return None;
        }
        let mut telling = self.telling.borrow_mut();
        match output {
            Output::AcquireVips { router } => telling.acquire(*router),
            Output::Announce { router, vips } => telling.announce(*router, vips),
            Output::ReleaseVips { router } => return Some((*router, telling.release(*router))),
            Output::Event(event) => self.hear(now, event, &mut telling),
            Output::Send(_) | Output::Finished => {}
        }
        None
    }

    /// The kernel has none of the addresses of a router any more.
    pub fn withdrawn(&self, now: Instant, router: RouterKey, withdrawal: Withdrawal) {
        self.telling.borrow_mut().withdrawn(router, withdrawal);
        self.tell(now);
    }

    /// Tells what is due.
    pub fn tell(&self, now: Instant) {
        if !self.is_heard.get() {
            return;
        }
        let due = self.telling.borrow_mut().take_due(now);
        for told in due {
            match told {
                Told::Instance(at, router, transition) => {
                    let own = self.routers.borrow().get(&router).and_then(|params| self.own_address(params));
                    self.notifier.tell(&Subject::Instance(router), Occasion::of_instance(&transition, own, at));
                }
                Told::Group(at, transition) => {
                    let subject = Subject::Group(Arc::clone(&transition.group));
                    self.notifier.tell(&subject, Occasion::of_group(&transition, at));
                }
            }
        }
    }

    /// Returns when [`Hooks::tell`] has something to tell at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.telling.borrow().deadline()
    }

    /// Makes up for lost events.
    pub fn correct(&self, snapshot: &Snapshot) {
        if !self.is_heard.get() {
            return;
        }
        let (mut telling, groups) = (self.telling.borrow_mut(), self.groups.borrow());
        for router in &snapshot.routers {
            let transition = Transition {
                from: router.state,
                to: router.state,
                reason: router.reason.clone(),
                priority: router.effective_priority,
                peer: router.master.map(|master| master.address),
            };
            telling.correct(snapshot.now, router.key, &transition, router.wants_vips);
        }
        for group in &snapshot.groups {
            let member = snapshot.routers.iter().find(|router| groups.get(&router.key) == Some(&group.name));
            let Some(member) = member else { continue };
            let (from, to, reason) = (group.state, group.state, member.reason.clone());
            let transition = GroupTransition { group: Arc::clone(&group.name), from, to, reason };
            telling.correct_group(snapshot.now, &transition);
        }
    }

    /// Returns how the hooks of an instance are doing; `None`: it has none.
    pub fn status(&self, router: RouterKey) -> Option<status::HookStatus> {
        self.notifier.status(&Subject::Instance(router)).as_ref().map(as_values)
    }

    /// Returns how the hooks of a group are doing; `None`: it has none.
    pub fn status_of_group(&self, group: &Arc<str>) -> Option<status::HookStatus> {
        self.notifier.status(&Subject::Group(Arc::clone(group))).as_ref().map(as_values)
    }

    /// Tells that the daemon stops, and waits for the programs that are told.
    pub async fn stop(&self, patience: Duration) {
        self.telling.borrow_mut().clear();
        self.notifier.stop(patience).await;
    }

    /// Waits until no program runs and closes the pipes: the process is about to become another program.
    pub async fn rest(&self, patience: Duration) {
        self.notifier.rest(patience).await;
    }

    /// Runs the shutdown program to its end.
    pub async fn shutdown(&self) {
        self.notifier.shutdown().await;
    }

    fn hear(&self, now: Now, event: &Event, telling: &mut Telling) {
        match (&event.kind, event.router) {
            (EventKind::Transition(transition), Some(router)) => telling.enter(now, router, transition),
            (EventKind::Group(transition), _) => telling.enter_group(now, transition),
            (EventKind::Priority { to, .. }, Some(router)) => self.notifier.rank(&Subject::Instance(router), *to),
            (EventKind::Rival { .. }, Some(router)) => {
                self.notifier.repeat(&Subject::Instance(router), Cause::Rivalry);
                if let Some(group) = self.groups.borrow().get(&router) {
                    self.notifier.repeat(&Subject::Group(Arc::clone(group)), Cause::Rivalry);
                }
            }
            (
                EventKind::Transition(_)
                | EventKind::Priority { .. }
                | EventKind::Rival { .. }
                | EventKind::Discarded { .. }
                | EventKind::ClockSkew { .. }
                | EventKind::Clock(_)
                | EventKind::Mismatch { .. }
                | EventKind::Checksum { .. }
                | EventKind::PreemptDelay { .. }
                | EventKind::Paused { .. }
                | EventKind::HandedOver { .. }
                | EventKind::Vacant { .. }
                | EventKind::Check { .. },
                _,
            ) => {}
        }
    }

    /// Returns the address that the adverts of a router come from.
    fn own_address(&self, params: &RouterParams) -> Option<IpAddr> {
        let is_source = |address: &&IpAddr| match (params.family, address) {
            (Family::V4, IpAddr::V4(_)) => true,
            (Family::V6, IpAddr::V6(address)) => address.is_unicast_link_local(),
            (Family::V4, IpAddr::V6(_)) | (Family::V6, IpAddr::V4(_)) => false,
        };
        let interfaces = self.interfaces.borrow();
        let first = || interfaces.get(&params.interface)?.addresses.iter().find(is_source).copied();
        params.source.or_else(first)
    }
}

fn as_values(hooks: &HookStatus) -> status::HookStatus {
    let of_call = |call: &CallStatus| status::HookCallStatus {
        program: call.program.to_string(),
        state: call.state.to_string(),
        cause: call.cause.to_string(),
        attempt: call.attempt,
        began_at: rfc3339::format(call.began_at.utc),
        ended_at: call.ended.as_ref().map(|(at, _)| rfc3339::format(at.utc)),
        result: call.ended.as_ref().map(|(_, ended)| words(&ended.how)),
        succeeded: call.ended.as_ref().map(|(_, ended)| ended.how == How::Exited(0)),
        last_line: call.ended.as_ref().map_or_else(String::new, |(_, ended)| ended.last_line.clone()),
    };
    status::HookStatus {
        sequence: hooks.sequence,
        failed_attempts: hooks.failures,
        superseded: hooks.superseded,
        last: hooks.last.as_ref().map(of_call),
    }
}

fn words(how: &How) -> String {
    match how {
        How::Exited(status) => format!("exit status {status}"),
        How::Signaled(signal) => format!("signal {signal}"),
        How::TimedOut => "timed out".to_owned(),
        How::NotStarted(why) => format!("not started: {why}"),
    }
}
