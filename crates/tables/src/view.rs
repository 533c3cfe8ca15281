//! A database as everybody but its writer sees it: snapshots, sizes, and no way to change a row.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use libmdbx::NoWriteMap;

use crate::{
    database::{engine_options, exists},
    error::{EngineError, OpenError, Operation},
    readers::Readers,
    schema::TABLES,
    transaction::ReadTxn,
};

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

/// An open database that is only read: beside its writer, or with none.
#[derive(Debug)]
pub struct DatabaseView {
    pub(crate) engine: libmdbx::Database<NoWriteMap>,
    path: PathBuf,
    readers: Readers,
}

impl DatabaseView {
    /// Opens the database in directory `path` for reading, beside a writer if there is one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if !exists(path)? {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let engine = libmdbx::Database::open_with_options(path, engine_options(None));
        let view = Self::new(path, engine)?;
        let opened = view.recognise().and_then(|()| {
            view.open_tables().map_err(|source| OpenError::Engine { path: path.to_owned(), source })
        });
        match opened {
            Ok(()) => Ok(view),
            // The pages say more than the engine's words, if it is they that are damaged.
            Err(OpenError::Engine { source, .. }) => {
                view.require_sound_pages()?;
                Err(OpenError::Engine { path: path.to_owned(), source })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn new(
        path: &Path,
        engine: libmdbx::Result<libmdbx::Database<NoWriteMap>>,
    ) -> Result<Self, OpenError> {
        let engine = engine.map_err(|error| OpenError::Engine {
            path: path.to_owned(),
            source: EngineError::new(Operation::Begin, "-", error),
        })?;
        Ok(Self { engine, path: path.to_owned(), readers: Readers::default() })
    }

    /// Refuses files that are not ours, before anything is written to them.
    pub(crate) fn recognise(&self) -> Result<(), OpenError> {
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
    fn open_tables(&self) -> Result<(), EngineError> {
        let failed = |name| move |error| EngineError::new(Operation::OpenTable, name, error);
        let txn = self.engine.begin_ro_txn().map_err(failed("-"))?;
        for table in TABLES {
            txn.open_table(Some(table.name)).map_err(failed(table.name))?;
        }
        txn.commit().map(|_| ()).map_err(failed("-"))
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

    /// A write transaction on whatever was opened for writing: the way to damage a running node's rows in a test.
    ///
    /// # Errors
    /// When the engine refuses, as it does to a database that is only read.
    #[cfg(feature = "test-hooks")]
    pub fn write_raw(&self) -> Result<crate::WriteTxn<'_>, EngineError> {
        let begin = |error| EngineError::new(Operation::Begin, "-", error);
        self.engine.begin_rw_txn().map(crate::WriteTxn::new).map_err(begin)
    }
}
