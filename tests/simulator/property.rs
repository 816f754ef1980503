//! Arbitrary inputs against one node: whatever comes, in whatever order, the contract of the engine holds.
//!
//! [`check`] turns any bytes into a configuration and a sequence of inputs with times. Used by the fuzz target `engine`
//! and by a bounded test with random bytes. Knows nothing of the rest of the simulation but the watch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use vrrpd::engine::input::{CheckKey, CheckResult, Datagram, Input, Interface, RouterKey};
use vrrpd::engine::node::Node;
use vrrpd::engine::output::{EventKind, Output};
use vrrpd::engine::params::{
    Auth, AuthMode, CheckKind, CheckParams, Effect, GroupParams, Hooks, Initial, NodeParams, PeerParams, Preempt,
    RouterParams, Scope, Track, Transport, Vip, VipOptions,
};
use vrrpd::engine::snapshot::Counters;
use vrrpd::engine::time::{Instant, Now};
use vrrpd::wire::addresses::AddressList;
use vrrpd::wire::advert::{AUTH_PASSWORD, Advert, AuthField};
use vrrpd::wire::ah::AuthHeader;
use vrrpd::wire::auth::Password;
use vrrpd::wire::checksum::{self, ChecksumForm};
use vrrpd::wire::field::{AdverInterval, Family, Priority, Version, Vrid};
use vrrpd::wire::ip::{Ipv4Header, Protocol};

use super::watch::Watch;

/// Runs what the bytes stand for; returns the counters of each router at the end.
///
/// Panics, with what was wrong, when the contract is broken.
pub fn check(bytes: &[u8]) -> Vec<Counters> {
    let mut trial = Trial::new(Bytes { rest: bytes });
    trial.run();
    trial.node.snapshot().into_iter().map(|snapshot| snapshot.counters).collect()
}

/// The bytes not yet used; zeros when there are none left.
struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn number(&mut self) -> u64 {
        u64::from(self.byte()) << 8 | u64::from(self.byte())
    }

    fn slice(&mut self, len: usize) -> &'a [u8] {
        let (slice, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        slice
    }
}

struct Trial<'a> {
    bytes: Bytes<'a>,
    params: NodeParams,
    node: Node,
    now: u64,
    watches: Vec<Watch>,
    has_finished: bool,
    /// The counter of authenticated packets.
    sequence: u32,
}

impl<'a> Trial<'a> {
    fn new(mut bytes: Bytes<'a>) -> Self {
        let shape = bytes.byte();
        let routers = 1 + usize::from(shape & 1);
        let mut params = NodeParams {
            routers: (0..routers).map(|index| Arc::new(router(index, &mut bytes))).collect(),
            checks: (0..CHECKS).map(|index| Arc::new(check_params(index, &mut bytes))).collect(),
            ..NodeParams::default()
        };
        if shape & 8 != 0 {
            let members = params.routers.iter().map(|router| router.name.clone()).collect();
            params.groups.push(Arc::new(GroupParams { name: "g".into(), members, hooks: Hooks::default() }));
        }
        let interval = |router: &Arc<RouterParams>| router.advertisement_interval.as_duration();
        let watches = params.routers.iter().map(|router| Watch::new(interval(router), shape & 8 != 0)).collect();
        let node = Node::new(&params);
        let mut trial = Self { bytes, params, node, now: 1, watches, has_finished: false, sequence: 0 };
        if shape & 6 != 0 {
            let interface = interface(0x6c);
            trial.node.handle(trial.clock(), Input::Interface(interface));
            trial.node.handle(trial.clock(), Input::Startup);
            trial.expect(Self::take);
        }
        trial
    }

    fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            if self.bytes.rest.is_empty() {
                return;
            }
            // Several inputs make one turn of the loop.
            for _ in 0..=self.bytes.byte() % 3 {
                self.step();
                self.expect(Self::take);
            }
            self.node.handle(self.clock(), Input::Timeout);
            self.expect(Self::take);
            self.expect(Self::settle);
            self.pass_time();
        }
    }

    fn expect(&mut self, part: fn(&mut Self) -> Result<(), String>) {
        if let Err(text) = part(self) {
            panic!("at {} ns: {text}", self.now);
        }
    }

    fn clock(&self) -> Now {
        Now { mono: Instant::from_nanos(self.now), utc: Duration::from_nanos(self.now) }
    }

    /// To the next deadline, a little further, or anywhere.
    fn pass_time(&mut self) {
        let kind = self.bytes.byte();
        let next = self.node.poll_timeout().map_or(self.now, Instant::as_nanos);
        self.now = match kind % 8 {
            0..=2 => next.max(self.now),
            3 => next.max(self.now) + self.bytes.number() * 1000,
            4 => self.now,
            5 => self.now + self.bytes.number() * 1000,
            6 => self.now + self.bytes.number() * 1_000_000,
            _ => self.now.saturating_add(self.bytes.number() << (kind / 8)),
        };
    }

    fn step(&mut self) {
        let router = RouterKey(u32::from(self.bytes.byte() % 3));
        match self.bytes.byte() % 12 {
            0 => self.node.handle(self.clock(), Input::Startup),
            1 if self.bytes.byte() < 64 => self.node.handle(self.clock(), Input::Shutdown),
            1 | 2 => {
                let interface = interface(self.bytes.byte());
                self.node.handle(self.clock(), Input::Interface(interface));
            }
            3 => {
                let end = u16::from(self.bytes.byte() % 4);
                if let Some(watch) = self.watches.get_mut(router.0 as usize) {
                    watch.confirm(end);
                }
                self.node.handle(self.clock(), Input::Vips { router, held: 0..end });
            }
            4 => {
                let result = match self.bytes.byte() % 5 {
                    0 | 1 => CheckResult::Passed,
                    2 | 3 => CheckResult::Failed,
                    _ => CheckResult::Number(i32::from(self.bytes.byte()) - 128),
                };
                let check = CheckKey(u32::from(self.bytes.byte() % (CHECKS + 1)));
                self.node.handle(self.clock(), Input::Check { check, result, words: Arc::from("") });
            }
            5 => self.node.handle(self.clock(), Input::Timeout),
            6 => self.anything(),
            _ => self.advert(router.0 as usize % self.params.routers.len()),
        }
    }

    /// Bytes nobody made on purpose.
    fn anything(&mut self) {
        let len = usize::from(self.bytes.byte());
        let packet = self.bytes.slice(len);
        let interface = 2;
        let datagram = if self.bytes.flag() {
            Datagram::V4 { interface, packet }
        } else {
            let (source, destination) = (address_v6(1), address_v6(0));
            Datagram::V6 { interface, source, destination, hop_limit: 255, payload: packet }
        };
        self.node.handle(self.clock(), Input::Datagram(datagram));
    }

    /// An advert that may well pass every check.
    fn advert(&mut self, router: usize) {
        let params = Arc::clone(&self.params.routers[router]);
        let interval = if self.bytes.byte() < 200 {
            params.advertisement_interval
        } else {
            AdverInterval::from_centiseconds(1 + (self.bytes.number() % 4095) as u16).unwrap_or(AdverInterval::DEFAULT)
        };
        let priority = Priority::new(self.bytes.byte());
        let list = AddressList::new(params.family, params.advertised()).expect("addresses of the family");
        let auth = match &params.auth {
            Auth::Password { password, .. } => AuthField { kind: AUTH_PASSWORD, data: password.as_bytes() },
            Auth::Ah(_) => AuthField { kind: vrrpd::wire::advert::AUTH_AH, ..AuthField::NONE },
            Auth::None | Auth::Hmac(_) => AuthField::NONE,
        };
        let addresses = list.as_addresses();
        let mut message = Vec::new();
        Advert { version: params.version, vrid: params.vrid, priority, interval, auth, addresses }.emit(&mut message);
        self.send(&params, message);
    }

    fn send(&mut self, params: &RouterParams, mut message: Vec<u8>) {
        let sender = self.bytes.byte() % 4;
        let interface = 2;
        let (from, to) = match params.family {
            Family::V4 => (IpAddr::V4(address_v4(sender)), IpAddr::V4(address_v4(0))),
            Family::V6 => (IpAddr::V6(address_v6(u16::from(sender))), IpAddr::V6(address_v6(0))),
        };
        let to = match &params.transport {
            Transport::Multicast { group } => *group,
            Transport::Unicast { .. } => to,
        };
        let form = ChecksumForm::ALL[usize::from(self.bytes.byte() % 3)];
        checksum::fill(params.version, form, from, to, &mut message);
        let datagram = match (from, to) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let packet = self.packet(params, source, destination, &message);
                let datagram = Datagram::V4 { interface, packet: &packet };
                return self.node.handle(self.clock(), Input::Datagram(datagram));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Datagram::V6 { interface, source, destination, hop_limit: 255, payload: &message }
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return,
        };
        self.node.handle(self.clock(), Input::Datagram(datagram));
    }

    fn packet(&mut self, params: &RouterParams, source: Ipv4Addr, destination: Ipv4Addr, message: &[u8]) -> Vec<u8> {
        let Auth::Ah(key) = &params.auth else {
            let header = Ipv4Header { source, destination, id: 1, protocol: Protocol::Vrrp };
            return [&header.emit(message.len())[..], message].concat();
        };
        self.sequence += u32::from(self.bytes.byte() % 4);
        let ip = Ipv4Header { source, destination, id: 1, protocol: Protocol::Ah };
        let header = ip.emit(AuthHeader::LEN + message.len());
        let ah = AuthHeader::sign(key, &header, source, destination, self.sequence, message);
        [&header[..], &ah.emit(), message].concat()
    }

    /// Takes the outputs and checks each.
    fn take(&mut self) -> Result<(), String> {
        while let Some(output) = self.node.poll_output() {
            if self.has_finished {
                return Err(format!("output after the end: {output:?}"));
            }
            let (key, priority) = match &output {
                Output::Send(transmit) => {
                    let payload = self.node.payload(transmit);
                    let message = payload.get(transmit.ah.map_or(0, |_| AuthHeader::LEN)..).unwrap_or_default();
                    (transmit.router, Some(*message.get(2).ok_or("an advert without a priority")?))
                }
                Output::AcquireVips { router } | Output::ReleaseVips { router } | Output::Announce { router, .. } => {
                    (*router, None)
                }
                Output::Event(event) => match (&event.kind, event.router) {
                    (EventKind::Check { .. } | EventKind::Group(_), None) => continue,
                    (_, router) => (router.ok_or("an event of no router")?, None),
                },
                Output::Finished => {
                    self.has_finished = true;
                    continue;
                }
            };
            let watch = self.watches.get_mut(key.0 as usize).ok_or("an output of an unknown router")?;
            watch.observe(self.now, &output, priority).map_err(|text| format!("{key:?}: {text}: {output:?}"))?;
        }
        self.node.flushed();
        Ok(())
    }

    /// Checks what holds between two turns.
    fn settle(&mut self) -> Result<(), String> {
        let timeout = self.node.poll_timeout().map(Instant::as_nanos);
        for (watch, snapshot) in self.watches.iter_mut().zip(self.node.snapshot()) {
            let key = snapshot.key;
            watch.settle(self.now, snapshot, timeout).map_err(|text| format!("{key:?}: {text}"))?;
        }
        let early = self.clock();
        self.node.handle(early, Input::Timeout);
        match self.node.poll_output() {
            Some(output) => Err(format!("an early timeout made {output:?}")),
            None => Ok(()),
        }
    }
}

fn interface(shape: u8) -> Interface {
    let own = [IpAddr::V4(address_v4(0)), IpAddr::V6(address_v6(0)), IpAddr::V4(address_v4(9))];
    Interface {
        name: NAMES[usize::from(shape & 1)].into(),
        index: (shape & 0x1c != 0).then_some(2 + u32::from(shape >> 7)),
        is_up: shape & 0x60 != 0,
        addresses: own.into_iter().skip(usize::from(shape & 0x0e == 0x0e)).collect(),
        elsewhere: Vec::new(),
    }
}

/// One that needs up to two results in a row.
fn check_params(index: u8, bytes: &mut Bytes<'_>) -> CheckParams {
    let shape = bytes.byte();
    CheckParams {
        name: format!("c{index}"),
        kind: CheckKind::Unit("haproxy.service".into()),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1 + u32::from(shape & 1),
        fall: 1 + u32::from(shape >> 1 & 1),
        initial: [Initial::Unknown, Initial::Passing, Initial::Passing, Initial::Failing][usize::from(shape >> 2 & 3)],
    }
}

/// Two of four tracks: two without weight (one of them urgent), one weight, one check that does not exist.
fn tracks(bytes: &mut Bytes<'_>) -> Vec<Track> {
    let shape = bytes.byte();
    let is_reversed = shape & 0x80 != 0;
    let weight = i16::from(bytes.byte()) - 128;
    let weight = if weight == 0 { 1 } else { weight };
    [
        ("c0", Effect::Fault { is_reversed: false }, false),
        ("c1", Effect::Fault { is_reversed }, true),
        ("c2", Effect::Weight { weight, is_reversed }, false),
        ("missing", Effect::Weight { weight, is_reversed }, false),
    ]
    .into_iter()
    .enumerate()
    .filter(|(place, _)| shape >> place & 0x11 == 0x11)
    .map(|(_, (check, effect, is_urgent))| Track { check: check.into(), effect, is_urgent })
    .collect()
}

fn router(index: usize, bytes: &mut Bytes<'_>) -> RouterParams {
    let shape = bytes.byte();
    let family = if shape & 3 == 3 { Family::V6 } else { Family::V4 };
    let version = if shape & 3 == 2 { Version::V2 } else { Version::V3 };
    let cs = [1, 10, 100, 4000][usize::from(shape >> 2 & 3)];
    let interval = if version == Version::V2 {
        AdverInterval::DEFAULT
    } else {
        AdverInterval::from_centiseconds(cs).unwrap_or(AdverInterval::DEFAULT)
    };
    let password = Password::new(b"seventh");
    let peer = |number: u8| PeerParams {
        address: match family {
            Family::V4 => IpAddr::V4(address_v4(number)),
            Family::V6 => IpAddr::V6(address_v6(u16::from(number))),
        },
        priority: Priority::new(100 * (number - 1)),
        min_ttl: None,
        max_ttl: None,
    };
    let group = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    };
    let mode = bytes.byte();
    let vrid = Vrid::new(1 + (shape >> 4 & 1)).unwrap_or(Vrid::new(1).expect("1 is a VRID"));
    let transport = if shape & 0x20 == 0 {
        Transport::Unicast { peers: vec![peer(1), peer(2)], also: None }
    } else {
        Transport::Multicast { group }
    };
    RouterParams {
        version,
        priority: Priority::new(bytes.byte()).unwrap_or(Priority::DEFAULT),
        advertisement_interval: interval,
        preempt: [Preempt::Always, Preempt::Never, Preempt::After(Duration::from_millis(500))][usize::from(mode % 3)],
        vips: (0..3).map(|number| vip(family, number)).collect(),
        strict: shape & 0xc0 == 0xc0,
        auth: match (version, mode >> 6) {
            (Version::V2, 1) => Auth::Password { password, mode: AuthMode::Enforce },
            (Version::V2, 2) => Auth::Ah(password),
            _ => Auth::None,
        },
        tracks: tracks(bytes),
        ..RouterParams::plain(&format!("r{index}"), NAMES[0], vrid, family, transport)
    }
}

fn vip(family: Family, number: u8) -> Vip {
    let address = match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(198, 51, 100, number)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, u16::from(number))),
    };
    let prefix_len = family.max_prefix_len();
    let (interface, label, broadcast) = (None, None, None);
    Vip {
        address,
        prefix_len,
        interface,
        advertise: true,
        label,
        broadcast,
        scope: Scope::Global,
        options: VipOptions::default(),
    }
}

fn address_v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 10 + number)
}

fn address_v6(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10 + number)
}

const NAMES: [&str; 2] = ["eth0", "eth1"];

/// Checks of one trial.
const CHECKS: u8 = 3;

/// Turns of one trial.
const STEPS_MAX: usize = 400;
