//! Positioned reads of the data file. What cannot be read is a fault with its offset, never the end of the walk.

use std::{io, os::unix::fs::FileExt};

use crate::page_fault::PageFault;

/// The data file, page by page.
pub(super) struct PageFile<'a, F> {
    file: &'a F,
    page_bytes: usize,
    bytes_read: u64,
}

impl<'a, F: FileExt> PageFile<'a, F> {
    pub(super) const fn new(file: &'a F, page_bytes: usize) -> Self {
        Self { file, page_bytes, bytes_read: 0 }
    }

    pub(super) const fn page_bytes(&self) -> usize {
        self.page_bytes
    }

    pub(super) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Fills `bytes` from `skip` bytes into `page` on.
    pub(super) fn read(&mut self, page: u32, skip: u64, bytes: &mut [u8]) -> Result<(), PageFault> {
        let offset = u64::from(page) * self.page_bytes as u64 + skip;
        self.bytes_read += bytes.len() as u64;
        self.file.read_exact_at(bytes, offset).map_err(|error| {
            let error = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the file ends before it".to_owned(),
                _ => error.to_string(),
            };
            PageFault::Unreadable { offset, error }
        })
    }
}
