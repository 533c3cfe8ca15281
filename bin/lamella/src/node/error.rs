//! Why a node cannot go on, and what its store could not do.

use std::{io, path::PathBuf};

use lamella_chain::{ChainOpenError, GuardError, PersistError};
use lamella_http_api::ServeError;
use lamella_network::service::NetworkError;
use lamella_network_dir::ValidatorKeyError;
use lamella_state_store::StateReadError;
use lamella_tables::{Consequence, EngineError, ReadError};
use lamella_types::Root;

use crate::config::IdentityKeyError;

/// Exit code of a node whose store cannot be used any more.
const EXIT_STORE_UNUSABLE: u8 = 5;

/// Why a node cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A validator key.
    #[error(transparent)]
    Keys(#[from] ValidatorKeyError),
    /// The data directory.
    #[error(transparent)]
    Open(#[from] ChainOpenError),
    /// The node's key cannot be kept.
    #[error(transparent)]
    Identity(#[from] IdentityKeyError),
    /// The guard of the validators' keys cannot be read or written.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The second copy of that guard cannot be read or written.
    #[error(transparent)]
    GuardCopy(#[from] GuardCopyError),
    /// The store gave up while running.
    #[error("the store cannot be used: {0}")]
    Store(StoreFailure),
    /// No thread to work for the node.
    #[error("cannot start a worker thread: {0}")]
    Workers(io::Error),
    /// The keys' thread cannot be started.
    #[error("cannot start the thread that prepares keys: {0}")]
    Preparer(io::Error),
    /// The archiver's thread cannot be started.
    #[cfg(feature = "archive")]
    #[error("cannot start the thread that archives: {0}")]
    Archiver(io::Error),
    /// History is to be fetched into a directory that does not keep all states.
    #[cfg(feature = "archive")]
    #[error(
        "--history: states of this directory are pruned, or were; history comes only into one that keeps all. Leave --history out, or begin another --data-dir"
    )]
    HistoryPruned,
    /// The threads that fetch history cannot be started.
    #[cfg(feature = "archive")]
    #[error("cannot start the threads that fetch history: {0}")]
    Historian(io::Error),
    /// The scrubber's thread cannot be started.
    #[error("cannot start the thread that reads the store whole: {0}")]
    Scrubber(io::Error),
    /// A thread of the node is over, by a fault of ours that the log has.
    #[error("the {0} thread has ended: a fault of lamella, see the log; start the node again")]
    ThreadEnded(&'static str),
    /// There is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The HTTP API cannot be served.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// The log has no thread.
    #[error("cannot write a log: {0}")]
    Log(io::Error),
    /// The signal handler cannot be installed.
    #[error("cannot catch SIGINT and SIGTERM: {0}")]
    Signals(#[from] ctrlc::Error),
    /// The end of the parent cannot be watched for.
    #[error("cannot watch standard input: {0}")]
    Parent(io::Error),
}

impl NodeError {
    /// The exit code of a node that ends with it: 5, as the database tools have it for damage, if the store gave up.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Store(_) => EXIT_STORE_UNUSABLE,
            _ => 1,
        }
    }
}

/// Our store could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// A change could not be made permanent.
    #[error(transparent)]
    Persist(#[from] PersistError),
    /// A slot could not be reserved.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A state could not be read.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// A row could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Fork choice has a head that the store has not.
    #[error("the state of head {0} is not stored; run `lamella db verify`")]
    NoHeadState(Root),
}

impl From<EngineError> for StoreFailure {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl StoreFailure {
    /// Whether it is about some rows, and the rest of the store works.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::State(StateReadError::Read(read)) => matches!(read, ReadError::Damaged(_)),
            Self::State(_) => true,
            _ => false,
        }
    }

    /// What it means. What is damaged or contradicts itself is not made better by another try.
    pub(super) fn consequence(&self) -> Consequence {
        let read = match self {
            Self::Persist(PersistError::Read(read))
            | Self::Guard(GuardError::Store(read))
            | Self::State(StateReadError::Read(read))
            | Self::Read(read) => read,
            _ => return Consequence::Unusable,
        };
        match read {
            ReadError::Engine(error) => error.consequence,
            ReadError::Damaged(_) => Consequence::Unusable,
        }
    }
}

/// The guard beside the keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the sign guard beside the keys in {}: {source}", path.display())]
pub struct GuardCopyError {
    /// The file.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}
