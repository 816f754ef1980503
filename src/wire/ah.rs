//! The Authentication Header of version 2, authentication type 2, as Keepalived sends it.
//!
//! One stop before: `wire::ip` (protocol 51). One stop after: `wire::advert`, and `engine::replay` for the sequence.
//! RFC 2338 section 5.3.6.3 names it; layout and digest are those of RFC 2402 and RFC 2403.
//!
//! | byte | field |
//! |---|---|
//! | 0 | next header: 112 |
//! | 1 | length in 4-byte words less 2: 4 |
//! | 2, 3 | reserved |
//! | 4..8 | security parameters index: the source address |
//! | 8..12 | sequence |
//! | 12..24 | first 12 bytes of HMAC-MD5 |
//!
//! The digest covers IP header, this header with a digest of 0, and message. What routers may change counts as 0: type
//! of service, flags, fragment offset, header checksum and, in a unicast packet, TTL. Keepalived leaves the TTL in when
//! the packet goes to a group.

use std::fmt;
use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::auth::Password;
use super::checksum::VRRP_PROTOCOL;
use super::ip::Ipv4Packet;

/// A valid Authentication Header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuthHeader {
    /// Security parameters index; Keepalived puts the source address here.
    pub spi: Ipv4Addr,
    /// Counts adverts, 1 the first.
    pub sequence: u32,
    /// Digest, proven only by [`is_authentic`].
    pub icv: [u8; ICV_LEN],
}

impl AuthHeader {
    /// Length in bytes.
    pub const LEN: usize = 24;

    /// Reads the header in front of a message; returns it and the message.
    ///
    /// The digest is not looked at. Never panics, never allocates.
    /// **Errors:** [`AhError`], the sender's fault; `NextHeader` means that the packet does not concern us.
    pub fn parse(payload: &[u8]) -> Result<(Self, &[u8]), AhError> {
        let Some((header, message)) = payload.split_first_chunk::<{ Self::LEN }>() else {
            return Err(AhError::Incomplete { len: payload.len(), needed: Self::LEN });
        };
        let [next, words, _, _, a, b, c, d, s0, s1, s2, s3, icv @ ..] = *header;
        if next != VRRP_PROTOCOL {
            return Err(AhError::NextHeader(next));
        }
        if words != LENGTH_FIELD {
            return Err(AhError::Length(words));
        }
        let (spi, sequence) = (Ipv4Addr::new(a, b, c, d), u32::from_be_bytes([s0, s1, s2, s3]));
        Ok((Self { spi, sequence, icv }, message))
    }

    /// Makes the header for a message that `ip_header` will carry, with the index set to `source`.
    ///
    /// `ip_header`: as it will leave, total length and identification included (`wire::ip::Ipv4Header::emit` with the
    /// length of both header and message). `destination`: decides whether the TTL is covered.
    pub fn sign(
        key: &Password,
        ip_header: &[u8],
        source: Ipv4Addr,
        destination: Ipv4Addr,
        sequence: u32,
        message: &[u8],
    ) -> Self {
        let mut header = Self { spi: source, sequence, icv: [0; ICV_LEN] };
        header.icv = digest(key, ip_header, destination, &header.prefix(), message);
        header
    }

    /// Returns the header's bytes.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..PREFIX_LEN].copy_from_slice(&self.prefix());
        bytes[PREFIX_LEN..].copy_from_slice(&self.icv);
        bytes
    }

    /// Returns what stands before the digest.
    fn prefix(&self) -> [u8; PREFIX_LEN] {
        let [a, b, c, d] = self.spi.octets();
        let [s0, s1, s2, s3] = self.sequence.to_be_bytes();
        [VRRP_PROTOCOL, LENGTH_FIELD, 0, 0, a, b, c, d, s0, s1, s2, s3]
    }
}

/// Says whether a received packet was made by somebody who knows the key and names its source as index.
///
/// Takes the same time wherever the first wrong byte of the digest is. False for a packet without a whole header.
pub fn is_authentic(key: &Password, packet: &Ipv4Packet<'_>) -> bool {
    let Some((prefix, rest)) = packet.payload.split_first_chunk::<PREFIX_LEN>() else {
        return false;
    };
    let Some((icv, message)) = rest.split_first_chunk::<ICV_LEN>() else {
        return false;
    };
    let [_, _, _, _, spi @ .., _, _, _, _] = prefix;
    let expected = digest(key, packet.header, packet.destination, prefix, message);
    let is_same: bool = expected.ct_eq(icv).into();
    is_same && *spi == packet.source.octets()
}

/// Computes the first 12 bytes of HMAC-MD5 over a packet. Options of the IP header are covered as they are.
fn digest(
    key: &Password,
    ip_header: &[u8],
    destination: Ipv4Addr,
    prefix: &[u8; PREFIX_LEN],
    message: &[u8],
) -> [u8; ICV_LEN] {
    // HMAC fills a short key with zeros up to its block, so the filled block is the same key.
    let mut block = Zeroizing::new([0; MD5_BLOCK_LEN]);
    block.iter_mut().zip(key.as_bytes()).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Md5>::new((&*block).into());
    for (at, byte) in ip_header.iter().enumerate() {
        let is_mutable = match at {
            1 | 6 | 7 | 10 | 11 => true,
            8 => !destination.is_multicast(),
            _ => false,
        };
        mac.update(&[if is_mutable { 0 } else { *byte }]);
    }
    mac.update(prefix);
    mac.update(&[0; ICV_LEN]);
    mac.update(message);
    let full: [u8; 16] = mac.finalize().into_bytes().into();
    let mut icv = [0; ICV_LEN];
    icv.copy_from_slice(&full[..ICV_LEN]);
    icv
}

/// Why bytes are no Authentication Header in front of a VRRP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AhError {
    /// Shorter than the header.
    Incomplete {
        /// Bytes there are.
        len: usize,
        /// Bytes there must be.
        needed: usize,
    },
    /// Something else than VRRP follows.
    NextHeader(u8),
    /// A length field for another digest than 12 bytes.
    Length(u8),
}

impl fmt::Display for AhError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { len, needed } => {
                write!(f, "authentication header of {len} bytes, {needed} expected")
            }
            Self::NextHeader(found) => write!(f, "next header {found}, {VRRP_PROTOCOL} expected"),
            Self::Length(found) => write!(f, "authentication header length {found}, {LENGTH_FIELD} expected"),
        }
    }
}

impl std::error::Error for AhError {}

/// Length in bytes of the digest as sent.
pub const ICV_LEN: usize = 12;

const PREFIX_LEN: usize = AuthHeader::LEN - ICV_LEN;
const LENGTH_FIELD: u8 = 4;
const MD5_BLOCK_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ip::{Ipv4Header, Protocol};

    const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 12);
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 11);
    const MESSAGE: [u8; 20] = [0x21, 54, 150, 1, 2, 1, 0x84, 0x5f, 192, 0, 2, 103, 0, 0, 0, 0, 0, 0, 0, 0];

    fn packet(destination: Ipv4Addr) -> Vec<u8> {
        let header = Ipv4Header { source: SOURCE, destination, id: 11, protocol: Protocol::Ah };
        let header = header.emit(AuthHeader::LEN + MESSAGE.len());
        let ah = AuthHeader::sign(&Password::new(b"ahkey12"), &header, SOURCE, destination, 11, &MESSAGE);
        [&header[..], &ah.emit(), &MESSAGE].concat()
    }

    fn is_good(bytes: &[u8], key: &[u8]) -> bool {
        is_authentic(&Password::new(key), &Ipv4Packet::parse(bytes).unwrap())
    }

    #[test]
    fn signed_packet_equals_a_known_one() {
        let hex: String = packet(GROUP)[20..44].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "70040000c000020c0000000b4fb96e47ed798b76c0422cf5");
    }

    #[test]
    fn header_reads_field_by_field() {
        let bytes = packet(GROUP);
        let (ah, message) = AuthHeader::parse(&bytes[20..]).unwrap();
        assert_eq!((ah.spi, ah.sequence, message), (SOURCE, 11, &MESSAGE[..]));
        assert_eq!(ah.emit(), bytes[20..44]);
    }

    #[test]
    fn every_covered_bit_is_proven_and_every_mutable_one_is_not() {
        for destination in [GROUP, PEER] {
            let good = packet(destination);
            assert!(is_good(&good, b"ahkey12") && !is_good(&good, b"ahkey13"));
            for bit in 0..good.len() * 8 {
                let at = bit / 8;
                // Version and lengths decide how the packet is cut, flags whether it is one, protocol whose it is.
                if matches!(at, 0 | 2 | 3 | 6 | 7 | 9) {
                    continue;
                }
                let mut damaged = good.clone();
                damaged[at] ^= 1 << (bit % 8);
                let is_mutable = matches!(at, 1 | 10 | 11) || (at == 8 && destination == PEER);
                assert_eq!(is_good(&damaged, b"ahkey12"), is_mutable, "bit {bit} to {destination}");
            }
        }
    }

    #[test]
    fn do_not_fragment_flag_may_be_set() {
        let mut bytes = packet(GROUP);
        bytes[6] = 0x40;
        assert!(is_good(&bytes, b"ahkey12"));
    }

    #[test]
    fn index_must_be_the_source() {
        let header = Ipv4Header { source: SOURCE, destination: GROUP, id: 11, protocol: Protocol::Ah };
        let header = header.emit(AuthHeader::LEN + MESSAGE.len());
        let ah = AuthHeader::sign(&Password::new(b"ahkey12"), &header, PEER, GROUP, 11, &MESSAGE);
        assert!(!is_good(&[&header[..], &ah.emit(), &MESSAGE].concat(), b"ahkey12"));
    }

    #[test]
    fn each_wrong_field_has_its_own_error() {
        let payload = packet(GROUP).split_off(20);
        for len in 0..AuthHeader::LEN {
            assert_eq!(AuthHeader::parse(&payload[..len]), Err(AhError::Incomplete { len, needed: 24 }));
        }
        let mut tcp = payload.clone();
        tcp[0] = 6;
        assert_eq!(AuthHeader::parse(&tcp), Err(AhError::NextHeader(6)));
        let mut longer = payload;
        longer[1] = 5;
        assert_eq!(AuthHeader::parse(&longer), Err(AhError::Length(5)));
        assert_eq!(AhError::NextHeader(6).to_string(), "next header 6, 112 expected");
    }

    #[test]
    fn packet_without_a_whole_header_is_not_authentic() {
        for len in 0..AuthHeader::LEN {
            let header = Ipv4Header { source: SOURCE, destination: GROUP, id: 11, protocol: Protocol::Ah };
            let bytes = [&header.emit(len)[..], &vec![0; len]].concat();
            assert!(!is_good(&bytes, b"ahkey12"), "{len} bytes");
        }
    }
}
