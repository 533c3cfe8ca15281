//! Opening a data directory to read it.

use std::path::{Path, PathBuf};

use lamella_chain::{ChainOpenError, ReadOnlyChain, explain};
use lamella_tables::DatabaseView;

use super::InspectError;

/// Where a data directory keeps its database.
#[must_use]
pub fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("db")
}

/// Opens the chain of a data directory.
///
/// # Errors
/// No chain there, one that this program does not read, or damage in what says which chain it is.
pub fn open_chain(data_dir: &Path) -> Result<ReadOnlyChain, InspectError> {
    Ok(ReadOnlyChain::open(&database_path(data_dir))?)
}

/// Opens only the tables of a data directory, so that damage in what says which chain it is does not matter.
///
/// # Errors
/// No database there, or files that the engine refuses.
pub fn open_tables(data_dir: &Path) -> Result<DatabaseView, InspectError> {
    let path = database_path(data_dir);
    let opened = DatabaseView::open(&path).map_err(ChainOpenError::from);
    Ok(opened.map_err(|error| explain(&path, error))?)
}
