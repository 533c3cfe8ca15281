//! The three Poseidon1 modes of the scheme and the tweaks that keep their domains apart.
//!
//! | use | mode | input |
//! |---|---|---|
//! | chain step | width-16 compression | digest 8, parameter 5, tweak 2 |
//! | inner node | width-24 compression | parameter 5, tweak 2, left 8, right 8 |
//! | message | width-24 compression | message 9, parameter 5, tweak 2, ρ 7 |
//! | leaf | width-24 sponge, rate 15 | parameter 5, tweak 2, one digest per chain |
//!
//! A tweak is one integer: a low byte naming the use, position fields above it, split into base-p
//! limbs (leanSpec `xmss/poseidon.py` `tweak_hash`). Compression is `permute(x) + x`, truncated.

use crate::constants::{
    BASE, CAPACITY_ELEMENTS, DIGEST_ELEMENTS, MESSAGE_ELEMENTS, PARAMETER_ELEMENTS, TWEAK_ELEMENTS,
};
use p3_field::{Field, PackedValue, PrimeCharacteristicRing};
use p3_koala_bear::{
    Poseidon1KoalaBear, default_koalabear_poseidon1_16, default_koalabear_poseidon1_24,
};
use p3_symmetric::Permutation;

use crate::field::{Digest, Fp, Parameter, Randomness, tweak_limbs, u128_limbs};

const TWEAK_CHAIN: u64 = 0;
const TWEAK_TREE: u64 = 1;
const TWEAK_MESSAGE: u64 = 2;

/// One element per chain: a single lane in portable builds, 4 to 16 lanes when the build targets
/// NEON, AVX2 or AVX-512.
type Lanes = <Fp as Field>::Packing;

/// Both permutations and the leaf sponge's initial capacity for one number of chains.
pub(crate) struct Hasher {
    width_16: Poseidon1KoalaBear<16>,
    width_24: Poseidon1KoalaBear<24>,
    leaf_capacity: [Fp; CAPACITY_ELEMENTS],
}

impl Hasher {
    /// Builds both permutations, whose sparse-round matrices have to be derived first, and the
    /// capacity value. Done once per [`crate::Parameters`].
    pub(crate) fn new(dimension: usize) -> Self {
        let width_24 = default_koalabear_poseidon1_24();
        // leanSpec `safe_domain_separator`: the shape of the absorbed data in 32-bit fields.
        let shape = [PARAMETER_ELEMENTS, TWEAK_ELEMENTS, dimension, DIGEST_ELEMENTS];
        let packed = shape.iter().fold(0_u128, |packed, length| packed << 32 | *length as u128);
        let capacity = compress_24(&width_24, u128_limbs(packed));
        Self {
            width_16: default_koalabear_poseidon1_16(),
            width_24,
            leaf_capacity: first(&capacity),
        }
    }

    /// Walks one chain from `digest` at height `from` to height `to`.
    pub(crate) fn walk(
        &self,
        parameter: &Parameter,
        slot: u32,
        chain: usize,
        from: u8,
        to: u8,
        mut digest: Digest,
    ) -> Digest {
        for step in from..to {
            let mut state = [Fp::ZERO; 16];
            state[..8].copy_from_slice(&digest);
            state[8..13].copy_from_slice(parameter);
            state[13..15].copy_from_slice(&chain_tweak(slot, chain, step + 1));
            self.width_16.permute_mut(&mut state);
            for (element, permuted) in digest.iter_mut().zip(&state) {
                *element += *permuted;
            }
        }
        digest
    }

    /// Walks every chain of a one-time key from its start to its end, in place. Chains are
    /// independent, so each occupies a lane.
    pub(crate) fn walk_all(&self, parameter: &Parameter, slot: u32, chains: &mut [Digest]) {
        for (group, members) in chains.chunks_mut(Lanes::WIDTH).enumerate() {
            let first_chain = group * Lanes::WIDTH;
            let mut digest: [Lanes; DIGEST_ELEMENTS] = std::array::from_fn(|element| {
                Lanes::from_fn(|lane| members.get(lane).map_or(Fp::ZERO, |digest| digest[element]))
            });
            for step in 1..BASE {
                let mut state = [Lanes::ZERO; 16];
                state[..8].copy_from_slice(&digest);
                for (slot_of_state, element) in state[8..13].iter_mut().zip(parameter) {
                    *slot_of_state = Lanes::from(*element);
                }
                for limb in 0..TWEAK_ELEMENTS {
                    state[13 + limb] =
                        Lanes::from_fn(|lane| chain_tweak(slot, first_chain + lane, step)[limb]);
                }
                self.width_16.permute_mut(&mut state);
                for (element, permuted) in digest.iter_mut().zip(&state) {
                    *element += *permuted;
                }
            }
            for (lane, member) in members.iter_mut().enumerate() {
                *member = std::array::from_fn(|element| digest[element].as_slice()[lane]);
            }
        }
    }

    /// The leaf of a slot: the sponge over all its chain ends.
    pub(crate) fn leaf(&self, parameter: &Parameter, slot: u32, chain_ends: &[Digest]) -> Digest {
        let mut state = [Fp::ZERO; 24];
        state[..CAPACITY_ELEMENTS].copy_from_slice(&self.leaf_capacity);
        let tweak = tree_tweak(0, u64::from(slot));
        let mut position = CAPACITY_ELEMENTS;
        for element in parameter.iter().chain(&tweak).chain(chain_ends.as_flattened()) {
            state[position] = *element;
            position += 1;
            if position == state.len() {
                self.width_24.permute_mut(&mut state);
                position = CAPACITY_ELEMENTS;
            }
        }
        if position > CAPACITY_ELEMENTS {
            // The last block is zero-padded to the rate. 46 chains fill theirs exactly (375 = 25 ·
            // 15), 4 do not.
            state[position..].fill(Fp::ZERO);
            self.width_24.permute_mut(&mut state);
        }
        std::array::from_fn(|element| state[CAPACITY_ELEMENTS + element])
    }

    /// The node at `level` and `index` above its two children; leaves are level 0.
    pub(crate) fn node(
        &self,
        parameter: &Parameter,
        level: u32,
        index: u64,
        left: &Digest,
        right: &Digest,
    ) -> Digest {
        let mut input = [Fp::ZERO; 24];
        input[..5].copy_from_slice(parameter);
        input[5..7].copy_from_slice(&tree_tweak(level, index));
        input[7..15].copy_from_slice(left);
        input[15..23].copy_from_slice(right);
        first(&compress_24(&self.width_24, input))
    }

    /// The message hash; the encoding reads its first elements.
    pub(crate) fn message(
        &self,
        parameter: &Parameter,
        slot: u32,
        randomness: &Randomness,
        message: &[Fp; MESSAGE_ELEMENTS],
    ) -> [Fp; 24] {
        let mut input = [Fp::ZERO; 24];
        input[..9].copy_from_slice(message);
        input[9..14].copy_from_slice(parameter);
        input[14..16].copy_from_slice(&tweak_limbs(u64::from(slot) << 8 | TWEAK_MESSAGE));
        input[16..23].copy_from_slice(randomness);
        compress_24(&self.width_24, input)
    }
}

fn compress_24(permutation: &Poseidon1KoalaBear<24>, input: [Fp; 24]) -> [Fp; 24] {
    let mut state = permutation.permute(input);
    for (permuted, element) in state.iter_mut().zip(&input) {
        *permuted += *element;
    }
    state
}

fn first<const N: usize>(state: &[Fp; 24]) -> [Fp; N] {
    std::array::from_fn(|element| state[element])
}

/// `[slot: 32 | chain: 8 | step: 8 | use: 8]`, steps counted from 1.
fn chain_tweak(slot: u32, chain: usize, step: u8) -> [Fp; TWEAK_ELEMENTS] {
    tweak_limbs(u64::from(slot) << 24 | (chain as u64) << 16 | u64::from(step) << 8 | TWEAK_CHAIN)
}

/// `[level: 8 | index: 32 | use: 8]`. An index at level 0 is below 2^32, so it never reaches the
/// level's bits.
fn tree_tweak(level: u32, index: u64) -> [Fp; TWEAK_ELEMENTS] {
    tweak_limbs(u64::from(level) << 40 | index << 8 | TWEAK_TREE)
}

#[cfg(test)]
mod tests {
    use p3_field::PrimeField32;

    use super::*;
    use crate::params::TEST;

    #[test]
    fn permutations_carry_leanspecs_constants() {
        let hasher = TEST.hasher();
        let state_16 = hasher.width_16.permute(std::array::from_fn(Fp::from_usize));
        let state_24 = hasher.width_24.permute(std::array::from_fn(Fp::from_usize));
        assert_eq!(state_16[0].as_canonical_u32(), 610_090_613);
        assert_eq!(state_24[0].as_canonical_u32(), 511_672_087);
    }

    #[test]
    fn walking_all_chains_equals_walking_each() {
        let hasher = TEST.hasher();
        let parameter = [Fp::ONE; 5];
        let mut chains: Vec<Digest> = (0..21).map(|chain| [Fp::from_usize(chain); 8]).collect();
        let each: Vec<Digest> = chains
            .iter()
            .enumerate()
            .map(|(chain, start)| hasher.walk(&parameter, 9, chain, 0, BASE - 1, *start))
            .collect();
        hasher.walk_all(&parameter, 9, &mut chains);
        assert_eq!(chains, each);
    }
}
