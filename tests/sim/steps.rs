//! Wall clocks that are set, ahead and back, for good and for a while: never two Masters for long.
//!
//! `VRRPD_SIM_CLOCK_SEEDS=n` sets how many seeds run. A node whose clock is wrong by more than the window when it *starts*
//! knows no other time: while it is wrong, it and the others are strangers. So hosts start only while all clocks agree and
//! none is about to be set, or (monotonic) while theirs is not behind what it was.

use vrrpd::engine::output::{EventKind, Output};
use vrrpd::engine::params::Preempt;
use vrrpd::wire::field::{Family, Version};

use crate::secrets;
use crate::simulator::attacker::Attacker;
use crate::simulator::clock::Clock;
use crate::simulator::host::Power;
use crate::simulator::rng::Rng;
use crate::simulator::secret::Secret;
use crate::simulator::segment::Timing;
use crate::simulator::spec::RouterSpec;
use crate::simulator::world::{Action, World};
use crate::simulator::{MS, S, US};
use crate::{in_parallel, number};

#[test]
fn clock_steps_never_leave_two_masters_for_longer_than_the_window_and_a_master_down_interval() {
    let seeds = number("VRRPD_SIM_CLOCK_SEEDS").unwrap_or(SEEDS);
    let only = number("VRRPD_SIM_CLOCK_SEED");
    let tally = in_parallel("VRRPD_SIM_CLOCK_SEED", only, seeds, |seed| {
        let mut trial = Trial::new(seed);
        trial.world.seen = only.map(|_| Vec::new());
        let verdict = trial.run();
        trial.tell();
        (verdict, trial.world.tally)
    });
    for what in ["steps", "steps taken back", "clock", "replayed", "one bit turned over", "crashes", "rivalries"] {
        let times = tally.get(what).copied().unwrap_or_default();
        assert!(only.is_some() || times >= seeds / 10, "{what}: only {times} times in {seeds} seeds");
    }
}

/// Two or three hosts, one virtual router, and what happens to their clocks.
#[derive(Debug)]
struct Trial {
    world: World,
    rng: Rng,
    window: u64,
    interval: u64,
    /// Clocks are to be set back until then.
    pending_until: u64,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xc10c);
        let hosts = rng.between(2, 3) as usize;
        let spec = router(&mut rng, hosts);
        let delay = rng.pick(&[(100 * US, 100 * US), (50 * US, MS)]);
        let late = rng.pick(&[0, 100 * US, 2 * MS]);
        let timing = Timing { delay, wake: (0, 50 * US), late: (0, late), worker: (50 * US, 5 * MS) };
        let (window, interval) = (spec.secret.window().unwrap_or(0), spec.longest_interval().as_nanos() as u64);
        let mut world = World::new(spec.into(), hosts, timing, rng.next());
        let spread = if window == 0 { 3600 * S } else { window / 3 };
        for host in &mut world.hosts {
            host.clock = Clock::ahead(rng.between(0, spread) as i64 - spread as i64 / 2);
        }
        let pace = (interval / 20, interval);
        world.unleash(Attacker::new(rng.next(), pace));
        Self { world, rng, window, interval, pending_until: 0 }
    }

    fn run(&mut self) -> Result<(), String> {
        for host in 0..self.world.hosts.len() {
            self.world.plan(self.rng.between(0, 2 * self.interval), Action::Start(host));
        }
        self.go(10 * self.interval)?;
        for _ in 0..self.rng.between(2, 6) {
            self.disturb()?;
            let pause = self.rng.between(0, 2 * self.patience());
            self.go(pause)?;
        }
        self.heal();
        self.go(3 * self.patience() + 10 * self.interval)?;
        self.world.count("rivalries", u64::from(self.world.measures[0].longest_rivalry > 0));
        let is_served = self.world.hosts.iter().any(|host| host.power == Power::Running);
        match self.world.masters(0)[..] {
            [_] if is_served => Ok(()),
            [] if !is_served => Ok(()),
            ref masters => Err(format!("{masters:?} are Master in the end")),
        }
    }

    /// Sets a clock or all clocks, and what a segment is like meanwhile.
    fn disturb(&mut self) -> Result<(), String> {
        let step = self.rng.pick(&STEPS);
        let hosts = self.world.hosts.len();
        let chosen = self.rng.below(hosts);
        let is_for_all = self.rng.chance(350);
        let is_taken_back = self.rng.chance(500);
        let back_at = self.world.now + self.rng.between(0, 3 * self.patience());
        for host in (0..hosts).filter(|host| is_for_all || *host == chosen) {
            if step < 0 && !self.may_go_back(host) {
                continue;
            }
            self.world.count("steps", 1);
            self.world.act(Action::Clock(host, step));
            self.note(&format!("clock of {host} set by {} ms", step / MS as i64));
            if is_taken_back {
                self.world.count("steps taken back", 1);
                self.note(&format!("clock of {host} to be set back at {} ms", back_at / MS));
                self.world.plan(back_at, Action::Clock(host, -step));
                self.pending_until = self.pending_until.max(back_at);
            }
            let lag = if self.rng.chance(300) { self.rng.between(0, self.patience()) } else { 0 };
            self.go(lag)?;
        }
        match self.rng.between(0, 5) {
            0..=1 => self.restart(true),
            2 => self.restart(false),
            3 => self.cut(),
            _ => Ok(()),
        }
    }

    /// A host is gone for a while, and returns when the clocks let it.
    fn restart(&mut self, crashes: bool) -> Result<(), String> {
        let host = self.rng.below(self.world.hosts.len());
        self.world.act(if crashes { Action::Crash(host) } else { Action::Stop(host) });
        self.note(&format!("{host} stops, crashes: {crashes}"));
        self.world.count("crashes", u64::from(crashes));
        let pause = self.rng.between(MS, 3 * self.interval);
        self.go(pause)?;
        for _ in 0..10 {
            if self.may_start(host) {
                self.world.act(Action::Start(host));
                self.note(&format!("{host} starts"));
                // Until it has spoken or believed, a clock that is set is the clock it started with.
                return self.go(self.patience());
            }
            self.go(self.patience())?;
        }
        Ok(())
    }

    /// Nobody hears a host for a while; whoever was Master meanwhile, one is in the end.
    fn cut(&mut self) -> Result<(), String> {
        let host = self.rng.below(self.world.hosts.len());
        for (from, to) in self.others(host).into_iter().flat_map(|other| [(host, other), (other, host)]) {
            self.world.act(Action::Block(from, to, true));
        }
        let length = self.rng.between(0, 5 * self.interval);
        self.go(length)?;
        self.world.segment.heal();
        Ok(())
    }

    /// Prints what is done, for one seed alone.
    fn note(&self, what: &str) {
        if self.world.seen.is_some() {
            println!("{:>9} ms {what}", self.world.now / MS);
        }
    }

    fn heal(&mut self) {
        for host in 0..self.world.hosts.len() {
            if self.world.hosts[host].power == Power::Off && self.may_start(host) {
                self.world.act(Action::Start(host));
            }
        }
    }

    /// Says whether a node that starts knows the time that the others know.
    fn may_start(&self, host: usize) -> bool {
        let own = self.world.hosts[host].clock;
        if self.world.now <= self.pending_until {
            return false;
        }
        if self.window == 0 {
            return !own.is_back();
        }
        let is_near = |other: &usize| {
            let difference = own.offset().abs_diff(self.world.hosts[*other].clock.offset());
            difference < self.window / 2 || self.world.hosts[*other].power == Power::Off
        };
        self.others(host).iter().all(is_near)
    }

    /// Says whether a host's clock may go back. By count alone not before the process has spoken: it has forgotten what the
    /// one before it said, and follows the clock.
    fn may_go_back(&self, host: usize) -> bool {
        let watch = self.world.hosts[host].watches.first();
        self.window > 0 || watch.is_some_and(|watch| watch.advert_at > 0)
    }

    fn others(&self, host: usize) -> Vec<usize> {
        (0..self.world.hosts.len()).filter(|&other| other != host).collect()
    }

    /// Prints what was seen, where it was written down.
    fn tell(&self) {
        for seen in self.world.seen.iter().flatten() {
            let is_wanted = match &seen.output {
                Output::Event(event) => {
                    matches!(event.kind, EventKind::Transition(_) | EventKind::Clock(_))
                }
                Output::Send(_)
                | Output::AcquireVips { .. }
                | Output::ReleaseVips { .. }
                | Output::Announce { .. }
                | Output::Finished => false,
            };
            if is_wanted {
                println!("{:>9} ms host {} {:?}", seen.at / MS, seen.host, seen.output);
            }
        }
    }

    /// Goes on and checks that no rivalry lasts.
    fn go(&mut self, length: u64) -> Result<(), String> {
        let end = self.world.now + length;
        self.world.run_until(end);
        if let Some(text) = self.world.violation.take() {
            return Err(text);
        }
        let longest = self.world.measures[0].longest_rivalry;
        let bound = self.patience();
        if longest > bound {
            let offsets: Vec<i64> = self.world.hosts.iter().map(|host| host.clock.offset() / MS as i64).collect();
            return Err(format!("two Masters for {longest} ns, {bound} would do; clocks {offsets:?} ms"));
        }
        Ok(())
    }

    /// The window, and the longest master-down interval.
    fn patience(&self) -> u64 {
        let spec = &self.world.specs()[0];
        let skew = if spec.version == Version::V2 { S } else { self.interval };
        let worst = spec.priorities.iter().copied().min().unwrap_or(1);
        self.window + 3 * self.interval + skew * (256 - u64::from(worst)) / 256
    }
}

fn router(rng: &mut Rng, hosts: usize) -> RouterSpec {
    let interval = rng.pick(&[100, 1000, 1000]);
    let v2_or_v3 = if interval == 1000 { Version::V2 } else { Version::V3 };
    let (version, family) = rng.pick(&[(v2_or_v3, Family::V4), (Version::V3, Family::V4), (Version::V3, Family::V6)]);
    let mut spec = RouterSpec::new(&[200, 150, 100][..hosts]);
    if rng.chance(200) {
        spec.priorities = vec![100];
    }
    let turn = rng.below(spec.priorities.len());
    spec.priorities.rotate_left(turn);
    (spec.version, spec.family) = (version, family);
    spec.intervals = vec![interval];
    spec.is_multicast = rng.chance(500);
    spec.is_both = !spec.is_multicast && rng.chance(300);
    spec.preempts = vec![rng.pick(&[Preempt::Always, Preempt::Always, Preempt::Never])];
    let mut hmac = secrets::hmac(rng, hosts);
    hmac.window = rng.pick(&[Some(1), Some(2), Some(5), Some(5), Some(10), Some(30), None]);
    // Nodes that send nothing to prove have no clock that matters.
    hmac.modes.retain(|mode| mode.signs());
    if hmac.modes.is_empty() {
        hmac.modes = vec![Default::default()];
    }
    spec.secret = Secret::Hmac(hmac);
    spec
}

/// What a clock is set by.
const STEPS: [i64; 4] = [-3600 * S as i64, -3 * S as i64, 3 * S as i64, 3600 * S as i64];

/// Seeds of an ordinary test run.
const SEEDS: u64 = 1000;
