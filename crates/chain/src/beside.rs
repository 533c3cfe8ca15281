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

/// The path of this name with something behind it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
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
    if !path.exists() && beside(path, RESTORING).exists() {
        return Err(ChainOpenError::Restoring { path: path.to_owned() });
    }
    Ok(())
}

/// Gives a database another name, and flushes the folder that names it.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    fs::rename(from, to).and_then(|()| File::open(folder)?.sync_all())
}
