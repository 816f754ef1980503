//! Why packets are refused: reasons, what a packet said, counts.
//!
//! Made by `engine::receive`; read by `daemon::journal` and `control`.

use std::time::Duration;

/// How far another clock is from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// By how much.
    pub length: Duration,
    /// The other clock is ahead of ours; else behind.
    pub is_ahead: bool,
}

/// What is wrong with the clock of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockTrouble {
    /// It shows a time before this program was made.
    BeforeRelease {
        /// That time, since 1970-01-01 UTC.
        utc: Duration,
    },
    /// It was set; adverts are signed and judged by the time before that, until a peer shows that it is right.
    Stepped {
        /// The clock as it is, seen from the time that is kept.
        by: ClockOffset,
    },
    /// It was set, and a peer goes by that time: so does this node.
    Followed {
        /// The new time, seen from the one before.
        by: ClockOffset,
    },
    /// It was set and is back at the time that was kept.
    Restored,
}

/// Why a packet was refused, and what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Discard,
    /// What it said, where that helps to find the cause.
    pub evidence: Evidence,
}

impl From<Discard> for Refusal {
    fn from(reason: Discard) -> Self {
        Self { reason, evidence: Evidence::None }
    }
}

/// What a refused packet said, beside its reason. Anybody may have written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing worth telling.
    None,
    /// A number that is not the expected one: TTL, version, authentication type, type.
    Number {
        /// In the packet.
        found: u8,
    },
    /// A length in bytes.
    Length {
        /// Of the message, with all that follows it.
        found: u16,
        /// That such an advert must have.
        expected: u16,
    },
    /// An interval.
    Interval {
        /// In the packet.
        found: Duration,
    },
    /// The identifier of the key that it names: in `Discard::UnknownKey` one that is not configured.
    Key(u8),
    /// How far its time is from ours.
    Skew(ClockOffset),
}

/// Counts of refused packets by reason; takes room only for reasons that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<(Discard, u64)>);

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, reason: Discard) {
        match self.0.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.0.push((reason, 1)),
        }
    }

    /// Returns how many were refused for a reason.
    pub fn count(&self, reason: Discard) -> u64 {
        self.0.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| *count)
    }

    /// Returns how many were refused.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

/// Why a packet was refused. A refused packet changes nothing but counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Discard {
    /// Shorter than its own header fields say, or than any advert.
    Incomplete,
    /// The IPv4 header is no header.
    BadIpHeader,
    /// Longer than an advert with that many addresses.
    Length,
    /// A fragment.
    Fragment,
    /// Another IP protocol.
    Protocol,
    /// An Authentication Header that holds no VRRP message.
    NotVrrp,
    /// TTL or hop limit.
    Ttl,
    /// VRRP version.
    Version,
    /// VRRP type.
    Type,
    /// VRID 0.
    Vrid,
    /// No router of that VRID on that interface.
    UnknownVrid,
    /// Checksum.
    Checksum,
    /// No addresses (version 3).
    CountZero,
    /// Interval 0, or (version 2) not ours.
    Interval,
    /// Authentication type.
    AuthType,
    /// Authentication data: the password, or the digest of an Authentication Header.
    Auth,
    /// No HMAC trailer where one is required.
    AuthMissing,
    /// An HMAC trailer of a kind that is not defined, or with something in its reserved bytes.
    AuthMalformed,
    /// Signed with a key that is not configured.
    UnknownKey,
    /// Not signed by who knows the key.
    Hmac,
    /// Signed at another time than ours, beyond the window.
    Stale,
    /// A sequence number that was used before.
    Replay,
    /// Unicast where multicast belongs, or the reverse.
    Destination,
    /// IPv6 multicast from an address that is not link-local.
    SourceNotLinkLocal,
    /// Not one of the configured peers.
    NotAPeer,
    /// Our own source address: reflected, or two hosts share it.
    OwnAddress,
    /// Strict: another address list.
    AddressList,
    /// Strict, version 2: we own the addresses.
    Owner,
}

impl Discard {
    /// Every reason; roughly in the order of the checks, which `docs/rfc9568-ledger.md` has exactly.
    pub const ALL: [Self; 28] = [
        Self::Incomplete,
        Self::BadIpHeader,
        Self::Length,
        Self::Fragment,
        Self::Protocol,
        Self::NotVrrp,
        Self::Ttl,
        Self::Version,
        Self::Type,
        Self::Vrid,
        Self::UnknownVrid,
        Self::Checksum,
        Self::CountZero,
        Self::Interval,
        Self::AuthType,
        Self::Auth,
        Self::AuthMissing,
        Self::AuthMalformed,
        Self::UnknownKey,
        Self::Hmac,
        Self::Stale,
        Self::Replay,
        Self::Destination,
        Self::SourceNotLinkLocal,
        Self::NotAPeer,
        Self::OwnAddress,
        Self::AddressList,
        Self::Owner,
    ];

    /// Returns the word used in status and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::BadIpHeader => "bad_ip_header",
            Self::Length => "length",
            Self::Fragment => "fragment",
            Self::Protocol => "protocol",
            Self::NotVrrp => "not_vrrp",
            Self::Ttl => "ttl",
            Self::Version => "version",
            Self::Type => "type",
            Self::Vrid => "vrid",
            Self::UnknownVrid => "unknown_vrid",
            Self::Checksum => "checksum",
            Self::CountZero => "count_zero",
            Self::Interval => "interval",
            Self::AuthType => "auth_type",
            Self::Auth => "auth",
            Self::AuthMissing => "auth_missing",
            Self::AuthMalformed => "auth_malformed",
            Self::UnknownKey => "unknown_key",
            Self::Hmac => "hmac",
            Self::Stale => "stale",
            Self::Replay => "replay",
            Self::Destination => "destination",
            Self::SourceNotLinkLocal => "source_not_link_local",
            Self::NotAPeer => "not_a_peer",
            Self::OwnAddress => "own_address",
            Self::AddressList => "address_list",
            Self::Owner => "owner",
        }
    }
}
