//! Why a state cannot be read or written.

use lamella_state_diff::{AnchorError, BuildError, TallyError};
use lamella_tables::{Damage, EngineError, Fault, Key, ReadError, Table};
use lamella_types::{Root, Slot};

/// Why a stored state could not be read. An unknown root is `Ok(None)`.
#[derive(Debug, thiserror::Error)]
pub enum StateReadError {
    /// The engine failed, or a row on the way is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The block is stored, but neither an anchor nor a diff is.
    #[error("block {root} at slot {slot} has neither anchor nor diff; run `lamella db verify`")]
    NoState {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
    },
    /// The chain of diffs does not lead to the anchor in the steps that it may take.
    #[error(
        "state {root}: no way to its anchor at slot {anchor_slot} past {at} after {steps} steps; run `lamella db verify`"
    )]
    BrokenChain {
        /// The state asked for.
        root: Root,
        /// Slot of the anchor that its diff names.
        anchor_slot: Slot,
        /// Where the walk ended.
        at: Root,
        /// Steps taken.
        steps: usize,
    },
    /// A tally delta does not fit its base.
    #[error("state {root}: {source}; run `lamella db verify`")]
    Tally {
        /// The state asked for.
        root: Root,
        /// What does not fit.
        source: TallyError,
    },
    /// An anchor's parts do not make a state.
    #[error("anchor {root}: {source}; run `lamella db verify`")]
    Anchor {
        /// The anchor.
        root: Root,
        /// What does not fit.
        source: AnchorError,
    },
    /// The reconstructed state is not the one that the block commits to.
    #[error(
        "state {root} hashes to {computed}, its header says {expected}; run `lamella db verify`"
    )]
    RootMismatch {
        /// The block.
        root: Root,
        /// The hash of what was reconstructed.
        computed: Root,
        /// The header's state root.
        expected: Root,
    },
}

impl From<EngineError> for StateReadError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl StateReadError {
    /// A row whose bytes prove themselves but are not of their table's format.
    pub(crate) fn content<T: Table>(key: &T::Key, what: impl ToString) -> Self {
        content::<T>(key, what).into()
    }
}

pub(crate) fn content<T: Table>(key: &T::Key, what: impl ToString) -> ReadError {
    let fault = Fault::Content(what.to_string());
    Damage::new::<T>(Key::encode(key), fault).into()
}

/// Why a post-state was refused. Nothing has been written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateWriteError {
    /// The state is not its parent plus what a diff can say.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The state is not the one that the block commits to.
    #[error("the post-state of block {root} hashes to {computed}, its header says {expected}")]
    RootMismatch {
        /// The block.
        root: Root,
        /// Hash of the state.
        computed: Root,
        /// The header's state root.
        expected: Root,
    },
}
