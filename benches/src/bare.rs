//! The baseline of a durable commit: the same bytes, written and flushed as often, by nothing but the system.
//!
//! A durable commit of the engine writes its pages, flushes them, and writes its meta page through a descriptor that
//! flushes by itself. So the baseline writes pages, flushes, writes one page, flushes; into a file that grows in the
//! same steps as the database's, for extending a file costs its file system a journal entry.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
};

use tempfile::NamedTempFile;

/// Bytes by which the file grows, as the database's does.
const GROWTH_BYTES: u64 = 4 << 20;

/// Flushes of one durable commit: data, then meta page.
pub const FLUSHES: usize = 2;

/// Bytes of the page that the second flush is for.
const META_PAGE_BYTES: usize = 4096;

/// A file that is written to in whole commits.
#[derive(Debug)]
pub struct BareFile {
    file: NamedTempFile,
    end: u64,
    size: u64,
}

impl Default for BareFile {
    fn default() -> Self {
        let file = NamedTempFile::new().unwrap();
        Self { file, end: META_PAGE_BYTES as u64, size: 0 }
    }
}

impl BareFile {
    /// Writes this many bytes after the last ones, flushes, writes the page at the start, flushes.
    pub fn commit(&mut self, bytes: &[u8]) {
        let file: &File = self.file.as_file();
        let end = self.end + bytes.len() as u64;
        if end > self.size {
            self.size = end.next_multiple_of(GROWTH_BYTES);
            file.set_len(self.size).unwrap();
        }
        file.write_all_at(bytes, self.end).unwrap();
        file.sync_data().unwrap();
        let page = &bytes[..bytes.len().min(META_PAGE_BYTES)];
        file.write_all_at(page, 0).unwrap();
        file.sync_data().unwrap();
        self.end = end;
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.end - META_PAGE_BYTES as u64
    }
}

/// Bytes that this process has handed to the system's write calls since it began; `None` where the system does not
/// count them.
#[must_use]
pub fn written_bytes() -> Option<u64> {
    let counters = fs::read_to_string("/proc/self/io").ok()?;
    let line = counters.lines().find_map(|line| line.strip_prefix("wchar: "))?;
    line.parse().ok()
}
