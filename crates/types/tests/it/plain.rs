//! The oracle: lstar's state as plain `ssz_rs` containers, field by field as leanSpec declares it.

use lamella_types::{BlockHeader, Checkpoint, Config, Root, State, Validator};
use ssz_rs::prelude::*;

/// The state without any sharing, packing or caching.
#[derive(Debug, Default, Clone, PartialEq, Eq, SimpleSerialize)]
pub struct PlainState {
    pub config: Config,
    pub slot: u64,
    pub latest_block_header: BlockHeader,
    pub latest_justified: Checkpoint,
    pub latest_finalized: Checkpoint,
    pub historical_block_hashes: List<Node, 262_144>,
    pub justified_slots: Bitlist<262_144>,
    pub validators: List<Validator, 4096>,
    pub justifications_roots: List<Node, 262_144>,
    pub justifications_validators: Bitlist<1_073_741_824>,
}

/// Copies a state element by element.
pub fn plain(state: &State) -> PlainState {
    let node = |root: Root| Node::try_from(root.as_bytes().as_slice()).unwrap();
    let history = &state.historical_block_hashes;
    let roots: Vec<Node> =
        (0..history.len() as u64).map(|slot| node(history.get(slot).unwrap())).collect();
    let mut justified_slots = Bitlist::default();
    for index in 0..state.justified_slots.len() {
        justified_slots.push(state.justified_slots.get(index).unwrap());
    }
    let mut justifications_validators = Bitlist::default();
    for index in 0..state.justifications.votes().len() {
        justifications_validators.push(state.justifications.votes().get(index).unwrap());
    }
    let tracked: Vec<Node> = state.justifications.roots().iter().copied().map(node).collect();
    PlainState {
        config: state.config,
        slot: state.slot,
        latest_block_header: state.latest_block_header,
        latest_justified: state.latest_justified,
        latest_finalized: state.latest_finalized,
        historical_block_hashes: List::try_from(roots).unwrap(),
        justified_slots,
        validators: List::try_from(state.validators.iter().collect::<Vec<_>>()).unwrap(),
        justifications_roots: List::try_from(tracked).unwrap(),
        justifications_validators,
    }
}
