use std::sync::Arc;

use lamella_types::{
    Block, BlockHashes, Checkpoint, JustifiedSlots, RejectionReason, Root, Segment, Slot, State,
    latest_block_root, limits::HISTORICAL_ROOTS_LIMIT,
};

use super::{chain, checkpoint, child, extend, genesis};
use crate::{process_block_header, process_slots, state_transition};

#[test]
fn skipped_slots_change_nothing_but_the_slot_and_the_root_of_the_header() {
    let state = chain(3, 2);
    let mut step_by_step = state.clone();
    for slot in 3..=40 {
        step_by_step = process_slots(&step_by_step, slot).unwrap();
    }
    let at_once = process_slots(&state, 40).unwrap();
    assert_eq!(at_once, step_by_step);

    let mut expected = state.clone();
    expected.slot = 40;
    expected.latest_block_header.state_root = state.root();
    assert_eq!(at_once, expected);
}

#[test]
fn a_block_after_skipped_slots_records_a_zero_for_each() {
    let parent = chain(3, 2);
    let state = extend(&parent, 6, Vec::new());
    let roots: Vec<_> = (0..7).map(|slot| state.historical_block_hashes.get(slot)).collect();
    let known = |slot| Some(checkpoint(&parent, slot).root);
    let zero = Some(Root::ZERO);
    assert_eq!(roots, [known(0), known(1), known(2), zero, zero, zero, None]);
    assert_eq!(state.justified_slots, JustifiedSlots::zeros(5));
}

#[test]
fn the_first_block_justifies_and_finalizes_genesis() {
    let genesis = genesis(4);
    let state = extend(&genesis, 3, Vec::new());
    let expected = Checkpoint { root: latest_block_root(&genesis), slot: 0 };
    assert_eq!((state.latest_justified, state.latest_finalized), (expected, expected));
}

#[test]
fn a_slot_no_history_can_reach_is_refused_at_once() {
    let state = chain(3, 2);
    for slot in [u64::MAX, u64::MAX - 1, 1 << 40] {
        let block = child(&state, slot, Vec::new());
        assert_eq!(process_slots(&state, slot), Err(RejectionReason::HistoryLimitReached));
        assert_eq!(state_transition(&state, &block), Err(RejectionReason::HistoryLimitReached));
    }
}

/// A state whose latest block is at `slot`, on a chain of skipped slots finalized at `finalized_slot`.
fn long_chain(slot: Slot, finalized_slot: Slot) -> State {
    let segment = Arc::new(Segment::new(vec![0; 32 * 1024]).unwrap());
    let length = slot as usize;
    let history =
        BlockHashes::from_parts(vec![segment; length / 1024], &vec![0; length % 1024 * 32])
            .unwrap();
    let mut state = genesis(3);
    state.slot = slot;
    state.latest_block_header.slot = slot;
    state.historical_block_hashes = history;
    state.latest_finalized.slot = finalized_slot;
    state.justified_slots = JustifiedSlots::zeros(length - finalized_slot as usize - 1);
    state
}

#[test]
fn the_last_slot_of_the_history_is_accepted_and_the_next_refused() {
    let limit = HISTORICAL_ROOTS_LIMIT as Slot;
    for (parent_slot, finalized_slot) in [(limit - 1, limit - 9), (limit - 1, 0), (limit - 700, 5)]
    {
        let parent = long_chain(parent_slot, finalized_slot);
        assert_eq!(process_slots(&parent, limit + 1), Err(RejectionReason::HistoryLimitReached));

        let last = extend(&parent, limit, Vec::new());
        assert_eq!(last.historical_block_hashes.len(), HISTORICAL_ROOTS_LIMIT);
        assert_eq!(last.justified_slots.len() as Slot, limit - finalized_slot - 1);
        let next = child(&last, limit + 1, Vec::new());
        assert_eq!(state_transition(&last, &next), Err(RejectionReason::HistoryLimitReached));
    }
}

#[test]
fn a_header_far_ahead_of_its_history_is_refused_without_panic() {
    let limit = HISTORICAL_ROOTS_LIMIT as Slot;
    let refusal = |header_slot| {
        let mut state = genesis(1);
        state.slot = header_slot;
        state.latest_block_header.slot = header_slot;
        state_transition(&state, &child(&state, header_slot + 1, Vec::new())).err()
    };
    assert_eq!(refusal(limit), None, "the window of justified slots is full");
    assert_eq!(refusal(limit + 1), Some(RejectionReason::HistoryLimitReached));
    assert_eq!(refusal(1 << 40), Some(RejectionReason::HistoryLimitReached));
}

#[test]
fn a_registry_of_nobody_has_no_blocks() {
    let state = genesis(0);
    let block = child(&state, 1, Vec::new());
    let advanced = process_slots(&state, 1).unwrap();
    let refused = Err(RejectionReason::EmptyValidatorRegistry);
    assert_eq!(state_transition(&state, &block), refused);
    assert_eq!(process_block_header(&advanced, &block), refused);
}

#[test]
fn checks_come_in_leanspecs_order() {
    let state = chain(4, 3);
    let valid = child(&state, 5, Vec::new());
    // Each block repairs what the one before it was refused for; the first breaks every rule.
    let mut block = valid.clone();
    (block.slot, block.proposer_index, block.parent_root) = (3, 9, Root::ZERO);
    block.state_root = Root::ZERO;
    let refused = |block: &Block| state_transition(&state, block).unwrap_err();
    assert_eq!(refused(&block), RejectionReason::BlockSlotNotInFuture);
    block.slot = 5;
    assert_eq!(refused(&block), RejectionReason::WrongProposer);
    block.proposer_index = 1;
    assert_eq!(refused(&block), RejectionReason::ParentRootMismatch);
    block.parent_root = valid.parent_root;
    assert_eq!(refused(&block), RejectionReason::StateRootMismatch);
    block.state_root = valid.state_root;
    assert_eq!(block, valid);
    assert!(state_transition(&state, &block).is_ok());
}

#[test]
fn a_transition_shares_the_registry_and_the_segments_of_the_history() {
    let parent = long_chain(5_000, 4_990);
    let state = extend(&parent, 5_001, Vec::new());
    assert!(state.validators.shares_memory_with(&parent.validators));
    let pairs = state.historical_block_hashes.segments().iter();
    assert!(pairs.zip(parent.historical_block_hashes.segments()).all(|(a, b)| Arc::ptr_eq(a, b)));
}
