//! Folders in memory, and copies of them.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use rustix::fs::{SeekFrom, seek};

use tempfile::TempDir;

/// Where folders are in memory, if there is such a place.
const MEMORY: &str = "/dev/shm";

/// The engine's table of who reads: it names this process, which in the copy is dead.
const READERS: &str = "mdbx.lck";

/// A new folder, in memory if there is room, which goes with what is returned.
pub(crate) fn new() -> TempDir {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("lamella-sim-");
        builder
    };
    builder().tempdir_in(MEMORY).or_else(|_| builder().tempdir()).unwrap()
}

/// Makes `to` what `from` would be after a crash at this moment.
pub(crate) fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    copy_new(from, to);
}

fn copy_new(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_new(&path, &copy);
        } else if entry.file_name() != READERS {
            copy_file(&path, &copy);
        }
    }
}

/// Copies what is written of a file: a lazy database is 32 MiB of next to nothing.
fn copy_file(from: &Path, to: &Path) {
    let (from, to) = (File::open(from).unwrap(), File::create(to).unwrap());
    let length = from.metadata().unwrap().len();
    to.set_len(length).unwrap();
    let mut at = 0;
    // Behind the last byte that is written there is no more data.
    while let Ok(start) = seek(&from, SeekFrom::Data(at)) {
        let end = seek(&from, SeekFrom::Hole(start)).unwrap_or(length);
        let mut bytes = vec![0; (end - start) as usize];
        from.read_exact_at(&mut bytes, start).unwrap();
        to.write_all_at(&bytes, start).unwrap();
        at = end;
    }
}
