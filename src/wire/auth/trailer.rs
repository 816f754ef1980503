//! The HMAC trailer: signs a message and proves who signed it.
//!
//! One stop before: `wire::advert` cuts message and trailer apart. One stop after: `engine::replay` judges the
//! sequence.
//! The trailer follows draft-cassen-vrrp-auth-hmac as Keepalived 2.4.2 and later speak it. 28 bytes behind the message:
//!
//! | byte | field |
//! |---|---|
//! | 0 | kind: 1, HMAC-SHA256 cut to 16 bytes |
//! | 1 | key identifier, 1 to 255 |
//! | 2, 3 | reserved: 0 |
//! | 4..8 | UTC seconds, low 32 bits |
//! | 8..10 | fraction of the second in 1/65536 |
//! | 10..12 | counter, 0 for a value taken from the clock |
//! | 12..28 | digest |
//!
//! The digest covers 20 bytes of origin (4 or 6, version, VRID, 0, source address filled with zeros to 16 bytes), the
//! message with a checksum of 0, and the trailer with a digest of 0. Destination and TTL are not covered: one signed
//! message goes to every peer.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::Key;
use crate::wire::advert::TRAILER_LEN;
use crate::wire::field::{Version, Vrid};

/// The stamp of a signed advert: UTC seconds, fraction and counter as one number that only goes up.
///
/// Has no order of its own: it wraps, so "after" is asked of two of them ([`Self::is_after`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sequence(u64);

impl Sequence {
    /// Takes the 64 bits of the wire.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the 64 bits of the wire.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Makes the stamp of a moment, given as time since 1970-01-01 UTC; the counter is 0.
    pub const fn from_utc(since_epoch: Duration) -> Self {
        let fraction = since_epoch.subsec_nanos() as u64 * 65_536 / 1_000_000_000;
        Self(since_epoch.as_secs() << 32 | fraction << 16)
    }

    /// Says whether this stamp comes after another one, in serial arithmetic: by less than half of all values.
    pub const fn is_after(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    /// Returns the stamp after this one; the counter carries into the fraction, that into the seconds.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Returns the UTC seconds, low 32 bits.
    pub const fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Returns how many whole seconds this stamp is ahead of another one; negative: behind. Fractions do not count.
    pub const fn seconds_ahead_of(self, other: Self) -> i32 {
        self.seconds().wrapping_sub(other.seconds()).cast_signed()
    }
}

/// Whose message a trailer signs.
///
/// A receiver puts in its own version and VRID and the source of the packet, not what the message claims.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Of the virtual router.
    pub version: Version,
    /// Of the virtual router.
    pub vrid: Vrid,
    /// Of the packet.
    pub source: IpAddr,
}

/// A well-formed HMAC trailer. That its digest is right is proven only by [`Self::is_authentic`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// Which key; 0 names none.
    pub key_id: u8,
    /// When it was signed.
    pub sequence: Sequence,
    /// The first 16 bytes of the digest.
    pub hmac: [u8; HMAC_LEN],
}

impl Trailer {
    /// Reads a trailer. Never panics, never allocates.
    ///
    /// **Errors:** [`TrailerError`], the sender's fault.
    pub const fn parse(bytes: &[u8; TRAILER_LEN]) -> Result<Self, TrailerError> {
        let [kind, key_id, r0, r1, s0, s1, s2, s3, s4, s5, s6, s7, hmac @ ..] = *bytes;
        if kind != HMAC_SHA256 {
            return Err(TrailerError::Kind(kind));
        }
        let reserved = u16::from_be_bytes([r0, r1]);
        if reserved != 0 {
            return Err(TrailerError::Reserved(reserved));
        }
        let sequence = Sequence(u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]));
        Ok(Self { key_id, sequence, hmac })
    }

    /// Signs a message (without trailer; its checksum does not matter).
    pub fn sign(key: &Key, key_id: u8, sequence: Sequence, origin: &Origin, message: &[u8]) -> Self {
        let mut trailer = Self { key_id, sequence, hmac: [0; HMAC_LEN] };
        let full: [u8; 32] = trailer.mac(key, origin, message).finalize().into_bytes().into();
        trailer.hmac.copy_from_slice(&full[..HMAC_LEN]);
        trailer
    }

    /// Says whether somebody who knows the key signed this message (without trailer) for this origin. Constant time.
    pub fn is_authentic(&self, key: &Key, origin: &Origin, message: &[u8]) -> bool {
        self.mac(key, origin, message).verify_truncated_left(&self.hmac).is_ok()
    }

    /// Returns the trailer's bytes.
    pub fn emit(&self) -> [u8; TRAILER_LEN] {
        let mut bytes = [0; TRAILER_LEN];
        bytes[..PREFIX_LEN].copy_from_slice(&self.prefix());
        bytes[PREFIX_LEN..].copy_from_slice(&self.hmac);
        bytes
    }

    /// Returns what stands before the digest.
    fn prefix(&self) -> [u8; PREFIX_LEN] {
        let [s0, s1, s2, s3, s4, s5, s6, s7] = self.sequence.0.to_be_bytes();
        [HMAC_SHA256, self.key_id, 0, 0, s0, s1, s2, s3, s4, s5, s6, s7]
    }

    /// Returns the digest's state after everything that it covers.
    fn mac(&self, key: &Key, origin: &Origin, message: &[u8]) -> Hmac<Sha256> {
        let mut address = [0; 16];
        let family = match origin.source {
            IpAddr::V4(source) => {
                address[..4].copy_from_slice(&source.octets());
                4
            }
            IpAddr::V6(source) => {
                address = source.octets();
                6
            }
        };
        let mut mac = Hmac::<Sha256>::new(key.block().into());
        mac.update(&[family, origin.version.number(), origin.vrid.get(), 0]);
        mac.update(&address);
        mac.update(message.get(..6).unwrap_or(message));
        mac.update(&[0; 2]);
        mac.update(message.get(8..).unwrap_or_default());
        mac.update(&self.prefix());
        mac.update(&[0; HMAC_LEN]);
        mac
    }
}

/// Why 28 bytes are no trailer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrailerError {
    /// Another kind than 1.
    Kind(u8),
    /// Something in the reserved bytes.
    Reserved(u16),
}

impl fmt::Display for TrailerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(found) => write!(f, "trailer kind {found}, {HMAC_SHA256} expected"),
            Self::Reserved(found) => write!(f, "reserved trailer bytes {found:#06x}, 0 expected"),
        }
    }
}

impl std::error::Error for TrailerError {}

const HMAC_SHA256: u8 = 1;
const HMAC_LEN: usize = 16;
const PREFIX_LEN: usize = TRAILER_LEN - HMAC_LEN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::advert::Received;
    use crate::wire::checksum::{self, ChecksumForm};
    use crate::wire::field::Family;

    const SEQUENCE: Sequence = Sequence::from_bits(0x6800_0000_8000_0000);

    /// Version, source, destination of the checksum, and the signed message of published test vectors; the version 2
    /// one was computed with an independent program.
    const VECTORS: [(Version, &str, &str, &str); 3] = [
        (
            Version::V3,
            "198.51.100.10",
            "198.51.100.20",
            "3133c80100644402c00002640101000068000000800000001b84bc4e8e43892dc6d98448f8ee2265",
        ),
        (
            Version::V3,
            "fe80::10",
            "fe80::20",
            "3133c8010064a2e9fe800000000000000000000000000100010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78",
        ),
        (
            Version::V2,
            "198.51.100.10",
            "198.51.100.20",
            "2133c80100015465c00002640000000000000000010100006800000080000000d0b9391b8d008f779ef2e8cf66238947",
        ),
    ];

    fn key() -> Key {
        Key::new(&(0..32).collect::<Vec<u8>>()).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn origin(version: Version, source: &str) -> Origin {
        Origin { version, vrid: Vrid::new(51).unwrap(), source: ip(source) }
    }

    fn form(source: &str) -> ChecksumForm {
        match Family::of(&ip(source)) {
            Family::V4 => ChecksumForm::Rfc9568,
            Family::V6 => ChecksumForm::Pseudo,
        }
    }

    /// What a receiver without memory says to a signed message.
    fn judge(origin: &Origin, destination: &str, bytes: &[u8]) -> &'static str {
        let (message, trailer) = bytes.split_last_chunk::<TRAILER_LEN>().unwrap();
        let Ok(trailer) = Trailer::parse(trailer) else { return "malformed" };
        if trailer.key_id != 1 {
            return "unknown key";
        }
        if !trailer.is_authentic(&key(), origin, message) {
            return "invalid HMAC";
        }
        let summed = if origin.source.is_ipv6() { bytes } else { message };
        let form = form(&origin.source.to_string());
        if checksum::verify(origin.version, form, origin.source, ip(destination), summed) { "good" } else { "checksum" }
    }

    #[test]
    fn vectors_verify_and_sign_to_the_same_bytes() {
        for (version, source, destination, hex) in VECTORS {
            let bytes = unhex(hex);
            let origin = origin(version, source);
            assert_eq!(judge(&origin, destination, &bytes), "good", "{version:?} {source}");
            let received = Received::parse(version, Family::of(&origin.source), &bytes, true).unwrap();
            let mut out = Vec::new();
            received.advert.emit(&mut out);
            out.extend_from_slice(&Trailer::sign(&key(), 1, SEQUENCE, &origin, &out).emit());
            let len = if origin.source.is_ipv6() { out.len() } else { received.message.len() };
            checksum::fill(version, form(source), origin.source, ip(destination), &mut out[..len]);
            assert_eq!(out, bytes, "{version:?} {source}");
        }
    }

    #[test]
    fn each_mutation_has_its_verdict() {
        let (version, source, destination, hex) = VECTORS[1];
        let good = origin(version, source);
        for (at, verdict) in [
            (2, "invalid HMAC"),
            (4, "invalid HMAC"),
            (6, "checksum"),
            (23, "invalid HMAC"),
            (24, "malformed"),
            (25, "unknown key"),
            (26, "malformed"),
            (28, "invalid HMAC"),
            (34, "invalid HMAC"),
            (36, "invalid HMAC"),
        ] {
            let mut bytes = unhex(hex);
            bytes[at] ^= 1;
            assert_eq!(judge(&good, destination, &bytes), verdict, "byte {at}");
        }
        let bytes = unhex(hex);
        for other in [
            Origin { source: ip("fe80::20"), ..good },
            Origin { vrid: Vrid::new(52).unwrap(), ..good },
            Origin { version: Version::V2, ..good },
        ] {
            assert_eq!(judge(&other, destination, &bytes), "invalid HMAC", "{other:?}");
        }
    }

    #[test]
    fn every_bit_but_the_checksum_is_signed() {
        for (version, source, destination, hex) in VECTORS {
            let bytes = unhex(hex);
            for bit in (0..bytes.len() * 8).filter(|bit| !(48..64).contains(bit)) {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let verdict = judge(&origin(version, source), destination, &damaged);
                assert!(!matches!(verdict, "good" | "checksum"), "bit {bit}: {verdict}");
            }
        }
    }

    #[test]
    fn malformed_trailers_say_why() {
        let mut bytes = [0; TRAILER_LEN];
        assert_eq!(Trailer::parse(&bytes), Err(TrailerError::Kind(0)));
        bytes[0] = 1;
        bytes[3] = 2;
        assert_eq!(Trailer::parse(&bytes), Err(TrailerError::Reserved(2)));
        assert_eq!(TrailerError::Reserved(2).to_string(), "reserved trailer bytes 0x0002, 0 expected");
    }

    #[test]
    fn the_last_byte_of_a_64_byte_key_counts() {
        let mut bytes = [7; 64];
        let (origin, message) = (origin(Version::V3, "192.0.2.1"), [0x31; 12]);
        let trailer = Trailer::sign(&Key::new(&bytes).unwrap(), 1, SEQUENCE, &origin, &message);
        assert!(trailer.is_authentic(&Key::new(&bytes).unwrap(), &origin, &message));
        bytes[63] ^= 1;
        assert!(!trailer.is_authentic(&Key::new(&bytes).unwrap(), &origin, &message));
    }

    #[test]
    fn sequence_is_serial() {
        let at = Sequence::from_bits;
        assert!(at(1).is_after(at(0)) && !at(0).is_after(at(1)) && !at(5).is_after(at(5)));
        assert!(at(0).is_after(at(u64::MAX)), "across the wrap of the seconds");
        assert_eq!(at(0x1_0000_ffff).next(), at(0x1_0001_0000), "the counter carries");
        assert_eq!(at(u64::MAX).next(), at(0));
        assert_eq!(at(0).seconds_ahead_of(at(0xffff_ffff_0000_0000)), 1);
        assert_eq!(at(5 << 32).seconds_ahead_of(at(105 << 32 | 0xffff_ffff)), -100);
    }

    #[test]
    fn sequence_of_a_moment_has_seconds_and_binary_fraction() {
        assert_eq!(Sequence::from_utc(Duration::new(0x6800_0000, 500_000_000)), SEQUENCE);
        assert_eq!(Sequence::from_utc(Duration::new(1, 999_999_999)).bits(), 0x1_ffff_0000);
        assert_eq!(Sequence::from_utc(Duration::from_secs(0x1_0000_0002)).seconds(), 2, "low 32 bits");
    }
}
