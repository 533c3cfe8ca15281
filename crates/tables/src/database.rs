//! The database directory: `mdbx.dat`, `mdbx.lck`, and `LOCK`, which names the one process that may write.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    ops::Deref,
    path::Path,
};

use libmdbx::{DatabaseOptions, Mode, PageSize, ReadWriteOptions, SyncMode, TableFlags};

use crate::{
    error::{EngineError, OpenError, Operation},
    schema::TABLES,
    transaction::WriteTxn,
    view::DatabaseView,
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

/// How to open a database for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Write, and create what is missing.
    Create,
    /// Write to what exists.
    Existing,
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

/// A database open for writing: a view of it, and the only way to a write transaction. Dropping it closes it; nothing
/// is lost either way.
#[derive(Debug)]
pub struct Database {
    view: DatabaseView,
    /// Held while this process may write.
    _lock: File,
}

impl Deref for Database {
    type Target = DatabaseView;

    fn deref(&self) -> &DatabaseView {
        &self.view
    }
}

impl Database {
    /// Opens the database in directory `path` for writing.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has been changed, except that [`OpenMode::Create`] may have made the directory.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let exists = exists(path)?;
        if !exists && options.mode == OpenMode::Existing {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(io)?;
        let lock = lock_for_writing(path)?;
        let engine = libmdbx::Database::open_with_options(path, engine_options(Some(&options)));
        let database = Self { view: DatabaseView::new(path, engine)?, _lock: lock };
        if exists {
            // Before any write transaction: it could take pages that are in use for free ones.
            database.require_sound_pages()?;
        }
        if options.mode == OpenMode::Existing {
            database.recognise()?;
        }
        database
            .create_tables()
            .map_err(|source| OpenError::Engine { path: path.to_owned(), source })?;
        Ok(database)
    }

    /// Creates the tables that are missing, and opens every one, so that later transactions find the handles.
    fn create_tables(&self) -> Result<(), EngineError> {
        let failed = |name| move |error| EngineError::new(Operation::OpenTable, name, error);
        let txn = self.engine.begin_rw_txn().map_err(failed("-"))?;
        for table in TABLES {
            txn.create_table(Some(table.name), TableFlags::empty()).map_err(failed(table.name))?;
        }
        txn.commit().map(|_| ()).map_err(failed("-"))
    }

    /// Starts the write transaction, waiting for the one before it. Dropping it undoes it.
    ///
    /// # Errors
    /// When the engine fails.
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
}

/// Whether there is a data file.
pub(crate) fn exists(path: &Path) -> Result<bool, OpenError> {
    let exists = path.join(DATA_FILE).try_exists();
    exists.map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

/// What the engine is told: of a writer its options, of a reader that it is one.
pub(crate) fn engine_options(writer: Option<&Options>) -> DatabaseOptions {
    let mode = writer.map_or(Mode::ReadOnly, |options| {
        Mode::ReadWrite(ReadWriteOptions {
            sync_mode: match options.durability {
                Durability::Durable => SyncMode::Durable,
                Durability::Lazy => SyncMode::SafeNoSync,
            },
            min_size: None,
            max_size: Some(isize::try_from(options.size_bytes_max).unwrap_or(isize::MAX)),
            growth_step: Some(GROWTH_BYTES),
            shrink_threshold: Some(SHRINK_BYTES),
        })
    });
    DatabaseOptions {
        mode,
        max_tables: Some(TABLES.len() as u64),
        max_readers: Some(READERS_MAX),
        page_size: writer.and_then(|options| options.page_bytes).map(PageSize::Set),
        // Reads are point lookups and short ranges; readahead would fetch history nobody asked for.
        no_rdahead: true,
        // Adopt the writer's mode when reading beside it.
        accede: writer.is_none(),
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
