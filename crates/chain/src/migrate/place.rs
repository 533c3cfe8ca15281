//! The three names of a database on its way, and the two renamings that end it.
//!
//! | `db` | `db.migrating` | `db.schema-2` | |
//! |---|---|---|---|
//! | old | | | nothing has happened |
//! | old | unfinished | | rows are being moved |
//! | old | finished | | killed before the first renaming |
//! | | finished | old | killed between them: whoever looks for a database refuses |
//! | new | | old | done |

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::MigrateError;
use crate::beside::{self, MIGRATED, MIGRATING, beside};

/// Where the new database is made.
pub(super) fn new(path: &Path) -> PathBuf {
    beside(path, MIGRATING)
}

/// Where the old database is kept.
pub(super) fn old(path: &Path) -> PathBuf {
    beside(path, MIGRATED)
}

/// Gives the finished database its name. What it replaces is kept.
///
/// # Atomicity
/// Each renaming by itself, flushed. Between the two there is no database of this name, and nobody begins one.
pub(super) fn swap(path: &Path) -> Result<(), MigrateError> {
    if path.exists() {
        rename(path, &old(path))?;
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
