//! A block in hand: who delivered it, what it is called and what it weighs.

use std::sync::Arc;

use lamella_types::{Root, SignedBlock, Slot, hash_tree_root};

/// A block on its way to the importer.
#[derive(Debug, Clone)]
pub(super) struct Held<P> {
    pub(super) root: Root,
    pub(super) block: Arc<SignedBlock>,
    /// Who delivered it.
    pub(super) peer: P,
    /// Whether it was gossiped, so that who delivered it may not have made it.
    pub(super) is_relayed: bool,
    /// Its weight in memory.
    pub(super) bytes: usize,
}

impl<P> Held<P> {
    /// A block of an answer.
    pub(super) fn new(block: Arc<SignedBlock>, peer: P) -> Self {
        let root = hash_tree_root(&block.block);
        Self { is_relayed: false, ..Self::named(root, block, peer) }
    }

    /// A block that was gossiped, and whose root is known.
    pub(super) fn named(root: Root, block: Arc<SignedBlock>, peer: P) -> Self {
        let bytes = block.memory_bytes();
        Self { root, block, peer, is_relayed: true, bytes }
    }

    pub(super) fn slot(&self) -> Slot {
        self.block.block.slot
    }

    pub(super) fn parent(&self) -> Root {
        self.block.block.parent_root
    }
}
