//! A database as everybody but its writer sees it: snapshots, sizes, and no way to change a row.

use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use libmdbx::{NoWriteMap, RW};

use crate::{
    data_file::{FileIdentity, identity, must_exist},
    elsewhere::{Elsewhere, has_room},
    error::{EngineError, OpenError, Operation},
    lazy::Flushes,
    lock::{Access, DATA_FILE, WriterLock, check_readers_file, has_readers_file},
    options::{Durability, OpenMode, Options, SIZE_BYTES_MAX, engine_options},
    pages::{geometry, require_whole_file},
    reader_table::{self, OpenReader},
    readers::{OldestRead, Readers},
    schema::{Meta, Table as _, trees},
    stored::note_page_bytes,
    transaction::{ReadTxn, WriteTxn},
};

/// Where the search for a size that the system grants ends: a network of a few days fits into it.
const SIZE_BYTES_MIN: usize = 256 << 20;

/// How long, and how often, a writer waits for a reader that was there first and keeps it out: 10 s in all.
const READER_WAIT: Duration = Duration::from_millis(50);
const READER_WAITS_MAX: u32 = 200;

/// Sizes of the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseStats {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes up to the last page in use.
    pub used_bytes: u64,
    /// Largest size that the file may have.
    pub size_bytes_max: u64,
    /// Pages that old transactions left and new ones will reuse.
    pub free_pages: u64,
    /// Number of the last committed transaction.
    pub last_transaction: u64,
    /// Read transactions of this process that are open now.
    pub open_reads: u64,
    /// For how long the oldest of them has been open; zero without one.
    pub oldest_read: Duration,
}

/// An open database that is only read: beside its writer, or with none.
#[derive(Debug)]
pub struct DatabaseView {
    pub(crate) engine: libmdbx::Database<NoWriteMap>,
    path: PathBuf,
    /// Which data file that is.
    pub(crate) file: FileIdentity,
    readers: Readers,
}

impl DatabaseView {
    /// Opens the database in directory `path` for reading, beside a writer if there is one. Without one, the engine
    /// keeps its table of readers in an `mdbx.lck` that it makes and leaves empty; where the disk has no room for that,
    /// elsewhere. What a killed lazy writer left is recovered first, as the next writer would.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        must_exist(path)?;
        check_readers_file(path, Access::Read)?;
        let view = match Self::open_reading(path) {
            Err(OpenError::Unrecovered { .. }) => {
                recover(path)?;
                Self::open_reading(path)?
            }
            opened => opened?,
        };
        view.explain(view.recognise().and_then(|()| {
            view.open_tables().map_err(|source| OpenError::Engine { path: path.to_owned(), source })
        }))?;
        Ok(view)
    }

    /// Opens the database for reading, and keeps every writer out until it is dropped. Its pages are walked first.
    ///
    /// # Errors
    /// [`OpenError`], among them another process that writes to it.
    pub fn open_locked(path: &Path) -> Result<LockedView, OpenError> {
        // What a killed lazy writer left is recovered under the lock, so the lock comes second.
        let view = Self::open(path)?;
        let _lock = WriterLock::take(path)?;
        view.require_sound_pages()?;
        Ok(LockedView { view, _lock })
    }

    /// Says which pages are damaged, if it was they that the engine stumbled over.
    pub(crate) fn explain(&self, opened: Result<(), OpenError>) -> Result<(), OpenError> {
        if let Err(OpenError::Engine { .. }) = opened {
            self.require_sound_pages()?;
        }
        opened
    }

    fn open_reading(path: &Path) -> Result<Self, OpenError> {
        if has_readers_file(path)? || has_room(path) {
            return Self::open_engine(path, None);
        }
        let elsewhere = Elsewhere::make(path)?;
        let view = Self::open_engine(&elsewhere.folder, None)?;
        Ok(Self { path: path.to_owned(), ..view })
    }

    /// Has the engine open the files: for writing with these options, else for reading.
    pub(crate) fn open_engine(path: &Path, writer: Option<&Options>) -> Result<Self, OpenError> {
        let asked = writer.and_then(|options| options.size_bytes_max);
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let mut size_bytes_max = asked.unwrap_or(SIZE_BYTES_MAX);
        let mut waits = 0..READER_WAITS_MAX;
        loop {
            let options = engine_options(writer, size_bytes_max);
            match libmdbx::Database::open_with_options(path, options) {
                Ok(engine) => {
                    let stat = engine.stat().map_err(|error| refused(path, error))?;
                    note_page_bytes(stat.page_size() as usize);
                    return Ok(Self {
                        engine,
                        path: path.to_owned(),
                        file: identity(path).map_err(io)?,
                        readers: Readers::default(),
                    });
                }
                Err(libmdbx::Error::OutOfMemory)
                    if writer.is_some()
                        && asked.is_none()
                        && size_bytes_max / 2 >= SIZE_BYTES_MIN =>
                {
                    size_bytes_max /= 2;
                }
                // A tool that came first, most often for a moment: the engine takes its way of committing for everybody's.
                Err(libmdbx::Error::Incompatible) if writer.is_some() && waits.next().is_some() => {
                    std::thread::sleep(READER_WAIT);
                }
                Err(libmdbx::Error::Corrupted) => {
                    require_whole_file(path)?;
                    // Cut to its newest commit: a writer makes it longer again.
                    let is_cut = geometry(path).is_some_and(|file| file.is_cut);
                    let error = if writer.is_none() && is_cut {
                        libmdbx::Error::WannaRecovery
                    } else {
                        libmdbx::Error::Corrupted
                    };
                    return Err(refused(path, error));
                }
                Err(error) => return Err(refused(path, error)),
            }
        }
    }

    pub(crate) fn begin_write(&self) -> libmdbx::Result<WriteTxn<'_>> {
        Ok(self.write_txn(self.engine.begin_rw_txn()?, None))
    }

    /// A write transaction, counted where commits are lazy.
    pub(crate) fn write_txn<'a>(
        &'a self,
        txn: libmdbx::Transaction<'a, RW, NoWriteMap>,
        flushes: Option<&'a Flushes>,
    ) -> WriteTxn<'a> {
        WriteTxn::new(txn, &self.path, self.file, flushes)
    }

    /// Refuses files that are not ours, before anything is written to them.
    pub(crate) fn recognise(&self) -> Result<(), OpenError> {
        let path = || self.path.clone();
        let failed = |error| OpenError::Engine {
            path: path(),
            source: EngineError::new(Operation::OpenTable, "-", error),
        };
        let txn = self.engine.begin_ro_txn().map_err(failed)?;
        match txn.open_table(Some(Meta::PLACE.tree)) {
            Ok(_) => return Ok(()),
            Err(libmdbx::Error::NotFound) => {}
            Err(error) => return Err(failed(error)),
        }
        let root_table = txn.open_table(None).map_err(failed)?;
        let entries = txn.table_stat(&root_table).map_err(failed)?.entries();
        Err(if entries == 0 {
            OpenError::Empty { path: path() }
        } else {
            OpenError::Foreign { path: path() }
        })
    }

    /// Opens every table that is there once, so that later transactions find the handles.
    pub(crate) fn open_tables(&self) -> Result<(), EngineError> {
        self.has_all(trees()).map(|_| ())
    }

    pub(crate) fn has_all(
        &self,
        trees: impl Iterator<Item = &'static str>,
    ) -> Result<bool, EngineError> {
        let failed = |name| move |error| EngineError::new(Operation::OpenTable, name, error);
        let txn = self.engine.begin_ro_txn().map_err(failed("-"))?;
        let mut all = true;
        for tree in trees {
            match txn.open_table(Some(tree)) {
                Ok(_) => {}
                // Another schema's directory: its tables are empty to us, and its Meta says what it is.
                Err(libmdbx::Error::NotFound) => all = false,
                Err(error) => return Err(failed(tree)(error)),
            }
        }
        txn.commit().map_err(failed("-"))?;
        Ok(all)
    }

    /// Starts a read transaction: a snapshot that later commits do not change. It pins the pages it can see, so
    /// it must not outlive one request.
    ///
    /// # Errors
    /// When the engine has no reader slot left.
    #[track_caller]
    pub fn read(&self) -> Result<ReadTxn<'_>, EngineError> {
        let begin = |error| EngineError::new(Operation::Begin, "-", error);
        let txn = self.engine.begin_ro_txn().map_err(begin)?;
        Ok(ReadTxn::new(txn, self.readers.begin()))
    }

    /// Sizes of the file.
    ///
    /// # Errors
    /// When the engine fails.
    ///
    /// # Cost
    /// Constant, except that the free list is read whole.
    pub fn stats(&self) -> Result<DatabaseStats, EngineError> {
        let failed = |error| EngineError::new(Operation::Stat, "-", error);
        let info = self.engine.info().map_err(failed)?;
        let page_bytes = u64::from(self.engine.stat().map_err(failed)?.page_size());
        Ok(DatabaseStats {
            page_bytes,
            file_bytes: info.geometry().current_size(),
            used_bytes: (info.last_pgno() as u64 + 1) * page_bytes,
            size_bytes_max: info.geometry().max_size(),
            free_pages: self.engine.freelist().map_err(failed)? as u64,
            last_transaction: info.last_txnid(),
            open_reads: self.readers.count(),
            oldest_read: self.oldest_read().map_or(Duration::ZERO, |read| read.age),
        })
    }

    /// Number of the last committed transaction.
    ///
    /// # Errors
    /// When the engine fails.
    ///
    /// # Cost
    /// Constant.
    pub fn last_transaction(&self) -> Result<u64, EngineError> {
        let failed = |error| EngineError::new(Operation::Stat, "-", error);
        self.engine.info().map(|info| info.last_txnid()).map_err(failed)
    }

    /// The read of this process that has been open for longest, and who began it.
    #[must_use]
    pub fn oldest_read(&self) -> Option<OldestRead> {
        self.readers.oldest()
    }

    /// The snapshots that other processes have open, oldest first; `None` where the engine's table of readers has a
    /// layout that this program does not know.
    ///
    /// # Errors
    /// When the table cannot be read.
    ///
    /// # Cost
    /// A read of 20 KB.
    pub fn other_readers(&self) -> Result<Option<Vec<OpenReader>>, OpenError> {
        let failed = |source| OpenError::Engine { path: self.path.clone(), source };
        let _newest = self.read().map_err(failed)?;
        let stat = self.engine.stat();
        let stat = stat.map_err(|error| failed(EngineError::new(Operation::Stat, "-", error)))?;
        reader_table::others(&self.path, u64::from(stat.page_size()))
    }

    /// When the data file was last written, as the file system has it.
    ///
    /// # Errors
    /// When it does not say.
    pub fn last_written(&self) -> Result<SystemTime, OpenError> {
        let path = self.path.join(DATA_FILE);
        let written = fs::metadata(&path).and_then(|file| file.modified());
        written.map_err(|source| OpenError::Io { path, source })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A write transaction on whatever was opened for writing: the way to damage a running node's rows in a test.
    ///
    /// # Errors
    /// When the engine refuses, as it does to a database that is only read.
    #[cfg(feature = "test-hooks")]
    pub fn write_raw(&self) -> Result<WriteTxn<'_>, EngineError> {
        let begin = |error| EngineError::new(Operation::Begin, "-", error);
        self.begin_write().map_err(begin)
    }
}

/// A database that is only read, and that nobody writes to meanwhile.
#[derive(Debug)]
pub struct LockedView {
    view: DatabaseView,
    _lock: WriterLock,
}

impl Deref for LockedView {
    type Target = DatabaseView;

    fn deref(&self) -> &DatabaseView {
        &self.view
    }
}

/// Why the engine did not open the files.
fn refused(path: &Path, error: libmdbx::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        libmdbx::Error::WannaRecovery => OpenError::Unrecovered { path, why: error.to_string() },
        libmdbx::Error::OutOfMemory => OpenError::AddressSpace { path },
        libmdbx::Error::Incompatible => OpenError::ReadElsewhere { path },
        error => OpenError::Engine { path, source: EngineError::new(Operation::Begin, "-", error) },
    }
}

/// Has the engine recover what a killed lazy writer left, which it does only for a writer.
///
/// # Errors
/// [`OpenError::Unrecovered`] where this process may not write.
fn recover(path: &Path) -> Result<(), OpenError> {
    match WriterLock::take(path).and_then(|_lock| recover_locked(path)) {
        // A writer that opened it meanwhile has recovered it.
        Ok(()) | Err(OpenError::InUse { .. }) => Ok(()),
        Err(error @ OpenError::Pages { .. }) => Err(error),
        Err(error) => Err(OpenError::Unrecovered { path: path.to_owned(), why: error.to_string() }),
    }
}

/// [`recover`], by whoever has the lock.
///
/// With the size and the steps of growth that the lazy writer had. With others the engine cuts the file to what its newest commit
/// uses, and refuses it then for good where the last commit that was flushed uses more.
pub(crate) fn recover_locked(path: &Path) -> Result<(), OpenError> {
    require_whole_file(path)?;
    let options = Options {
        durability: Durability::Lazy,
        size_bytes_max: geometry(path).map(|file| file.size_bytes_max),
        ..Options::new(OpenMode::Existing)
    };
    let view = DatabaseView::open_engine(path, Some(&options))?;
    let flushed = view.engine.sync(true).map(|_| ());
    flushed.map_err(|error| OpenError::Engine {
        path: path.to_owned(),
        source: EngineError::new(Operation::Commit, "-", error),
    })
}
