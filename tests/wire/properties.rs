//! What holds for any bytes whatever. The fuzz target includes this file; `random` runs it over a fixed set of cases.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrpd::wire::advert::{Advert, Header, Received, TRAILER_LEN, message_len};
use vrrpd::wire::ah::{self, AuthHeader};
use vrrpd::wire::auth::{Key, Origin, Password, Trailer};
use vrrpd::wire::checksum::{self, ChecksumForm};
use vrrpd::wire::field::{Family, Version};
use vrrpd::wire::ip::Ipv4Packet;

/// Reads bytes as an advert of each version and family; what reads is written, and reads again as the same.
///
/// Returns how many of the readings succeeded. Panics when the property does not hold.
pub fn check_advert(bytes: &[u8]) -> usize {
    let mut count = 0;
    for version in [Version::V2, Version::V3] {
        for family in [Family::V4, Family::V6] {
            for is_trailer_permitted in [false, true] {
                if let Ok(received) = Received::parse(version, family, bytes, is_trailer_permitted) {
                    check_received(family, bytes, &received);
                    count += 1;
                }
            }
        }
    }
    count
}

/// Reads bytes as an IPv4 packet and what is in it. Returns whether they are one.
pub fn check_packet(bytes: &[u8]) -> bool {
    let Ok(packet) = Ipv4Packet::parse(bytes) else { return false };
    let cut = [packet.header, packet.payload].concat();
    assert_eq!(cut, bytes[..cut.len()], "header and payload are what the packet begins with");
    assert_eq!(Ipv4Packet::parse(&cut), Ok(packet), "the cut packet is the same");
    let is_authentic = ah::is_authentic(&Password::new(b"ahkey12"), &packet);
    match AuthHeader::parse(packet.payload) {
        Ok((header, message)) => {
            let written = [&header.emit()[..], message].concat();
            assert_eq!(written[..2], packet.payload[..2]);
            assert_eq!(written[4..], packet.payload[4..], "all but the reserved bytes");
            check_advert(message);
        }
        Err(_) => {
            check_advert(packet.payload);
        }
    }
    if is_authentic {
        check_authentic(&packet);
    }
    true
}

/// Who signs the message of an authentic packet again gets its digest.
fn check_authentic(packet: &Ipv4Packet<'_>) {
    // Who knows the key may sign a packet that holds no VRRP.
    let Ok((header, message)) = AuthHeader::parse(packet.payload) else { return };
    let key = Password::new(b"ahkey12");
    let reserved = packet.payload.get(2..4) == Some(&[0, 0]);
    let (source, destination) = (packet.source, packet.destination);
    let again = AuthHeader::sign(&key, packet.header, source, destination, header.sequence, message);
    assert!(again == header || !reserved, "{again:?}");
}

fn check_received(family: Family, bytes: &[u8], received: &Received<'_>) {
    let advert = received.advert;
    assert!(advert.version == Version::V3 || family == Family::V4, "version 2 is IPv4");
    let count = advert.addresses.count();
    assert_eq!(advert.addresses.iter().count(), usize::from(count));
    assert!(advert.addresses.iter().all(|address| Family::of(&address) == family));
    assert!(advert.interval.centiseconds() > 0);
    let len = message_len(advert.version, family, count);
    assert_eq!((received.message, advert.message_len()), (&bytes[..len], len));
    assert_eq!(bytes.len() - len, if received.trailer.is_some() { TRAILER_LEN } else { 0 });
    let header = Header::parse(bytes).expect("what reads as a whole has a header");
    assert_eq!((header.vrid, header.count), (advert.vrid.get(), count));

    let mut written = Vec::new();
    advert.emit(&mut written);
    let mut expected = received.message.to_vec();
    checksum::write(&mut expected, 0);
    if advert.version == Version::V3 {
        expected[4] &= 0x0f;
    }
    assert_eq!(written, expected, "all but checksum and reserved bits");
    let again = Received::parse(advert.version, family, &written, false).expect("what was written reads");
    assert_eq!(again.advert, advert);
    check_checksum(advert.version, family, &mut written);

    if let Some(raw) = received.trailer
        && let Ok(trailer) = Trailer::parse(raw)
    {
        assert_eq!(trailer.emit(), *raw);
        check_trailer(&advert, received.message, &trailer);
    }
}

/// A trailer is authentic exactly when it is the one that is signed for the same message.
fn check_trailer(advert: &Advert<'_>, message: &[u8], trailer: &Trailer) {
    let key = Key::new(&KEY).expect("32 bytes are a key");
    let source = match advert.addresses.iter().next() {
        Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        Some(IpAddr::V4(_)) | None => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 12)),
    };
    let origin = Origin { version: advert.version, vrid: advert.vrid, source };
    let signed = Trailer::sign(&key, trailer.key_id, trailer.sequence, &origin, message);
    assert!(signed.is_authentic(&key, &origin, message));
    assert_eq!(trailer.is_authentic(&key, &origin, message), signed == *trailer);
}

/// A filled checksum is good in its form, and recognised as that or an earlier one.
fn check_checksum(version: Version, family: Family, message: &mut [u8]) {
    let (source, destination): (IpAddr, IpAddr) = match family {
        Family::V4 => (Ipv4Addr::new(192, 0, 2, 12).into(), Ipv4Addr::new(192, 0, 2, 11).into()),
        Family::V6 => (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()),
    };
    for form in ChecksumForm::ALL {
        checksum::fill(version, form, source, destination, message);
        assert!(checksum::verify(version, form, source, destination, message), "{form:?}");
        let found = checksum::recognise(version, source, destination, message, &ChecksumForm::ALL);
        match (version, family) {
            (Version::V3, Family::V4) => assert_eq!(found, Some(form)),
            (Version::V2, Family::V4) | (_, Family::V6) => assert!(found.is_some()),
        }
    }
}

/// That of the captures: the bytes 00 to 1f.
const KEY: [u8; 32] = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\
    \x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
