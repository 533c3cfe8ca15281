//! The data file: whether there is one, and whether it is still at its name and has room to grow.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use crate::{
    elsewhere::free_bytes,
    error::{Consequence, EngineError, OpenError, Operation},
    lock::DATA_FILE,
};

/// Less free space than this, one step of growth, and a write that was cut short is taken for a full disk.
const FREE_BYTES_MIN: u64 = 4 << 20;

/// Longest file that is read to its end for a byte that is not zero. Earlier builds made their database in place; killed
/// in the first instants, they left a file of nothing but zeros, or none, of a few MiB at most.
const BLANK_BYTES_MAX: u64 = 64 << 20;

/// Which file it is: its device and number.
pub(crate) type FileIdentity = (u64, u64);

fn identity_of(metadata: &fs::Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino())
}

/// The data file of a directory.
pub(crate) fn identity(path: &Path) -> io::Result<FileIdentity> {
    fs::metadata(path.join(DATA_FILE)).map(|metadata| identity_of(&metadata))
}

/// Refuses to commit to a file that is no longer at its name: what is acknowledged there would be lost with the process.
///
/// # Cost
/// One `stat`.
pub(crate) fn check_place(path: &Path, opened: FileIdentity) -> Result<(), EngineError> {
    require_same(identity(path), opened, Operation::Commit)
}

/// Opens the data file beside the engine, which has opened it as `opened`: another one at its name says nothing of that.
pub(crate) fn open_same(path: &Path, opened: FileIdentity) -> Result<File, EngineError> {
    let told = |error: io::Error| {
        let code = error.raw_os_error().unwrap_or_default();
        EngineError::new(Operation::Stat, "-", libmdbx::Error::Other(code))
    };
    let data = File::open(path.join(DATA_FILE)).map_err(told)?;
    let found = data.metadata().map_err(told)?;
    require_same(Ok(identity_of(&found)), opened, Operation::Stat).map(|()| data)
}

/// Flushes the data file.
pub(crate) fn flush(data: &File) -> Result<(), EngineError> {
    data.sync_data().map_err(|error| {
        let code = error.raw_os_error().unwrap_or_default();
        EngineError::new(Operation::Commit, "-", libmdbx::Error::Other(code))
    })
}

fn require_same(
    found: io::Result<FileIdentity>,
    opened: FileIdentity,
    operation: Operation,
) -> Result<(), EngineError> {
    let why = match found {
        Ok(found) if found == opened => return Ok(()),
        Ok(_) => "mdbx.dat was replaced while this process uses it".to_owned(),
        Err(error) => {
            format!("mdbx.dat was removed or renamed while this process uses it: {error}")
        }
    };
    Err(EngineError {
        operation,
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

/// What there is in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// No data file.
    Nothing,
    /// A data file into which nothing was ever written: every byte is zero.
    Blank,
    /// A data file.
    Data,
}

/// Looks for a database.
pub(crate) fn find(path: &Path) -> Result<Found, OpenError> {
    let data = path.join(DATA_FILE);
    let found = match File::open(&data) {
        Ok(file) => is_blank(file).map(|blank| if blank { Found::Blank } else { Found::Data }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    };
    found.map_err(|source| OpenError::Io { path: data, source })
}

fn is_blank(mut file: File) -> io::Result<bool> {
    if file.metadata()?.len() > BLANK_BYTES_MAX {
        return Ok(false);
    }
    let mut chunk = [0; 64 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(true),
            read if chunk[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Refuses a directory without a database, or with one whose making was interrupted.
pub(crate) fn must_exist(path: &Path) -> Result<(), OpenError> {
    match find(path)? {
        Found::Nothing => Err(OpenError::Missing { path: path.to_owned() }),
        Found::Blank => Err(OpenError::Empty { path: path.to_owned() }),
        Found::Data => Ok(()),
    }
}
