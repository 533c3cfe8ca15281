//! What an engine must do.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// Tables, by what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Headers,
    Bodies,
    Proofs,
    Diffs,
    Slots,
    Canonical,
}

impl Table {
    pub const ALL: [Self; 6] =
        [Self::Headers, Self::Bodies, Self::Proofs, Self::Diffs, Self::Slots, Self::Canonical];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::Proofs => "proofs",
            Self::Diffs => "diffs",
            Self::Slots => "slots",
            Self::Canonical => "canonical",
        }
    }
}

/// A row to write.
pub struct Row {
    pub table: Table,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// Whether commits are flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    Durable,
    Lazy,
}

/// A database of these tables.
pub trait Engine: Sized {
    const NAME: &'static str;

    fn open(directory: &Path, flush: Flush) -> Self;

    /// Writes rows in one transaction.
    fn commit(&mut self, rows: &[Row]);

    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>>;

    /// Reads up to `count` rows from `start` on; the bytes of their values.
    fn scan(&self, table: Table, start: &[u8], count: usize) -> usize;

    /// Key of the first row.
    fn first_key(&self, table: Table) -> Option<Vec<u8>>;

    /// Deletes the rows from `start` to before `end`, in one transaction.
    fn delete_range(&mut self, table: Table, start: &[u8], end: &[u8]);
}

/// Bytes that a directory takes on disk.
pub fn disk_bytes(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().blocks() * 512).sum()
}
