//! One block or state under one root.

use lamella_archive::{BRANCH_HASHES, Frontier, ProofError};
use lamella_types::{Root, Slot};
use proptest::prelude::*;

use crate::chain::{Chain, SEGMENT_SLOTS, Step, Vote, any_chain};

/// The roots of a slot's segment, if it is complete.
fn leaves(chain: &Chain, slot: Slot) -> Vec<u8> {
    let segments = chain.head().state.historical_block_hashes.segments();
    let segment = segments.get((slot / SEGMENT_SLOTS) as usize);
    segment.map_or_else(Vec::new, |segment| segment.as_bytes().to_vec())
}

fn check_all(chain: &Chain, frontier: &Frontier, every: usize) {
    let trusted = frontier.block();
    for slot in (0..=trusted.slot).rev().step_by(every).chain([0, 1]) {
        let proof = frontier.prove(slot, &leaves(chain, slot)).unwrap();
        proof.check(&trusted.root).unwrap();
        let block = chain.blocks.iter().find(|block| block.header.slot == slot);
        assert_eq!(proof.root, block.map_or(Root::ZERO, |block| block.root), "slot {slot}");
        let length = if slot == trusted.slot { 0 } else { BRANCH_HASHES };
        assert_eq!(proof.branch.len(), length);
        if let Some(block) = block {
            proof.check_header(&trusted.root, &block.header).unwrap();
        }
    }
    assert!(frontier.prove(trusted.slot + 1, &[]).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_slot_before_a_block_is_proven_by_23_hashes(chain in any_chain()) {
        let every = chain.head().header.slot as usize / 40 + 1;
        check_all(&chain, &chain.frontier(), every);
    }
}

#[test]
fn the_last_slot_of_a_segment_and_the_first_of_the_next_are_proven_from_their_border() {
    let votes = || vec![Vote::InTime { absent: 0 }];
    let steps = [
        Step { skipped: 1022, votes: votes() },
        Step { skipped: 0, votes: votes() },
        Step { skipped: 1023, votes: votes() },
    ];
    let chain = Chain::of(3, &steps);
    assert_eq!(crate::chain::slots(&chain), [0, 1023, 1024, 2048]);
    for head in 1..chain.blocks.len() {
        let block = &chain.blocks[head];
        check_all(&chain, &Frontier::of(&block.header, &block.state).unwrap(), 1);
    }
}

#[test]
fn a_proof_with_anything_altered_proves_nothing() {
    let chain = crate::damage::small();
    let (frontier, trusted) = (chain.frontier(), chain.head().root);
    let proof = frontier.prove(3, &leaves(&chain, 3)).unwrap();
    proof.check_header(&trusted, &chain.blocks[3].header).unwrap();
    // The branch is the standard one: this is its leaf.
    assert_eq!(proof.generalized_index(), (42 << 18) + 3);
    for position in 0..BRANCH_HASHES {
        let mut other = proof.clone();
        let mut bytes = *other.branch[position].as_bytes();
        bytes[position] ^= 1;
        other.branch[position] = Root::new(bytes);
        assert!(matches!(other.check(&trusted), Err(ProofError::OtherState { .. })), "{position}");
    }
    let altered = |change: fn(&mut lamella_archive::BlockProof)| {
        let mut other = proof.clone();
        change(&mut other);
        other.check(&trusted).unwrap_err()
    };
    assert!(matches!(altered(|p| p.slot = 2), ProofError::OtherState { .. }));
    assert!(matches!(altered(|p| p.root = Root::ZERO), ProofError::OtherState { .. }));
    assert!(matches!(altered(|p| p.slot = 1 << 40), ProofError::SlotAfter { .. }));
    assert!(matches!(altered(|p| p.trusted.slot += 1), ProofError::OtherTrusted { .. }));
    assert!(matches!(altered(|p| p.branch.truncate(22)), ProofError::BranchLength { .. }));
    assert!(matches!(altered(|p| p.branch.push(Root::ZERO)), ProofError::BranchLength { .. }));
    let error = proof.check_header(&trusted, &chain.blocks[2].header).unwrap_err();
    assert!(matches!(error, ProofError::OtherHeader { .. }));
    // Other leaves than the segment's make no proof at all.
    assert!(frontier.prove(3, &leaves(&chain, 1030)).is_none());
}
