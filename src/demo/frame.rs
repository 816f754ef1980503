//! What a tap on a switch port tells about VRRP: adverts and announcements, read from Ethernet frames.
//!
//! Written apart from `wire` and reading only what the laboratory needs, so that a mistake in one shows in the other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use socket2::SockFilter;

/// What one frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A VRRP advert.
    Advert {
        /// 2 or 3.
        version: u8,
        /// Virtual router identifier.
        vrid: u8,
        /// 0: the sender resigns.
        priority: u8,
        /// Sender's address.
        source: IpAddr,
    },
    /// A gratuitous ARP or an unsolicited neighbour advertisement for this address.
    Announcement {
        /// The announced address.
        address: IpAddr,
    },
}

impl Frame {
    /// Reads a frame from its Ethernet header on; `None` when it is neither or is cut short.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let payload = frame.get(14..)?;
        match frame.get(12..14)? {
            [0x08, 0x00] => parse_ipv4(payload),
            [0x08, 0x06] => parse_arp(payload),
            [0x86, 0xdd] => parse_ipv6(payload),
            _ => None,
        }
    }
}

/// The hardware address of a host whose frames the eye leaves out: it may send more than can be written down.
pub const INTRUDER: [u8; 6] = [0x02, 0, 0, 0, 0x0b, 0xad];

/// A kernel filter that lets through what [`Frame::parse`] may understand, so that probes do not wake the tap, and nothing
/// from the [`INTRUDER`].
pub fn filter() -> Vec<SockFilter> {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        (LOAD_WORD, 0, 0, 6),
        (JUMP_EQUAL, 0, 2, 0x0200_0000),
        (LOAD_HALF, 0, 0, 10),
        (JUMP_EQUAL, 13, 0, 0x0bad),
        (LOAD_HALF, 0, 0, 12),
        (JUMP_EQUAL, 10, 0, 0x0806),
        (JUMP_EQUAL, 0, 3, 0x0800),
        (LOAD_BYTE, 0, 0, 23),
        (JUMP_EQUAL, 7, 0, PROTOCOL_VRRP as u32),
        (JUMP_EQUAL, 6, 7, PROTOCOL_AH as u32),
        (JUMP_EQUAL, 0, 6, 0x86dd),
        (LOAD_BYTE, 0, 0, 20),
        (JUMP_EQUAL, 3, 0, PROTOCOL_VRRP as u32),
        (JUMP_EQUAL, 0, 3, PROTOCOL_ICMPV6 as u32),
        (LOAD_BYTE, 0, 0, 54),
        (JUMP_EQUAL, 0, 1, NEIGHBOUR_ADVERTISEMENT as u32),
        (RETURN, 0, 0, 256),
        (RETURN, 0, 0, 0),
    ]
    .into_iter()
    .map(|(code, when_true, when_false, operand)| SockFilter::new(code, when_true, when_false, operand))
    .collect()
}

const PROTOCOL_AH: u8 = 51;
const PROTOCOL_ICMPV6: u8 = 58;
const PROTOCOL_VRRP: u8 = 112;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

fn parse_ipv4(packet: &[u8]) -> Option<Frame> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let source = IpAddr::V4(ipv4_at(packet, 12)?);
    match *packet.get(9)? {
        PROTOCOL_VRRP => parse_vrrp(packet.get(header_len..)?, source),
        // The Authentication Header of VRRP is 24 bytes long.
        PROTOCOL_AH => parse_vrrp(packet.get(header_len + 24..)?, source),
        _ => None,
    }
}

fn parse_ipv6(packet: &[u8]) -> Option<Frame> {
    let source = IpAddr::V6(ipv6_at(packet, 8)?);
    let payload = packet.get(40..)?;
    match *packet.get(6)? {
        PROTOCOL_VRRP => parse_vrrp(payload, source),
        PROTOCOL_ICMPV6 => {
            // Flag 0x40, "solicited", is an answer and no announcement.
            let is_unsolicited = *payload.first()? == NEIGHBOUR_ADVERTISEMENT && payload.get(4)? & 0x40 == 0;
            let address = IpAddr::V6(ipv6_at(payload, 8)?);
            is_unsolicited.then_some(Frame::Announcement { address })
        }
        _ => None,
    }
}

fn parse_vrrp(message: &[u8], source: IpAddr) -> Option<Frame> {
    match *message {
        [version_type, vrid, priority, _, _, _, _, _, ..] if version_type & 0x0f == 1 => {
            Some(Frame::Advert { version: version_type >> 4, vrid, priority, source })
        }
        _ => None,
    }
}

fn parse_arp(packet: &[u8]) -> Option<Frame> {
    let (sender, target) = (ipv4_at(packet, 14)?, ipv4_at(packet, 24)?);
    (sender == target).then_some(Frame::Announcement { address: IpAddr::V4(sender) })
}

fn ipv4_at(bytes: &[u8], offset: usize) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.get(offset..offset + 4)?.try_into().ok()?;
    Some(octets.into())
}

fn ipv6_at(bytes: &[u8], offset: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(offset..offset + 16)?.try_into().ok()?;
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ethernet(ether_type: [u8; 2], payload: &[u8]) -> Vec<u8> {
        [&[0xff; 12][..], &ether_type, payload].concat()
    }

    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 255, protocol, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2];
        packet.extend(payload);
        ethernet([0x08, 0x00], &packet)
    }

    #[test]
    fn adverts_are_read_with_and_without_authentication_header() {
        let source = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
        let message = [0x31, 51, 100, 1, 0, 20, 0xab, 0xcd, 10, 77, 1, 1];
        let wanted = Some(Frame::Advert { version: 3, vrid: 51, priority: 100, source });
        assert_eq!(Frame::parse(&ipv4(112, &message)), wanted);
        let message = [&[0; 24][..], &[0x21, 51, 0, 1, 2, 1, 0, 0]].concat();
        let wanted = Some(Frame::Advert { version: 2, vrid: 51, priority: 0, source });
        assert_eq!(Frame::parse(&ipv4(51, &message)), wanted);
    }

    #[test]
    fn only_unsolicited_neighbour_news_is_an_announcement() {
        let arp = |sender: u8, target: u8| {
            let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2, 10, 77, 1, sender];
            packet.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 10, 77, 1, target]);
            ethernet([0x08, 0x06], &packet)
        };
        let address = IpAddr::V4(Ipv4Addr::new(10, 77, 1, 1));
        assert_eq!(Frame::parse(&arp(1, 1)), Some(Frame::Announcement { address }));
        assert_eq!(Frame::parse(&arp(1, 2)), None);
        let neighbour = |flags: u8| {
            let mut packet = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
            packet.extend([0; 32]);
            packet.extend([136, 0, 0, 0, flags, 0, 0, 0]);
            packet.extend(Ipv6Addr::LOCALHOST.octets());
            ethernet([0x86, 0xdd], &packet)
        };
        let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
        assert_eq!(Frame::parse(&neighbour(0x20)), Some(Frame::Announcement { address }));
        assert_eq!(Frame::parse(&neighbour(0x60)), None);
    }

    #[test]
    fn frames_cut_anywhere_do_not_panic() {
        let whole = ipv4(112, &[0x31, 51, 100, 1, 0, 20, 0xab, 0xcd]);
        for len in 0..whole.len() {
            assert_eq!(Frame::parse(&whole[..len]), None, "{len} bytes");
        }
    }
}
