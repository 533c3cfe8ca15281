//! Every check refuses what it is for, in the words of its own variant.

use lamella_state_transition::compute_post_state;
use lamella_types::{
    Block, BlockHashes, Decode, MultiMessageAggregate, ProofBytes, PublicKeyBytes, Validator,
    genesis_state, slot::proposer_for_slot, to_ssz,
};
use lamella_xmss::{
    PRODUCTION,
    scheme::{Raw, Trust},
};

use super::*;

fn registry(count: u8) -> Validators {
    let key = |kind, index| PublicKeyBytes([kind ^ index; 52]);
    let validators = (0..count).map(|index| Validator {
        attestation_public_key: key(0x10, index),
        proposal_public_key: key(0x20, index),
        index: index.into(),
    });
    Validators::new(&validators.collect::<Vec<_>>()).unwrap()
}

fn genesis() -> GenesisConfig {
    GenesisConfig {
        genesis_time: 7,
        validators: registry(4),
        attestation_committee_count: 1,
        slot_ms: None,
    }
}

/// A block at slot 3 over one at slot 1, and its post-state.
fn pair() -> (SignedBlock, State) {
    let mut state = genesis_state(7, registry(4));
    let mut parent_root = lamella_types::genesis_block(&state).header().root();
    let mut made = Block::default();
    for slot in [1, 3] {
        let proposer_index = proposer_for_slot(slot, 4).unwrap();
        made = Block { slot, proposer_index, parent_root, ..Block::default() };
        let (post_state, root) = compute_post_state(&state, &made).unwrap();
        made.state_root = root;
        state = post_state;
        parent_root = made.header().root();
    }
    let proof = ProofBytes::new(vec![9; 40]).unwrap();
    (SignedBlock { block: made, proof: MultiMessageAggregate { proof } }, state)
}

/// What the checks say of a state that its block commits to.
fn refusal(change: impl FnOnce(&mut State)) -> Refusal {
    let (mut block, mut state) = pair();
    change(&mut state);
    block.block.state_root = state.root();
    verify(block, state, &genesis(), &Trust).unwrap_err()
}

#[test]
fn a_pair_of_this_network_is_what_a_directory_begins_with() {
    let (block, state) = pair();
    let root = block.block.header().root();
    let found = verify(block.clone(), state.clone(), &genesis(), &Trust).unwrap();
    assert_eq!(found.root, root);
    assert_eq!(found.bootstrap.block, block);
    assert_eq!(*found.bootstrap.state, state);

    // A server that fills the header in means the same state.
    let mut filled = State::from_ssz(&state.to_ssz()).unwrap();
    filled.latest_block_header.state_root = block.block.state_root;
    let found = verify(block, filled, &genesis(), &Trust).unwrap();
    assert_eq!(*found.bootstrap.state, state);
}

#[test]
fn another_network_is_told_by_time_count_and_keys() {
    let (block, state) = pair();
    let against = |change: &dyn Fn(&mut GenesisConfig)| {
        let mut genesis = genesis();
        change(&mut genesis);
        let refusal = verify(block.clone(), state.clone(), &genesis, &Trust).unwrap_err();
        assert!(refusal.is_other_network(), "{refusal}");
        refusal
    };
    let time = against(&|genesis| genesis.genesis_time = 8);
    assert_eq!(time, Refusal::GenesisTime { found: 7, configured: 8 });
    let count = against(&|genesis| genesis.validators = registry(5));
    assert_eq!(count, Refusal::ValidatorCount { found: 4, configured: 5 });
    for (is_proposal, what) in [(false, "attestation key"), (true, "proposal key")] {
        let key = against(&|genesis| {
            let mut listed: Vec<_> =
                (0..4).map(|index| genesis.validators.get(index).unwrap()).collect();
            let changed = &mut listed[2];
            let key = if is_proposal {
                &mut changed.proposal_public_key
            } else {
                &mut changed.attestation_public_key
            };
            key.0[51] ^= 1;
            genesis.validators = Validators::new(&listed).unwrap();
        });
        assert_eq!(key, Refusal::Validator { index: 2, what });
    }
}

#[test]
fn a_block_and_the_state_of_another_do_not_belong_together() {
    let (block, _) = pair();
    let earlier = genesis_state(7, registry(4));
    let refusal = verify(block, earlier, &genesis(), &Trust).unwrap_err();
    assert_eq!(refusal, Refusal::Unpaired { block_slot: 3, state_slot: 0 });
    assert!(refusal.is_unpaired());

    let state = genesis_state(7, registry(4));
    let block = Bootstrap::genesis(state.clone()).block;
    assert_eq!(verify(block, state, &genesis(), &Trust).unwrap_err(), Refusal::Genesis);
}

#[test]
fn every_altered_byte_of_either_is_refused() {
    let (block, state) = pair();
    let (block_bytes, state_bytes) = (to_ssz(&block), state.to_ssz());
    let flipped = |bytes: &[u8], place: usize| {
        let mut bytes = bytes.to_vec();
        bytes[place] ^= 1;
        bytes
    };
    // Only the served header's own `state_root` is free: whatever it says is replaced.
    let fixed_before_header = 8 + 8;
    let free = fixed_before_header + 8 + 8 + 32..fixed_before_header + 8 + 8 + 32 + 32;
    for place in 0..state_bytes.len() {
        let Ok(altered) = State::from_ssz(&flipped(&state_bytes, place)) else { continue };
        let outcome = verify(block.clone(), altered, &genesis(), &Trust);
        assert_eq!(outcome.is_ok(), free.contains(&place), "byte {place}: {outcome:?}");
    }
    let proof_bytes = 40;
    for place in 0..block_bytes.len() - proof_bytes {
        let Ok(altered) = SignedBlock::from_ssz(&flipped(&block_bytes, place)) else { continue };
        let outcome = verify(altered, state.clone(), &genesis(), &Trust);
        assert!(outcome.is_err(), "byte {place}: {outcome:?}");
    }
}

#[test]
fn a_state_root_is_compared_with_the_state() {
    let (mut block, state) = pair();
    let computed = block.block.state_root;
    block.block.state_root = Root::new([1; 32]);
    let refusal = verify(block, state, &genesis(), &Trust).unwrap_err();
    assert_eq!(refusal, Refusal::StateRoot { computed, expected: Root::new([1; 32]) });
}

#[test]
fn a_state_that_no_chain_can_have_is_refused_though_its_block_commits_to_it() {
    assert_eq!(refusal(|state| state.slot = 4), Refusal::StateSlot { found: 4, expected: 3 });
    let history = refusal(|state| state.historical_block_hashes = BlockHashes::default());
    assert_eq!(history, Refusal::History { found: 0, expected: 3 });
    let order = refusal(|state| state.latest_finalized.slot = 1);
    assert_eq!(order, Refusal::Order { finalized: 1, justified: 0, slot: 3 });
    let order = refusal(|state| state.latest_justified.slot = 4);
    assert_eq!(order, Refusal::Order { finalized: 0, justified: 4, slot: 3 });
    let wrong = Root::new([5; 32]);
    let root = refusal(|state| state.latest_justified = SlotAndRoot { slot: 1, root: wrong });
    assert!(
        matches!(root, Refusal::Root { what: "justified", slot: 1, found, .. } if found == wrong),
        "{root}"
    );
    // At equal slots both checkpoints are the chain's block, so they are equal.
    let root = refusal(|state| state.latest_finalized.root = wrong);
    assert!(matches!(root, Refusal::Root { what: "finalized", slot: 0, .. }), "{root}");
    // A slot without a block cannot be a checkpoint.
    let empty = SlotAndRoot { slot: 2, root: wrong };
    let root = refusal(|state| state.latest_justified = empty);
    assert_eq!(
        root,
        Refusal::Root { what: "justified", slot: 2, found: wrong, expected: Root::ZERO }
    );
    // At the block's own slot it is the block.
    let own = SlotAndRoot { slot: 3, root: wrong };
    let root = refusal(|state| state.latest_justified = own);
    assert!(matches!(root, Refusal::Root { slot: 3, .. }), "{root}");
}

#[test]
fn a_proof_is_verified_by_the_scheme() {
    let (block, state) = pair();
    let raw = Raw { parameters: &PRODUCTION, verified: None };
    let refusal = verify(block, state, &genesis(), &raw).unwrap_err();
    assert_eq!(refusal, Refusal::Proof(RejectionReason::InvalidBlockProof));
}

/// leanSpec's nodes serve their checkpoint's block without its proof. What is there must hold.
#[test]
fn a_block_without_a_proof_is_left_to_the_votes_and_one_with_a_bad_proof_is_refused() {
    let (mut block, state) = pair();
    let raw = Raw { parameters: &PRODUCTION, verified: None };
    let refused = verify(block.clone(), state.clone(), &genesis(), &raw);
    assert_eq!(refused.unwrap_err(), Refusal::Proof(RejectionReason::InvalidBlockProof));
    block.proof = MultiMessageAggregate::default();
    assert_eq!(verify(block.clone(), state, &genesis(), &raw).unwrap().bootstrap.block, block);
}
