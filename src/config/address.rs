//! Addresses as people write them.
//!
//! Refuses what belongs to no host. One stop before: a string of the file; one stop after: `vips` and `seats`.

use std::net::{IpAddr, Ipv6Addr};

use super::error::AddressError;
use crate::wire::field::Family;

/// Reads the address of a host, without a prefix length.
///
/// **Errors:** the operator wrote something else; see [`AddressError`]. Never panics.
pub(super) fn host(text: &str) -> Result<IpAddr, AddressError> {
    if text.contains('/') {
        return Err(AddressError::UnwantedPrefix);
    }
    let address = any(text)?;
    check_host(address)?;
    Ok(address)
}

/// Reads the address of a host with its prefix length; a bare address has 32 or 128.
pub(super) fn prefixed(text: &str) -> Result<(IpAddr, u8), AddressError> {
    let (text, prefix_len) = match text.split_once('/') {
        Some((text, prefix_len)) => (text, Some(prefix_len)),
        None => (text, None),
    };
    let address = any(text)?;
    check_host(address)?;
    let longest = Family::of(&address).max_prefix_len();
    let prefix_len = match prefix_len {
        None => longest,
        // "+24" and "024" are numbers for `parse`, and typing errors here.
        Some(digits) if digits.starts_with(|c: char| ('1'..='9').contains(&c)) => {
            digits.parse().ok().filter(|prefix_len| *prefix_len <= longest).ok_or(AddressError::PrefixLen(longest))?
        }
        Some(_) => return Err(AddressError::PrefixLen(longest)),
    };
    Ok((address, prefix_len))
}

/// Reads an address that a check of this host can ask: a loopback address too, and none that needs an interface.
pub(super) fn target(text: &str) -> Result<IpAddr, AddressError> {
    if text.contains('/') {
        return Err(AddressError::UnwantedPrefix);
    }
    match text.split_once('%') {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => return Err(AddressError::NeedsInterface),
        Some(_) | None => {}
    }
    let address = any(text)?;
    match check_host(address) {
        Ok(()) | Err(AddressError::Loopback) if !is_link_local(&address) => Ok(address),
        Ok(()) => Err(AddressError::NeedsInterface),
        Err(error) => Err(error),
    }
}

/// Reads a multicast group.
pub(super) fn group(text: &str) -> Result<IpAddr, AddressError> {
    let group = any(text)?;
    if group.is_multicast() { Ok(group) } else { Err(AddressError::NotMulticast) }
}

/// Says whether an address is valid on one link only, so that another link may have the same one.
pub(super) fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Names the special meaning that an address has in its network: `network` or `broadcast`.
pub(super) fn special_kind(address: &IpAddr, prefix_len: u8) -> Option<&'static str> {
    // In networks of one or two addresses every address is a host (RFC 3021, RFC 6164).
    match address {
        IpAddr::V4(address) if prefix_len <= 30 => {
            let host_bits = u32::MAX >> prefix_len;
            match address.to_bits() & host_bits {
                0 => Some("network"),
                bits if bits == host_bits => Some("broadcast"),
                _ => None,
            }
        }
        IpAddr::V6(address) if prefix_len <= 126 => {
            (address.to_bits() & (u128::MAX >> prefix_len) == 0).then_some("network")
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

fn any(text: &str) -> Result<IpAddr, AddressError> {
    match text.split_once('%') {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => Err(AddressError::Zone),
        _ => text.parse().map_err(|_| AddressError::NotAnAddress),
    }
}

fn check_host(address: IpAddr) -> Result<(), AddressError> {
    if let IpAddr::V6(v6) = address
        && let Some(inner) = v6.to_ipv4_mapped()
    {
        return Err(AddressError::Mapped(IpAddr::V4(inner)));
    }
    if address.is_unspecified() {
        Err(AddressError::Unspecified)
    } else if address.is_loopback() {
        Err(AddressError::Loopback)
    } else if address.is_multicast() {
        Err(AddressError::Multicast)
    } else if matches!(address, IpAddr::V4(v4) if v4.is_broadcast()) {
        Err(AddressError::Broadcast)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_length_is_read_and_a_bare_address_gets_the_longest() {
        for (text, address, prefix_len) in [
            ("10.0.0.30", "10.0.0.30", 32),
            ("10.0.0.31/24", "10.0.0.31", 24),
            ("2001:db8::30", "2001:db8::30", 128),
            ("2001:db8::30/1", "2001:db8::30", 1),
        ] {
            assert_eq!(prefixed(text), Ok((address.parse().unwrap(), prefix_len)), "{text}");
        }
    }

    #[test]
    fn what_no_host_can_have_is_refused() {
        for (text, error) in [
            ("10.0.0", AddressError::NotAnAddress),
            ("10.0.0.030", AddressError::NotAnAddress),
            ("lb1", AddressError::NotAnAddress),
            ("", AddressError::NotAnAddress),
            ("fe80::1%eth0", AddressError::Zone),
            ("0.0.0.0", AddressError::Unspecified),
            ("::", AddressError::Unspecified),
            ("127.0.0.1", AddressError::Loopback),
            ("224.0.0.18", AddressError::Multicast),
            ("255.255.255.255", AddressError::Broadcast),
            ("::ffff:10.0.0.1", AddressError::Mapped("10.0.0.1".parse().unwrap())),
        ] {
            assert_eq!(host(text), Err(error), "{text}");
            assert_eq!(prefixed(text), Err(error), "{text}");
        }
        assert_eq!(host("10.0.0.1/24"), Err(AddressError::UnwantedPrefix));
        for text in ["10.0.0.1/0", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/+24", "10.0.0.1/024", "10.0.0.1/24/24"] {
            assert_eq!(prefixed(text), Err(AddressError::PrefixLen(32)), "{text}");
        }
        assert_eq!(prefixed("2001:db8::1/129"), Err(AddressError::PrefixLen(128)));
        assert_eq!(group("10.0.0.1"), Err(AddressError::NotMulticast));
    }

    #[test]
    fn network_and_broadcast_addresses_are_known() {
        for (text, kind) in [
            ("10.0.0.0/24", Some("network")),
            ("10.0.0.255/24", Some("broadcast")),
            ("10.0.0.255/16", None),
            ("10.0.0.0/31", None),
            ("10.0.0.0", None),
            ("2001:db8::/64", Some("network")),
            ("2001:db8::/127", None),
        ] {
            let (address, prefix_len) = prefixed(text).unwrap();
            assert_eq!(special_kind(&address, prefix_len), kind, "{text}");
        }
    }
}
