//! The state file as bytes, little-endian. Refuses everything that is not exactly as it was written.
//!
//! | part | bytes |
//! |---|---|
//! | header | 0..8 magic and version, 8..16 length of the table, 16..24 number of slots, 24..32 checksum of the table, 56..64 checksum of the header |
//! | table | JSON, filled with blanks to a multiple of 64 |
//! | each slot | 0..8 last advert, 8..16 state since (both nanoseconds since boot), 16..24 stamp, 24..28 AH number, 28 hold, 29 priority, 30 flags, 32..48 source address, 56..64 checksum |

use std::net::{IpAddr, Ipv6Addr};

use crate::engine::adopt::Hold;
use crate::engine::time::Instant;
use crate::wire::field::Priority;

/// Length of a slot, and of the header.
pub(super) const SLOT: usize = 64;

/// What a slot says of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What the kernel was to hold.
    pub hold: Hold,
    /// When an advert left last.
    pub advert_at: Instant,
    /// When the state was entered.
    pub since: Instant,
    /// Priority after weights; `None`: the router never began.
    pub priority: Option<Priority>,
    /// Where adverts left from.
    pub source: Option<IpAddr>,
    /// The last stamp that was signed.
    pub stamp: Option<u64>,
    /// The highest number under an Authentication Header.
    pub ah_sequence: u32,
}

impl Slot {
    /// Of a router that did nothing yet.
    pub const EMPTY: Self = Self {
        hold: Hold::Nothing,
        advert_at: Instant::from_nanos(0),
        since: Instant::from_nanos(0),
        priority: None,
        source: None,
        stamp: None,
        ah_sequence: 0,
    };

    /// Writes the slot with this number in the file.
    pub(super) fn emit(&self, number: u32) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(room) = bytes.get_mut(at..at + value.len()) {
                room.copy_from_slice(value);
            }
        };
        put(0, &self.advert_at.as_nanos().to_le_bytes());
        put(8, &self.since.as_nanos().to_le_bytes());
        put(16, &self.stamp.unwrap_or_default().to_le_bytes());
        put(24, &self.ah_sequence.to_le_bytes());
        let hold = match self.hold {
            Hold::Nothing => 0,
            Hold::Master => 1,
            Hold::HandingOver => 2,
        };
        put(28, &[hold, self.priority.map_or(0, Priority::get)]);
        let (has_stamp, has_source) = (u8::from(self.stamp.is_some()), u8::from(self.source.is_some()));
        put(30, &[has_stamp | has_source << 1]);
        let source = self.source.map(|source| match source {
            IpAddr::V4(source) => source.to_ipv6_mapped(),
            IpAddr::V6(source) => source,
        });
        put(32, &source.unwrap_or(Ipv6Addr::UNSPECIFIED).octets());
        let sum = checksum(number.into(), bytes.get(..SLOT - 8).unwrap_or_default());
        if let Some(room) = bytes.get_mut(SLOT - 8..) {
            room.copy_from_slice(&sum.to_le_bytes());
        }
        bytes
    }

    /// Reads the slot with this number; `None`: it was not written so.
    pub(super) fn parse(number: u32, bytes: &[u8; SLOT]) -> Option<Self> {
        if read_u64(bytes, SLOT - 8)? != checksum(number.into(), bytes.get(..SLOT - 8)?) {
            return None;
        }
        let flags = *bytes.get(30)?;
        let source = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(32..48)?).ok()?).to_canonical();
        Some(Self {
            hold: match bytes.get(28)? {
                0 => Hold::Nothing,
                1 => Hold::Master,
                2 => Hold::HandingOver,
                _ => return None,
            },
            advert_at: Instant::from_nanos(read_u64(bytes, 0)?),
            since: Instant::from_nanos(read_u64(bytes, 8)?),
            priority: Priority::new(*bytes.get(29)?),
            source: (flags & 2 != 0).then_some(source),
            stamp: (flags & 1 != 0).then_some(read_u64(bytes, 16)?),
            ah_sequence: u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?),
        })
    }
}

/// Writes header and table; the slots follow.
pub(super) fn emit_head(table: &[u8], slots: usize) -> Vec<u8> {
    let len = table.len().next_multiple_of(SLOT);
    let mut bytes = Vec::with_capacity(SLOT * (1 + slots) + len);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(len as u64).to_le_bytes());
    bytes.extend_from_slice(&(slots as u64).to_le_bytes());
    bytes.extend_from_slice(&[0; SLOT - 24]);
    bytes.extend_from_slice(table);
    bytes.resize(SLOT + len, b' ');
    let table_sum = checksum(0, bytes.get(SLOT..).unwrap_or_default());
    if let Some(room) = bytes.get_mut(24..32) {
        room.copy_from_slice(&table_sum.to_le_bytes());
    }
    let sum = checksum(0, bytes.get(..SLOT - 8).unwrap_or_default());
    if let Some(room) = bytes.get_mut(SLOT - 8..SLOT) {
        room.copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// Cuts a whole file into table and slots; `None`: it is not one that was written whole.
pub(super) fn parse(bytes: &[u8]) -> Option<(&[u8], Vec<Option<Slot>>)> {
    let (header, rest) = bytes.split_at_checked(SLOT)?;
    let is_header = header.starts_with(MAGIC) && read_u64(header, SLOT - 8)? == checksum(0, header.get(..SLOT - 8)?);
    if !is_header {
        return None;
    }
    let table_len = usize::try_from(read_u64(header, 8)?).ok()?;
    let count = usize::try_from(read_u64(header, 16)?).ok()?;
    let (table, slots) = rest.split_at_checked(table_len)?;
    if slots.len() != count.checked_mul(SLOT)? || read_u64(header, 24)? != checksum(0, table) {
        return None;
    }
    let (slots, _) = slots.as_chunks::<SLOT>();
    Some((table, (0..).zip(slots).map(|(number, slot)| Slot::parse(number, slot)).collect()))
}

/// Sums whole words: each step keeps every difference, and the turns let none of two bits cancel another.
///
/// Not against forgery, which whoever may write the file does not need.
fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    let step = |sum: u64, word: &[u8; 8]| (sum ^ u64::from_le_bytes(*word)).rotate_left(29).wrapping_mul(PRIME);
    let sum = words.iter().fold(BASIS ^ seed, step);
    sum ^ sum >> 32
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// With the version of the layout.
const MAGIC: &[u8; 8] = b"vrrpd-s1";

/// Those of FNV-1a.
const PRIME: u64 = 0x0000_0100_0000_01b3;
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn any_slot() -> impl Strategy<Value = Slot> {
        let hold = prop_oneof![Just(Hold::Nothing), Just(Hold::Master), Just(Hold::HandingOver)];
        let source = prop_oneof![
            Just(None),
            any::<[u8; 4]>().prop_map(|octets| Some(IpAddr::from(octets))),
            any::<[u8; 14]>().prop_map(|rest| {
                let mut octets = [0xfe; 16];
                octets[2..].copy_from_slice(&rest);
                Some(IpAddr::from(octets))
            }),
        ];
        (hold, any::<(u64, u64, u8, Option<u64>, u32)>(), source).prop_map(|(hold, rest, source)| {
            let (advert_at, since, priority, stamp, ah_sequence) = rest;
            let (advert_at, since) = (Instant::from_nanos(advert_at), Instant::from_nanos(since));
            Slot { hold, advert_at, since, priority: Priority::new(priority), source, stamp, ah_sequence }
        })
    }

    proptest! {
        #[test]
        fn slot_comes_back_as_it_was_written(slot in any_slot(), number in any::<u32>()) {
            prop_assert_eq!(Slot::parse(number, &slot.emit(number)), Some(slot));
            prop_assert_eq!(Slot::parse(number ^ 1, &slot.emit(number)), None, "in another place");
        }

        #[test]
        fn slot_with_one_bit_turned_over_is_unknown(slot in any_slot(), number in 0..5000_u32) {
            for bit in 0..SLOT * 8 {
                let mut bytes = slot.emit(number);
                bytes[bit / 8] ^= 1 << (bit % 8);
                prop_assert_eq!(Slot::parse(number, &bytes), None, "bit {}", bit);
            }
        }

        #[test]
        fn slot_of_two_halves_is_unknown(old in any_slot(), new in any_slot(), cut in 1..SLOT) {
            let bytes: Vec<u8> = [&new.emit(3)[..cut], &old.emit(3)[cut..]].concat();
            let bytes: [u8; SLOT] = bytes.try_into().unwrap();
            let read = Slot::parse(3, &bytes);
            // Where the halves differ in nothing it is the one or the other.
            prop_assert!(read.is_none() || read == Some(old) || read == Some(new), "{:?}", read);
        }

        #[test]
        fn file_that_is_cut_or_has_a_bit_turned_over_is_never_another_one(
            table in "[ -~]{0,200}", slots in proptest::collection::vec(any_slot(), 0..4),
        ) {
            let mut file = emit_head(table.as_bytes(), slots.len());
            for (number, slot) in (0..).zip(&slots) {
                file.extend_from_slice(&slot.emit(number));
            }
            let whole: Vec<Option<Slot>> = slots.iter().copied().map(Some).collect();
            let (read, found) = parse(&file).unwrap();
            prop_assert_eq!(std::str::from_utf8(read).unwrap().trim_end(), table.trim_end());
            prop_assert_eq!(&found, &whole);
            let kept = read.to_vec();
            for cut in 0..file.len() {
                prop_assert!(parse(&file[..cut]).is_none(), "cut at {}", cut);
            }
            for bit in 0..file.len() * 8 {
                let mut broken = file.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                let Some((read, found)) = parse(&broken) else { continue };
                prop_assert_eq!(read, &kept[..], "the table is whole or nothing");
                let unknown = found.iter().filter(|slot| slot.is_none()).count();
                prop_assert_eq!(unknown, 1, "bit {} makes its slot unknown", bit);
                prop_assert!(found.iter().zip(&whole).all(|(found, slot)| found.is_none() || found == slot));
            }
        }
    }

    #[test]
    fn other_files_are_none() {
        for bytes in [&b""[..], &[0; 64], &[0xff; 4096], b"vrrpd-s1", b"{}\n"] {
            assert!(parse(bytes).is_none());
        }
    }
}
