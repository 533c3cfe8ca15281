//! Random numbers that are the same in every run.

use lamella_devnet::random::Random as Sequence;
use lamella_types::Root;

/// The sequence of a seed.
#[derive(Debug)]
pub struct Random(Sequence);

impl Random {
    /// From its beginning.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Sequence::new(seed))
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0.next()
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
