//! Opening a database for writing: locked, looked at, recovered by the engine, and only then written to.

use std::{ops::Deref, path::Path};

use crate::{
    create,
    data_file::{Found, find, flush, judge, must_exist, open_same},
    elsewhere::has_room,
    error::{EngineError, OpenError, Operation},
    lazy::{self, Flushes},
    lock::{Access, WriterLock, check_readers_file, has_readers_file},
    options::{Durability, OpenMode, Options},
    page_check::PageCheck,
    pages::{geometry, require_whole_file},
    transaction::WriteTxn,
    view::{DatabaseView, recover_locked},
};

/// A database open for writing: a view of it, and the only way to a write transaction. Dropping it closes it; nothing
/// is lost either way.
#[derive(Debug)]
pub struct Database {
    view: DatabaseView,
    durability: Durability,
    pub(crate) flushes: Flushes,
    check: PageCheck,
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
        let lock = WriterLock::wait(path)?;
        create::tidy(path, &lock)?;
        if !has_readers_file(path)? && !has_room(path) {
            return Err(OpenError::Full { path: path.to_owned() });
        }
        if find(path)? == Found::Data {
            check_readers_file(path, Access::Write)?;
            require_whole_file(path)?;
            look(path, options.mode)?;
            // Whoever named it may have been killed before that was durable.
            create::flush_names(path)?;
        } else {
            create::create(path, &options, &lock)?;
        }
        let view = DatabaseView::open_engine(path, Some(&options))?;
        // What a killed process wrote and did not flush is what this one goes on from.
        let flushed = open_same(path, view.file).and_then(|data| flush(&data));
        flushed.map_err(|source| OpenError::Engine { path: path.to_owned(), source })?;
        // Before any write transaction: it could take pages that are in use for free ones.
        let check = view.require_sound_pages()?;
        match view.recognise() {
            // Left by a build that made its database in place, killed before the first commit.
            Err(OpenError::Empty { .. }) if options.mode == OpenMode::Create => {}
            recognised => recognised?,
        }
        view.open_tables().map_err(|source| OpenError::Engine { path: path.to_owned(), source })?;
        if options.mode == OpenMode::Create {
            create::create_trees(&view, options.trees)?;
        }
        Ok(Self {
            view,
            durability: options.durability,
            flushes: Flushes::new(options.unflushed_bytes_max),
            check,
            _lock: lock,
        })
    }

    /// Creates the tables that are missing: one transaction, or none if there is nothing to do.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn create_missing_tables(&self) -> Result<(), OpenError> {
        create::create_trees(&self.view, None)
    }

    /// The walk over its pages when it was opened.
    #[must_use]
    pub const fn page_check(&self) -> PageCheck {
        self.check
    }

    /// Starts the write transaction, waiting for the one before it. Dropping it undoes it.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn write(&self) -> Result<WriteTxn<'_>, EngineError> {
        self.write_values(0)
    }

    /// Starts a write transaction that is going to write values of so many bytes in all, rows of a few hundred bytes not
    /// counted. See [`Database::write`].
    ///
    /// # Errors
    /// When the engine fails.
    ///
    /// # Cost
    /// Under lazy commits a flush, where the file may have no room for it.
    pub fn write_values(&self, value_bytes: u64) -> Result<WriteTxn<'_>, EngineError> {
        let begin = |error| judge(self.path(), EngineError::new(Operation::Begin, "-", error));
        match self.durability {
            Durability::Durable => self.view.begin_write().map_err(begin),
            Durability::Lazy => {
                let txn =
                    lazy::begin(&self.view.engine, &self.flushes, value_bytes).map_err(begin)?;
                Ok(self.view.write_txn(txn, Some(&self.flushes)))
            }
        }
    }

    /// Flushes what lazy commits have left to the system.
    ///
    /// # Errors
    /// When the flush fails, or one has failed before.
    pub fn flush(&self) -> Result<(), EngineError> {
        let failed = |error| EngineError::new(Operation::Commit, "-", error);
        self.flushes.flush(&self.engine).map_err(|error| judge(self.path(), failed(error)))
    }
}

/// Refuses the files of another program before the engine may change a byte of them. What only a writer can open is
/// recovered, or left to it.
fn look(path: &Path, mode: OpenMode) -> Result<(), OpenError> {
    match DatabaseView::open_engine(path, None).and_then(|view| view.explain(view.recognise())) {
        Err(OpenError::Empty { .. }) if mode == OpenMode::Create => Ok(()),
        Err(OpenError::Unrecovered { .. })
            if geometry(path).is_some_and(|file| !file.is_flushed) =>
        {
            recover_locked(path)
        }
        Err(OpenError::Unrecovered { .. } | OpenError::AddressSpace { .. }) => Ok(()),
        looked => looked,
    }
}
