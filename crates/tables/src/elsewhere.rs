//! A table of readers outside the directory, for reading when its disk is full.
//!
//! The engine wants its `mdbx.lck` beside the data file, under whatever name it was told for that. So it is told of a
//! folder on another file system, in which the data file is a link. A writer that starts meanwhile is safe: it finds the
//! data file locked and no table of readers, and says so ([`OpenError::ReadersLost`]).

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    error::OpenError,
    lock::{DATA_FILE, READERS_FILE},
};

/// What the table of readers takes: 512 entries of 32 bytes and a head, rounded up.
const READERS_BYTES: u64 = 64 << 10;

/// Whether the file system of a directory has room for the table of readers. One that does not say is taken to have.
pub(crate) fn has_room(path: &Path) -> bool {
    free_bytes(path).is_none_or(|free| free >= READERS_BYTES)
}

/// Bytes that this process may still write to the file system of a path; `None` where it does not say.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(path).ok()?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

/// A folder with a link to the data file. Once the engine has opened what is in it, it needs none of its names.
pub(crate) struct Elsewhere {
    /// The folder.
    pub(crate) folder: PathBuf,
}

impl Elsewhere {
    pub(crate) fn make(path: &Path) -> Result<Self, OpenError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let io = |source| OpenError::NoRoom { path: path.to_owned(), source };
        let data = fs::canonicalize(path.join(DATA_FILE)).map_err(io)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lamella-readers-{}-{number}", process::id());
        // Memory first: the engine parks its descriptors at an offset that suits the data file, and only a file system
        // that allows files as large as that one does can hold the table.
        let places = [PathBuf::from("/dev/shm"), env::temp_dir()];
        let place = places.iter().find(|place| place.is_dir() && has_room(place));
        let place = place.ok_or_else(|| io(rustix::io::Errno::NOSPC.into()))?;
        let folder = place.join(name);
        fs::create_dir(&folder).map_err(io)?;
        let elsewhere = Self { folder };
        symlink(data, elsewhere.folder.join(DATA_FILE)).map_err(io)?;
        Ok(elsewhere)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        for name in [DATA_FILE, READERS_FILE] {
            let _ = fs::remove_file(self.folder.join(name));
        }
        let _ = fs::remove_dir(&self.folder);
    }
}
