//! Reads address messages without a value for each attribute in between: a takeover hears of thousands.

use std::net::IpAddr;

use super::{Address, Place};

/// Reads an address from what follows the header of its message; `None` when it holds none.
///
/// **Shape:** family, prefix length, flags and scope of a byte each, the interface's index; then attributes.
pub(super) fn read(body: &[u8]) -> Option<Address> {
    let (&[family, prefix_len, flags, scope, a, b, c, d], mut rest) = body.split_first_chunk::<FIXED>()?;
    let (mut local, mut peer) = (None, None);
    let (mut protocol, mut lifetime, mut flags) = (0, None, u32::from(flags));
    while let Some((&[l0, l1, k0, k1], _)) = rest.split_first_chunk::<4>() {
        let (len, kind) = (usize::from(u16::from_ne_bytes([l0, l1])), u16::from_ne_bytes([k0, k1]));
        let value = rest.get(4..len)?;
        match kind {
            IFA_LOCAL => local = address(family, value),
            IFA_ADDRESS => peer = address(family, value),
            IFA_FLAGS => flags = number(value, 0)?,
            IFA_CACHEINFO => lifetime = number(value, VALID).filter(|left| *left != u32::MAX),
            IFA_PROTO => protocol = value.first().copied()?,
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Address {
        // On a point-to-point link the two differ, and the local one is ours.
        place: Place { interface: u32::from_ne_bytes([a, b, c, d]), address: local.or(peer)?, prefix_len },
        protocol,
        scope,
        is_secondary: flags & SECONDARY != 0,
        is_usable: flags & (TENTATIVE | DADFAILED) == 0 || flags & OPTIMISTIC != 0,
        is_duplicate: flags & DADFAILED != 0,
        is_deprecated: flags & DEPRECATED != 0,
        lifetime,
        peer: match (local, peer) {
            (Some(IpAddr::V4(local)), Some(IpAddr::V4(peer))) => Some(peer).filter(|peer| *peer != local),
            _ => None,
        },
    })
}

fn address(family: u8, value: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        nix::libc::AF_INET => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        nix::libc::AF_INET6 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

fn number(value: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(value.get(at..at + 4)?.try_into().ok()?))
}

/// Length of what comes before the attributes.
const FIXED: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
/// Where the lifetime of the address is, behind that of its preference.
const VALID: usize = 4;
const SECONDARY: u32 = 0x01;
const OPTIMISTIC: u32 = 0x04;
const DADFAILED: u32 = 0x08;
const DEPRECATED: u32 = 0x20;
const TENTATIVE: u32 = 0x40;

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;
    use netlink_packet_route::AddressFamily;
    use netlink_packet_route::address::{
        AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
    };

    use super::super::message;
    use super::*;

    fn message(v6: bool, flags: AddressFlags, attributes: &[AddressAttribute]) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
        message.header.prefix_len = 24;
        message.header.index = 0x0102_0304;
        message.header.scope = AddressScope::Link;
        message.header.flags = AddressHeaderFlags::from_bits_retain(flags.bits() as u8);
        message.attributes = attributes.to_vec();
        message
    }

    #[test]
    fn reads_what_the_library_reads() {
        let v4 = |text: &str| text.parse::<IpAddr>().unwrap();
        let lifetime = |valid| {
            let mut info = CacheInfo::default();
            (info.ifa_preferred, info.ifa_valid) = (7, valid);
            AddressAttribute::CacheInfo(info)
        };
        let plain = [AddressAttribute::Local(v4("10.0.0.1")), AddressAttribute::Address(v4("10.0.0.1"))];
        let peer = [AddressAttribute::Local(v4("10.0.0.1")), AddressAttribute::Address(v4("10.0.0.2"))];
        let v6 = [AddressAttribute::Address(v4("2001:db8::1"))];
        let mark = AddressAttribute::Protocol(AddressProtocol::Other(112));
        let wide = AddressAttribute::Flags(AddressFlags::Noprefixroute | AddressFlags::Deprecated);
        let label = AddressAttribute::Label("eth0:vip".into());
        let extras = [vec![], vec![label, lifetime(30), mark.clone()], vec![lifetime(u32::MAX), wide, mark]];
        let mut found = 0;
        for (is_v6, addresses) in [(false, &plain[..]), (false, &peer), (true, &v6), (false, &[])] {
            for extra in &extras {
                for bits in [0, 0x01, 0x04, 0x08, 0x20, 0x40, 0x44, 0x80] {
                    let message = message(is_v6, AddressFlags::from_bits_retain(bits), &[addresses, extra].concat());
                    let mut bytes = vec![0; message.buffer_len()];
                    message.emit(&mut bytes);
                    assert_eq!(read(&bytes), message::address(&message), "{message:?}");
                    found += usize::from(read(&bytes).is_some());
                    for cut in 0..bytes.len() {
                        let _ = read(&bytes[..cut]);
                    }
                }
            }
        }
        assert_eq!(found, 3 * 3 * 8);
    }
}
