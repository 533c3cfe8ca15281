//! The three meta pages.
//!
//! A commit overwrites the oldest of them, and only from the magic on: the page header is written once, when the file
//! is made. So a bit that flips in the header of an idle one stays, unseen by the engine until the other two are the
//! older ones. A page whose two transaction numbers differ is what a power cut leaves, and is passed over.

use std::os::unix::fs::FileExt;

use super::{
    PageReport,
    file::PageFile,
    layout::{INTEGER_KEYS, MAGIC, META, META_BYTES, META_PAGES, Meta, NO_PAGE, TreeRecord},
};
use crate::page_fault::{PageFault, PageTree};

/// How often a meta page is read until two reads agree: a writer may be writing it.
const READ_TRIES: u32 = 16;

/// Signs of a meta page: taken back, not flushed, flushed.
const SIGNS: [u64; 3] = [0, 1, u64::MAX];

/// Reads and checks the meta pages; `None` for one that cannot be read.
pub(super) fn read<F: FileExt>(
    file: &mut PageFile<'_, F>,
    report: &mut PageReport,
) -> [Option<Meta>; META_PAGES as usize] {
    let page_bytes = file.page_bytes() as u64;
    let metas = [0, 1, 2].map(|page| {
        let meta = read_one(file, page);
        let checked = meta.as_ref().map_err(Clone::clone);
        if let Err(fault) = checked.and_then(|meta| check(meta, page, page_bytes)) {
            report.found(&PageTree::Meta, page, fault);
        }
        meta.ok()
    });
    report.torn_metas = metas.iter().flatten().filter(|meta| is_torn(meta)).count() as u64;
    check_together(&metas, report);
    metas
}

fn is_torn(meta: &Meta) -> bool {
    meta.transactions.0 != meta.transactions.1
}

/// One meta page, read until two reads agree.
fn read_one<F: FileExt>(file: &mut PageFile<'_, F>, page: u32) -> Result<Meta, PageFault> {
    let mut bytes = [0; META_BYTES];
    let mut again = [0; META_BYTES];
    file.read(page, 0, &mut bytes)?;
    for _ in 0..READ_TRIES {
        file.read(page, 0, &mut again)?;
        if bytes == again {
            break;
        }
        bytes = again;
    }
    Ok(Meta::of(&bytes))
}

fn check(meta: &Meta, page: u32, page_bytes: u64) -> Result<(), PageFault> {
    // These bytes are the same in every commit: they hold in a page that was written in part, too.
    let header = &meta.header;
    if header.number != page {
        return Err(PageFault::Number { found: header.number });
    }
    if header.kind != META {
        return Err(PageFault::Kind { found: header.kind, expected: META });
    }
    if header.transaction != 0 || header.zero != 0 || header.pages != 0 {
        let found = header.transaction | u64::from(header.zero) | u64::from(header.pages);
        return Err(PageFault::NotZero { found });
    }
    let wrong = |what, value| Err(PageFault::Meta { what, value });
    if meta.magic != MAGIC {
        return wrong("magic and version", meta.magic);
    }
    if u64::from(meta.page_bytes()) != page_bytes {
        return wrong("page size", meta.page_bytes().into());
    }
    if meta.zero != 0 {
        return wrong("reserved field", meta.zero.into());
    }
    let Some(transaction) = meta.transaction() else { return Ok(()) };
    if !SIGNS.contains(&meta.sign) {
        return wrong("sign", meta.sign);
    }
    if meta.least_pages < META_PAGES || meta.least_pages > meta.present_pages {
        return wrong("least number of pages", meta.least_pages.into());
    }
    if meta.present_pages > meta.most_pages {
        return wrong("number of pages", meta.present_pages.into());
    }
    if !(META_PAGES..=meta.present_pages).contains(&meta.first_unallocated) {
        return wrong("first unallocated page", meta.first_unallocated.into());
    }
    check_record(&meta.free, INTEGER_KEYS, "the free list", transaction, meta.first_unallocated)?;
    check_record(&meta.main, 0, "the list of tables", transaction, meta.first_unallocated)
}

/// What a tree's record cannot say, whatever the tree is.
pub(super) fn check_record(
    record: &TreeRecord,
    flags: u16,
    tree: &str,
    transaction: u64,
    first_unallocated: u32,
) -> Result<(), PageFault> {
    let wrong = |what, value| Err(PageFault::Record { tree: tree.to_owned(), what, value });
    if record.flags != flags {
        return wrong("flags", record.flags.into());
    }
    // In the free tree's record the page size stands there.
    if flags != INTEGER_KEYS && record.zero != 0 {
        return wrong("reserved field", record.zero.into());
    }
    if record.transaction > transaction {
        return wrong("transaction", record.transaction);
    }
    if record.root == NO_PAGE {
        let counts = [record.branch_pages, record.leaf_pages, record.large_pages];
        if record.height != 0 || record.rows != 0 || counts != [0; 3] {
            return wrong("rows without a root", record.rows);
        }
    } else if !(META_PAGES..first_unallocated).contains(&record.root) {
        return wrong("root", record.root.into());
    }
    Ok(())
}

/// No two of one transaction, and all of one file.
fn check_together(metas: &[Option<Meta>; META_PAGES as usize], report: &mut PageReport) {
    for (page, other) in [(1, 0), (2, 0), (2, 1)] {
        let (Some(meta), Some(other)) = (&metas[page], &metas[other]) else { continue };
        #[expect(clippy::cast_possible_truncation, reason = "1 or 2")]
        let page = page as u32;
        if let Some(value) =
            meta.transaction().filter(|_| meta.transaction() == other.transaction())
        {
            let what = "two meta pages of one transaction, number";
            report.found(&PageTree::Meta, page, PageFault::Meta { what, value });
        }
        if meta.file_id != other.file_id {
            let (what, value) = ("of another file than another meta page, number", page.into());
            report.found(&PageTree::Meta, page, PageFault::Meta { what, value });
        }
    }
}

/// The file is as long as the snapshot says. Its unallocated end may be missing where a later commit has cut it.
pub(super) fn check_length(meta: &Meta, newest: bool, file_bytes: u64, report: &mut PageReport) {
    let pages = if newest { meta.present_pages } else { meta.first_unallocated };
    let needed_bytes = u64::from(pages) * u64::from(meta.page_bytes());
    if file_bytes < needed_bytes {
        let fault = PageFault::FileShort { file_bytes, needed_bytes };
        report.found(&PageTree::Meta, meta.header.number, fault);
    }
}
