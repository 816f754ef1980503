//! Does a packet prove whose it is? Judges password, Authentication Header and HMAC trailer; remembers them at the end.
//!
//! A wrong proof is refused in every mode; a missing one where the mode asks for it. Of a trailer the cheap questions come
//! first: form, time, key, digest, memory. One stop before: `engine::receive`, which has verified the checksum, and
//! which lets a proof be remembered when everything else has passed too.

use std::net::IpAddr;
use std::time::Duration;

use super::clock::Clock;
use super::outbox::Outbox;
use super::output::{ClockOffset, Discard, EventKind, Evidence, Refusal};
use super::packet::Packet;
use super::params::{Auth, HmacParams, ReplayGuard};
use super::peers::Peer;
use super::replay::{Accepted, Moment, Novelty, Way, is_within, offset};
use super::router::VirtualRouter;
use super::time::Instant;
use crate::wire::advert::{AUTH_AH, AUTH_NONE, AUTH_PASSWORD, Received};
use crate::wire::ah;
use crate::wire::auth::{Origin, Password, Sequence, Trailer, TrailerError};
use crate::wire::field::KeyId;

/// What a packet has proven, to be remembered when every check has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing that could be used twice.
    Timeless,
    /// An Authentication Header with this number.
    Header(u32, Novelty),
    /// A trailer.
    Trailer(Signed, Novelty),
}

/// An authentic trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    sequence: Sequence,
    /// From the time that it was judged by.
    skew: ClockOffset,
    guard: ReplayGuard,
    /// It fits the wall clock and not the time that is kept.
    follows_wall: bool,
}

impl VirtualRouter {
    /// Judges the proof of a packet; changes nothing.
    pub(super) fn authenticate(
        &self,
        now: Instant,
        packet: &Packet<'_>,
        received: &Received<'_>,
        clock: &Clock,
    ) -> Result<Proof, Refusal> {
        let field = received.advert.auth;
        let other_type = |found| Refusal { reason: Discard::AuthType, evidence: Evidence::Number { found } };
        match (&self.params.auth, &packet.ah) {
            (Auth::Ah(key), _) => self.check_header(key, packet, field.kind),
            (Auth::None | Auth::Password { .. } | Auth::Hmac(_), Some(_)) => Err(other_type(AUTH_AH)),
            (Auth::None, None) if field.kind == AUTH_NONE => Ok(Proof::Timeless),
            (Auth::Password { mode, .. }, None) if field.kind == AUTH_NONE && !mode.requires() => Ok(Proof::Timeless),
            (Auth::Password { password, .. }, None) if field.kind == AUTH_PASSWORD => {
                password.matches(field.data).then_some(Proof::Timeless).ok_or(Discard::Auth.into())
            }
            (Auth::Hmac(hmac), None) if field.kind == AUTH_NONE => match received.trailer {
                Some(bytes) => {
                    let trailer = Trailer::parse(bytes).map_err(malformed)?;
                    self.check_trailer(now, packet, received.message, hmac, &trailer, clock)
                }
                None if hmac.mode.requires() => Err(Discard::AuthMissing.into()),
                None => Ok(Proof::Timeless),
            },
            (Auth::None | Auth::Password { .. } | Auth::Hmac(_), None) => Err(other_type(field.kind)),
        }
    }

    /// Remembers a proof, now that every check has passed; says whether the advert is known already.
    pub(super) fn remember(&mut self, now: Instant, packet: &Packet<'_>, proof: &Proof, out: &mut Outbox) -> Novelty {
        let (source, way) = (packet.source, packet.way());
        match *proof {
            Proof::Timeless => Novelty::Fresh,
            Proof::Header(sequence, novelty) => {
                self.replay.accept(source, sequence, way);
                novelty
            }
            Proof::Trailer(signed, Novelty::Copy) => {
                if let Some(peer) = self.peers.find_mut(source) {
                    peer.accepted_mut().accept(signed.sequence, out.clock.moment().era, signed.guard, way);
                }
                Novelty::Copy
            }
            Proof::Trailer(signed, novelty) => {
                self.remember_trailer(now, source, way, &signed, out);
                novelty
            }
        }
    }

    fn check_header(&self, key: &Password, packet: &Packet<'_>, kind: u8) -> Result<Proof, Refusal> {
        if kind != AUTH_AH {
            return Err(Refusal { reason: Discard::AuthType, evidence: Evidence::Number { found: kind } });
        }
        let Some((ip, header)) = &packet.ah else { return Err(Discard::Auth.into()) };
        if !ah::is_authentic(key, ip) {
            return Err(Discard::Auth.into());
        }
        match self.replay.judge(packet.source, header.sequence, packet.way()) {
            Novelty::Replayed => Err(Discard::Replay.into()),
            novelty @ (Novelty::Fresh | Novelty::Copy) => Ok(Proof::Header(header.sequence, novelty)),
        }
    }

    /// Judges a trailer: stale before unknown key before wrong digest before replay.
    fn check_trailer(
        &self,
        now: Instant,
        packet: &Packet<'_>,
        message: &[u8],
        hmac: &HmacParams,
        trailer: &Trailer,
        clock: &Clock,
    ) -> Result<Proof, Refusal> {
        let (guard, sequence) = (hmac.guard, trailer.sequence);
        let stale = Refusal { reason: Discard::Stale, evidence: Evidence::Skew(offset(sequence, clock.time())) };
        let (moment, follows_wall) = judging_moment(sequence, guard, clock).ok_or(stale)?;
        let named = Evidence::Key(trailer.key_id);
        let key = KeyId::new(trailer.key_id).and_then(|id| hmac.key(id));
        let key = key.ok_or(Refusal { reason: Discard::UnknownKey, evidence: named })?;
        let origin = Origin { version: self.params.version, vrid: self.params.vrid, source: packet.source };
        if !trailer.is_authentic(key, &origin, message) {
            return Err(Refusal { reason: Discard::Hmac, evidence: named });
        }
        if follows_wall && !self.may_follow(now, packet.source, sequence, guard) {
            return Err(stale);
        }
        let accepted = self.peers.find(packet.source).and_then(Peer::accepted);
        let novelty = accepted.map_or(Novelty::Fresh, |accepted| accepted.judge(sequence, moment, guard, packet.way()));
        if novelty == Novelty::Replayed || !self.peers.admits(now, packet.source) {
            return Err(Discard::Replay.into());
        }
        Ok(Proof::Trailer(Signed { sequence, skew: offset(sequence, moment.time), guard, follows_wall }, novelty))
    }

    /// Says whether an authentic advert that fits the wall clock alone proves that the wall clock is right.
    ///
    /// It does when it comes after everything its sender said. When it does not, what that sender said before was said by
    /// another clock, or this is a recording: it is believed only when the sender itself was silent for longer than a
    /// living Master is.
    fn may_follow(&self, now: Instant, source: IpAddr, sequence: Sequence, guard: ReplayGuard) -> bool {
        let Some(peer) = self.peers.find(source) else { return true };
        let last = peer.accepted().and_then(Accepted::last);
        if last.is_none_or(|last| sequence.is_after(last)) {
            return true;
        }
        let patience = window_of(guard) + self.master_down_interval();
        peer.last_heard_at.is_none_or(|at| now.since(at) > patience)
    }

    fn remember_trailer(&mut self, now: Instant, source: IpAddr, way: Way, signed: &Signed, out: &mut Outbox) {
        let (router, skew) = (self.key, signed.skew);
        if signed.follows_wall {
            let trouble = out.clock.follow();
            out.node_event(EventKind::Clock(trouble));
        }
        match signed.guard {
            ReplayGuard::Time { .. } => out.clock.mark_shared(),
            ReplayGuard::Monotonic => {}
        }
        let era = out.clock.moment().era;
        let Some(peer) = self.peers.entry(now, source) else { return };
        peer.accepted_mut().accept(signed.sequence, era, signed.guard, way);
        let is_told = peer.note_clock(now, skew, signed.guard);
        if let (true, ReplayGuard::Time { window }) = (is_told, signed.guard) {
            out.event(router, EventKind::ClockSkew { peer: source, skew, window });
        }
    }
}

/// Returns the time that a stamp is judged by, and whether that is the wall clock and not the time that is kept; `None`: it is
/// stale.
fn judging_moment(sequence: Sequence, guard: ReplayGuard, clock: &Clock) -> Option<(Moment, bool)> {
    let kept = (clock.moment(), false);
    match guard {
        ReplayGuard::Monotonic => Some(kept),
        ReplayGuard::Time { window } if is_within(sequence, clock.time(), window) => Some(kept),
        ReplayGuard::Time { window } => {
            let wall = clock.alternative().filter(|wall| is_within(sequence, wall.time, window));
            wall.map(|wall| (wall, true))
        }
    }
}

fn window_of(guard: ReplayGuard) -> Duration {
    match guard {
        ReplayGuard::Time { window } => window,
        ReplayGuard::Monotonic => Duration::ZERO,
    }
}

fn malformed(error: TrailerError) -> Refusal {
    let evidence = match error {
        TrailerError::Kind(found) => Evidence::Number { found },
        TrailerError::Reserved(_) => Evidence::None,
    };
    Refusal { reason: Discard::AuthMalformed, evidence }
}
