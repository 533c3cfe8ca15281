//! A block as a segment tells it.

use lamella_types::{Block, BlockBody, BlockHeader, Root};

use crate::state_change::StateChange;

/// A canonical block with what it changed in the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedBlock {
    /// The header. Its `state_root` is the root of the block's post-state.
    pub header: BlockHeader,
    /// Its root.
    pub root: Root,
    /// The body; the header has its root.
    pub body: BlockBody,
    /// What the post-state has other than the parent's. Proven once the state was rebuilt and hashed.
    pub change: StateChange,
}

impl ArchivedBlock {
    /// The block, as the state transition takes it.
    #[must_use]
    pub fn block(&self) -> Block {
        Block::from_parts(&self.header, self.body.clone())
    }
}
