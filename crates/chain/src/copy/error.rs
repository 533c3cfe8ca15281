//! Why there is no copy. The source is as it was in every case.

use std::{
    io,
    path::{Path, PathBuf},
};

use lamella_tables::{Damage, EngineError, OpenError, ReadError, RowPlace};

use crate::{error::ChainOpenError, invariants::Finding};

/// Why a copy was not made, or not finished.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is there is not of this program, of another schema, or has other layout constants.
    #[error(transparent)]
    Chain(#[from] ChainOpenError),
    /// The engine failed. Nothing that was carried is lost.
    #[error("{0}; then run it again: it goes on")]
    Engine(#[from] EngineError),
    /// A row cannot be trusted. Nothing is guessed in its place.
    #[error(
        "a damaged row in table {}, key {}: {}; there is no copy, and the database was left as it is: see what `lamella db repair` can do, then run it again",
        .0.table, .0.key_text(), .0.fault
    )]
    Damaged(Damage),
    /// What is under way there is of another chain.
    #[error("{} is a copy of another chain, under way; give its own --data-dir, or begin again with --no-resume", path.display())]
    Other {
        /// The unfinished copy.
        path: PathBuf,
    },
    /// There is something where the copy is to be.
    #[error("{} is in the way: nothing is overwritten; choose another folder, or move it elsewhere", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// The copy does not hold what the source holds.
    #[error("the copy differs in {place}; begin again with --no-resume: {}", path.display())]
    Differs {
        /// The first row that is another.
        place: String,
        /// The unfinished copy.
        path: PathBuf,
    },
    /// The copy holds what the source holds, and invariants do not hold.
    #[error(
        "{count} findings in what the database holds, the first {first}; there is no copy, and it was left as it is: see `lamella db verify`"
    )]
    Findings {
        /// How many.
        count: u64,
        /// The first.
        first: Finding,
    },
    /// Rows that the tree's own record counts cannot be read: their page is out of order.
    #[error(
        "tree {tree} counts {counted} rows, and {found} can be read: a page is out of order; there is no copy, and the database was left as it is: see `lamella db verify`"
    )]
    Hidden {
        /// The tree.
        tree: &'static str,
        /// As its record says.
        counted: u64,
        /// As a walk over it finds.
        found: u64,
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

impl CopyError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(super) fn differs(place: &RowPlace, path: &Path) -> Self {
        Self::Differs { place: place.to_string(), path: path.to_owned() }
    }
}

impl From<ReadError> for CopyError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            ReadError::Engine(error) => Self::Engine(error),
        }
    }
}
