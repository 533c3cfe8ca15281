//! Blocks: leanSpec `containers/block.py`.

use ssz_rs::prelude::*;

use crate::{
    attestation::{AggregatedAttestation, MultiMessageAggregate},
    decode::{Decode, DecodeError, Fields, variable_list},
    glue::fixed_container,
    hash_tree_root,
    limits::VALIDATOR_REGISTRY_LIMIT,
    root::Root,
    slot::{Slot, ValidatorIndex},
};

/// Metadata of a block; its root is the block's root.
/// `[slot: u64 LE | proposer_index: u64 LE | parent_root: 32 | state_root: 32 | body_root: 32]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, SimpleSerialize)]
pub struct BlockHeader {
    /// Slot the block was proposed at.
    pub slot: Slot,
    /// The proposer.
    pub proposer_index: ValidatorIndex,
    /// Root of the parent block.
    pub parent_root: Root,
    /// Root of the post-state. Zero in a state whose block has not been followed by a slot yet.
    pub state_root: Root,
    /// Root of the body.
    pub body_root: Root,
}
fixed_container!(BlockHeader, 112);

/// What a block carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, SimpleSerialize)]
pub struct BlockBody {
    /// Votes; their signatures are in the block's proof.
    pub attestations: List<AggregatedAttestation, VALIDATOR_REGISTRY_LIMIT>,
}

impl BlockBody {
    /// The body with these attestations; `None` beyond the limit of 4,096.
    #[must_use]
    pub fn new(attestations: Vec<AggregatedAttestation>) -> Option<Self> {
        List::try_from(attestations).ok().map(|attestations| Self { attestations })
    }

    /// Bytes that its votes hold in memory, each with its bits; as SSZ, or in a row, they are fewer.
    #[must_use]
    pub fn votes_bytes(&self) -> usize {
        let bits = self.attestations.iter().map(|vote| vote.aggregation_bits.as_bytes().len());
        bits.map(|bits| size_of::<AggregatedAttestation>() + bits).sum()
    }
}

impl Decode for BlockBody {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let what = "BlockBody";
        let mut fields = Fields::new(what, bytes, 4)?;
        fields.offset()?;
        let [attestations] = fields.parts();
        let attestations = variable_list(what, attestations, VALIDATOR_REGISTRY_LIMIT)?;
        Self::new(attestations).ok_or(DecodeError::Value { what })
    }
}

/// A block.
#[derive(Debug, Clone, Default, PartialEq, Eq, SimpleSerialize)]
pub struct Block {
    /// Slot the block was proposed at.
    pub slot: Slot,
    /// The proposer.
    pub proposer_index: ValidatorIndex,
    /// Root of the parent block.
    pub parent_root: Root,
    /// Root of the post-state.
    pub state_root: Root,
    /// The votes it carries.
    pub body: BlockBody,
}

impl Block {
    /// The block's header.
    #[must_use]
    pub fn header(&self) -> BlockHeader {
        BlockHeader {
            slot: self.slot,
            proposer_index: self.proposer_index,
            parent_root: self.parent_root,
            state_root: self.state_root,
            body_root: hash_tree_root(&self.body),
        }
    }

    /// The block that a header and a body make.
    #[must_use]
    pub fn from_parts(header: &BlockHeader, body: BlockBody) -> Self {
        Self {
            slot: header.slot,
            proposer_index: header.proposer_index,
            parent_root: header.parent_root,
            state_root: header.state_root,
            body,
        }
    }

    /// The votes it carries.
    #[must_use]
    pub fn attestations(&self) -> &[AggregatedAttestation] {
        self.body.attestations.as_ref()
    }
}

impl Decode for Block {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new("Block", bytes, 84)?;
        let (slot, proposer_index) = (fields.u64(), fields.u64());
        let (parent_root, state_root) = (fields.root(), fields.root());
        fields.offset()?;
        let [body] = fields.parts();
        let body = BlockBody::from_ssz(body)?;
        Ok(Self { slot, proposer_index, parent_root, state_root, body })
    }
}

/// A block with its proof, as it is gossiped and served.
#[derive(Debug, Clone, Default, PartialEq, Eq, SimpleSerialize)]
pub struct SignedBlock {
    /// The block.
    pub block: Block,
    /// One proof over the body's votes and the proposer's signature.
    pub proof: MultiMessageAggregate,
}

impl SignedBlock {
    /// Bytes that it holds in memory: its proof, and for each vote the vote and its bits.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.block.body.votes_bytes() + self.proof.proof.as_bytes().len()
    }
}

impl Decode for SignedBlock {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new("SignedBlock", bytes, 8)?;
        fields.offset()?;
        fields.offset()?;
        let [block, proof] = fields.parts();
        Ok(Self { block: Block::from_ssz(block)?, proof: MultiMessageAggregate::from_ssz(proof)? })
    }
}
