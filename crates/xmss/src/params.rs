//! The two instantiations of the scheme, chosen at run time by reference.
//!
//! They differ in three numbers only, so those are fields and everything else is a constant shared
//! by both (leanSpec `xmss/constants.py` `PROD_CONFIG`, `TEST_CONFIG`).

use std::sync::OnceLock;

use crate::constants::{DIGEST_BYTES, DIMENSION_MAX, RANDOMNESS_ELEMENTS};
use crate::hash::Hasher;

/// Production constants: 2^32 slots, 46 chains, 2,536-byte signatures.
pub static PRODUCTION: Parameters = Parameters::new("production", 32, 46, 200);

/// Test constants of leanSpec's `LEAN_ENV=test`: 2^8 slots, 4 chains, 424-byte signatures. No
/// security.
pub static TEST: Parameters = Parameters::new("test", 8, 4, 6);

/// One instantiation of the scheme. There are exactly two: [`PRODUCTION`] and [`TEST`].
pub struct Parameters {
    name: &'static str,
    log_lifetime: u32,
    dimension: usize,
    target_sum: u32,
    hasher: OnceLock<Hasher>,
}

impl Parameters {
    const fn new(name: &'static str, log_lifetime: u32, dimension: usize, target_sum: u32) -> Self {
        assert!(log_lifetime.is_multiple_of(2), "the tree splits into two halves of equal height");
        assert!(log_lifetime <= 32, "the PRF packs a slot into four bytes");
        assert!(dimension <= DIMENSION_MAX, "per-chain buffers are sized by DIMENSION_MAX");
        Self { name, log_lifetime, dimension, target_sum, hasher: OnceLock::new() }
    }

    /// `production` or `test`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Height of the whole tree: siblings in an opening.
    #[must_use]
    pub fn log_lifetime(&self) -> u32 {
        self.log_lifetime
    }

    /// Slots a key of this instantiation could ever sign, `2^log_lifetime`. A slot at or above it
    /// is never valid.
    #[must_use]
    pub fn lifetime_slots(&self) -> u64 {
        1 << self.log_lifetime
    }

    /// Hash chains of a one-time key: released values in a signature.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Sum every codeword's digits must have.
    pub(crate) fn target_sum(&self) -> u32 {
        self.target_sum
    }

    /// Slots covered by one bottom tree, the square root of the lifetime: 65,536 in production.
    #[must_use]
    pub fn leaves_per_bottom_tree(&self) -> u64 {
        1 << (self.log_lifetime / 2)
    }

    /// SSZ limit of every digest list (leanSpec `types.py` `NODE_LIST_LIMIT`). It shapes roots, so
    /// those differ between instantiations.
    #[must_use]
    pub fn node_list_limit(&self) -> usize {
        2 << (self.log_lifetime / 2)
    }

    /// Exact bytes of a signature: 2,536 in production, 424 in test.
    ///
    /// `[offset: 4 | ρ: 28 | offset: 4 | offset: 4 | siblings: 32 each | released chain values: 32
    /// each]`.
    #[must_use]
    pub fn signature_bytes(&self) -> usize {
        3 * 4 + 4 * RANDOMNESS_ELEMENTS + DIGEST_BYTES * (self.height() + self.dimension)
    }

    /// [`Self::log_lifetime`] as a count.
    pub(crate) fn height(&self) -> usize {
        self.log_lifetime as usize
    }

    /// The permutations and the sponge's capacity value, computed at first use.
    pub(crate) fn hasher(&self) -> &Hasher {
        self.hasher.get_or_init(|| Hasher::new(self.dimension))
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Parameters").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_sizes_are_the_networks() {
        assert_eq!(PRODUCTION.signature_bytes(), 2_536);
        assert_eq!(TEST.signature_bytes(), 424);
    }
}
