//! A VRRP message: the ADVERTISEMENT of both versions.
//!
//! One stop before: `wire::ip` or `wire::ah` (IPv4), the socket itself (IPv6). One stop after: `engine::receive`.
//! Judges what follows from the bytes alone; checksum, authentication and everything configured come after it.
//!
//! | byte | version 2, RFC 3768 section 5.3 | version 3, RFC 9568 section 5.2 |
//! |---|---|---|
//! | 0 | version (high nibble), type 1 (low nibble) | same |
//! | 1 | VRID, 1 to 255 | same |
//! | 2 | priority; 0: the Master resigns, 255: it owns the addresses | same |
//! | 3 | count of addresses; 0 is tolerated | same; 0 is refused |
//! | 4 | authentication type: 0, 1 (password), 2 (Authentication Header) | reserved (high nibble), interval (top) |
//! | 5 | interval in seconds, 1 to 255 | rest of the interval in centiseconds, 1 to 4095 |
//! | 6, 7 | checksum | checksum |
//! | 8.. | count x 4 bytes | count x 4 or x 16 bytes |
//! | end | 8 bytes of authentication data | nothing |
//!
//! An HMAC trailer of 28 bytes (`wire::auth`) may follow the message where the caller permits it. The family is that of
//! the IP header; version 2 exists over IPv4 only.

use std::fmt;

use super::addresses::Addresses;
use super::field::{AdverInterval, Family, Priority, Version, Vrid};

/// The fixed first 8 bytes, as they are: for looking up whom a message concerns before it is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// 0 to 15.
    pub version: u8,
    /// 0 to 15; 1 is the only one defined.
    pub kind: u8,
    /// 0 to 255; 0 names no virtual router.
    pub vrid: u8,
    /// 0 to 255.
    pub priority: u8,
    /// Addresses the message claims to list.
    pub count: u8,
    /// Bytes 4 and 5, whose meaning depends on the version.
    pub timing: [u8; 2],
    /// As received.
    pub checksum: u16,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 8;

    /// Reads the fixed part of a message of any version.
    ///
    /// **Errors:** [`ParseError::Incomplete`] alone. Never panics, never allocates.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let Some(&[first, vrid, priority, count, high, low, sum_high, sum_low]) = bytes.first_chunk::<{ Self::LEN }>()
        else {
            return Err(ParseError::Incomplete { len: bytes.len(), needed: Self::LEN });
        };
        Ok(Self {
            version: first >> 4,
            kind: first & 0x0f,
            vrid,
            priority,
            count,
            timing: [high, low],
            checksum: u16::from_be_bytes([sum_high, sum_low]),
        })
    }
}

/// A valid advert, as a value: what [`Received::parse`] found or what [`Advert::emit`] writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advert<'a> {
    /// Decides the layout. Over IPv6 always [`Version::V3`].
    pub version: Version,
    /// Whose.
    pub vrid: Vrid,
    /// `None`: 0 on the wire, the Master resigns.
    pub priority: Option<Priority>,
    /// Version 2 carries whole seconds; a fraction is cut when written.
    pub interval: AdverInterval,
    /// Version 2 only; version 3 reads as [`AuthField::NONE`] and does not write it.
    pub auth: AuthField<'a>,
    /// In the order of the wire.
    pub addresses: Addresses<'a>,
}

impl Advert<'_> {
    /// Returns the length of the message in bytes, without a trailer: 8 to 4088.
    pub const fn message_len(&self) -> usize {
        message_len(self.version, self.addresses.family(), self.addresses.count())
    }

    /// Appends the message with a checksum field of 0; `wire::checksum` completes it, `wire::auth` signs it.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let cs = self.interval.centiseconds();
        let timing = match self.version {
            Version::V2 => [self.auth.kind, u8::try_from(self.interval.seconds()).unwrap_or(u8::MAX)],
            Version::V3 => cs.min(MAX_CENTISECONDS).to_be_bytes(),
        };
        out.reserve(self.message_len());
        out.push(self.version.number() << 4 | ADVERTISEMENT);
        out.push(self.vrid.get());
        out.push(self.priority.map_or(0, Priority::get));
        out.push(self.addresses.count());
        out.extend_from_slice(&timing);
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(self.addresses.as_bytes());
        match self.version {
            Version::V2 => out.extend_from_slice(self.auth.data),
            Version::V3 => {}
        }
    }
}

/// A received advert and the bytes it was read from, for checksum and authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received<'a> {
    /// The value.
    pub advert: Advert<'a>,
    /// The message without trailer: what authentication covers.
    pub message: &'a [u8],
    /// What the checksum covers: the message, over IPv6 with the trailer.
    pub summed: &'a [u8],
    /// The 28 bytes after the message.
    pub trailer: Option<&'a [u8; TRAILER_LEN]>,
}

impl<'a> Received<'a> {
    /// Reads a whole IP payload as an advert of the version and family that the receiving router speaks.
    ///
    /// `is_trailer_permitted`: exactly 28 bytes more than the message are taken as its trailer instead of refused.
    /// The checksum is not looked at. Never panics, never allocates.
    /// **Errors:** in the order of the checks: [`ParseError::Incomplete`] (no header), `Version`, `Type`, `VridZero`,
    /// `CountZero`, `Incomplete` or `Length` (list), `IntervalZero`; all of them the sender's fault.
    /// **RFC:** 9568 section 7.1, 3768 section 7.1. Stricter than both in that the length must be exact.
    pub fn parse(
        version: Version,
        family: Family,
        bytes: &'a [u8],
        is_trailer_permitted: bool,
    ) -> Result<Self, ParseError> {
        let header = Header::parse(bytes)?;
        if header.version != version.number() || (version == Version::V2 && family == Family::V6) {
            return Err(ParseError::Version { found: header.version, family, expected: version });
        }
        if header.kind != ADVERTISEMENT {
            return Err(ParseError::Type(header.kind));
        }
        let vrid = Vrid::new(header.vrid).ok_or(ParseError::VridZero)?;
        if header.count == 0 && version == Version::V3 {
            return Err(ParseError::CountZero);
        }
        let (message, trailer) = split_trailer(version, family, header.count, bytes, is_trailer_permitted)?;
        let (addresses, auth) = split_list(version, family, header, message)?;
        let interval = read_interval(version, header.timing).ok_or(ParseError::IntervalZero)?;
        let advert = Advert { version, vrid, priority: Priority::new(header.priority), interval, auth, addresses };
        let summed = match family {
            Family::V4 => message,
            Family::V6 => bytes,
        };
        Ok(Self { advert, message, summed, trailer })
    }
}

/// Authentication type and data of version 2. `Debug` shows the type alone: the data may be a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthField<'a> {
    /// Byte 4.
    pub kind: u8,
    /// The last 8 bytes of the message.
    pub data: &'a [u8; 8],
}

impl AuthField<'_> {
    /// No authentication.
    pub const NONE: AuthField<'static> = AuthField { kind: AUTH_NONE, data: &[0; 8] };
}

impl fmt::Debug for AuthField<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthField({})", self.kind)
    }
}

/// Why bytes are no advert for a router of some version and family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// Shorter than the fixed part, or than the count of addresses asks for.
    Incomplete {
        /// Bytes there are.
        len: usize,
        /// Bytes there must be.
        needed: usize,
    },
    /// Longer than the count of addresses asks for.
    Length {
        /// Bytes there are.
        len: usize,
        /// Bytes there must be.
        expected: usize,
    },
    /// Another version than the router speaks, or version 2 over IPv6.
    Version {
        /// 0 to 15.
        found: u8,
        /// Of the IP header.
        family: Family,
        /// The router's.
        expected: Version,
    },
    /// Another type than 1.
    Type(u8),
    /// VRID 0.
    VridZero,
    /// Version 3: no addresses. RFC 9568 section 5.2.5.
    CountZero,
    /// Interval 0: a Backup that took it over would never wait.
    IntervalZero,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { len, needed } => write!(f, "{len} bytes, at least {needed} expected"),
            Self::Length { len, expected } => write!(f, "{len} bytes, exactly {expected} expected"),
            Self::Version { found, family, expected } => {
                write!(f, "version {found} over {family}, version {} expected", expected.number())
            }
            Self::Type(found) => write!(f, "type {found}, {ADVERTISEMENT} expected"),
            Self::VridZero => f.write_str("vrid 0, 1 to 255 expected"),
            Self::CountZero => f.write_str("0 addresses, 1 to 255 expected"),
            Self::IntervalZero => f.write_str("interval 0, at least 1 expected"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Returns the length in bytes of a message that lists `count` addresses, without a trailer.
pub const fn message_len(version: Version, family: Family, count: u8) -> usize {
    let list = Header::LEN + count as usize * family.address_len();
    match version {
        Version::V2 => list + AUTH_DATA_LEN,
        Version::V3 => list,
    }
}

/// Parts the message from its trailer by length alone, the only sign of a trailer there is.
fn split_trailer(
    version: Version,
    family: Family,
    count: u8,
    bytes: &[u8],
    is_trailer_permitted: bool,
) -> Result<(&[u8], Option<&[u8; TRAILER_LEN]>), ParseError> {
    let expected = message_len(version, family, count);
    let (message, rest) =
        bytes.split_at_checked(expected).ok_or(ParseError::Incomplete { len: bytes.len(), needed: expected })?;
    if rest.is_empty() {
        return Ok((message, None));
    }
    match <&[u8; TRAILER_LEN]>::try_from(rest) {
        Ok(trailer) if is_trailer_permitted => Ok((message, Some(trailer))),
        Ok(_) | Err(_) => Err(ParseError::Length { len: bytes.len(), expected }),
    }
}

/// Parts a message of the right length into its list and its authentication field.
fn split_list(
    version: Version,
    family: Family,
    header: Header,
    message: &[u8],
) -> Result<(Addresses<'_>, AuthField<'_>), ParseError> {
    // Both cannot fail after the length check; should they ever, the message is refused.
    let incomplete = ParseError::Incomplete { len: message.len(), needed: Header::LEN };
    let body = message.get(Header::LEN..).ok_or(incomplete)?;
    let (list, auth) = match version {
        Version::V2 => {
            let (list, data) = body.split_last_chunk::<AUTH_DATA_LEN>().ok_or(incomplete)?;
            let [kind, _] = header.timing;
            (list, AuthField { kind, data })
        }
        Version::V3 => (body, AuthField::NONE),
    };
    Ok((Addresses::new(family, list).ok_or(incomplete)?, auth))
}

/// Reads bytes 4 and 5; `None` for 0. The reserved nibble of version 3 is ignored.
const fn read_interval(version: Version, timing: [u8; 2]) -> Option<AdverInterval> {
    match version {
        Version::V2 => AdverInterval::from_seconds(timing[1]),
        Version::V3 => AdverInterval::from_centiseconds(u16::from_be_bytes(timing) & MAX_CENTISECONDS),
    }
}

/// Authentication type 0: none.
pub const AUTH_NONE: u8 = 0;
/// Authentication type 1: simple password. RFC 2338 section 5.3.6.2.
pub const AUTH_PASSWORD: u8 = 1;
/// Authentication type 2: Authentication Header in front of the message. RFC 2338 section 5.3.6.3.
pub const AUTH_AH: u8 = 2;
/// Length in bytes of the HMAC trailer.
pub const TRAILER_LEN: usize = 28;
/// Length in bytes of the longest message with trailer: 255 IPv6 addresses.
pub const MAX_LEN: usize = message_len(Version::V3, Family::V6, u8::MAX) + TRAILER_LEN;

/// The only type there is. RFC 9568 section 5.2.2.
const ADVERTISEMENT: u8 = 1;
const AUTH_DATA_LEN: usize = 8;
/// 12 bits.
const MAX_CENTISECONDS: u16 = 0x0fff;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    /// VRID 51, priority 150, 1 s, 192.0.2.100, no authentication.
    const V2: [u8; 20] = [0x21, 51, 150, 1, 0, 1, 0x86, 0x65, 192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0];
    /// VRID 61, priority 150, 100 cs, 192.0.2.110.
    const V3: [u8; 12] = [0x31, 61, 150, 1, 0, 100, 0xd3, 0x52, 192, 0, 2, 110];

    fn parse(version: Version, bytes: &[u8]) -> Result<Received<'_>, ParseError> {
        Received::parse(version, Family::V4, bytes, false)
    }

    fn with<const N: usize>(mut bytes: [u8; N], at: usize, value: u8) -> [u8; N] {
        bytes[at] = value;
        bytes
    }

    #[test]
    fn version_2_reads_field_by_field() {
        let bytes = with(with(V2, 4, AUTH_PASSWORD), 12, b's');
        let received = parse(Version::V2, &bytes).unwrap();
        let advert = received.advert;
        assert_eq!((advert.version, advert.vrid.get()), (Version::V2, 51));
        assert_eq!(advert.priority, Priority::new(150));
        assert_eq!(advert.interval.centiseconds(), 100);
        assert_eq!((advert.auth.kind, advert.auth.data), (AUTH_PASSWORD, b"s\0\0\0\0\0\0\0"));
        assert_eq!(advert.addresses.as_bytes(), [192, 0, 2, 100]);
        assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), [IpAddr::from([192, 0, 2, 100])]);
        assert_eq!((received.message, received.summed, received.trailer), (&bytes[..], &bytes[..], None));
    }

    #[test]
    fn version_3_interval_is_the_low_12_bits() {
        let bytes = with(V3, 4, 0xff);
        assert_eq!(parse(Version::V3, &bytes).unwrap().advert.interval.centiseconds(), 0x0f64);
        let bytes = with(V3, 4, 0xf0);
        let advert = parse(Version::V3, &bytes).unwrap().advert;
        assert_eq!(advert.interval.centiseconds(), 100);
        let mut out = Vec::new();
        advert.emit(&mut out);
        assert_eq!(out[4], 0, "the reserved nibble is sent as 0");
    }

    #[test]
    fn priority_0_is_a_resignation() {
        assert_eq!(parse(Version::V3, &with(V3, 2, 0)).unwrap().advert.priority, None);
    }

    #[test]
    fn every_shorter_length_is_incomplete() {
        for len in 0..V2.len() {
            let needed = if len < Header::LEN { Header::LEN } else { V2.len() };
            assert_eq!(parse(Version::V2, &V2[..len]), Err(ParseError::Incomplete { len, needed }));
        }
        for len in 0..V3.len() {
            let needed = if len < Header::LEN { Header::LEN } else { V3.len() };
            assert_eq!(parse(Version::V3, &V3[..len]), Err(ParseError::Incomplete { len, needed }));
        }
    }

    #[test]
    fn trailer_is_28_bytes_and_only_where_permitted() {
        for extra in 1..64 {
            let bytes = [&V3[..], &vec![7; extra]].concat();
            let error = ParseError::Length { len: V3.len() + extra, expected: V3.len() };
            assert_eq!(parse(Version::V3, &bytes), Err(error));
            let permitted = Received::parse(Version::V3, Family::V4, &bytes, true);
            if extra == TRAILER_LEN {
                let received = permitted.unwrap();
                assert_eq!(received.trailer, Some(&[7; TRAILER_LEN]));
                assert_eq!((received.message, received.summed), (&V3[..], &V3[..]));
            } else {
                assert_eq!(permitted, Err(error));
            }
        }
    }

    #[test]
    fn ipv6_checksum_covers_the_trailer() {
        let message = [&V3[..8], &[0xfe; 16]].concat();
        let bytes = [&message[..], &[7; TRAILER_LEN]].concat();
        let received = Received::parse(Version::V3, Family::V6, &bytes, true).unwrap();
        assert_eq!((received.message, received.summed), (&message[..], &bytes[..]));
    }

    #[test]
    fn each_wrong_field_has_its_own_error() {
        let v4 = Family::V4;
        for (version, bytes, error) in [
            (Version::V2, with(V2, 0, 0x31), ParseError::Version { found: 3, family: v4, expected: Version::V2 }),
            (Version::V3, V2, ParseError::Version { found: 2, family: v4, expected: Version::V3 }),
            (Version::V2, with(V2, 0, 0x22), ParseError::Type(2)),
            (Version::V2, with(V2, 0, 0x20), ParseError::Type(0)),
            (Version::V2, with(V2, 1, 0), ParseError::VridZero),
            (Version::V2, with(V2, 5, 0), ParseError::IntervalZero),
            (Version::V2, with(V2, 3, 2), ParseError::Incomplete { len: 20, needed: 24 }),
            (Version::V2, with(V2, 3, 0), ParseError::Length { len: 20, expected: 16 }),
            (Version::V3, with(with(V2, 0, 0x31), 3, 0), ParseError::CountZero),
        ] {
            assert_eq!(parse(version, &bytes), Err(error), "{bytes:02x?}");
        }
        assert_eq!(parse(Version::V3, &with(V3, 5, 0)), Err(ParseError::IntervalZero));
        let error = ParseError::Version { found: 2, family: Family::V6, expected: Version::V2 };
        assert_eq!(Received::parse(Version::V2, Family::V6, &V2, false), Err(error));
    }

    #[test]
    fn wrong_version_is_said_whatever_the_length() {
        let error = ParseError::Version { found: 3, family: Family::V4, expected: Version::V2 };
        for len in Header::LEN..=V3.len() {
            assert_eq!(parse(Version::V2, &V3[..len]), Err(error));
        }
    }

    #[test]
    fn version_2_without_addresses_is_read() {
        let bytes = [&with(V2, 3, 0)[..8], &[0; 8]].concat();
        let advert = parse(Version::V2, &bytes).unwrap().advert;
        assert_eq!((advert.addresses.count(), advert.addresses.iter().count()), (0, 0));
    }

    #[test]
    fn full_lists_are_read_and_written() {
        for (version, family, len) in
            [(Version::V2, Family::V4, 1036), (Version::V3, Family::V4, 1028), (Version::V3, Family::V6, 4088)]
        {
            let list: Vec<u8> = (0..255 * family.address_len()).map(|i| (i % 251) as u8).collect();
            let addresses = Addresses::new(family, &list).unwrap();
            let (vrid, priority, interval) = (Vrid::new(255).unwrap(), Priority::new(255), AdverInterval::DEFAULT);
            let advert = Advert { version, vrid, priority, interval, auth: AuthField::NONE, addresses };
            let mut out = Vec::new();
            advert.emit(&mut out);
            assert_eq!((out.len(), advert.message_len()), (len, len));
            assert_eq!(Received::parse(version, family, &out, false).unwrap().advert, advert);
        }
        assert_eq!(MAX_LEN, 4116);
    }

    #[test]
    fn debug_hides_the_password() {
        let bytes = with(with(V2, 4, AUTH_PASSWORD), 12, 0xab);
        let text = format!("{:?}", parse(Version::V2, &bytes).unwrap().advert);
        assert!(text.contains("AuthField(1)") && !text.contains("171"), "{text}");
    }

    #[test]
    fn errors_say_what_was_found_and_expected() {
        let version = ParseError::Version { found: 3, family: Family::V4, expected: Version::V2 };
        assert_eq!(version.to_string(), "version 3 over IPv4, version 2 expected");
        assert_eq!(ParseError::Incomplete { len: 7, needed: 8 }.to_string(), "7 bytes, at least 8 expected");
        assert_eq!(ParseError::Type(2).to_string(), "type 2, 1 expected");
    }
}
