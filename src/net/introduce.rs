//! Tells the neighbours where this node's own addresses are, when its interface has another hardware address than before.
//!
//! A peer that reaches us by unicast believes its neighbour cache. While that names the old hardware address we hear nothing, and
//! nothing is what a dead Master sends. What was there at the start is known to the neighbours already. No I/O.
//! One stop before: [`super::links`]. One stop after: [`super::announce`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::engine::input::Interface;
use crate::wire::announce::Mac;

/// Of an interface with more addresses the first ones are enough: the source of our adverts is among them.
const ADDRESSES: usize = 16;

/// What the neighbours were told.
#[derive(Debug, Default)]
pub struct Introductions {
    told: BTreeMap<(String, IpAddr), Mac>,
    /// The interfaces that were there at the start were seen.
    has_begun: bool,
}

impl Introductions {
    /// From here on the neighbours are told.
    pub fn begin(&mut self) {
        self.has_begun = true;
    }

    /// Takes note of an interface; returns its addresses that the neighbours may not know to be there.
    pub fn due(&mut self, interface: &Interface, mac: Option<Mac>) -> Vec<IpAddr> {
        let Some(mac) = mac.filter(|_| interface.is_up) else { return Vec::new() };
        let mut is_due = |address: &&IpAddr| {
            let before = self.told.insert((interface.name.clone(), **address), mac);
            self.has_begun && before != Some(mac)
        };
        interface.addresses.iter().take(ADDRESSES).filter(|address| is_due(address)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];
    const OTHER: Mac = [2, 0, 0, 0, 0, 2];

    fn card(is_up: bool, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Interface { name: "eth0".to_owned(), index: Some(2), is_up, addresses, elsewhere: Vec::new() }
    }

    #[test]
    fn what_was_there_at_the_start_is_not_told() {
        let mut introductions = Introductions::default();
        assert!(introductions.due(&card(true, &["10.0.0.1"]), Some(MAC)).is_empty());
        introductions.begin();
        assert!(introductions.due(&card(true, &["10.0.0.1"]), Some(MAC)).is_empty());
    }

    #[test]
    fn another_hardware_address_is_told_once_and_when_the_link_is_up() {
        let mut introductions = Introductions::default();
        introductions.due(&card(true, &["10.0.0.1"]), Some(MAC));
        introductions.begin();
        assert!(introductions.due(&card(false, &["10.0.0.1"]), Some(OTHER)).is_empty());
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(introductions.due(&card(true, &["10.0.0.1"]), Some(OTHER)), [address]);
        assert!(introductions.due(&card(true, &["10.0.0.1"]), Some(OTHER)).is_empty());
    }

    #[test]
    fn address_that_comes_later_is_told_when_it_comes() {
        let mut introductions = Introductions::default();
        introductions.begin();
        assert!(introductions.due(&card(true, &[]), Some(MAC)).is_empty());
        let address: IpAddr = "fe80::1".parse().unwrap();
        assert_eq!(introductions.due(&card(true, &["fe80::1"]), Some(MAC)), [address]);
    }
}
