//! Somebody on the wire who knows no key, writes down every packet, and sends what he likes to whom he likes.
//!
//! What he sends goes past the socket queue straight into the node, between two turns, and draws from a generator of its
//! own: a run with him and one without are the same, output for output, unless the engine lets itself be moved.
//! He sends nothing that the receiver ought to believe: an advert it has not had yet is a late one, whoever carries it.

use std::net::IpAddr;
use std::rc::Rc;

use vrrpd::wire::advert::TRAILER_LEN;
use vrrpd::wire::ah::AuthHeader;
use vrrpd::wire::checksum::{self, ChecksumForm};
use vrrpd::wire::field::{Family, Version};

use super::host::Host;
use super::rng::Rng;
use super::secret::{HmacSpec, Secret};
use super::segment::Packet;
use super::spec::{INTERFACES, RouterSpec, address};

/// The attacker.
#[derive(Debug)]
pub struct Attacker {
    rng: Rng,
    /// Nanoseconds from one packet to the next, shortest and longest.
    pub pace: (u64, u64),
    records: Vec<Record>,
    seen: u64,
}

/// One packet as it went by.
#[derive(Clone, Debug)]
pub struct Record {
    pub at: u64,
    pub packet: Packet,
}

/// One packet that must change nothing.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub kind: &'static str,
    pub packet: Packet,
    pub ttl: u8,
}

impl Attacker {
    pub fn new(seed: u64, pace: (u64, u64)) -> Self {
        Self { rng: Rng::new(seed), pace, records: Vec::new(), seen: 0 }
    }

    pub fn next_in(&mut self) -> u64 {
        self.rng.between(self.pace.0, self.pace.1)
    }

    /// Returns one of so many hosts.
    pub fn pick(&mut self, hosts: usize) -> usize {
        self.rng.below(hosts)
    }

    /// Writes a packet down; of very many, each is kept with the same chance.
    pub fn record(&mut self, at: u64, packet: &Packet) {
        self.seen += 1;
        let record = Record { at, packet: packet.clone() };
        if self.records.len() < RECORDS_MAX {
            self.records.push(record);
        } else if let Some(place) = self.records.get_mut((self.rng.next() % self.seen) as usize) {
            *place = record;
        }
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Makes the next packet for a host; `None`: he has nothing that must be refused there.
    pub fn attempt(&mut self, now: u64, host: &Host, specs: &[RouterSpec]) -> Option<Attempt> {
        if self.records.is_empty() {
            return None;
        }
        // Half of them are of the last few: these are fresh.
        let latest = self.records.len().saturating_sub(8);
        let place = if self.rng.chance(500) {
            self.rng.below(self.records.len())
        } else {
            self.rng.between(latest as u64, self.records.len() as u64 - 1) as usize
        };
        let record = self.records[place].clone();
        let router = specs.get(record.packet.router())?;
        let Some(spec) = router.secret.hmac() else { return self.attempt_on_v2(router, &record.packet) };
        let is_signed = sequence(&record.packet).is_some();
        let mut attempt = Attempt { kind: "", packet: record.packet.clone(), ttl: 255 };
        if self.rng.chance(500) {
            attempt.kind = self.replay(&mut attempt.packet);
            let must_refuse = is_signed && host.must_refuse(&record, &attempt.packet, router.secret.window(), now);
            return must_refuse.then_some(attempt);
        }
        attempt.kind = self.forge(&mut attempt, host, now, router, spec, is_signed)?;
        Some(attempt)
    }

    /// Sends a recorded packet, as it was, on the link of his choice, in the name of its sender or to another address.
    fn replay(&mut self, packet: &mut Packet) -> &'static str {
        match self.rng.between(0, 9) {
            0 => {
                packet.link = self.rng.below(INTERFACES.len());
                "replayed on any link"
            }
            1 => {
                let family = Family::of(&packet.source);
                packet.destination = address(family, self.rng.below(4));
                "replayed to another address"
            }
            _ => "replayed",
        }
    }

    /// Makes up a packet that nobody signed.
    fn forge(
        &mut self,
        attempt: &mut Attempt,
        host: &Host,
        now: u64,
        router: &RouterSpec,
        spec: &HmacSpec,
        is_signed: bool,
    ) -> Option<&'static str> {
        let packet = &mut attempt.packet;
        let mut bytes = packet.message.to_vec();
        let message_len = if is_signed { bytes.len() - TRAILER_LEN } else { bytes.len() };
        let kind = self.rng.between(0, 11);
        if !is_signed && (!spec.mode(host.id).requires() || (2..=8).contains(&kind)) {
            return None;
        }
        let kind = match kind {
            0 => {
                let other = self.other_source(packet.source);
                if other == packet.source {
                    return None;
                }
                packet.source = other;
                "another source"
            }
            1 => {
                if !spec.mode(host.id).requires() {
                    return None;
                }
                bytes.truncate(message_len);
                "no trailer"
            }
            2 => {
                let bit = self.rng.below(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                // A checksum that fits would need a signature that does not: bits 48 to 63 are the checksum itself.
                if (48..64).contains(&bit) {
                    packet.message = Rc::from(bytes);
                    return Some("checksum turned over");
                }
                "one bit turned over"
            }
            3 => {
                bytes[2] =
                    self.rng.pick(&[0, 1, 254, 255].map(|priority| if priority == bytes[2] { 77 } else { priority }));
                "another priority"
            }
            4 => {
                let seconds = host.clock.wall(now).as_secs() as u32;
                bytes[message_len + 4..message_len + 8].copy_from_slice(&seconds.to_be_bytes());
                bytes[message_len + 11] ^= 1;
                "another time"
            }
            5 => {
                bytes[message_len + 1] = self.rng.between(0, 255) as u8 | 4;
                "another key"
            }
            6 => {
                let at = self.rng.pick(&[0, 2, 3]);
                bytes[message_len + at] = self.rng.between(2, 255) as u8;
                "another kind of trailer"
            }
            7 => {
                for byte in &mut bytes[message_len + 12..] {
                    *byte = self.rng.next() as u8;
                }
                "a made up digest"
            }
            8 => {
                bytes.truncate(self.rng.below(bytes.len()));
                if bytes.len() == message_len && !spec.mode(host.id).requires() {
                    return None;
                }
                "cut"
            }
            9 => {
                let extra = self.rng.pick(&[1, 2, 28, 56, 200]);
                bytes.resize(bytes.len() + extra, self.rng.next() as u8);
                if !is_signed && extra == TRAILER_LEN {
                    return None;
                }
                "longer"
            }
            10 => {
                bytes[1] = self.rng.between(100, 255) as u8;
                "another virtual router"
            }
            _ => {
                if !router.is_multicast {
                    return None;
                }
                attempt.ttl = self.rng.between(0, 254) as u8;
                "another TTL"
            }
        };
        sum(router.version, packet, &mut bytes);
        attempt.packet.message = Rc::from(bytes);
        Some(kind)
    }

    /// As [`Self::attempt`], against the secrets of version 2. What has a password in the clear proves nothing once it was
    /// heard; a counter without a time tells a replay from all that is later.
    fn attempt_on_v2(&mut self, router: &RouterSpec, packet: &Packet) -> Option<Attempt> {
        let mut attempt = Attempt { kind: "", packet: packet.clone(), ttl: 255 };
        let mut bytes = packet.message.to_vec();
        match router.secret {
            Secret::None | Secret::Hmac(_) => return None,
            Secret::Password => {
                bytes[2] = self.rng.pick(&[0, 255]);
                let at = bytes.len() - self.rng.between(1, 8) as usize;
                bytes[at] ^= 1 << self.rng.below(8);
                sum(router.version, packet, &mut bytes);
                attempt.kind = "a wrong password";
            }
            Secret::Ah => {
                let at = self.rng.below(bytes.len());
                bytes[at] ^= 1 << self.rng.below(8);
                attempt.kind = "a wrong authentication header";
                if self.rng.chance(300) {
                    bytes.drain(..AuthHeader::LEN);
                    bytes[2] = self.rng.pick(&[0, 255]);
                    attempt.packet.ah = None;
                    sum(router.version, packet, &mut bytes);
                    attempt.kind = "no authentication header";
                }
            }
        }
        attempt.packet.message = Rc::from(bytes);
        Some(attempt)
    }

    /// Returns the address of any host, of a stranger, or nobody's.
    fn other_source(&mut self, source: IpAddr) -> IpAddr {
        address(Family::of(&source), self.rng.pick(&[0, 1, 2, 3, 4, 100, 200]))
    }
}

/// Makes the checksum good again: he can do that.
fn sum(version: Version, packet: &Packet, bytes: &mut [u8]) {
    let is_v4 = packet.source.is_ipv4();
    let len = bytes.len();
    // Over IPv4 the trailer is not covered; the length of the message is in its own bytes.
    let covered = if is_v4 {
        let count = bytes.get(3).map_or(0, |count| usize::from(*count));
        (8 + 4 * count + if version == Version::V2 { 8 } else { 0 }).min(len)
    } else {
        len
    };
    if covered >= 8 {
        checksum::fill(version, ChecksumForm::Pseudo, packet.source, packet.destination, &mut bytes[..covered]);
    }
}

/// Returns the stamp of a signed packet.
pub fn sequence(packet: &Packet) -> Option<u64> {
    let bytes = &packet.message;
    let &[first, _, _, count, ..] = &bytes[..] else { return None };
    let address_len = if packet.source.is_ipv4() { 4 } else { 16 };
    let auth_len = if first >> 4 == 2 && packet.source.is_ipv4() { 8 } else { 0 };
    let message_len = 8 + address_len * usize::from(count) + auth_len;
    let trailer = bytes.get(message_len..).filter(|rest| rest.len() == TRAILER_LEN)?;
    let stamp = trailer.get(4..12)?;
    Some(stamp.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Packets he remembers.
const RECORDS_MAX: usize = 4000;
