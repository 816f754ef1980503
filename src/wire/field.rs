//! Fields of an advertisement whose wrong values cannot be made.
//!
//! One stop before: bytes (`wire::advert`) or a configuration (`config::resolve`). One stop after: `engine::params`.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

/// The address family of a virtual router: that of the IP header its adverts travel in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Returns the family of an address.
    pub const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Returns the length of an address in bytes: 4 or 16.
    pub const fn address_len(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    /// Returns the longest prefix: 32 or 128.
    pub const fn max_prefix_len(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The protocol version of a virtual router. RFC 3768 (2) and RFC 9568 (3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// RFC 3768: IPv4 only, whole seconds.
    V2,
    /// RFC 5798 and RFC 9568: both families, centiseconds, interval learnt from the Master.
    V3,
}

impl Version {
    /// Returns 2 or 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// A virtual router identifier, 1 to 255. RFC 9568 section 5.2.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// Returns the identifier, or `None` for 0.
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns 1 to 255.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of several keys signed an advert, 1 to 255. draft-cassen-vrrp-auth-hmac.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(NonZeroU8);

impl KeyId {
    /// Returns the identifier, or `None` for 0.
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns 1 to 255.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The priority of a node for a virtual router, 1 to 255; 0 ("resigning") exists only on the wire.
/// RFC 9568 section 5.2.4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// The priority of the address owner, 255.
    pub const OWNER: Self = Self(NonZeroU8::MAX);
    /// The priority that loses against every other, 1.
    pub const LOWEST: Self = Self(NonZeroU8::MIN);
    /// The priority when none is configured, 100.
    pub const DEFAULT: Self = Self(NonZeroU8::new(100).unwrap());

    /// Returns the priority, or `None` for 0.
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns 1 to 255.
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Says whether this is the priority of the address owner.
    pub const fn is_owner(self) -> bool {
        self.0.get() == u8::MAX
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interval between adverts that the wire can carry.
///
/// **Units and range:** version 3: 10 ms to 40.95 s in steps of 10 ms; version 2: 1 s to 255 s in steps of 1 s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AdverInterval {
    cs: u16,
}

impl AdverInterval {
    /// One second, the default of both versions.
    pub const DEFAULT: Self = Self { cs: 100 };

    /// Makes a version 3 interval from centiseconds, or `None` outside 1 to 4095.
    pub const fn from_centiseconds(cs: u16) -> Option<Self> {
        if cs >= 1 && cs <= 4095 { Some(Self { cs }) } else { None }
    }

    /// Makes a version 2 interval from seconds, or `None` for 0.
    pub const fn from_seconds(seconds: u8) -> Option<Self> {
        if seconds == 0 { None } else { Some(Self { cs: seconds as u16 * 100 }) }
    }

    /// Makes an interval from a length of time, or `None` when `version` cannot carry it exactly.
    pub fn new(version: Version, length: Duration) -> Option<Self> {
        let cs = u16::try_from(length.as_millis() / 10).ok()?;
        if Duration::from_millis(u64::from(cs) * 10) != length {
            return None;
        }
        match version {
            Version::V2 if cs % 100 == 0 => Self::from_seconds(u8::try_from(cs / 100).ok()?),
            Version::V2 => None,
            Version::V3 => Self::from_centiseconds(cs),
        }
    }

    /// Returns the interval as a length of time.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.cs as u64 * 10)
    }

    /// Returns the interval in centiseconds, 1 to 25500.
    pub const fn centiseconds(self) -> u16 {
        self.cs
    }

    /// Returns the interval in whole seconds, rounded down; exact for a version 2 interval.
    pub const fn seconds(self) -> u16 {
        self.cs / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_keeps_to_what_each_version_can_carry() {
        let ms = Duration::from_millis;
        for (version, length, cs) in [
            (Version::V3, ms(10), Some(1)),
            (Version::V3, ms(40_950), Some(4095)),
            (Version::V3, ms(40_960), None),
            (Version::V3, ms(0), None),
            (Version::V3, ms(15), None),
            (Version::V2, ms(1000), Some(100)),
            (Version::V2, ms(255_000), Some(25_500)),
            (Version::V2, ms(256_000), None),
            (Version::V2, ms(1500), None),
            (Version::V2, ms(0), None),
        ] {
            assert_eq!(
                AdverInterval::new(version, length).map(AdverInterval::centiseconds),
                cs,
                "{version:?} {length:?}"
            );
        }
    }
}
