//! What `lamella db` reads from a data directory. Everything here is read-only, works beside a running node, and
//! creates nothing.
//!
//! The hard idea: a tool must never hold a snapshot for long, because a held snapshot keeps the writer from reusing
//! pages and the file grows. So each walk reads a bounded chunk, closes its transaction, and only then prints; a
//! walk that needs one chain throughout checks by parent links that it still walks the same one.
//!
//! | question | file |
//! |---|---|
//! | which chain, how far, how large | `info`, `stats` |
//! | `head`, `0x12..`, `17`: which block is that | `which` |
//! | one block, state or diff | `get` |
//! | one digest over a stretch of the chain | `checksum` |
//! | the rows of a table, whatever they hold | `inspect` |
//! | what the invariants say, and what to do with findings | `verify` |
//! | bytes into a file | `export` |
//!
//! Absent on purpose: anything that writes to the database.

pub mod checksum;
mod error;
pub mod export;
pub mod get;
pub mod info;
pub mod inspect;
pub mod stats;
pub mod verify;
pub mod which;

use std::path::{Path, PathBuf};

use lamella_chain::ReadOnlyChain;
use lamella_tables::{Damage, DatabaseView, Fault, Key, ReadError, Table};

pub use error::{DbError, ExitCode, NotStored};

/// Where a data directory keeps its database.
#[must_use]
pub fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("db")
}

/// Opens the chain of a data directory.
///
/// # Errors
/// No chain there, one that this program does not read, or damage in what says which chain it is.
pub fn open_chain(data_dir: &Path) -> Result<ReadOnlyChain, DbError> {
    Ok(ReadOnlyChain::open(&database_path(data_dir))?)
}

/// Opens only the tables of a data directory, so that damage in what says which chain it is does not matter.
///
/// # Errors
/// No database there, or files that the engine refuses.
pub fn open_tables(data_dir: &Path) -> Result<DatabaseView, DbError> {
    Ok(DatabaseView::open(&database_path(data_dir))?)
}

/// A row that proves itself but contradicts another one.
fn contradiction<T: Table>(key: &T::Key, what: String) -> ReadError {
    Damage::new::<T>(Key::encode(key), Fault::Content(what)).into()
}
