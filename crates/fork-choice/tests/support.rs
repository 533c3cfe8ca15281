//! Blocks and votes in few words.

use std::sync::Arc;

use lamella_fork_choice::BlockSummary;
use lamella_types::{
    AggregationBits, AttestationData, Checkpoint, ProofBytes, Root, SingleMessageAggregate,
};

/// The root that stands for `number`. Later numbers are not larger roots, so that ties go either way.
pub fn root(number: u64) -> Root {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    bytes[31] |= 1;
    Root::new(bytes)
}

/// A block whose post-state has justified and finalized nothing.
pub fn block(number: u64, parent: u64, slot: u64, validator_count: u64) -> BlockSummary {
    BlockSummary {
        root: root(number),
        parent_root: root(parent),
        slot,
        proposer_index: 0,
        justified: Checkpoint::default(),
        finalized: Checkpoint::default(),
        validator_count,
    }
}

/// A vote of `slot` for `head`, with the anchor as target and source.
pub fn vote(slot: u64, head: &BlockSummary, anchor: &BlockSummary) -> AttestationData {
    let [head, anchor] = [head.checkpoint(), anchor.checkpoint()];
    AttestationData { slot, head, target: anchor, source: anchor }
}

/// A proof by these validators, without bytes.
pub fn proof(validators: impl IntoIterator<Item = u64>) -> Arc<SingleMessageAggregate> {
    let participants = AggregationBits::from_indices(validators).unwrap();
    Arc::new(SingleMessageAggregate { participants, proof: ProofBytes::default() })
}
