//! Makes adverts and puts them into the outbox.
//!
//! What is the same each time is prepared once per destination and copied as often as it is sent; what is signed or
//! numbered is made anew for each advert, once for all destinations.
//! One stop before: `engine::router` and its states. One stop after: `net::socket`.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::outbox::Outbox;
use super::output::{AhHeader, Output, Transmit};
use super::params::{Auth, ChecksumPolicy, HmacParams, PeerParams, ReplayGuard, RouterParams, Transport};
use super::router::{Local, VirtualRouter};
use crate::wire::addresses::{AddressList, Addresses};
use crate::wire::advert::{AUTH_AH, AUTH_PASSWORD, Advert, AuthField};
use crate::wire::ah::AuthHeader;
use crate::wire::auth::{Origin, Password, Trailer};
use crate::wire::checksum::{self, ChecksumForm};
use crate::wire::field::{Family, Priority};
use crate::wire::ip::{Ipv4Header, Protocol};

/// The adverts of one router, ready to be copied.
#[derive(Debug)]
pub(super) struct Adverts {
    list: AddressList,
    /// One per destination that was sent to with `valid_for`.
    prepared: Vec<Prepared>,
    valid_for: Option<(Priority, IpAddr)>,
}

/// One advert for one destination.
#[derive(Debug)]
struct Prepared {
    destination: IpAddr,
    form: ChecksumForm,
    bytes: Box<[u8]>,
}

impl Adverts {
    /// Prepares the address list; what no advert can carry (another family, more than 255) is left out.
    pub fn new(params: &RouterParams) -> Self {
        let fitting = params.advertised().filter(|address| Family::of(address) == params.family);
        let list = AddressList::new(params.family, fitting.take(usize::from(u8::MAX)));
        // Cannot fail: at most 255, all of the family.
        Self { list: list.expect("a fitting list"), prepared: Vec::new(), valid_for: None }
    }

    /// Returns the advertised addresses.
    pub fn list(&self) -> Addresses<'_> {
        self.list.as_addresses()
    }
}

impl VirtualRouter {
    /// Sends an advert with the effective priority to everybody.
    pub(super) fn send_advert(&mut self, out: &mut Outbox) {
        self.send(Some(self.effective), None, out);
    }

    /// Sends a resignation to everybody.
    pub(super) fn send_resignation(&mut self, out: &mut Outbox) {
        self.send(None, None, out);
    }

    /// Sends an advert to one node, or by multicast to everybody.
    pub(super) fn send_to(&mut self, priority: Priority, peer: IpAddr, out: &mut Outbox) {
        self.send(Some(priority), Some(peer), out);
    }

    fn send(&mut self, priority: Option<Priority>, only: Option<IpAddr>, out: &mut Outbox) {
        let Some(local) = self.local else { return };
        self.counters.advertisements_sent += 1;
        self.counters.priority_zero_sent += u64::from(priority.is_none());
        let params = Arc::clone(&self.params);
        let to = destinations(&params.transport, only);
        match &params.auth {
            Auth::Hmac(hmac) if hmac.mode.signs() => self.send_signed(local, priority, hmac, to, out),
            Auth::Ah(key) => self.send_authenticated(local, priority, key, to, out),
            Auth::None | Auth::Password { .. } | Auth::Hmac(_) => {
                to.for_each(|destination| self.send_one(local, priority, destination, out));
            }
        }
    }

    /// Copies the prepared advert, or makes one when there is none.
    fn send_one(&mut self, local: Local, priority: Option<Priority>, destination: IpAddr, out: &mut Outbox) {
        let form = self.form_for(destination);
        let is_usual = priority == Some(self.effective);
        if is_usual && self.adverts.valid_for != Some((self.effective, local.source)) {
            self.adverts.prepared.clear();
            self.adverts.valid_for = Some((self.effective, local.source));
        }
        let place = self.adverts.prepared.iter().position(|prepared| prepared.destination == destination);
        let range = match place.and_then(|place| self.adverts.prepared.get(place)).filter(|_| is_usual) {
            Some(prepared) if prepared.form == form => out.append(|bytes| bytes.extend_from_slice(&prepared.bytes)),
            Some(_) | None => {
                let mut bytes = Vec::new();
                self.emit(priority, &mut bytes);
                checksum::fill(self.params.version, form, local.source, destination, &mut bytes);
                let range = out.append(|place| place.extend_from_slice(&bytes));
                if is_usual {
                    self.adverts.prepared.retain(|prepared| prepared.destination != destination);
                    self.adverts.prepared.reserve_exact(1);
                    self.adverts.prepared.push(Prepared { destination, form, bytes: bytes.into_boxed_slice() });
                }
                range
            }
        };
        self.transmit(local, destination, None, range, out);
    }

    /// Sends with an HMAC trailer: one stamp and one digest for all destinations, whose checksums may differ.
    fn send_signed(
        &mut self,
        local: Local,
        priority: Option<Priority>,
        hmac: &HmacParams,
        to: impl Iterator<Item = IpAddr>,
        out: &mut Outbox,
    ) {
        let params = Arc::clone(&self.params);
        let Some(key) = hmac.key(hmac.active) else { return };
        let time = match hmac.guard {
            ReplayGuard::Time { .. } => out.clock.time(),
            ReplayGuard::Monotonic => out.clock.latest(),
        };
        let sequence = self.replay.stamp(time, hmac.guard);
        out.clock.mark_known();
        let mut bytes = std::mem::take(&mut out.draft);
        bytes.clear();
        self.emit(priority, &mut bytes);
        let message_len = bytes.len();
        let origin = Origin { version: params.version, vrid: params.vrid, source: local.source };
        let trailer = Trailer::sign(key, hmac.active.get(), sequence, &origin, &bytes);
        bytes.extend_from_slice(&trailer.emit());
        let summed_len = match params.family {
            Family::V4 => message_len,
            Family::V6 => bytes.len(),
        };
        for destination in to {
            let form = self.form_for(destination);
            let summed = bytes.get_mut(..summed_len).unwrap_or_default();
            checksum::fill(params.version, form, local.source, destination, summed);
            let range = out.append(|place| place.extend_from_slice(&bytes));
            self.transmit(local, destination, None, range, out);
        }
        out.draft = bytes;
    }

    /// Sends with an Authentication Header: one sequence number for all destinations.
    fn send_authenticated(
        &mut self,
        local: Local,
        priority: Option<Priority>,
        key: &Password,
        to: impl Iterator<Item = IpAddr>,
        out: &mut Outbox,
    ) {
        let IpAddr::V4(source) = local.source else { return };
        let (sequence, ip_id) = self.replay.next();
        let mut message = std::mem::take(&mut out.draft);
        message.clear();
        self.emit(priority, &mut message);
        for destination in to {
            let IpAddr::V4(to) = destination else { continue };
            let form = ChecksumForm::Rfc9568;
            checksum::fill(self.params.version, form, local.source, destination, &mut message);
            let ip = Ipv4Header { source, destination: to, id: ip_id, protocol: Protocol::Ah };
            let ip_header = ip.emit(AuthHeader::LEN + message.len());
            let header = AuthHeader::sign(key, &ip_header, source, to, sequence, &message);
            let range = out.append(|bytes| {
                bytes.extend_from_slice(&header.emit());
                bytes.extend_from_slice(&message);
            });
            self.transmit(local, destination, Some(AhHeader { ip_id }), range, out);
        }
        out.draft = message;
    }

    fn transmit(&self, local: Local, destination: IpAddr, ah: Option<AhHeader>, range: Range<u32>, out: &mut Outbox) {
        let Local { interface, source } = local;
        out.push(Output::Send(Transmit { router: self.key, interface, source, destination, ah, range }));
    }

    /// Writes an advert with a checksum field of 0. RFC 9568 section 7.2.
    fn emit(&self, priority: Option<Priority>, bytes: &mut Vec<u8>) {
        let params = &self.params;
        let auth = match &params.auth {
            Auth::Password { password, mode } if mode.signs() => {
                AuthField { kind: AUTH_PASSWORD, data: password.as_bytes() }
            }
            Auth::None | Auth::Password { .. } | Auth::Hmac(_) => AuthField::NONE,
            Auth::Ah(_) => AuthField { kind: AUTH_AH, ..AuthField::NONE },
        };
        let interval = params.advertisement_interval;
        let addresses = self.adverts.list.as_addresses();
        Advert { version: params.version, vrid: params.vrid, priority, interval, auth, addresses }.emit(bytes);
    }

    fn form_for(&self, destination: IpAddr) -> ChecksumForm {
        let form = match self.params.checksum {
            ChecksumPolicy::Auto => self.peers.form_for(destination).unwrap_or(ChecksumForm::Pseudo),
            ChecksumPolicy::Pseudo => ChecksumForm::Pseudo,
            ChecksumPolicy::Rfc9568 => ChecksumForm::Rfc9568,
            ChecksumPolicy::OldUnicast => ChecksumForm::OldUnicast,
        };
        match form {
            // There is no such form to a group: who uses it sums the group that it sends to.
            ChecksumForm::OldUnicast if destination.is_multicast() => ChecksumForm::Pseudo,
            ChecksumForm::OldUnicast | ChecksumForm::Pseudo | ChecksumForm::Rfc9568 => form,
        }
    }
}

/// Returns where an advert goes: to each peer, or to `only` one of them, and to the group if there is one.
fn destinations(transport: &Transport, only: Option<IpAddr>) -> impl Iterator<Item = IpAddr> + '_ {
    let (peers, group): (&[PeerParams], _) = match transport {
        Transport::Unicast { peers, also } => (peers, *also),
        Transport::Multicast { group } => (&[], Some(*group)),
    };
    let peers = peers.iter().map(|peer| peer.address);
    peers.filter(move |peer| only.is_none_or(|only| only == *peer)).chain(group)
}
