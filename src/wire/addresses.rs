//! The list of addresses of a message: borrowed from a received one, or prepared once for many.
//!
//! One stop before: `wire::advert`, or the engine with its configured VIPs. One stop after: the engine compares the two
//! as bytes. 4 or 16 bytes an address, network byte order, one family, at most 255. RFC 9568 section 5.2.9.

use std::fmt;
use std::net::IpAddr;

use super::field::Family;

/// The list of addresses in wire form: of one family, at most 255, each in network byte order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Addresses<'a> {
    family: Family,
    bytes: &'a [u8],
}

impl<'a> Addresses<'a> {
    /// Takes a list in wire form; `None` when it holds more than 255 addresses or a part of one.
    pub const fn new(family: Family, bytes: &'a [u8]) -> Option<Self> {
        let len = family.address_len();
        if bytes.len().is_multiple_of(len) && bytes.len() / len <= MAX_COUNT {
            Some(Self { family, bytes })
        } else {
            None
        }
    }

    /// Returns the family of all of them.
    pub const fn family(self) -> Family {
        self.family
    }

    /// Returns how many there are.
    pub const fn count(self) -> u8 {
        (self.bytes.len() / self.family.address_len()) as u8
    }

    /// Returns the wire form, for comparing with a prepared list.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the addresses one by one, in the order of the wire.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> + 'a {
        self.bytes.chunks_exact(self.family.address_len()).filter_map(read_address)
    }
}

impl fmt::Debug for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A list of addresses in wire form, prepared once for many adverts.
#[derive(Clone, PartialEq, Eq)]
pub struct AddressList {
    family: Family,
    bytes: Vec<u8>,
}

impl AddressList {
    /// Makes a list from addresses; `None` when there are more than 255 or one is of another family.
    pub fn new(family: Family, addresses: impl IntoIterator<Item = IpAddr>) -> Option<Self> {
        let mut bytes = Vec::new();
        for address in addresses {
            match (family, address) {
                (Family::V4, IpAddr::V4(address)) => bytes.extend_from_slice(&address.octets()),
                (Family::V6, IpAddr::V6(address)) => bytes.extend_from_slice(&address.octets()),
                (Family::V4, IpAddr::V6(_)) | (Family::V6, IpAddr::V4(_)) => return None,
            }
        }
        Addresses::new(family, &bytes)?;
        Some(Self { family, bytes })
    }

    /// Lends the list to an advert.
    pub fn as_addresses(&self) -> Addresses<'_> {
        Addresses { family: self.family, bytes: &self.bytes }
    }
}

impl fmt::Debug for AddressList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_addresses().fmt(f)
    }
}

/// Reads 4 or 16 bytes; `None` for any other number.
fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    match <[u8; 4]>::try_from(bytes) {
        Ok(octets) => Some(IpAddr::from(octets)),
        Err(_) => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

const MAX_COUNT: usize = u8::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_bounds() {
        assert_eq!(Addresses::new(Family::V4, &[0; 1024]), None);
        assert_eq!(Addresses::new(Family::V4, &[0; 5]), None);
        assert_eq!(Addresses::new(Family::V6, &[0; 8]), None);
        let v4 = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(AddressList::new(Family::V6, [v4]), None);
        assert_eq!(AddressList::new(Family::V4, vec![v4; 256]), None);
        assert_eq!(AddressList::new(Family::V4, [v4]).unwrap().as_addresses().as_bytes(), [192, 0, 2, 1]);
    }

    #[test]
    fn addresses_come_out_in_the_order_of_the_wire() {
        let list = ["fe80::1", "2001:db8::2"].map(|text| text.parse::<IpAddr>().unwrap());
        let prepared = AddressList::new(Family::V6, list).unwrap();
        assert_eq!(prepared.as_addresses().iter().collect::<Vec<_>>(), list);
        assert_eq!(prepared.as_addresses().count(), 2);
        assert_eq!(format!("{prepared:?}"), "[fe80::1, 2001:db8::2]");
    }
}
