//! Making keys, whole ones as leanSpec does and development keys that skip almost all of the work.
//!
//! The cost is leaves: each is every chain of one slot walked to its end. A whole production key
//! has at least 131,072 of them. A development key computes the first N and lets random digests
//! stand in for every other subtree, which no verifier can tell: a path only ever shows digests.
//! Its signatures are ordinary production signatures; it just cannot sign at slot N or later.
//!
//! Both kinds follow from a 32-byte seed, so whoever holds the seed holds the key. One key is made
//! on one thread; make several at once on several.

use p3_field::{PackedValue, PrimeCharacteristicRing};

use crate::constants::{BASE, DIGEST_ELEMENTS};

use crate::field::{Digest, Fp, Parameter};
use crate::hash::{Walk, Wide, pack, unpack};
use crate::params::Parameters;
use crate::prf::{PrfKey, Seed};
use crate::public_key::PublicKey;
use crate::secret_key::SecretKey;
use crate::tree::{Builder, HashSubTree};
use crate::window::Window;

/// A key's two halves.
#[derive(Debug)]
pub struct KeyPair {
    /// What a validator registry holds.
    pub public_key: PublicKey,
    /// What signs.
    pub secret_key: SecretKey,
}

/// Slots no key can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyGenerationError {
    /// The activation range leaves the lifetime.
    #[error("{count} slots from slot {first} exceed the scheme's {lifetime} slots")]
    OutsideLifetime {
        /// First slot asked for.
        first: u64,
        /// Slots asked for.
        count: u64,
        /// Slots a key has at most.
        lifetime: u64,
    },
    /// A development key holds between one leaf and one whole bottom tree.
    #[error("a development key covers 1 to {maximum} slots, not {count}")]
    DevelopmentSlots {
        /// Slots asked for.
        count: u64,
        /// Leaves of a bottom tree.
        maximum: u64,
    },
}

/// Makes a whole key active for at least the given slots, widened to whole bottom trees and to two
/// of them (leanSpec `key_gen`).
///
/// `progress` is given the number of leaves done so far, after each.
///
/// # Errors
///
/// [`KeyGenerationError::OutsideLifetime`].
///
/// # Cost
///
/// One leaf per active slot. At production size a leaf took 0.54 ms in a portable release build and
/// 0.16 to 0.19 ms in one for AVX-512, so the smallest key, 131,072 leaves, takes 71 or some 23 seconds.
pub fn generate(
    parameters: &'static Parameters,
    seed: &[u8; 32],
    first_slot: u64,
    slot_count: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<KeyPair, KeyGenerationError> {
    let lifetime = parameters.lifetime_slots();
    if first_slot.checked_add(slot_count).is_none_or(|end| end > lifetime) {
        return Err(KeyGenerationError::OutsideLifetime {
            first: first_slot,
            count: slot_count,
            lifetime,
        });
    }
    let seed = Seed(seed);
    let (prf_key, parameter) = (seed.prf_key(), seed.parameter());
    let padding = |level, index| seed.padding(level, index);
    let builder = builder(parameters, &parameter, &padding);
    let leaves_per_tree = parameters.leaves_per_bottom_tree();
    let trees = whole_bottom_trees(parameters, first_slot, slot_count);
    let bottom_tree = |tree_index: u64| {
        let done = (tree_index - trees.start) * leaves_per_tree;
        let progress = |count| progress(done + count);
        let leaves =
            leaves(parameters, &prf_key, &parameter, tree_index, leaves_per_tree, &progress);
        builder.bottom_tree(tree_index, leaves)
    };

    let left_bottom_tree = bottom_tree(trees.start);
    let right_bottom_tree = bottom_tree(trees.start + 1);
    let mut roots: Vec<Digest> = [&left_bottom_tree, &right_bottom_tree]
        .into_iter()
        .filter_map(|tree| tree.root().copied())
        .collect();
    // Of every other bottom tree only the root is kept.
    roots.extend(
        (trees.start + 2..trees.end)
            .filter_map(|tree_index| bottom_tree(tree_index).root().copied()),
    );
    let top_tree = builder.top_tree(trees.start, roots);
    let secret_key = SecretKey {
        parameters,
        prf_key,
        parameter,
        activation_slot: trees.start * leaves_per_tree,
        num_active_slots: (trees.end - trees.start) * leaves_per_tree,
        top_tree,
        window: Window::new(trees.start, left_bottom_tree, right_bottom_tree),
    };
    Ok(KeyPair { public_key: secret_key.public_key(), secret_key })
}

/// Makes a development key: real leaves for slots `0..slot_count`, random siblings elsewhere. Its
/// signatures for those slots are ordinary ones. **For devnets**: the key is exactly as secret as
/// the seed, and useless from slot `slot_count` on.
///
/// # Errors
///
/// [`KeyGenerationError::DevelopmentSlots`] unless `slot_count` is between 1 and
/// [`Parameters::leaves_per_bottom_tree`].
///
/// # Cost
///
/// `slot_count` leaves; the encoded key takes about 64 bytes per slot.
pub fn generate_development(
    parameters: &'static Parameters,
    seed: &[u8; 32],
    slot_count: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<KeyPair, KeyGenerationError> {
    let maximum = parameters.leaves_per_bottom_tree();
    if !(1..=maximum).contains(&slot_count) {
        return Err(KeyGenerationError::DevelopmentSlots { count: slot_count, maximum });
    }
    let seed = Seed(seed);
    let (prf_key, parameter) = (seed.prf_key(), seed.parameter());
    let padding = |level, index| seed.padding(level, index);
    let builder = builder(parameters, &parameter, &padding);
    let leaves = leaves(parameters, &prf_key, &parameter, 0, slot_count, progress);
    let left_bottom_tree = builder.bottom_tree(0, leaves);
    let top_tree = builder.top_tree(0, left_bottom_tree.root().copied().into_iter().collect());
    let secret_key = SecretKey {
        parameters,
        prf_key,
        parameter,
        activation_slot: 0,
        num_active_slots: slot_count,
        top_tree,
        window: Window::new(0, left_bottom_tree, empty_tree(parameters)),
    };
    Ok(KeyPair { public_key: secret_key.public_key(), secret_key })
}

impl SecretKey {
    /// Slides the prepared window one bottom tree forward (leanSpec `advance_preparation`). Returns
    /// whether it moved: it does not past the end of the active slots, hence never for a
    /// development key.
    ///
    /// # Cost
    ///
    /// One bottom tree of leaves: 65,536 at production size. The key signs meanwhile.
    pub fn advance_preparation(&self, progress: &(dyn Fn(u64) + Sync)) -> bool {
        let next_index = self.window.trees().left_index + 2;
        self.has_tree(next_index) && self.slide_to(next_index, progress)
    }

    /// Whether a bottom tree is missing for signing at `slot` and, in time, at what follows its
    /// tree: when a tree is begun, the one after it is due.
    #[must_use]
    pub fn needs_preparation(&self, slot: u64) -> bool {
        self.tree_due(slot).is_some()
    }

    /// Builds the one bottom tree that is most due at `slot`: the slot's own, or the one after it.
    /// Trees before it are left out. Returns whether there was one. To be called by one at a time.
    ///
    /// # Cost
    ///
    /// That of [`Self::advance_preparation`].
    pub fn prepare(&self, slot: u64, progress: &(dyn Fn(u64) + Sync)) -> bool {
        self.tree_due(slot).is_some_and(|index| self.slide_to(index, progress))
    }

    fn tree_due(&self, slot: u64) -> Option<u64> {
        let current = slot / self.parameters.leaves_per_bottom_tree();
        let left_index = self.window.trees().left_index;
        // The window holds the slot's tree as its left one and what follows it, or is ahead of the clock.
        if current <= left_index {
            return None;
        }
        let due = if current == left_index + 1 { current + 1 } else { current };
        self.has_tree(due).then_some(due)
    }

    /// Whether the key's slots have this bottom tree, all of it.
    fn has_tree(&self, index: u64) -> bool {
        let leaves = self.parameters.leaves_per_bottom_tree();
        let end = index.checked_add(1).and_then(|next| next.checked_mul(leaves));
        end.is_some_and(|end| end <= self.active_slots().end)
    }

    fn slide_to(&self, next_index: u64, progress: &(dyn Fn(u64) + Sync)) -> bool {
        let leaves_per_tree = self.parameters.leaves_per_bottom_tree();
        let leaves = leaves(
            self.parameters,
            &self.prf_key,
            &self.parameter,
            next_index,
            leaves_per_tree,
            progress,
        );
        // A complete tree needs no padding below its root, and the root's own is cut off.
        let zero = |_, _| [Fp::ZERO; DIGEST_ELEMENTS];
        let tree = builder(self.parameters, &self.parameter, &zero).bottom_tree(next_index, leaves);
        self.window.slide(next_index, tree);
        true
    }
}

fn builder<'a>(
    parameters: &'a Parameters,
    parameter: &'a Parameter,
    padding: &'a dyn Fn(u32, u64) -> Digest,
) -> Builder<'a> {
    Builder { hasher: parameters.hasher(), parameter, depth: parameters.log_lifetime(), padding }
}

/// The first `count` leaves of a bottom tree.
fn leaves(
    parameters: &Parameters,
    prf_key: &PrfKey,
    parameter: &Parameter,
    tree_index: u64,
    count: u64,
    progress: &dyn Fn(u64),
) -> Vec<Digest> {
    let hasher = parameters.hasher();
    let first_slot = tree_index * parameters.leaves_per_bottom_tree();
    let parameter_lanes = parameter.map(Wide::from);
    let mut leaves = Vec::new();
    let mut walks = Vec::with_capacity(Wide::WIDTH * parameters.dimension());
    // As many slots at once as there are lanes: a leaf is one sponge over its slot's chains.
    for start in (0..count).step_by(Wide::WIDTH) {
        let slots: Vec<u32> = (start..count.min(start + Wide::WIDTH as u64))
            .map(|position| leaf_slot(first_slot + position))
            .collect();
        walks.clear();
        for slot in &slots {
            for chain in 0..parameters.dimension() {
                let digest = prf_key.chain_start(*slot, chain);
                let (from, to) = (0, BASE - 1);
                walks.push(Walk { parameter, slot: *slot, chain, from, to, digest });
            }
        }
        hasher.walk_all(&mut walks);
        let ends: Vec<&[Walk<'_>]> = walks.chunks_exact(parameters.dimension()).collect();
        let chain_end = |chain: usize| pack::<Wide, _, _>(&ends, |walks| &walks[chain].digest);
        let slot = |lane: usize| *slots.get(lane).unwrap_or(&slots[0]);
        let together = hasher.leaf(&parameter_lanes, slot, parameters.dimension(), chain_end);
        for lane in 0..slots.len() {
            leaves.push(unpack(&together, lane));
            progress(leaves.len() as u64);
        }
    }
    leaves
}

#[expect(clippy::cast_possible_truncation, reason = "slots stay below the lifetime, at most 2^32")]
const fn leaf_slot(slot: u64) -> u32 {
    slot as u32
}

/// The bottom trees covering a range of slots, at least two, moved back where they would leave the
/// lifetime (leanSpec `_expand_activation_time`).
fn whole_bottom_trees(
    parameters: &Parameters,
    first_slot: u64,
    slot_count: u64,
) -> std::ops::Range<u64> {
    // There are as many bottom trees as leaves in each.
    let tree_count = parameters.leaves_per_bottom_tree();
    let start = first_slot / tree_count;
    let end = (first_slot + slot_count).div_ceil(tree_count).max(start + 2);
    let excess = end.saturating_sub(tree_count);
    start - excess..end - excess
}

fn empty_tree(parameters: &Parameters) -> HashSubTree {
    HashSubTree { depth: parameters.log_lifetime().into(), lowest_layer: 0, layers: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::TEST;

    #[test]
    fn ranges_widen_to_whole_trees_inside_the_lifetime() {
        assert_eq!(whole_bottom_trees(&TEST, 0, 1), 0..2);
        assert_eq!(whole_bottom_trees(&TEST, 17, 16), 1..3);
        assert_eq!(whole_bottom_trees(&TEST, 30, 40), 1..5);
        assert_eq!(whole_bottom_trees(&TEST, 250, 6), 14..16);
        assert_eq!(whole_bottom_trees(&TEST, 0, 256), 0..16);
        assert_eq!(whole_bottom_trees(&TEST, 256, 0), 14..16);
    }
}
