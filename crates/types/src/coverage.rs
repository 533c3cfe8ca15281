//! Greedy choice of aggregates: leanSpec `select_proofs_for_coverage`.

use std::sync::Arc;

use crate::{
    attestation::SingleMessageAggregate, bits::BitList, limits::VALIDATOR_REGISTRY_LIMIT, to_ssz,
};

/// Aggregates that together cover every validator of `pools`, fewest first, earlier pools preferred.
///
/// Each pick adds the most validators not yet covered; a tie goes to the largest SSZ encoding, so that every
/// node picks alike.
///
/// # Cost
/// Quadratic in the number of aggregates, which the pools bound.
#[must_use]
pub fn select_proofs_for_coverage(
    pools: &[&[Arc<SingleMessageAggregate>]],
) -> (Vec<Arc<SingleMessageAggregate>>, BitList<VALIDATOR_REGISTRY_LIMIT>) {
    let mut selected = Vec::new();
    let mut covered = BitList::<VALIDATOR_REGISTRY_LIMIT>::default();
    for pool in pools {
        let mut candidates: Vec<_> = pool.iter().collect();
        loop {
            let best = candidates
                .iter()
                .enumerate()
                .map(|(index, proof)| (newly_covered(proof, &covered), to_ssz(&***proof), index))
                .max();
            let Some((1.., _, index)) = best else {
                break;
            };
            let proof = candidates.swap_remove(index);
            for validator in proof.participants.ones() {
                if validator >= covered.len() {
                    covered.resize(validator + 1);
                }
                covered.set(validator, true);
            }
            selected.push(Arc::clone(proof));
        }
    }
    (selected, covered)
}

fn newly_covered(
    proof: &SingleMessageAggregate,
    covered: &BitList<VALIDATOR_REGISTRY_LIMIT>,
) -> usize {
    proof.participants.ones().filter(|index| covered.get(*index) != Some(true)).count()
}
