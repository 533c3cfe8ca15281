use lamella_types::{
    AggregatedAttestation, AggregationBits, BitList, JustificationValidators, Justifications,
    RejectionReason, Root, State,
};

use super::{chain, checkpoint, child, data, extend, genesis, vote};
use crate::{process_attestations, state_transition};

fn bits(length: usize, ones: &[usize]) -> JustificationValidators {
    let mut bits = BitList::zeros(length);
    for index in ones {
        bits.set(*index, true);
    }
    bits
}

fn justified(state: &State) -> Vec<usize> {
    state.justified_slots.ones().collect()
}

#[test]
fn a_tally_that_no_vote_changes_stays_the_same_allocation() {
    let parent = chain(4, 3);
    let pending = extend(&parent, 4, vec![vote(&parent, 0, 2, [1])]);
    assert_eq!(pending.justifications.roots(), [checkpoint(&parent, 2).root]);

    let without_votes = extend(&pending, 5, Vec::new());
    assert!(without_votes.justifications.shares_memory_with(&pending.justifications));
    let counted_before = extend(&pending, 5, vec![vote(&pending, 0, 2, [1])]);
    assert!(counted_before.justifications.shares_memory_with(&pending.justifications));
    let justified_in_one_vote = extend(&pending, 5, vec![vote(&pending, 0, 3, [0, 1, 2])]);
    assert_eq!(justified(&justified_in_one_vote), [2]);
    assert!(justified_in_one_vote.justifications.shares_memory_with(&pending.justifications));

    let changed = extend(&pending, 5, vec![vote(&pending, 0, 2, [3])]);
    assert_eq!(changed.justifications.votes(), &bits(4, &[1, 3]));
}

#[test]
fn two_thirds_justify_and_one_vote_less_does_not() {
    for (validator_count, needed) in [(1, 1), (2, 2), (3, 2), (4, 3), (7, 5), (9, 6), (11, 8)] {
        let parent = chain(validator_count, 2);
        let enough = extend(&parent, 3, vec![vote(&parent, 0, 1, 0..needed)]);
        assert_eq!(justified(&enough), [0], "{needed} of {validator_count}");
        if needed > 1 {
            let short = extend(&parent, 3, vec![vote(&parent, 0, 1, 1..needed)]);
            assert_eq!(justified(&short), [] as [usize; 0]);
            let rest = extend(&short, 4, vec![vote(&short, 0, 1, [0])]);
            assert_eq!(justified(&rest), [0], "{needed} of {validator_count} over two blocks");
            assert!(
                rest.justifications.roots().is_empty() && rest.justifications.votes().is_empty()
            );
        }
    }
}

#[test]
fn finality_drops_the_tally_and_the_window_up_to_its_slot() {
    let parent = chain(4, 6);
    let all = || 0..4;
    let state = extend(
        &parent,
        7,
        vec![
            vote(&parent, 0, 1, [0]),
            vote(&parent, 0, 2, [0]),
            vote(&parent, 0, 6, [1]),
            vote(&parent, 0, 4, all()),
            vote(&parent, 4, 5, all()),
        ],
    );
    assert_eq!(state.latest_finalized, checkpoint(&state, 4));
    assert_eq!(state.latest_justified, checkpoint(&state, 5));
    assert_eq!((state.justified_slots.len(), justified(&state)), (2, vec![0]));
    assert_eq!(state.justifications.roots(), [checkpoint(&state, 6).root]);
    assert_eq!(state.justifications.votes(), &bits(4, &[1]));
}

#[test]
fn an_earlier_target_does_not_take_the_justified_checkpoint_back() {
    let parent = chain(4, 4);
    let votes = vec![vote(&parent, 0, 3, 0..3), vote(&parent, 0, 2, 0..3)];
    let state = extend(&parent, 5, votes);
    assert_eq!(state.latest_justified, checkpoint(&state, 3));
    assert_eq!(justified(&state), [1, 2]);
}

#[test]
fn roots_that_stand_twice_or_out_of_order_are_put_in_order_by_any_block() {
    // A Python dict keeps the last value of a key, and leanSpec writes its keys sorted.
    let mut parent = chain(3, 2);
    let (low, high) = (Root::new([1; 32]), Root::new([9; 32]));
    parent.justifications = Justifications::new(vec![high, low, high], bits(9, &[0, 4, 8]));
    let state = extend(&parent, 3, Vec::new());
    assert_eq!(state.justifications.roots(), [low, high]);
    assert_eq!(state.justifications.votes(), &bits(6, &[1, 5]));
}

#[test]
fn a_damaged_tally_is_refused() {
    let root = Root::new([1; 32]);
    for (roots, votes, reason) in [
        (vec![Root::ZERO], bits(3, &[]), RejectionReason::ZeroHashJustificationRoot),
        (vec![root], bits(2, &[]), RejectionReason::JustificationVotesLengthMismatch),
        (vec![root], bits(4, &[]), RejectionReason::JustificationVotesLengthMismatch),
        (vec![], bits(1, &[]), RejectionReason::JustificationVotesLengthMismatch),
    ] {
        let mut parent = chain(3, 2);
        parent.justifications = Justifications::new(roots, votes);
        let block = child(&parent, 3, Vec::new());
        assert_eq!(state_transition(&parent, &block), Err(reason));
    }
}

#[test]
fn a_tracked_root_that_is_not_after_finality_is_refused_only_where_finality_moves() {
    let chain = chain(3, 4);
    for stranger in [Root::new([1; 32]), checkpoint(&chain, 0).root] {
        let mut parent = chain.clone();
        parent.justifications = Justifications::new(vec![stranger], bits(3, &[2]));
        let justifying = extend(&parent, 5, vec![vote(&parent, 0, 1, 0..3)]);
        assert_eq!(justified(&justifying), [0]);
        let finalizing = child(&justifying, 6, vec![vote(&justifying, 1, 2, 0..3)]);
        let refused = Err(RejectionReason::UnknownJustificationRoot);
        assert_eq!(state_transition(&justifying, &finalizing), refused);
    }
}

#[test]
fn votes_left_for_the_finalized_slot_itself_are_dropped() {
    // No transition leaves votes for a justified root; a state made by hand may hold them.
    let parent = chain(3, 4);
    let mut justified_1 = extend(&parent, 5, vec![vote(&parent, 0, 1, 0..3)]);
    let mut roots = [1, 3].map(|slot| checkpoint(&parent, slot).root);
    roots.sort_unstable();
    justified_1.justifications = Justifications::new(roots.to_vec(), bits(6, &[0, 3]));
    let finalized_1 = extend(&justified_1, 6, vec![vote(&justified_1, 1, 2, 0..3)]);
    assert_eq!(finalized_1.latest_finalized.slot, 1);
    assert_eq!(finalized_1.justifications.roots(), [checkpoint(&parent, 3).root]);
    assert_eq!(finalized_1.justifications.votes(), &bits(3, &[0]));
}

#[test]
fn an_empty_registry_has_no_tally() {
    let refused = Err(RejectionReason::EmptyValidatorRegistry);
    assert_eq!(process_attestations(&genesis(0), &[]), refused);
}

#[test]
fn a_vote_is_judged_by_its_bits_only_after_the_filters() {
    let parent = chain(3, 3);
    let nobody = AggregationBits::zeros(3);
    let stranger = AggregationBits::from_indices([3]).unwrap();
    let refusal = |source, target, aggregation_bits: &AggregationBits| {
        let data = data(&parent, source, target);
        let attestation =
            AggregatedAttestation { aggregation_bits: aggregation_bits.clone(), data };
        state_transition(&parent, &child(&parent, 4, vec![attestation])).err()
    };
    assert_eq!(refusal(0, 2, &nobody), Some(RejectionReason::EmptyAggregationBits));
    assert_eq!(refusal(0, 2, &stranger), Some(RejectionReason::ValidatorIndexOutOfRange));
    // A target that is justified already is no vote at all.
    assert_eq!((refusal(0, 0, &nobody), refusal(0, 0, &stranger)), (None, None));
}

#[test]
fn bits_past_the_registry_may_be_there_if_they_are_not_set() {
    let parent = chain(3, 2);
    let mut attestation = vote(&parent, 0, 1, [2]);
    attestation.aggregation_bits.resize(100);
    let state = extend(&parent, 3, vec![attestation]);
    assert_eq!(state.justifications.votes(), &bits(3, &[2]));
}

#[test]
fn split_votes_of_eight_data_are_accepted_and_a_ninth_data_is_not() {
    let parent = chain(4, 9);
    let mut votes: Vec<_> = (1..=8).map(|target| vote(&parent, 0, target, [0])).collect();
    votes.extend((1..=8).map(|target| vote(&parent, 0, target, [1])));
    let accepted = child(&parent, 10, votes.clone());
    assert!(state_transition(&parent, &accepted).is_ok());
    votes.push(vote(&parent, 0, 9, [0]));
    let refused = child(&parent, 10, votes);
    assert_eq!(state_transition(&parent, &refused), Err(RejectionReason::TooManyAttestationData));
}
