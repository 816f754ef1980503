//! Netlink attributes to values and back.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::engine::params::VipOptions;

use super::{Address, Event, Link, NewAddress, OUR_PROTOCOL, Place, Refusal, Request};

/// Message type of an acknowledgement or error.
const NLMSG_ERROR: u16 = 2;
/// Message type: what came before was dropped.
const NLMSG_OVERRUN: u16 = 4;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
/// Header flag: the error carries attributes.
const NLM_F_ACK_TLVS: u16 = 0x200;
/// Attribute of an error: the kernel's words.
const NLMSGERR_ATTR_MSG: u16 = 1;
/// A lifetime without end.
const FOREVER: u32 = u32::MAX;
/// Length of a message header.
const HEADER: usize = 16;

/// Reads the notifications in a datagram; what is about something else is left out.
pub(super) fn events(mut bytes: &[u8], mut on: impl FnMut(Event)) {
    while let (Some(len), Some(kind)) = (read_u32(bytes, 0), read_u16(bytes, 4)) {
        let len = len as usize;
        let (Some(message), Some(body)) = (bytes.get(..len), bytes.get(HEADER..len)) else { return };
        let found = match kind {
            RTM_NEWADDR => super::address::read(body).map(Event::Address),
            RTM_DELADDR => super::address::read(body).map(|address| Event::AddressGone(address.place)),
            NLMSG_OVERRUN => Some(Event::Lost),
            _ => NetlinkMessage::deserialize(message).ok().and_then(|message| event(message.payload)),
        };
        found.into_iter().for_each(&mut on);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Turns a notification or a line of a dump into an event; `None` when it is about something else.
pub(super) fn event(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Event> {
    match payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => link(&message).map(Event::Link),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message)) => {
            // A port leaving a bridge is told of in the same words, with the bridge's family.
            let is_link = message.header.interface_family == AddressFamily::Unspec;
            is_link.then_some(Event::LinkGone { index: message.header.index })
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => address(&message).map(Event::Address),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(message)) => {
            address(&message).map(|address| Event::AddressGone(address.place))
        }
        NetlinkPayload::Overrun(_) => Some(Event::Lost),
        _ => None,
    }
}

/// Reads an interface; `None` for what bridges tell of their ports.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let flags = message.header.flags;
    let answers_arp = message.header.link_layer_type == LinkLayerType::Ether && !flags.contains(LinkFlags::Noarp);
    let mut name = None;
    let mut mac = None;
    for attribute in &message.attributes {
        if let LinkAttribute::IfName(found) = attribute {
            name = Some(found.clone());
        } else if let LinkAttribute::Address(found) = attribute {
            mac = <[u8; 6]>::try_from(found.as_slice()).ok().filter(|_| answers_arp);
        }
    }
    Some(Link {
        index: message.header.index,
        name: name?,
        is_up: flags.contains(LinkFlags::Up),
        is_running: flags.contains(LinkFlags::Running),
        mac,
    })
}

/// Reads an address; `None` when it holds none.
pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    let mut local = None;
    let mut peer = None;
    let (mut protocol, mut lifetime) = (0, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Flags(all) => flags = *all,
            AddressAttribute::CacheInfo(found) => lifetime = Some(found.ifa_valid).filter(|left| *left != FOREVER),
            AddressAttribute::Protocol(number) => protocol = u8::from(*number),
            _ => {}
        }
    }
    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
    Some(Address {
        place: Place {
            interface: message.header.index,
            // On a point-to-point link the two differ, and the local one is ours.
            address: local.or(peer)?,
            prefix_len: message.header.prefix_len,
        },
        protocol,
        scope: u8::from(message.header.scope),
        is_secondary: flags.contains(AddressFlags::Secondary),
        is_usable: !flags.intersects(unusable) || flags.contains(AddressFlags::Optimistic),
        is_duplicate: flags.contains(AddressFlags::Dadfailed),
        is_deprecated: flags.contains(AddressFlags::Deprecated),
        lifetime,
        peer: match (local, peer) {
            (Some(IpAddr::V4(local)), Some(IpAddr::V4(peer))) => Some(peer).filter(|peer| *peer != local),
            _ => None,
        },
    })
}

/// Appends one request to a datagram.
pub(super) fn emit(request: &Request, sequence: u32, datagram: &mut Vec<u8>) {
    let (message, flags) = match request {
        Request::Add(new) => (RouteNetlinkMessage::NewAddress(new_address(new)), NLM_F_CREATE | NLM_F_REPLACE),
        Request::Delete(place) => (RouteNetlinkMessage::DelAddress(bare(place, place.address)), 0),
        Request::DeletePeer(place, peer) => (RouteNetlinkMessage::DelAddress(bare(place, IpAddr::V4(*peer))), 0),
        Request::AddEntry(entry) => entry.addition(),
        Request::DeleteEntry(entry) => (entry.deletion(), 0),
        Request::Forget(leftover) => (leftover.deletion(), 0),
    };
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = datagram.len();
    datagram.resize(start + message.buffer_len().next_multiple_of(4), 0);
    if let Some(room) = datagram.get_mut(start..) {
        message.serialize(room);
    }
}

/// Makes the message that adds an address.
fn new_address(new: &NewAddress) -> AddressMessage {
    let options = &new.options;
    let mut message = bare(&new.place, options.peer.unwrap_or(new.place.address));
    message.header.scope = AddressScope::from(new.scope);
    let flags = flags(options, new.place.address.is_ipv6());
    message.header.flags = AddressHeaderFlags::from_bits_retain(u8::try_from(flags.bits() & 0xff).unwrap_or_default());
    if flags.bits() > 0xff {
        message.attributes.push(AddressAttribute::Flags(flags));
    }
    if let Some(broadcast) = new.broadcast {
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    if let Some(label) = &new.label {
        message.attributes.push(AddressAttribute::Label(label.clone()));
    }
    if new.lifetime.is_some() || options.preferred_lifetime.is_some() {
        let mut lifetime = CacheInfo::default();
        lifetime.ifa_valid = new.lifetime.unwrap_or(FOREVER);
        lifetime.ifa_preferred = options.preferred_lifetime.unwrap_or(FOREVER).min(lifetime.ifa_valid);
        message.attributes.push(AddressAttribute::CacheInfo(lifetime));
    }
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(OUR_PROTOCOL)));
    message
}

/// Returns the flags of an address to add.
fn flags(options: &VipOptions, is_v6: bool) -> AddressFlags {
    let mut flags = AddressFlags::empty();
    // Without it the address would be tentative, and dead to its clients, for more than a second.
    flags.set(AddressFlags::Nodad, is_v6 && !options.detects_duplicates);
    flags.set(AddressFlags::Homeaddress, is_v6 && options.is_home);
    flags.set(AddressFlags::Managetempaddr, is_v6 && options.manages_temporary);
    flags.set(AddressFlags::Noprefixroute, options.has_no_route);
    flags.set(AddressFlags::Mcautojoin, options.joins_group);
    flags
}

/// Makes a message that names an address.
///
/// Both attributes always: a deletion with the local address alone ignores the prefix length. `peer`: the other end of a
/// point-to-point link, else the address itself.
fn bare(place: &Place, peer: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match place.address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.prefix_len = place.prefix_len;
    message.header.index = place.interface;
    message.attributes = vec![AddressAttribute::Local(place.address), AddressAttribute::Address(peer)];
    message
}

/// One answer of the kernel to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The request's number.
    pub(super) sequence: u32,
    /// What became of it.
    pub(super) result: Result<(), Refusal>,
}

/// Reads the answers in a datagram; what is no answer is left out.
pub(super) fn answers(mut bytes: &[u8], mut on: impl FnMut(Answer)) {
    while let Some((header, _)) = bytes.split_at_checked(HEADER) {
        let len = read_u32(header, 0).map_or(0, |len| len as usize);
        let Some(body) = bytes.get(HEADER..len) else {
            return;
        };
        if let (Some(NLMSG_ERROR), Some(flags), Some(sequence)) =
            (read_u16(header, 4), read_u16(header, 6), read_u32(header, 8))
            && let Some(code) = read_u32(body, 0)
        {
            let errno = code.cast_signed().saturating_neg();
            let text = (flags & NLM_F_ACK_TLVS != 0).then(|| kernel_text(body)).flatten();
            on(Answer { sequence, result: if errno == 0 { Ok(()) } else { Err(Refusal { errno, text }) } });
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Finds the kernel's words behind the code and the header of the refused request.
fn kernel_text(body: &[u8]) -> Option<String> {
    let mut attributes = body.get(4 + HEADER..)?;
    while let (Some(len), Some(kind)) = (read_u16(attributes, 0), read_u16(attributes, 2)) {
        let value = attributes.get(4..usize::from(len))?;
        if kind == NLMSGERR_ATTR_MSG {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        attributes = attributes.get(usize::from(len).next_multiple_of(4)..)?;
    }
    None
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::params::VipOptions;

    fn place(address: &str, prefix_len: u8) -> Place {
        Place { interface: 7, address: address.parse().unwrap(), prefix_len }
    }

    fn parsed(datagram: &[u8]) -> NetlinkMessage<RouteNetlinkMessage> {
        NetlinkMessage::deserialize(datagram).unwrap()
    }

    #[test]
    fn added_address_carries_our_mark_and_nothing_made_up() {
        let new = NewAddress {
            place: place("10.0.0.30", 24),
            label: Some("vip".into()),
            broadcast: None,
            scope: 253,
            lifetime: None,
            options: VipOptions::default(),
        };
        let mut datagram = Vec::new();
        emit(&Request::Add(new), 5, &mut datagram);
        let message = parsed(&datagram);
        assert_eq!(message.header.flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) = message.payload else {
            panic!("not an address");
        };
        assert_eq!(u8::from(message.header.scope), 253);
        assert!(!message.attributes.iter().any(|a| matches!(a, AddressAttribute::Broadcast(_))));
        let read = address(&message).unwrap();
        assert_eq!((read.place, read.protocol), (place("10.0.0.30", 24), OUR_PROTOCOL));
    }

    #[test]
    fn added_address_has_the_options_of_the_vip() {
        let options = VipOptions {
            preferred_lifetime: Some(0),
            detects_duplicates: true,
            is_home: true,
            has_no_route: true,
            ..VipOptions::default()
        };
        let place = place("2001:db8::30", 128);
        let new = NewAddress { place, label: None, broadcast: None, scope: 0, lifetime: None, options };
        let message = new_address(&new);
        let flags = AddressFlags::Homeaddress | AddressFlags::Noprefixroute;
        assert!(message.attributes.contains(&AddressAttribute::Flags(flags)), "{message:?}");
        let lifetimes = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::CacheInfo(lifetime) => Some((lifetime.ifa_valid, lifetime.ifa_preferred)),
            _ => None,
        });
        assert_eq!(lifetimes, Some((u32::MAX, 0)));
    }

    #[test]
    fn added_ipv6_address_skips_duplicate_detection() {
        let new = NewAddress {
            place: place("2001:db8::30", 128),
            label: None,
            broadcast: None,
            scope: 0,
            lifetime: Some(3),
            options: VipOptions::default(),
        };
        let message = new_address(&new);
        assert_eq!(message.header.flags, AddressHeaderFlags::Nodad);
        let seconds = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::CacheInfo(found) => Some((found.ifa_valid, found.ifa_preferred)),
            _ => None,
        });
        assert_eq!(seconds, Some((3, 3)));
    }

    #[test]
    fn deletion_names_local_and_address_so_that_the_prefix_counts() {
        let message = bare(&place("10.0.0.30", 32), "10.0.0.30".parse().unwrap());
        let address = "10.0.0.30".parse().unwrap();
        assert_eq!(message.attributes, [AddressAttribute::Local(address), AddressAttribute::Address(address)]);
        assert_eq!(message.header.prefix_len, 32);
    }

    #[test]
    fn answers_give_code_and_the_kernels_words() {
        let text = b"ipv4: no\0\0\0\0";
        let body_len = 4 + HEADER + 4 + text.len();
        let mut bytes = Vec::new();
        bytes.extend(u32::try_from(HEADER + body_len).unwrap().to_ne_bytes());
        bytes.extend(NLMSG_ERROR.to_ne_bytes());
        bytes.extend(NLM_F_ACK_TLVS.to_ne_bytes());
        bytes.extend(9u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend((-17i32).to_ne_bytes());
        bytes.extend([0; HEADER]);
        bytes.extend((4 + 9u16).to_ne_bytes());
        bytes.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        bytes.extend(text);
        let mut found = Vec::new();
        answers(&bytes, |answer| found.push(answer));
        let refusal = Refusal { errno: 17, text: Some("ipv4: no".into()) };
        assert_eq!(found, [Answer { sequence: 9, result: Err(refusal) }]);
        for cut in 0..bytes.len() {
            answers(&bytes[..cut], |answer| assert_eq!(answer.sequence, 9));
        }
    }

    #[test]
    fn datagram_tells_of_each_change_in_it() {
        let told = place("10.0.0.30", 24);
        let mut link = LinkMessage::default();
        link.header.index = 9;
        let mut datagram = Vec::new();
        let address = RouteNetlinkMessage::NewAddress(bare(&told, told.address));
        let gone = RouteNetlinkMessage::DelAddress(bare(&told, told.address));
        for message in [gone, RouteNetlinkMessage::DelLink(link), address] {
            let mut message = NetlinkMessage::from(message);
            message.finalize();
            let start = datagram.len();
            datagram.resize(start + message.buffer_len().next_multiple_of(4), 0);
            message.serialize(&mut datagram[start..]);
        }
        let mut found = Vec::new();
        events(&datagram, |event| found.push(event));
        assert_eq!(found[..2], [Event::AddressGone(told), Event::LinkGone { index: 9 }]);
        assert!(matches!(&found[2..], [Event::Address(address)] if address.place == told), "{found:?}");
        for cut in 0..datagram.len() {
            let mut count = 0;
            events(&datagram[..cut], |_| count += 1);
            assert!(count < 3);
        }
    }

    #[test]
    fn port_leaving_a_bridge_is_not_a_deleted_interface() {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.interface_family = AddressFamily::Bridge;
        let told =
            |message: &LinkMessage| event(NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message.clone())));
        assert_eq!(told(&message), None);
        message.header.interface_family = AddressFamily::Unspec;
        assert_eq!(told(&message), Some(Event::LinkGone { index: 7 }));
    }
}
