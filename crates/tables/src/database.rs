//! The database directory: `mdbx.dat`, `mdbx.lck`, and `LOCK`, which names the one process that may write.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use libmdbx::{
    DatabaseOptions, Mode, NoWriteMap, PageSize, ReadWriteOptions, SyncMode, TableFlags,
};

use crate::{
    error::{EngineError, OpenError, Operation},
    readers::Readers,
    schema::TABLES,
    transaction::{ReadTxn, WriteTxn},
};

/// Default bound of the file: 1 TiB of address space, of which only what is written takes disk.
const SIZE_BYTES_MAX: usize = 1 << 40;

/// The file grows and shrinks in steps of 4 MiB: small enough to keep file size near the live data.
const GROWTH_BYTES: isize = 4 << 20;

/// The file is cut when this much is free at its end.
const SHRINK_BYTES: isize = 16 << 20;

/// Read transactions at once, over all processes.
const READERS_MAX: u32 = 512;

/// The file that shows that a database exists.
pub(crate) const DATA_FILE: &str = "mdbx.dat";

/// The file whose lock its writer holds.
const LOCK_FILE: &str = "LOCK";

/// How to open a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Write, and create what is missing.
    Create,
    /// Write to what exists.
    Existing,
    /// Read what exists, beside a writer if there is one. Creates nothing.
    ReadOnly,
}

/// When a commit returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// When its data and then its meta page have been flushed: an acknowledged commit survives power loss.
    #[default]
    Durable,
    /// When the system has it. A killed process loses nothing; a power cut takes the newest commits, never
    /// the consistency of what is left. For bulk loads and throw-away devnets. Now and then a transaction waits for
    /// a flush even so: before the engine reuses pages that unflushed commits have freed, it flushes those commits
    /// (28 to 36 ms of one step in 79, at 60 MB pruned; no other over 5 ms).
    Lazy,
}

/// Settings of a database.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What to open or create.
    pub mode: OpenMode,
    /// When a commit returns.
    pub durability: Durability,
    /// Largest size of the file.
    pub size_bytes_max: usize,
    /// Page size of a new file; an existing one keeps its own.
    pub page_bytes: Option<usize>,
}

impl Options {
    /// The defaults of this mode: durable, up to 1 TiB, the engine's own page size.
    #[must_use]
    pub const fn new(mode: OpenMode) -> Self {
        let durability = Durability::Durable;
        Self { mode, durability, size_bytes_max: SIZE_BYTES_MAX, page_bytes: None }
    }
}

/// Sizes of the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseStats {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes up to the last page in use.
    pub used_bytes: u64,
    /// Pages that old transactions left and new ones will reuse.
    pub free_pages: u64,
    /// Number of the last committed transaction.
    pub last_transaction: u64,
    /// Read transactions of this process that are open now.
    pub open_reads: u64,
    /// For how long the oldest of them has been open; zero without one.
    pub oldest_read: Duration,
}

/// An open database. Dropping it closes it; nothing is lost either way.
#[derive(Debug)]
pub struct Database {
    engine: libmdbx::Database<NoWriteMap>,
    path: PathBuf,
    readers: Readers,
    /// Held while this process may write.
    _lock: Option<File>,
}

impl Database {
    /// Opens the database in directory `path`.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has been changed, except that [`OpenMode::Create`] may have made the directory.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let exists = path.join(DATA_FILE).try_exists().map_err(io)?;
        if !exists && options.mode != OpenMode::Create {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let lock = match options.mode {
            OpenMode::ReadOnly => None,
            OpenMode::Create | OpenMode::Existing => {
                std::fs::create_dir_all(path).map_err(io)?;
                Some(lock_for_writing(path)?)
            }
        };
        let failed = |source| OpenError::Engine { path: path.to_owned(), source };
        let engine = libmdbx::Database::open_with_options(path, engine_options(&options))
            .map_err(|error| failed(EngineError::new(Operation::Begin, "-", error)))?;
        let database =
            Self { engine, path: path.to_owned(), readers: Readers::default(), _lock: lock };
        if options.mode != OpenMode::Create {
            database.recognise()?;
        }
        database.open_tables(options.mode).map_err(failed)?;
        Ok(database)
    }

    /// Refuses files that are not ours, before anything is written to them.
    fn recognise(&self) -> Result<(), OpenError> {
        let path = || self.path.clone();
        let failed = |error| OpenError::Engine {
            path: path(),
            source: EngineError::new(Operation::OpenTable, "-", error),
        };
        let txn = self.engine.begin_ro_txn().map_err(failed)?;
        match txn.open_table(Some(TABLES[0].name)) {
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

    /// Opens every table once, so that later transactions find the handles.
    fn open_tables(&self, mode: OpenMode) -> Result<(), EngineError> {
        let failed = |name| move |error| EngineError::new(Operation::OpenTable, name, error);
        if mode == OpenMode::ReadOnly {
            let txn = self.engine.begin_ro_txn().map_err(failed("-"))?;
            for table in TABLES {
                txn.open_table(Some(table.name)).map_err(failed(table.name))?;
            }
            txn.commit().map_err(failed("-"))?;
        } else {
            let txn = self.engine.begin_rw_txn().map_err(failed("-"))?;
            for table in TABLES {
                txn.create_table(Some(table.name), TableFlags::empty())
                    .map_err(failed(table.name))?;
            }
            txn.commit().map_err(failed("-"))?;
        }
        Ok(())
    }

    /// Starts a read transaction: a snapshot that later commits do not change. It pins the pages it can see, so
    /// it must not outlive one request.
    ///
    /// # Errors
    /// When the engine has no reader slot left.
    pub fn read(&self) -> Result<ReadTxn<'_>, EngineError> {
        let begin = |error| EngineError::new(Operation::Begin, "-", error);
        let txn = self.engine.begin_ro_txn().map_err(begin)?;
        Ok(ReadTxn::new(txn, self.readers.begin()))
    }

    /// Starts the write transaction, waiting for the one before it. Dropping it undoes it.
    ///
    /// # Errors
    /// When the engine refuses, as it does to a read-only database.
    pub fn write(&self) -> Result<WriteTxn<'_>, EngineError> {
        let begin = |error| EngineError::new(Operation::Begin, "-", error);
        self.engine.begin_rw_txn().map(WriteTxn::new).map_err(begin)
    }

    /// Flushes what lazy commits have left to the system.
    ///
    /// # Errors
    /// When the flush fails.
    pub fn flush(&self) -> Result<(), EngineError> {
        let failed = |error| EngineError::new(Operation::Commit, "-", error);
        self.engine.sync(true).map(|_| ()).map_err(failed)
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
        let (open_reads, oldest_read) = self.readers.open();
        let page_bytes = u64::from(self.engine.stat().map_err(failed)?.page_size());
        Ok(DatabaseStats {
            page_bytes,
            file_bytes: info.geometry().current_size(),
            used_bytes: (info.last_pgno() as u64 + 1) * page_bytes,
            free_pages: self.engine.freelist().map_err(failed)? as u64,
            last_transaction: info.last_txnid(),
            open_reads,
            oldest_read,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn engine_options(options: &Options) -> DatabaseOptions {
    let sync_mode = match options.durability {
        Durability::Durable => SyncMode::Durable,
        Durability::Lazy => SyncMode::SafeNoSync,
    };
    let mode = match options.mode {
        OpenMode::ReadOnly => Mode::ReadOnly,
        OpenMode::Create | OpenMode::Existing => Mode::ReadWrite(ReadWriteOptions {
            sync_mode,
            min_size: None,
            max_size: Some(isize::try_from(options.size_bytes_max).unwrap_or(isize::MAX)),
            growth_step: Some(GROWTH_BYTES),
            shrink_threshold: Some(SHRINK_BYTES),
        }),
    };
    DatabaseOptions {
        mode,
        max_tables: Some(TABLES.len() as u64),
        max_readers: Some(READERS_MAX),
        page_size: options.page_bytes.map(PageSize::Set),
        // Reads are point lookups and short ranges; readahead would fetch history nobody asked for.
        no_rdahead: true,
        // Adopt the writer's mode when reading beside it.
        accede: options.mode == OpenMode::ReadOnly,
        ..DatabaseOptions::default()
    }
}

/// Takes the writer's lock and says in the file who holds it. The system drops the lock with the process,
/// however that ends.
fn lock_for_writing(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let io = |source| OpenError::Io { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The holder may be writing it just now: an unreadable name is still an answer.
            let _ = (&file).take(32).read_to_string(&mut holder);
            let path = directory.to_owned();
            return Err(OpenError::InUse { path, holder: holder.trim().to_owned() });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(file)
}
