//! The HMAC trailer on the wire: published vectors and everything that can be wrong with them, through a node.

use std::net::IpAddr;
use std::time::Duration;

use vrrpd::engine::output::{Discard, EventKind, Evidence, Refusal, StateName};
use vrrpd::engine::params::{Auth, AuthMode, ChecksumPolicy, PeerParams, ReplayGuard, RouterParams, Transport};
use vrrpd::wire::auth::Password;
use vrrpd::wire::field::{Family, Version, Vrid};

use crate::bench::*;
use crate::trailer::*;

/// A published signed message; the one of version 2 was computed with an independent program.
struct Vector {
    version: Version,
    source: &'static str,
    destination: &'static str,
    vip: &'static str,
    hex: &'static str,
}

/// VRID 51, priority 200, interval 1 s, stamp 0x6800000080000000, [`KEY`].
const VECTORS: [Vector; 3] = [
    Vector {
        version: Version::V3,
        source: "198.51.100.10",
        destination: "198.51.100.20",
        vip: "192.0.2.100",
        hex: "3133c80100644402c00002640101000068000000800000001b84bc4e8e43892dc6d98448f8ee2265",
    },
    Vector {
        version: Version::V3,
        source: "fe80::10",
        destination: "fe80::20",
        vip: "fe80::100",
        hex: "3133c8010064a2e9fe800000000000000000000000000100010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78",
    },
    Vector {
        version: Version::V2,
        source: "198.51.100.10",
        destination: "198.51.100.20",
        vip: "192.0.2.100",
        hex: "2133c80100015465c00002640000000000000000010100006800000080000000d0b9391b8d008f779ef2e8cf66238947",
    },
];

/// The moment at which they were signed.
const SIGNED_AT: Duration = Duration::new(0x6800_0000, 500_000_000);

const TRAILER: usize = 28;

impl Vector {
    fn bytes(&self) -> Vec<u8> {
        (0..self.hex.len()).step_by(2).map(|at| u8::from_str_radix(&self.hex[at..at + 2], 16).unwrap()).collect()
    }

    fn message_len(&self) -> usize {
        self.bytes().len() - TRAILER
    }

    /// The length of a message with the count that is in `bytes`.
    fn listed_len(&self, bytes: &[u8]) -> usize {
        let auth_len = if self.version == Version::V2 { 8 } else { 0 };
        8 + usize::from(bytes[3]) * self.family().address_len() + auth_len
    }

    fn family(&self) -> Family {
        Family::of(&ip(self.source))
    }

    /// The bytes with the checksum that they should have.
    fn mended(&self, mut bytes: Vec<u8>, message_len: usize) -> Vec<u8> {
        let summed = if self.family() == Family::V6 { bytes.len() } else { message_len };
        bytes[6..8].fill(0);
        let sum = match self.family() {
            Family::V4 => internet_checksum(&bytes[..summed]),
            Family::V6 => internet_checksum(&with_pseudo(ip(self.source), ip(self.destination), &bytes[..summed])),
        };
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The router that the message is for.
    fn params(&self, mode: AuthMode, guard: ReplayGuard) -> RouterParams {
        let plain = if self.family() == Family::V6 { v6() } else { v3() };
        let peers = vec![PeerParams { address: ip(self.source), priority: None, min_ttl: None, max_ttl: None }];
        let params = RouterParams {
            version: self.version,
            vrid: Vrid::new(51).unwrap(),
            vips: vec![vip(self.vip)],
            checksum: ChecksumPolicy::Rfc9568,
            transport: Transport::Unicast { peers, also: None },
            source: Some(ip(self.destination)),
            ..plain
        };
        hmac(params, mode, guard)
    }

    /// A receiver at the moment of the signature.
    fn receiver(&self, guard: ReplayGuard, state: StateName) -> Bench {
        self.receiver_in(AuthMode::Enforce, guard, state)
    }

    fn receiver_in(&self, mode: AuthMode, guard: ReplayGuard, state: StateName) -> Bench {
        let mut bench = Bench::new(self.params(mode, guard));
        let patience = if state == StateName::Master { ms(4000) } else { ms(0) };
        bench.set_clock(SIGNED_AT - patience);
        let mut bench = begin(bench);
        bench.run(patience);
        assert_eq!(bench.state(), state);
        bench
    }

    fn hear(&self, bench: &mut Bench, bytes: &[u8]) -> Vec<Seen> {
        bench.hear_payload(ip(self.source), ip(self.destination), bytes)
    }

    /// What a receiver must say of bytes in which one bit is wrong: by its place, and by whether the sum was mended.
    fn verdict(&self, bit: usize, bytes: &[u8], guard: ReplayGuard, is_mended: bool) -> Discard {
        let (at, is_v2) = (bit / 8, self.version == Version::V2);
        let (len, message_len) = (bytes.len(), self.message_len());
        let listed = self.listed_len(bytes);
        let by_sum = |reason| if is_mended { reason } else { Discard::Checksum };
        match at {
            0 if bit % 8 < 4 => Discard::Type,
            0 => Discard::Version,
            1 => Discard::UnknownVrid,
            3 if bytes[3] == 0 && !is_v2 => Discard::CountZero,
            3 if listed > len => Discard::Incomplete,
            // The trailer is taken for addresses.
            3 if listed == len => by_sum(Discard::AuthMissing),
            3 => Discard::Length,
            4 if is_v2 => by_sum(Discard::AuthType),
            5 if is_v2 && bytes[5] == 0 => Discard::Interval,
            6 | 7 => Discard::Checksum,
            _ if at < message_len => by_sum(Discard::Hmac),
            _ if self.family() == Family::V6 && !is_mended => Discard::Checksum,
            _ => match at - message_len {
                0 | 2 | 3 => Discard::AuthMalformed,
                1 => Discard::UnknownKey,
                4..8 if guard == TIME => {
                    let seconds = u32::from_be_bytes(bytes[message_len + 4..message_len + 8].try_into().unwrap());
                    if seconds.abs_diff(0x6800_0000) > WINDOW as u32 { Discard::Stale } else { Discard::Hmac }
                }
                _ => Discard::Hmac,
            },
        }
    }
}

#[test]
fn hmac_vectors_are_believed_by_time_and_by_count() {
    for vector in &VECTORS {
        for guard in [TIME, ReplayGuard::Monotonic] {
            let mut bench = vector.receiver(guard, StateName::Backup);
            bench.accepts_to(|bench| vector.hear(bench, &vector.bytes()));
            let master = bench.snapshot().master.unwrap();
            assert_eq!((master.address, master.priority.get()), (ip(vector.source), 200));
            bench.refuses_to(Discard::Replay, |bench| vector.hear(bench, &vector.bytes()));
        }
    }
}

#[test]
fn hmac_vectors_are_what_this_node_would_send() {
    for vector in &VECTORS {
        let sender = RouterParams { priority: prio(200), ..vector.params(AuthMode::Enforce, TIME) };
        let mut bench = Bench::new(mirror(&sender));
        let interface = vrrpd::engine::input::Interface { addresses: vec![ip(vector.source)], ..interface() };
        bench.interface(interface);
        let patience = us(3_218_750);
        bench.set_clock(SIGNED_AT - patience);
        bench.start();
        let seen = untimed(bench.run(patience));
        assert_eq!(adverts(&seen)[0].payload, vector.bytes());
    }
}

#[test]
fn hmac_vector_with_any_bit_flipped_is_refused_for_the_right_reason() {
    let mut tried = 0;
    for vector in &VECTORS {
        for (guard, state) in
            [(TIME, StateName::Backup), (TIME, StateName::Master), (ReplayGuard::Monotonic, StateName::Backup)]
        {
            let mut bench = vector.receiver(guard, state);
            for bit in 0..vector.bytes().len() * 8 {
                let mut raw = vector.bytes();
                raw[bit / 8] ^= 1 << (bit % 8);
                let mended = vector.mended(raw.clone(), vector.message_len());
                for (bytes, is_mended) in [(raw, false), (mended, true)] {
                    if is_mended && bytes == vector.bytes() {
                        continue;
                    }
                    let reason = vector.verdict(bit, &bytes, guard, is_mended);
                    bench.refuses_to(reason, |bench| vector.hear(bench, &bytes));
                    tried += 1;
                }
            }
            bench.accepts_to(|bench| vector.hear(bench, &vector.bytes()));
        }
    }
    assert_eq!(tried, 3 * 2 * 8 * (40 + 52 + 48) - 3 * 3 * 16);
}

#[test]
fn hmac_mutations_of_the_published_table_have_its_verdicts() {
    let vector = &VECTORS[1];
    for (at, reason) in [
        (2, Discard::Hmac),
        (4, Discard::Hmac),
        (23, Discard::Hmac),
        (24, Discard::AuthMalformed),
        (25, Discard::UnknownKey),
        (26, Discard::AuthMalformed),
        (28, Discard::Hmac),
        (34, Discard::Hmac),
        (36, Discard::Hmac),
    ] {
        let mut bytes = vector.bytes();
        bytes[at] ^= 1;
        let bytes = vector.mended(bytes, vector.message_len());
        let mut bench = vector.receiver(ReplayGuard::Monotonic, StateName::Backup);
        bench.refuses_to(reason, |bench| vector.hear(bench, &bytes));
    }
    let mut bytes = vector.bytes();
    bytes[6] ^= 1;
    let mut bench = vector.receiver(ReplayGuard::Monotonic, StateName::Backup);
    bench.refuses_to(Discard::Checksum, |bench| vector.hear(bench, &bytes));
}

#[test]
fn hmac_covers_source_vrid_and_version_as_the_receiver_knows_them() {
    let vector = &VECTORS[0];
    let params = vector.params(AuthMode::Enforce, TIME);
    let good = Packet { priority: 200, sum: Summed::Message, ..Packet::like(&params, 200) };
    let good = signed(&good, stamp(SIGNED_AT));
    assert_eq!(good.message(), vector.bytes(), "written by hand");
    let mut bench = vector.receiver(TIME, StateName::Backup);
    for lie in [
        signed(&Packet { source: ip("198.51.100.20"), ..good.clone() }, stamp(SIGNED_AT)),
        signed(&Packet { vrid: 52, ..good.clone() }, stamp(SIGNED_AT)),
        signed(&Packet { version: 2, ..good.clone() }, stamp(SIGNED_AT)),
    ] {
        bench.refuses(&Packet { trailer: lie.trailer, ..good.clone() }, Discard::Hmac);
    }
    bench.accepts(&good);
}

#[test]
fn hmac_vector_cut_anywhere_is_refused() {
    for vector in &VECTORS {
        let message_len = vector.message_len();
        let mut bench = vector.receiver(TIME, StateName::Backup);
        for len in 0..vector.bytes().len() {
            let cut = vector.bytes()[..len].to_vec();
            let reason = match len {
                _ if len < message_len => Discard::Incomplete,
                _ if len > message_len => Discard::Length,
                _ if vector.family() == Family::V6 => Discard::Checksum,
                _ => Discard::AuthMissing,
            };
            bench.refuses_to(reason, |bench| vector.hear(bench, &cut));
        }
        let cut = vector.mended(vector.bytes()[..message_len].to_vec(), message_len);
        bench.refuses_to(Discard::AuthMissing, |bench| vector.hear(bench, &cut));
    }
}

#[test]
fn trailer_that_is_there_twice_or_longer_is_a_wrong_length() {
    for vector in &VECTORS {
        let mut bench = vector.receiver(TIME, StateName::Backup);
        let (bytes, message_len) = (vector.bytes(), vector.message_len());
        let twice = vector.mended([&bytes[..], &bytes[message_len..]].concat(), message_len);
        let seen = vector.hear(&mut bench, &twice);
        let (found, expected) = (bytes.len() as u16 + 28, bytes.len() as u16);
        let refusal = Refusal { reason: Discard::Length, evidence: Evidence::Length { found, expected } };
        let peer = Some(ip(vector.source));
        assert_eq!(events(&seen), [&EventKind::Discarded { refusal, peer, count: 1 }]);
        for extra in [1, 2, 4, 27, 28, 56] {
            let longer = vector.mended([&bytes[..], &vec![0; extra]].concat(), message_len);
            bench.refuses_to(Discard::Length, |bench| vector.hear(bench, &longer));
        }
    }
}

#[test]
fn count_of_addresses_that_moves_the_trailer_is_a_wrong_length() {
    for vector in &VECTORS {
        let mut bench = vector.receiver(TIME, StateName::Backup);
        for count in (0..=255).filter(|count| *count != 1) {
            let mut bytes = vector.bytes();
            bytes[3] = count;
            let listed = bytes.len().min(vector.listed_len(&bytes));
            for (bytes, is_mended) in [(bytes.clone(), false), (vector.mended(bytes, listed), true)] {
                let reason = vector.verdict(3 * 8, &bytes, TIME, is_mended);
                bench.refuses_to(reason, |bench| vector.hear(bench, &bytes));
            }
        }
    }
}

#[test]
fn trailer_at_a_router_without_keys_is_a_wrong_length() {
    for vector in &VECTORS {
        let keyed = vector.params(AuthMode::Enforce, TIME);
        let password = Auth::Password { password: Password::new(b"s3cr3t77"), mode: AuthMode::Permissive };
        for auth in [Auth::None, password] {
            let mut bench = backup(RouterParams { auth, ..keyed.clone() });
            bench.refuses_to(Discard::Length, |bench| vector.hear(bench, &vector.bytes()));
        }
    }
}

#[test]
fn bad_trailer_is_refused_in_every_mode() {
    for (vector, mode) in VECTORS.iter().flat_map(|vector| MODES.map(|mode| (vector, mode))) {
        let mut bench = vector.receiver_in(mode, TIME, StateName::Backup);
        let message_len = vector.message_len();
        for kind in (0..=255).filter(|kind| *kind != 1) {
            let mut bytes = vector.bytes();
            bytes[message_len] = kind;
            let bytes = vector.mended(bytes, message_len);
            bench.refuses_to(Discard::AuthMalformed, |bench| vector.hear(bench, &bytes));
        }
        for (at, reason) in [(1, Discard::UnknownKey), (4, Discard::Stale), (27, Discard::Hmac)] {
            let mut bytes = vector.bytes();
            bytes[message_len + at] ^= 2;
            let bytes = vector.mended(bytes, message_len);
            bench.refuses_to(reason, |bench| vector.hear(bench, &bytes));
        }
        let zero = vector.mended([&vector.bytes()[..message_len], &[0; 28]].concat(), message_len);
        bench.refuses_to(Discard::AuthMalformed, |bench| vector.hear(bench, &zero));
        bench.accepts_to(|bench| vector.hear(bench, &vector.bytes()));
    }
}

#[test]
fn key_of_64_bytes_counts_to_its_last() {
    let long: Vec<u8> = (100..164).collect();
    let mut other = long.clone();
    other[63] ^= 1;
    let params = keyed(unicast(v3()), &[(255, &long)], 255, AuthMode::Enforce, TIME);
    let mut bench = backup(params.clone());
    let packet = Packet::like(&params, 150);
    let now = stamp(bench.utc());
    bench.refuses(&signed_by(&packet, 255, &other, now), Discard::Hmac);
    bench.refuses(&signed_by(&packet, 254, &long, now), Discard::UnknownKey);
    bench.refuses(&signed_by(&packet, 0, &long, now), Discard::UnknownKey);
    bench.accepts(&signed_by(&packet, 255, &long, now));
}

#[test]
fn what_a_refused_trailer_said_is_told() {
    let params = enforced(v3());
    let packet = Packet::like(&params, 150);
    let told = |packet: &dyn Fn(Duration) -> Packet| {
        let mut bench = backup(params.clone());
        let seen = bench.hear(&packet(bench.utc()));
        let [EventKind::Discarded { refusal, peer, count: 1 }] = events(&seen)[..] else { panic!("{seen:?}") };
        assert_eq!(*peer, Some(IpAddr::from([192, 0, 2, 12])));
        (refusal.reason, refusal.evidence)
    };
    let skew = |is_ahead| Evidence::Skew(vrrpd::engine::output::ClockOffset { length: ms(7250), is_ahead });
    assert_eq!(told(&|now| signed(&packet, stamp(now - ms(7250)))), (Discard::Stale, skew(false)));
    assert_eq!(told(&|now| signed(&packet, stamp(now + ms(7250)))), (Discard::Stale, skew(true)));
    assert_eq!(told(&|now| signed_by(&packet, 9, &KEY, stamp(now))), (Discard::UnknownKey, Evidence::Key(9)));
    assert_eq!(told(&|now| signed_by(&packet, 1, &[7; 32], stamp(now))), (Discard::Hmac, Evidence::Key(1)));
    assert_eq!(told(&|_| packet.clone()), (Discard::AuthMissing, Evidence::None));
}

#[test]
fn who_knows_the_key_speaks_in_the_name_of_any_peer() {
    let peer = |last: u8| PeerParams {
        address: IpAddr::from([192, 0, 2, last]),
        priority: None,
        min_ttl: None,
        max_ttl: None,
    };
    let transport = Transport::Unicast { peers: vec![peer(12), peer(13)], also: None };
    let params = RouterParams { transport, ..enforced(v3()) };
    let packet = Packet::like(&params, 50);
    let mut bench = Bench::master(params);
    for last in [12, 13] {
        let packet = Packet { source: peer(last).address, ..packet.clone() };
        bench.accepts(&signed(&packet, stamp(bench.utc())));
    }
    let stranger = Packet { source: peer(14).address, ..packet.clone() };
    bench.refuses(&signed(&stranger, stamp(bench.utc())), Discard::NotAPeer);
    let heard = bench.snapshot().peers.iter().filter(|peer| peer.last_heard_at.is_some()).count();
    assert_eq!(heard, 2, "one sender is two nodes to the receiver");
}
