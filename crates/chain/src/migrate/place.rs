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
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use lamella_tables::OpenError;

use super::error::MigrateError;
use crate::error::ChainOpenError;

/// What stands behind the name of the database while its successor is made.
const MIGRATING: &str = ".migrating";

/// What stands behind the name of a database that was migrated.
const OLD: &str = ".schema-2";

/// Where the new database is made.
pub(super) fn new(path: &Path) -> PathBuf {
    beside(path, MIGRATING)
}

/// Where the old database is kept.
pub(super) fn old(path: &Path) -> PathBuf {
    beside(path, OLD)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(suffix);
    path.with_file_name(name)
}

/// Says of a database that is not there, or too old, that it is being migrated, if it is.
#[must_use]
pub fn explain(path: &Path, error: ChainOpenError) -> ChainOpenError {
    let may_be = matches!(
        error,
        ChainOpenError::Older { .. } | ChainOpenError::Open(OpenError::Missing { .. })
    );
    match may_be && new(path).exists() {
        true => ChainOpenError::Migrating { path: path.to_owned() },
        false => error,
    }
}

/// Refuses to begin a chain where a migrated one is about to have its place.
pub(crate) fn check_none(path: &Path) -> Result<(), ChainOpenError> {
    match new(path).exists() {
        true => Err(ChainOpenError::Migrating { path: path.to_owned() }),
        false => Ok(()),
    }
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
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let renamed = fs::rename(from, to).and_then(|()| File::open(folder)?.sync_all());
    renamed.map_err(|source| MigrateError::Io { path: from.to_owned(), source })
}

/// Removes an unfinished database.
pub(super) fn remove(path: &Path) -> Result<(), MigrateError> {
    fs::remove_dir_all(path).map_err(|source| MigrateError::Io { path: path.to_owned(), source })
}

/// Bytes of the files in a folder.
pub(super) fn bytes(path: &Path) -> Result<u64, MigrateError> {
    let sizes = fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| entry?.metadata().map(|file| file.len())).sum::<io::Result<u64>>()
    });
    sizes.map_err(|source| MigrateError::Io { path: path.to_owned(), source })
}
