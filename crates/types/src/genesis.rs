//! The first state and block: leanSpec `generate_genesis`.

use crate::{
    block::{Block, BlockBody, BlockHeader},
    hash_tree_root,
    registry::Validators,
    root::Root,
    state::{Config, State},
};

/// The genesis state of a chain. Its root is the chain's identity.
#[must_use]
pub fn genesis_state(genesis_time: u64, validators: Validators) -> State {
    let body_root = hash_tree_root(&BlockBody::default());
    State {
        config: Config { genesis_time },
        latest_block_header: BlockHeader { body_root, ..BlockHeader::default() },
        validators,
        ..State::default()
    }
}

/// The block of slot 0, which commits to the genesis state and carries nothing.
#[must_use]
pub fn genesis_block(state: &State) -> Block {
    Block { state_root: state.root(), ..Block::default() }
}

/// The root of a state's latest block, given that the state is that block's post-state: the header with its
/// `state_root` filled in.
#[must_use]
pub fn latest_block_root(state: &State) -> Root {
    let mut header = state.latest_block_header;
    if header.state_root.is_zero() {
        header.state_root = state.root();
    }
    header.root()
}
