//! Daemons that are killed and begin again, on machines that live on: within the master-down interval nobody notices,
//! after it nobody is Master twice for long.
//!
//! `VRRPD_SIM_KILL_SEEDS=n` sets how many seeds run.

use vrrpd::engine::output::StateName;
use vrrpd::engine::params::Preempt;
use vrrpd::wire::field::{Family, Version};

use crate::simulator::host::Power;
use crate::simulator::rng::Rng;
use crate::simulator::secret::{HmacSpec, Secret};
use crate::simulator::segment::Timing;
use crate::simulator::spec::{Cluster, RouterSpec};
use crate::simulator::world::{Action, World};
use crate::simulator::{MS, S, US};
use crate::{in_parallel, number};

#[test]
fn killed_daemons_go_on_or_are_newcomers() {
    let seeds = number("VRRPD_SIM_KILL_SEEDS").unwrap_or(SEEDS);
    let tally = in_parallel("VRRPD_SIM_KILL_SEED", number("VRRPD_SIM_KILL_SEED"), seeds, |seed| {
        let mut trial = Trial::new(seed);
        let verdict = trial.run();
        (verdict, trial.world.tally)
    });
    for what in ["adoptions", "kills", "unnoticed restarts", "late restarts", "both killed"] {
        let times = tally.get(what).copied().unwrap_or_default();
        assert!(seeds < 100 || times >= seeds / 10, "{what}: only {times} times in {seeds} seeds");
    }
}

/// Two or three hosts with one virtual router, or two that move together.
#[derive(Debug)]
struct Trial {
    world: World,
    rng: Rng,
    interval: u64,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x6b11);
        let hosts = rng.between(2, 3) as usize;
        let spec = router(&mut rng, hosts);
        let interval = spec.longest_interval().as_nanos() as u64;
        let cluster = if rng.chance(300) {
            Cluster { routers: vec![spec.clone(), spec], groups: vec![vec![0, 1]], ..Cluster::default() }
        } else {
            spec.into()
        };
        let timing =
            Timing { delay: (50 * US, MS), wake: (0, 50 * US), late: (0, 100 * US), worker: (50 * US, 5 * MS) };
        let world = World::new(cluster, hosts, timing, rng.next());
        Self { world, rng, interval }
    }

    fn run(&mut self) -> Result<(), String> {
        for host in 0..self.world.hosts.len() {
            self.world.plan(self.rng.between(0, self.interval), Action::Start(host));
        }
        self.rest()?;
        for _ in 0..self.rng.between(2, 5) {
            let into = self.rng.between(0, self.interval);
            self.go(into)?;
            match self.rng.between(0, 3) {
                0 => self.kill_all()?,
                _ => self.kill_master()?,
            }
            self.rest()?;
        }
        Ok(())
    }

    /// The Master is killed and begins again.
    fn kill_master(&mut self) -> Result<(), String> {
        let [master] = self.world.masters(0)[..] else { return Err("no Master to kill".into()) };
        let last = self.world.hosts[master].watches.iter().map(|watch| watch.advert_at).min().unwrap_or_default();
        self.world.count("kills", 1);
        self.world.act(Action::Kill(master));
        self.world.reset_measures();
        let pause = self.rng.between(0, 6 * self.interval);
        self.go(pause)?;
        self.world.act(Action::Start(master));
        // What the file says may be one advert old where they are many, and the best peer has next to no skew.
        let unwritten = if self.interval <= 100 * MS { self.interval } else { 0 };
        let is_in_time = self.world.now + MS < last + 3 * self.interval - unwritten;
        self.go(4 * MS)?;
        if !is_in_time {
            self.world.count("late restarts", 1);
            return Ok(());
        }
        self.world.count("unnoticed restarts", 1);
        let is_master = (0..self.world.specs().len()).all(|one| self.world.state(master, one) == StateName::Master);
        self.go(5 * self.interval)?;
        match self.world.masters(0)[..] {
            [one] if one == master && is_master && self.world.measures[0].promotions == 1 => Ok(()),
            ref masters => Err(format!("{master} was back in time, but {masters:?} are Master")),
        }
    }

    /// All are killed within an interval, and begin again within two.
    fn kill_all(&mut self) -> Result<(), String> {
        self.world.count("both killed", 1);
        for host in 0..self.world.hosts.len() {
            let (killed_in, started_in) = (self.rng.between(0, self.interval), self.rng.between(0, 2 * self.interval));
            self.world.plan(self.world.now + killed_in, Action::Kill(host));
            self.world.plan(self.world.now + killed_in + started_in + MS, Action::Start(host));
        }
        self.go(3 * self.interval + MS)
    }

    /// Waits until all is quiet: one Master, who holds the addresses alone.
    fn rest(&mut self) -> Result<(), String> {
        self.go(8 * self.interval + 2 * S)?;
        if let Some(host) = self.world.hosts.iter().find(|host| host.power != Power::Running) {
            return Err(format!("host {} does not run", host.id));
        }
        for router in 0..self.world.specs().len() {
            let (masters, holders) = (self.world.masters(router), self.world.holders(router));
            if masters.len() != 1 || masters != holders {
                return Err(format!("router {router}: {masters:?} are Master, {holders:?} hold the addresses"));
            }
        }
        Ok(())
    }

    fn go(&mut self, length: u64) -> Result<(), String> {
        let end = self.world.now + length;
        self.world.run_until(end);
        if let Some(text) = self.world.violation.take() {
            return Err(text);
        }
        let longest = self.world.measures.iter().map(|measure| measure.longest_rivalry).max().unwrap_or_default();
        // Until the next advert of the one or the other, and what a withheld one adds.
        let bound = self.interval + 20 * MS;
        if longest > bound { Err(format!("two Masters for {longest} ns, {bound} would do")) } else { Ok(()) }
    }
}

fn router(rng: &mut Rng, hosts: usize) -> RouterSpec {
    let interval = rng.pick(&[100, 300, 1000]);
    let v2_or_v3 = if interval == 1000 { Version::V2 } else { Version::V3 };
    let (version, family) = rng.pick(&[(v2_or_v3, Family::V4), (Version::V3, Family::V4), (Version::V3, Family::V6)]);
    let mut spec = RouterSpec::new(&[200, 150, 100][..hosts]);
    let turn = rng.below(spec.priorities.len());
    spec.priorities.rotate_left(turn);
    (spec.version, spec.family) = (version, family);
    spec.intervals = vec![interval];
    spec.is_multicast = rng.chance(500);
    spec.preempts = vec![rng.pick(&[Preempt::Always, Preempt::Always, Preempt::Never])];
    spec.secret = match rng.between(0, 3) {
        0 if version == Version::V2 => Secret::Ah,
        0 | 1 => Secret::None,
        2 => Secret::Hmac(HmacSpec::enforced(Some(5))),
        _ => Secret::Hmac(HmacSpec::enforced(None)),
    };
    spec
}

/// Seeds of an ordinary test run.
const SEEDS: u64 = 1000;
