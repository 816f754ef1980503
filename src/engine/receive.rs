//! Is a packet for us and allowed? Cheap and safe checks first; nothing but counters changes before all have passed.
//!
//! RFC 9568 section 7.1, RFC 3768 section 7.1; the order is that of `docs/rfc9568-ledger.md`. One stop before:
//! `engine::node`, which found the router. One stop after: `engine::router`, which is told what was heard.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::outbox::Outbox;
use super::output::{Discard, EventKind, Evidence, Mismatch, Refusal};
use super::packet::{self, Packet};
use super::params::{Auth, AuthMode, ChecksumPolicy, Transport};
use super::replay::Novelty;
use super::router::{VirtualRouter, is_link_local};
use super::time::Instant;
use crate::wire::advert::{Advert, Received, TRAILER_LEN};
use crate::wire::checksum::{self, ChecksumForm};
use crate::wire::field::{Family, Priority, Version};

/// An advert that passed every check, as the state machine needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub source: IpAddr,
    /// `None`: the sender resigns.
    pub priority: Option<Priority>,
    pub interval: Duration,
}

impl VirtualRouter {
    /// Judges a packet for this router; what it learns of the sender is noted only when the packet is good.
    ///
    /// `None`: the second copy of a good advert, which came by the other way; it says nothing that is not known.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        out: &mut Outbox,
    ) -> Result<Option<Heard>, Refusal> {
        self.check_addresses(packet)?;
        let received = self.read(packet)?;
        let form = self.check_sum(packet, &received)?;
        let proof = self.authenticate(now, packet, &received, &out.clock)?;
        let advert = received.advert;
        self.check_content(packet, &advert)?;
        if self.remember(now, packet, &proof, out) == Novelty::Copy {
            return Ok(None);
        }
        self.note(now, packet.source, &advert, form, out);
        Ok(Some(Heard { source: packet.source, priority: advert.priority, interval: advert.interval.as_duration() }))
    }

    /// Counts a packet that was refused, and tells of it unless that was done a short while ago.
    pub(super) fn refuse(&mut self, now: Instant, source: IpAddr, refusal: Refusal, out: &mut Outbox) {
        self.counters.discarded.add(refusal.reason);
        let mute = match self.peers.find_mut(source) {
            Some(peer) => {
                let (discarded, mute) = peer.refusals();
                discarded.add(refusal.reason);
                mute
            }
            None => &mut self.mute,
        };
        if let Some(count) = mute.count(now, refusal.reason) {
            out.event(self.key, EventKind::Discarded { refusal, peer: Some(source), count });
        }
    }

    /// Says whether a packet is of the kind this router listens to, for VRIDs that several unicast routers share.
    pub(super) fn is_addressed(&self, packet: &Packet<'_>) -> bool {
        let destination = packet.destination;
        match &self.params.transport {
            Transport::Unicast { peers, also } => {
                (!destination.is_multicast() || *also == Some(destination))
                    && peers.iter().any(|peer| peer.address == packet.source)
            }
            Transport::Multicast { group } => destination == *group,
        }
    }

    /// Checks that look at the IP header and our configuration alone.
    fn check_addresses(&self, packet: &Packet<'_>) -> Result<(), Refusal> {
        if self.local.is_some_and(|local| local.source == packet.source) {
            return Err(Discard::OwnAddress.into());
        }
        let permitted = match &self.params.transport {
            Transport::Unicast { peers, also } => {
                let is_group = *also == Some(packet.destination);
                if packet.destination.is_multicast() && !is_group {
                    return Err(Discard::Destination.into());
                }
                let peer = peers.iter().find(|peer| peer.address == packet.source).ok_or(Discard::NotAPeer)?;
                if is_group { LINK } else { peer.min_ttl.unwrap_or(0)..=peer.max_ttl.unwrap_or(u8::MAX) }
            }
            Transport::Multicast { group } => {
                if packet.destination != *group {
                    return Err(Discard::Destination.into());
                }
                if packet.source.is_ipv6() && !is_link_local(&packet.source) {
                    return Err(Discard::SourceNotLinkLocal.into());
                }
                LINK
            }
        };
        let permitted = if self.params.strict { LINK } else { permitted };
        if !permitted.contains(&packet.ttl) {
            return Err(Refusal { reason: Discard::Ttl, evidence: Evidence::Number { found: packet.ttl } });
        }
        Ok(())
    }

    fn read<'a>(&self, packet: &Packet<'a>) -> Result<Received<'a>, Refusal> {
        let mode = match &self.params.auth {
            Auth::Hmac(hmac) => Some(hmac.mode),
            Auth::None | Auth::Password { .. } | Auth::Ah(_) => None,
        };
        let trailer_len = if mode.is_some_and(AuthMode::requires) { TRAILER_LEN } else { 0 };
        Received::parse(self.params.version, self.params.family, packet.message, mode.is_some())
            .map_err(|error| packet::refusal(error, trailer_len))
    }

    /// Verifies the checksum; returns its form.
    fn check_sum(&self, packet: &Packet<'_>, received: &Received<'_>) -> Result<ChecksumForm, Refusal> {
        let permitted: &[ChecksumForm] = match self.params.checksum {
            ChecksumPolicy::Auto => &ChecksumForm::ALL,
            ChecksumPolicy::Pseudo => &[ChecksumForm::Pseudo],
            ChecksumPolicy::Rfc9568 => &[ChecksumForm::Rfc9568],
            ChecksumPolicy::OldUnicast => &[ChecksumForm::OldUnicast],
        };
        checksum::recognise(self.params.version, packet.source, packet.destination, received.summed, permitted)
            .ok_or(Discard::Checksum.into())
    }

    /// Checks that compare a good advert with our configuration.
    fn check_content(&self, packet: &Packet<'_>, advert: &Advert<'_>) -> Result<(), Refusal> {
        let params = &self.params;
        if params.version == Version::V2 && advert.interval != params.advertisement_interval {
            let found = advert.interval.as_duration();
            return Err(Refusal { reason: Discard::Interval, evidence: Evidence::Interval { found } });
        }
        if !params.strict {
            return Ok(());
        }
        if params.version == Version::V2 && params.is_owner() {
            return Err(Discard::Owner.into());
        }
        let is_from_owner = advert.priority.is_some_and(Priority::is_owner);
        let differs = advert.addresses.as_bytes() != self.adverts.list().as_bytes();
        if params.version == Version::V2 && differs && !is_from_owner {
            return Err(Discard::AddressList.into());
        }
        if packet.source.is_ipv6() && !advert.addresses.iter().next().is_some_and(|first| is_link_local(&first)) {
            return Err(Discard::AddressList.into());
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

/// Of a packet that no router has passed on.
const LINK: RangeInclusive<u8> = u8::MAX..=u8::MAX;
