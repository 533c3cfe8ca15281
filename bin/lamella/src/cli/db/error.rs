//! Why `lamella db` failed. Absent, pruned, damaged and failed each have an exit code of their own.

use std::{io, path::PathBuf};

use lamella_chain::{
    ChainOpenError, copy::CopyError, leftovers::LeftoverError, migrate::MigrateError,
    prune::PruneError, repair::RepairError,
};
use lamella_inspect::{InspectError, LookupError};
use lamella_state_store::StateReadError;
use lamella_tables::{Consequence, EngineError, OpenError, ReadError};

use crate::source::SourceError;

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

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// What was asked for has no answer.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The database was not migrated.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The database was not backed up or compacted.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Leftovers cannot be looked at, or deleted.
    #[error(transparent)]
    Leftovers(#[from] LeftoverError),
    /// The database was not pruned, or not to the end.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// Two databases are not the same.
    #[error("rows that differ: {count}")]
    Differ {
        /// How many.
        count: u64,
    },
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
    /// Invariants do not hold.
    #[error(
        "{count} findings; nothing was changed. Stop the node, keep a copy of the directory, and see what `lamella db repair` can do"
    )]
    Findings {
        /// How many.
        count: u64,
    },
    /// A dry run of a repair found something.
    #[error("{repairs} rows to repair, {unrepaired} that cannot be; nothing was changed")]
    ToRepair {
        /// Rows that can be made again.
        repairs: u64,
        /// Rows that cannot.
        unrepaired: u64,
    },
    /// A repair left something.
    #[error(
        "{count} findings are left, which could not be repaired from what there was; keep a copy of the directory. `lamella archive restore` makes another of an archive, a checkpoint begins a new one"
    )]
    NotRepaired {
        /// How many.
        count: u64,
    },
    /// The database was not repaired.
    #[error(transparent)]
    Repair(#[from] RepairError),
    /// The archive to repair from.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The signals that stop a tool cannot be caught.
    #[error("cannot catch SIGINT and SIGTERM: {0}")]
    Signals(#[from] ctrlc::Error),
    /// The user stopped the tool before the end.
    #[error("stopped before the end; what was checked holds, the rest was not checked")]
    Stopped,
}

impl DbError {
    /// The exit code that tells this from other outcomes.
    #[must_use]
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Inspect(error) => of_inspect(error),
            Self::Migrate(error) => of_migrate(error),
            Self::Copy(error) => of_copy(error),
            Self::Prune(error) => of_prune(error),
            Self::Stopped => ExitCode::Stopped,
            Self::Repair(RepairError::Open(error)) => of_open(error),
            Self::Repair(RepairError::Engine(error)) => of_engine(error),
            Self::FileExists { .. }
            | Self::File { .. }
            | Self::Findings { .. }
            | Self::Leftovers(_)
            | Self::Differ { .. }
            | Self::Source(_)
            | Self::ToRepair { .. }
            | Self::NotRepaired { .. }
            | Self::Signals(_) => ExitCode::Failed,
        }
    }
}

pub(crate) const fn of_inspect(error: &InspectError) -> ExitCode {
    match error {
        InspectError::UnknownTable(_) | InspectError::EmptyRange { .. } => ExitCode::Usage,
        InspectError::NoDiff { .. } => ExitCode::NotStored,
        InspectError::Lookup(error) => of_lookup(error),
        InspectError::Open(error) => of_open(error),
        InspectError::Reorganized { .. } => ExitCode::Failed,
    }
}

const fn of_migrate(error: &MigrateError) -> ExitCode {
    match error {
        MigrateError::Stopped => ExitCode::Stopped,
        MigrateError::Damaged(_) | MigrateError::Findings { .. } => ExitCode::Damaged,
        MigrateError::SlotLength { .. }
        | MigrateError::OtherSlotLength { .. }
        | MigrateError::To { .. }
        | MigrateError::OtherTarget { .. } => ExitCode::Usage,
        MigrateError::Engine(error) => of_engine(error),
        MigrateError::Chain(error) => of_open(error),
        _ => ExitCode::Failed,
    }
}

const fn of_prune(error: &PruneError) -> ExitCode {
    match error {
        PruneError::Stopped => ExitCode::Stopped,
        PruneError::Findings { .. } => ExitCode::Damaged,
        PruneError::Read(error) => of_read(error),
        PruneError::Chain(error) => of_open(error),
    }
}

const fn of_copy(error: &CopyError) -> ExitCode {
    match error {
        CopyError::Stopped => ExitCode::Stopped,
        CopyError::Damaged(_) | CopyError::Findings { .. } | CopyError::Hidden { .. } => {
            ExitCode::Damaged
        }
        CopyError::InTheWay { .. } | CopyError::Other { .. } => ExitCode::Usage,
        CopyError::Engine(error) => of_engine(error),
        CopyError::Chain(error) => of_open(error),
        CopyError::Open(_) | CopyError::Differs { .. } | CopyError::Io { .. } => ExitCode::Failed,
    }
}

const fn of_lookup(error: &LookupError) -> ExitCode {
    match error {
        LookupError::NotStored(_) => ExitCode::NotStored,
        LookupError::Pruned { .. }
        | LookupError::PartPruned { .. }
        | LookupError::Unchecked { .. } => ExitCode::Pruned,
        LookupError::Read(error) => of_read(error),
        LookupError::State(_) => ExitCode::Damaged,
    }
}

pub(crate) const fn of_read(error: &ReadError) -> ExitCode {
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

pub(crate) const fn of_state(error: &StateReadError) -> ExitCode {
    match error {
        StateReadError::Read(error) => of_read(error),
        _ => ExitCode::Damaged,
    }
}

pub(crate) const fn of_open(error: &ChainOpenError) -> ExitCode {
    match error {
        ChainOpenError::Read(error) => of_read(error),
        ChainOpenError::State(error) => of_state(error),
        ChainOpenError::Open(OpenError::Engine { source, .. }) => of_engine(source),
        ChainOpenError::NoIdentity(_) => ExitCode::Damaged,
        _ => ExitCode::Failed,
    }
}
