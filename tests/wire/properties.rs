//! What holds for any bytes whatever. The fuzz target includes this file; the tests run it over a fixed set of cases.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrpd::wire::advert::{Header, Received, TRAILER_LEN, message_len};
use vrrpd::wire::ah::{self, AuthHeader};
use vrrpd::wire::auth::{Password, Trailer};
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
    assert!(!is_authentic || packet.payload.len() >= AuthHeader::LEN);
    true
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
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Xorshift: the same cases in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, bound: usize) -> usize {
            (self.roll() >> 16) as usize % bound
        }

        fn bytes(&mut self, len: usize) -> Vec<u8> {
            (0..len).map(|_| (self.roll() >> 24) as u8).collect()
        }

        /// A message that is good but for random fields, and in half of all cases for a few bytes or its length.
        fn message(&mut self) -> Vec<u8> {
            let count = self.below(4) as u8;
            let (version, family) =
                [(Version::V2, Family::V4), (Version::V3, Family::V4), (Version::V3, Family::V6)][self.below(3)];
            let trailer = if self.below(2) == 0 { TRAILER_LEN } else { 0 };
            let mut bytes = self.bytes(message_len(version, family, count) + trailer);
            bytes[0] = version.number() << 4 | 1;
            bytes[3] = count;
            if self.below(2) == 0 {
                for _ in 0..1 + self.below(3) {
                    let at = self.below(bytes.len());
                    bytes[at] = (self.roll() >> 24) as u8;
                }
                let len = bytes.len() + self.below(8);
                bytes.resize(len.saturating_sub(self.below(8)), 0);
            }
            bytes
        }
    }

    #[test]
    fn two_hundred_thousand_messages_read_and_write_alike() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let mut count = 0;
        for case in 0..200_000 {
            let bytes = match case % 4 {
                0 => {
                    let len = dice.below(64);
                    dice.bytes(len)
                }
                _ => dice.message(),
            };
            count += check_advert(&bytes);
        }
        assert!(count > 50_000, "only {count} readings succeeded: the cases show nothing");
    }

    #[test]
    fn fifty_thousand_packets_are_read_and_cut() {
        let mut dice = Dice(0x2545_f491_4f6c_dd1d);
        let mut count = 0;
        for _ in 0..50_000 {
            let message = dice.message();
            let protocol = [51, 112][dice.below(2)];
            let mut bytes = dice.bytes(20);
            bytes[0] = 0x45 + dice.below(2) as u8;
            bytes[6] &= 0x40;
            bytes[7] = 0;
            bytes[9] = protocol;
            if protocol == 51 {
                bytes.extend_from_slice(&[112, 4]);
                bytes.extend(dice.bytes(22));
            }
            bytes.extend(message);
            let total = bytes.len() - dice.below(3);
            bytes[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            count += usize::from(check_packet(&bytes));
        }
        assert!(count > 25_000, "only {count} packets were read: the cases show nothing");
    }
}
