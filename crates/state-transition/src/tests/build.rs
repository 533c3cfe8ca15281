use std::{cell::RefCell, sync::Arc};

use lamella_types::{
    AggregationBits, AttestationData, ProofBytes, RejectionReason, Root, SingleMessageAggregate,
    Slot, State, latest_block_root,
};

use super::{chain, checkpoint, data, extend, genesis, vote};
use crate::{BlockRequest, BuiltBlock, Candidate, build_block, state_transition};

type Proof = Arc<SingleMessageAggregate>;

fn proof(voters: impl IntoIterator<Item = u64>) -> Proof {
    let participants = AggregationBits::from_indices(voters).unwrap();
    Arc::new(SingleMessageAggregate { participants, proof: ProofBytes::new(vec![7]).unwrap() })
}

fn candidate(data: AttestationData, voters: &[u64]) -> Candidate {
    Candidate { data, proofs: vec![proof(voters.iter().copied())] }
}

fn union(_: &AttestationData, proofs: &[Proof]) -> Option<Proof> {
    let voters = proofs.iter().flat_map(|proof| proof.participants.ones());
    Some(proof(voters.map(|voter| voter as u64)))
}

fn request(state: &State, slot: Slot) -> BlockRequest<'static> {
    BlockRequest {
        slot,
        proposer_index: slot % state.validators.len() as u64,
        parent_root: latest_block_root(state),
        known_block: &|_| true,
        participants_max: usize::MAX,
    }
}

/// Builds on `state` and checks what holds for every built block.
fn build(state: &State, request: &BlockRequest<'_>, candidates: &[Candidate]) -> BuiltBlock {
    let built = build_block(state, request, candidates, &mut union).unwrap();
    assert_eq!(state_transition(state, &built.block).as_ref(), Ok(&built.post_state));
    let participants: Vec<_> =
        built.proofs.iter().map(|proof| proof.participants.clone()).collect();
    let attestations = built.block.attestations();
    let voters: Vec<_> = attestations.iter().map(|vote| vote.aggregation_bits.clone()).collect();
    assert_eq!(voters, participants);
    built
}

fn target_slots(built: &BuiltBlock) -> Vec<Slot> {
    built.block.attestations().iter().map(|vote| vote.data.target.slot).collect()
}

#[test]
fn a_block_without_votes_is_built() {
    let state = chain(4, 3);
    let built = build(&state, &request(&state, 6), &[]);
    assert!(built.proofs.is_empty() && built.block.attestations().is_empty());
}

#[test]
fn a_vote_whose_source_an_earlier_round_justifies_is_packed_too() {
    let state = chain(4, 3);
    let candidates = [
        candidate(data(&state, 2, 3), &[0, 1, 2]),
        candidate(data(&state, 1, 2), &[1, 2, 3]),
        candidate(data(&state, 0, 1), &[0, 1, 3]),
    ];
    let built = build(&state, &request(&state, 4), &candidates);
    assert_eq!(target_slots(&built), [1, 2, 3]);
    assert_eq!(built.post_state.latest_justified, checkpoint(&state, 3));
    assert_eq!(built.post_state.latest_finalized, checkpoint(&state, 2));
}

#[test]
fn candidates_are_packed_by_target_slot() {
    let state = chain(8, 4);
    let candidates = [3, 1, 4, 2].map(|target| candidate(data(&state, 0, target), &[0]));
    assert_eq!(target_slots(&build(&state, &request(&state, 5), &candidates)), [1, 2, 3, 4]);
}

#[test]
fn votes_for_genesis_are_packed_for_their_head() {
    for state in [genesis(4), chain(4, 3)] {
        let built = build(&state, &request(&state, 4), &[candidate(data(&state, 0, 0), &[1])]);
        assert_eq!(target_slots(&built), [0]);
    }
}

#[test]
fn votes_that_cannot_count_are_left_out() {
    let state = chain(4, 4);
    let mut other_chain = data(&state, 0, 2);
    other_chain.target.root = Root::new([9; 32]);
    let mut past_the_chain = data(&state, 0, 2);
    past_the_chain.target.slot = 1_000_000;
    let unknown_head = data(&state, 0, 3);
    let candidates = [
        candidate(other_chain, &[0]),
        candidate(past_the_chain, &[0]),
        candidate(unknown_head, &[0]),
        candidate(data(&state, 1, 2), &[0]),
        Candidate { data: data(&state, 0, 4), proofs: Vec::new() },
    ];
    let known_block = |root: &Root| *root != unknown_head.head.root;
    let request = BlockRequest { known_block: &known_block, ..request(&state, 5) };
    assert!(build(&state, &request, &candidates).proofs.is_empty());
}

#[test]
fn votes_on_a_source_before_the_justified_one_are_left_out() {
    let state = chain(4, 3);
    let state = extend(&state, 4, vec![vote(&state, 0, 1, 0..4)]);
    let candidates = [(0, 2), (1, 3)];
    let candidates =
        candidates.map(|(source, target)| candidate(data(&state, source, target), &[0]));
    assert_eq!(target_slots(&build(&state, &request(&state, 5), &candidates)), [3]);
}

#[test]
fn a_vote_is_packed_once() {
    let state = chain(4, 3);
    let candidates = [[0], [1]].map(|voters| candidate(data(&state, 0, 1), &voters));
    let built = build(&state, &request(&state, 4), &candidates);
    assert_eq!(built.proofs, [proof([0])]);
}

#[test]
fn eight_votes_fit_and_empty_candidates_take_no_place() {
    let state = chain(4, 10);
    let mut candidates: Vec<Candidate> = Vec::new();
    for target in 1..=10 {
        let mut empty = Candidate { data: data(&state, 0, target), proofs: Vec::new() };
        empty.data.slot = 99;
        candidates.extend([empty, candidate(data(&state, 0, target), &[0])]);
    }
    let built = build(&state, &request(&state, 11), &candidates);
    assert_eq!(target_slots(&built), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn proofs_of_one_vote_become_one_over_all_their_voters() {
    let state = chain(8, 2);
    let proofs = vec![proof([0, 1, 2]), proof([2, 3]), proof([1]), proof([5])];
    let candidates = [Candidate { data: data(&state, 0, 1), proofs }];
    let built = build(&state, &request(&state, 3), &candidates);
    let voters: Vec<_> = built.proofs[0].participants.ones().collect();
    assert_eq!((built.proofs.len(), voters), (1, vec![0, 1, 2, 3, 5]));
}

#[test]
fn proofs_that_do_not_combine_give_way_to_the_largest() {
    let state = chain(8, 2);
    let data = data(&state, 0, 1);
    let candidates = [Candidate { data, proofs: vec![proof([0]), proof([1, 2, 3])] }];
    let asked = RefCell::new(Vec::new());
    let mut refuse = |data: &AttestationData, proofs: &[Proof]| {
        asked.borrow_mut().push((*data, proofs.len()));
        None
    };
    let built = build_block(&state, &request(&state, 3), &candidates, &mut refuse).unwrap();
    assert_eq!(built.proofs, [proof([1, 2, 3])]);
    assert_eq!(state_transition(&state, &built.block), Ok(built.post_state));
    assert_eq!(asked.into_inner(), [(data, 2)]);
}

#[test]
fn signers_are_bounded_over_the_whole_block() {
    let state = chain(8, 4);
    let candidates = [
        Candidate { data: data(&state, 0, 1), proofs: vec![proof([0, 1]), proof([1, 2, 3])] },
        candidate(data(&state, 0, 2), &[0, 1, 2]),
        candidate(data(&state, 0, 3), &[4]),
    ];
    let signers = |participants_max| {
        let request = BlockRequest { participants_max, ..request(&state, 5) };
        let built = build(&state, &request, &candidates);
        built.proofs.iter().map(|proof| proof.participants.count_ones()).collect::<Vec<_>>()
    };
    assert_eq!(signers(8), [4, 3, 1]);
    assert_eq!(signers(7), [4, 3]);
    assert_eq!(signers(5), [4, 1], "the second does not fit, the third does");
    assert_eq!(signers(3), [3], "the larger of the first's proofs");
    assert_eq!(signers(0), [] as [usize; 0]);
}

#[test]
fn a_slot_or_parent_that_cannot_be_is_refused() {
    let state = chain(4, 3);
    let refusal = |request: BlockRequest<'_>| build_block(&state, &request, &[], &mut union).err();
    let valid = request(&state, 4);
    let wrong_parent = BlockRequest { parent_root: Root::ZERO, ..valid };
    assert_eq!(refusal(wrong_parent), Some(RejectionReason::ParentRootMismatch));
    let wrong_proposer = BlockRequest { proposer_index: 3, ..valid };
    assert_eq!(refusal(wrong_proposer), Some(RejectionReason::WrongProposer));
    assert_eq!(refusal(request(&state, 3)), Some(RejectionReason::BlockSlotNotInFuture));
    assert_eq!(refusal(request(&state, u64::MAX)), Some(RejectionReason::HistoryLimitReached));
}
