//! What is asked for, and what is answered: plain values, so that a client needs none of our containers.

use lamella_fork_choice::ForkChoice;
use lamella_inspect::{self as inspect, LookupError, NotStored};

/// A hash tree root.
pub type Root = [u8; 32];

/// A block, by root and slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// `hash_tree_root` of the block.
    pub root: Root,
    /// Its slot.
    pub slot: u64,
}

impl From<lamella_types::Checkpoint> for Checkpoint {
    fn from(of: lamella_types::Checkpoint) -> Self {
        Self { root: of.root.0.0, slot: of.slot }
    }
}

/// Head and checkpoints of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// The head.
    pub head: Checkpoint,
    /// The latest justified block.
    pub justified: Checkpoint,
    /// The latest finalized block.
    pub finalized: Checkpoint,
}

impl Heads {
    pub(crate) fn of(view: &ForkChoice) -> Self {
        Self {
            head: view.head_summary().checkpoint().into(),
            justified: view.latest_justified().into(),
            finalized: view.latest_finalized().into(),
        }
    }
}

/// Which block is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockId {
    /// The head.
    Head,
    /// The latest justified block.
    Justified,
    /// The latest finalized block.
    Finalized,
    /// The block of slot 0.
    Genesis,
    /// Any block ever imported, on any branch.
    Root(Root),
    /// The block of the head's chain at this slot.
    Slot(u64),
}

impl From<BlockId> for inspect::block_id::BlockId {
    fn from(id: BlockId) -> Self {
        match id {
            BlockId::Head => Self::Head,
            BlockId::Justified => Self::Justified,
            BlockId::Finalized => Self::Finalized,
            BlockId::Genesis => Self::Genesis,
            BlockId::Root(root) => Self::Root(lamella_types::Root::new(root)),
            BlockId::Slot(slot) => Self::Slot(slot),
        }
    }
}

/// What there is. Damage and failures are errors, never one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<T> {
    /// It.
    Found(T),
    /// No block of this root was ever imported.
    Unknown,
    /// The chain has no block at this slot, as the blocks around it prove.
    Skipped {
        /// Slot of the last block before it.
        before: u64,
        /// Slot of the first block after it.
        after: u64,
    },
    /// The chain has not got to this slot.
    BeyondHead {
        /// Where it is.
        head_slot: u64,
    },
    /// The directory began at a checkpoint after this slot.
    BeforeOldest {
        /// Slot of the oldest block.
        oldest: u64,
    },
    /// The block's proof, body or state, whichever was asked for, was pruned; the block's header is there.
    Pruned {
        /// The oldest slot from which on all of that kind are kept.
        kept_from: u64,
    },
    /// The block's proof came with a run that later votes prove, and nobody checked it; the block itself is there.
    Unchecked,
}

impl<T> Answer<T> {
    /// The value, if it was found.
    pub fn found(self) -> Option<T> {
        match self {
            Self::Found(value) => Some(value),
            _ => None,
        }
    }

    /// Turns a lookup into an answer, or leaves it the error that it is.
    pub(crate) fn of(looked_up: Result<T, LookupError>) -> Result<Self, LookupError> {
        Ok(match looked_up {
            Ok(value) => Self::Found(value),
            Err(LookupError::NotStored(NotStored::UnknownRoot { .. })) => Self::Unknown,
            Err(LookupError::NotStored(NotStored::Skipped { before, after, .. })) => {
                Self::Skipped { before, after }
            }
            Err(LookupError::NotStored(NotStored::BeyondHead { head_slot, .. })) => {
                Self::BeyondHead { head_slot }
            }
            Err(LookupError::NotStored(NotStored::BeforeOldest { oldest, .. })) => {
                Self::BeforeOldest { oldest }
            }
            Err(LookupError::Pruned { floor, .. } | LookupError::PartPruned { floor, .. }) => {
                Self::Pruned { kept_from: floor }
            }
            Err(LookupError::Unchecked { .. }) => Self::Unchecked,
            Err(error) => return Err(error),
        })
    }
}

/// Bytes of a block, or of its post-state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Which block.
    pub block: Checkpoint,
    /// SSZ.
    pub ssz: Vec<u8>,
}

/// What the chain before a trusted block has at a slot, with the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// SSZ of the trusted block's header, 112 bytes, which hashes to the trusted root.
    pub trusted_header: Vec<u8>,
    /// The slot that it is about.
    pub slot: u64,
    /// Root of its block; zero if the slot is proven empty.
    pub root: Root,
    /// SSZ of that block's header, which names its body and its post-state; `None` if the slot is empty.
    pub header: Option<Vec<u8>>,
    /// Place of `root` in the trusted block's post-state, as a generalized index.
    pub generalized_index: u64,
    /// Sibling hashes from `root` up to the `state_root` of the trusted header: 23; none if it is about the trusted block's
    /// own slot.
    pub branch: Vec<Root>,
}
