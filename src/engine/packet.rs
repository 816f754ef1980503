//! A packet whose IP part has been read: enough to find the router that it is for.
//!
//! One stop before: `engine::input`. One stop after: `engine::node`, which finds the router, and `engine::receive`.

use std::net::IpAddr;
use std::time::Duration;

use super::input::Datagram;
use super::output::{Discard, Evidence, Refusal};
use super::replay::Way;
use crate::wire::advert::{Header, ParseError};
use crate::wire::ah::{AhError, AuthHeader};
use crate::wire::ip::{IpError, Ipv4Packet, Protocol};

/// A packet whose IP part has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub interface: u32,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ttl: u8,
    /// The whole packet and its Authentication Header, when there is one.
    pub ah: Option<(Ipv4Packet<'a>, AuthHeader)>,
    /// With all that follows it.
    pub message: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the IP part.
    pub fn read(datagram: Datagram<'a>) -> Result<Self, Discard> {
        match datagram {
            Datagram::V4 { interface, packet } => {
                let ip = Ipv4Packet::parse(packet).map_err(ip_discard)?;
                let (source, destination) = (IpAddr::V4(ip.source), IpAddr::V4(ip.destination));
                let (ah, message) = match ip.protocol {
                    Protocol::Vrrp => (None, ip.payload),
                    Protocol::Ah => {
                        let (ah, message) = AuthHeader::parse(ip.payload).map_err(ah_discard)?;
                        (Some((ip, ah)), message)
                    }
                };
                Ok(Self { interface, source, destination, ttl: ip.ttl, ah, message })
            }
            Datagram::V6 { interface, source, destination, hop_limit, payload } => Ok(Self {
                interface,
                source: IpAddr::V6(source),
                destination: IpAddr::V6(destination),
                ttl: hop_limit,
                ah: None,
                message: payload,
            }),
        }
    }

    /// Returns which virtual router it is about; 0 is none.
    pub fn vrid(&self) -> Result<u8, Discard> {
        match Header::parse(self.message) {
            Ok(header) if header.vrid == 0 => Err(Discard::Vrid),
            Ok(header) => Ok(header.vrid),
            Err(error) => Err(refusal(error, 0).reason),
        }
    }

    /// Returns how it came.
    pub fn way(&self) -> Way {
        if self.destination.is_multicast() { Way::Group } else { Way::Unicast }
    }
}

/// Returns why a message that cannot be read is refused. `trailer_len`: of what must follow such a message.
pub(super) fn refusal(error: ParseError, trailer_len: usize) -> Refusal {
    let length = |found: usize, expected: usize| {
        let expected = u16::try_from(expected + trailer_len).unwrap_or(u16::MAX);
        Evidence::Length { found: u16::try_from(found).unwrap_or(u16::MAX), expected }
    };
    let (reason, evidence) = match error {
        ParseError::Incomplete { len, needed } => (Discard::Incomplete, length(len, needed)),
        ParseError::Length { len, expected } => (Discard::Length, length(len, expected)),
        ParseError::Version { found, .. } => (Discard::Version, Evidence::Number { found }),
        ParseError::Type(found) => (Discard::Type, Evidence::Number { found }),
        ParseError::VridZero => (Discard::Vrid, Evidence::None),
        ParseError::CountZero => (Discard::CountZero, Evidence::None),
        ParseError::IntervalZero => (Discard::Interval, Evidence::Interval { found: Duration::ZERO }),
    };
    Refusal { reason, evidence }
}

fn ip_discard(error: IpError) -> Discard {
    match error {
        IpError::Incomplete { .. } => Discard::Incomplete,
        IpError::Version(_) | IpError::HeaderLength { .. } | IpError::HeaderBeyondTotal { .. } => Discard::BadIpHeader,
        IpError::Length { .. } => Discard::Length,
        IpError::Fragment => Discard::Fragment,
        IpError::Protocol(_) => Discard::Protocol,
    }
}

fn ah_discard(error: AhError) -> Discard {
    match error {
        AhError::Incomplete { .. } => Discard::Incomplete,
        AhError::NextHeader(_) => Discard::NotVrrp,
        AhError::Length(_) => Discard::Auth,
    }
}
