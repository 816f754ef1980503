//! What a story is written with: a world whose timing is exact, and questions about what was seen.

use std::ops::Range;

use vrrpd::engine::output::{EventKind, Output, Reason, StateName, Transition};
use vrrpd::engine::snapshot::RouterSnapshot;

use crate::simulator::MS;
use crate::simulator::segment::Timing;
use crate::simulator::spec::RouterSpec;
use crate::simulator::world::{Action, Seen, World};

/// One virtual router on some hosts.
pub struct Story {
    pub world: World,
}

impl Story {
    /// Makes hosts that are off, one for each priority.
    pub fn new(spec: RouterSpec) -> Self {
        let hosts = spec.priorities.len();
        let mut world = World::new(vec![spec], hosts, Timing::EXACT, 1);
        world.seen = Some(Vec::new());
        Self { world }
    }

    /// Starts all hosts at once and lets the election end: ten intervals at most.
    pub fn elected(spec: RouterSpec) -> Self {
        let length = 10 * spec.longest_interval().as_nanos() as u64;
        let mut story = Self::new(spec);
        for host in 0..story.world.hosts.len() {
            story.act(Action::Start(host));
        }
        story.go(length);
        story
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

    pub fn seen(&self, host: usize) -> impl Iterator<Item = &Seen> {
        self.world.seen.iter().flatten().filter(move |seen| seen.host == host)
    }

    /// Returns the changes of state of a host with their times.
    pub fn transitions(&self, host: usize) -> Vec<(u64, Transition)> {
        let transition = |seen: &Seen| {
            let Output::Event(event) = &seen.output else { return None };
            let EventKind::Transition(transition) = &event.kind else { return None };
            Some((seen.at, transition.clone()))
        };
        self.seen(host).filter_map(transition).collect()
    }

    /// Returns the states a host entered with time and cause.
    pub fn changes(&self, host: usize) -> Vec<(u64, StateName, Reason)> {
        self.transitions(host).into_iter().map(|(at, change)| (at, change.to, change.reason)).collect()
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
        let is_release = |seen: &&Seen| matches!(seen.output, Output::ReleaseVips { .. });
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

/// How long a node keeps its two addresses after it has heard its successor.
pub const OVERLAP: u64 = 10_200_000;

/// One second.
pub const SECOND: u64 = 1000 * MS;

/// Returns the skew of a priority at an interval.
pub fn skew(priority: u64, interval: u64) -> u64 {
    interval * (256 - priority) / 256
}
