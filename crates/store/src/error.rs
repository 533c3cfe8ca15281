//! Why something was not done. What is absent is no error: see [`crate::Answer`].

use lamella_chain::{ChainOpenError, PersistError, copy::CopyError};
use lamella_inspect::LookupError;
use lamella_state_store::{StateReadError, StateWriteError};
use lamella_tables::{Consequence, EngineError, OpenError as TablesError};
use lamella_types::DecodeError;

/// Why a directory was not created or opened. It is exactly as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// What to begin with is no SSZ.
    #[error("{what}: {error}")]
    Malformed {
        /// What it should have been.
        what: &'static str,
        /// What is wrong with it.
        error: String,
    },
    /// There is no chain at the path.
    #[error("there is no chain in this directory; create one")]
    Missing,
    /// There is one already, and it is never overwritten.
    #[error("there is a chain in this directory already; open it")]
    Exists,
    /// Another process writes there, or this one has it open already.
    #[error("{0}")]
    InUse(String),
    /// It cannot be used: another schema, damage, a failing disk. The text says which, and what to do.
    #[error("{0}")]
    Unusable(String),
}

impl From<ChainOpenError> for OpenError {
    fn from(error: ChainOpenError) -> Self {
        match error {
            ChainOpenError::Exists => Self::Exists,
            ChainOpenError::Open(TablesError::Missing { .. } | TablesError::Empty { .. }) => {
                Self::Missing
            }
            ChainOpenError::Open(
                held @ (TablesError::InUse { .. } | TablesError::ReadElsewhere { .. }),
            ) => Self::InUse(held.to_string()),
            // What the engine says of a file that its own process has open.
            ChainOpenError::Open(
                held @ TablesError::Engine {
                    source: EngineError { consequence: Consequence::Retry, .. },
                    ..
                },
            ) => Self::InUse(format!("{held}; is it open in this process already?")),
            other => Self::Unusable(other.to_string()),
        }
    }
}

/// Why a block was not imported. Nothing has changed, on disk or in memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bytes are no SSZ of what they should be.
    #[error("{what}: {error}")]
    Malformed {
        /// What they should have been.
        what: &'static str,
        /// What is wrong with them.
        error: String,
    },
    /// The block is invalid, or its parent is not in the tree.
    #[error("rejected: {reason}")]
    Rejected {
        /// leanSpec's name of the reason, such as `UNKNOWN_PARENT_BLOCK`.
        reason: &'static str,
    },
    /// The post-state is not the one that the block commits to, or not one that its parent's can become.
    #[error("{0}")]
    WrongState(String),
    /// The disk, its quota or the file's largest size is used up. The same call may succeed once there is room.
    #[error("{0}")]
    NoSpace(String),
    /// A row that had to be read is damaged; the text names table and key.
    #[error("{0}")]
    Damaged(String),
    /// The engine refused for now; the same call may succeed.
    #[error("{0}")]
    Retry(String),
    /// The store cannot be used any more: close it, and verify it.
    #[error("{0}")]
    Unusable(String),
}

impl ImportError {
    pub(crate) fn malformed(what: &'static str, error: &DecodeError) -> Self {
        Self::Malformed { what, error: error.to_string() }
    }
}

impl From<EngineError> for ImportError {
    fn from(error: EngineError) -> Self {
        let text = error.to_string();
        match error.consequence {
            Consequence::NoSpace => Self::NoSpace(text),
            Consequence::Retry => Self::Retry(text),
            Consequence::Unusable => Self::Unusable(text),
        }
    }
}

impl From<lamella_tables::ReadError> for ImportError {
    fn from(error: lamella_tables::ReadError) -> Self {
        match error {
            lamella_tables::ReadError::Engine(error) => error.into(),
            damaged => Self::Damaged(damaged.to_string()),
        }
    }
}

impl From<PersistError> for ImportError {
    fn from(error: PersistError) -> Self {
        match error {
            PersistError::Rejected(reason) => Self::Rejected { reason: reason.code() },
            PersistError::State(error) => error.into(),
            PersistError::Read(error) => error.into(),
            // Of blocks below a checkpoint, which an import never writes.
            history @ (PersistError::NotHistory { .. } | PersistError::StatesPruned) => {
                Self::WrongState(history.to_string())
            }
        }
    }
}

impl From<StateWriteError> for ImportError {
    fn from(error: StateWriteError) -> Self {
        Self::WrongState(error.to_string())
    }
}

impl From<StateReadError> for ImportError {
    fn from(error: StateReadError) -> Self {
        match error {
            StateReadError::Read(error) => error.into(),
            contradiction => Self::Damaged(contradiction.to_string()),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A row on the way is damaged or lost, or contradicts another; the text names table and key.
    #[error("{0}")]
    Damaged(String),
    /// The engine refused for now, as when it has no reader's place left.
    #[error("{0}")]
    Retry(String),
    /// The store cannot be used any more: close it, and verify it.
    #[error("{0}")]
    Unusable(String),
}

impl From<LookupError> for ReadError {
    fn from(error: LookupError) -> Self {
        match error.into_store_error() {
            Ok(error) if error.is_unusable() => Self::Unusable(error.to_string()),
            Ok(error) => Self::Retry(error.to_string()),
            Err(damage) => Self::Damaged(damage.to_string()),
        }
    }
}

impl From<EngineError> for ReadError {
    fn from(error: EngineError) -> Self {
        LookupError::from(error).into()
    }
}

/// Why there is no backup. The store is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is something where the copy is to be, or another store's copy under way.
    #[error("{0}")]
    InTheWay(String),
    /// A row does not prove itself, or an invariant does not hold; the text names it.
    #[error("{0}")]
    Damaged(String),
    /// `progress` stopped it.
    #[error("stopped; the same call goes on")]
    Stopped,
    /// The disk is full, or a file system or an engine refused; the same call may go on.
    #[error("{0}")]
    Failed(String),
}

impl From<CopyError> for BackupError {
    fn from(error: CopyError) -> Self {
        let text = error.to_string();
        match error {
            CopyError::Stopped => Self::Stopped,
            CopyError::InTheWay { .. } | CopyError::Other { .. } => Self::InTheWay(text),
            CopyError::Damaged(_) | CopyError::Findings { .. } | CopyError::Hidden { .. } => {
                Self::Damaged(text)
            }
            _ => Self::Failed(text),
        }
    }
}
