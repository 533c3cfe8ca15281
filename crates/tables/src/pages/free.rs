//! The free list: a row for each transaction that freed pages, with their numbers.
//!
//! Every list is descending, its pages are in use by no tree and in no other list. A row may be longer than its list:
//! the engine reserves before it knows how many pages are left.

use std::os::unix::fs::FileExt;

use super::{
    Walk,
    layout::{HEADER_BYTES, META_PAGES, u32_at, u64_at},
    nodes::Node,
};
use crate::page_fault::{PageFault, PageTree};

/// Bytes of a list read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A list, read from its start.
struct List {
    transaction: u64,
    /// The leaf, or the first large page, that holds it.
    page: u32,
    entries: u64,
    read: u64,
    before: u32,
}

impl<F: FileExt> Walk<'_, F> {
    /// Looks at one list. `large` is where it begins if it is not in the leaf.
    pub(super) fn free_list(&mut self, node: &Node<'_>, large: Option<u32>, leaf: u32) {
        let transaction = u64_at(node.key, 0);
        let last = self.report.transaction;
        if transaction == 0 || transaction > last {
            self.report.found(
                &PageTree::Free,
                leaf,
                PageFault::FreeTransaction { transaction, last },
            );
        }
        let mut first = [0; 4];
        let begun = match (node.large_page(), large) {
            (None, _) => {
                first.copy_from_slice(node.data.get(..4).unwrap_or(&[0; 4]));
                Some(leaf)
            }
            (Some(_), Some(page)) => match self.file.read(page, HEADER_BYTES as u64, &mut first) {
                Ok(()) => Some(page),
                Err(fault) => {
                    self.report.found(&PageTree::Free, page, fault);
                    None
                }
            },
            // Its large page is a finding already.
            (Some(_), None) => None,
        };
        let Some(page) = begun else {
            self.whole = false;
            return;
        };
        let entries = u64::from(u32_at(&first, 0));
        let fits = u64::from(node.number) / 4;
        if !node.number.is_multiple_of(4) || entries >= fits {
            let fault = PageFault::FreeList { transaction, entry: 0 };
            self.report.found(&PageTree::Free, page, fault);
            self.whole = false;
            return;
        }
        let mut list = List { transaction, page, entries, read: 0, before: u32::MAX };
        if node.large_page().is_none() {
            self.free_pages(&mut list, node.data.get(4..).unwrap_or_default());
        } else {
            self.large_list(&mut list);
        }
    }

    fn large_list(&mut self, list: &mut List) {
        let mut bytes = vec![0; CHUNK_BYTES];
        while list.read < list.entries {
            let left = (list.entries - list.read).saturating_mul(4);
            let count = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let skip = HEADER_BYTES as u64 + 4 + list.read * 4;
            let chunk = &mut bytes[..count];
            if let Err(fault) = self.file.read(list.page, skip, chunk) {
                self.report.found(&PageTree::Free, list.page, fault);
                self.whole = false;
                return;
            }
            self.free_pages(list, chunk);
        }
    }

    /// Takes the next pages of a list, up to its end.
    fn free_pages(&mut self, list: &mut List, bytes: &[u8]) {
        for entry in bytes.chunks_exact(4) {
            if list.read == list.entries {
                return;
            }
            list.read += 1;
            let page = u32_at(entry, 0);
            let limit = self.snapshot.first_unallocated;
            let (transaction, entry) = (list.transaction, list.read);
            if page >= list.before {
                let fault = PageFault::FreeList { transaction, entry };
                self.report.found(&PageTree::Free, list.page, fault);
            }
            list.before = page;
            if !(META_PAGES..limit).contains(&page) {
                self.report.found(&PageTree::Free, page, PageFault::Outside { count: 1, limit });
                continue;
            }
            if self.reached.has(page) {
                self.report.found(&PageTree::Free, page, PageFault::UsedAndFree);
            }
            if self.free.insert(page) {
                self.report.free_pages += 1;
            } else {
                self.report.found(&PageTree::Free, page, PageFault::FreeTwice);
            }
        }
    }
}
