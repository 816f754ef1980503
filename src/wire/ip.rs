//! The IPv4 header: read in front of what a raw socket delivers, written in front of authenticated packets.
//!
//! One stop before: `net::socket`. One stop after: `wire::advert` (protocol 112) or `wire::ah` (51). IPv6 raw sockets
//! deliver no header. Refuses fragments: the kernel delivers whole packets.
//!
//! | byte | field (RFC 791 section 3.1) |
//! |---|---|
//! | 0 | version 4 (high nibble), header length in 4-byte words, 5 to 15 (low nibble) |
//! | 1 | type of service |
//! | 2, 3 | total length |
//! | 4, 5 | identification |
//! | 6, 7 | flags, fragment offset |
//! | 8 | TTL |
//! | 9 | protocol |
//! | 10, 11 | header checksum (the kernel's business) |
//! | 12..16, 16..20 | source, destination |
//! | 20.. | options |

use std::fmt;
use std::net::Ipv4Addr;

use super::checksum::{Sum, VRRP_PROTOCOL};

/// One received IPv4 packet, cut to its total length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Packet<'a> {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// Hops it may still go; 255: it has made none.
    pub ttl: u8,
    /// Which of the protocols that concern us.
    pub protocol: Protocol,
    /// The header with its options, 20 to 60 bytes.
    pub header: &'a [u8],
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Ipv4Packet<'a> {
    /// Reads a packet from the first byte of its IP header.
    ///
    /// A buffer longer than the total length (Ethernet padding) is cut. Never panics, never allocates.
    /// **Errors:** [`IpError`]; the sender's fault, or that of the path.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, IpError> {
        let Some(fixed) = bytes.first_chunk::<MIN_HEADER_LEN>() else {
            return Err(IpError::Incomplete { len: bytes.len(), needed: MIN_HEADER_LEN });
        };
        let [first, _, len_high, len_low, _, _, frag_high, frag_low, ttl, protocol, ..] = *fixed;
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
        if first >> 4 != 4 {
            return Err(IpError::Version(first >> 4));
        }
        let header_len = usize::from(first & 0x0f) * 4;
        if header_len < MIN_HEADER_LEN {
            return Err(IpError::HeaderLength { len: header_len });
        }
        let total_len = usize::from(u16::from_be_bytes([len_high, len_low]));
        let incomplete = IpError::Incomplete { len: bytes.len(), needed: header_len };
        if bytes.len() < header_len {
            return Err(incomplete);
        }
        if total_len < header_len {
            return Err(IpError::HeaderBeyondTotal { header_len, total_len });
        }
        let packet = bytes.get(..total_len).ok_or(IpError::Length { len: bytes.len(), total_len })?;
        let (header, payload) = packet.split_at_checked(header_len).ok_or(incomplete)?;
        if u16::from_be_bytes([frag_high, frag_low]) & MORE_FRAGMENTS_AND_OFFSET != 0 {
            return Err(IpError::Fragment);
        }
        let protocol = Protocol::new(protocol).ok_or(IpError::Protocol(protocol))?;
        let source = Ipv4Addr::new(s0, s1, s2, s3);
        let destination = Ipv4Addr::new(d0, d1, d2, d3);
        Ok(Self { source, destination, ttl, protocol, header, payload })
    }
}

/// An IPv4 header without options that our own packets begin with where the kernel must not choose it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Header {
    /// Own address.
    pub source: Ipv4Addr,
    /// A peer or the group.
    pub destination: Ipv4Addr,
    /// Identification; 0 makes the kernel choose another one.
    pub id: u16,
    /// What follows.
    pub protocol: Protocol,
}

impl Ipv4Header {
    /// Length in bytes.
    pub const LEN: usize = MIN_HEADER_LEN;

    /// Returns the header in front of `payload_len` bytes: type of service 0xc0, TTL 255, checksum filled.
    ///
    /// A total length over 65535 is written as 65535; the longest authenticated advert has 1080 bytes.
    pub fn emit(&self, payload_len: usize) -> [u8; Self::LEN] {
        let total_len = u16::try_from(Self::LEN + payload_len).unwrap_or(u16::MAX);
        let [len_high, len_low] = total_len.to_be_bytes();
        let [id_high, id_low] = self.id.to_be_bytes();
        let [s0, s1, s2, s3] = self.source.octets();
        let [d0, d1, d2, d3] = self.destination.octets();
        let protocol = self.protocol.number();
        let mut header =
            [0x45, TOS, len_high, len_low, id_high, id_low, 0, 0, TTL, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
        let [sum_high, sum_low] = Sum::of(&header).checksum().to_be_bytes();
        header[10] = sum_high;
        header[11] = sum_low;
        header
    }
}

/// The IP protocols that carry adverts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// 112.
    Vrrp,
    /// 51: an Authentication Header is in front.
    Ah,
}

impl Protocol {
    /// Returns the protocol of that number; `None` for any other.
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            VRRP_PROTOCOL => Some(Self::Vrrp),
            AH_PROTOCOL => Some(Self::Ah),
            _ => None,
        }
    }

    /// Returns 112 or 51.
    pub const fn number(self) -> u8 {
        match self {
            Self::Vrrp => VRRP_PROTOCOL,
            Self::Ah => AH_PROTOCOL,
        }
    }
}

/// Why bytes are no IPv4 packet that could hold an advert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IpError {
    /// Shorter than its header.
    Incomplete {
        /// Bytes there are.
        len: usize,
        /// Bytes there must be.
        needed: usize,
    },
    /// Another IP version than 4.
    Version(u8),
    /// A header length below 20 bytes.
    HeaderLength {
        /// What it claims, in bytes.
        len: usize,
    },
    /// A total length that does not even cover the header.
    HeaderBeyondTotal {
        /// In bytes.
        header_len: usize,
        /// In bytes.
        total_len: usize,
    },
    /// A total length beyond the bytes there are.
    Length {
        /// Bytes there are.
        len: usize,
        /// What it claims.
        total_len: usize,
    },
    /// A part of a packet.
    Fragment,
    /// Another protocol than 112 and 51.
    Protocol(u8),
}

impl fmt::Display for IpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { len, needed } => write!(f, "ip packet of {len} bytes, at least {needed} expected"),
            Self::Version(found) => write!(f, "ip version {found}, 4 expected"),
            Self::HeaderLength { len } => write!(f, "ip header of {len} bytes, at least {MIN_HEADER_LEN} expected"),
            Self::HeaderBeyondTotal { header_len, total_len } => {
                write!(f, "ip total length {total_len}, at least {header_len} expected")
            }
            Self::Length { len, total_len } => write!(f, "ip packet of {len} bytes, {total_len} expected"),
            Self::Fragment => f.write_str("ip fragment, whole packet expected"),
            Self::Protocol(found) => {
                write!(f, "ip protocol {found}, {VRRP_PROTOCOL} or {AH_PROTOCOL} expected")
            }
        }
    }
}

impl std::error::Error for IpError {}

/// The IP protocol number of the Authentication Header.
pub const AH_PROTOCOL: u8 = 51;

const MIN_HEADER_LEN: usize = 20;
const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3fff;
/// Internetwork control, as Keepalived and FRR send.
const TOS: u8 = 0xc0;
const TTL: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    /// Header of an advert from 192.0.2.12 to the group, and 20 bytes after it.
    fn packet() -> Vec<u8> {
        let source = Ipv4Addr::new(192, 0, 2, 12);
        let header = Ipv4Header { source, destination: Ipv4Addr::new(224, 0, 0, 18), id: 1, protocol: Protocol::Vrrp };
        [&header.emit(20)[..], &[9; 20]].concat()
    }

    fn with(mut bytes: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
        bytes[at] = value;
        bytes
    }

    #[test]
    fn emitted_header_equals_a_captured_one() {
        let expected = "45c0002800010000ff701886c000020ce0000012";
        let hex: String = packet()[..20].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn header_reads_field_by_field() {
        let bytes = packet();
        let read = Ipv4Packet::parse(&bytes).unwrap();
        assert_eq!(read.source, Ipv4Addr::new(192, 0, 2, 12));
        assert_eq!(read.destination, Ipv4Addr::new(224, 0, 0, 18));
        assert_eq!((read.ttl, read.protocol), (255, Protocol::Vrrp));
        assert_eq!((read.header, read.payload), (&bytes[..20], &[9; 20][..]));
        let ah = with(packet(), 9, 51);
        assert_eq!(Ipv4Packet::parse(&ah).unwrap().protocol, Protocol::Ah);
    }

    #[test]
    fn options_are_part_of_the_header() {
        let bytes = with(packet(), 0, 0x46);
        let read = Ipv4Packet::parse(&bytes).unwrap();
        assert_eq!((read.header.len(), read.payload.len()), (24, 16));
    }

    #[test]
    fn padding_is_cut_and_a_short_buffer_refused() {
        let padded = [packet(), vec![0; 6]].concat();
        assert_eq!(Ipv4Packet::parse(&padded).unwrap().payload, [9; 20]);
        for len in 20..40 {
            assert_eq!(Ipv4Packet::parse(&packet()[..len]), Err(IpError::Length { len, total_len: 40 }));
        }
        for len in 0..20 {
            assert_eq!(Ipv4Packet::parse(&packet()[..len]), Err(IpError::Incomplete { len, needed: 20 }));
        }
    }

    #[test]
    fn each_wrong_field_has_its_own_error() {
        for (at, value, error) in [
            (0, 0x65, IpError::Version(6)),
            (0, 0x44, IpError::HeaderLength { len: 16 }),
            (0, 0x4f, IpError::Incomplete { len: 40, needed: 60 }),
            (3, 19, IpError::HeaderBeyondTotal { header_len: 20, total_len: 19 }),
            (3, 41, IpError::Length { len: 40, total_len: 41 }),
            (6, 0x20, IpError::Fragment),
            (7, 0x01, IpError::Fragment),
            (9, 113, IpError::Protocol(113)),
        ] {
            assert_eq!(Ipv4Packet::parse(&with(packet(), at, value)), Err(error));
        }
    }

    #[test]
    fn do_not_fragment_is_no_fragment() {
        assert!(Ipv4Packet::parse(&with(packet(), 6, 0x40)).is_ok());
    }

    #[test]
    fn errors_say_what_was_found_and_expected() {
        assert_eq!(IpError::Protocol(113).to_string(), "ip protocol 113, 112 or 51 expected");
        assert_eq!(IpError::Length { len: 40, total_len: 41 }.to_string(), "ip packet of 40 bytes, 41 expected");
    }
}
