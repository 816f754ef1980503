//! Tables by keys that nobody outside this host chooses: interfaces, addresses, routers.
//!
//! The standard hash withstands keys that are chosen to collide, and costs more than all else that is done with an address.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A table.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// A set.
pub type Set<K> = HashSet<K, BuildHasherDefault<Mixer>>;

/// Mixes a key's words by multiplication, of which both halves count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0.rotate_left(23) ^ word ^ START) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Odd, and its bits look like chance.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
/// So that zeros are not lost.
const START: u64 = 0x243f_6a88_85a3_08d3;

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, Hash};
    use std::net::IpAddr;

    use super::*;

    /// Returns how many of the values fall onto a bucket that another one has, of twice as many buckets.
    fn collisions<T: Hash>(values: &[T]) -> usize {
        let mut taken = vec![false; (values.len() * 2).next_power_of_two()];
        let mask = taken.len() - 1;
        let bucket = |value: &T| BuildHasherDefault::<Mixer>::default().hash_one(value) as usize & mask;
        values.iter().filter(|value| std::mem::replace(&mut taken[bucket(value)], true)).count()
    }

    #[test]
    fn addresses_in_a_row_spread_over_the_buckets() {
        let v4 = |i: u32| (i % 16 + 2, IpAddr::from([10, 77, (i / 256) as u8, i as u8]), 32u8);
        let v6 = |i: u32| (2u32, IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, i as u16]), 128u8);
        for values in [(0..4096).map(v4).collect::<Vec<_>>(), (0..4096).map(v6).collect()] {
            let found = collisions(&values);
            assert!(found < 1200, "{found} collisions, 870 by chance");
        }
        let keys: Vec<u32> = (0..4096).collect();
        assert!(collisions(&keys) < 1200);
    }
}
