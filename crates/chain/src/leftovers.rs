//! What interrupted jobs left beside a database, and whether it can go.
//!
//! The hard idea: between the two renamings that end a migration or a compaction the database itself has a leftover's name.
//! So where there is no `db`, none of the two is deleted: the same command ends it. And nothing is that a process holds.

use std::{
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use lamella_tables::{FolderLock, OpenError};

use crate::{
    beside::{
        self, BACKING_UP, COMPACTED, COMPACTING, DIVERGED, MIGRATED, MIGRATING, REBUILDING,
        RESTORING, RESTORING_TAIL, beside,
    },
    open::{Chain, Found},
};

/// Something that a job left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where.
    pub path: PathBuf,
    /// Of what.
    pub what: &'static str,
    /// Bytes of its files.
    pub bytes: u64,
    /// Why it stays; `None` if it can be deleted.
    pub stays: Option<Stays>,
    /// What a process that uses it holds.
    held: PathBuf,
}

/// Why a leftover is not deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// A process holds it.
    InUse,
    /// It may be the only database: this command ends the job.
    Needed(&'static str),
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => write!(f, "in use"),
            Self::Needed(command) => write!(f, "needed: run `{command}`, it ends the job"),
        }
    }
}

/// Why leftovers cannot be looked at or deleted.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct LeftoverError {
    /// Which.
    path: PathBuf,
    /// The system's error.
    source: io::Error,
}

const MIGRATED_WHAT: &str = "the database before a migration";

/// Folders beside a database, of what they are, and the command that ends a job which was killed between its renamings.
const FOLDERS: [(&str, &str, Option<&str>); 9] = [
    (MIGRATING, "a migration that did not end", Some("lamella db migrate")),
    (MIGRATED[0], MIGRATED_WHAT, Some("lamella db migrate")),
    (MIGRATED[1], MIGRATED_WHAT, Some("lamella db migrate")),
    (MIGRATED[2], MIGRATED_WHAT, Some("lamella db migrate")),
    (RESTORING, "a restoration that did not end", None),
    (COMPACTING, "a compaction that did not end", Some("lamella db compact")),
    (COMPACTED, "the database before a compaction", Some("lamella db compact")),
    (BACKING_UP, "a backup that did not end", None),
    (DIVERGED, "the database before a rebuilding", Some("lamella follow --rebuild")),
];

/// A folder, of what it is, and the command that ends a job which was killed between its renamings.
type Folder = (PathBuf, &'static str, Option<&'static str>);

/// Folders beside a database that are looked at for restorations that did not end.
const ENTRIES_MAX: usize = 4_096;

/// What is left beside the database at this path, and in its folder.
///
/// # Errors
/// The system's.
pub fn find(path: &Path) -> Result<Vec<Leftover>, LeftoverError> {
    let is_chain = matches!(Chain::find(path), Ok(Found::Chain(_)));
    let (mut found, name) = (Vec::new(), path.file_name().unwrap_or_default());
    let folders = FOLDERS.map(|(suffix, what, command)| (beside(path, suffix), what, command));
    for (path, what, command) in folders.into_iter().chain(growing(path)?) {
        let held = holder(&path, name);
        let Some(bytes) = bytes(&held)? else { continue };
        let stays = match (command.filter(|_| !is_chain), hold(&held)?) {
            (_, None) => Some(Stays::InUse),
            (Some(command), _) => Some(Stays::Needed(command)),
            (None, _) => None,
        };
        found.push(Leftover { path, what, bytes, stays, held });
    }
    let is_held = path.exists() && hold(path)?.is_none();
    let in_it = [
        (path.join("unfinished"), "a database whose making did not end"),
        (path.with_file_name("node.key.tmp"), "a node key whose making did not end"),
    ];
    for (path, what) in in_it {
        let Some(bytes) = bytes(&path)? else { continue };
        let (stays, held) = (is_held.then_some(Stays::InUse), path.clone());
        found.push(Leftover { path, what, bytes, stays, held });
    }
    Ok(found)
}

/// Folders beside the database in which another one grows.
fn growing(path: &Path) -> Result<Vec<Folder>, LeftoverError> {
    let rebuilding = path.with_file_name(REBUILDING);
    let command = Some("lamella follow --rebuild");
    let mut found = vec![(rebuilding, "a rebuilding that did not end", command)];
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(|source| failed(folder, source))?,
    };
    for entry in entries.take(ENTRIES_MAX) {
        let path = entry.map_err(|source| failed(folder, source))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(RESTORING_TAIL) {
            found.push((path, "a restoration to a tail that did not end", None));
        }
    }
    Ok(found)
}

/// The database in a folder, or the folder, if it is one itself.
fn holder(path: &Path, name: &OsStr) -> PathBuf {
    let inner = path.join(name);
    if inner.is_dir() { inner } else { path.to_owned() }
}

impl Leftover {
    /// Deletes it, if it can go; says why it stays otherwise, which may be since it was found.
    ///
    /// # Errors
    /// The system's.
    pub fn delete(&self) -> Result<Option<Stays>, LeftoverError> {
        if self.stays.is_some() {
            return Ok(self.stays);
        }
        let gone =
            |done: io::Result<()>| done.map(|()| None).map_err(|source| failed(&self.path, source));
        if self.path.is_file() {
            return gone(fs::remove_file(&self.path));
        }
        // Held until it is gone, so that no job goes on with it.
        let Some(_lock) = hold(&self.held)? else { return Ok(Some(Stays::InUse)) };
        gone(beside::remove(&self.path))
    }
}

fn failed(path: &Path, source: io::Error) -> LeftoverError {
    LeftoverError { path: path.to_owned(), source }
}

fn hold(path: &Path) -> Result<Option<FolderLock>, LeftoverError> {
    match FolderLock::take(path) {
        Ok(lock) => Ok(Some(lock)),
        Err(OpenError::InUse { .. }) => Ok(None),
        Err(error) => Err(failed(path, io::Error::other(error))),
    }
}

/// Bytes of a file, or of the files in a folder; `None` if it is not there.
fn bytes(path: &Path) -> Result<Option<u64>, LeftoverError> {
    let sum = |path: &Path| -> io::Result<u64> {
        let about = fs::symlink_metadata(path)?;
        if !about.is_dir() {
            return Ok(about.len());
        }
        let entries = fs::read_dir(path)?.map(|entry| entry?.metadata().map(|about| about.len()));
        entries.sum()
    };
    match sum(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symptom: `db clean --delete` said of a folder that was still there that it was deleted. Mechanism: somebody took its
    /// lock between the look and the deletion, which then did nothing and said nothing. Fix: it says why it stays.
    #[test]
    fn what_somebody_took_since_it_was_found_stays_and_is_said_to() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("db");
        let folder = beside(&path, RESTORING);
        fs::create_dir(&folder).unwrap();
        let found = find(&path).unwrap();
        let taken = FolderLock::take(&folder).unwrap();
        assert_eq!(found[0].stays, None);
        assert_eq!(found[0].delete().unwrap(), Some(Stays::InUse));
        assert!(folder.exists());
        drop(taken);
        assert_eq!(found[0].delete().unwrap(), None);
        assert!(!folder.exists());
    }
}
