//! The baseline: lstar's state as plain `ssz_rs` containers, field by field as leanSpec declares it.

use lamella_types::{BlockHeader, Checkpoint, Config, Root, State, Validator, to_ssz};
use ssz_rs::prelude::*;

use crate::linear_diff::LinearDiff;

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

    /// Turns the diff's base into its target.
    pub fn apply(&mut self, diff: &LinearDiff) {
        self.slot = diff.header.slot;
        self.latest_block_header = diff.header;
        self.latest_justified = diff.justified;
        self.latest_finalized = diff.finalized;
        for root in &diff.history {
            self.historical_block_hashes.push(node(root));
        }
        self.justified_slots = Bitlist::deserialize(&to_ssz(&diff.justified_slots)).unwrap();
        let tracked: Vec<Node> = diff.justifications.roots().iter().map(node).collect();
        self.justifications_roots = tracked.try_into().unwrap();
        let votes = to_ssz(diff.justifications.votes());
        self.justifications_validators = Bitlist::deserialize(&votes).unwrap();
    }
}

fn node(root: &Root) -> Node {
    Node::try_from(&root.as_bytes()[..]).unwrap()
}
