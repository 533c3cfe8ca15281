use std::{cell::RefCell, sync::Arc};

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, ProofBytes, RejectionReason, Root,
    SingleMessageAggregate, Slot, State, latest_block_root,
};

use super::{chain, checkpoint, data, extend, vote};
use crate::{BlockRequest, BuiltBlock, Candidate, Combine, build_block, state_transition};

type Proof = Arc<SingleMessageAggregate>;

fn proof(voters: impl IntoIterator<Item = u64>) -> Proof {
    let participants = AggregationBits::from_indices(voters).unwrap();
    Arc::new(SingleMessageAggregate { participants, proof: ProofBytes::new(vec![7]).unwrap() })
}

fn candidate(data: AttestationData, voters: &[u64]) -> Candidate {
    Candidate { data, proofs: vec![proof(voters.iter().copied())] }
}

/// A scheme that can leave signers out.
fn select(_: &AttestationData, proofs: &[Proof], wanted: &AggregationBits) -> Option<Proof> {
    let voters = proofs.iter().flat_map(|proof| proof.participants.ones());
    let voters = voters.filter(|voter| wanted.get(*voter) == Some(true));
    Some(proof(voters.map(|voter| voter as u64)))
}

/// A scheme that cannot.
fn union(_: &AttestationData, proofs: &[Proof], _: &AggregationBits) -> Option<Proof> {
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
    let built = build_block(state, request, candidates, &mut select).unwrap();
    assert_eq!(state_transition(state, &built.block).as_ref(), Ok(&built.post_state));
    let participants: Vec<_> =
        built.proofs.iter().map(|proof| proof.participants.clone()).collect();
    let attestations = built.block.attestations();
    let voters: Vec<_> = attestations.iter().map(|vote| vote.aggregation_bits.clone()).collect();
    assert_eq!(voters, participants);
    built
}

/// The same vote, cast a slot later.
fn later(data: AttestationData) -> AttestationData {
    AttestationData { slot: data.slot + 1, ..data }
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
fn what_finalizes_comes_before_what_justifies_before_what_adds_most_before_what_is_newest() {
    let state = chain(9, 5);
    let state = extend(&state, 6, vec![vote(&state, 0, 2, 0..9)]);
    let candidates = [
        // Five of nine, and nobody else: out of reach.
        candidate(data(&state, 2, 5), &[0, 1, 2, 3, 4]),
        // Two and four of nine, for one target: within reach.
        candidate(data(&state, 2, 4), &[0, 1]),
        candidate(later(data(&state, 2, 4)), &[2, 3, 4, 5]),
        // 1 is passed over, so this justifies 6 and finalizes nothing.
        candidate(data(&state, 0, 6), &[0, 1, 2, 3, 4, 5, 6]),
        // Justifies 3, and with it finalizes 2.
        candidate(data(&state, 2, 3), &[0, 1, 2, 3, 4, 5]),
        candidate(data(&state, 2, 1), &[0]),
        candidate(later(data(&state, 2, 1)), &[0]),
    ];
    let built = build(&state, &request(&state, 7), &candidates);
    let chosen =
        built.block.attestations().iter().map(|vote| (vote.data.target.slot, vote.data.slot));
    assert_eq!(chosen.collect::<Vec<_>>(), [(3, 3), (6, 6), (4, 5), (4, 4), (5, 5)]);
    assert_eq!(built.post_state.latest_finalized, checkpoint(&state, 2));
    assert_eq!(built.post_state.latest_justified, checkpoint(&state, 6));
}

/// Symptom: after a burst of lost votes every proposer put the same eight votes into every block, for 850 slots, with
/// all validators voting; nothing was justified.
/// Mechanism: the oldest targets on the justified source were taken first, however often the chain had counted them.
/// Fix: a vote that adds no voter to the tally, as the votes chosen before it leave it, is not chosen.
#[test]
fn what_the_chain_has_counted_is_left_out() {
    let state = chain(8, 9);
    let old: Vec<_> = [1, 2, 3, 4, 5, 6].map(|target| data(&state, 0, target)).into();
    let counted = old.iter().map(|data| AggregatedAttestation {
        aggregation_bits: AggregationBits::from_indices([0, 1, 2, 3]).unwrap(),
        data: *data,
    });
    let state = extend(&state, 10, counted.collect());
    let mut candidates: Vec<_> = old.iter().map(|data| candidate(*data, &[0, 1, 2, 3])).collect();
    candidates.extend(old.iter().map(|data| candidate(later(*data), &[1, 3])));
    assert_eq!(target_slots(&build(&state, &request(&state, 11), &candidates)), [0; 0]);

    candidates.push(candidate(data(&state, 0, 9), &[0, 1, 2, 3, 4, 5]));
    candidates.push(candidate(later(later(data(&state, 0, 2))), &[3, 4]));
    let built = build(&state, &request(&state, 11), &candidates);
    assert_eq!(target_slots(&built), [9, 2]);
    let voters: Vec<_> = built.proofs.iter().map(|proof| proof.participants.count_ones()).collect();
    assert_eq!(voters, [6, 1], "of the second only the one who is new");
    assert_eq!(built.post_state.latest_justified, checkpoint(&state, 9));
}

/// Symptom: with 100 validators nothing was ever justified from genesis.
/// Mechanism: the votes of the first two slots are for genesis itself; they justify nothing, were taken first as the
/// oldest, and with 200 signers left no room for any other.
/// Fix: votes that the transition ignores are left out.
#[test]
fn votes_for_genesis_take_no_room() {
    let state = chain(100, 3);
    let everyone: Vec<u64> = (0..100).collect();
    let candidates = [
        candidate(data(&state, 0, 0), &everyone),
        candidate(later(data(&state, 0, 0)), &everyone),
        candidate(data(&state, 0, 1), &everyone),
    ];
    let request = BlockRequest { participants_max: 205, ..request(&state, 4) };
    let built = build(&state, &request, &candidates);
    assert_eq!(target_slots(&built), [1]);
    assert_eq!(built.post_state.latest_justified, checkpoint(&state, 1));
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
        candidate(data(&state, 0, 4), &[4]),
        Candidate { data: data(&state, 0, 4), proofs: Vec::new() },
    ];
    let known_block = |root: &Root| *root != unknown_head.head.root;
    let request = BlockRequest { known_block: &known_block, ..request(&state, 5) };
    assert!(build(&state, &request, &candidates).proofs.is_empty());
}

#[test]
fn votes_on_any_justified_source_count() {
    let state = chain(4, 3);
    let state = extend(&state, 4, vec![vote(&state, 0, 1, 0..4)]);
    let candidates = [(0, 2), (1, 3), (2, 4)];
    let candidates =
        candidates.map(|(source, target)| candidate(data(&state, source, target), &[0]));
    assert_eq!(target_slots(&build(&state, &request(&state, 5), &candidates)), [3, 2]);
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
    let state = chain(32, 10);
    let mut vote = data(&state, 0, 9);
    let mut candidates: Vec<Candidate> = Vec::new();
    for voter in 0..10 {
        vote = later(vote);
        candidates.push(Candidate { data: vote, proofs: Vec::new() });
        vote = later(vote);
        candidates.push(candidate(vote, &[voter]));
    }
    let built = build(&state, &request(&state, 11), &candidates);
    let voters = built.proofs.iter().flat_map(|proof| proof.participants.ones());
    assert_eq!(voters.collect::<Vec<_>>(), [9, 8, 7, 6, 5, 4, 3, 2]);
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
    let mut refuse = |data: &AttestationData, proofs: &[Proof], _: &AggregationBits| {
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
    let state = chain(16, 4);
    let candidates = [
        Candidate { data: data(&state, 0, 1), proofs: vec![proof([0, 1]), proof([1, 2, 3])] },
        candidate(data(&state, 0, 2), &[0, 1, 2]),
        candidate(data(&state, 0, 3), &[4]),
    ];
    let signers = |participants_max, combine: &mut Combine<'_>| {
        let request = BlockRequest { participants_max, ..request(&state, 5) };
        let built = build_block(&state, &request, &candidates, combine).unwrap();
        built.proofs.iter().map(|proof| proof.participants.count_ones()).collect::<Vec<_>>()
    };
    assert_eq!(signers(8, &mut select), [4, 3, 1]);
    assert_eq!(signers(5, &mut select), [4, 1], "the newer one of the two that add one");
    assert_eq!(signers(3, &mut select), [3]);
    assert_eq!(signers(0, &mut select), [0; 0]);
    // Where nobody can be left out, whole proofs have to fit.
    assert_eq!(signers(8, &mut union), [4, 3, 1]);
    assert_eq!(signers(3, &mut union), [3]);
    assert_eq!(signers(2, &mut union), [2]);
}

#[test]
fn a_slot_or_parent_that_cannot_be_is_refused() {
    let state = chain(4, 3);
    let refusal = |request: BlockRequest<'_>| build_block(&state, &request, &[], &mut select).err();
    let valid = request(&state, 4);
    let wrong_parent = BlockRequest { parent_root: Root::ZERO, ..valid };
    assert_eq!(refusal(wrong_parent), Some(RejectionReason::ParentRootMismatch));
    let wrong_proposer = BlockRequest { proposer_index: 3, ..valid };
    assert_eq!(refusal(wrong_proposer), Some(RejectionReason::WrongProposer));
    assert_eq!(refusal(request(&state, 3)), Some(RejectionReason::BlockSlotNotInFuture));
    assert_eq!(refusal(request(&state, u64::MAX)), Some(RejectionReason::HistoryLimitReached));
}
