//! One node with one router on the bench: what it hears is written byte by byte, what it wants is read back as values.
//!
//! Time stands still unless a test moves it. The packets are in `packet`.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use vrrpd::engine::adopt::{Hold, Imprint};
use vrrpd::engine::change::Reloaded;
use vrrpd::engine::drain::Drains;
use vrrpd::engine::input::{CheckKey, CheckResult, Datagram, Input, Interface, RouterKey};
use vrrpd::engine::node::Node;
use vrrpd::engine::output::{AhHeader, Discard, EventKind, Output, Reason, StateName, Transition, Transmit};
use vrrpd::engine::params::{
    AnnounceSchedule, CheckKind, CheckParams, Effect, FileSense, Initial, NodeParams, PeerParams, RouterParams, Scope,
    Track, Transport, Vip, VipOptions,
};
use vrrpd::engine::snapshot::RouterSnapshot;
use vrrpd::engine::time::{Instant, Now};
use vrrpd::wire::field::{AdverInterval, Family, Priority, Version, Vrid};

pub use crate::packet::*;

/// A node with one router, and its clock.
pub struct Bench {
    node: Node,
    now: Instant,
    /// The wall clock at boot.
    boot: Duration,
}

/// Something the node wants or tells, with the bytes of adverts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Sent(Sent),
    Acquire,
    Release,
    Announce(Range<u16>),
    Event(EventKind),
    Finished,
}

/// One advert as it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub interface: u32,
    pub ah: Option<AhHeader>,
    /// From the first byte after the IP header.
    pub payload: Vec<u8>,
}

impl Sent {
    /// The VRRP message.
    pub fn message(&self) -> &[u8] {
        if self.ah.is_some() { &self.payload[24..] } else { &self.payload }
    }

    pub fn priority(&self) -> u8 {
        self.message()[2]
    }
}

impl Bench {
    /// A node that has seen neither its interface nor `Startup`.
    pub fn new(params: RouterParams) -> Self {
        Self::with_routers(vec![params])
    }

    /// Each router has a check, in its place, whose number is added to its priority.
    pub fn with_routers(mut routers: Vec<RouterParams>) -> Self {
        for (place, router) in routers.iter_mut().enumerate() {
            let effect = Effect::Weight { weight: 1, is_reversed: false };
            router.tracks.push(Track { check: format!("weight{place}"), effect, is_urgent: false });
        }
        let checks = (0..routers.len()).map(|place| Arc::new(number(format!("weight{place}")))).collect();
        Self::of(NodeParams { routers: routers.into_iter().map(Arc::new).collect(), checks, ..NodeParams::default() })
    }

    pub fn of(params: NodeParams) -> Self {
        Self { node: Node::new(&params), now: Instant::from_nanos(100_000_000_000), boot: BOOT }
    }

    /// A node that has begun to take part.
    pub fn started(params: RouterParams) -> (Self, Vec<Seen>) {
        let mut bench = Self::new(params);
        bench.link(true);
        let seen = bench.start();
        (bench, seen)
    }

    pub fn backup(params: RouterParams) -> Self {
        let (bench, _) = Self::started(params);
        assert_eq!(bench.state(), StateName::Backup);
        bench
    }

    /// A Master that sent its first advert at this moment and whose addresses the kernel holds.
    pub fn master(params: RouterParams) -> Self {
        let vips = params.vips.len() as u16;
        let (mut bench, _) = Self::started(params);
        if bench.state() != StateName::Master {
            let patience = bench.timeout().unwrap();
            bench.wait(patience);
            bench.tick();
        }
        assert_eq!(bench.state(), StateName::Master);
        bench.confirm(0..vips);
        bench
    }

    /// Lets time pass in which the node does not run.
    pub fn wait(&mut self, length: Duration) {
        self.now = self.now + length;
    }

    /// What the wall clock shows, as time since 1970-01-01 UTC.
    pub fn utc(&self) -> Duration {
        self.boot + Duration::from_nanos(self.now.as_nanos())
    }

    /// Sets the wall clock.
    pub fn set_clock(&mut self, utc: Duration) {
        self.boot = utc - Duration::from_nanos(self.now.as_nanos());
    }

    /// Serves what is due.
    pub fn tick(&mut self) -> Vec<Seen> {
        self.handle(Input::Timeout)
    }

    /// Lets time pass and serves each deadline when it is due; says how long after the beginning each thing was seen.
    pub fn run(&mut self, length: Duration) -> Vec<(Duration, Seen)> {
        let (begin, end) = (self.now, self.now + length);
        let mut seen = Vec::new();
        for _ in 0..10_000 {
            let Some(at) = self.node.poll_timeout().filter(|at| *at <= end) else {
                self.now = end;
                return seen;
            };
            self.now = self.now.max(at);
            let offset = self.now.since(begin);
            seen.extend(self.tick().into_iter().map(|seen| (offset, seen)));
        }
        panic!("deadlines without end");
    }

    /// Tells the node what a process before it left.
    pub fn adopt(&mut self, imprint: Imprint) -> Vec<Seen> {
        self.handle(Input::Adopt { router: RouterKey(0), imprint })
    }

    /// Lets these routers stay away, and no others.
    pub fn keep_away(&mut self, drains: Drains) -> Vec<Seen> {
        self.handle(Input::Drain(Arc::new(drains)))
    }

    /// What a process would leave that was Master and sent an advert this long ago.
    pub fn imprint(&self, ago: Duration) -> Imprint {
        let params = self.snapshot().params;
        Imprint {
            hold: Hold::Master,
            since: Instant::default(),
            advert_at: self.now - ago,
            interval: params.advertisement_interval.as_duration(),
            configured: params.priority,
            effective: params.priority,
            source: None,
            stamp: None,
            ah_sequence: 0,
        }
    }

    /// What this process would leave.
    pub fn left(&self) -> Imprint {
        self.node.imprint(RouterKey(0), self.now).unwrap()
    }

    pub fn start(&mut self) -> Vec<Seen> {
        self.handle(Input::Startup)
    }

    pub fn shutdown(&mut self) -> Vec<Seen> {
        self.handle(Input::Shutdown)
    }

    /// Sets the interface up or down, with its usual addresses.
    pub fn link(&mut self, is_up: bool) -> Vec<Seen> {
        self.interface(Interface { is_up, ..interface() })
    }

    pub fn interface(&mut self, interface: Interface) -> Vec<Seen> {
        self.handle(Input::Interface(interface))
    }

    pub fn confirm(&mut self, held: Range<u16>) -> Vec<Seen> {
        self.handle(Input::Vips { router: RouterKey(0), held })
    }

    /// Makes the priority of the first router this, by a weight.
    pub fn weigh(&mut self, effective: u8) -> Vec<Seen> {
        let change = i32::from(effective) - i32::from(self.snapshot().params.priority.get());
        self.check(0, CheckResult::Number(change))
    }

    /// Runs a check once.
    pub fn check(&mut self, place: u32, result: CheckResult) -> Vec<Seen> {
        self.handle(Input::Check { check: CheckKey(place), result, words: Arc::from("as told") })
    }

    /// Hears a packet.
    pub fn hear(&mut self, packet: &Packet) -> Vec<Seen> {
        let bytes = packet.bytes();
        match (packet.source, packet.destination) {
            (IpAddr::V4(_), _) => self.hear_v4(packet.interface, &bytes),
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.hear_v6(packet.interface, source, destination, packet.ttl, &bytes)
            }
            (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families in one packet"),
        }
    }

    /// Hears an IP payload with protocol 112 and TTL 255.
    pub fn hear_payload(&mut self, source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<Seen> {
        match (source, destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.hear_v6(INDEX, source, destination, 255, payload),
            (source, destination) => self.hear_v4(INDEX, &in_ipv4(source, destination, 255, 112, payload)),
        }
    }

    /// Hears what another node sent; no Authentication Header.
    pub fn hear_sent(&mut self, sent: &Sent) -> Vec<Seen> {
        self.hear_payload(sent.source, sent.destination, &sent.payload)
    }

    /// Hears bytes from the first one of an IPv4 header.
    pub fn hear_v4(&mut self, interface: u32, packet: &[u8]) -> Vec<Seen> {
        self.handle(Input::Datagram(Datagram::V4 { interface, packet }))
    }

    pub fn hear_v6(
        &mut self,
        interface: u32,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        hop_limit: u8,
        payload: &[u8],
    ) -> Vec<Seen> {
        self.handle(Input::Datagram(Datagram::V6 { interface, source, destination, hop_limit, payload }))
    }

    /// How long until the next deadline; zero when it has passed.
    pub fn timeout(&mut self) -> Option<Duration> {
        self.node.poll_timeout().map(|at| at.since(self.now))
    }

    pub fn snapshot(&self) -> RouterSnapshot {
        self.node.snapshot().remove(0)
    }

    pub fn snapshots(&self) -> Vec<RouterSnapshot> {
        self.node.snapshot()
    }

    pub fn state(&self) -> StateName {
        self.snapshot().state
    }

    /// How often packets were refused for `reason`, for this router or for none.
    pub fn refused(&self, reason: Discard) -> u64 {
        self.snapshot().counters.discarded.count(reason) + self.node.stray().count(reason)
    }

    /// Every refusal so far: reason and number.
    pub fn refusals(&self) -> Vec<(Discard, u64)> {
        Discard::ALL.into_iter().map(|reason| (reason, self.refused(reason))).filter(|(_, count)| *count > 0).collect()
    }

    pub fn accepted(&self) -> u64 {
        self.snapshot().counters.advertisements_received
    }

    /// Everything but the counters of refusals, as text, and the next deadline.
    pub fn fingerprint(&mut self) -> String {
        let mut snapshot = self.snapshot();
        snapshot.counters.discarded = Default::default();
        snapshot.peers.iter_mut().for_each(|peer| peer.discarded = Default::default());
        format!("{snapshot:?} {:?}", self.node.poll_timeout())
    }

    /// Asserts that a packet is refused for `reason` and that nothing but a counter changes.
    pub fn refuses(&mut self, packet: &Packet, reason: Discard) {
        self.refuses_to(reason, |bench| bench.hear(packet));
    }

    /// As [`Self::refuses`], for what another node sent.
    pub fn refuses_sent(&mut self, sent: &Sent, reason: Discard) {
        self.refuses_to(reason, |bench| bench.hear_sent(sent));
    }

    /// As [`Self::refuses`], for whatever `hear` lets the node hear.
    pub fn refuses_to(&mut self, reason: Discard, hear: impl FnOnce(&mut Self) -> Vec<Seen>) {
        let (before, count) = (self.fingerprint(), self.refused(reason));
        let (others, accepted) = (self.refusals().len(), self.accepted());
        let seen = hear(self);
        assert_eq!(self.refused(reason), count + 1, "{reason:?} expected, got {:?}", self.refusals());
        assert!(self.refusals().len() <= others + 1 && self.accepted() == accepted, "{:?}", self.refusals());
        assert_eq!(self.fingerprint(), before, "a refused packet changed something");
        assert!(without_discards(seen).is_empty());
    }

    /// Asserts that a packet passes every check; returns what follows from it.
    pub fn accepts(&mut self, packet: &Packet) -> Vec<Seen> {
        self.accepts_to(|bench| bench.hear(packet))
    }

    /// As [`Self::accepts`], for what another node sent.
    pub fn accepts_sent(&mut self, sent: &Sent) -> Vec<Seen> {
        self.accepts_to(|bench| bench.hear_sent(sent))
    }

    /// As [`Self::accepts`], for whatever `hear` lets the node hear.
    pub fn accepts_to(&mut self, hear: impl FnOnce(&mut Self) -> Vec<Seen>) -> Vec<Seen> {
        let count = self.accepted();
        let seen = hear(self);
        assert_eq!(self.accepted(), count + 1, "refused: {:?}", self.refusals());
        seen
    }

    /// Goes on with another configuration.
    pub fn reload(&mut self, params: &NodeParams) -> (Option<Reloaded>, Vec<Seen>) {
        let reloaded = self.node.reload(Now { mono: self.now, utc: self.utc() }, params);
        (reloaded, self.drain().into_iter().map(|(_, seen)| seen).collect())
    }

    /// Goes on with one router, which has no checks.
    pub fn become_like(&mut self, params: RouterParams) -> Vec<Seen> {
        self.reload(&NodeParams { routers: vec![Arc::new(params)], ..NodeParams::default() }).1
    }

    /// Lets time pass until a moment, serves what is due then, and says whose it is.
    pub fn tick_at(&mut self, at: Instant) -> Vec<(Option<RouterKey>, Seen)> {
        self.now = self.now.max(at);
        self.node.handle(Now { mono: self.now, utc: self.utc() }, Input::Timeout);
        self.drain()
    }

    /// The present moment.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When something is due.
    pub fn due_at(&mut self) -> Option<Instant> {
        self.node.poll_timeout()
    }

    fn handle(&mut self, input: Input<'_>) -> Vec<Seen> {
        self.node.handle(Now { mono: self.now, utc: self.utc() }, input);
        self.drain().into_iter().map(|(_, seen)| seen).collect()
    }

    fn drain(&mut self) -> Vec<(Option<RouterKey>, Seen)> {
        let mut seen = Vec::new();
        while let Some(output) = self.node.poll_output() {
            let whose = match &output {
                Output::Send(Transmit { router, .. })
                | Output::AcquireVips { router }
                | Output::ReleaseVips { router }
                | Output::Announce { router, .. } => Some(*router),
                Output::Event(event) => event.router,
                Output::Finished => None,
            };
            let what = match output {
                Output::Send(transmit) => Seen::Sent(Sent {
                    source: transmit.source,
                    destination: transmit.destination,
                    interface: transmit.interface,
                    ah: transmit.ah,
                    payload: self.node.payload(&transmit).to_vec(),
                }),
                Output::AcquireVips { .. } => Seen::Acquire,
                Output::ReleaseVips { .. } => Seen::Release,
                Output::Announce { vips, .. } => Seen::Announce(vips),
                Output::Event(event) => Seen::Event(event.kind),
                Output::Finished => Seen::Finished,
            };
            seen.push((whose, what));
        }
        self.node.flushed();
        seen
    }
}

/// A check of a file with a number in it.
pub fn number(name: String) -> CheckParams {
    CheckParams {
        name,
        kind: CheckKind::File { path: "/run/weight".into(), sense: FileSense::Number },
        interval: ms(1000),
        timeout: ms(1000),
        rise: 1,
        fall: 1,
        initial: Initial::Unknown,
    }
}

/// Version 3 over IPv4 by multicast: VRID 61, priority 100, 1 s, 192.0.2.110. No repeated announcements, so that the
/// only deadline of a Master is its next advert.
pub fn v3() -> RouterParams {
    let transport = Transport::Multicast { group: ip("224.0.0.18") };
    RouterParams {
        vips: vec![vip("192.0.2.110")],
        announce: AnnounceSchedule { repeats: Vec::new(), refresh: None },
        ..RouterParams::plain("web", "eth0", Vrid::new(61).unwrap(), Family::V4, transport)
    }
}

/// As [`v3`], in version 2: VRID 51, 192.0.2.100.
pub fn v2() -> RouterParams {
    RouterParams { version: Version::V2, vrid: Vrid::new(51).unwrap(), vips: vec![vip("192.0.2.100")], ..v3() }
}

/// As [`v3`], over IPv6: VRID 65, fe80::65 and 2001:db8:1::100.
pub fn v6() -> RouterParams {
    RouterParams {
        family: Family::V6,
        vrid: Vrid::new(65).unwrap(),
        transport: Transport::Multicast { group: ip("ff02::12") },
        vips: vec![vip("fe80::65"), vip("2001:db8:1::100")],
        ..v3()
    }
}

/// The same router reached by unicast, with one peer: 192.0.2.12, over IPv6 2001:db8:1::12.
pub fn unicast(params: RouterParams) -> RouterParams {
    let (own, peer) = match params.family {
        Family::V4 => ("192.0.2.11", "192.0.2.12"),
        Family::V6 => ("2001:db8:1::11", "2001:db8:1::12"),
    };
    let peer = PeerParams { address: ip(peer), priority: None, min_ttl: None, max_ttl: None };
    RouterParams { transport: Transport::Unicast { peers: vec![peer], also: None }, source: Some(ip(own)), ..params }
}

/// The interface that every router of the bench uses.
pub fn interface() -> Interface {
    let addresses = ["192.0.2.11", "2001:db8:1::11", "fe80::11"].map(ip).to_vec();
    Interface { name: "eth0".into(), index: Some(INDEX), is_up: true, addresses, elsewhere: Vec::new() }
}

pub fn vip(address: &str) -> Vip {
    let address = ip(address);
    let prefix_len = Family::of(&address).max_prefix_len();
    Vip {
        address,
        prefix_len,
        interface: None,
        advertise: true,
        label: None,
        broadcast: None,
        scope: Scope::Global,
        options: VipOptions::default(),
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn prio(number: u8) -> Priority {
    Priority::new(number).unwrap()
}

pub fn cs(number: u16) -> AdverInterval {
    AdverInterval::from_centiseconds(number).unwrap()
}

pub const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

pub const fn us(number: u64) -> Duration {
    Duration::from_micros(number)
}

/// The adverts among what was seen.
pub fn adverts(seen: &[Seen]) -> Vec<&Sent> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Sent(sent) => Some(sent),
            Seen::Acquire | Seen::Release | Seen::Announce(_) | Seen::Event(_) | Seen::Finished => None,
        })
        .collect()
}

/// The priorities of the adverts among what was seen.
pub fn sent_priorities(seen: &[Seen]) -> Vec<u8> {
    adverts(seen).iter().map(|sent| sent.priority()).collect()
}

/// The events among what was seen.
pub fn events(seen: &[Seen]) -> Vec<&EventKind> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Event(kind) => Some(kind),
            Seen::Sent(_) | Seen::Acquire | Seen::Release | Seen::Announce(_) | Seen::Finished => None,
        })
        .collect()
}

/// The transitions among what was seen: from, to, reason.
pub fn transitions(seen: &[Seen]) -> Vec<(StateName, StateName, Reason)> {
    events(seen)
        .into_iter()
        .filter_map(|kind| match kind {
            EventKind::Transition(Transition { from, to, reason, .. }) => Some((*from, *to, reason.clone())),
            _ => None,
        })
        .collect()
}

/// What was seen besides the news that packets were refused.
pub fn without_discards(seen: Vec<Seen>) -> Vec<Seen> {
    seen.into_iter().filter(|seen| !matches!(seen, Seen::Event(EventKind::Discarded { .. }))).collect()
}

/// Forgets when things were seen.
pub fn untimed(seen: Vec<(Duration, Seen)>) -> Vec<Seen> {
    seen.into_iter().map(|(_, seen)| seen).collect()
}

/// The wall clock of a bench at its boot, 100 s before a test begins: 2027-01-15 08:00 UTC.
const BOOT: Duration = Duration::from_secs(1_800_000_000);

/// Kernel index of the interface.
pub const INDEX: u32 = 7;

/// How long a Master of one VIP keeps it after it heard its successor.
pub const OVERLAP: Duration = Duration::from_millis(100);
