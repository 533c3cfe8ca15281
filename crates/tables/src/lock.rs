//! Who may write, who reads, and what a process must know before it lets the engine at the files.
//!
//! The writer holds two locks. The one on the directory itself decides: no name in it can be removed or replaced so
//! that a second writer gets in. The one on `LOCK` says in words who it is, and keeps out earlier builds.
//!
//! Readers meet the writer in `mdbx.lck`. If that file is removed under it, the engine of the next process finds the data
//! file locked and the table empty, takes both for a passing state, and tries again for ever at full speed. So each
//! opening looks first, by ordinary locks that it drops at once.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::error::OpenError;

/// The database itself.
pub(crate) const DATA_FILE: &str = "mdbx.dat";

/// The engine's table of readers.
pub(crate) const READERS_FILE: &str = "mdbx.lck";

/// The file that names the writer.
const LOCK_FILE: &str = "LOCK";

/// A reader table in use has a page at least; the last process to close the database leaves an empty file.
const READERS_BYTES_MIN: u64 = 4096;

/// How often a process that is just opening, recovering or closing the database is waited for, 10 ms each: a second in all.
const WAITS_MAX: u32 = 100;

/// How long each time.
const WAIT: Duration = Duration::from_millis(10);

/// The lock on a database's folder alone: while it is held nobody else writes there. Nothing is changed by it.
#[derive(Debug)]
pub struct FolderLock {
    _directory: File,
}

impl FolderLock {
    /// Takes it.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where a writer has it, or what the system says.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let directory = File::open(path).map_err(io)?;
        try_lock(&directory, path)?;
        Ok(Self { _directory: directory })
    }
}

/// The writer's locks. The system drops them with the process, however that ends.
#[derive(Debug)]
pub(crate) struct WriterLock {
    _directory: FolderLock,
    named: File,
}

impl WriterLock {
    /// Takes the locks, from a tool that recovers what a killed lazy writer left as soon as it has: it holds them for a moment.
    pub(crate) fn wait(path: &Path) -> Result<Self, OpenError> {
        for _ in 1..WAITS_MAX {
            match Self::take(path) {
                Err(OpenError::InUse { .. }) => thread::sleep(WAIT),
                taken => return taken,
            }
        }
        Self::take(path)
    }

    /// Takes the locks, and says in `LOCK` who holds them.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::StorageFull => OpenError::Full { path: path.to_owned() },
            _ => OpenError::Io { path: path.to_owned(), source },
        };
        let directory = FolderLock::take(path)?;
        let mut named = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .map_err(io)?;
        try_lock(&named, path)?;
        named.set_len(0).map_err(io)?;
        named.rewind().map_err(io)?;
        writeln!(named, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _directory: directory, named })
    }
}

/// `LOCK` names a process only while that process holds it, so a start that is refused leaves it as it found it.
impl Drop for WriterLock {
    fn drop(&mut self) {
        // A name that stays is one of a process that is gone: the lock decides, not the name.
        let _ = self.named.set_len(0);
    }
}

fn try_lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            Err(OpenError::InUse { path: path.to_owned(), holder: holder(path) })
        }
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// What `LOCK` says of the writer. It may be writing that just now: an unreadable name is still an answer.
fn holder(path: &Path) -> String {
    let mut holder = String::new();
    let read =
        File::open(path.join(LOCK_FILE)).map(|file| file.take(32).read_to_string(&mut holder));
    match read {
        Ok(Ok(1..)) => holder.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// How a process means to open the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Refuses a database that another process has open with a reader table that is no longer where ours would be.
pub(crate) fn check_readers_file(path: &Path, access: Access) -> Result<(), OpenError> {
    for wait in 0..=WAITS_MAX {
        if has_readers_file(path)? || !is_held(path, access)? {
            return Ok(());
        }
        if wait < WAITS_MAX {
            thread::sleep(WAIT);
        }
    }
    Err(OpenError::ReadersLost { path: path.to_owned(), holder: holder(path) })
}

/// Whether there is a reader table that somebody uses or left in use.
pub(crate) fn has_readers_file(path: &Path) -> Result<bool, OpenError> {
    match fs::metadata(path.join(READERS_FILE)) {
        Ok(metadata) => Ok(metadata.len() >= READERS_BYTES_MIN),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(OpenError::Io { path: path.join(READERS_FILE), source }),
    }
}

/// Whether another process has locked the data file against this access. The engine's locks are of the kind that
/// belongs to an open file, so that closing ours drops none of them.
fn is_held(path: &Path, access: Access) -> Result<bool, OpenError> {
    let io = |source| OpenError::Io { path: path.join(DATA_FILE), source };
    let write = access == Access::Write;
    let data = OpenOptions::new().read(true).write(write).open(path.join(DATA_FILE)).map_err(io)?;
    let operation = match access {
        Access::Read => FlockOperation::NonBlockingLockShared,
        Access::Write => FlockOperation::NonBlockingLockExclusive,
    };
    match fcntl_lock(&data, operation) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(true),
        Err(error) => Err(io(error.into())),
    }
}
