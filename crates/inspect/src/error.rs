//! Why there is no answer. Absent, pruned, damaged and failed are told apart.

use lamella_chain::ChainOpenError;
use lamella_state_store::StateReadError;
use lamella_tables::{Damage, EngineError, Fault, Key, OpenError, ReadError, Table};
use lamella_types::{Root, Slot};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The data directory holds no chain that can be read.
    #[error(transparent)]
    Open(#[from] ChainOpenError),
    /// A row on the way is damaged, or the engine failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A state cannot be reconstructed.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// There is no such thing in the database.
    #[error(transparent)]
    NotStored(#[from] NotStored),
    /// The proof of the block was pruned.
    #[error(
        "the proof of block {root} at slot {slot} was pruned, proofs are kept from slot {floor} on; leave out --signed to get the block without it"
    )]
    Pruned {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
        /// The oldest slot whose proofs are kept.
        floor: Slot,
    },
    /// No table has this name.
    #[error("no table has this name; `lamella db stats` lists them")]
    UnknownTable,
    /// The chain switched to another branch in the middle of a walk.
    #[error(
        "the chain changed at slot {slot} while it was read; run it again, or end at the finalized slot {finalized}"
    )]
    Reorganized {
        /// Where the walk noticed.
        slot: Slot,
        /// Up to where that cannot happen.
        finalized: Slot,
    },
}

/// What is not stored, and what is instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// The chain has no block at this slot.
    #[error(
        "slot {slot} was skipped: the chain has no block between slots {before} and {after}{}", ForkText(.forks)
    )]
    Skipped {
        /// The slot.
        slot: Slot,
        /// Slot of the last block before it.
        before: Slot,
        /// Slot of the first block after it.
        after: Slot,
        /// Blocks of other branches at the slot.
        forks: Vec<Root>,
    },
    /// The chain has not got there.
    #[error("slot {slot} is beyond the head, which is at slot {head_slot}{}", ForkText(.forks))]
    BeyondHead {
        /// The slot.
        slot: Slot,
        /// The head's.
        head_slot: Slot,
        /// Blocks of other branches at the slot.
        forks: Vec<Root>,
    },
    /// The database begins later.
    #[error("slot {slot} is before the oldest stored block, which is at slot {oldest}")]
    BeforeOldest {
        /// The slot.
        slot: Slot,
        /// Where the database begins.
        oldest: Slot,
    },
    /// No block has this root.
    #[error("no block has root {root}")]
    UnknownRoot {
        /// The root.
        root: Root,
    },
    /// The block's state is stored whole.
    #[error(
        "block {root} at slot {slot} has no diff: its state is stored whole; use `lamella db get state {root}`"
    )]
    NoDiff {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
    },
}

struct ForkText<'a>(&'a [Root]);

impl std::fmt::Display for ForkText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut before = "; blocks of other branches there: ";
        for root in self.0 {
            write!(f, "{before}{root}")?;
            before = ", ";
        }
        Ok(())
    }
}

impl From<EngineError> for InspectError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl From<OpenError> for InspectError {
    fn from(error: OpenError) -> Self {
        Self::Open(error.into())
    }
}

/// A row that proves itself but contradicts another one.
pub(super) fn contradiction<T: Table>(key: &T::Key, what: String) -> ReadError {
    Damage::new::<T>(Key::encode(key), Fault::Content(what)).into()
}
