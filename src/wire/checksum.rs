//! The Internet checksum over VRRP messages. RFC 1071.
//!
//! One stop before: `wire::advert` or `wire::ip` cut out the bytes. One stop after: the engine learns which form a peer
//! uses and completes its own adverts for each destination.
//!
//! | message | what is summed |
//! |---|---|
//! | version 2, IPv4 | the message (RFC 3768 section 5.3.8) |
//! | version 3, IPv4 | one of [`ChecksumForm`] |
//! | version 3, IPv6 | pseudo-header and message, with an HMAC trailer that too (RFC 9568 section 5.2.8) |
//!
//! An HMAC trailer is never part of the sum over IPv4. A sum is good when everything, the checksum field included, adds
//! up to 0xffff; computing anew and comparing would take 0x0000 and 0xffff, both zero, for different.

use std::net::{IpAddr, Ipv4Addr};

use super::field::{Family, Version};

/// What the checksum of a version 3 message over IPv4 covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ChecksumForm {
    /// Message and IPv4 pseudo-header: Keepalived, FRR.
    Pseudo,
    /// Message alone: RFC 9568 section 5.2.8.
    Rfc9568,
    /// Message and a pseudo-header with 224.0.0.18 in a unicast packet: Keepalived before 1.3.7.
    OldUnicast,
}

impl ChecksumForm {
    /// Every form, in the order in which [`recognise`] tries them.
    pub const ALL: [Self; 3] = [Self::Pseudo, Self::Rfc9568, Self::OldUnicast];
}

/// A one's complement sum of 16-bit words, folded into 16 bits.
///
/// Sums of parts may be added in any order as long as each part but the last has an even length; every VRRP message
/// and every pseudo-header has.
#[derive(Clone, Copy, Debug)]
pub struct Sum(u16);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// Sums bytes as big-endian words; an odd last byte counts as if a zero followed.
    pub fn of(bytes: &[u8]) -> Self {
        let words = bytes.chunks_exact(2);
        let last = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
        Self::fold(words.fold(last, |sum, word| sum + word_value(word)))
    }

    /// Sums the pseudo-header of a message of `len` bytes.
    ///
    /// **Shape:** source, destination, length, protocol 112. RFC 8200 section 8.1; the IPv4 one differs only in the
    /// width of its length, which a sum does not show. Both addresses are expected to be of one family.
    pub fn of_pseudo_header(source: IpAddr, destination: IpAddr, len: usize) -> Self {
        let len = len as u64;
        let words = (len >> 16) + (len & 0xffff) + u64::from(VRRP_PROTOCOL);
        Self::of_address(source).plus(Self::of_address(destination)).plus(Self::fold(words))
    }

    /// Adds another part.
    pub const fn plus(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        // A carry leaves at most 0xfffe behind, so this cannot overflow again.
        Self(sum + carry as u16)
    }

    /// Returns the checksum field that completes a sum taken with a checksum field of 0. 0x0000 is a legal value.
    pub const fn checksum(self) -> u16 {
        !self.0
    }

    /// Says whether a sum that includes the checksum field is good.
    pub const fn is_good(self) -> bool {
        self.0 == 0xffff
    }

    fn of_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of(&address.octets()),
            IpAddr::V6(address) => Self::of(&address.octets()),
        }
    }

    fn fold(mut sum: u64) -> Self {
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        Self(sum as u16)
    }
}

/// Returns what has to be added to the sum of the message itself; [`Sum::ZERO`] where there is no pseudo-header.
///
/// `form` counts only for version 3 over IPv4. `len`: of the message; over IPv6 with its trailer.
pub fn pseudo_header(version: Version, form: ChecksumForm, source: IpAddr, destination: IpAddr, len: usize) -> Sum {
    match (version, Family::of(&source), form) {
        (Version::V2, Family::V4, _) | (Version::V3, Family::V4, ChecksumForm::Rfc9568) => Sum::ZERO,
        (Version::V3, Family::V4, ChecksumForm::OldUnicast) => Sum::of_pseudo_header(source, GROUP_V4, len),
        (Version::V3, Family::V4, ChecksumForm::Pseudo) | (_, Family::V6, _) => {
            Sum::of_pseudo_header(source, destination, len)
        }
    }
}

/// Returns the checksum for a message whose own sum, taken with a checksum field of 0, is `message_sum`.
///
/// This is the cheap way to send one prepared message to many destinations. Arguments as [`pseudo_header`].
pub fn compute(
    version: Version,
    form: ChecksumForm,
    source: IpAddr,
    destination: IpAddr,
    message_sum: Sum,
    len: usize,
) -> u16 {
    message_sum.plus(pseudo_header(version, form, source, destination, len)).checksum()
}

/// Says whether the checksum of a received message is good in one form.
///
/// `summed`: the message; over IPv6 with its trailer (`wire::advert::Received::summed`).
pub fn verify(version: Version, form: ChecksumForm, source: IpAddr, destination: IpAddr, summed: &[u8]) -> bool {
    Sum::of(summed).plus(pseudo_header(version, form, source, destination, summed.len())).is_good()
}

/// Finds the form in which the checksum of a received message is good; `None`: in no permitted one.
///
/// Tries the `permitted` forms in the order of [`ChecksumForm::ALL`], the old unicast form only when the destination is
/// unicast. Version 2 and IPv6 know one sum each: there `permitted` is not asked, and the answer is
/// [`ChecksumForm::Rfc9568`] (message alone) or [`ChecksumForm::Pseudo`].
pub fn recognise(
    version: Version,
    source: IpAddr,
    destination: IpAddr,
    summed: &[u8],
    permitted: &[ChecksumForm],
) -> Option<ChecksumForm> {
    let sum = Sum::of(summed);
    let is_good =
        |form| sum.plus(pseudo_header(version, form, source, destination, summed.len())).is_good().then_some(form);
    match (version, Family::of(&source)) {
        (Version::V2, Family::V4) => is_good(ChecksumForm::Rfc9568),
        (_, Family::V6) => is_good(ChecksumForm::Pseudo),
        (Version::V3, Family::V4) => ChecksumForm::ALL
            .into_iter()
            .filter(|form| permitted.contains(form))
            .filter(|form| *form != ChecksumForm::OldUnicast || !destination.is_multicast())
            .find_map(is_good),
    }
}

/// Writes the checksum field, bytes 6 and 7. Leaves a slice of fewer than 8 bytes alone.
pub fn write(message: &mut [u8], checksum: u16) {
    if let Some(field) = message.get_mut(6..8) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Computes and writes the checksum of a whole message, whatever its checksum field held. Arguments as [`verify`].
pub fn fill(version: Version, form: ChecksumForm, source: IpAddr, destination: IpAddr, message: &mut [u8]) {
    write(message, 0);
    let checksum = compute(version, form, source, destination, Sum::of(message), message.len());
    write(message, checksum);
}

fn word_value(word: &[u8]) -> u64 {
    word.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The IP protocol number of VRRP.
pub const VRRP_PROTOCOL: u8 = 112;

/// The group of VRRP over IPv4. RFC 9568 section 5.1.1.2.
const GROUP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 3 message for 192.0.2.110, its checksum field 0.
    const MESSAGE: [u8; 12] = [0x31, 0x3d, 0x96, 0x01, 0x00, 0x64, 0, 0, 192, 0, 2, 110];

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Adds word by word and folds after each, as RFC 1071 words it.
    fn slow_sum(bytes: &[u8]) -> u16 {
        bytes.chunks(2).fold(0u32, |sum, word| {
            let sum = sum + (u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
            (sum & 0xffff) + (sum >> 16)
        }) as u16
    }

    #[test]
    fn sum_equals_the_word_by_word_one_at_every_length() {
        let bytes: Vec<u8> = (0..300u32).map(|i| (i * 37 + 11) as u8).collect();
        for len in 0..bytes.len() {
            assert_eq!(Sum::of(&bytes[..len]).0, slow_sum(&bytes[..len]), "{len} bytes");
        }
        assert_eq!(Sum::of(&[0xff; 65_535]).0, slow_sum(&[0xff; 65_535]));
    }

    #[test]
    fn example_of_rfc_1071_section_3() {
        assert_eq!(Sum::of(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]).0, 0xddf2);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let bytes: Vec<u8> = (0..64u8).map(|i| i.wrapping_mul(91)).collect();
        for cut in (0..=bytes.len()).step_by(2) {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(Sum::of(head).plus(Sum::of(tail)).0, Sum::of(&bytes).0, "cut at {cut}");
        }
    }

    #[test]
    fn plus_carries_around() {
        assert_eq!(Sum(0xffff).plus(Sum(0xffff)).0, 0xffff);
        assert_eq!(Sum(0xffff).plus(Sum(1)).0, 1);
        assert_eq!(Sum(0x8000).plus(Sum(0x8000)).0, 1);
    }

    #[test]
    fn each_form_has_its_own_value_and_is_recognised() {
        let (source, peer) = (ip("192.0.2.12"), ip("192.0.2.11"));
        for (form, destination) in [
            (ChecksumForm::Pseudo, peer),
            (ChecksumForm::Rfc9568, peer),
            (ChecksumForm::OldUnicast, peer),
            (ChecksumForm::Pseudo, GROUP_V4),
            (ChecksumForm::Rfc9568, GROUP_V4),
        ] {
            let mut message = MESSAGE;
            fill(Version::V3, form, source, destination, &mut message);
            let found = recognise(Version::V3, source, destination, &message, &ChecksumForm::ALL);
            assert_eq!(found, Some(form), "to {destination}");
            let others: Vec<_> = ChecksumForm::ALL.into_iter().filter(|other| *other != form).collect();
            assert_eq!(recognise(Version::V3, source, destination, &message, &others), None, "{form:?}");
        }
    }

    #[test]
    fn known_values_of_two_forms() {
        let source = ip("192.0.2.12");
        let sum = Sum::of(&MESSAGE);
        let checksum = |form| compute(Version::V3, form, source, GROUP_V4, sum, MESSAGE.len());
        assert_eq!(checksum(ChecksumForm::Pseudo), 0xd352);
        assert_eq!(checksum(ChecksumForm::Rfc9568), 0x75ee);
    }

    #[test]
    fn old_unicast_form_is_not_looked_for_in_multicast() {
        let source = ip("192.0.2.12");
        let mut message = MESSAGE;
        fill(Version::V3, ChecksumForm::OldUnicast, source, GROUP_V4, &mut message);
        let permitted = [ChecksumForm::OldUnicast];
        assert_eq!(recognise(Version::V3, source, GROUP_V4, &message, &permitted), None);
    }

    #[test]
    fn version_2_and_ipv6_ask_for_no_form() {
        let mut message = MESSAGE;
        let (v4, v6) = (ip("192.0.2.12"), ip("fe80::12"));
        fill(Version::V2, ChecksumForm::Pseudo, v4, GROUP_V4, &mut message);
        assert_eq!(recognise(Version::V2, v4, GROUP_V4, &message, &[]), Some(ChecksumForm::Rfc9568));
        fill(Version::V3, ChecksumForm::Rfc9568, v6, ip("ff02::12"), &mut message);
        assert_eq!(recognise(Version::V3, v6, ip("ff02::12"), &message, &[]), Some(ChecksumForm::Pseudo));
        assert_eq!(recognise(Version::V3, v6, ip("ff02::13"), &message, &[]), None);
    }

    #[test]
    fn checksum_of_zero_is_good_and_so_is_its_other_zero() {
        // The message sums to 0xffff with a checksum field of 0, so the checksum is 0x0000.
        let mut message = MESSAGE;
        let rest = Sum::of(&message).checksum();
        let word = Sum(rest).plus(Sum::of(&message[8..10])).0;
        message[8..10].copy_from_slice(&word.to_be_bytes());
        let (source, form) = (ip("192.0.2.12"), ChecksumForm::Rfc9568);
        fill(Version::V3, form, source, GROUP_V4, &mut message);
        assert_eq!(message[6..8], [0, 0]);
        assert!(verify(Version::V3, form, source, GROUP_V4, &message));
        write(&mut message, 0xffff);
        assert!(verify(Version::V3, form, source, GROUP_V4, &message));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (source, form) = (ip("192.0.2.12"), ChecksumForm::Pseudo);
        let mut message = MESSAGE;
        fill(Version::V3, form, source, GROUP_V4, &mut message);
        for bit in 0..message.len() * 8 {
            let mut damaged = message;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(Version::V3, form, source, GROUP_V4, &damaged), "bit {bit}");
        }
    }

    #[test]
    fn short_slices_are_left_alone() {
        let mut short = [1; 7];
        fill(Version::V2, ChecksumForm::Pseudo, ip("192.0.2.12"), GROUP_V4, &mut short);
        assert_eq!(short, [1; 7]);
    }
}
