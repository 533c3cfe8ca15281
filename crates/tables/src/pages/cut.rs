//! A file that ends before its pages do, told before the engine sees it: the engine shortens such a file to whole pages
//! when it recovers, and says no more than that it is damaged.

use std::{fs::File, path::Path};

use super::{
    file::PageFile,
    layout::{MAGIC, META_BYTES, META_PAGES, Meta},
};
use crate::{
    error::OpenError,
    lock::DATA_FILE,
    page_fault::{PageFault, PageFinding, PageTree},
};

/// Sign of a commit that was flushed. The engine goes back behind any other by itself.
const FLUSHED: u64 = u64::MAX;

/// Unused bytes that may be missing at the end: what a power cut takes of a growth. The largest transaction writes 64 proofs of
/// 512 KiB and grows the file by steps of 32 MiB; this is four times both. Where a meta page says more, a bit of it is wrong,
/// and a writer would make the file as long as that.
const LOST_GROWTH_BYTES_MAX: u64 = 256 << 20;

/// Refuses a data file that is shorter than what its last flushed commit uses. One that lacks only unused pages at its
/// end is none of these: a writer makes it longer again.
///
/// # Errors
/// [`OpenError::Pages`] with both lengths.
pub(crate) fn require_whole_file(path: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.join(DATA_FILE), source };
    let data = File::open(path.join(DATA_FILE)).map_err(io)?;
    let file_bytes = data.metadata().map_err(io)?.len();
    let Some(newest) = newest_meta(&data).filter(|meta| meta.sign == FLUSHED) else {
        return Ok(());
    };
    let in_use_bytes = u64::from(newest.first_unallocated) * u64::from(newest.page_bytes());
    let present_bytes = u64::from(newest.present_pages) * u64::from(newest.page_bytes());
    let is_growth_lost = present_bytes.saturating_sub(file_bytes) <= LOST_GROWTH_BYTES_MAX;
    if file_bytes >= in_use_bytes && is_growth_lost {
        return Ok(());
    }
    let needed_bytes = if file_bytes < in_use_bytes { in_use_bytes } else { present_bytes };
    let fault = PageFault::FileShort { file_bytes, needed_bytes };
    let finding = PageFinding { tree: PageTree::Meta, page: newest.header.number, fault };
    Err(OpenError::Pages { path: path.to_owned(), finding_count: 1, findings: vec![finding] })
}

/// The newest meta page that was written to its end; what cannot be read or is not ours, the engine refuses.
fn newest_meta(data: &File) -> Option<Meta> {
    let read = |page, page_bytes| {
        let mut bytes = [0; META_BYTES];
        PageFile::new(data, page_bytes).read(page, 0, &mut bytes).ok()?;
        Some(Meta::of(&bytes)).filter(|meta| meta.magic == MAGIC)
    };
    let page_bytes = usize::try_from(read(0, 0)?.page_bytes()).ok()?;
    let metas = (0..META_PAGES).filter_map(|page| read(page, page_bytes));
    metas.filter(|meta| meta.transaction().is_some()).max_by_key(Meta::transaction)
}
