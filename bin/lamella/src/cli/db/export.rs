//! Bytes into a file: whole or not at all, and never over another one unasked.

use std::{
    io::{self, Write as _},
    path::Path,
};

use lamella_network_dir::whole_file::{self, Access};

use super::DbError;

/// Writes `bytes` to `path`; `-` is stdout. A file appears under its name only when it is complete.
///
/// # Errors
/// [`DbError::FileExists`] unless `force`, or what the system says.
pub(super) fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), DbError> {
    let failed = |source| DbError::File { path: path.into(), source };
    if path.as_os_str() == "-" {
        let mut out = io::stdout().lock();
        // What follows the last line's end would wait for the end of the process, which tells nobody that it is lost.
        return out.write_all(bytes).and_then(|()| out.flush()).map_err(failed);
    }
    if !force && path.try_exists().map_err(failed)? {
        return Err(DbError::FileExists { path: path.into() });
    }
    whole_file::write(path, bytes, Access::Public).map_err(failed)
}
