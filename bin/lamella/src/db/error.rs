//! Why a database tool gave no answer. Absent, pruned, damaged and failed each have an exit code of their own.

use std::{io, path::PathBuf};

use lamella_chain::ChainOpenError;
use lamella_state_store::StateReadError;
use lamella_tables::{Consequence, EngineError, OpenError, ReadError};
use lamella_types::{Root, Slot};

/// Exit codes of `lamella db`. 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The tool could not do its work, or `verify` has findings.
    Failed = 1,
    /// The command was used wrongly.
    Usage = 2,
    /// What was asked for is not stored: a skipped slot, a slot beyond the head, an unknown root.
    NotStored = 3,
    /// It was stored and has been pruned.
    Pruned = 4,
    /// It is stored and damaged.
    Damaged = 5,
    /// Stopped by a signal before the end: 128 + SIGINT.
    Stopped = 130,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
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
    /// Flags that do not go together.
    #[error("{0}")]
    Usage(&'static str),
    /// The file to write is there already.
    #[error("{} exists; choose another file, or replace it with --force", path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
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
    /// Rows of an inspected table are damaged.
    #[error("{count} of the rows shown are damaged; run `lamella db verify`")]
    DamagedRows {
        /// How many.
        count: u64,
    },
    /// Invariants do not hold.
    #[error(
        "{count} findings; nothing was changed. Stop the node, keep a copy of the directory, and start over with another --data-dir"
    )]
    Findings {
        /// How many.
        count: u64,
    },
    /// The signals that stop a tool cannot be caught.
    #[error("cannot catch SIGINT and SIGTERM: {0}")]
    Signals(#[from] ctrlc::Error),
    /// The user stopped the tool before the end.
    #[error("stopped before the end; what was checked holds, the rest was not checked")]
    Stopped,
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

impl From<EngineError> for DbError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl From<OpenError> for DbError {
    fn from(error: OpenError) -> Self {
        Self::Open(error.into())
    }
}

impl DbError {
    /// The exit code that tells this from other outcomes.
    #[must_use]
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::Usage,
            Self::NotStored(_) => ExitCode::NotStored,
            Self::Pruned { .. } => ExitCode::Pruned,
            Self::DamagedRows { .. } => ExitCode::Damaged,
            Self::Stopped => ExitCode::Stopped,
            Self::Read(error) => of_read(error),
            Self::State(error) => of_state(error),
            Self::Open(error) => of_open(error),
            Self::FileExists { .. }
            | Self::File { .. }
            | Self::Reorganized { .. }
            | Self::Findings { .. }
            | Self::Signals(_) => ExitCode::Failed,
        }
    }
}

const fn of_read(error: &ReadError) -> ExitCode {
    match error {
        ReadError::Damaged(_) => ExitCode::Damaged,
        ReadError::Engine(error) => of_engine(error),
    }
}

const fn of_engine(error: &EngineError) -> ExitCode {
    match error.consequence {
        Consequence::Unusable => ExitCode::Damaged,
        Consequence::NoSpace | Consequence::Retry => ExitCode::Failed,
    }
}

const fn of_state(error: &StateReadError) -> ExitCode {
    match error {
        StateReadError::Read(error) => of_read(error),
        _ => ExitCode::Damaged,
    }
}

const fn of_open(error: &ChainOpenError) -> ExitCode {
    match error {
        ChainOpenError::Read(error) => of_read(error),
        ChainOpenError::State(error) => of_state(error),
        ChainOpenError::Open(OpenError::Engine { source, .. }) => of_engine(source),
        ChainOpenError::NoIdentity(_) => ExitCode::Damaged,
        _ => ExitCode::Failed,
    }
}
