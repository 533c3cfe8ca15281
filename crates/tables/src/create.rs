//! Making a database so that no instant leaves a half-made one: it is made whole and flushed in a folder of its own,
//! and then gets its name. What an interrupted making leaves is that folder, which the next one replaces.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use crate::{
    database::{Database, Durability, Options},
    error::OpenError,
    lock::{DATA_FILE, WriterLock},
    view::DatabaseView,
};

/// Where a database is made before it has its name.
const UNFINISHED: &str = "unfinished";

/// Longest file that is read to its end for a byte that is not zero. Earlier builds made their database in place; killed
/// in the first instants, they left a file of nothing but zeros, or none, of a few MiB at most.
const BLANK_BYTES_MAX: u64 = 64 << 20;

/// What there is in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// No data file.
    Nothing,
    /// A data file into which nothing was ever written: every byte is zero.
    Blank,
    /// A data file.
    Data,
}

/// Looks for a database.
pub(crate) fn find(path: &Path) -> Result<Found, OpenError> {
    let data = path.join(DATA_FILE);
    let found = match File::open(&data) {
        Ok(file) => is_blank(file).map(|blank| if blank { Found::Blank } else { Found::Data }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    };
    found.map_err(|source| OpenError::Io { path: data, source })
}

fn is_blank(mut file: File) -> io::Result<bool> {
    if file.metadata()?.len() > BLANK_BYTES_MAX {
        return Ok(false);
    }
    let mut chunk = [0; 64 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(true),
            read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Makes a directory and what is missing above it, each flushed into the one that names it.
pub(crate) fn make_directory(path: &Path) -> Result<(), OpenError> {
    let missing = path.ancestors().take_while(|folder| !folder.exists()).count();
    fs::create_dir_all(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    for folder in path.ancestors().skip(1).take(missing) {
        flush_names(folder)?;
    }
    Ok(())
}

/// Flushes which names a folder holds.
fn flush_names(folder: &Path) -> Result<(), OpenError> {
    let here = Path::new(".");
    let folder = if folder.as_os_str().is_empty() { here } else { folder };
    let flushed = File::open(folder).and_then(|folder| folder.sync_all());
    flushed.map_err(|source| OpenError::Io { path: folder.to_owned(), source })
}

/// Makes the database of a directory that has none, with every table and no row.
///
/// # Atomicity
/// The renaming. Before it the directory has no database, after it a whole one.
pub(crate) fn create(path: &Path, options: &Options, _lock: &WriterLock) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let unfinished = path.join(UNFINISHED);
    remove(&unfinished).map_err(io)?;
    fs::create_dir(&unfinished).map_err(io)?;
    let options = Options { durability: Durability::Durable, ..*options };
    let view = DatabaseView::open_engine(&unfinished, Some(&options))?;
    Database::create_tables(&view)?;
    drop(view);
    let data = unfinished.join(DATA_FILE);
    File::open(&data).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&data, path.join(DATA_FILE)).map_err(io)?;
    flush_names(path)?;
    remove(&unfinished).map_err(io)
}

/// Removes what a making left that was killed between the renaming and its end.
pub(crate) fn tidy(path: &Path, _lock: &WriterLock) -> Result<(), OpenError> {
    let unfinished = path.join(UNFINISHED);
    remove(&unfinished).map_err(|source| OpenError::Io { path: unfinished, source })
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
