//! Inquiries: the Ethernet frames that ask whether another host has an address, and their answers.
//!
//! One stop before: `net::conflict`, which asks. One stop after: the packet sockets of `net::prober`. RFC 5227 section 1.1
//! (ARP probe: the sender's protocol address is 0.0.0.0, so that no cache changes), RFC 4861 section 4.3. The
//! solicitation has a source: to one without, as of duplicate address detection, the owner answers *all* nodes, and they
//! would take the owner's word for it.
//!
//! | ARP probe, 42 bytes | |
//! |---|---|
//! | 0..14 | Ethernet: to ff:ff:ff:ff:ff:ff, from the MAC, type 0x0806 |
//! | 14..22 | Ethernet (1) and IPv4 (0x0800), lengths 6 and 4, request (1) |
//! | 22..32 | sender: the MAC, 0.0.0.0 |
//! | 32..42 | target: 00:00:00:00:00:00, the address |
//!
//! | neighbour solicitation, 86 bytes | |
//! |---|---|
//! | 0..14 | Ethernet: to 33:33:ff and the last 3 bytes of the address, from the MAC, type 0x86dd |
//! | 14..54 | IPv6: 32 bytes of ICMPv6 (58), hop limit 255, to ff02::1:ff00:0 and those bytes |
//! | 54..58 | type 135, code 0, checksum |
//! | 62..78 | target: the address |
//! | 78..86 | option 1, length 1 (8 bytes): the MAC |

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::icmpv6::{Icmpv6Packet, checksum};

use super::announce::{ARP_FRAME_LEN, Mac, NA_FRAME_LEN};

/// Makes an ARP probe.
pub fn arp_probe(mac: Mac, address: Ipv4Addr) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    let pieces: [&[u8]; 7] =
        [&[0xff; 6], &mac, &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1], &mac, &[0; 4], &[0; 6], &address.octets()];
    fill(&mut frame, &pieces);
    frame
}

/// Makes a neighbour solicitation; `source`: an address of this host on that link.
pub fn neighbor_solicit(mac: Mac, source: Ipv6Addr, address: Ipv6Addr) -> [u8; NA_FRAME_LEN] {
    let mut frame = [0; NA_FRAME_LEN];
    let [.., high, low] = address.segments();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low);
    let [.., a, b, c, d] = group.octets();
    let pieces: [&[u8]; 10] = [
        &[0x33, 0x33, a, b, c, d],
        &mac,
        &[0x86, 0xdd, 0x60, 0, 0, 0, 0, ICMP_LEN, ICMPV6, 255],
        &source.octets(),
        &group.octets(),
        &[SOLICITATION, 0, 0, 0],
        &[0; 4],
        &address.octets(),
        &[1, 1],
        &mac,
    ];
    fill(&mut frame, &pieces);
    let sum = frame.get(ICMP..).and_then(Icmpv6Packet::new).map(|icmp| checksum(&icmp, &source, &group));
    if let (Some(sum), Some(room)) = (sum, frame.get_mut(ICMP + 2..ICMP + 4)) {
        room.copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

/// Returns which address is where by an ARP reply; `None` for any other frame.
pub fn arp_reply(frame: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let is_reply = frame.get(12..22)? == [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2];
    let address = <[u8; 4]>::try_from(frame.get(28..32)?).ok()?;
    is_reply.then_some((address.into(), frame.get(22..28)?.try_into().ok()?))
}

/// Returns which address is where by a neighbour advertisement with its option; `None` for any other frame.
pub fn neighbor_advert(frame: &[u8]) -> Option<(Ipv6Addr, Mac)> {
    let is_icmpv6 = frame.get(12..14)? == [0x86, 0xdd] && *frame.get(20)? == ICMPV6;
    let is_advert = *frame.get(ICMP)? == ADVERTISEMENT && *frame.get(21)? == 255;
    let has_option = frame.get(78..80)? == [2, 1];
    let address = <[u8; 16]>::try_from(frame.get(62..78)?).ok()?;
    (is_icmpv6 && is_advert && has_option).then_some((address.into(), frame.get(80..86)?.try_into().ok()?))
}

fn fill(frame: &mut [u8], pieces: &[&[u8]]) {
    for (room, byte) in frame.iter_mut().zip(pieces.iter().copied().flatten()) {
        *room = *byte;
    }
}

/// Where ICMPv6 begins.
const ICMP: usize = 54;
const ICMP_LEN: u8 = 32;
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

#[cfg(test)]
mod tests {
    use super::super::announce::{ArpForm, write_gratuitous_arp, write_neighbor_advert};
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];

    #[test]
    fn probe_has_no_sender_address() {
        let frame = arp_probe(MAC, Ipv4Addr::new(10, 0, 0, 30));
        assert_eq!(frame[..14], [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 7, 8, 6]);
        assert_eq!(frame[14..22], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(frame[22..], [2, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 30]);
    }

    #[test]
    fn solicitation_goes_to_the_group_of_the_address_with_a_good_checksum() {
        let (source, address): (Ipv6Addr, Ipv6Addr) = ("fe80::7".parse().unwrap(), "2001:db8::1:2345".parse().unwrap());
        let frame = neighbor_solicit(MAC, source, address);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 1, 0x23, 0x45]);
        let group: Ipv6Addr = "ff02::1:ff01:2345".parse().unwrap();
        assert_eq!((&frame[22..38], &frame[38..54]), (&source.octets()[..], &group.octets()[..]));
        assert_eq!(checksum(&Icmpv6Packet::new(&frame[54..]).unwrap(), &source, &group).to_be_bytes(), frame[56..58]);
        assert_eq!((&frame[62..78], &frame[78..]), (&address.octets()[..], &[1, 1, 2, 0, 0, 0, 0, 7][..]));
    }

    #[test]
    fn answers_are_read_and_cut_ones_are_none() {
        let (v4, v6): (Ipv4Addr, Ipv6Addr) = ("10.0.0.30".parse().unwrap(), "2001:db8::30".parse().unwrap());
        let mut arp = [0; ARP_FRAME_LEN];
        write_gratuitous_arp(&mut arp, MAC, v4, ArpForm::Reply);
        let mut advert = [0; NA_FRAME_LEN];
        write_neighbor_advert(&mut advert, MAC, v6, false);
        assert_eq!((arp_reply(&arp), neighbor_advert(&advert)), (Some((v4, MAC)), Some((v6, MAC))));
        assert_eq!((arp_reply(&advert), neighbor_advert(&arp)), (None, None));
        assert_eq!(arp_reply(&arp_probe(MAC, v4)), None);
        assert!((0..32).all(|len| arp_reply(&arp[..len]).is_none()));
        assert!((0..86).all(|len| neighbor_advert(&advert[..len]).is_none()));
    }
}
