//! What a seed stands for: the configuration, the timing and the faults of one run.

use std::time::Duration;

use vrrpd::engine::input::CheckResult;
use vrrpd::engine::params::{Effect, Initial, Preempt};
use vrrpd::wire::field::{Family, Version};

use crate::secrets::dress;
use crate::simulator::rng::Rng;
use crate::simulator::segment::Timing;
use crate::simulator::spec::{CheckSpec, Cluster, RouterSpec, TrackSpec};
use crate::simulator::world::{Action, World};
use crate::simulator::{MS, US};

/// One run before it begins.
#[derive(Debug)]
pub struct Case {
    pub hosts: usize,
    pub cluster: Cluster,
    /// By router: the check that moves its priority.
    dials: Vec<usize>,
    pub timing: Timing,
    pub faults: usize,
    pub loss_per_mille: u64,
    pub duplicates_per_mille: u64,
    /// How far each host's wall clock is ahead, in nanoseconds.
    pub clocks: Vec<i64>,
    /// Somebody records, replays and forges: the seed of what he does.
    pub attacker: Option<u64>,
    /// Nodes are drained and resumed: the seed of which and when.
    drains: Option<u64>,
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
        let specs = (0..routers).map(|_| router(rng, hosts, interval)).collect();
        let (mut cluster, dials) = with_checks(rng, specs);
        // From a generator of their own: what the rest of a seed stands for stays the same.
        let mut secrets = Rng::new(rng.clone().next() ^ 0x7e57);
        let clocks = dress(&mut secrets, &mut cluster.routers, hosts);
        let is_attacked = cluster.routers.iter().any(|router| router.secret.hmac().is_some()) && secrets.chance(600);
        Self {
            hosts,
            cluster,
            dials,
            timing: Timing { delay, wake: (0, 50 * US), late: (0, late), worker: (50 * US, 5 * MS) },
            faults: rng.between(3, 12) as usize,
            loss_per_mille: if is_lossy { rng.between(1, 300) } else { 0 },
            duplicates_per_mille: if is_lossy { rng.between(0, 200) } else { 0 },
            clocks,
            attacker: is_attacked.then(|| secrets.next()),
            drains: secrets.chance(400).then(|| secrets.next()),
        }
    }

    pub fn specs(&self) -> &[RouterSpec] {
        &self.cluster.routers
    }

    pub fn longest_interval(&self) -> u64 {
        self.specs().iter().map(|spec| spec.longest_interval().as_nanos() as u64).max().unwrap_or_default()
    }

    /// Returns how long faults go on.
    pub fn chaos(&self) -> u64 {
        (self.faults as u64 + 4) * 5 * self.longest_interval()
    }

    /// Returns how long it takes at most until all is quiet: two master-down intervals, the delay before preemption
    /// and a handover.
    pub fn quiet(&self) -> u64 {
        let delays = self.specs().iter().flat_map(|spec| spec.preempts.iter()).map(|preempt| match preempt {
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
        for (host, check) in
            (0..self.hosts).flat_map(|host| (0..self.cluster.checks.len()).map(move |check| (host, check)))
        {
            let at = begin + world.rng.between(0, 4 * self.longest_interval());
            let result = if world.rng.chance(850) { self.good(check) } else { self.result(&mut world.rng, check) };
            world.plan(at, Action::Check(host, check, result));
        }
        for _ in 0..self.faults {
            let at = begin + world.rng.between(0, length);
            let until = (at + world.rng.between(0, 8 * self.longest_interval())).min(begin + length);
            let host = world.rng.below(self.hosts);
            let (action, undo) = self.fault(world, host);
            // A split may heal in one direction first: whoever hears the other first, it must end well.
            let lag = if world.rng.chance(400) { self.longest_interval() } else { 0 };
            for (action, undo) in [(action, undo)].into_iter().chain(self.companions(world, action, undo)) {
                let until = (until + world.rng.between(0, lag)).min(begin + length);
                world.plan(at, action);
                world.plan(until, undo);
            }
        }
    }

    /// Plans drains between now and the end of the chaos; some are never taken back.
    pub fn plan_drains(&self, world: &mut World) {
        let Some(mut rng) = self.drains.map(Rng::new) else { return };
        let (begin, length) = (world.now, self.chaos());
        for _ in 0..rng.between(1, 6) {
            let (host, router) = (rng.below(self.hosts), rng.below(self.specs().len()));
            let at = begin + rng.between(0, length);
            let until = at + rng.between(0, 8 * self.longest_interval());
            world.plan(at, Action::Drain(host, router, true));
            if rng.chance(800) {
                world.plan(until.min(begin + length), Action::Drain(host, router, false));
            }
        }
    }

    fn fault(&self, world: &mut World, host: usize) -> (Action, Action) {
        let other = (host + world.rng.between(1, self.hosts as u64 - 1) as usize) % self.hosts;
        let router = world.rng.below(self.specs().len());
        match world.rng.between(0, 18) {
            0 => (Action::Crash(host), Action::Start(host)),
            1 | 2 => (Action::Stop(host), Action::Start(host)),
            3 | 4 => (Action::Pause(host), Action::Resume(host)),
            5 => (Action::Link(host, false), Action::Link(host, true)),
            6 => (Action::Addresses(host, false), Action::Addresses(host, true)),
            7 => (Action::Recreate(host), Action::Recreate(host)),
            8..=9 => (Action::Block(host, other, true), Action::Block(host, other, false)),
            10..=11 => {
                let [low, high] = [1, 254].map(|limit| world.rng.between(1, 254).max(limit.min(200)) as u8);
                (self.dial(host, router, low), self.dial(host, router, high))
            }
            12 => {
                let link = self.specs()[router].link;
                (Action::OneLink(host, link, false), Action::OneLink(host, link, true))
            }
            13 => {
                let link = self.specs()[router].link;
                (Action::BlockLink(link, host, other, true), Action::BlockLink(link, host, other, false))
            }
            14 => (Action::Power(false), Action::Power(true)),
            15 | 16 => (Action::Bare(host, true), Action::Bare(host, false)),
            17 => (Action::Strip(host, router), Action::Strip(other, router)),
            _ => {
                let check = world.rng.below(self.cluster.checks.len());
                let [one, then] = [0, 1].map(|_| self.result(&mut world.rng, check));
                (Action::Check(host, check, one), Action::Check(host, check, then))
            }
        }
    }

    /// Moves the priority of a router on a host as near to a number as its check allows.
    pub fn dial(&self, host: usize, router: usize, priority: u8) -> Action {
        let check = self.dials[router];
        let change = i32::from(priority) - i32::from(self.specs()[router].priority(host));
        let result = match self.cluster.checks[check].is_number {
            true => CheckResult::Number(change),
            false if change < 0 => CheckResult::Failed,
            false => CheckResult::Passed,
        };
        Action::Check(host, check, result)
    }

    /// Returns the result that changes nothing.
    fn good(&self, check: usize) -> CheckResult {
        let mut tracks = self.specs().iter().flat_map(|router| &router.tracks);
        let is_reversed =
            |track: &TrackSpec| track.check == check && matches!(track.effect, Effect::Fault { is_reversed: true });
        if self.cluster.checks[check].is_number { CheckResult::Number(0) } else { healthy(tracks.any(is_reversed)) }
    }

    fn result(&self, rng: &mut Rng, check: usize) -> CheckResult {
        match self.cluster.checks[check].is_number {
            true => CheckResult::Number(rng.between(0, 600) as i32 - 300),
            false if rng.chance(500) => CheckResult::Failed,
            false => CheckResult::Passed,
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

/// Gives each router a check that moves its priority, and most of them one without weight; every second pair of routers
/// becomes a group over two links, equal in all but its family.
fn with_checks(rng: &mut Rng, mut routers: Vec<RouterSpec>) -> (Cluster, Vec<usize>) {
    let (mut checks, mut groups, mut dials) = (Vec::new(), Vec::new(), Vec::new());
    if routers.len() > 1 && rng.chance(600) {
        let (vips, family) = (routers[1].vips, routers[1].family);
        routers[1] = RouterSpec { link: rng.below(2), vips, ..routers[0].clone() };
        if routers[0].version == Version::V3 {
            routers[1].family = family;
        }
        groups.push(vec![0, 1]);
    }
    for place in 0..routers.len() {
        if !groups.is_empty() && place == 1 {
            routers[1].tracks = routers[0].tracks.clone();
            dials.push(dials[0]);
            continue;
        }
        let router = &mut routers[place];
        let rises = [rng.between(1, 3) as u32, rng.between(1, 3) as u32];
        let is_number = rng.chance(700);
        let weight = if is_number { 1 } else { -(rng.between(1, 253) as i16) };
        dials.push(checks.len());
        router.tracks.push(TrackSpec::weight(checks.len(), weight));
        checks.push(CheckSpec { is_number, rise: rises[0], fall: rises[1], ..CheckSpec::PLAIN });
        if rng.chance(600) {
            let is_reversed = rng.chance(100);
            let effect = Effect::Fault { is_reversed };
            router.tracks.push(TrackSpec { check: checks.len(), effect, is_urgent: rng.chance(200) });
            let initial = rng.pick(&[Initial::Unknown, Initial::Unknown, Initial::Passing, Initial::Failing]);
            checks.push(CheckSpec { is_number: false, rise: rises[1], fall: rises[0], initial });
        }
    }
    (Cluster { routers, checks, groups }, dials)
}

/// Ends all faults: everything runs, every link is up, nothing is lost, no check keeps anybody out.
pub fn heal(world: &mut World) {
    world.segment.heal();
    cure(world);
    for host in 0..world.hosts.len() {
        if world.hosts[host].are_links_up != [true, true] {
            world.act(Action::Link(host, true));
        }
        if world.hosts[host].is_bare {
            world.act(Action::Bare(host, false));
        }
        if !world.hosts[host].has_addresses {
            world.act(Action::Addresses(host, true));
        }
        world.act(Action::Resume(host));
        world.act(Action::Start(host));
    }
    recall(world);
}

/// Lets every host take part again, but for one in some runs of four or more: beside one that is ill and a Master one is
/// left to take over.
fn recall(world: &mut World) {
    let hosts = world.hosts.len();
    let drained = world.hosts.iter().find(|host| hosts > 3 && !host.drained.is_empty()).map(|host| host.id);
    world.count("hosts drained for good", u64::from(drained.is_some()));
    for host in (0..hosts).filter(|host| Some(*host) != drained) {
        for router in world.hosts[host].drained.clone() {
            world.act(Action::Drain(host, router, false));
        }
    }
}

/// Lets every check be well that could keep a host out, but for one host in some runs of three or more.
fn cure(world: &mut World) {
    let cluster = world.cluster.clone();
    let hosts = world.hosts.len();
    let ill = (hosts > 2 && world.rng.chance(200)).then(|| world.rng.below(hosts));
    for host in (0..hosts).filter(|host| Some(*host) != ill) {
        for track in cluster.routers.iter().flat_map(|router| &router.tracks) {
            let result = match (track.effect, world.hosts[host].results[track.check]) {
                (Effect::Fault { is_reversed }, _) => healthy(is_reversed),
                (Effect::Weight { .. }, Some(CheckResult::Number(number))) => CheckResult::Number(number.max(-200)),
                (Effect::Weight { .. }, _) => continue,
            };
            world.act(Action::Check(host, track.check, result));
        }
    }
}

/// Returns the result that lets a router take part.
pub fn healthy(is_reversed: bool) -> CheckResult {
    if is_reversed { CheckResult::Failed } else { CheckResult::Passed }
}

/// Returns the result that does not.
pub fn ill(is_reversed: bool) -> CheckResult {
    healthy(!is_reversed)
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
