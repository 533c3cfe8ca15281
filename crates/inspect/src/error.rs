//! Why there is no answer. Absent, pruned, damaged and failed are told apart.

use lamella_chain::ChainOpenError;
use lamella_state_store::StateReadError;
use lamella_tables::{Consequence, Damage, EngineError, Fault, Key, OpenError, ReadError, Table};
use lamella_types::{Root, Slot};

use super::held::{HeldSlots, HeldText};

/// Why a block, or a part of it, is not given.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// There is no such thing in the database.
    #[error(transparent)]
    NotStored(#[from] NotStored),
    /// The proof of the block was pruned.
    #[error(
        "the proof of block {root} at slot {slot} {how}, proofs are kept from slot {floor} on; leave out --signed to get the block without it"
    )]
    Pruned {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
        /// The oldest slot whose proofs are all kept.
        floor: Slot,
        /// Why it is not there.
        how: &'static str,
    },
    /// The state or the body of the block was pruned; its header is there.
    #[error(
        "the {} of block {root} at slot {slot} was pruned, {} are kept from slot {floor} on; ask a node that keeps all", .part.one(), .part.all()
    )]
    PartPruned {
        /// What of it.
        part: PrunedPart,
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
        /// The oldest slot of which that is kept.
        floor: Slot,
    },
    /// Later votes prove the block; its own proof is stored as it came, and was not checked or is bad.
    #[error(
        "the proof of block {root} at slot {slot} was not checked yet; leave out --signed to get the block without it"
    )]
    Unchecked {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
    },
    /// A row on the way is damaged or lost, or the engine failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is stored of the state contradicts itself.
    #[error(transparent)]
    State(StateReadError),
}

/// What of a block can be pruned by itself, other than its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrunedPart {
    /// Its post-state.
    State,
    /// Its body.
    Body,
}

impl PrunedPart {
    /// The word for one.
    #[must_use]
    pub const fn one(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Body => "body",
        }
    }

    /// The word for many.
    #[must_use]
    pub const fn all(self) -> &'static str {
        match self {
            Self::State => "states",
            Self::Body => "bodies",
        }
    }
}

/// The engine failed while something was looked up.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(#[from] EngineError);

impl StoreError {
    /// Whether the store can be used no more.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        self.0.consequence == Consequence::Unusable
    }

    /// Whether a read was given up since it took too long.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.0.is_given_up()
    }

    /// What the engine said.
    #[must_use]
    pub fn into_engine(self) -> EngineError {
        self.0
    }
}

impl LookupError {
    /// The engine's failure, if it is one; else what it is.
    ///
    /// # Errors
    /// The same error, which says something about what is stored.
    pub fn into_store_error(self) -> Result<StoreError, Self> {
        match self {
            Self::Read(ReadError::Engine(error)) => Ok(StoreError(error)),
            other => Err(other),
        }
    }
}

/// Why a tool has no answer.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The data directory holds no chain that can be read.
    #[error(transparent)]
    Open(#[from] ChainOpenError),
    /// A block is not given.
    #[error(transparent)]
    Lookup(#[from] LookupError),
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
    /// No table has this name.
    #[error("no table is named {0:?}; `lamella db inspect --help` lists them")]
    UnknownTable(String),
    /// The range ends before it begins.
    #[error(
        "the range ends at slot {to}, before slot {from} where it begins; --to is the finalized slot unless it is given"
    )]
    EmptyRange {
        /// First slot.
        from: Slot,
        /// Last slot.
        to: Slot,
    },
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
    /// The slot is before the blocks that the database has without a hole up to the head, and not in what history it has.
    #[error(
        "slot {slot} is not here: this directory has slots {}; ask a node that began earlier, or begin this one with --history", HeldText(.held)
    )]
    BeforeOldest {
        /// The slot.
        slot: Slot,
        /// From where on nothing is missing up to the head.
        oldest: Slot,
        /// All that it has.
        held: Vec<HeldSlots>,
    },
    /// No block has this root.
    #[error("no block has root {root}")]
    UnknownRoot {
        /// The root.
        root: Root,
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

impl From<StateReadError> for LookupError {
    fn from(error: StateReadError) -> Self {
        match error {
            StateReadError::Read(error) => Self::Read(error),
            contradiction => Self::State(contradiction),
        }
    }
}

impl From<EngineError> for LookupError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl From<EngineError> for InspectError {
    fn from(error: EngineError) -> Self {
        Self::Lookup(error.into())
    }
}

impl From<ReadError> for InspectError {
    fn from(error: ReadError) -> Self {
        Self::Lookup(error.into())
    }
}

impl From<NotStored> for InspectError {
    fn from(reason: NotStored) -> Self {
        Self::Lookup(reason.into())
    }
}

impl From<OpenError> for InspectError {
    fn from(error: OpenError) -> Self {
        Self::Open(error.into())
    }
}

/// A row that proves itself but contradicts another one.
pub(crate) fn contradiction<T: Table>(key: &T::Key, what: String) -> ReadError {
    Damage::new::<T>(Key::encode(key), Fault::Content(what)).into()
}
