//! What is done to a seed: a few small edits, or the beginning of one and the end of another.

/// SplitMix64: the same mutations in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a seed after one to six edits.
    pub fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        if self.below(10) == 0 {
            let other = &seeds[self.below(seeds.len())];
            bytes.truncate(self.below(bytes.len() + 1));
            bytes.extend_from_slice(&other[self.below(other.len() + 1)..]);
        }
        for _ in 0..=self.below(6) {
            self.edit(&mut bytes);
        }
        bytes.truncate(LEN_MAX);
        bytes
    }

    fn edit(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(16)).min(bytes.len());
        match self.below(8) {
            0..=2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
            3 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = EDGES[self.below(EDGES.len())]),
            4 => bytes.insert(at, self.next() as u8),
            5 => {
                bytes.drain(at..end);
            }
            6 => {
                let copy = bytes[at..end].to_vec();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            _ => bytes.truncate(at),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

const EDGES: [u8; 10] = [0, 1, 4, 0x45, 51, 112, 0x7f, 0x80, 0xfe, 0xff];

/// Longer ones find nothing that short ones do not.
const LEN_MAX: usize = 8192;
