//! Arbitrary inputs against one node: whatever comes, in whatever order, the contract of the engine holds.
//!
//! [`check`] turns any bytes into a configuration and a sequence of inputs with times. Used by the fuzz target `engine`
//! and by a bounded test with random bytes. Knows nothing of the rest of the simulation but the watch.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use vrrpd::engine::drain::Drains;
use vrrpd::engine::input::{CheckKey, CheckResult, Datagram, Input, RouterKey};
use vrrpd::engine::node::Node;
use vrrpd::engine::output::{EventKind, Output};
use vrrpd::engine::params::{Auth, GroupParams, Hooks, NodeParams, RouterParams, Transport};
use vrrpd::engine::snapshot::Counters;
use vrrpd::engine::time::{Instant, Now};
use vrrpd::wire::addresses::AddressList;
use vrrpd::wire::advert::{AUTH_PASSWORD, Advert, AuthField};
use vrrpd::wire::ah::AuthHeader;
use vrrpd::wire::auth::{Origin, Sequence, Trailer};
use vrrpd::wire::checksum::{self, ChecksumForm};
use vrrpd::wire::field::{AdverInterval, Family, Priority};
use vrrpd::wire::ip::{Ipv4Header, Protocol};

use super::facts::{Facts, is_remark};
use super::shapes::{Bytes, CHECKS, address_v4, address_v6, check_params, interface, key, router};
use super::watch::Watch;

/// Runs what the bytes stand for; returns the counters of each router at the end.
///
/// Panics, with what was wrong, when the contract is broken.
pub fn check(bytes: &[u8]) -> Vec<Counters> {
    let mut trial = Trial::new(Bytes { rest: bytes });
    trial.run();
    trial.node.snapshot().into_iter().map(|snapshot| snapshot.counters).collect()
}

struct Trial<'a> {
    bytes: Bytes<'a>,
    params: NodeParams,
    node: Node,
    now: u64,
    /// How far the wall clock was set since the beginning, in nanoseconds.
    wall: i64,
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
            // What a mate of a hundredth of the interval offers would count a hundred times.
            let longest = params.routers.iter().map(|router| router.advertisement_interval).max();
            for router in &mut params.routers {
                Arc::make_mut(router).advertisement_interval = longest.unwrap_or(router.advertisement_interval);
            }
            let members = params.routers.iter().map(|router| router.name.clone()).collect();
            params.groups.push(Arc::new(GroupParams { name: "g".into(), members, hooks: Hooks::default() }));
        }
        let interval = |router: &Arc<RouterParams>| router.advertisement_interval.as_duration();
        let watches = params.routers.iter().map(|router| Watch::new(interval(router), shape & 8 != 0)).collect();
        let node = Node::new(&params);
        let mut trial = Self { bytes, params, node, now: 1, wall: 0, watches, has_finished: false, sequence: 0 };
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
        let utc = Duration::from_secs(DAWN) + Duration::from_nanos(self.now);
        let length = Duration::from_nanos(self.wall.unsigned_abs());
        let utc = if self.wall < 0 { utc.saturating_sub(length) } else { utc + length };
        Now { mono: Instant::from_nanos(self.now), utc }
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
        let kind = self.bytes.byte();
        // Apart, so that what the long runs found keeps its meaning.
        if matches!(kind, 246 | 252) {
            return self.drain();
        }
        match kind % 13 {
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
            7 => {
                let seconds = [1, 3, 60, 3600, -1, -3, -60, -3600][usize::from(self.bytes.byte() % 8)];
                self.wall = self.wall.saturating_add(seconds * 1_000_000_000 / i64::from(1 + self.bytes.byte() % 2));
            }
            _ => self.advert(router.0 as usize % self.params.routers.len()),
        }
    }

    /// Other routers stay away on request, and a group as one.
    fn drain(&mut self) {
        let shape = self.bytes.byte();
        let is_named = |router: usize| shape >> router & 1 == 1;
        let any = (0..self.params.routers.len()).any(is_named);
        let words = || Arc::from("");
        let drains = Drains {
            node: (shape & 12 == 12).then(words),
            routers: (0..)
                .zip(&self.params.routers)
                .filter(|(place, _)| is_named(*place))
                .map(|(_, router)| (router.name.clone(), words()))
                .collect(),
        };
        // Who has ended hears nothing any more.
        let watches = self.watches.iter_mut().enumerate().filter(|_| !self.has_finished);
        for (place, watch) in watches {
            let is_drained = drains.node.is_some() || is_named(place) || (any && !self.params.groups.is_empty());
            watch.drain(is_drained.then_some(self.now));
        }
        self.node.handle(self.clock(), Input::Drain(Arc::new(drains)));
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
        self.hear(datagram);
    }

    /// A packet arrives; one that no router accepts changes nothing.
    fn hear(&mut self, datagram: Datagram<'_>) {
        let before = Facts::of(&mut self.node);
        self.node.handle(self.clock(), Input::Datagram(datagram));
        let after = Facts::of(&mut self.node);
        if after.accepted() > before.accepted() {
            return;
        }
        assert_eq!(before, after, "at {} ns: a refused packet changed something", self.now);
        while let Some(output) = self.node.poll_output() {
            assert!(is_remark(&output), "at {} ns: a refused packet made {output:?}", self.now);
        }
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
            Transport::Unicast { also: Some(group), .. } if self.bytes.flag() => *group,
            Transport::Unicast { .. } => to,
        };
        let message_len = message.len();
        self.sign(params, from, &mut message);
        let form = ChecksumForm::ALL[usize::from(self.bytes.byte() % 3)];
        let covered = if params.family == Family::V4 { message_len } else { message.len() };
        checksum::fill(params.version, form, from, to, &mut message[..covered]);
        let datagram = match (from, to) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let packet = self.packet(params, source, destination, &message);
                let datagram = Datagram::V4 { interface, packet: &packet };
                return self.hear(datagram);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Datagram::V6 { interface, source, destination, hop_limit: 255, payload: &message }
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return,
        };
        self.hear(datagram);
    }

    /// Appends a trailer, mostly a good one, of about this time.
    fn sign(&mut self, params: &RouterParams, source: IpAddr, message: &mut Vec<u8>) {
        let shape = self.bytes.byte();
        if !matches!(params.auth, Auth::Hmac(_)) || shape & 0x0f == 0x0f {
            return;
        }
        let offset = Duration::from_millis(self.bytes.number() * u64::from(shape >> 4 & 3) / 4);
        let utc = if shape & 0x40 == 0 { self.clock().utc + offset } else { self.clock().utc.saturating_sub(offset) };
        let sequence = Sequence::from_bits(Sequence::from_utc(utc).bits() + u64::from(shape >> 7));
        let origin = Origin { version: params.version, vrid: params.vrid, source };
        let id = 1 + shape % 3;
        let mut trailer = Trailer::sign(&key(id), id, sequence, &origin, message).emit();
        if shape & 0x0f == 0x0e {
            trailer[usize::from(self.bytes.byte()) % 28] ^= 1 << (shape >> 5);
        }
        message.extend_from_slice(&trailer);
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
                    (
                        EventKind::Check { .. }
                        | EventKind::Group(_)
                        | EventKind::Clock(_)
                        | EventKind::Discarded { .. },
                        None,
                    ) => continue,
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

/// What the wall clock shows at the beginning: after the release of the program.
const DAWN: u64 = 1_800_000_000;

/// Turns of one trial.
const STEPS_MAX: usize = 400;
