//! Laws and edges beyond leanSpec's vectors (`testing/spec-vectors`), on chains made here.

#![expect(clippy::cast_possible_truncation, reason = "slots of tests fit any index")]

mod attestations;
mod build;
mod model;
mod transition;

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint,
    PublicKeyBytes, Root, Slot, State, Validator, Validators, genesis_state, latest_block_root,
};

use crate::compute_post_state;

fn registry(validator_count: u64) -> Validators {
    let validator = |index| Validator {
        attestation_public_key: PublicKeyBytes([1; 52]),
        proposal_public_key: PublicKeyBytes([2; 52]),
        index,
    };
    Validators::new(&(0..validator_count).map(validator).collect::<Vec<_>>()).unwrap()
}

fn genesis(validator_count: u64) -> State {
    genesis_state(0, registry(validator_count))
}

/// A child of the state's latest block at `slot`, with the state root that it should have where it has one.
fn child(parent_state: &State, slot: Slot, attestations: Vec<AggregatedAttestation>) -> Block {
    let mut block = Block {
        slot,
        proposer_index: slot.checked_rem(parent_state.validators.len() as u64).unwrap_or(0),
        parent_root: latest_block_root(parent_state),
        state_root: Root::ZERO,
        body: BlockBody::new(attestations).unwrap(),
    };
    if let Ok((_, state_root)) = compute_post_state(parent_state, &block) {
        block.state_root = state_root;
    }
    block
}

/// The post-state of a valid child.
fn extend(parent_state: &State, slot: Slot, attestations: Vec<AggregatedAttestation>) -> State {
    crate::state_transition(parent_state, &child(parent_state, slot, attestations)).unwrap()
}

/// `genesis` with an empty block at every slot up to `slot`.
fn chain(validator_count: u64, slot: Slot) -> State {
    (1..=slot).fold(genesis(validator_count), |state, slot| extend(&state, slot, Vec::new()))
}

/// The checkpoint of the block at `slot` as the child of this state's latest block will know it.
fn checkpoint(state: &State, slot: Slot) -> Checkpoint {
    let root = if slot == state.latest_block_header.slot {
        latest_block_root(state)
    } else {
        state.historical_block_hashes.get(slot).unwrap()
    };
    Checkpoint { root, slot }
}

/// A vote from `source` to `target` whose head is the target.
fn data(state: &State, source: Slot, target: Slot) -> AttestationData {
    let (source, target) = (checkpoint(state, source), checkpoint(state, target));
    AttestationData { slot: target.slot, head: target, target, source }
}

fn vote(
    state: &State,
    source: Slot,
    target: Slot,
    voters: impl IntoIterator<Item = u64>,
) -> AggregatedAttestation {
    let aggregation_bits = AggregationBits::from_indices(voters).unwrap();
    AggregatedAttestation { aggregation_bits, data: data(state, source, target) }
}
