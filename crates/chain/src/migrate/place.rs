//! The three names of a database on its way, and the two renamings that end it.
//!
//! | `db` | `db.migrating` | `db.schema-N` | |
//! |---|---|---|---|
//! | old | | | nothing has happened |
//! | old | unfinished | | rows are being moved |
//! | old | finished | | killed before the first renaming |
//! | | finished | old | killed between them: whoever looks for a database refuses |
//! | new | | old | done |
//!
//! N is the schema of the old one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lamella_tables::{DatabaseView, OpenError};

use super::{error::MigrateError, of_new, row::MigrationRow, side::Schema};
use crate::beside::{self, MIGRATED, MIGRATING, beside};

/// Where the new database is made.
pub(super) fn new(path: &Path) -> PathBuf {
    beside(path, MIGRATING)
}

/// Where an old database of this schema is kept.
pub(super) fn old(path: &Path, schema: Schema) -> PathBuf {
    beside(path, MIGRATED[schema as usize])
}

/// What a migration that is under way says of itself, if there is one that has begun to move rows.
pub(super) fn under_way(path: &Path) -> Result<Option<MigrationRow>, MigrateError> {
    let new = new(path);
    let database = match DatabaseView::open(&new) {
        Err(OpenError::Missing { .. } | OpenError::Empty { .. }) => return Ok(None),
        opened => opened?,
    };
    let found = MigrationRow::read(&database.read()?);
    found.map_err(|error| of_new(error, &new))
}

/// Gives the finished database its name. What it replaces is kept.
///
/// # Atomicity
/// Each renaming by itself, flushed. Between the two there is no database of this name, and nobody begins one.
pub(super) fn swap(path: &Path, schema: Schema) -> Result<(), MigrateError> {
    if path.exists() {
        rename(path, &old(path, schema))?;
    }
    rename(&new(path), path)
}

fn rename(from: &Path, to: &Path) -> Result<(), MigrateError> {
    let io = |source| MigrateError::Io { path: from.to_owned(), source };
    beside::rename(from, to).map_err(io)
}

/// Removes an unfinished database.
pub(super) fn remove(path: &Path) -> Result<(), MigrateError> {
    beside::remove(path).map_err(|source| MigrateError::Io { path: path.to_owned(), source })
}

/// Bytes of the files in a folder.
pub(super) fn bytes(path: &Path) -> Result<u64, MigrateError> {
    let sizes = fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| entry?.metadata().map(|file| file.len())).sum::<io::Result<u64>>()
    });
    sizes.map_err(|source| MigrateError::Io { path: path.to_owned(), source })
}
