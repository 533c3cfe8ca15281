//! Why a chain cannot be opened, and why an import did not happen.

use std::path::{self, Path, PathBuf};

use lamella_fork_choice::RestoreError;
use lamella_state_store::{StateReadError, StateWriteError};
use lamella_tables::{Consequence, EngineError, OpenError, ReadError, SlotRoot};
use lamella_types::RejectionReason;

/// Why a directory cannot be used. It is exactly as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChainOpenError {
    /// The database itself.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A row needed at start cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A state needed at start cannot be read.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// The directory was written by a newer Lamella.
    #[error(
        "the database has schema {found}, this lamella knows up to {known}; run a newer lamella or choose another --data-dir"
    )]
    Newer {
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The directory was written by an older Lamella.
    #[error(
        "the database has schema {found}, this lamella needs {known}; run `lamella db migrate` with its --data-dir to bring it there"
    )]
    Older {
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A migration of the directory was begun and has not ended.
    #[error(
        "the migration of {} has not ended; run `lamella db migrate --data-dir {}` again, it goes on{}", path.display(), parent(path), give_up(path, *is_kept)
    )]
    Migrating {
        /// The database.
        path: PathBuf,
        /// Whether the old database is still in its place, so that the new one may go.
        is_kept: bool,
    },
    /// The directory is being made from an archive, and is not whole.
    #[error(
        "the restoration of {} has not ended; run `lamella archive restore` again with the same target, it goes on, or delete {}.restoring", path.display(), path.display()
    )]
    Restoring {
        /// The database.
        path: PathBuf,
    },
    /// A compaction was killed between its two renamings.
    #[error(
        "the compaction of {} has not ended; run `lamella db compact --data-dir {}` again, it ends it", path.display(), parent(path)
    )]
    Compacting {
        /// The database.
        path: PathBuf,
    },
    /// A backup is being made there, and is not whole.
    #[error(
        "the backup into {} has not ended; run `lamella db backup --to {}` again with the same --data-dir, it goes on",
        parent(path),
        parent(path)
    )]
    BackingUp {
        /// The database.
        path: PathBuf,
    },
    /// The layout constants differ: the same schema built with other sizes.
    #[error("the database was laid out with {what} {found}, this lamella with {ours}")]
    Layout {
        /// Which constant.
        what: &'static str,
        /// Its value in the directory.
        found: u64,
        /// Our value.
        ours: u64,
    },
    /// The directory belongs to another chain.
    #[error(
        "the database holds another network: its {what} is {found}, the configured one is {configured}; choose another --data-dir, or set it as it is there"
    )]
    OtherNetwork {
        /// What differs.
        what: &'static str,
        /// In the directory.
        found: String,
        /// In the configuration.
        configured: String,
    },
    /// There is a database with rows but without identity.
    #[error("the database does not say which chain it holds ({0}); run `lamella db verify`")]
    NoIdentity(&'static str),
    /// A directory was to be created over an existing chain.
    #[error("there is a chain already; it is never overwritten")]
    Exists,
    /// The bootstrap state is not what its block commits to.
    #[error("bootstrap: {0}")]
    Bootstrap(#[from] StateWriteError),
    /// Fork choice cannot be rebuilt from what is stored.
    #[error("fork choice cannot be rebuilt: {0}; run `lamella db verify`")]
    Restore(#[from] RestoreError),
}

fn give_up(path: &Path, is_kept: bool) -> String {
    if !is_kept {
        return String::new();
    }
    format!(", or delete {}.migrating to keep the database as it is", path.display())
}

fn parent(path: &Path) -> path::Display<'_> {
    path.parent().unwrap_or(path).display()
}

impl From<EngineError> for ChainOpenError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

/// Why a change was not made. Disk and memory are as before in every case.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// The sender's fault.
    #[error("rejected: {0}")]
    Rejected(RejectionReason),
    /// The state is not what its block and parent make it: a fault of ours, kept off the disk.
    #[error(transparent)]
    State(#[from] StateWriteError),
    /// Blocks that were put as history and do not belong where history is missing.
    #[error("the blocks {first} to {last} are not where history is missing: nothing was written")]
    NotHistory {
        /// The first.
        first: SlotRoot,
        /// The last.
        last: SlotRoot,
    },
    /// History that was to be put where states are pruned, or were: it would be there without its states, or not for long.
    #[error(
        "history comes only into a directory that keeps all states; begin another one with --history"
    )]
    StatesPruned,
    /// A row that had to be read cannot be trusted.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<EngineError> for PersistError {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl PersistError {
    /// What the engine's failure means, if that is what it was.
    #[must_use]
    pub const fn consequence(&self) -> Option<Consequence> {
        match self {
            Self::Read(ReadError::Engine(error)) => Some(error.consequence),
            _ => None,
        }
    }
}
