//! Why a migration did not end. The old database is as it was in every case.

use std::{io, path::PathBuf};

use lamella_tables::{Damage, EngineError, OpenError, ReadError};

use crate::{error::ChainOpenError, invariants::Finding};

/// Why there is no migrated database.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is there is not of this program, or has other layout constants.
    #[error(transparent)]
    Chain(#[from] ChainOpenError),
    /// The engine failed. Nothing that was moved is lost.
    #[error("{0}; then run it again: it goes on")]
    Engine(#[from] EngineError),
    /// There is no way from this schema.
    #[error("the database has schema {found}; this lamella migrates schemas 1, 2 and 3")]
    Schema {
        /// Its schema.
        found: u32,
    },
    /// There is no way to this schema.
    #[error("there is no way to schema {to}; this lamella knows 1, 2 and 3")]
    To {
        /// What was asked for.
        to: u32,
    },
    /// The older schema has no place for something that the database says.
    #[error(
        "schema {to} cannot say the row of table {table}, key {key}: {what}; the database was left as it is"
    )]
    Unsayable {
        /// The schema to be migrated to.
        to: u32,
        /// The table.
        table: &'static str,
        /// The row.
        key: String,
        /// Why not.
        what: &'static str,
    },
    /// A migration to another schema was begun.
    #[error("a migration to schema {begun} was begun; go on with --to {begun}, or delete {} to give it up", path.display())]
    OtherTarget {
        /// The schema that it was begun to.
        begun: u32,
        /// The unfinished database.
        path: PathBuf,
    },
    /// A row of the old database cannot be trusted. Nothing is guessed in its place.
    #[error(
        "the old database has a damaged row in table {}, key {}: {}; it was left as it is: if it is of schema 3, see `lamella db repair`; else put a copy of it in its place, or begin with an empty --data-dir",
        .0.table, .0.key_text(), .0.fault
    )]
    Damaged(Damage),
    /// The slot length cannot be the network's.
    #[error(
        "with slots of {slot_ms} ms the block at slot {head_slot} is {early_s} s after the database was last written; give the network's --slot-ms"
    )]
    SlotLength {
        /// What was given.
        slot_ms: u64,
        /// Slot of the head.
        head_slot: u64,
        /// How much too early the file is.
        early_s: u64,
    },
    /// The migration was begun with another slot length.
    #[error("the migration was begun with --slot-ms {begun}; give that, or delete {} and begin again", path.display())]
    OtherSlotLength {
        /// What it was begun with.
        begun: u64,
        /// The unfinished database.
        path: PathBuf,
    },
    /// The old database's new name is taken.
    #[error("{} is in the way: the old database is to be kept there; move it elsewhere", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// The new database does not hold what the old one holds.
    #[error(
        "the new database differs from the old one in table {table}, key {key}; delete {} and begin again", path.display()
    )]
    Differs {
        /// The table.
        table: &'static str,
        /// The first key whose row is another.
        key: String,
        /// The unfinished database.
        path: PathBuf,
    },
    /// The new database holds what the old one holds, and invariants do not hold.
    #[error(
        "{count} findings in what the old database holds, the first {first}; it was left as it is: if it is of schema 3, see `lamella db repair`; else put a copy of it in its place, or begin with an empty --data-dir"
    )]
    Findings {
        /// How many.
        count: u64,
        /// The first.
        first: Finding,
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

impl From<ReadError> for MigrateError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            ReadError::Engine(error) => Self::Engine(error),
        }
    }
}
