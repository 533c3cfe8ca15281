//! Random numbers that are the same in every run.

use lamella_types::Root;
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng as _, SeedableRng as _},
};

/// The sequence of a seed.
#[derive(Debug)]
pub struct Random(SplitMix64);

impl Random {
    /// From its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::seed_from_u64(seed))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// True in `parts` of a thousand cases.
    pub fn per_mille(&mut self, parts: u64) -> bool {
        self.number() % 1000 < parts
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.number().to_le_bytes());
        let mut bytes: Vec<u8> = words.take(count.div_ceil(8)).flatten().collect();
        bytes.truncate(count);
        bytes
    }

    /// A root that no block has.
    pub fn root(&mut self) -> Root {
        Root::from_slice(&self.bytes(32)).unwrap()
    }
}
