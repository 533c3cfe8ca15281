//! Hand-made states: a parent and a child that extends it.

use std::sync::Arc;

use lamella_state_diff::DiffBase;
use lamella_types::{
    BlockHeader, Checkpoint, JustificationValidators, Justifications, JustifiedSlots, Root, State,
    Validator, Validators, genesis_state, hash_tree_root,
};

/// Pending roots with the validators that voted for each.
pub type Votes = Vec<(Root, Vec<usize>)>;

pub fn root(seed: u64) -> Root {
    hash_tree_root(&seed)
}

pub fn validators(count: u64) -> Validators {
    let entries: Vec<_> =
        (0..count).map(|index| Validator { index, ..Validator::default() }).collect();
    Validators::new(&entries).unwrap()
}

pub fn tally(votes: &Votes, validators: usize) -> Justifications {
    let mut votes = votes.clone();
    votes.sort_by_key(|(root, _)| *root);
    votes.dedup_by_key(|(root, _)| *root);
    let mut bits = JustificationValidators::zeros(votes.len() * validators);
    for (index, (_, voters)) in votes.iter().enumerate() {
        for voter in voters {
            bits.set(index * validators + voter % validators, true);
        }
    }
    Justifications::new(votes.iter().map(|(root, _)| *root).collect(), bits)
}

/// A post-state at `slot` with `history` entries.
pub fn parent(slot: u64, validator_count: u64, votes: &Votes) -> (Checkpoint, State) {
    let mut state = genesis_state(7, validators(validator_count));
    for index in 0..slot {
        state.historical_block_hashes.push(root(index)).unwrap();
    }
    state.slot = slot;
    state.latest_block_header.slot = slot;
    state.justifications = tally(votes, validator_count as usize);
    let header = BlockHeader { state_root: state.root(), ..state.latest_block_header };
    (Checkpoint { root: header.root(), slot }, state)
}

/// A child of a post-state, `skipped` slots later.
pub fn child(parent: &State, block: Checkpoint, skipped: u64, votes: &Votes) -> State {
    let slot = block.slot + 1 + skipped;
    let mut state = parent.clone();
    state.historical_block_hashes.push_parent(block.root, skipped).unwrap();
    state.slot = slot;
    state.latest_block_header = BlockHeader {
        slot,
        proposer_index: slot % 3,
        parent_root: block.root,
        state_root: Root::ZERO,
        body_root: root(slot),
    };
    state.latest_justified = Checkpoint { root: root(2), slot: 2.min(slot) };
    state.justified_slots = JustifiedSlots::from_indices([0, slot]).unwrap();
    state.justifications = tally(votes, state.validators.len());
    state
}

pub fn base(block: Checkpoint, state: &State, tally_deltas: u8) -> DiffBase {
    DiffBase::capture(
        block,
        Checkpoint { root: root(99), slot: 0 },
        tally_deltas,
        Arc::new(state.clone()),
    )
}
