//! One machine: the event loop around a node, the socket queue in front of it, the VIP worker and the kernel behind it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use vrrpd::engine::drain::Drains;
use vrrpd::engine::input::{CheckKey, CheckResult, Datagram, Input, Interface, RouterKey, Trouble};
use vrrpd::engine::node::Node;
use vrrpd::engine::output::{EventKind, Output, StateName};
use vrrpd::engine::params::NodeParams;
use vrrpd::engine::snapshot::RouterSnapshot;
use vrrpd::engine::time::{Instant, Now};
use vrrpd::wire::field::Family;
use vrrpd::wire::ip::{Ipv4Header, Protocol};

use super::S;
use super::attacker::{Attempt, Record, sequence};
use super::clock::Clock;
use super::facts::{Facts, is_remark};
use super::heir::Estate;
use super::segment::Packet;
use super::spec::{INTERFACES, address};
use super::watch::Watch;

/// Whether the machine and its process run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// No machine, or no process.
    Off,
    Running,
    /// The process gets no turns; the kernel keeps what it has.
    Paused,
}

/// One thing on the channel to the protocol thread.
#[derive(Clone, Debug)]
pub enum Message {
    Startup,
    Shutdown,
    Interface,
    Vips {
        router: usize,
        held: Range<u16>,
    },
    /// One run of a check.
    Check(usize, CheckResult),
    /// Of the first router.
    Trouble(Option<Trouble>),
    /// Who stays away is another one.
    Drain,
}

/// What the VIP worker is about to do for one router.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worker {
    pub wanted: bool,
    /// The kernel holds the VIPs before this index.
    pub held: u16,
    pub is_scheduled: bool,
}

/// One machine.
#[derive(Debug)]
pub struct Host {
    pub id: usize,
    params: NodeParams,
    pub node: Option<Node>,
    pub power: Power,
    /// Number of the process; what was meant for an earlier one is void.
    pub epoch: u64,
    pub clock: Clock,
    /// What each router of this process accepted from each sender; kept where an attacker is about.
    pub marks: Option<BTreeMap<(usize, IpAddr), Known>>,
    /// Start it again when it has stopped.
    pub restarts: bool,
    /// By link.
    pub are_links_up: [bool; INTERFACES.len()],
    /// The interfaces are deleted, and not made again yet.
    pub is_bare: bool,
    pub has_addresses: bool,
    /// What each check finds, when it does.
    pub results: Vec<Option<CheckResult>>,
    index: u32,
    queue: VecDeque<Packet>,
    pub overflows: u64,
    inbox: VecDeque<Message>,
    pub workers: Vec<Worker>,
    pub watches: Vec<Watch>,
    /// The state of each group as it was told.
    groups: Vec<StateName>,
    pub has_finished: bool,
    /// A turn of the loop is scheduled.
    pub is_woken: bool,
    /// The deadline the timer is armed for.
    pub armed: Option<u64>,
    /// What the process leaves when it is killed.
    pub estate: Estate,
    /// Routers that stay away on request; outlives the process, and the machine.
    pub drained: BTreeSet<usize>,
}

/// What was accepted from one sender.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The last stamps, oldest first.
    stamps: VecDeque<u64>,
    heard_at: u64,
}

/// What a turn brought forth.
#[derive(Debug, Default)]
pub struct Turn {
    pub outputs: Vec<(Output, Option<Packet>)>,
    /// What was wrong.
    pub violation: Option<String>,
}

impl Host {
    pub fn new(id: usize, params: NodeParams) -> Self {
        let (routers, checks) = (params.routers.len(), params.checks.len());
        Self {
            id,
            params,
            node: None,
            power: Power::Off,
            epoch: 0,
            clock: Clock::default(),
            marks: None,
            restarts: true,
            are_links_up: [true; INTERFACES.len()],
            is_bare: false,
            results: vec![None; checks],
            has_addresses: true,
            index: 2,
            queue: VecDeque::new(),
            overflows: 0,
            inbox: VecDeque::new(),
            workers: vec![Worker::default(); routers],
            watches: Vec::new(),
            groups: Vec::new(),
            has_finished: false,
            is_woken: false,
            armed: None,
            estate: Estate::default(),
            drained: BTreeSet::new(),
        }
    }

    /// Starts the process.
    pub fn boot(&mut self) {
        self.node = Some(Node::new(&self.params));
        self.power = Power::Running;
        self.restarts = true;
        self.has_finished = false;
        self.is_woken = false;
        let routers = self.params.routers.iter();
        self.watches = routers
            .map(|router| {
                let is_grouped = self.params.groups.iter().any(|group| group.members.contains(&router.name));
                Watch::new(router.advertisement_interval.as_duration(), is_grouped)
            })
            .collect();
        self.groups = vec![StateName::Init; self.params.groups.len()];
        // Whether the links or the start are told first must not matter.
        self.inbox = VecDeque::from([Message::Interface, Message::Startup]);
        if self.epoch % 2 == 1 {
            self.inbox.swap(0, 1);
        }
        for check in 0..self.results.len() {
            self.run_check(check);
        }
    }

    /// Returns who stays away, as the engine is told.
    pub fn drains(&self) -> Arc<Drains> {
        let name = |router: &usize| self.params.routers[*router].name.clone();
        let routers = self.drained.iter().map(|router| (name(router), Arc::from("as told"))).collect();
        Arc::new(Drains { node: None, routers })
    }

    /// Says whether a router stays away, because of itself or another member of its group.
    pub fn is_drained(&self, router: usize) -> bool {
        let params = &self.params;
        let group = params.groups.iter().find(|group| group.members.contains(&params.routers[router].name));
        let is_mate = |other: &usize| group.is_some_and(|group| group.members.contains(&params.routers[*other].name));
        self.drained.contains(&router) || self.drained.iter().any(is_mate)
    }

    pub fn note_drains(&mut self, at: u64) {
        let drained: Vec<bool> = (0..self.watches.len()).map(|router| self.is_drained(router)).collect();
        for (watch, is_drained) in self.watches.iter_mut().zip(drained) {
            watch.drain(is_drained.then_some(at));
        }
    }

    /// Runs a check as often as it takes to decide.
    pub fn run_check(&mut self, check: usize) {
        let Some(result) = self.results[check] else { return };
        let params = &self.params.checks[check];
        for _ in 0..params.rise.max(params.fall) {
            self.inbox.push_back(Message::Check(check, result));
        }
    }

    /// Ends the process; with `loses_addresses` the machine, too.
    pub fn end(&mut self, loses_addresses: bool) {
        self.node = None;
        self.power = Power::Off;
        self.epoch += 1;
        self.queue.clear();
        self.inbox.clear();
        self.watches.clear();
        self.marks.iter_mut().for_each(BTreeMap::clear);
        self.is_woken = false;
        self.armed = None;
        self.estate = Estate::default();
        for worker in &mut self.workers {
            let held = if loses_addresses { 0 } else { worker.held };
            *worker = Worker { held, ..Worker::default() };
        }
    }

    /// Takes a packet from the wire; says whether it found room.
    pub fn arrive(&mut self, packet: Packet) -> bool {
        let has_room = self.queue.len() < QUEUE_MAX;
        if has_room {
            self.queue.push_back(packet);
        } else {
            self.overflows += 1;
        }
        has_room
    }

    pub fn tell(&mut self, message: Message) {
        self.inbox.push_back(message);
    }

    /// Deletes the interfaces and makes them again; the kernel's addresses go with them.
    pub fn recreate_interface(&mut self) {
        self.delete_interface();
        self.is_bare = false;
    }

    /// Deletes the interfaces; those that are made again have other numbers.
    pub fn delete_interface(&mut self) {
        self.index += 1;
        self.is_bare = true;
        self.workers.iter_mut().for_each(|worker| worker.held = 0);
    }

    /// One turn of the loop: drain the sockets and the channel, serve deadlines, take outputs, ask for the deadline.
    pub fn turn(&mut self, at: u64) -> Turn {
        let mut turn = Turn::default();
        let now = self.clock.now(at);
        let Some(mut node) = self.node.take() else { return turn };
        while let Some(packet) = self.queue.pop_front() {
            self.hear(&mut node, now, &packet);
        }
        while let Some(message) = self.inbox.pop_front() {
            self.pass(&mut node, now, message);
        }
        node.handle(now, Input::Timeout);
        while let Some(output) = node.poll_output() {
            let packet = if let Output::Send(transmit) = &output {
                let (source, destination) = (transmit.source, transmit.destination);
                let link = usize::from(transmit.interface >= 100);
                self.estate.note(transmit.router.0 as usize, at);
                let ah = transmit.ah.map(|ah| ah.ip_id);
                Some(Packet { link, source, destination, message: Rc::from(node.payload(transmit)), ah })
            } else {
                None
            };
            turn.outputs.push((output, packet));
        }
        node.flushed();
        turn.violation = self.check(&mut node, at, &turn.outputs).err();
        self.node = Some(node);
        turn
    }

    /// Takes a packet out of the socket, and notes the stamp of one that was believed.
    fn hear(&mut self, node: &mut Node, now: Now, packet: &Packet) {
        let router = packet.router();
        let stamp = sequence(packet).filter(|_| self.marks.is_some());
        let count =
            |node: &Node| node.snapshot().get(router).map_or(0, |snapshot| snapshot.counters.advertisements_received);
        let before = stamp.map(|_| count(node));
        self.deliver(node, now, packet, 255);
        if let (Some(stamp), Some(before), Some(marks)) = (stamp, before, &mut self.marks)
            && count(node) > before
        {
            let known = marks.entry((router, packet.source)).or_default();
            known.heard_at = now.mono.as_nanos();
            known.stamps.push_back(stamp);
            if known.stamps.len() > NEVER_AGAIN {
                known.stamps.pop_front();
            }
        }
    }

    fn deliver(&self, node: &mut Node, now: Now, packet: &Packet, ttl: u8) {
        let interface = self.index + 100 * packet.link as u32;
        match (packet.source, packet.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let protocol = packet.ah.map_or(Protocol::Vrrp, |_| Protocol::Ah);
                let header = Ipv4Header { source, destination, id: packet.ah.unwrap_or(1), protocol };
                let mut bytes = header.emit(packet.message.len()).to_vec();
                bytes[8] = ttl;
                bytes.extend_from_slice(&packet.message);
                node.handle(now, Input::Datagram(Datagram::V4 { interface, packet: &bytes }));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let payload = &*packet.message;
                let datagram = Datagram::V6 { interface, source, destination, hop_limit: ttl, payload };
                node.handle(now, Input::Datagram(datagram));
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    /// Takes a packet that must change nothing but counters, between two turns; says how often it was told of one.
    pub fn endure(&mut self, at: u64, attempt: &Attempt) -> Result<u64, String> {
        let Some(mut node) = self.node.take() else { return Ok(0) };
        let before = Facts::of(&mut node);
        self.deliver(&mut node, self.clock.now(at), &attempt.packet, attempt.ttl);
        let mut told = 0;
        let mut verdict = None;
        while let Some(output) = node.poll_output() {
            let is_told = is_remark(&output);
            told += u64::from(is_told);
            if !is_told {
                verdict = Some(format!("{} made {output:?}", attempt.kind));
            }
        }
        node.flushed();
        let after = Facts::of(&mut node);
        self.node = Some(node);
        if before == after {
            return verdict.map_or(Ok(told), Err);
        }
        Err(format!("{} from {} changed {before:?} to {after:?}", attempt.kind, attempt.packet.source))
    }

    /// Says whether this process must refuse a packet: its router accepted it or a later one of that sender, or the
    /// packet is of another time.
    ///
    /// `sent`: the packet as it was recorded; `packet`: as it comes.
    pub fn must_refuse(&self, sent: &Record, packet: &Packet, window: Option<u64>, at: u64) -> bool {
        let Some(stamp) = sequence(packet) else { return false };
        let mark = self.marks.as_ref().and_then(|marks| marks.get(&(packet.router(), packet.source)));
        if mark.is_some_and(|mark| mark.stamps.contains(&stamp)) {
            return true;
        }
        let last = mark.and_then(|mark| mark.stamps.back());
        let is_known = last.is_some_and(|last| stamp.wrapping_sub(*last).cast_signed() <= 0);
        let Some(window) = window else { return is_known };
        let wall = self.clock.wall(at).as_nanos() as u64;
        let signed_at = (stamp >> 32) * S + (stamp >> 16 & 0xffff) * S / 65_536;
        let is_stale = wall.abs_diff(signed_at) > window + S;
        // A clock that was set back shows times again that it has shown before, and what was signed then is good again
        // unless it was accepted; the node goes by that clock at most once its sender has been silent for the window.
        if self.clock.is_back() && !is_stale {
            return is_known && mark.is_some_and(|mark| mark.heard_at > sent.at && at - mark.heard_at < window);
        }
        is_known || (is_stale && !self.clock.has_been_set())
    }

    fn pass(&mut self, node: &mut Node, now: Now, message: Message) {
        let input = match message {
            Message::Startup => Input::Startup,
            Message::Shutdown => Input::Shutdown,
            Message::Interface => {
                for link in 0..INTERFACES.len() {
                    node.handle(now, Input::Interface(self.interface(link)));
                }
                return;
            }
            Message::Vips { router, held } => {
                self.watches[router].confirm(held.end);
                Input::Vips { router: RouterKey(router as u32), held }
            }
            Message::Drain => {
                self.note_drains(now.mono.as_nanos());
                Input::Drain(self.drains())
            }
            Message::Trouble(trouble) => Input::Trouble { router: RouterKey(0), trouble },
            Message::Check(check, result) => {
                Input::Check { check: CheckKey(check as u32), result, words: Arc::from("as told") }
            }
        };
        node.handle(now, input);
    }

    /// Says whether packets pass a link at this host.
    pub fn carries(&self, link: usize) -> bool {
        self.are_links_up[link] && !self.is_bare
    }

    fn interface(&self, link: usize) -> Interface {
        let addresses = [Family::V4, Family::V6].map(|family| address(family, self.id));
        Interface {
            name: INTERFACES[link].into(),
            index: (!self.is_bare).then_some(self.index + 100 * link as u32),
            is_up: self.carries(link),
            addresses: if self.has_addresses && !self.is_bare { addresses.to_vec() } else { Vec::new() },
            elsewhere: Vec::new(),
        }
    }

    /// Checks the contract on everything a turn brought forth.
    fn check(&mut self, node: &mut Node, at: u64, outputs: &[(Output, Option<Packet>)]) -> Result<(), String> {
        for (output, packet) in outputs {
            if self.has_finished {
                return Err(format!("output after the end: {output:?}"));
            }
            let Some(router) = router_of(output) else {
                self.has_finished |= *output == Output::Finished;
                continue;
            };
            let watch = self.watches.get_mut(router).ok_or("an output of an unknown router")?;
            let priority = packet.as_ref().map(Packet::priority);
            watch.observe(at, output, priority).map_err(|text| format!("router {router}: {text}: {output:?}"))?;
        }
        let timeout = node.poll_timeout().map(Instant::as_nanos);
        for (watch, snapshot) in self.watches.iter_mut().zip(node.snapshot()) {
            let router = snapshot.key.0;
            watch.settle(at, snapshot, timeout).map_err(|text| format!("router {router}: {text}"))?;
        }
        self.check_groups(node, outputs)?;
        // A timer that fires early must be harmless.
        node.handle(self.clock.now(at), Input::Timeout);
        if let Some(output) = node.poll_output() {
            return Err(format!("an early timeout made {output:?}"));
        }
        if node.poll_timeout().map(Instant::as_nanos) != timeout {
            return Err("an early timeout moved a deadline".into());
        }
        let holds = self.has_finished && self.watches.iter().any(|watch| watch.wants_vips);
        if holds { Err("addresses are wanted after the end".into()) } else { Ok(()) }
    }

    /// Members are Master together or not at all, and every change of a group is told once.
    fn check_groups(&mut self, node: &Node, outputs: &[(Output, Option<Packet>)]) -> Result<(), String> {
        let told = outputs.iter().filter_map(|(output, _)| match output {
            Output::Event(event) => match &event.kind {
                EventKind::Group(change) => Some(change),
                _ => None,
            },
            _ => None,
        });
        for change in told {
            let place = self.params.groups.iter().position(|group| *group.name == *change.group);
            let state = place.and_then(|place| self.groups.get_mut(place)).ok_or("an unknown group")?;
            if *state != change.from || change.from == change.to {
                return Err(format!("a group that was {state} changes so: {change:?}"));
            }
            *state = change.to;
        }
        for (group, (snapshot, told)) in self.params.groups.iter().zip(node.groups().iter().zip(&self.groups)) {
            let member = |name: &String| self.params.routers.iter().position(|router| router.name == *name);
            let states: Vec<StateName> =
                group.members.iter().filter_map(member).map(|member| self.watches[member].state).collect();
            let masters = states.iter().filter(|state| **state == StateName::Master).count();
            if masters != 0 && masters != states.len() {
                return Err(format!("members of one group are {states:?}"));
            }
            let faulty = states.iter().filter(|state| **state == StateName::Fault).count();
            if faulty != 0 && faulty != states.len() {
                return Err(format!("members of one group are {states:?}"));
            }
            if snapshot.state != *told || !states.contains(told) {
                return Err(format!("a group shows {}, told {told}, its members are {states:?}", snapshot.state));
            }
        }
        Ok(())
    }

    /// Returns what status shows of a router after the last turn; `None` when no process runs.
    pub fn snapshot(&self, router: usize) -> Option<&RouterSnapshot> {
        self.watches.get(router).and_then(|watch| watch.last.as_ref())
    }

    pub fn family(&self, router: usize) -> Family {
        self.params.routers[router].family
    }
}

/// Returns the router an output is about.
pub fn router_of(output: &Output) -> Option<usize> {
    let key = match output {
        Output::Send(transmit) => Some(transmit.router),
        Output::AcquireVips { router } | Output::ReleaseVips { router } | Output::Announce { router, .. } => {
            Some(*router)
        }
        Output::Event(event) => event.router,
        Output::Finished => None,
    };
    key.map(|key| key.0 as usize)
}

/// So many of the last adverts of a sender are never believed again, whatever the clocks do.
const NEVER_AGAIN: usize = 128;

/// Packets a socket queue holds.
const QUEUE_MAX: usize = 64;
