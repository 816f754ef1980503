//! Adverts written byte by byte, right and wrong ones.
//!
//! Nothing here shares code with `wire` that writes or sums adverts, so that one mistake cannot hide the other; only the
//! digest of an Authentication Header is taken from there, where captures prove it.

use std::net::IpAddr;

use vrrpd::engine::params::{RouterParams, Transport};
use vrrpd::wire::ah::AuthHeader;
use vrrpd::wire::auth::Password;
use vrrpd::wire::field::{Family, Version};

use crate::bench::{INDEX, ip};

/// An advert and its IP header, to be written as bytes; wrong values are allowed.
#[derive(Clone, Debug)]
pub struct Packet {
    pub interface: u32,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    pub protocol: u8,
    pub version: u8,
    pub kind: u8,
    pub vrid: u8,
    pub priority: u8,
    /// `None`: as many as there are addresses.
    pub count: Option<u8>,
    /// Byte 4: authentication type, or reserved bits and top of the interval.
    pub byte_4: u8,
    pub byte_5: u8,
    pub addresses: Vec<IpAddr>,
    /// Version 2: behind the addresses.
    pub auth: Option<[u8; 8]>,
    /// Behind everything, summed.
    pub extra: Vec<u8>,
    /// Behind everything, summed over IPv6 alone.
    pub trailer: Vec<u8>,
    pub sum: Summed,
}

/// What the checksum of a [`Packet`] covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summed {
    Message,
    /// And a pseudo-header with the destination of the packet.
    Pseudo,
    /// And a pseudo-header with 224.0.0.18.
    PseudoGroup,
    /// Not at all: this value.
    Fixed(u16),
}

impl Packet {
    /// An advert as another node with the same configuration would send it.
    pub fn like(params: &RouterParams, priority: u8) -> Self {
        let cs = params.advertisement_interval.centiseconds();
        let [high, low] = cs.to_be_bytes();
        let (destination, source) = match (&params.transport, params.family) {
            (Transport::Unicast { peers, .. }, _) => (params.source.unwrap(), peers[0].address),
            (Transport::Multicast { group }, Family::V4) => (*group, ip("192.0.2.12")),
            (Transport::Multicast { group }, Family::V6) => (*group, ip("fe80::12")),
        };
        let is_v2 = params.version == Version::V2;
        Self {
            interface: INDEX,
            source,
            destination,
            ttl: 255,
            protocol: 112,
            version: params.version.number(),
            kind: 1,
            vrid: params.vrid.get(),
            priority,
            count: None,
            byte_4: if is_v2 { 0 } else { high },
            byte_5: if is_v2 { (cs / 100) as u8 } else { low },
            addresses: params.advertised().collect(),
            auth: is_v2.then_some([0; 8]),
            extra: Vec::new(),
            trailer: Vec::new(),
            sum: if is_v2 { Summed::Message } else { Summed::Pseudo },
        }
    }

    pub fn from(self, source: &str) -> Self {
        Self { source: ip(source), ..self }
    }

    /// Version 3: sets the interval.
    pub fn every_cs(self, cs: u16) -> Self {
        let [byte_4, byte_5] = cs.to_be_bytes();
        Self { byte_4, byte_5, ..self }
    }

    /// The VRRP message with its checksum and what follows it.
    pub fn message(&self) -> Vec<u8> {
        let count = self.count.unwrap_or(self.addresses.len() as u8);
        let mut bytes = vec![self.version << 4 | self.kind, self.vrid, self.priority, count, self.byte_4, self.byte_5];
        bytes.extend([0, 0]);
        self.addresses.iter().for_each(|address| bytes.extend(octets(*address)));
        bytes.extend(self.auth.iter().flatten());
        bytes.extend(&self.extra);
        let is_trailer_summed = self.source.is_ipv6();
        if is_trailer_summed {
            bytes.extend(&self.trailer);
        }
        let sum = match self.sum {
            Summed::Message => internet_checksum(&bytes),
            Summed::Pseudo => internet_checksum(&with_pseudo(self.source, self.destination, &bytes)),
            Summed::PseudoGroup => internet_checksum(&with_pseudo(self.source, ip("224.0.0.18"), &bytes)),
            Summed::Fixed(value) => value,
        };
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        if !is_trailer_summed {
            bytes.extend(&self.trailer);
        }
        bytes
    }

    /// What a raw socket delivers: over IPv4 with the IP header.
    pub fn bytes(&self) -> Vec<u8> {
        let message = self.message();
        match self.source {
            IpAddr::V4(_) => in_ipv4(self.source, self.destination, self.ttl, self.protocol, &message),
            IpAddr::V6(_) => message,
        }
    }
}

/// An IPv4 header and what follows it.
pub fn in_ipv4(source: IpAddr, destination: IpAddr, ttl: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut bytes = vec![0x45, 0xc0, (len >> 8) as u8, len as u8, 0, 1, 0, 0, ttl, protocol, 0, 0];
    bytes.extend(octets(source));
    bytes.extend(octets(destination));
    bytes.extend(payload);
    bytes
}

/// The packet with an Authentication Header in front, signed with `key`.
pub fn authenticated(packet: &Packet, key: &[u8], sequence: u32) -> Vec<u8> {
    let plain = Packet { protocol: 51, ..packet.clone() }.bytes();
    let (mut header, message) = (plain[..20].to_vec(), &plain[20..]);
    header[2..4].copy_from_slice(&((plain.len() + AuthHeader::LEN) as u16).to_be_bytes());
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (packet.source, packet.destination) else {
        panic!("version 2 is IPv4")
    };
    let ah = AuthHeader::sign(&Password::new(key), &header, source, destination, sequence, message);
    [&header[..], &ah.emit(), message].concat()
}

pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The classic pseudo-header of a family in front of a message.
pub fn with_pseudo(source: IpAddr, destination: IpAddr, message: &[u8]) -> Vec<u8> {
    let mut bytes = [octets(source), octets(destination)].concat();
    match source {
        IpAddr::V4(_) => {
            bytes.extend([0, 112]);
            bytes.extend((message.len() as u16).to_be_bytes());
        }
        IpAddr::V6(_) => {
            bytes.extend((message.len() as u32).to_be_bytes());
            bytes.extend([0, 0, 0, 112]);
        }
    }
    bytes.extend(message);
    bytes
}

/// RFC 1071, word by word.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
