//! What a story is written with: a world whose timing is exact, and questions about what was seen.

use std::net::IpAddr;
use std::ops::Range;

use vrrpd::engine::input::CheckResult;
use vrrpd::engine::output::{EventKind, GroupTransition, Output, Reason, StateName, Transition};
use vrrpd::engine::snapshot::RouterSnapshot;
use vrrpd::engine::time::Instant;

use crate::simulator::MS;
use crate::simulator::segment::Timing;
use crate::simulator::spec::Cluster;
use crate::simulator::world::{Action, Seen, World};

/// Virtual routers on some hosts; questions that name none are about the first.
pub struct Story {
    pub world: World,
}

impl Story {
    /// Makes hosts that are off, one for each priority.
    pub fn new(cluster: impl Into<Cluster>) -> Self {
        let cluster = cluster.into();
        let hosts = cluster.routers[0].priorities.len();
        let mut world = World::new(cluster, hosts, Timing::EXACT, 1);
        world.seen = Some(Vec::new());
        Self { world }
    }

    /// Starts all hosts at once and lets the election end: ten intervals at most.
    ///
    /// Checks pass, and those that give numbers give 0.
    pub fn elected(cluster: impl Into<Cluster>) -> Self {
        let cluster = cluster.into();
        let length = 10 * cluster.routers[0].longest_interval().as_nanos() as u64;
        let mut story = Self::new(cluster);
        story.pass_all();
        for host in 0..story.world.hosts.len() {
            story.act(Action::Start(host));
        }
        story.go(length);
        story
    }

    /// Lets every check be well on every host.
    pub fn pass_all(&mut self) {
        let checks = self.world.cluster.checks.clone();
        for (host, (place, check)) in
            (0..self.world.hosts.len()).flat_map(|host| checks.iter().enumerate().map(move |check| (host, check)))
        {
            let result = if check.is_number { CheckResult::Number(0) } else { CheckResult::Passed };
            self.act(Action::Check(host, place, result));
        }
    }

    /// Lets the check in place 0 of a host make its priority this.
    pub fn weigh(&mut self, host: usize, effective: u8) {
        let change = i32::from(effective) - i32::from(self.world.specs()[0].priority(host));
        self.act(Action::Check(host, 0, CheckResult::Number(change)));
    }

    pub fn pass(&mut self, host: usize, check: usize) {
        self.act(Action::Check(host, check, CheckResult::Passed));
    }

    pub fn fail(&mut self, host: usize, check: usize) {
        self.act(Action::Check(host, check, CheckResult::Failed));
    }

    pub fn act(&mut self, action: Action) {
        self.world.act(action);
    }

    /// Goes on for a while and forgets nothing. Panics when the contract of the engine is broken.
    pub fn go(&mut self, length: u64) {
        let end = self.world.now + length;
        self.world.run_until(end);
        assert_eq!(self.world.violation, None);
    }

    pub fn now(&self) -> u64 {
        self.world.now
    }

    /// Forgets what was seen so far, and what was measured.
    pub fn forget(&mut self) {
        self.world.seen = Some(Vec::new());
        self.world.reset_measures();
    }

    pub fn state(&self, host: usize) -> StateName {
        self.world.state(host, 0)
    }

    pub fn masters(&self) -> Vec<usize> {
        self.world.masters(0)
    }

    pub fn snapshot(&self, host: usize) -> &RouterSnapshot {
        self.world.hosts[host].snapshot(0).unwrap()
    }

    /// Returns the other Master that a host knows of, and since when.
    pub fn rival(&self, host: usize) -> Option<(IpAddr, Instant)> {
        let now = self.world.hosts[host].clock.now(self.world.now).mono;
        self.snapshot(host).rival_at(now).map(|rival| (rival.address, rival.since))
    }

    pub fn seen(&self, host: usize) -> impl Iterator<Item = &Seen> {
        self.world.seen.iter().flatten().filter(move |seen| seen.host == host)
    }

    /// Returns the changes of state of a host with their times.
    pub fn transitions(&self, host: usize) -> Vec<(u64, Transition)> {
        self.transitions_of(host, 0)
    }

    fn transitions_of(&self, host: usize, router: usize) -> Vec<(u64, Transition)> {
        let transition = |seen: &Seen| {
            let Output::Event(event) = &seen.output else { return None };
            event.router.filter(|key| key.0 as usize == router)?;
            let EventKind::Transition(transition) = &event.kind else { return None };
            Some((seen.at, transition.clone()))
        };
        self.seen(host).filter_map(transition).collect()
    }

    /// Returns the states a host entered with time and cause.
    pub fn changes(&self, host: usize) -> Vec<(u64, StateName, Reason)> {
        self.changes_of(host, 0)
    }

    /// As `changes`, of any router.
    pub fn changes_of(&self, host: usize, router: usize) -> Vec<(u64, StateName, Reason)> {
        let changes = self.transitions_of(host, router).into_iter();
        changes.map(|(at, change)| (at, change.to, change.reason)).collect()
    }

    /// Returns the changes of the groups of a host.
    pub fn group_changes(&self, host: usize) -> Vec<(u64, GroupTransition)> {
        let change = |(at, kind)| match kind {
            EventKind::Group(change) => Some((at, change)),
            _ => None,
        };
        self.events(host).into_iter().filter_map(change).collect()
    }

    /// Returns when a host sent adverts, with their priority; one for each datagram.
    pub fn sent(&self, host: usize) -> Vec<(u64, u8)> {
        self.seen(host).filter_map(|seen| seen.priority.map(|priority| (seen.at, priority))).collect()
    }

    pub fn announced(&self, host: usize) -> Vec<(u64, Range<u16>)> {
        let announcement = |seen: &Seen| {
            let Output::Announce { vips, .. } = &seen.output else { return None };
            Some((seen.at, vips.clone()))
        };
        self.seen(host).filter_map(announcement).collect()
    }

    pub fn released(&self, host: usize) -> Vec<u64> {
        self.released_of(host, 0)
    }

    pub fn released_of(&self, host: usize, router: usize) -> Vec<u64> {
        let is_release = |seen: &&Seen| seen.router == router && matches!(seen.output, Output::ReleaseVips { .. });
        self.seen(host).filter(is_release).map(|seen| seen.at).collect()
    }

    /// Returns the events of a host that are no changes of state.
    pub fn events(&self, host: usize) -> Vec<(u64, EventKind)> {
        let event = |seen: &Seen| {
            let Output::Event(event) = &seen.output else { return None };
            (!matches!(event.kind, EventKind::Transition(_))).then(|| (seen.at, event.kind.clone()))
        };
        self.seen(host).filter_map(event).collect()
    }

    /// Returns what a host did, one word for each output but checksum and mismatch events, datagrams of a round as one.
    pub fn words(&self, host: usize) -> Vec<&'static str> {
        let word = |seen: &Seen| match (&seen.output, seen.priority) {
            (Output::Send(_), Some(0)) => Some("resign"),
            (Output::Send(_), _) => Some("send"),
            (Output::AcquireVips { .. }, _) => Some("acquire"),
            (Output::ReleaseVips { .. }, _) => Some("release"),
            (Output::Announce { .. }, _) => Some("announce"),
            (Output::Finished, _) => Some("finished"),
            (Output::Event(event), _) if matches!(event.kind, EventKind::Transition(_)) => Some("change"),
            (Output::Event(event), _) if matches!(event.kind, EventKind::HandedOver { .. }) => Some("handed over"),
            (Output::Event(_), _) => None,
        };
        let mut words: Vec<_> = self.seen(host).filter_map(|seen| word(seen).map(|word| (seen.at, word))).collect();
        words.dedup();
        words.into_iter().map(|(_, word)| word).collect()
    }

    pub fn longest_gap(&self) -> u64 {
        self.world.measures[0].longest_gap
    }

    pub fn longest_rivalry(&self) -> u64 {
        self.world.measures[0].longest_rivalry
    }
}

/// How long a packet takes.
pub const DELAY: u64 = 200_000;

/// How long the VIP worker takes for a batch.
pub const WORKER: u64 = 300_000;

/// How long a node keeps its addresses after it has heard its successor, at an interval of a second.
pub const OVERLAP: u64 = 100 * MS;

/// One second.
pub const SECOND: u64 = 1000 * MS;

/// Returns the skew of a priority at an interval.
pub fn skew(priority: u64, interval: u64) -> u64 {
    interval * (256 - priority) / 256
}
