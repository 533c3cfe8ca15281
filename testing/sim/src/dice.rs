//! Random numbers that do not depend on each other: each is a hash of what it is for. A plan without one of its faults
//! throws the same for everything else, so a failing one can be made smaller.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a seed throws.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number for this purpose and these circumstances.
    pub(crate) fn roll(self, purpose: &str, circumstances: &[u64]) -> u64 {
        let words = circumstances.iter().flat_map(|word| word.to_le_bytes());
        let bytes: Vec<u8> = purpose.bytes().chain([0]).chain(words).collect();
        xxh3_64_with_seed(&bytes, self.0)
    }

    /// A number from `least` to `most`.
    pub(crate) fn between(
        self,
        purpose: &str,
        circumstances: &[u64],
        least: u64,
        most: u64,
    ) -> u64 {
        least + self.roll(purpose, circumstances) % (most - least + 1)
    }

    /// Whether something happens that does in so many of a thousand cases.
    pub(crate) fn happens(self, purpose: &str, circumstances: &[u64], per_mille: u64) -> bool {
        self.roll(purpose, circumstances) % 1_000 < per_mille
    }
}
