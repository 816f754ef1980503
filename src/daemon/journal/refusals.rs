//! The lines of refused packets: the phrase that alerts look for, then the cause and what mends it.
//!
//! What an operator must mend is a warning; what no node of a cluster would send, however it is configured, is noise.

use std::net::IpAddr;

use super::clock::{direction, seconds};
use super::lines::{line, text};
use crate::daemon::record::{Key, Kind, Level, Record, Value};
use crate::engine::output::{Discard, Evidence, Refusal};
use crate::engine::params::{Auth, ChecksumPolicy, PeerParams, ReplayGuard, RouterParams, Transport};
use crate::wire::advert::{AUTH_AH, AUTH_NONE, AUTH_PASSWORD, TRAILER_LEN};
use crate::wire::field::Version;

/// Returns the line of refused packets.
pub(super) fn of_discard(params: Option<&RouterParams>, refusal: Refusal, peer: Option<IpAddr>, count: u64) -> Record {
    let from = peer.map_or_else(String::new, |peer| format!(" from {peer}"));
    let (level, message) = Refused { params, evidence: refusal.evidence, peer, from }.phrase(refusal.reason);
    let mut fields = vec![(Key::Reason, text(refusal.reason.name())), (Key::Count, Value::Number(count))];
    if let Some(peer) = peer {
        fields.push((Key::Peer, text(peer)));
    }
    line(level, Kind::Discarded, message, fields)
}

/// A refused packet and whom it was for.
struct Refused<'a> {
    params: Option<&'a RouterParams>,
    evidence: Evidence,
    peer: Option<IpAddr>,
    /// ` from ADDRESS`, or nothing.
    from: String,
}

impl Refused<'_> {
    fn phrase(&self, reason: Discard) -> (Level, String) {
        use Level::{Debug, Warn};
        let from = &self.from;
        match reason {
            Discard::Incomplete => (Debug, format!("vrrp packet{from} too short{}", self.lengths())),
            Discard::BadIpHeader => (Debug, format!("invalid IP header{from}")),
            Discard::Length => (Warn, self.length()),
            Discard::Fragment => (Debug, format!("vrrp packet{from} is a fragment")),
            Discard::Protocol => (Debug, format!("packet{from} of another protocol")),
            Discard::NotVrrp => (Debug, format!("AH packet{from} holds no vrrp packet")),
            Discard::Ttl => (Warn, self.ttl()),
            Discard::Version => (Warn, self.version()),
            Discard::Type => (Debug, format!("invalid VRRP type{from}{}", self.received("1"))),
            Discard::Vrid => (Debug, format!("invalid VRID 0{from}")),
            Discard::UnknownVrid => (Debug, self.unknown_vrid()),
            Discard::Checksum => (Warn, self.checksum()),
            Discard::CountZero => (Warn, format!("vrrp packet{from} lists no VIPs: give that node the addresses")),
            Discard::Interval => (Warn, self.interval()),
            Discard::AuthType => (Warn, self.auth_type()),
            Discard::Auth => (Warn, self.auth()),
            Discard::AuthMissing => (
                Warn,
                format!(
                    "missing authentication trailer{from}: that node has no keys or mode receive-only, and mode enforce \
                     here asks for it; or forged"
                ),
            ),
            Discard::AuthMalformed => (Warn, self.malformed()),
            Discard::UnknownKey => (Warn, self.unknown_key()),
            Discard::Hmac => (Warn, self.hmac()),
            Discard::Stale => (Warn, self.stale()),
            Discard::Replay => (Warn, self.replay()),
            Discard::Destination => (Warn, self.destination()),
            Discard::SourceNotLinkLocal => (Warn, format!("source address is not link-local{from}")),
            Discard::NotAPeer => (Warn, format!("unicast source address{} not a unicast peer", self.bare())),
            Discard::OwnAddress => (
                Warn,
                "WARNING - advert received from remote host with our IP address: duplicate source address".to_owned(),
            ),
            Discard::AddressList => (Warn, format!("ip addresses not those of the advert{from}")),
            Discard::Owner => (Warn, format!("Dropping packet(s){from} since we are address owner")),
        }
    }

    /// A length that is wrong: a trailer where none is known of has one of its own.
    fn length(&self) -> String {
        let from = &self.from;
        let Evidence::Length { found, expected } = self.evidence else {
            return format!("vrrp packet{from} too long");
        };
        let is_long = found > expected;
        let has_trailer = usize::from(found) == usize::from(expected) + TRAILER_LEN;
        let cause = match self.params.map(|params| &params.auth) {
            Some(Auth::None | Auth::Password { .. } | Auth::Ah(_)) if has_trailer => {
                "has an authentication trailer, none is configured here"
            }
            _ if is_long => "damaged, forged, or with something behind it that this version does not know",
            _ => "damaged or forged",
        };
        format!("vrrp packet{from} too {}{}: {cause}", if is_long { "long" } else { "short" }, self.lengths())
    }

    fn lengths(&self) -> String {
        match self.evidence {
            Evidence::Length { found, expected } => format!(", length {found} and expect {expected}"),
            Evidence::None
            | Evidence::Number { .. }
            | Evidence::Interval { .. }
            | Evidence::Key(_)
            | Evidence::Skew(_) => String::new(),
        }
    }

    fn ttl(&self) -> String {
        let from = &self.from;
        match (self.number(), self.hops()) {
            (Some(found), Some((low, high))) if !(low..=high).contains(&found) => format!(
                "TTL/HL {found}{from} not in range [{low}, {high}]: more routers on the way than its `min_ttl` and \
                 `max_ttl` allow, or forged"
            ),
            _ => {
                format!("invalid TTL/HL{from}{}: from beyond this link, where no node of it is", self.received("255"))
            }
        }
    }

    /// Returns the range of TTL that is configured for the sender; `None`: what is asked for is 255.
    fn hops(&self) -> Option<(u8, u8)> {
        let params = self.params.filter(|params| !params.strict)?;
        let is_sender = |peer: &&PeerParams| Some(peer.address) == self.peer;
        let peer = params.peers().iter().find(is_sender)?;
        (peer.min_ttl.is_some() || peer.max_ttl.is_some())
            .then_some((peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(u8::MAX)))
    }

    fn version(&self) -> String {
        let ours = self.params.map_or_else(String::new, |params| params.version.number().to_string());
        format!("wrong VRRP version{}{}: give both nodes the same `version`", self.from, self.received(&ours))
    }

    fn unknown_vrid(&self) -> String {
        let vrid = self.number().map_or_else(String::new, |vrid| format!(" {vrid}"));
        format!("Unknown VRID{vrid} received{}. ignoring...", self.from)
    }

    fn checksum(&self) -> String {
        let version = self.params.map_or_else(String::new, |params| format!("v{}", params.version.number()));
        let cause = match self.params.map(|params| (params.checksum, params.version)) {
            Some((ChecksumPolicy::Pseudo | ChecksumPolicy::Rfc9568 | ChecksumPolicy::OldUnicast, Version::V3)) => {
                "damaged, forged, or of another form than `checksum` asks for"
            }
            Some(_) | None => "damaged or forged",
        };
        format!("Invalid VRRP{version} checksum{}: {cause}", self.from)
    }

    fn interval(&self) -> String {
        let with = self.peer.map_or_else(String::new, |peer| format!(" with {peer}"));
        let lengths = match (self.params, self.evidence) {
            (_, Evidence::Interval { found }) if found.is_zero() => {
                return format!("advertisement interval 0{}: damaged or forged", self.from);
            }
            (Some(params), Evidence::Interval { found }) => {
                format!(" mine={} sec rcv'd={} sec", params.advertisement_interval.seconds(), found.as_secs())
            }
            _ => String::new(),
        };
        format!("advertisement interval mismatch{with}{lengths}: both nodes may become MASTER, give them the same one")
    }

    fn auth_type(&self) -> String {
        let from = &self.from;
        let ours = self.params.map(|params| match params.auth {
            Auth::None => (AUTH_NONE, kind_of_auth(AUTH_NONE)),
            Auth::Hmac(_) => (AUTH_NONE, "HMAC"),
            Auth::Password { .. } => (AUTH_PASSWORD, kind_of_auth(AUTH_PASSWORD)),
            Auth::Ah(_) => (AUTH_AH, kind_of_auth(AUTH_AH)),
        });
        let Some(theirs) = self.number() else { return format!("Invalid auth type{from}") };
        let there = kind_of_auth(theirs);
        match ours {
            Some((ours, here)) if ours != theirs && theirs == AUTH_AH => {
                format!("Received AH header but auth type not AH{from}: {there} there, {here} here; or forged")
            }
            Some((ours, here)) if ours != theirs => {
                format!("Invalid auth type{from}: {theirs}, expected {ours}: {there} there, {here} here; or forged")
            }
            Some(_) | None => format!("Invalid auth type{from}: {theirs}"),
        }
    }

    fn auth(&self) -> String {
        let from = &self.from;
        match self.params.map(|params| &params.auth) {
            Some(Auth::Ah(_)) => format!(
                "no valid AH digest{from}: that node authenticates otherwise, the password differs between the nodes, the \
                 addresses are translated on the way, or forged"
            ),
            Some(Auth::None | Auth::Password { .. } | Auth::Hmac(_)) | None => {
                format!("received an invalid passwd{from}! The password differs between the nodes, or forged")
            }
        }
    }

    fn malformed(&self) -> String {
        let cause = match self.number() {
            Some(kind) => format!("kind {kind}, this version knows kind 1; or forged"),
            None => "something in its reserved bytes, damaged, or forged".to_owned(),
        };
        format!("malformed authentication trailer{}: {cause}", self.from)
    }

    fn unknown_key(&self) -> String {
        let id = self.key();
        let known = match self.params.map(|params| &params.auth) {
            Some(Auth::Hmac(hmac)) => {
                let ids: Vec<String> = hmac.keys.iter().map(|(id, _)| id.to_string()).collect();
                format!(": known here are {}", ids.join(", "))
            }
            Some(Auth::None | Auth::Password { .. } | Auth::Ah(_)) | None => String::new(),
        };
        let add = "; give every node a key before one signs with it";
        format!("unknown authentication key id{id}{}{known}{add}", self.from)
    }

    fn hmac(&self) -> String {
        format!("invalid authentication HMAC{}: key{} differs between the nodes, or forged", self.from, self.key())
    }

    fn stale(&self) -> String {
        let from = &self.from;
        let Evidence::Skew(skew) = self.evidence else {
            return format!("stale authentication trailer{from}: check the clocks, or replayed");
        };
        let window = match self.guard() {
            Some(ReplayGuard::Time { window }) => format!(" exceeds window {} sec", window.as_secs()),
            Some(ReplayGuard::Monotonic) | None => String::new(),
        };
        let (seconds, direction) = (seconds(skew), direction(skew));
        format!(
            "stale authentication trailer{from}, clock skew {seconds} sec{window}: check the clocks ({direction}), or \
             replayed"
        )
    }

    fn replay(&self) -> String {
        let from = &self.from;
        match self.guard() {
            Some(ReplayGuard::Time { .. }) => format!(
                "replayed authentication trailer{from}: recorded and sent again, or two hosts have that address, or its \
                 clock was set back"
            ),
            Some(ReplayGuard::Monotonic) => format!(
                "replayed authentication trailer{from}: recorded and sent again, or two hosts have that address, or its \
                 clock was set back before it was started again"
            ),
            None => {
                format!("received a replayed packet{from}: recorded and sent again, or two hosts have that address")
            }
        }
    }

    fn guard(&self) -> Option<ReplayGuard> {
        match self.params.map(|params| &params.auth) {
            Some(Auth::Hmac(hmac)) => Some(hmac.guard),
            Some(Auth::None | Auth::Password { .. } | Auth::Ah(_)) | None => None,
        }
    }

    fn destination(&self) -> String {
        let from = &self.from;
        match self.params.map(|params| &params.transport) {
            Some(Transport::Multicast { .. }) => {
                format!(
                    "Expected multicast packet but received unicast packet{from}: that node has peers, this one none"
                )
            }
            Some(Transport::Unicast { .. }) => {
                format!("Expected unicast packet but received multicast packet{from}: that node sends to a group")
            }
            None => format!("Expected another destination{from}"),
        }
    }

    /// Writes what the packet had and what it should have had.
    fn received(&self, expected: &str) -> String {
        self.number().map_or_else(String::new, |found| format!(". Received {found} and expect {expected}"))
    }

    fn number(&self) -> Option<u8> {
        match self.evidence {
            Evidence::Number { found } => Some(found),
            Evidence::None
            | Evidence::Length { .. }
            | Evidence::Interval { .. }
            | Evidence::Key(_)
            | Evidence::Skew(_) => None,
        }
    }

    fn key(&self) -> String {
        match self.evidence {
            Evidence::Key(id) => format!(" {id}"),
            Evidence::None
            | Evidence::Number { .. }
            | Evidence::Length { .. }
            | Evidence::Interval { .. }
            | Evidence::Skew(_) => String::new(),
        }
    }

    fn bare(&self) -> String {
        self.peer.map_or_else(String::new, |peer| format!(" {peer}"))
    }
}

fn kind_of_auth(kind: u8) -> &'static str {
    match kind {
        AUTH_NONE => "no authentication",
        AUTH_PASSWORD => "a password",
        AUTH_AH => "AH",
        _ => "an unknown kind",
    }
}
