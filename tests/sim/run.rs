//! One run: chaos, quiet, then single clean faults with exact expectations.

use std::time::Duration;

use vrrpd::engine::output::StateName;
use vrrpd::engine::params::{Effect, Preempt};
use vrrpd::wire::field::{Priority, Version};

use crate::case::{Case, heal, healthy, ill};
use crate::expect;
use crate::simulator::MS;
use crate::simulator::attacker::Attacker;
use crate::simulator::clock::Clock;
use crate::simulator::host::Power;
use crate::simulator::rng::Rng;
use crate::simulator::world::{Action, World};

/// One run of one seed.
#[derive(Debug)]
pub struct Run {
    pub case: Case,
    pub world: World,
}

impl Run {
    /// Prepares a run; nothing has started.
    pub fn new(seed: u64, writes_down: bool) -> Self {
        let mut rng = Rng::new(seed);
        let case = Case::new(&mut rng);
        let mut world = World::new(case.cluster.clone(), case.hosts, case.timing, rng.next());
        world.seen = writes_down.then(Vec::new);
        for (host, ahead) in world.hosts.iter_mut().zip(&case.clocks) {
            host.clock = Clock::ahead(*ahead);
        }
        if let Some(seed) = case.attacker {
            let interval = case.longest_interval();
            world.unleash(Attacker::new(seed, (interval / 50, 2 * interval)));
        }
        Self { case, world }
    }

    /// Runs to the end; `Err`: what was wrong and when.
    pub fn finish(&mut self) -> Result<(), String> {
        for host in 0..self.case.hosts {
            let at = self.world.rng.between(0, 6 * self.case.longest_interval());
            self.world.plan(at, Action::Start(host));
        }
        self.case.plan_faults(&mut self.world);
        self.case.plan_drains(&mut self.world);
        self.go(self.case.chaos())?;
        heal(&mut self.world);
        self.world.reset_measures();
        self.settle()?;
        self.check_rivalry("after the chaos")?;
        for _ in 0..2 {
            self.world.reset_measures();
            match self.world.rng.between(0, 11) {
                0..=2 => self.lose_a_master()?,
                3..=5 => self.stop_a_master()?,
                6 => self.split()?,
                7 => self.pause_a_master()?,
                8 => self.pause_a_backup()?,
                9 => self.boot_together()?,
                10 => self.strip_a_master()?,
                _ if self.world.rng.chance(500) => self.lower_a_master()?,
                _ => self.fail_a_master()?,
            }
        }
        Ok(())
    }

    fn go(&mut self, length: u64) -> Result<(), String> {
        let end = self.world.now + length;
        self.world.run_until(end);
        self.world.violation.take().map_or(Ok(()), Err)
    }

    /// Lets everything come to rest and checks that it is the right rest.
    fn settle(&mut self) -> Result<(), String> {
        self.go(self.case.quiet())?;
        for router in 0..self.case.specs().len() {
            self.check_rest(router).map_err(|text| format!("after quiet, router {router}: {text}"))?;
        }
        Ok(())
    }

    fn check_rest(&self, router: usize) -> Result<(), String> {
        let world = &self.world;
        let masters = world.masters(router);
        let eligible: Vec<usize> = (0..self.case.hosts).filter(|&host| self.is_candidate(host, router)).collect();
        if eligible.is_empty() && masters.is_empty() && world.holders(router).is_empty() {
            return Ok(());
        }
        let [master] = masters[..] else { return Err(format!("{masters:?} are Master, not exactly one")) };
        let holders = world.holders(router);
        if holders != [master] || world.hosts[master].workers[router].held != world.specs()[router].vips {
            return Err(format!("{holders:?} hold the addresses, {master} is Master"));
        }
        let spec = &world.specs()[router];
        let priority = self.priority(master, router);
        for host in 0..self.case.hosts {
            self.check_health(host, router)?;
        }
        let interval = spec.interval(master);
        for host in (0..self.case.hosts).filter(|&host| world.hosts[host].is_drained(router)) {
            self.check_drained(host, router, master)?;
        }
        for backup in eligible.into_iter().filter(|&host| host != master) {
            let snapshot = world.hosts[backup].snapshot(router).ok_or(format!("{backup} does not run"))?;
            if snapshot.state != StateName::Backup {
                return Err(format!("{backup} is {}, not Backup", snapshot.state));
            }
            let known = snapshot.master.map(|known| (known.address, known.priority));
            if known != Some((spec.address(master), priority)) {
                return Err(format!("{backup} takes {known:?} for the Master, not {master} with {priority}"));
            }
            let own = snapshot.effective_priority;
            let is_preempting = own.is_owner() || snapshot.params.preempt != Preempt::Never;
            if own > priority && is_preempting {
                return Err(format!("{backup} is better ({own}) than Master {master} ({priority}) and endures it"));
            }
            let down = down(spec.version, own, interval);
            if snapshot.master_down != down {
                return Err(format!("{backup} waits {:?}, not {down:?}", snapshot.master_down));
            }
        }
        Ok(())
    }

    /// Returns the priority that a host ought to have; `None`: it ought to be in FAULT.
    fn expected(&self, host: usize, router: usize) -> Option<u8> {
        expect::priority(&self.case.cluster, router, host, &self.world.hosts[host].results)
    }

    /// Says whether a host ought to be Master or Backup, and may be Master.
    fn is_candidate(&self, host: usize, router: usize) -> bool {
        self.expected(host, router).is_some() && !self.world.hosts[host].is_drained(router)
    }

    /// Who stays away is Backup, knows the Master and holds nothing.
    fn check_drained(&self, host: usize, router: usize, master: usize) -> Result<(), String> {
        let snapshot = self.world.hosts[host].snapshot(router).ok_or(format!("{host} does not run"))?;
        let known = snapshot.master.map(|known| known.address);
        let is_right = snapshot.state == StateName::Backup
            && !snapshot.wants_vips
            && known == Some(self.world.specs()[router].address(master));
        if is_right || self.expected(host, router).is_none() {
            return Ok(());
        }
        Err(format!("{host} is drained and {}, takes {known:?} for the Master, not {master}", snapshot.state))
    }

    fn check_health(&self, host: usize, router: usize) -> Result<(), String> {
        let Some(snapshot) = self.world.hosts[host].snapshot(router) else { return Ok(()) };
        match self.expected(host, router) {
            None if snapshot.state == StateName::Fault && !snapshot.wants_vips => Ok(()),
            Some(priority) if snapshot.state != StateName::Fault && snapshot.effective_priority.get() == priority => {
                Ok(())
            }
            expected => {
                let (state, priority) = (snapshot.state, snapshot.effective_priority);
                Err(format!("{host} is {state} with priority {priority}, {expected:?} is right"))
            }
        }
    }

    /// The Master's machine is gone at once.
    fn lose_a_master(&mut self) -> Result<(), String> {
        let router = self.world.rng.below(self.case.specs().len());
        let Some(&master) = self.world.masters(router).first() else { return Ok(()) };
        // A group waits for the last of its members.
        let unit = self.case.cluster.unit(router);
        let sent = unit.iter().map(|&member| self.world.hosts[master].watches[member].advert_at);
        let sent_at = sent.max().unwrap_or_default();
        let at = self.world.now;
        self.world.act(Action::Crash(master));
        self.world.count("clean losses", 1);
        let (best, runners_up) = self.successors(router, master);
        if runners_up.is_empty() {
            return self.fail_back(master);
        }
        let spec = &self.world.specs()[router];
        let down = down(spec.version, self.priority(best, router), spec.interval(master));
        let latest = self.spread() + nanos(down);
        self.go(self.case.quiet())?;
        self.check_successors(router, &runners_up, best)?;
        let gap = self.world.measures[router].longest_gap;
        if gap > latest {
            return Err(format!("router {router}: nobody for {gap} ns after a loss, {latest} would do"));
        }
        let earliest = (sent_at + nanos(down)).saturating_sub(at);
        if gap < earliest && !runners_up.is_empty() {
            return Err(format!("router {router}: a takeover {gap} ns after the loss, {earliest} is the earliest"));
        }
        self.fail_back(master)
    }

    /// The Master's daemon is told to stop: its addresses are never without a holder.
    fn stop_a_master(&mut self) -> Result<(), String> {
        let router = self.world.rng.below(self.case.specs().len());
        let Some(&master) = self.world.masters(router).first() else { return Ok(()) };
        self.world.segment.drops_first_resignation = self.world.rng.chance(500);
        self.world.act(Action::Stop(master));
        self.world.count("clean stops", 1);
        let (best, runners_up) = self.successors(router, master);
        self.go(self.case.quiet())?;
        self.world.segment.drops_first_resignation = false;
        self.check_successors(router, &runners_up, best)?;
        if self.world.hosts[master].power != Power::Off {
            return Err(format!("host {master} has not ended"));
        }
        self.check_gap("a clean stop")?;
        self.fail_back(master)
    }

    /// The lost machine returns: whoever is Master in the end, nobody is missed on the way.
    fn fail_back(&mut self, host: usize) -> Result<(), String> {
        self.world.reset_measures();
        self.world.act(Action::Start(host));
        self.settle()?;
        self.check_gap("a return")
    }

    /// The Master is cut off for a while: two Masters, then one again, soon, and the neighbours are told.
    fn split(&mut self) -> Result<(), String> {
        let router = self.world.rng.below(self.case.specs().len());
        let Some(&master) = self.world.masters(router).first() else { return Ok(()) };
        for other in (0..self.case.hosts).filter(|&other| other != master) {
            self.world.act(Action::Block(master, other, true));
            self.world.act(Action::Block(other, master, true));
        }
        let extra = self.world.rng.between(0, 2 * self.case.longest_interval());
        self.go(self.case.quiet() + extra)?;
        let masters = self.world.masters(router);
        if masters.len() != 2 {
            return Err(format!("router {router}: {masters:?} are Master in a split, not one on each side"));
        }
        self.world.count("clean splits", 1);
        let was_one_way = self.heal_one_way(master)?;
        self.world.segment.heal();
        self.world.reset_measures();
        // Who gives up before that has nobody to tell: its farewell goes the way that is still cut.
        let whole_at = self.world.now;
        let next = |host: &usize| {
            self.world.hosts[*host].watches[router].advert_at + nanos(self.world.specs()[router].interval(*host))
        };
        // Whoever sends first: the worse one gives up on hearing it, or on hearing the answer to its own.
        let soonest = masters.iter().map(next).min().unwrap_or_default();
        let mut bound = soonest.saturating_sub(whole_at) + 2 * self.spread();
        if was_one_way {
            // The better one has answered already, unheard, and answers are limited: then its own next advert tells.
            bound = bound.max(nanos(self.world.specs()[router].longest_interval()) + 2 * self.spread());
        }
        self.settle()?;
        let longest = self.world.measures[router].longest_rivalry;
        if longest > bound {
            return Err(format!("router {router}: two Masters for {longest} ns after a split, {bound} would do"));
        }
        self.check_gap("a split")?;
        let worse = masters.iter().copied().min_by_key(|&host| (self.priority(host, router), host));
        if worse.is_some_and(|host| self.world.state(host, router) == StateName::Master) {
            return Err(format!("router {router}: the worse one of {masters:?} won a split"));
        }
        self.check_repair(router, &masters, whole_at)
    }

    /// In two of three splits one direction heals first, for up to two intervals.
    fn heal_one_way(&mut self, master: usize) -> Result<bool, String> {
        let others = (0..self.case.hosts).filter(|&other| other != master);
        let (is_heard, what) = match self.world.rng.between(0, 2) {
            0 => return Ok(false),
            1 => (true, "splits that heal from the Master first"),
            _ => (false, "splits that heal towards the Master first"),
        };
        for other in others {
            let (from, to) = if is_heard { (master, other) } else { (other, master) };
            self.world.act(Action::Block(from, to, false));
        }
        self.world.count(what, 1);
        let length = self.world.rng.between(0, 2 * self.case.longest_interval());
        self.go(length).map(|()| true)
    }

    /// Power fails for all, and all boot at one moment or nearly so: one Master, without a rivalry that lasts.
    fn boot_together(&mut self) -> Result<(), String> {
        self.world.act(Action::Power(false));
        let dark = self.world.rng.between(0, 2 * self.case.longest_interval());
        self.go(dark)?;
        self.world.reset_measures();
        let lag = if self.world.rng.chance(500) { self.case.longest_interval() } else { 0 };
        for host in 0..self.case.hosts {
            let at = self.world.now + self.world.rng.between(0, lag);
            self.world.plan(at, Action::Start(host));
        }
        self.world.count("boots of all at once", 1);
        self.settle()?;
        self.check_rivalry("after all booted at once")
    }

    /// Somebody deletes the Master's addresses: they come back, and nothing else happens.
    fn strip_a_master(&mut self) -> Result<(), String> {
        let router = self.world.rng.below(self.case.specs().len());
        let Some(&master) = self.world.masters(router).first() else { return Ok(()) };
        let before = self.world.hosts[master].watches[router].announced_at;
        self.world.act(Action::Strip(master, router));
        self.world.count("clean removals of addresses", 1);
        self.settle()?;
        if self.world.hosts[master].watches[router].announced_at == before {
            return Err(format!("router {router}: addresses that came back were not announced"));
        }
        match self.world.measures.iter().map(|measure| measure.promotions).sum::<u64>() {
            0 => Ok(()),
            promotions => Err(format!("{promotions} promotions because somebody deleted addresses")),
        }
    }

    /// The winner of a split announced its addresses after the loser had given up.
    fn check_repair(&self, router: usize, rivals: &[usize], healed_at: u64) -> Result<(), String> {
        let Some(winner) = rivals.iter().find(|host| self.world.state(**host, router) == StateName::Master) else {
            return Ok(()); // a third one preempted
        };
        let loser = rivals.iter().find(|host| *host != winner).copied().unwrap_or_default();
        let gave_up_at = self.world.hosts[loser].snapshot(router).map_or(0, |snapshot| snapshot.since.as_nanos());
        let announced_at = self.world.hosts[*winner].watches[router].announced_at.unwrap_or_default();
        if gave_up_at >= healed_at && announced_at < gave_up_at {
            return Err(format!("router {router}: the winner of a split did not repair the neighbours"));
        }
        Ok(())
    }

    /// The Master's process stands still until another has taken over.
    fn pause_a_master(&mut self) -> Result<(), String> {
        let router = self.world.rng.below(self.case.specs().len());
        let Some(&master) = self.world.masters(router).first() else { return Ok(()) };
        let overflows = self.world.hosts[master].overflows;
        self.world.act(Action::Pause(master));
        self.go(self.case.quiet())?;
        self.world.act(Action::Resume(master));
        self.world.count("clean pauses of a Master", 1);
        self.go(self.case.timing.wake.1)?;
        // A full queue may hold adverts of faster routers alone, and with a window shorter than an interval all that it holds
        // may be stale: then the node cannot know.
        let spec = &self.world.specs()[router];
        let is_fresh = spec.secret.window().is_none_or(|window| window > nanos(spec.longest_interval()));
        let can_know = self.world.hosts[master].overflows == overflows && is_fresh;
        if can_know && self.world.state(master, router) == StateName::Master {
            return Err(format!("host {master} did not notice that it was replaced while it stood still"));
        }
        self.settle()?;
        self.check_gap("a pause")
    }

    /// A Backup's process stands still while the Master is well.
    fn pause_a_backup(&mut self) -> Result<(), String> {
        let host = self.world.rng.below(self.case.hosts);
        if (0..self.case.specs().len()).any(|router| self.world.state(host, router) == StateName::Master) {
            return Ok(());
        }
        let overflows = self.world.hosts[host].overflows;
        self.world.act(Action::Pause(host));
        self.go(self.case.quiet())?;
        self.world.act(Action::Resume(host));
        self.world.count("clean pauses of a Backup", 1);
        self.settle()?;
        if self.world.hosts[host].overflows > overflows {
            return Ok(());
        }
        match self.world.measures.iter().map(|measure| measure.promotions).sum::<u64>() {
            0 => Ok(()),
            promotions => Err(format!("{promotions} promotions because a Backup stood still")),
        }
    }

    /// The Master's priority falls as far as it can: a better one takes over soon, or nothing happens; nobody is missed.
    fn lower_a_master(&mut self) -> Result<(), String> {
        let router = self.world.rng.below(self.case.specs().len());
        let Some(&master) = self.world.masters(router).first() else { return Ok(()) };
        let before = self.expected(master, router);
        let action = self.case.dial(master, router, 1);
        self.world.act(action);
        let after = self.expected(master, router);
        self.world.count("clean demotions", 1);
        let better = (0..self.case.hosts)
            .filter(|&host| self.is_candidate(host, router) && self.expected(host, router) > after)
            .count();
        self.go(self.case.quiet())?;
        self.settle()?;
        self.check_gap("a lowered priority")?;
        let has_stayed = self.world.masters(router) == [master];
        let promotions = self.world.measures[router].promotions;
        if after < before && after.is_some() && (better == 0) != has_stayed && self.is_far_from_others(router, master) {
            return Err(format!("router {router}: {better} are better than lowered {master}, it stayed: {has_stayed}"));
        }
        if has_stayed && promotions > 0 && self.is_far_from_others(router, master) {
            return Err(format!("router {router}: {promotions} promotions although nobody was better"));
        }
        Ok(())
    }

    /// A check without weight fails on the Master: another one takes over, and nobody is missed; then it is well again.
    fn fail_a_master(&mut self) -> Result<(), String> {
        let router = self.world.rng.below(self.case.specs().len());
        let Some(&master) = self.world.masters(router).first() else { return Ok(()) };
        let fault = self.case.specs()[router].tracks.iter().find_map(|track| match track.effect {
            Effect::Fault { is_reversed } => Some((track.check, is_reversed, track.is_urgent)),
            Effect::Weight { .. } => None,
        });
        let Some((check, is_reversed, is_urgent)) = fault else { return Ok(()) };
        self.world.segment.drops_first_resignation = self.world.rng.chance(500);
        self.world.act(Action::Check(master, check, ill(is_reversed)));
        self.world.count("clean failures", 1);
        let (best, runners_up) = self.successors(router, master);
        self.go(self.case.quiet())?;
        self.world.segment.drops_first_resignation = false;
        if !runners_up.is_empty() {
            self.check_successors(router, &runners_up, best)?;
            if !is_urgent {
                self.check_gap("a failed check")?;
            }
        }
        self.settle()?;
        self.world.reset_measures();
        self.world.act(Action::Check(master, check, healthy(is_reversed)));
        self.settle()?;
        if runners_up.is_empty() { Ok(()) } else { self.check_gap("a recovery") }
    }

    /// Says whether no skew is so near to that of a host that the order is left to chance.
    fn is_far_from_others(&self, router: usize, host: usize) -> bool {
        let spec = &self.world.specs()[router];
        let skew_of = |host: usize| nanos(skew(spec.version, self.priority(host, router), spec.interval(host)));
        let others = (0..self.case.hosts).filter(|&other| other != host);
        self.is_uniform() && others.into_iter().all(|other| skew_of(other).abs_diff(skew_of(host)) > 2 * self.spread())
    }

    fn check_gap(&self, after: &str) -> Result<(), String> {
        match self.world.measures.iter().map(|measure| measure.longest_gap).max() {
            Some(gap) if gap > 0 && self.is_uniform() => {
                Err(format!("nobody wanted the addresses for {gap} ns after {after}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Two Masters that hear each other are one after an interval of the better one, its delay and the loop's.
    fn check_rivalry(&self, when: &str) -> Result<(), String> {
        for (router, measure) in self.world.measures.iter().enumerate() {
            let bound = nanos(self.world.specs()[router].longest_interval()) + 2 * self.spread();
            if measure.longest_rivalry > bound {
                let longest = measure.longest_rivalry;
                return Err(format!("router {router}: two Masters for {longest} ns {when}, {bound} would do"));
            }
        }
        Ok(())
    }

    /// Returns the Backup whose skew is shortest, and those whose skew is so near that they may be Master for a moment.
    fn successors(&self, router: usize, master: usize) -> (usize, Vec<usize>) {
        let spec = &self.world.specs()[router];
        let skew_of = |host: usize| nanos(skew(spec.version, self.priority(host, router), spec.interval(master)));
        let is_eligible = |host: &usize| *host != master && self.is_candidate(*host, router);
        let backups = || (0..self.case.hosts).filter(is_eligible);
        let best = backups().min_by_key(|&host| skew_of(host)).unwrap_or_default();
        let is_near = |host: &usize| skew_of(*host) <= skew_of(best) + 2 * self.spread();
        (best, backups().filter(is_near).collect())
    }

    /// One clean loss costs one promotion, unless skews are too near to tell them apart.
    fn check_successors(&self, router: usize, near: &[usize], best: usize) -> Result<(), String> {
        let promotions = self.world.measures[router].promotions;
        let masters = self.world.masters(router);
        // By multicast the farewell of a Master teaches its interval to third nodes that are worse; a shorter one makes
        // them impatient.
        let is_clean = promotions == 1 || !self.is_uniform();
        if near.len() == 1 && (!is_clean || masters != [best]) {
            return Err(format!(
                "router {router}: {promotions} promotions, {masters:?} Master; one of {best} is right"
            ));
        }
        Ok(())
    }

    /// Returns by how much the same thing can come earlier at one host than at another, doubled resignation included.
    fn spread(&self) -> u64 {
        let timing = &self.case.timing;
        timing.delay.1 + timing.wake.1 + timing.late.1 + MS / 1000
    }

    /// Says whether all hosts of each router have one interval: a learnt one makes the patience of a candidate that
    /// has not accepted the Master differ from the bound of the handover.
    fn is_uniform(&self) -> bool {
        self.case.specs().iter().all(|spec| spec.version == Version::V2 || spec.intervals.len() == 1)
    }

    fn priority(&self, host: usize, router: usize) -> Priority {
        let snapshot = self.world.hosts[host].snapshot(router);
        snapshot.map_or(Priority::LOWEST, |snapshot| snapshot.effective_priority)
    }
}

/// Returns the skew, worked out on its own: the engine's arithmetic is what is tested.
fn skew(version: Version, priority: Priority, interval: Duration) -> Duration {
    let base = if version == Version::V2 { Duration::from_secs(1) } else { interval };
    base * (256 - u32::from(priority.get())) / 256
}

fn down(version: Version, priority: Priority, interval: Duration) -> Duration {
    interval * 3 + skew(version, priority, interval)
}

fn nanos(length: Duration) -> u64 {
    length.as_nanos() as u64
}
