//! Databases that are being made beside the one whose place they take, and the renamings that end it.
//!
//! The hard idea: a database that is not whole never has the name `db`. So whoever finds no database looks for one under
//! way, and says what makes it go on; nobody begins a chain where one of those is about to have its place.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use lamella_tables::OpenError;

use crate::error::ChainOpenError;

/// What stands behind the name of the database while its successor of the next schema is made.
pub(crate) const MIGRATING: &str = ".migrating";

/// What stands behind the name of the database while it is made from an archive.
pub(crate) const RESTORING: &str = ".restoring";

/// What stands behind the name of the database while it is written anew without free pages.
pub(crate) const COMPACTING: &str = ".compacting";

/// What stands behind the name of a database that was compacted, until it is deleted.
pub(crate) const COMPACTED: &str = ".before-compact";

/// What stands behind the name of a backup while it is made.
pub(crate) const BACKING_UP: &str = ".backing-up";

/// What stands behind the name of a database that was migrated, by its schema.
pub(crate) const MIGRATED: [&str; 3] = [".schema-1", ".schema-2", ".schema-3"];

/// What stands behind the name of a follower's database whose chain had parted from its source's.
pub const DIVERGED: &str = ".diverged";

/// Folder beside the database in which the one grows that takes the place of a diverged one.
pub const REBUILDING: &str = "rebuilding";

/// How the name of a folder beside the database begins in which one grows up to an object of a tail.
pub const RESTORING_TAIL: &str = "restoring-";

/// All of them that stand behind a database's name, but for a follower's.
pub(crate) const BESIDE: [&str; 8] = [
    MIGRATING,
    MIGRATED[0],
    MIGRATED[1],
    MIGRATED[2],
    RESTORING,
    COMPACTING,
    COMPACTED,
    BACKING_UP,
];

/// The path of this name with something behind it.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(suffix);
    path.with_file_name(name)
}

/// Says of a database that is not there, or too old, that it is being made, if it is.
#[must_use]
pub fn explain(path: &Path, error: ChainOpenError) -> ChainOpenError {
    let may_be = matches!(
        error,
        ChainOpenError::Older { .. } | ChainOpenError::Open(OpenError::Missing { .. })
    );
    if may_be { check_none(path).err().unwrap_or(error) } else { error }
}

/// Refuses to begin a chain where another database is about to have its place.
pub(crate) fn check_none(path: &Path) -> Result<(), ChainOpenError> {
    if beside(path, MIGRATING).exists() {
        let is_kept = path.exists();
        return Err(ChainOpenError::Migrating { path: path.to_owned(), is_kept });
    }
    let is_there = |suffix| beside(path, suffix).exists();
    let path = || path.to_owned();
    if path().exists() {
        return Ok(());
    }
    if is_there(RESTORING) {
        return Err(ChainOpenError::Restoring { path: path() });
    }
    if is_there(COMPACTING) && is_there(COMPACTED) {
        return Err(ChainOpenError::Compacting { path: path() });
    }
    if is_there(BACKING_UP) {
        return Err(ChainOpenError::BackingUp { path: path() });
    }
    Ok(())
}

/// Gives a database another name, and flushes the folder that names it; before that too, since whoever gave something there its
/// name may have been killed before it was durable, and a crash must not leave this renaming without that one.
///
/// # Errors
/// The system's.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    flush_name(from)?;
    flush_name(to)?;
    fs::rename(from, to).and_then(|()| flush_name(to))
}

/// Deletes a database and all in its folder, if it is there. What has its place by then has it for good: whoever gave it that
/// name may have been killed before it was durable.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    if path.exists() {
        flush_name(path)?;
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| flush_name(path)),
    }
}

/// Flushes the folder that names this.
///
/// # Errors
/// The system's.
pub fn flush_name(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}
