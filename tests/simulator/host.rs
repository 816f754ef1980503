//! One machine: the event loop around a node, the socket queue in front of it, the VIP worker and the kernel behind it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use vrrpd::engine::input::{Datagram, Input, Interface, RouterKey};
use vrrpd::engine::node::Node;
use vrrpd::engine::output::Output;
use vrrpd::engine::params::NodeParams;
use vrrpd::engine::snapshot::RouterSnapshot;
use vrrpd::engine::time::{Instant, Now};
use vrrpd::wire::field::{Family, Priority};
use vrrpd::wire::ip::{Ipv4Header, Protocol};

use super::segment::Packet;
use super::spec::{INTERFACE, address};
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
    Vips { router: usize, held: Range<u16> },
    Priority { router: usize, effective: u8 },
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
    /// Start it again when it has stopped.
    pub restarts: bool,
    pub is_link_up: bool,
    pub has_addresses: bool,
    index: u32,
    queue: VecDeque<Packet>,
    pub overflows: u64,
    inbox: VecDeque<Message>,
    pub workers: Vec<Worker>,
    pub watches: Vec<Watch>,
    pub has_finished: bool,
    /// A turn of the loop is scheduled.
    pub is_woken: bool,
    /// The deadline the timer is armed for.
    pub armed: Option<u64>,
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
        let routers = params.routers.len();
        Self {
            id,
            params,
            node: None,
            power: Power::Off,
            epoch: 0,
            restarts: true,
            is_link_up: true,
            has_addresses: true,
            index: 2,
            queue: VecDeque::new(),
            overflows: 0,
            inbox: VecDeque::new(),
            workers: vec![Worker::default(); routers],
            watches: Vec::new(),
            has_finished: false,
            is_woken: false,
            armed: None,
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
        self.watches = routers.map(|router| Watch::new(router.advertisement_interval.as_duration())).collect();
        // Whether the links or the start are told first must not matter.
        self.inbox = VecDeque::from([Message::Interface, Message::Startup]);
        if self.epoch % 2 == 1 {
            self.inbox.swap(0, 1);
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
        self.is_woken = false;
        self.armed = None;
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

    /// Deletes the interface and makes it again; the kernel's addresses go with it.
    pub fn recreate_interface(&mut self) {
        self.index += 1;
        self.workers.iter_mut().for_each(|worker| worker.held = 0);
    }

    /// One turn of the loop: drain the sockets and the channel, serve deadlines, take outputs, ask for the deadline.
    pub fn turn(&mut self, at: u64) -> Turn {
        let mut turn = Turn::default();
        let now = Now { mono: Instant::from_nanos(at), utc: Duration::from_nanos(at) };
        let Some(mut node) = self.node.take() else { return turn };
        while let Some(packet) = self.queue.pop_front() {
            self.deliver(&mut node, now, &packet);
        }
        while let Some(message) = self.inbox.pop_front() {
            self.pass(&mut node, now, message);
        }
        node.handle(now, Input::Timeout);
        while let Some(output) = node.poll_output() {
            let packet = if let Output::Send(transmit) = &output {
                let (source, destination) = (transmit.source, transmit.destination);
                Some(Packet { source, destination, message: Rc::from(node.payload(transmit)) })
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

    fn deliver(&self, node: &mut Node, now: Now, packet: &Packet) {
        match (packet.source, packet.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header { source, destination, id: 1, protocol: Protocol::Vrrp };
                let mut bytes = header.emit(packet.message.len()).to_vec();
                bytes.extend_from_slice(&packet.message);
                node.handle(now, Input::Datagram(Datagram::V4 { interface: self.index, packet: &bytes }));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let payload = &*packet.message;
                let datagram = Datagram::V6 { interface: self.index, source, destination, hop_limit: 255, payload };
                node.handle(now, Input::Datagram(datagram));
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    fn pass(&mut self, node: &mut Node, now: Now, message: Message) {
        let input = match message {
            Message::Startup => Input::Startup,
            Message::Shutdown => Input::Shutdown,
            Message::Interface => Input::Interface(self.interface()),
            Message::Vips { router, held } => {
                self.watches[router].confirm(held.end);
                Input::Vips { router: RouterKey(router as u32), held }
            }
            Message::Priority { router, effective } => {
                let Some(effective) = Priority::new(effective) else { return };
                Input::Priority { router: RouterKey(router as u32), effective }
            }
        };
        node.handle(now, input);
    }

    fn interface(&self) -> Interface {
        let addresses = [Family::V4, Family::V6].map(|family| address(family, self.id));
        Interface {
            name: INTERFACE.into(),
            index: Some(self.index),
            is_up: self.is_link_up,
            addresses: if self.has_addresses { addresses.to_vec() } else { Vec::new() },
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
        // A timer that fires early must be harmless.
        node.handle(Now { mono: Instant::from_nanos(at), utc: Duration::ZERO }, Input::Timeout);
        if let Some(output) = node.poll_output() {
            return Err(format!("an early timeout made {output:?}"));
        }
        if node.poll_timeout().map(Instant::as_nanos) != timeout {
            return Err("an early timeout moved a deadline".into());
        }
        let holds = self.has_finished && self.watches.iter().any(|watch| watch.wants_vips);
        if holds { Err("addresses are wanted after the end".into()) } else { Ok(()) }
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

/// Packets a socket queue holds.
const QUEUE_MAX: usize = 64;
