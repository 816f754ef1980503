//! Virtual time: what happens next to which host.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use vrrpd::engine::input::{CheckResult, Trouble};
use vrrpd::engine::output::{EventKind, Output, StateName};

use super::attacker::{Attacker, Record};
use super::host::{Host, Message, Power, router_of};
use super::measure::Measure;
use super::rng::Rng;
use super::segment::{Packet, Segment, Timing};
use super::spec::{Cluster, INTERFACES, RouterSpec, address, node_params};
use super::tally::name;

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub now: u64,
    pub cluster: Cluster,
    pub hosts: Vec<Host>,
    pub segment: Segment,
    pub timing: Timing,
    pub rng: Rng,
    /// Somebody who knows no key.
    attacker: Option<Attacker>,
    /// What happened, for stories and traces; `None`: not written down.
    pub seen: Option<Vec<Seen>>,
    /// The first thing that was wrong.
    pub violation: Option<String>,
    pub measures: Vec<Measure>,
    pub tally: BTreeMap<&'static str, u64>,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    pending: BTreeMap<u64, Event>,
    sequence: u64,
}

/// One output with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub at: u64,
    pub host: usize,
    pub router: usize,
    pub output: Output,
    /// Priority of an advert.
    pub priority: Option<u8>,
}

#[derive(Debug)]
enum Event {
    Arrive { host: usize, epoch: u64, packet: Packet },
    Turn { host: usize, epoch: u64 },
    Timer { host: usize, epoch: u64, deadline: u64 },
    Work { host: usize, epoch: u64, router: usize },
    Act(Action),
    Attack,
}

/// What is done to the hosts and the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Start(usize),
    Stop(usize),
    Crash(usize),
    /// The process is killed; the machine lives, and its kernel keeps the addresses.
    Kill(usize),
    Pause(usize),
    Resume(usize),
    Link(usize, bool),
    Addresses(usize, bool),
    Recreate(usize),
    Block(usize, usize, bool),
    /// What a check of a host finds from here on.
    Check(usize, usize, CheckResult),
    /// One link of a host.
    OneLink(usize, usize, bool),
    /// One link from one host to another.
    BlockLink(usize, usize, usize, bool),
    Loss(u64, u64),
    /// What keeps the first router of a host from holding its addresses, from here on.
    Trouble(usize, Option<Trouble>),
    /// Deletes the interfaces of a host, or makes them again.
    Bare(usize, bool),
    /// Somebody else deletes the addresses of a router on a host.
    Strip(usize, usize),
    /// Power fails for all hosts at once, or is back.
    Power(bool),
    /// A router of a host stays away on request from here on, or no longer.
    Drain(usize, usize, bool),
    /// Sets the wall clock of a host ahead by so many nanoseconds, or back.
    Clock(usize, i64),
}

impl World {
    pub fn new(cluster: Cluster, hosts: usize, timing: Timing, seed: u64) -> Self {
        Self {
            now: 0,
            hosts: (0..hosts).map(|host| Host::new(host, node_params(&cluster, host, hosts))).collect(),
            segment: Segment::new(hosts),
            timing,
            rng: Rng::new(seed),
            attacker: None,
            seen: None,
            violation: None,
            measures: vec![Measure::default(); cluster.routers.len()],
            tally: BTreeMap::new(),
            events: BinaryHeap::new(),
            pending: BTreeMap::new(),
            sequence: 0,
            cluster,
        }
    }

    /// Lets something be done at a time.
    pub fn plan(&mut self, at: u64, action: Action) {
        self.schedule(at, Event::Act(action));
    }

    /// Does something at once.
    pub fn act(&mut self, action: Action) {
        self.perform(action);
        self.measure();
    }

    /// Puts a packet into a host's socket.
    pub fn inject(&mut self, host: usize, packet: Packet) {
        let epoch = self.hosts[host].epoch;
        self.schedule(self.now, Event::Arrive { host, epoch, packet });
    }

    /// Goes on until `end`, or until something is wrong.
    pub fn run_until(&mut self, end: u64) {
        while let Some(&Reverse((at, sequence))) = self.events.peek() {
            if at > end || self.violation.is_some() {
                break;
            }
            self.events.pop();
            let Some(event) = self.pending.remove(&sequence) else { continue };
            self.now = at;
            self.serve(event);
            self.measure();
        }
        self.now = self.now.max(end);
        self.measure();
    }

    /// Writes down how often something happened.
    pub fn count(&mut self, what: &'static str, times: u64) {
        *self.tally.entry(what).or_default() += times;
    }

    pub fn fail(&mut self, text: String) {
        let at = self.now;
        self.violation.get_or_insert_with(|| format!("at {}.{:06} ms: {text}", at / 1_000_000, at % 1_000_000));
    }

    /// Begins to measure afresh.
    pub fn reset_measures(&mut self) {
        self.measures.fill(Measure::default());
        self.measure();
    }

    /// Returns the hosts that are Master, paused ones included.
    pub fn masters(&self, router: usize) -> Vec<usize> {
        let is_master = |host: &&Host| host.watches.get(router).is_some_and(|watch| watch.state == StateName::Master);
        self.hosts.iter().filter(is_master).map(|host| host.id).collect()
    }

    /// Returns the hosts whose kernel holds addresses of a router.
    pub fn holders(&self, router: usize) -> Vec<usize> {
        self.hosts.iter().filter(|host| host.workers[router].held > 0).map(|host| host.id).collect()
    }

    pub fn state(&self, host: usize, router: usize) -> StateName {
        self.hosts[host].watches.get(router).map_or(StateName::Init, |watch| watch.state)
    }

    /// Returns the virtual routers.
    pub fn specs(&self) -> &[RouterSpec] {
        &self.cluster.routers
    }

    /// Says whether two hosts run and their packets reach each other.
    pub fn are_connected(&self, link: usize, a: usize, b: usize) -> bool {
        let runs = |host: &Host| host.power == Power::Running && host.carries(link);
        let is_open = self.segment.is_open(link, a, b) && self.segment.is_open(link, b, a);
        runs(&self.hosts[a]) && runs(&self.hosts[b]) && is_open && self.segment.loss_per_mille == 0
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence)));
        self.pending.insert(self.sequence, event);
    }

    fn after(&mut self, (low, high): (u64, u64), event: Event) {
        let at = self.now + self.rng.between(low, high);
        self.schedule(at, event);
    }

    fn serve(&mut self, event: Event) {
        match event {
            Event::Arrive { host, epoch, packet } => {
                let target = &mut self.hosts[host];
                if target.epoch != epoch || !target.carries(packet.link) {
                    return;
                }
                if !target.arrive(packet) {
                    self.count("queue overflows", 1);
                }
                self.wake(host);
            }
            Event::Turn { host, epoch } if self.hosts[host].epoch == epoch => self.turn(host),
            Event::Timer { host, epoch, deadline } => {
                if self.hosts[host].epoch == epoch && self.hosts[host].armed == Some(deadline) {
                    self.hosts[host].armed = None;
                    self.turn(host);
                }
            }
            Event::Work { host, epoch, router } if self.hosts[host].epoch == epoch => self.work(host, router),
            Event::Turn { .. } | Event::Work { .. } => {}
            Event::Act(action) => self.perform(action),
            Event::Attack => self.attack(),
        }
    }

    /// Lets an attacker begin.
    pub fn unleash(&mut self, mut attacker: Attacker) {
        self.hosts.iter_mut().for_each(|host| host.marks = Some(BTreeMap::new()));
        let first_at = self.now + attacker.next_in();
        self.attacker = Some(attacker);
        self.schedule(first_at, Event::Attack);
    }

    /// Returns what the attacker has written down, oldest first.
    pub fn records(&self) -> &[Record] {
        self.attacker.as_ref().map_or(&[], |attacker| attacker.records())
    }

    /// Sends the attacker away.
    pub fn withdraw(&mut self) {
        self.attacker = None;
    }

    /// The attacker sends a packet to a host.
    fn attack(&mut self) {
        let Some(mut attacker) = self.attacker.take() else { return };
        let host = attacker.pick(self.hosts.len());
        let attempt = attacker.attempt(self.now, &self.hosts[host], &self.cluster.routers);
        let is_reached =
            |packet: &Packet| self.hosts[host].power == Power::Running && self.hosts[host].carries(packet.link);
        if let Some(attempt) = attempt.filter(|attempt| is_reached(&attempt.packet)) {
            self.count(attempt.kind, 1);
            match self.hosts[host].endure(self.now, &attempt) {
                Ok(told) => self.count("told of refusals", told),
                Err(text) => self.fail(format!("host {host}: {text}")),
            }
        }
        let next_at = self.now + attacker.next_in();
        self.attacker = Some(attacker);
        self.schedule(next_at, Event::Attack);
    }

    /// Lets the loop of a host turn soon.
    fn wake(&mut self, host: usize) {
        if self.hosts[host].power == Power::Running && !self.hosts[host].is_woken {
            self.hosts[host].is_woken = true;
            let epoch = self.hosts[host].epoch;
            self.after(self.timing.wake, Event::Turn { host, epoch });
        }
    }

    fn turn(&mut self, id: usize) {
        let host = &mut self.hosts[id];
        host.is_woken = false;
        if host.power != Power::Running {
            return;
        }
        let turn = host.turn(self.now);
        for (output, packet) in turn.outputs {
            self.take(id, output, packet);
        }
        if let Some(text) = turn.violation {
            self.fail(format!("host {id}: {text}"));
        }
        let host = &mut self.hosts[id];
        let deadline = host.node.as_mut().and_then(|node| node.poll_timeout()).map(|at| at.as_nanos());
        let epoch = host.epoch;
        if host.has_finished {
            self.finish(id);
        } else if let Some(deadline) = deadline.filter(|_| host.armed != deadline) {
            host.armed = Some(deadline);
            let late = self.rng.between(self.timing.late.0, self.timing.late.1);
            self.schedule(deadline.max(self.now) + late, Event::Timer { host: id, epoch, deadline });
        }
    }

    fn take(&mut self, host: usize, output: Output, packet: Option<Packet>) {
        let router = router_of(&output).unwrap_or_default();
        if let Some(seen) = &mut self.seen {
            let priority = packet.as_ref().map(Packet::priority);
            seen.push(Seen { at: self.now, host, router, output: output.clone(), priority });
        }
        match output {
            Output::Send(_) => packet.into_iter().for_each(|packet| self.transmit(host, packet)),
            Output::AcquireVips { .. } => self.want(host, router, true),
            Output::ReleaseVips { .. } => self.want(host, router, false),
            Output::Event(event) => self.note(router, &event.kind),
            Output::Announce { .. } => self.count("announcements", 1),
            Output::Finished => self.count("graceful stops", 1),
        }
    }

    fn transmit(&mut self, from: usize, mut packet: Packet) {
        if !self.hosts[from].carries(packet.link) {
            return;
        }
        let is_resignation = packet.priority() == 0;
        let Some(router) = self.cluster.routers.get(packet.router()) else { return };
        let own = address(router.family, from);
        if packet.source != own {
            self.fail(format!("host {from} sends from {}", packet.source));
            return;
        }
        let targets: Vec<usize> = (0..self.hosts.len())
            .filter(|&to| to != from && (packet.destination.is_multicast() || router.address(to) == packet.destination))
            .collect();
        packet.source = router.address(from);
        if let Some(&to) = targets.first().filter(|_| !packet.destination.is_multicast()) {
            packet.destination = address(router.family, to);
        }
        let now = self.now;
        self.attacker.iter_mut().for_each(|attacker| attacker.record(now, &packet));
        if is_resignation && self.is_first_resignation(from, packet.router()) {
            self.count("resignations lost", 1);
            return;
        }
        for to in targets {
            let copies = self.segment.copies(&mut self.rng, packet.link, from, to);
            match copies {
                0 if is_resignation => self.count("resignations lost", 1),
                0 => self.count("packets lost", 1),
                1 => {}
                _ => self.count("packets duplicated", 1),
            }
            for _ in 0..copies {
                let epoch = self.hosts[to].epoch;
                let delay = self.rng.between(self.timing.delay.0, self.timing.delay.1);
                let (at, overtakes) = self.segment.arrival(packet.link, from, to, self.now + delay);
                self.count("packets reordered", u64::from(overtakes));
                self.schedule(at, Event::Arrive { host: to, epoch, packet: packet.clone() });
            }
        }
    }

    fn is_first_resignation(&self, from: usize, router: usize) -> bool {
        let began_at = self.hosts[from].watches.get(router).and_then(|watch| watch.resigned_at());
        self.segment.drops_first_resignation && began_at == Some(self.now)
    }

    fn want(&mut self, host: usize, router: usize, wanted: bool) {
        let worker = &mut self.hosts[host].workers[router];
        worker.wanted = wanted;
        if wanted {
            // What is held is told again: the node may have forgotten.
            worker.held = 0;
        }
        self.set_to_work(host, router);
    }

    fn set_to_work(&mut self, host: usize, router: usize) {
        let epoch = self.hosts[host].epoch;
        if !std::mem::replace(&mut self.hosts[host].workers[router].is_scheduled, true) {
            self.after(self.timing.worker, Event::Work { host, epoch, router });
        }
    }

    /// The VIP worker does one step towards what is wanted.
    fn work(&mut self, id: usize, router: usize) {
        let (all, link) = (self.specs()[router].vips, self.specs()[router].link);
        let host = &mut self.hosts[id];
        let carries = host.carries(link);
        let worker = &mut host.workers[router];
        worker.is_scheduled = false;
        if host.power == Power::Paused {
            return; // the process is stopped as a whole
        }
        if !worker.wanted {
            worker.held = 0;
            return;
        }
        if worker.held < all && carries {
            let from = worker.held;
            worker.held = self.rng.between(u64::from(from) + 1, u64::from(all)) as u16;
            let held = from..worker.held;
            host.tell(Message::Vips { router, held });
            self.wake(id);
            self.set_to_work(id, router);
        }
    }

    /// The process has handed over everything and ends.
    fn finish(&mut self, id: usize) {
        if self.hosts[id].workers.iter().any(|worker| worker.wanted) {
            self.fail(format!("host {id} ends and wants addresses"));
        }
        let restarts = self.hosts[id].restarts;
        self.hosts[id].end(true);
        if restarts {
            self.plan(self.now + 1_000_000, Action::Start(id));
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start(id) => {
                let host = &mut self.hosts[id];
                host.restarts = true;
                if host.power == Power::Off {
                    host.boot();
                    host.inherit(self.now);
                    self.wake(id);
                }
            }
            Action::Stop(id) => {
                self.hosts[id].restarts = false;
                self.tell(id, Message::Shutdown);
            }
            Action::Crash(id) => self.hosts[id].end(true),
            Action::Kill(id) => self.hosts[id].kill(),
            Action::Pause(id) if self.hosts[id].power == Power::Running => self.hosts[id].power = Power::Paused,
            Action::Resume(id) if self.hosts[id].power == Power::Paused => self.resume(id),
            Action::Pause(_) | Action::Resume(_) => {}
            Action::Link(id, is_up) => {
                if !is_up {
                    let is_master = (0..self.specs().len()).any(|router| self.state(id, router) == StateName::Master);
                    self.count(if is_master { "carrier lost by a Master" } else { "carrier lost by another" }, 1);
                }
                self.hosts[id].are_links_up.fill(is_up);
                self.tell(id, Message::Interface);
            }
            Action::OneLink(id, link, is_up) => {
                self.hosts[id].are_links_up[link] = is_up;
                self.tell(id, Message::Interface);
            }
            Action::Addresses(id, has_addresses) => {
                self.hosts[id].has_addresses = has_addresses;
                self.tell(id, Message::Interface);
            }
            Action::Recreate(id) => {
                self.hosts[id].recreate_interface();
                self.tell(id, Message::Interface);
            }
            Action::Bare(id, is_bare) => {
                match is_bare {
                    true => self.hosts[id].delete_interface(),
                    false => self.hosts[id].is_bare = false,
                }
                self.tell(id, Message::Interface);
            }
            Action::Strip(id, router) => self.strip(id, router),
            Action::Power(false) => self.hosts.iter_mut().for_each(|host| host.end(true)),
            Action::Power(true) => (0..self.hosts.len()).for_each(|id| self.perform(Action::Start(id))),
            Action::Block(from, to, is_blocked) => {
                (0..INTERFACES.len()).for_each(|link| self.segment.block(link, from, to, is_blocked));
            }
            Action::BlockLink(link, from, to, is_blocked) => self.segment.block(link, from, to, is_blocked),
            Action::Check(id, check, result) => {
                self.hosts[id].results[check] = Some(result);
                if self.hosts[id].power != Power::Off {
                    self.hosts[id].run_check(check);
                    self.wake(id);
                }
            }
            Action::Trouble(id, trouble) => self.tell(id, Message::Trouble(trouble)),
            Action::Drain(id, router, is_drained) => {
                let drained = &mut self.hosts[id].drained;
                let is_news = if is_drained { drained.insert(router) } else { drained.remove(&router) };
                self.count(if is_drained { "drains" } else { "resumes" }, u64::from(is_news));
                self.tell(id, Message::Drain);
            }
            Action::Clock(id, by) => self.hosts[id].clock.step(by),
            Action::Loss(loss, duplicates) => {
                self.segment.loss_per_mille = loss;
                self.segment.duplicates_per_mille = duplicates;
            }
        }
    }

    /// The kernel loses addresses without the daemon; its worker hears of it and puts them back.
    fn strip(&mut self, id: usize, router: usize) {
        let worker = &mut self.hosts[id].workers[router];
        if worker.held > 0 && worker.wanted {
            worker.held = 0;
            self.count("addresses removed by somebody", 1);
            self.set_to_work(id, router);
        }
    }

    fn tell(&mut self, id: usize, message: Message) {
        if self.hosts[id].power != Power::Off {
            self.hosts[id].tell(message);
            self.wake(id);
        }
    }

    fn resume(&mut self, id: usize) {
        self.hosts[id].power = Power::Running;
        for router in 0..self.specs().len() {
            self.set_to_work(id, router);
        }
        // The timer has long fired: the loop wakes at once.
        self.hosts[id].armed = None;
        self.wake(id);
    }

    fn note(&mut self, router: usize, kind: &EventKind) {
        if let EventKind::Transition(transition) = kind {
            let is_promotion = transition.to == StateName::Master;
            self.measures[router].promotions += u64::from(is_promotion);
        }
        self.count(name(kind), 1);
    }
}
