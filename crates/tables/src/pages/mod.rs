//! A walk over the engine's own pages, by plain reads of `mdbx.dat`.
//!
//! Seals prove values; nothing proves the B-trees around them. And damage there does not stay where it is: a page
//! that the free list names although a table uses it is overwritten by the next commit. So every start that will
//! write, and every `verify`, looks at all pages of one snapshot first.
//!
//! The hard idea: in a copy-on-write tree every page below the first unallocated one is either reached from the
//! snapshot's two roots exactly once, or named by the free list exactly once, or one of the three meta pages. What
//! breaks that sum, the order of keys, the bounds of nodes or the counts in a tree's record is a [`PageFinding`].
//!
//! A read transaction of the engine is held meanwhile, so that a writer reuses no page of the snapshot; the file is
//! never mapped here, so that a sector that cannot be read is an error with its offset, and no signal.
//!
//! ## The layout that is relied on (mdbx-sys 14, format 3; all numbers little-endian)
//!
//! ```text
//! page    = txn 8 | 0: 2 | kind 2 | lower 2, upper 2 (or pages: 4) | number 4 | content
//! kind    = 1 branch, 2 leaf, 4 large value, 8 meta (others only with duplicate keys or nested transactions: not ours)
//! branch, leaf = offset of each node: 2 each, up to lower | unused | nodes from upper to the page's end, no gap;
//!           lower, upper and offsets count from behind the header
//! node    = bytes of data (branch: child page) 4 | flags 1 | 0: 1 | bytes of key 2 | key | data, padded to even
//!           flags: 1 data is the number of a large page, 2 data is a tree
//! tree    = flags 2 | height 2 | 0: 4 | root 4 | branch, leaf, large pages 4 each | sequence 8 | rows 8 | txn 8
//! meta    = magic 7, version 1 | txn 8 | 0: 4 | geometry 20 | free tree 48, whose zero is the page size | main tree 48
//!           | canary 32 | sign 8 | txn again 8 | pages retired 8 | boot 16 | file 16
//! geometry = growth, shrinkage 2 each | least, most, present pages 4 each | first unallocated page 4
//! ```
//!
//! Pages 0 to 2 are meta; the newest whose two transaction numbers agree is the snapshot. The main tree's rows are
//! the named trees. The free tree's rows are `txn 8 -> count 4 | page 4 each, descending`, in this byte order.
//!
//! Deliberately not here: any repair, and the contents of values (their seals prove them).

mod bits;
mod cut;
mod file;
mod free;
mod layout;
mod meta;
mod names;
mod nodes;
#[cfg(test)]
mod tests;
mod tree;

use std::{fs::File, ops::ControlFlow, os::unix::fs::FileExt};

use crate::page_fault::{PageFault, PageFinding, PageTree};
use bits::PageSet;
pub(crate) use cut::{geometry, require_whole_file};
use file::PageFile;
use layout::Meta;
use tree::{NamedTree, Role};

/// Findings kept in a report; further ones are counted.
const FINDINGS_MAX: usize = 1_000;

/// Pages between two calls of the progress callback: 1 to 2 ms.
const PROGRESS_PAGES: u64 = 1_024;

/// How far a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageProgress {
    /// Pages accounted for.
    pub done: u64,
    /// Pages in use, free ones among them.
    pub total: u64,
}

/// What a walk has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageReport {
    /// Transaction number of the snapshot.
    pub transaction: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Pages below the first unallocated one.
    pub pages: u64,
    /// Inner pages of trees.
    pub branch_pages: u64,
    /// Outer pages of trees.
    pub leaf_pages: u64,
    /// Pages of large values, and of large lists of free pages.
    pub large_pages: u64,
    /// Pages that the free list names.
    pub free_pages: u64,
    /// Rows of all trees, named trees and free lists among them.
    pub rows: u64,
    /// Meta pages whose two transaction numbers differ: what a power cut in a commit leaves. The engine passes over
    /// them and the next commit overwrites them, so they are no finding.
    pub torn_metas: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// What is wrong, up to 1,000.
    pub findings: Vec<PageFinding>,
    /// Findings in all.
    pub finding_count: u64,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

impl PageReport {
    fn found(&mut self, tree: &PageTree, page: u32, fault: PageFault) {
        self.finding_count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(PageFinding { tree: tree.clone(), page, fault });
        }
    }
}

/// Walks snapshot `transaction` of a data file. If its meta page is not there any more, an error: what the others have
/// shown.
pub(crate) fn walk_file(
    data: &File,
    page_bytes: usize,
    file_bytes: u64,
    transaction: u64,
    progress: &mut dyn FnMut(PageProgress) -> ControlFlow<()>,
) -> Result<PageReport, Box<PageReport>> {
    walk(PageFile::new(data, page_bytes), file_bytes, transaction, progress)
}

/// Walks snapshot `transaction`. If its meta page is not there any more, an error: what the others have shown.
fn walk<F: FileExt>(
    mut file: PageFile<'_, F>,
    file_bytes: u64,
    transaction: u64,
    progress: &mut dyn FnMut(PageProgress) -> ControlFlow<()>,
) -> Result<PageReport, Box<PageReport>> {
    let page_bytes = file.page_bytes() as u64;
    let mut report = PageReport { transaction, page_bytes, file_bytes, ..PageReport::default() };
    let metas = meta::read(&mut file, &mut report);
    let mut readable = metas.iter().flatten();
    let Some(snapshot) = readable.find(|meta| meta.transaction() == Some(transaction)) else {
        return Err(Box::new(report));
    };
    let newest = metas.iter().flatten().filter_map(Meta::transaction).max() == Some(transaction);
    meta::check_length(snapshot, newest, file_bytes, &mut report);
    report.pages = u64::from(snapshot.first_unallocated);
    // Memory for what the file can hold, whatever the meta page says.
    let pages = report.pages.min(file_bytes.div_ceil(page_bytes));
    let (reached, free) = (PageSet::new(pages), PageSet::new(pages));
    let (spare, whole) = (Vec::new(), report.pages == pages);
    let mut walk = Walk { file, snapshot, reached, free, report, spare, whole, progress };
    walk.report.stopped = walk.run().is_break();
    walk.report.bytes_read = walk.file.bytes_read();
    Ok(walk.report)
}

/// A walk under way.
struct Walk<'a, F> {
    file: PageFile<'a, F>,
    snapshot: &'a Meta,
    /// Pages that a tree uses.
    reached: PageSet,
    /// Pages that the free list names.
    free: PageSet,
    report: PageReport,
    /// Buffers of pages, one for each level of a tree, to be used again.
    spare: Vec<Vec<u8>>,
    /// Whether no subtree and no list was cut off: only then can a page be called lost.
    whole: bool,
    progress: &'a mut dyn FnMut(PageProgress) -> ControlFlow<()>,
}

impl<F: FileExt> Walk<'_, F> {
    fn run(&mut self) -> ControlFlow<()> {
        let snapshot = self.snapshot;
        let mut named = Vec::new();
        self.tree(PageTree::Main, &snapshot.main, &mut Role::Main(&mut named))?;
        names::check(&named, &mut self.report);
        for NamedTree { key, record, .. } in named {
            let name = String::from_utf8_lossy(&key).into_owned();
            self.tree(PageTree::Table(name), &record, &mut Role::Table)?;
        }
        self.tree(PageTree::Free, &snapshot.free, &mut Role::Free)?;
        self.check_lost();
        (self.progress)(PageProgress { done: self.report.pages, total: self.report.pages })
    }

    /// Every page is in a tree, or free, or meta.
    fn check_lost(&mut self) {
        if !self.whole {
            return;
        }
        let lost = |page: &u32| !self.reached.has(*page) && !self.free.has(*page);
        let mut lost = (layout::META_PAGES..self.snapshot.first_unallocated).filter(lost);
        if let Some(first) = lost.next() {
            let pages = 1 + lost.count() as u64;
            self.report.found(&PageTree::Free, first, PageFault::Lost { pages });
        }
    }

    /// Takes `count` pages from `page` on for a tree. Says whether they can be looked at.
    fn claim(&mut self, tree: &PageTree, page: u32, count: u32) -> bool {
        let limit = self.snapshot.first_unallocated;
        let end = u64::from(page) + u64::from(count);
        if page < layout::META_PAGES || end > u64::from(limit) {
            self.report.found(tree, page, PageFault::Outside { count, limit });
            self.whole = false;
            return false;
        }
        for page in page..page + count {
            if self.free.has(page) {
                self.report.found(tree, page, PageFault::UsedAndFree);
            }
            if !self.reached.insert(page) {
                self.report.found(tree, page, PageFault::Twice);
                return false;
            }
        }
        true
    }

    /// Counts a page that was looked at, and asks now and then whether to go on.
    fn step(&mut self) -> ControlFlow<()> {
        let done = self.reached.len() + self.free.len();
        let looked_at = self.report.branch_pages + self.report.leaf_pages;
        if !looked_at.is_multiple_of(PROGRESS_PAGES) {
            return ControlFlow::Continue(());
        }
        (self.progress)(PageProgress { done, total: self.report.pages })
    }
}
