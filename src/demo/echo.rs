//! ICMP echo, both families, as a raw socket wants it.

use crate::wire::checksum::Sum;
use crate::wire::field::Family;

/// Length of a request in bytes: header and an 8-byte sequence number.
pub const REQUEST_LEN: usize = 16;

/// Makes an echo request that carries `sequence`.
///
/// The checksum of ICMPv6 is left to the kernel, which fills it in on every ICMPv6 raw socket.
pub fn request(family: Family, sequence: u64) -> [u8; REQUEST_LEN] {
    let mut packet = [0; REQUEST_LEN];
    packet[0] = match family {
        Family::V4 => 8,
        Family::V6 => 128,
    };
    packet[4..6].copy_from_slice(&IDENTIFIER.to_be_bytes());
    packet[8..].copy_from_slice(&sequence.to_be_bytes());
    if family == Family::V4 {
        let sum = Sum::of(&packet).checksum();
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// Returns the sequence number of an echo reply to a [`request`]; `None` for anything else. `message` begins with the
/// ICMP header.
pub fn parse_reply(family: Family, message: &[u8]) -> Option<u64> {
    let kind = match family {
        Family::V4 => 0,
        Family::V6 => 129,
    };
    let is_ours = *message.first()? == kind && message.get(4..6)? == IDENTIFIER.to_be_bytes();
    let sequence: [u8; 8] = message.get(8..REQUEST_LEN)?.try_into().ok()?;
    is_ours.then(|| u64::from_be_bytes(sequence))
}

/// The same for every prober: each has a namespace to itself.
const IDENTIFIER: u16 = 0x7672;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_good_checksum_and_its_reply_is_known() {
        let mut packet = request(Family::V4, 0x0102_0304);
        assert!(Sum::of(&packet).is_good(), "the sum over a packet with a good checksum");
        assert_eq!(parse_reply(Family::V4, &packet), None, "a request is no reply");
        packet[0] = 0;
        assert_eq!(parse_reply(Family::V4, &packet), Some(0x0102_0304));
        assert_eq!(parse_reply(Family::V4, &packet[..15]), None);
        packet[4] ^= 1;
        assert_eq!(parse_reply(Family::V4, &packet), None, "somebody else's reply");
    }
}
