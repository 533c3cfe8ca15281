//! Making a database so that no instant leaves a half-made one: it is made whole and flushed in a folder of its own,
//! and then gets its name. What an interrupted making leaves is that folder, which the next one replaces.

use std::{
    fs::{self, File},
    io::{
        self,
        ErrorKind::{InvalidInput, PermissionDenied},
    },
    path::Path,
};

use libmdbx::TableFlags;

use crate::{
    error::{EngineError, OpenError, Operation},
    lock::{DATA_FILE, WriterLock},
    options::{Durability, Options},
    schema::trees,
    view::DatabaseView,
};

/// Where a database is made before it has its name.
const UNFINISHED: &str = "unfinished";

/// Makes a directory and what is missing above it. Its name and every one on the way to it are durable then, also where a run
/// had made them that was killed since.
pub(crate) fn make_directory(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(io)?;
    for folder in path.canonicalize().map_err(io)?.ancestors().skip(1) {
        match flush_names(folder) {
            // Nobody like us has made anything there: closed to us, or of a file system that is only read.
            Err(OpenError::Io { source, .. })
                if matches!(source.kind(), PermissionDenied | InvalidInput) => {}
            flushed => flushed?,
        }
    }
    Ok(())
}

/// Flushes which names a folder holds.
pub(crate) fn flush_names(folder: &Path) -> Result<(), OpenError> {
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
    create_trees(&view, options.trees)?;
    drop(view);
    let data = unfinished.join(DATA_FILE);
    File::open(&data).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&data, path.join(DATA_FILE)).map_err(io)?;
    flush_names(path)?;
    remove(&unfinished).map_err(io)
}

/// Creates the trees that are missing, today's tables' unless others are named: one transaction, or none if there is
/// nothing to do.
pub(crate) fn create_trees(
    view: &DatabaseView,
    others: Option<&'static [&'static str]>,
) -> Result<(), OpenError> {
    let created = || {
        let failed = |name| move |error| EngineError::new(Operation::OpenTable, name, error);
        let wanted =
            || trees().filter(|_| others.is_none()).chain(others.into_iter().flatten().copied());
        if view.has_all(wanted())? {
            return Ok(());
        }
        let txn = view.engine.begin_rw_txn().map_err(failed("-"))?;
        for tree in wanted() {
            txn.create_table(Some(tree), TableFlags::empty()).map_err(failed(tree))?;
        }
        txn.commit().map(|_| ()).map_err(failed("-"))
    };
    created().map_err(|source| OpenError::Engine { path: view.path().to_owned(), source })
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
