//! Forged adverts, made from real ones: what somebody sends who has heard the wire and does not know the key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrpd::demo::clock::now;
use vrrpd::demo::frame::INTRUDER;
use vrrpd::wire::checksum::{self, ChecksumForm, Sum};
use vrrpd::wire::field::{Family, Version};

use crate::routers::{Router, Secret};

/// A forged frame.
#[derive(Clone, Debug)]
pub struct Forged {
    /// Whom it is meant for: the instance.
    pub router: &'static str,
    /// The reason for which it must be refused, as status calls it.
    pub reason: &'static str,
    /// From the Ethernet header on.
    pub frame: Vec<u8>,
}

const ETHERNET_LEN: usize = 14;
const AH_LEN: usize = 24;
const AH_SEQUENCE_AT: usize = ETHERNET_LEN + 20 + 8;
const TRAILER_LEN: usize = 28;
/// An address that no node has.
const STRANGER_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 66);
const STRANGER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 0x66);

/// An advert as it was on the wire, taken apart.
#[derive(Clone)]
pub struct Advert {
    router: Router,
    /// Ethernet and IP header, and the Authentication Header when there is one.
    head: Vec<u8>,
    message: Vec<u8>,
    trailer: Vec<u8>,
}

impl Advert {
    /// Reads a frame; `None` when it is no advert of this router.
    pub fn read(router: &Router, frame: &[u8]) -> Option<Self> {
        let ip_len = match (router.family(), frame.get(12..14)?) {
            (Family::V4, [0x08, 0x00]) => 20,
            (Family::V6, [0x86, 0xdd]) => 40,
            (Family::V4 | Family::V6, _) => return None,
        };
        let protocol = *frame.get(if ip_len == 20 { 23 } else { 20 })?;
        let head_len = ETHERNET_LEN
            + ip_len
            + match (protocol, router.secret == Secret::Ah) {
                (112, false) => 0,
                (51, true) => AH_LEN,
                _ => return None,
            };
        let payload = frame.get(head_len..)?;
        let (count, vrid) = (usize::from(*payload.get(3)?), *payload.get(1)?);
        let message_len = 8 + match (router.family(), router.version) {
            (Family::V4, Version::V2) => 4 * count + 8,
            (Family::V4, Version::V3) => 4 * count,
            (Family::V6, _) => 16 * count,
        };
        let (message, rest) = payload.split_at_checked(message_len)?;
        let trailer = if router.secret == Secret::Hmac { rest.get(..TRAILER_LEN)? } else { &[] };
        (vrid == router.vrid).then(|| {
            let mut head = frame[..head_len].to_vec();
            head[6..12].copy_from_slice(&INTRUDER);
            Self { router: router.clone(), head, message: message.to_vec(), trailer: trailer.to_vec() }
        })
    }

    /// Its priority.
    pub fn priority(&self) -> u8 {
        self.message[2]
    }

    /// The same with another priority.
    pub fn with_priority(&self, priority: u8) -> Self {
        let mut forged = self.clone();
        forged.message[2] = priority;
        forged
    }

    /// The frame as it was heard, but for the sender's hardware address.
    pub fn verbatim(&self) -> Vec<u8> {
        [&self.head[..], &self.message, &self.trailer].concat()
    }

    /// The frame with lengths and sums as they should be.
    pub fn frame(&self) -> Vec<u8> {
        self.frame_with_sum(0)
    }

    /// The frame with a VRRP checksum that is off by some bits.
    fn frame_with_sum(&self, flip: u16) -> Vec<u8> {
        let (source, destination) = self.addresses();
        let mut body = [&self.message[..], &self.trailer].concat();
        let summed = if self.router.family() == Family::V6 { body.len() } else { self.message.len() };
        checksum::fill(self.router.version, ChecksumForm::Pseudo, source, destination, &mut body[..summed]);
        let sum = u16::from_be_bytes([body[6], body[7]]) ^ flip;
        checksum::write(&mut body, sum);
        let mut head = self.head.clone();
        let len = (head.len() - ETHERNET_LEN + body.len()) as u16;
        match self.router.family() {
            Family::V4 => {
                head[16..18].copy_from_slice(&len.to_be_bytes());
                head[24..26].copy_from_slice(&[0, 0]);
                let sum = Sum::of(&head[14..34]).checksum();
                head[24..26].copy_from_slice(&sum.to_be_bytes());
            }
            Family::V6 => head[18..20].copy_from_slice(&(len - 40).to_be_bytes()),
        }
        [head, body].concat()
    }

    fn addresses(&self) -> (IpAddr, IpAddr) {
        let v4 = |at: usize| {
            let octets: [u8; 4] = self.head[at..at + 4].try_into().expect("4 bytes");
            IpAddr::from(octets)
        };
        let v6 = |at: usize| {
            let octets: [u8; 16] = self.head[at..at + 16].try_into().expect("16 bytes");
            IpAddr::from(octets)
        };
        match self.router.family() {
            Family::V4 => (v4(26), v4(30)),
            Family::V6 => (v6(22), v6(38)),
        }
    }

    /// The same from an address that is no peer's.
    fn of_a_stranger(&self) -> Self {
        let mut forged = self.clone();
        match self.router.family() {
            Family::V4 => forged.head[26..30].copy_from_slice(&STRANGER_V4.octets()),
            Family::V6 => forged.head[22..38].copy_from_slice(&STRANGER_V6.octets()),
        }
        forged
    }

    /// All that can be made of it and must be refused.
    pub fn forgeries(&self) -> Vec<Forged> {
        let mut all = Vec::new();
        let mut add = |reason: &'static str, frame: Vec<u8>| {
            all.push(Forged { router: self.router.name, reason, frame });
        };
        for priority in [0, 255] {
            let forged = self.with_priority(priority);
            // Authentication Headers are looked at before what is in them.
            add("checksum", forged.frame_with_sum(0x0100));
            if !self.router.is_multicast {
                add("not_a_peer", forged.of_a_stranger().frame());
            }
            match self.router.secret {
                Secret::None => {}
                Secret::Password => {
                    let mut other = forged.clone();
                    let at = other.message.len() - 1;
                    other.message[at] ^= 1;
                    add("auth", other.frame());
                    add("auth_type", forged.without_secret().frame());
                }
                Secret::Ah => {
                    // The number is one that would be believed.
                    add("auth", forged.with_bytes(AH_SEQUENCE_AT, &(1u32 << 24).to_be_bytes()).frame());
                    add("auth", forged.without_secret().frame());
                }
                Secret::Hmac => {
                    // Its time is one that is believed for the next ten seconds.
                    let soon = (now().as_secs() as u32).wrapping_add(5).to_be_bytes();
                    let touched = |at: usize, value: u8| {
                        let mut other = forged.clone();
                        other.trailer[4..8].copy_from_slice(&soon);
                        other.trailer[at] = value;
                        other.frame()
                    };
                    add("hmac", touched(0, 1));
                    add("auth_missing", forged.without_secret().frame());
                    add("auth_malformed", touched(0, 2));
                    add("auth_malformed", touched(3, 1));
                    add("unknown_key", touched(1, 99));
                    add("stale", touched(4, soon[0] ^ 0x10));
                }
            }
        }
        all
    }

    /// The same with other bytes in its headers.
    fn with_bytes(&self, at: usize, bytes: &[u8]) -> Self {
        let mut forged = self.clone();
        forged.head[at..at + bytes.len()].copy_from_slice(bytes);
        forged
    }

    /// What a node without a secret would send.
    fn without_secret(&self) -> Self {
        let mut forged = self.clone();
        forged.trailer.clear();
        if self.router.version == Version::V2 {
            forged.message[4] = 0;
            let data_at = forged.message.len() - 8;
            forged.message[data_at..].fill(0);
        }
        if self.router.secret == Secret::Ah {
            forged.head.truncate(ETHERNET_LEN + 20);
            forged.head[23] = 112;
        }
        forged
    }
}
