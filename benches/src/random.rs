//! Random numbers that are the same in every run: SplitMix64.

use lamella_types::Root;

/// A generator; its state is its seed.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// True in `parts` of a thousand cases.
    pub const fn per_mille(&mut self, parts: u64) -> bool {
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
