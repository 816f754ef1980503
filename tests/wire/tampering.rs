//! Every bit of every authenticated packet in the captures, turned over one at a time: which check finds it, and which
//! bits nothing covers.
//!
//! What no check of these two mechanisms sees, and why:
//!
//! | mechanism | bits | why |
//! |---|---|---|
//! | HMAC, IPv4 | IP header but source, length and protocol | the trailer signs source and message; one signed message goes to every peer, so neither the destination nor what routers change is signed. The kernel drops a bad header checksum |
//! | HMAC, IPv6 | traffic class, flow label, hop limit | the same; the destination is in the checksum |
//! | AH | type of service, TTL of a unicast packet, header checksum, do-not-fragment and reserved flag | RFC 2402 counts as 0 what routers may change; Keepalived leaves the TTL in when the packet goes to a group |

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use vrrpd::wire::advert::{Received, TRAILER_LEN};
use vrrpd::wire::ah::{self, AuthHeader};
use vrrpd::wire::auth::{Key, Origin, Password, Trailer};
use vrrpd::wire::checksum::{self, ChecksumForm};
use vrrpd::wire::field::{Family, Version, Vrid};
use vrrpd::wire::ip::{Ipv4Packet, Protocol};

use crate::pcap;

#[test]
fn each_bit_of_a_signed_v2_advert_is_found_or_is_outside_the_signature() {
    let packets = packets("k24-v2-hmac-unicast.pcap", 112);
    assert_eq!(packets.len(), 5);
    for packet in packets {
        let found = verdicts(&packet, |bytes| signed_v4(Version::V2, 92, bytes));
        let outside = [1, 4, 5, 8, 10, 11, 16, 17, 18, 19];
        assert_outside(&packet, &found, &outside, |at, bit| at == 6 && bit >= 6);
        // The message begins at 20: the trailer, at 48 - 28, behind 20 bytes of it.
        assert_eq!(packet.len(), 20 + 20 + TRAILER_LEN);
        assert_region(&found, 12..16, &["not authentic"]); // source
        assert_region(&found, 20..26, &["version", "type", "vrid", "length", "checksum"]);
        assert_region(&found, 26..28, &["checksum"]);
        assert_region(&found, 28..40, &["checksum"]);
        assert_region(&found, 40..41, &["malformed"]);
        assert_region(&found, 41..42, &["unknown key"]);
        assert_region(&found, 42..44, &["malformed"]);
        assert_region(&found, 44..68, &["not authentic"]);
    }
}

#[test]
fn each_bit_of_a_signed_v3_ipv6_advert_is_found_or_is_outside_the_signature() {
    let packets = packets("k24-v3-ipv6-hmac-unicast.pcap", 112);
    assert_eq!(packets.len(), 5);
    for packet in packets {
        let found = verdicts(&packet, |bytes| signed_v6(94, bytes));
        // Payload length is in the header, which a raw socket leaves out: the kernel cuts by it.
        let outside = [0, 1, 2, 3, 4, 5, 6, 7];
        assert_outside(&packet, &found, &outside, |_, _| false);
        assert_region(&found, 8..40, &["checksum"]);
        assert_region(&found, 46..48, &["checksum"]);
        // A checksum of 16 bits is no proof: what it sees is seen by the signature as well.
        let summed = verdicts(&packet, |bytes| signed_v6(94, &with_checksum(bytes)));
        assert_region(&summed, 8..24, &["not authentic"]); // source
        assert_region(&summed, 40..46, &["version", "vrid", "type", "not authentic", "length"]);
        assert_region(&summed, 48..80, &["not authentic"]);
        assert_region(&summed, 80..81, &["malformed"]);
        assert_region(&summed, 81..82, &["unknown key"]);
        assert_region(&summed, 82..84, &["malformed"]);
        assert_region(&summed, 84..108, &["not authentic"]);
        assert_eq!(packet.len(), 108);
    }
}

#[test]
fn the_signature_of_a_v2_advert_needs_no_checksum() {
    for packet in packets("k24-v2-hmac-unicast.pcap", 112) {
        let summed = verdicts(&packet, |bytes| {
            let mut bytes = bytes.to_vec();
            let end = bytes.len().saturating_sub(TRAILER_LEN);
            if let Some(message) = bytes.get_mut(20..end) {
                fill(Version::V2, IpAddr::from([192, 0, 2, 12]), IpAddr::from([192, 0, 2, 11]), message);
            }
            signed_v4(Version::V2, 92, &bytes)
        });
        assert_region(&summed, 20..26, &["version", "vrid", "type", "length", "not authentic"]);
        assert_region(&summed, 28..40, &["not authentic"]);
    }
}

#[test]
fn each_bit_of_an_authenticated_packet_is_found_or_may_be_changed_by_routers() {
    for (file, count) in [("k-v2-ah-multicast.pcap", 5), ("k-v2-ah-unicast-2peers.pcap", 8)] {
        let packets = packets(file, 51);
        assert_eq!(packets.len(), count, "{file}");
        for packet in packets {
            let is_multicast = (224..240).contains(&packet[16]);
            let found = verdicts(&packet, authenticated);
            let outside: &[usize] = if is_multicast { &[1, 10, 11] } else { &[1, 8, 10, 11] };
            assert_outside(&packet, &found, outside, |at, bit| at == 6 && bit >= 6);
            assert_region(&found, 4..6, &["not authentic"]); // identification
            assert_region(&found, 6..8, &["good", "ip"]); // flags: fragments are refused, the digest leaves them out
            // An address may turn into one of a group, and then the TTL counts, too: no packet is good by that.
            assert_region(&found, 12..20, &["not authentic"]);
            assert_region(&found, 20..22, &["ah"]); // next header and length
            assert_region(&found, 22..44, &["not authentic"]); // reserved, index, sequence, digest
            assert_region(&found, 44..packet.len(), &["not authentic"]);
        }
    }
}

#[test]
fn no_cut_and_no_growth_of_an_authenticated_packet_is_believed() {
    let v2 = packets("k24-v2-hmac-unicast.pcap", 112);
    let v6 = packets("k24-v3-ipv6-hmac-unicast.pcap", 112);
    for packet in &v2 {
        for len in 20..packet.len() {
            assert_ne!(signed_v4(Version::V2, 92, &with_total(&packet[..len])), "good", "cut to {len}");
        }
        let trailer = &packet[packet.len() - TRAILER_LEN..];
        for extra in [&[0][..], &[0; 28], trailer, &packet[20..]] {
            let grown = [&packet[..], extra].concat();
            assert_eq!(signed_v4(Version::V2, 92, &with_total(&grown)), "length", "{} more bytes", extra.len());
        }
    }
    for packet in &v6 {
        for len in 40..packet.len() {
            assert_ne!(signed_v6(94, &with_checksum(&packet[..len])), "good", "cut to {len}");
        }
        let twice = [&packet[..], &packet[packet.len() - TRAILER_LEN..]].concat();
        assert_eq!(signed_v6(94, &with_checksum(&twice)), "length");
    }
    for packet in packets("k-v2-ah-multicast.pcap", 51) {
        for len in 20..packet.len() {
            assert_ne!(authenticated(&with_total(&packet[..len])), "good", "cut to {len}");
        }
        assert_eq!(authenticated(&with_total(&[&packet[..], &[0]].concat())), "not authentic");
    }
}

#[test]
fn a_signed_advert_is_of_one_router_one_version_and_one_key() {
    for packet in packets("k24-v2-hmac-unicast.pcap", 112) {
        let ip = Ipv4Packet::parse(&packet).unwrap();
        let (message, raw) = ip.payload.split_last_chunk().unwrap();
        let trailer = Trailer::parse(raw).unwrap();
        let good = Origin { version: Version::V2, vrid: Vrid::new(92).unwrap(), source: ip.source.into() };
        assert!(trailer.is_authentic(&key(), &good, message));
        for vrid in (1..=255).filter(|vrid| *vrid != 92).filter_map(Vrid::new) {
            assert!(!trailer.is_authentic(&key(), &Origin { vrid, ..good }, message), "VRID {vrid}");
        }
        assert!(!trailer.is_authentic(&key(), &Origin { version: Version::V3, ..good }, message));
        let padded = Ipv6Addr::from([192, 0, 2, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).into();
        assert!(!trailer.is_authentic(&key(), &Origin { source: padded, ..good }, message), "the family is signed");
        for bit in 0..KEY.len() * 8 {
            let mut other = KEY;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!trailer.is_authentic(&Key::new(&other).unwrap(), &good, message), "bit {bit} of the key");
        }
    }
}

/// Judges a packet whose router is known, as a receiver must: the first check that fails.
fn judge(version: Version, vrid: u8, source: IpAddr, destination: IpAddr, payload: &[u8]) -> &'static str {
    let Ok(received) = Received::parse(version, Family::of(&source), payload, true) else {
        return match payload.first() {
            Some(first) if first >> 4 != version.number() => "version",
            Some(first) if first & 15 != 1 => "type",
            Some(_) | None => "length",
        };
    };
    if received.advert.vrid.get() != vrid {
        return "vrid";
    }
    if checksum::recognise(version, source, destination, received.summed, &ChecksumForm::ALL).is_none() {
        return "checksum";
    }
    let Some(raw) = received.trailer else { return "missing" };
    let Ok(trailer) = Trailer::parse(raw) else { return "malformed" };
    if trailer.key_id != KEY_ID {
        return "unknown key";
    }
    let origin = Origin { version, vrid: received.advert.vrid, source };
    if trailer.is_authentic(&key(), &origin, received.message) { "good" } else { "not authentic" }
}

fn signed_v4(version: Version, vrid: u8, bytes: &[u8]) -> &'static str {
    match Ipv4Packet::parse(bytes) {
        Ok(packet) if packet.protocol == Protocol::Vrrp => {
            judge(version, vrid, packet.source.into(), packet.destination.into(), packet.payload)
        }
        Ok(_) | Err(_) => "ip",
    }
}

/// Judges an IPv6 packet as a raw socket delivers it: its header is read for the addresses alone.
fn signed_v6(vrid: u8, bytes: &[u8]) -> &'static str {
    judge(Version::V3, vrid, address_v6(bytes, 8), address_v6(bytes, 24), &bytes[40..])
}

fn authenticated(bytes: &[u8]) -> &'static str {
    let Ok(packet) = Ipv4Packet::parse(bytes) else { return "ip" };
    if packet.protocol != Protocol::Ah {
        return "ip";
    }
    if AuthHeader::parse(packet.payload).is_err() {
        return "ah";
    }
    if ah::is_authentic(&Password::new(b"ahkey12"), &packet) { "good" } else { "not authentic" }
}

/// Returns the verdict for each byte and bit that is turned over. The packet itself must be good.
fn verdicts(packet: &[u8], judge: impl Fn(&[u8]) -> &'static str) -> BTreeMap<(usize, usize), &'static str> {
    assert_eq!(judge(packet), "good");
    let bits = (0..packet.len()).flat_map(|at| (0..8).map(move |bit| (at, bit)));
    bits.map(|(at, bit)| {
        let mut damaged = packet.to_vec();
        damaged[at] ^= 1 << bit;
        ((at, bit), judge(&damaged))
    })
    .collect()
}

/// Asserts that damage passes exactly in these bytes and bits.
fn assert_outside(
    packet: &[u8],
    found: &BTreeMap<(usize, usize), &'static str>,
    bytes: &[usize],
    is_bit_outside: impl Fn(usize, usize) -> bool,
) {
    assert_eq!(found.len(), packet.len() * 8);
    for (&(at, bit), &verdict) in found {
        let is_outside = bytes.contains(&at) || is_bit_outside(at, bit);
        assert_eq!(verdict == "good", is_outside, "byte {at} bit {bit}: {verdict}");
    }
}

/// Asserts that damage in these bytes is found as one of these.
fn assert_region(found: &BTreeMap<(usize, usize), &'static str>, region: std::ops::Range<usize>, expected: &[&str]) {
    for at in region {
        for bit in 0..8 {
            let verdict = found[&(at, bit)];
            assert!(expected.contains(&verdict), "byte {at} bit {bit}: {verdict}");
        }
    }
}

/// Returns the IP packets of one protocol in a capture.
fn packets(file: &str, protocol: u8) -> Vec<Vec<u8>> {
    let is_wanted = |frame: &Vec<u8>| match frame[12..14] {
        [0x08, 0x00] => frame[14 + 9] == protocol,
        [0x86, 0xdd] => frame[14 + 6] == protocol,
        _ => false,
    };
    let frames = pcap::frames(&pcap::path("captures").join(file));
    frames.into_iter().filter(is_wanted).map(|frame| frame[14..].to_vec()).collect()
}

/// Returns an IPv4 packet whose total length is that of its bytes.
fn with_total(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet
}

/// Returns an IPv6 packet whose checksum is that of its bytes.
fn with_checksum(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let (source, destination) = (address_v6(&packet, 8), address_v6(&packet, 24));
    fill(Version::V3, source, destination, &mut packet[40..]);
    packet
}

fn fill(version: Version, source: IpAddr, destination: IpAddr, message: &mut [u8]) {
    if message.len() >= 8 {
        checksum::fill(version, ChecksumForm::Pseudo, source, destination, message);
    }
}

fn address_v6(packet: &[u8], at: usize) -> IpAddr {
    IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap())
}

fn key() -> Key {
    Key::new(&KEY).unwrap()
}

/// The bytes 00 to 1f.
const KEY: [u8; 32] = {
    let mut key = [0; 32];
    let mut at = 0;
    while at < 32 {
        key[at] = at as u8;
        at += 1;
    }
    key
};

const KEY_ID: u8 = 7;
