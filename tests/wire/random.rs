//! The properties of any bytes, over a fixed set of cases.

use vrrpd::wire::advert::{TRAILER_LEN, message_len};
use vrrpd::wire::field::{Family, Version};

use crate::properties::{check_advert, check_packet};

/// Xorshift: the same cases in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() >> 16) as usize % bound
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.roll() >> 24) as u8).collect()
    }

    /// A message that is good but for random fields, and in half of all cases for a few bytes or its length.
    fn message(&mut self) -> Vec<u8> {
        let count = self.below(4) as u8;
        let (version, family) =
            [(Version::V2, Family::V4), (Version::V3, Family::V4), (Version::V3, Family::V6)][self.below(3)];
        let trailer = if self.below(2) == 0 { TRAILER_LEN } else { 0 };
        let mut bytes = self.bytes(message_len(version, family, count) + trailer);
        bytes[0] = version.number() << 4 | 1;
        bytes[3] = count;
        if self.below(2) == 0 {
            for _ in 0..1 + self.below(3) {
                let at = self.below(bytes.len());
                bytes[at] = (self.roll() >> 24) as u8;
            }
            let len = bytes.len() + self.below(8);
            bytes.resize(len.saturating_sub(self.below(8)), 0);
        }
        bytes
    }
}

#[test]
fn two_hundred_thousand_messages_read_and_write_alike() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut count = 0;
    for case in 0..200_000 {
        let bytes = match case % 4 {
            0 => {
                let len = dice.below(64);
                dice.bytes(len)
            }
            _ => dice.message(),
        };
        count += check_advert(&bytes);
    }
    assert!(count > 50_000, "only {count} readings succeeded: the cases show nothing");
}

#[test]
fn fifty_thousand_packets_are_read_and_cut() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut count = 0;
    for _ in 0..50_000 {
        let message = dice.message();
        let protocol = [51, 112][dice.below(2)];
        let mut bytes = dice.bytes(20);
        bytes[0] = 0x45 + dice.below(2) as u8;
        bytes[6] &= 0x40;
        bytes[7] = 0;
        bytes[9] = protocol;
        if protocol == 51 {
            bytes.extend_from_slice(&[112, 4]);
            bytes.extend(dice.bytes(22));
        }
        bytes.extend(message);
        let total = bytes.len() - dice.below(3);
        bytes[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        count += usize::from(check_packet(&bytes));
    }
    assert!(count > 25_000, "only {count} packets were read: the cases show nothing");
}
