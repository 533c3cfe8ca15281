//! The baseline: lstar's state as plain `ssz_rs` containers, field by field as leanSpec declares it.

use lamella_types::{BlockHeader, Checkpoint, Config, Root, State, Validator};
use ssz_rs::prelude::*;

/// The state without any sharing, packing or caching.
#[derive(Debug, Default, Clone, PartialEq, Eq, SimpleSerialize)]
pub struct PlainState {
    config: Config,
    slot: u64,
    latest_block_header: BlockHeader,
    latest_justified: Checkpoint,
    latest_finalized: Checkpoint,
    historical_block_hashes: List<Node, 262_144>,
    justified_slots: Bitlist<262_144>,
    validators: List<Validator, 4096>,
    justifications_roots: List<Node, 262_144>,
    justifications_validators: Bitlist<1_073_741_824>,
}

impl PlainState {
    /// The same state.
    #[must_use]
    pub fn of(state: &State) -> Self {
        Self::decode(&state.to_ssz())
    }

    /// `ssz_rs`' own decoding.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        Self::deserialize(bytes).unwrap()
    }

    /// `ssz_rs`' own encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        ssz_rs::serialize(self).unwrap()
    }

    /// `ssz_rs`' own root.
    #[must_use]
    pub fn root(&mut self) -> Root {
        Root::from_slice(self.hash_tree_root().unwrap().as_ref()).unwrap()
    }
}
