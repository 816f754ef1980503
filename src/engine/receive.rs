//! Is a packet for us and allowed? Cheap and safe checks first; nothing but counters changes before all have passed.
//!
//! RFC 9568 section 7.1, RFC 3768 section 7.1; the order is that of `docs/rfc9568-ledger.md`. One stop before:
//! `engine::node`, which found the router. One stop after: `engine::router`, which is told what was heard.

use std::net::IpAddr;
use std::time::Duration;

use super::input::Datagram;
use super::outbox::Outbox;
use super::output::{Discard, EventKind, Mismatch};
use super::params::{Auth, ChecksumPolicy, Transport};
use super::router::{VirtualRouter, is_link_local};
use super::time::Instant;
use crate::wire::advert::{AUTH_AH, AUTH_NONE, AUTH_PASSWORD, Advert, Header, ParseError, Received};
use crate::wire::ah::{self, AhError, AuthHeader};
use crate::wire::checksum::{self, ChecksumForm};
use crate::wire::field::{Family, Priority, Version};
use crate::wire::ip::{IpError, Ipv4Packet, Protocol};

/// An advert that passed every check, as the state machine needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub source: IpAddr,
    /// `None`: the sender resigns.
    pub priority: Option<Priority>,
    pub interval: Duration,
}

/// A packet whose IP part has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub interface: u32,
    pub source: IpAddr,
    pub destination: IpAddr,
    ttl: u8,
    /// The whole packet and its Authentication Header, when there is one.
    ah: Option<(Ipv4Packet<'a>, AuthHeader)>,
    message: &'a [u8],
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
            Err(error) => Err(parse_discard(error)),
        }
    }
}

impl VirtualRouter {
    /// Judges a packet for this router; what it learns of the sender is noted only when the packet is good.
    pub(super) fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) -> Result<Heard, Discard> {
        self.check_addresses(packet)?;
        let received = self.read(packet)?;
        let form = self.check_sum(packet, &received)?;
        let sequence = self.check_auth(packet, &received)?;
        self.check_content(packet, &received.advert)?;
        if let Some(sequence) = sequence {
            self.replay.accept(sequence);
        }
        let advert = received.advert;
        self.note(now, packet.source, &advert, form, out);
        Ok(Heard { source: packet.source, priority: advert.priority, interval: advert.interval.as_duration() })
    }

    /// Says whether a packet is of the kind this router listens to, for VRIDs that several unicast routers share.
    pub(super) fn is_addressed(&self, packet: &Packet<'_>) -> bool {
        match &self.params.transport {
            Transport::Unicast { peers, .. } => {
                !packet.destination.is_multicast() && peers.iter().any(|peer| peer.address == packet.source)
            }
            Transport::Multicast { group } => packet.destination == *group,
        }
    }

    /// Checks that look at the IP header and our configuration alone.
    fn check_addresses(&self, packet: &Packet<'_>) -> Result<(), Discard> {
        if self.local.is_some_and(|local| local.source == packet.source) {
            return Err(Discard::OwnAddress);
        }
        let min_ttl = match &self.params.transport {
            Transport::Unicast { peers, .. } => {
                if packet.destination.is_multicast() {
                    return Err(Discard::Destination);
                }
                let peer = peers.iter().find(|peer| peer.address == packet.source).ok_or(Discard::NotAPeer)?;
                peer.min_ttl.unwrap_or(0)
            }
            Transport::Multicast { group } => {
                if packet.destination != *group {
                    return Err(Discard::Destination);
                }
                if packet.source.is_ipv6() && !is_link_local(&packet.source) {
                    return Err(Discard::SourceNotLinkLocal);
                }
                u8::MAX
            }
        };
        if packet.ttl < if self.params.strict { u8::MAX } else { min_ttl } {
            return Err(Discard::Ttl);
        }
        match (&self.params.auth, &packet.ah) {
            (Auth::Ah(_), None) => Err(Discard::Auth),
            (Auth::None | Auth::Password { .. } | Auth::Hmac(_), Some(_)) => Err(Discard::AuthType),
            (Auth::Ah(_), Some(_)) | (Auth::None | Auth::Password { .. } | Auth::Hmac(_), None) => Ok(()),
        }
    }

    fn read<'a>(&self, packet: &Packet<'a>) -> Result<Received<'a>, Discard> {
        Received::parse(self.params.version, self.params.family, packet.message, false).map_err(parse_discard)
    }

    /// Verifies the checksum; returns its form.
    fn check_sum(&self, packet: &Packet<'_>, received: &Received<'_>) -> Result<ChecksumForm, Discard> {
        let permitted: &[ChecksumForm] = match self.params.checksum {
            ChecksumPolicy::Auto => &ChecksumForm::ALL,
            ChecksumPolicy::Pseudo => &[ChecksumForm::Pseudo],
            ChecksumPolicy::Rfc9568 => &[ChecksumForm::Rfc9568],
            ChecksumPolicy::OldUnicast => &[ChecksumForm::OldUnicast],
        };
        checksum::recognise(self.params.version, packet.source, packet.destination, received.summed, permitted)
            .ok_or(Discard::Checksum)
    }

    /// Verifies type and data of version 2 authentication; returns the sequence number to remember, if there is one.
    fn check_auth(&self, packet: &Packet<'_>, received: &Received<'_>) -> Result<Option<u32>, Discard> {
        if self.params.version == Version::V3 {
            return Ok(None);
        }
        let field = received.advert.auth;
        match &self.params.auth {
            Auth::None if field.kind == AUTH_NONE => Ok(None),
            Auth::Password { password, .. } if field.kind == AUTH_PASSWORD => {
                if password.matches(field.data) {
                    Ok(None)
                } else {
                    Err(Discard::Auth)
                }
            }
            Auth::Ah(key) => {
                let Some((ip, ah)) = &packet.ah else { return Err(Discard::Auth) };
                if field.kind != AUTH_AH {
                    return Err(Discard::AuthType);
                }
                if !ah::is_authentic(key, ip) {
                    return Err(Discard::Auth);
                }
                if self.replay.is_fresh(ah.sequence) { Ok(Some(ah.sequence)) } else { Err(Discard::Replay) }
            }
            Auth::None | Auth::Password { .. } | Auth::Hmac(_) => Err(Discard::AuthType),
        }
    }

    /// Checks that compare a good advert with our configuration.
    fn check_content(&self, packet: &Packet<'_>, advert: &Advert<'_>) -> Result<(), Discard> {
        let params = &self.params;
        if params.version == Version::V2 && advert.interval != params.advertisement_interval {
            return Err(Discard::Interval);
        }
        if !params.strict {
            return Ok(());
        }
        if params.version == Version::V2 && params.is_owner() {
            return Err(Discard::Owner);
        }
        let is_from_owner = advert.priority.is_some_and(Priority::is_owner);
        let differs = advert.addresses.as_bytes() != self.adverts.list().as_bytes();
        if params.version == Version::V2 && differs && !is_from_owner {
            return Err(Discard::AddressList);
        }
        if packet.source.is_ipv6() && !advert.addresses.iter().next().is_some_and(|first| is_link_local(&first)) {
            return Err(Discard::AddressList);
        }
        Ok(())
    }

    /// Remembers what a good advert says of its sender, and tells in what it differs from our configuration.
    fn note(&mut self, now: Instant, source: IpAddr, advert: &Advert<'_>, form: ChecksumForm, out: &mut Outbox) {
        self.counters.advertisements_received += 1;
        self.counters.priority_zero_received += u64::from(advert.priority.is_none());
        let found = self.differences(advert);
        let key = self.key;
        let has_forms = self.params.version == Version::V3 && self.params.family == Family::V4;
        let Some(peer) = self.peers.entry(now, source) else { return };
        peer.last_heard_at = Some(now);
        peer.priority = Some(advert.priority.map_or(0, Priority::get));
        if has_forms && peer.note_form(now, form) {
            out.event(key, EventKind::Checksum { peer: source, form });
        }
        peer.compare(now, &found, |what| out.event(key, EventKind::Mismatch { peer: source, what }));
    }

    /// Lists in what an advert differs; empty, and without allocation, when all is well.
    fn differences(&self, advert: &Advert<'_>) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let ours = self.adverts.list();
        if advert.addresses.count() != ours.count() {
            found.push(Mismatch::AddressCount { theirs: advert.addresses.count(), ours: ours.count() });
        } else if advert.addresses.as_bytes() != ours.as_bytes() {
            let missing = ours.iter().zip(advert.addresses.iter()).find(|(ours, theirs)| ours != theirs);
            found.extend(missing.map(|(missing, _)| Mismatch::AddressList { missing }));
        }
        if advert.interval != self.params.advertisement_interval {
            let (theirs, ours) = (advert.interval.as_duration(), self.params.advertisement_interval.as_duration());
            found.push(Mismatch::Interval { theirs, ours });
        }
        if self.params.family == Family::V6
            && advert.addresses.iter().next().is_some_and(|first| !is_link_local(&first))
        {
            found.push(Mismatch::FirstNotLinkLocal);
        }
        match advert.priority {
            Some(priority) if priority.is_owner() && self.params.is_owner() => found.push(Mismatch::TwoOwners),
            Some(priority) if priority == self.params.priority => found.push(Mismatch::SamePriority),
            Some(_) | None => {}
        }
        found
    }
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

fn parse_discard(error: ParseError) -> Discard {
    match error {
        ParseError::Incomplete { .. } => Discard::Incomplete,
        ParseError::Length { .. } => Discard::Length,
        ParseError::Version { .. } => Discard::Version,
        ParseError::Type(_) => Discard::Type,
        ParseError::VridZero => Discard::Vrid,
        ParseError::CountZero => Discard::CountZero,
        ParseError::IntervalZero => Discard::Interval,
    }
}
