//! The data file as the writer opened it: still at its name, and with room to grow.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use crate::{
    elsewhere::free_bytes,
    error::{Consequence, EngineError, Operation},
    lock::DATA_FILE,
};

/// Less free space than this, one step of growth, and a write that was cut short is taken for a full disk.
const FREE_BYTES_MIN: u64 = 4 << 20;

/// Which file it is: its device and number.
pub(crate) type FileIdentity = (u64, u64);

/// The data file of a directory.
pub(crate) fn identity(path: &Path) -> io::Result<FileIdentity> {
    fs::metadata(path.join(DATA_FILE)).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Refuses to commit to a file that is no longer at its name: what is acknowledged there would be lost with the process.
///
/// # Cost
/// One `stat`.
pub(crate) fn check_place(path: &Path, opened: FileIdentity) -> Result<(), EngineError> {
    let why = match identity(path) {
        Ok(found) if found == opened => return Ok(()),
        Ok(_) => "mdbx.dat was replaced while this process uses it".to_owned(),
        Err(error) => {
            format!("mdbx.dat was removed or renamed while this process uses it: {error}")
        }
    };
    Err(EngineError {
        operation: Operation::Commit,
        table: "-",
        key: None,
        consequence: Consequence::Unusable,
        source: why.into(),
    })
}

/// What a failed write means. The engine tells a write that a full disk cut short as an input/output error.
pub(crate) fn judge(path: &Path, mut error: EngineError) -> EngineError {
    let told = error.source.downcast_ref::<libmdbx::Error>();
    let is_io = told.is_some_and(|told| matches!(told, libmdbx::Error::Io));
    if let (true, Some(free @ ..FREE_BYTES_MIN)) = (is_io, free_bytes(path)) {
        error.consequence = Consequence::NoSpace;
        error.source = format!("a write was cut short, and the disk has {free} bytes left").into();
    }
    error
}
