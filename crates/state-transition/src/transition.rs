//! Slots, headers and blocks: leanSpec `state_transition.py`, in its order of checks.

use lamella_types::{
    Block, BlockHeader, Checkpoint, HistoryFull, RejectionReason, Root, Slot, State,
    limits::HISTORICAL_ROOTS_LIMIT,
    slot::{justified_index_after, proposer_for_slot},
};

use crate::attestations::apply_attestations;

/// The post-state of `block` on the post-state of its parent: leanSpec `state_transition`.
///
/// # Errors
/// The first rule that the block breaks; `STATE_ROOT_MISMATCH` comes last.
///
/// # Cost
/// Two state roots (the pre-state's and the post-state's), one hash for each skipped slot, and the block's votes.
pub fn state_transition(state: &State, block: &Block) -> Result<State, RejectionReason> {
    let (post_state, root) = compute_post_state(state, block)?;
    if block.state_root == root { Ok(post_state) } else { Err(RejectionReason::StateRootMismatch) }
}

/// The post-state and its root, whatever state root the block names. [`state_transition`] without its last check.
///
/// # Errors
/// The first rule that the block breaks.
pub fn compute_post_state(state: &State, block: &Block) -> Result<(State, Root), RejectionReason> {
    let mut state = process_slots(state, block.slot)?;
    apply_block(&mut state, block)?;
    let root = state.root();
    Ok((state, root))
}

/// Advances a state through empty slots to `target_slot`: leanSpec `process_slots`.
///
/// Differs from leanSpec, which loops over the slots: a target that no block could take, because the history would
/// pass 2^18 entries, is refused here, before anything is hashed or allocated.
///
/// # Errors
/// `BLOCK_SLOT_NOT_IN_FUTURE` or `HISTORY_LIMIT_REACHED`.
///
/// # Cost
/// At most one state root, and the same for any number of slots.
pub fn process_slots(state: &State, target_slot: Slot) -> Result<State, RejectionReason> {
    if state.slot >= target_slot {
        return Err(RejectionReason::BlockSlotNotInFuture);
    }
    let header_slot = state.latest_block_header.slot;
    let history = state.historical_block_hashes.len() as u64;
    let history_of_block = history.saturating_add(target_slot.saturating_sub(header_slot));
    if history_of_block > HISTORICAL_ROOTS_LIMIT as u64 {
        return Err(RejectionReason::HistoryLimitReached);
    }

    let mut advanced = state.clone();
    // Only the first slot after a block finds no root in the header.
    if advanced.latest_block_header.state_root.is_zero() {
        advanced.latest_block_header.state_root = state.root();
    }
    advanced.slot = target_slot;
    Ok(advanced)
}

/// Applies a block to a state already advanced to its slot: leanSpec `process_block`.
///
/// # Errors
/// The first rule that the block breaks.
pub fn process_block(state: &State, block: &Block) -> Result<State, RejectionReason> {
    let mut state = state.clone();
    apply_block(&mut state, block)?;
    Ok(state)
}

/// Checks a block's header and records it: leanSpec `process_block_header`.
///
/// # Errors
/// The first rule that the header breaks.
pub fn process_block_header(state: &State, block: &Block) -> Result<State, RejectionReason> {
    let mut state = state.clone();
    apply_block_header(&mut state, block)?;
    Ok(state)
}

fn apply_block(state: &mut State, block: &Block) -> Result<(), RejectionReason> {
    apply_block_header(state, block)?;
    apply_attestations(state, block.attestations())
}

/// Leaves `state` half-changed on an error; callers own it and drop it.
fn apply_block_header(state: &mut State, block: &Block) -> Result<(), RejectionReason> {
    let parent_header = state.latest_block_header;
    let parent_root = parent_header.root();
    check_header(state, block, &parent_header, parent_root)?;

    // Genesis is justified and finalized by definition: its child makes it so.
    if parent_header.slot == 0 {
        let genesis = Checkpoint { root: parent_root, slot: 0 };
        state.latest_justified = genesis;
        state.latest_finalized = genesis;
    }

    // The block's own slot is not recorded yet: its root is unknown until the state is complete.
    let last_recorded_slot = block.slot - 1;
    let finalized_slot = state.latest_finalized.slot;
    if justified_index_after(last_recorded_slot, finalized_slot)
        .is_some_and(|index| index >= HISTORICAL_ROOTS_LIMIT)
    {
        return Err(RejectionReason::HistoryLimitReached);
    }
    let skipped_slots = last_recorded_slot - parent_header.slot;
    state
        .historical_block_hashes
        .push_parent(parent_root, skipped_slots)
        .map_err(|HistoryFull { .. }| RejectionReason::HistoryLimitReached)?;
    // Post-states are kept by the thousand; a list that grows takes twice what it holds.
    state.historical_block_hashes.shrink();
    state.justified_slots.extend_to_slot(finalized_slot, last_recorded_slot);

    state.latest_block_header = BlockHeader { state_root: Root::ZERO, ..block.header() };
    Ok(())
}

fn check_header(
    state: &State,
    block: &Block,
    parent_header: &BlockHeader,
    parent_root: Root,
) -> Result<(), RejectionReason> {
    if block.slot != state.slot {
        return Err(RejectionReason::BlockSlotMismatch);
    }
    if block.slot <= parent_header.slot {
        return Err(RejectionReason::BlockOlderThanLatestHeader);
    }
    let proposer = proposer_for_slot(state.slot, state.validators.len() as u64);
    let proposer = proposer.ok_or(RejectionReason::EmptyValidatorRegistry)?;
    if block.proposer_index != proposer {
        return Err(RejectionReason::WrongProposer);
    }
    if block.parent_root != parent_root {
        return Err(RejectionReason::ParentRootMismatch);
    }
    Ok(())
}
