//! Announcements: the Ethernet frames that tell the neighbours which MAC address a VIP has.
//!
//! One stop before: `net::announce`, which knows interface and MAC. One stop after: its packet socket.
//! Built with the packet types of `pnet_packet`. RFC 9568 section 6.4.2, RFC 5227 section 3, RFC 4861 section 4.4.
//!
//! | gratuitous ARP, 42 bytes | |
//! |---|---|
//! | 0..14 | Ethernet: to ff:ff:ff:ff:ff:ff, from the MAC, type 0x0806 |
//! | 14..22 | Ethernet (1) and IPv4 (0x0800), lengths 6 and 4, request (1) or reply (2) |
//! | 22..32 | sender: the MAC, the VIP |
//! | 32..42 | target: ff:ff:ff:ff:ff:ff, the VIP |
//!
//! | unsolicited neighbour advertisement, 86 bytes | |
//! |---|---|
//! | 0..14 | Ethernet: to 33:33:00:00:00:01, from the MAC, type 0x86dd |
//! | 14..54 | IPv6: 32 bytes of ICMPv6 (58), hop limit 255, from the VIP to ff02::1 |
//! | 54..58 | type 136, code 0, checksum |
//! | 58..62 | flags: router as asked, not solicited, override |
//! | 62..78 | target: the VIP |
//! | 78..86 | option 2, length 1 (8 bytes): the MAC |

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::arp::{ArpHardwareTypes, ArpOperation, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{Icmpv6Codes, MutableNdpOptionPacket, MutableNeighborAdvertPacket};
use pnet_packet::icmpv6::ndp::{NdpOptionTypes, NeighborAdvertFlags};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::MutableIpv6Packet;

/// A MAC address in the order of the wire.
pub type Mac = [u8; 6];

/// Which of the two forms a gratuitous ARP has; some neighbours heed only one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArpForm {
    /// Operation 1: Keepalived, FRR.
    Request,
    /// Operation 2.
    Reply,
}

impl ArpForm {
    /// Both forms, in the order in which they are sent.
    pub const ALL: [Self; 2] = [Self::Request, Self::Reply];

    const fn operation(self) -> ArpOperation {
        match self {
            Self::Request => ArpOperations::Request,
            Self::Reply => ArpOperations::Reply,
        }
    }
}

/// Writes a gratuitous ARP frame that says: `vip` is at `mac`. Never panics, never allocates.
pub fn write_gratuitous_arp(frame: &mut [u8; ARP_FRAME_LEN], mac: Mac, vip: Ipv4Addr, form: ArpForm) {
    let written = write_arp(frame, mac, vip, form);
    debug_assert!(written.is_some(), "{ARP_FRAME_LEN} bytes hold the headers");
}

/// Writes an unsolicited neighbour advertisement that says: `vip` is at `mac`. Never panics, never allocates.
///
/// `is_router`: whether the interface forwards; another value than the kernel's own answers carry makes hosts drop us
/// as their router.
pub fn write_neighbor_advert(frame: &mut [u8; NA_FRAME_LEN], mac: Mac, vip: Ipv6Addr, is_router: bool) {
    let written = write_na(frame, mac, vip, is_router);
    debug_assert!(written.is_some(), "{NA_FRAME_LEN} bytes hold the headers");
}

/// `None` only when the frame is too short, which its type rules out.
fn write_arp(frame: &mut [u8], mac: Mac, vip: Ipv4Addr, form: ArpForm) -> Option<()> {
    let payload = write_ethernet(frame, BROADCAST_MAC, mac, EtherTypes::Arp)?;
    let mut arp = MutableArpPacket::new(payload)?;
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(form.operation());
    arp.set_sender_hw_addr(mac.into());
    arp.set_sender_proto_addr(vip);
    arp.set_target_hw_addr(BROADCAST_MAC.into());
    arp.set_target_proto_addr(vip);
    Some(())
}

/// `None` only when the frame is too short, which its type rules out.
fn write_na(frame: &mut [u8], mac: Mac, vip: Ipv6Addr, is_router: bool) -> Option<()> {
    let packet = write_ethernet(frame, ALL_NODES_MAC, mac, EtherTypes::Ipv6)?;
    let (header, icmp) = packet.split_at_mut_checked(IPV6_HEADER_LEN)?;
    header.fill(0);
    let mut ip = MutableIpv6Packet::new(header)?;
    ip.set_version(6);
    ip.set_payload_length(ICMP_LEN as u16);
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(255);
    ip.set_source(vip);
    ip.set_destination(ALL_NODES);

    icmp.fill(0);
    let mut advert = MutableNeighborAdvertPacket::new(icmp)?;
    advert.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
    advert.set_icmpv6_code(Icmpv6Codes::NoCode);
    let router = if is_router { NeighborAdvertFlags::Router } else { 0 };
    advert.set_flags(router | NeighborAdvertFlags::Override);
    advert.set_target_addr(vip);
    let mut option = MutableNdpOptionPacket::new(advert.get_options_raw_mut())?;
    option.set_option_type(NdpOptionTypes::TargetLLAddr);
    option.set_length(1);
    option.set_data(&mac);

    let sum = checksum(&Icmpv6Packet::new(icmp)?, &vip, &ALL_NODES);
    MutableNeighborAdvertPacket::new(icmp)?.set_checksum(sum);
    Some(())
}

/// Writes the Ethernet header and returns what follows it.
fn write_ethernet(frame: &mut [u8], destination: Mac, source: Mac, kind: EtherType) -> Option<&mut [u8]> {
    let (header, payload) = frame.split_at_mut_checked(ETHERNET_HEADER_LEN)?;
    let mut ethernet = MutableEthernetPacket::new(header)?;
    ethernet.set_destination(destination.into());
    ethernet.set_source(source.into());
    ethernet.set_ethertype(kind);
    Some(payload)
}

/// Length in bytes of a gratuitous ARP frame.
pub const ARP_FRAME_LEN: usize = 42;
/// Length in bytes of an unsolicited neighbour advertisement.
pub const NA_FRAME_LEN: usize = ETHERNET_HEADER_LEN + IPV6_HEADER_LEN + ICMP_LEN;

const ETHERNET_HEADER_LEN: usize = 14;
const IPV6_HEADER_LEN: usize = 40;
const ICMP_LEN: usize = 32;
const BROADCAST_MAC: Mac = [0xff; 6];
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 1, 1];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn gratuitous_arp_equals_a_captured_one_whatever_the_buffer_held() {
        let mut frame = [0xaa; ARP_FRAME_LEN];
        write_gratuitous_arp(&mut frame, MAC, Ipv4Addr::new(192, 0, 2, 100), ArpForm::Request);
        let expected = "ffffffffffff02000000010108060001080006040001020000000101c0000264ffffffffffffc0000264";
        assert_eq!(hex(&frame), expected);
    }

    #[test]
    fn reply_form_differs_in_the_operation_alone() {
        let (mut request, mut reply) = ([0; ARP_FRAME_LEN], [0; ARP_FRAME_LEN]);
        let vip = Ipv4Addr::new(192, 0, 2, 100);
        write_gratuitous_arp(&mut request, MAC, vip, ArpForm::Request);
        write_gratuitous_arp(&mut reply, MAC, vip, ArpForm::Reply);
        assert_eq!((request[21], reply[21]), (1, 2));
        request[21] = 2;
        assert_eq!(request, reply);
    }

    #[test]
    fn neighbor_advert_equals_a_captured_one_whatever_the_buffer_held() {
        for (is_router, mac, vip, rest) in [
            (false, MAC, "fe80::65", "880055d320000000fe8000000000000000000000000000650201020000000101"),
            (
                true,
                [0, 0, 0x5e, 0, 2, 7],
                "fe80::200",
                "88007596a0000000fe800000000000000000000000000200020100005e000207",
            ),
        ] {
            let mut frame = [0xaa; NA_FRAME_LEN];
            let vip: Ipv6Addr = vip.parse().unwrap();
            write_neighbor_advert(&mut frame, mac, vip, is_router);
            let head = format!("333300000001{}86dd6000000000203aff{}", hex(&mac), hex(&vip.octets()));
            assert_eq!(hex(&frame), format!("{head}ff020000000000000000000000000001{rest}"));
        }
    }
}
