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
    CAPACITY_ELEMENTS, DIGEST_ELEMENTS, MESSAGE_ELEMENTS, PARAMETER_ELEMENTS, RANDOMNESS_ELEMENTS,
    TWEAK_ELEMENTS,
};
use p3_field::{Algebra, Field, PackedValue};
use p3_koala_bear::{
    Poseidon1KoalaBear, default_koalabear_poseidon1_16, default_koalabear_poseidon1_24,
};
use p3_symmetric::Permutation;

use crate::field::{Digest, Fp, Parameter, tweak_limbs, u128_limbs};

const TWEAK_CHAIN: u64 = 0;
const TWEAK_TREE: u64 = 1;
const TWEAK_MESSAGE: u64 = 2;

/// As many hashes at once as the build's target has lanes for: one in portable builds, 4 with NEON, 8 with
/// AVX2, 16 with AVX-512.
pub(crate) type Wide = <Fp as Field>::Packing;

/// One lane per hash: [`Wide`], or a bare element where there is a single one.
pub(crate) trait Lanes: PackedValue<Value = Fp> + Algebra<Fp> {
    fn permute_16(permutation: &Poseidon1KoalaBear<16>, state: &mut [Self; 16]);
    fn permute_24(permutation: &Poseidon1KoalaBear<24>, state: &mut [Self; 24]);
}

impl<L> Lanes for L
where
    L: PackedValue<Value = Fp> + Algebra<Fp>,
    Poseidon1KoalaBear<16>: Permutation<[L; 16]>,
    Poseidon1KoalaBear<24>: Permutation<[L; 24]>,
{
    fn permute_16(permutation: &Poseidon1KoalaBear<16>, state: &mut [L; 16]) {
        permutation.permute_mut(state);
    }

    fn permute_24(permutation: &Poseidon1KoalaBear<24>, state: &mut [L; 24]) {
        permutation.permute_mut(state);
    }
}

/// Elements of up to `WIDTH` hashes side by side; lanes past the last repeat the first, and nobody reads them.
pub(crate) fn pack<'a, 'b, L: Lanes, T, const N: usize>(
    items: &'a [T],
    elements: impl Fn(&'a T) -> &'b [Fp; N],
) -> [L; N] {
    std::array::from_fn(|element| {
        L::from_fn(|lane| elements(items.get(lane).unwrap_or(&items[0]))[element])
    })
}

/// One tweak for each lane.
fn pack_tweaks<L: Lanes>(tweak: impl Fn(usize) -> [Fp; TWEAK_ELEMENTS]) -> [L; TWEAK_ELEMENTS] {
    let mut packed = [L::ZERO; TWEAK_ELEMENTS];
    for lane in 0..L::WIDTH {
        for (limbs, limb) in packed.iter_mut().zip(tweak(lane)) {
            limbs.as_slice_mut()[lane] = limb;
        }
    }
    packed
}

/// The elements of one lane.
pub(crate) fn unpack<L: Lanes, const N: usize>(packed: &[L; N], lane: usize) -> [Fp; N] {
    std::array::from_fn(|element| packed[element].as_slice()[lane])
}

/// A chain to walk, and where the walk has come to.
pub(crate) struct Walk<'a> {
    pub(crate) parameter: &'a Parameter,
    pub(crate) slot: u32,
    pub(crate) chain: usize,
    /// Height of `digest` before the walk.
    pub(crate) from: u8,
    /// Height to walk to.
    pub(crate) to: u8,
    pub(crate) digest: Digest,
}

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

    /// Walks every chain. Chains are independent, so each occupies a lane. A group of lanes takes the steps of
    /// its longest walk, so walks that begin and end at the same heights go together.
    pub(crate) fn walk_all(&self, walks: &mut [Walk<'_>]) {
        let mut order: Vec<usize> = (0..walks.len()).collect();
        order.sort_unstable_by_key(|index| (walks[*index].from, walks[*index].to));
        for group in order.chunks(Wide::WIDTH) {
            self.walk_group::<Wide>(walks, group);
        }
    }

    /// Walks those of `walks` that `group` names, at least one and at most one to a lane.
    fn walk_group<L: Lanes>(&self, walks: &mut [Walk<'_>], group: &[usize]) {
        let of = |lane: usize| &walks[*group.get(lane).unwrap_or(&group[0])];
        let parameter: [L; PARAMETER_ELEMENTS] = pack(group, |index| walks[*index].parameter);
        let mut digest: [L; DIGEST_ELEMENTS] = pack(group, |index| &walks[*index].digest);
        let from = group.iter().map(|index| walks[*index].from).min().unwrap_or(0);
        let to = group.iter().map(|index| walks[*index].to).max().unwrap_or(0);
        for step in from + 1..=to {
            let mut state = [L::ZERO; 16];
            state[..8].copy_from_slice(&digest);
            state[8..13].copy_from_slice(&parameter);
            let tweak = |lane| chain_tweak(of(lane).slot, of(lane).chain, step);
            state[13..15].copy_from_slice(&pack_tweaks::<L>(tweak));
            L::permute_16(&self.width_16, &mut state);
            let takes = |lane: usize| of(lane).from < step && step <= of(lane).to;
            let all_take = (0..group.len()).all(takes);
            for (element, permuted) in digest.iter_mut().zip(&state) {
                let (stays, moves) = (*element, *element + *permuted);
                *element = if all_take {
                    moves
                } else {
                    L::from_fn(|lane| (if takes(lane) { moves } else { stays }).as_slice()[lane])
                };
            }
        }
        for (lane, index) in group.iter().enumerate() {
            walks[*index].digest = unpack(&digest, lane);
        }
    }

    /// The leaf of each lane's slot: the sponge over all its chain ends, which `chain_end` packs.
    pub(crate) fn leaf<L: Lanes>(
        &self,
        parameter: &[L; PARAMETER_ELEMENTS],
        slot: impl Fn(usize) -> u32,
        dimension: usize,
        chain_end: impl Fn(usize) -> [L; DIGEST_ELEMENTS],
    ) -> [L; DIGEST_ELEMENTS] {
        let mut state = [L::ZERO; 24];
        for (element, capacity) in state.iter_mut().zip(&self.leaf_capacity) {
            *element = L::from(*capacity);
        }
        let tweak = pack_tweaks(|lane| tree_tweak(0, u64::from(slot(lane))));
        let mut position = CAPACITY_ELEMENTS;
        let mut absorb = |elements: &[L]| {
            for element in elements {
                state[position] = *element;
                position += 1;
                if position == state.len() {
                    L::permute_24(&self.width_24, &mut state);
                    position = CAPACITY_ELEMENTS;
                }
            }
        };
        absorb(parameter);
        absorb(&tweak);
        for chain in 0..dimension {
            absorb(&chain_end(chain));
        }
        if position > CAPACITY_ELEMENTS {
            // The last block is zero-padded to the rate. 46 chains fill theirs exactly (375 = 25 ·
            // 15), 4 do not.
            state[position..].fill(L::ZERO);
            L::permute_24(&self.width_24, &mut state);
        }
        std::array::from_fn(|element| state[CAPACITY_ELEMENTS + element])
    }

    /// The nodes at `level` and each lane's `index` above their two children; leaves are level 0.
    pub(crate) fn node<L: Lanes>(
        &self,
        parameter: &[L; PARAMETER_ELEMENTS],
        level: u32,
        index: impl Fn(usize) -> u64,
        left: &[L; DIGEST_ELEMENTS],
        right: &[L; DIGEST_ELEMENTS],
    ) -> [L; DIGEST_ELEMENTS] {
        let mut input = [L::ZERO; 24];
        input[..5].copy_from_slice(parameter);
        input[5..7].copy_from_slice(&pack_tweaks::<L>(|lane| tree_tweak(level, index(lane))));
        input[7..15].copy_from_slice(left);
        input[15..23].copy_from_slice(right);
        first(&compress_24(&self.width_24, input))
    }

    /// The message hashes of one slot in each lane; the encoding reads their first elements.
    pub(crate) fn message<L: Lanes>(
        &self,
        parameter: &[L; PARAMETER_ELEMENTS],
        slot: impl Fn(usize) -> u32,
        randomness: &[L; RANDOMNESS_ELEMENTS],
        message: &[L; MESSAGE_ELEMENTS],
    ) -> [L; 24] {
        let mut input = [L::ZERO; 24];
        input[..9].copy_from_slice(message);
        input[9..14].copy_from_slice(parameter);
        let tweak = |lane| tweak_limbs(u64::from(slot(lane)) << 8 | TWEAK_MESSAGE);
        input[14..16].copy_from_slice(&pack_tweaks::<L>(tweak));
        input[16..23].copy_from_slice(randomness);
        compress_24(&self.width_24, input)
    }
}

fn compress_24<L: Lanes>(permutation: &Poseidon1KoalaBear<24>, input: [L; 24]) -> [L; 24] {
    let mut state = input;
    L::permute_24(permutation, &mut state);
    for (permuted, element) in state.iter_mut().zip(&input) {
        *permuted += *element;
    }
    state
}

fn first<L: Lanes, const N: usize>(state: &[L; 24]) -> [L; N] {
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
    use p3_field::{PrimeCharacteristicRing, PrimeField32};

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

    /// Walks of all lengths, of several keys and slots, in an order that leaves no group alike.
    #[test]
    fn walking_in_lanes_equals_walking_each() {
        let hasher = TEST.hasher();
        let parameters = [[Fp::ONE; 5], [Fp::TWO; 5]];
        let walks = || {
            (0..61_u8).map(|chain| {
                let (from, to) = (chain % 8, 7 - chain / 8 % 3);
                Walk {
                    parameter: &parameters[usize::from(chain % 2)],
                    slot: 9 + u32::from(chain % 3),
                    chain: chain.into(),
                    from,
                    to: to.max(from),
                    digest: [Fp::from_u8(chain); 8],
                }
            })
        };
        let each: Vec<Digest> = walks()
            .map(|walk| {
                let mut one = [walk];
                hasher.walk_group::<Fp>(&mut one, &[0]);
                one[0].digest
            })
            .collect();
        let mut together: Vec<Walk<'_>> = walks().collect();
        hasher.walk_all(&mut together);
        assert_eq!(together.iter().map(|walk| walk.digest).collect::<Vec<_>>(), each);
        assert_eq!(each[7], [Fp::from_u8(7); 8], "no step, no change");
    }
}
