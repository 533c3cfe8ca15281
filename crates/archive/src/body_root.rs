//! `hash_tree_root` of a body without `ssz_rs`' allocations: a reader hashes every body of the chain.

use lamella_types::{
    AggregatedAttestation, AttestationData, BlockBody, Checkpoint, Root, VALIDATOR_REGISTRY_LIMIT,
    merkle::{hash_pair, merkleize, merkleize_roots, mix_in_length},
};

/// Depth of the list of votes.
const DEPTH: usize = VALIDATOR_REGISTRY_LIMIT.trailing_zeros() as usize;

/// The body's root. A container of one field has that field's root.
pub(crate) fn body_root(body: &BlockBody) -> Root {
    let votes: Vec<Root> = body.attestations.iter().map(vote_root).collect();
    mix_in_length(&merkleize_roots(&votes, DEPTH), votes.len())
}

fn vote_root(vote: &AggregatedAttestation) -> Root {
    let AttestationData { slot, head, target, source } = &vote.data;
    let left = hash_pair(&number_root(*slot), &checkpoint_root(head));
    let right = hash_pair(&checkpoint_root(target), &checkpoint_root(source));
    hash_pair(&vote.aggregation_bits.root(), &hash_pair(&left, &right))
}

/// `hash_tree_root` of a checkpoint.
pub(crate) fn checkpoint_root(checkpoint: &Checkpoint) -> Root {
    hash_pair(&checkpoint.root, &number_root(checkpoint.slot))
}

/// `hash_tree_root` of a number.
pub(crate) fn number_root(number: u64) -> Root {
    merkleize(&number.to_le_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use lamella_types::{AggregationBits, hash_tree_root};

    use super::*;

    #[test]
    fn the_root_is_the_containers_own() {
        let checkpoint =
            |slot: u64| Checkpoint { slot, root: Root::new([u8::try_from(slot).unwrap(); 32]) };
        let vote = |voters: Vec<u64>| AggregatedAttestation {
            aggregation_bits: AggregationBits::from_indices(voters).unwrap(),
            data: AttestationData {
                slot: 9,
                head: checkpoint(8),
                target: checkpoint(7),
                source: checkpoint(6),
            },
        };
        let kinds = [vec![], vec![0], (0..300).collect(), vec![4095]];
        let votes: Vec<_> = kinds.into_iter().cycle().take(9).map(vote).collect();
        for count in 0..=votes.len() {
            let body = BlockBody::new(votes[..count].to_vec()).unwrap();
            assert_eq!(body_root(&body), hash_tree_root(&body), "{count} votes");
        }
    }
}
