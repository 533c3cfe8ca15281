//! Why there is no restored database. Nothing has the place of one in any case.

use std::{io, path::PathBuf};

use lamella_state_store::{StateReadError, StateWriteError};
use lamella_tables::{EngineError, OpenError, ReadError, SlotRoot};
use lamella_types::Slot;

use crate::{error::ChainOpenError, invariants::Finding};

/// Why a restoration did not go on, or did not end.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The unfinished database says what this program does not read, or nothing follows from its rows.
    #[error(transparent)]
    Chain(#[from] ChainOpenError),
    /// A row of the unfinished database cannot be trusted, or the engine failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A state that was restored cannot be read back.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// A state is not what its block and parent make it.
    #[error("block {block}: {source}")]
    Block {
        /// The block.
        block: SlotRoot,
        /// What is wrong.
        source: Box<StateWriteError>,
    },
    /// A block that does not follow the one before it.
    #[error("block {block} does not follow {}; nothing of its segment was written", After(.after))]
    Gap {
        /// The block.
        block: SlotRoot,
        /// The newest block before it.
        after: Option<SlotRoot>,
    },
    /// Proofs that are not those of the blocks before the proofs that are here.
    #[error(
        "proofs from slot {first} on do not belong to the blocks up to slot {end}; nothing of them was written"
    )]
    ProofsApart {
        /// Slot of the first one.
        first: Slot,
        /// The slot before which they should end.
        end: Slot,
    },
    /// Not the segment that comes next.
    #[error("segment {got} was given, segment {expected} comes next")]
    NotNext {
        /// Its index.
        got: u64,
        /// The index that comes next.
        expected: u64,
    },
    /// The restoration under way has another target.
    #[error(
        "the restoration under way ends at block {begun}, not at {asked}; give that target, or delete {} and begin again", path.display()
    )]
    OtherTarget {
        /// What it was begun with.
        begun: SlotRoot,
        /// What was asked for now.
        asked: SlotRoot,
        /// The unfinished database.
        path: PathBuf,
    },
    /// There is something where the database is to be.
    #[error("{} is in the way: a restoration never overwrites; choose another --data-dir, or move it elsewhere", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// The blocks end before the target, or beyond it.
    #[error("what was restored ends at {}, not at the target {target}", After(.reached))]
    NotAtTarget {
        /// The newest block.
        reached: Option<SlotRoot>,
        /// The target.
        target: SlotRoot,
    },
    /// Everything was written, and invariants do not hold.
    #[error("{count} findings in what was restored, the first {first}; delete {} and begin again", path.display())]
    Findings {
        /// How many.
        count: u64,
        /// The first.
        first: Finding,
        /// The unfinished database.
        path: PathBuf,
    },
    /// Whoever asked for it stopped it.
    #[error("stopped; nothing is lost: the same command goes on from here")]
    Stopped,
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl From<EngineError> for RestoreError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

struct After<'a>(&'a Option<SlotRoot>);

impl std::fmt::Display for After<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(block) => write!(f, "block {block}"),
            None => write!(f, "no block"),
        }
    }
}
