//! What a seed stands for: the configuration, the timing and the faults of one run.

use std::time::Duration;

use vrrpd::engine::params::Preempt;
use vrrpd::wire::field::{Family, Version};

use crate::simulator::rng::Rng;
use crate::simulator::segment::Timing;
use crate::simulator::spec::RouterSpec;
use crate::simulator::world::{Action, World};
use crate::simulator::{MS, US};

/// One run before it begins.
#[derive(Debug)]
pub struct Case {
    pub hosts: usize,
    pub specs: Vec<RouterSpec>,
    pub timing: Timing,
    pub faults: usize,
    pub loss_per_mille: u64,
    pub duplicates_per_mille: u64,
}

impl Case {
    pub fn new(rng: &mut Rng) -> Self {
        let hosts = rng.between(2, 5) as usize;
        let routers = rng.pick(&[1, 1, 1, 2, 3]);
        // One scale for a run: a router at 10 ms beside one at 1 s would cost a hundred times the events.
        let interval = rng.pick(&[10, 10, 100, 1000, 1000]);
        let delay = rng.pick(&[(20 * US, 100 * US), (100 * US, 100 * US), (50 * US, MS), (100 * US, 3 * MS)]);
        let late = rng.pick(&[0, 100 * US, 2 * MS]);
        let is_lossy = rng.chance(600);
        Self {
            hosts,
            specs: (0..routers).map(|_| router(rng, hosts, interval)).collect(),
            timing: Timing { delay, wake: (0, 50 * US), late: (0, late), worker: (50 * US, 5 * MS) },
            faults: rng.between(3, 12) as usize,
            loss_per_mille: if is_lossy { rng.between(1, 300) } else { 0 },
            duplicates_per_mille: if is_lossy { rng.between(0, 200) } else { 0 },
        }
    }

    pub fn longest_interval(&self) -> u64 {
        self.specs.iter().map(|spec| spec.longest_interval().as_nanos() as u64).max().unwrap_or_default()
    }

    /// Returns how long faults go on.
    pub fn chaos(&self) -> u64 {
        (self.faults as u64 + 4) * 5 * self.longest_interval()
    }

    /// Returns how long it takes at most until all is quiet: two master-down intervals, the delay before preemption
    /// and a handover.
    pub fn quiet(&self) -> u64 {
        let delays = self.specs.iter().flat_map(|spec| spec.preempts.iter()).map(|preempt| match preempt {
            Preempt::Always | Preempt::Never => Duration::ZERO,
            Preempt::After(length) => *length,
        });
        let longest = delays.max().unwrap_or_default().as_nanos() as u64;
        10 * self.longest_interval() + longest + 200 * MS
    }

    /// Plans the faults between now and the end of the chaos. Each is undone after a while, or by [`heal`].
    pub fn plan_faults(&self, world: &mut World) {
        let (begin, length) = (world.now, self.chaos());
        world.plan(begin, Action::Loss(self.loss_per_mille, self.duplicates_per_mille));
        for _ in 0..self.faults {
            let at = begin + world.rng.between(0, length);
            let until = (at + world.rng.between(0, 8 * self.longest_interval())).min(begin + length);
            let host = world.rng.below(self.hosts);
            let (action, undo) = self.fault(world, host);
            for (action, undo) in [(action, undo)].into_iter().chain(self.companions(world, action, undo)) {
                world.plan(at, action);
                world.plan(until, undo);
            }
        }
    }

    fn fault(&self, world: &mut World, host: usize) -> (Action, Action) {
        let other = (host + world.rng.between(1, self.hosts as u64 - 1) as usize) % self.hosts;
        let router = world.rng.below(self.specs.len());
        match world.rng.between(0, 11) {
            0 => (Action::Crash(host), Action::Start(host)),
            1 | 2 => (Action::Stop(host), Action::Start(host)),
            3 | 4 => (Action::Pause(host), Action::Resume(host)),
            5 => (Action::Link(host, false), Action::Link(host, true)),
            6 => (Action::Addresses(host, false), Action::Addresses(host, true)),
            7 => (Action::Recreate(host), Action::Recreate(host)),
            8..=9 => (Action::Block(host, other, true), Action::Block(host, other, false)),
            _ => {
                let [low, high] = [1, 254].map(|limit| world.rng.between(1, 254).max(limit.min(200)) as u8);
                (Action::Priority(host, router, low), Action::Priority(host, router, high))
            }
        }
    }

    /// Makes two of three partitions whole: to and from every other host; the rest stay one-way.
    fn companions(&self, world: &mut World, action: Action, undo: Action) -> Vec<(Action, Action)> {
        let (Action::Block(host, _, _), Action::Block(..)) = (action, undo) else { return Vec::new() };
        if world.rng.chance(333) {
            return Vec::new();
        }
        let others = (0..self.hosts).filter(|&other| other != host);
        others
            .flat_map(|other| [(host, other), (other, host)])
            .map(|(from, to)| (Action::Block(from, to, true), Action::Block(from, to, false)))
            .collect()
    }
}

/// Ends all faults: everything runs, every link is up, nothing is lost.
pub fn heal(world: &mut World) {
    world.segment.heal();
    for host in 0..world.hosts.len() {
        if !world.hosts[host].is_link_up {
            world.act(Action::Link(host, true));
        }
        if !world.hosts[host].has_addresses {
            world.act(Action::Addresses(host, true));
        }
        world.act(Action::Resume(host));
        world.act(Action::Start(host));
    }
}

fn router(rng: &mut Rng, hosts: usize, interval: u64) -> RouterSpec {
    // Version 2 knows whole seconds only: at a smaller scale it would cost a hundred times the events.
    let v2_or_v3 = if interval == 1000 { Version::V2 } else { Version::V3 };
    let (version, family, is_multicast) = rng.pick(&[
        (v2_or_v3, Family::V4, false),
        (v2_or_v3, Family::V4, true),
        (Version::V3, Family::V4, false),
        (Version::V3, Family::V4, true),
        (Version::V3, Family::V6, false),
        (Version::V3, Family::V6, true),
    ]);
    let mut spec = RouterSpec::new(&priorities(rng, hosts));
    spec.version = version;
    spec.family = family;
    spec.is_multicast = is_multicast;
    spec.vips = rng.between(1, 6) as u16;
    spec.names_priorities = rng.chance(700);
    spec.intervals = match version {
        Version::V2 => vec![1000],
        Version::V3 if rng.chance(150) => {
            (0..hosts).map(|_| rng.pick(&[interval, 2 * interval, 5 * interval])).collect()
        }
        Version::V3 => vec![interval],
    };
    spec.preempts = match rng.between(0, 9) {
        0..=4 => vec![Preempt::Always],
        5..=6 => vec![Preempt::Never],
        7..=8 => vec![Preempt::After(Duration::from_millis(interval * rng.between(0, 6)))],
        _ => (0..hosts).map(|_| rng.pick(&[Preempt::Always, Preempt::Never])).collect(),
    };
    spec
}

fn priorities(rng: &mut Rng, hosts: usize) -> Vec<u8> {
    let mut priorities: Vec<u8> = match rng.between(0, 9) {
        0..=3 => (0..hosts).map(|_| rng.between(1, 254) as u8).collect(),
        4..=6 => {
            let step = rng.pick(&[1, 5, 20, 40]);
            (0..hosts).map(|host| 250 - step * host as u8).collect()
        }
        7..=8 => vec![rng.pick(&[1, 100, 254]); hosts],
        _ => (0..hosts).map(|_| rng.pick(&[1, 2, 100])).collect(),
    };
    if rng.chance(120) {
        priorities[rng.below(hosts)] = 255;
    }
    let turn = rng.below(hosts);
    priorities.rotate_left(turn);
    priorities
}
