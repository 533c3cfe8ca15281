//! Opening a database for writing: locked, looked at, recovered by the engine, and only then written to.

use std::{ops::Deref, path::Path};

use libmdbx::{DatabaseOptions, Mode, PageSize, ReadWriteOptions, SyncMode, TableFlags};

use crate::{
    create::{self, Found},
    elsewhere::has_room,
    error::{EngineError, OpenError, Operation},
    lock::{Access, WriterLock, check_readers_file, has_readers_file},
    schema::trees,
    transaction::WriteTxn,
    view::DatabaseView,
};

/// Default bound of the file: 256 GiB of address space, of which only what is written takes disk. The longest chain there
/// can be, 2^18 slots, with the largest proof in each, 512 KiB, and no finality to prune by, has 128 GiB.
pub(crate) const SIZE_BYTES_MAX: usize = 256 << 30;

/// The file grows and shrinks in steps of 4 MiB: small enough to keep file size near the live data.
const GROWTH_BYTES: isize = 4 << 20;

/// The file is cut when this much is free at its end.
const SHRINK_BYTES: isize = 16 << 20;

/// Trees open at once: ours, and those of another schema beside them.
const TREES_MAX: u64 = 32;

/// Read transactions at once, over all processes.
const READERS_MAX: u32 = 512;

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
    /// Largest size of the file, all of it asked of the address space. `None` asks for 256 GiB, and where the system
    /// refuses that, for half as often as it takes.
    pub size_bytes_max: Option<usize>,
    /// Page size of a new file; an existing one keeps its own.
    pub page_bytes: Option<usize>,
}

impl Options {
    /// The defaults of this mode: durable, of the default size, the engine's own page size.
    #[must_use]
    pub const fn new(mode: OpenMode) -> Self {
        let durability = Durability::Durable;
        Self { mode, durability, size_bytes_max: None, page_bytes: None }
    }
}

/// A database open for writing: a view of it, and the only way to a write transaction. Dropping it closes it; nothing
/// is lost either way.
#[derive(Debug)]
pub struct Database {
    view: DatabaseView,
    /// Held while this process may write.
    _lock: WriterLock,
}

impl Deref for Database {
    type Target = DatabaseView;

    fn deref(&self) -> &DatabaseView {
        &self.view
    }
}

impl Database {
    /// Opens the database in directory `path` for writing. What a killed writer left is recovered; no row is written.
    ///
    /// # Errors
    /// [`OpenError`]; every row is as it was. [`OpenMode::Create`] may have made the directory.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        if options.mode == OpenMode::Existing {
            must_exist(path)?;
        }
        create::make_directory(path)?;
        let lock = WriterLock::take(path)?;
        create::tidy(path, &lock)?;
        if !has_readers_file(path)? && !has_room(path) {
            return Err(OpenError::Full { path: path.to_owned() });
        }
        if create::find(path)? == Found::Data {
            check_readers_file(path, Access::Write)?;
            look(path, options.mode)?;
        } else {
            create::create(path, &options, &lock)?;
        }
        let view = DatabaseView::open_engine(path, Some(&options))?;
        // Before any write transaction: it could take pages that are in use for free ones.
        view.require_sound_pages()?;
        match view.recognise() {
            // Left by a build that made its database in place, killed before the first commit.
            Err(OpenError::Empty { .. }) if options.mode == OpenMode::Create => {}
            recognised => recognised?,
        }
        view.open_tables().map_err(|source| OpenError::Engine { path: path.to_owned(), source })?;
        if options.mode == OpenMode::Create {
            Self::create_tables(&view)?;
        }
        Ok(Self { view, _lock: lock })
    }

    /// Creates the tables that are missing: one transaction, or none if there is nothing to do.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn create_missing_tables(&self) -> Result<(), OpenError> {
        Self::create_tables(&self.view)
    }

    pub(crate) fn create_tables(view: &DatabaseView) -> Result<(), OpenError> {
        let created = || {
            let failed = |name| move |error| EngineError::new(Operation::OpenTable, name, error);
            if view.has_all_tables()? {
                return Ok(());
            }
            let txn = view.engine.begin_rw_txn().map_err(failed("-"))?;
            for tree in trees() {
                txn.create_table(Some(tree), TableFlags::empty()).map_err(failed(tree))?;
            }
            txn.commit().map(|_| ()).map_err(failed("-"))
        };
        created().map_err(|source| OpenError::Engine { path: view.path().to_owned(), source })
    }

    /// Starts the write transaction, waiting for the one before it. Dropping it undoes it.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn write(&self) -> Result<WriteTxn<'_>, EngineError> {
        let begin = |error| EngineError::new(Operation::Begin, "-", error);
        self.view.begin_write().map_err(begin)
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

/// Refuses a directory without a database, or with one whose making was interrupted.
pub(crate) fn must_exist(path: &Path) -> Result<(), OpenError> {
    match create::find(path)? {
        Found::Nothing => Err(OpenError::Missing { path: path.to_owned() }),
        Found::Blank => Err(OpenError::Empty { path: path.to_owned() }),
        Found::Data => Ok(()),
    }
}

/// Refuses the files of another program before the engine may change a byte of them. What only a writer can open, it is
/// left to say.
fn look(path: &Path, mode: OpenMode) -> Result<(), OpenError> {
    match DatabaseView::open_engine(path, None).and_then(|view| view.explain(view.recognise())) {
        Err(OpenError::Empty { .. }) if mode == OpenMode::Create => Ok(()),
        Err(OpenError::Unrecovered { .. } | OpenError::AddressSpace { .. }) => Ok(()),
        looked => looked,
    }
}

/// Has the engine recover what a killed lazy writer left, which it does only for a writer.
///
/// # Errors
/// [`OpenError::Unrecovered`] where this process may not write.
pub(crate) fn recover(path: &Path) -> Result<(), OpenError> {
    let options = Options::new(OpenMode::Existing);
    let recovered = WriterLock::take(path).and_then(|_lock| {
        let view = DatabaseView::open_engine(path, Some(&options))?;
        let flushed = view.engine.sync(true).map(|_| ());
        flushed.map_err(|error| OpenError::Engine {
            path: path.to_owned(),
            source: EngineError::new(Operation::Commit, "-", error),
        })
    });
    match recovered {
        // A writer that opened it meanwhile has recovered it.
        Ok(()) | Err(OpenError::InUse { .. }) => Ok(()),
        Err(error) => Err(OpenError::Unrecovered { path: path.to_owned(), why: error.to_string() }),
    }
}

/// What the engine is told: of a writer its options, of a reader that it is one.
pub(crate) fn engine_options(writer: Option<&Options>, size_bytes_max: usize) -> DatabaseOptions {
    let mode = writer.map_or(Mode::ReadOnly, |options| {
        Mode::ReadWrite(ReadWriteOptions {
            sync_mode: match options.durability {
                Durability::Durable => SyncMode::Durable,
                Durability::Lazy => SyncMode::SafeNoSync,
            },
            min_size: None,
            max_size: Some(isize::try_from(size_bytes_max).unwrap_or(isize::MAX)),
            growth_step: Some(GROWTH_BYTES),
            shrink_threshold: Some(SHRINK_BYTES),
        })
    });
    DatabaseOptions {
        mode,
        max_tables: Some(TREES_MAX),
        max_readers: Some(READERS_MAX),
        page_size: writer.and_then(|options| options.page_bytes).map(PageSize::Set),
        // Reads are point lookups and short ranges; readahead would fetch history nobody asked for.
        no_rdahead: true,
        // Adopt the writer's mode when reading beside it.
        accede: writer.is_none(),
        ..DatabaseOptions::default()
    }
}
