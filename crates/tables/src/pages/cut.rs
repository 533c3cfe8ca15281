//! A file that ends before its pages do, told before the engine sees it: the engine shortens such a file to whole pages
//! when it recovers, and says no more than that it is damaged.

use std::{fs::File, io, path::Path};

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
    let Some(newest) = newest_meta(&data).filter(|meta| meta.sign == FLUSHED) else {
        return Ok(());
    };
    let sizes = Sizes::of(&data, &newest).map_err(io)?;
    if sizes.file >= sizes.in_use && sizes.lacks() <= LOST_GROWTH_BYTES_MAX {
        return Ok(());
    }
    let needed_bytes = if sizes.file < sizes.in_use { sizes.in_use } else { sizes.present };
    let fault = PageFault::FileShort { file_bytes: sizes.file, needed_bytes };
    let finding = PageFinding { tree: PageTree::Meta, page: newest.header.number, fault };
    Err(OpenError::Pages { path: path.to_owned(), finding_count: 1, findings: vec![finding] })
}

/// A data file, as its newest meta page says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    /// What the file may grow to.
    pub(crate) size_bytes_max: usize,
    /// Whether the commit was flushed.
    pub(crate) is_flushed: bool,
    /// Whether the file ends before the length that it had.
    pub(crate) is_cut: bool,
}

/// What the newest meta page says of the data file; `None` where that cannot be.
pub(crate) fn geometry(path: &Path) -> Option<Geometry> {
    let data = File::open(path.join(DATA_FILE)).ok()?;
    let newest = newest_meta(&data)?;
    let sizes = Sizes::of(&data, &newest).ok()?;
    let most = u64::from(newest.most_pages) * u64::from(newest.page_bytes());
    let size_bytes_max = usize::try_from(most).ok()?;
    let (is_flushed, is_cut) = (newest.sign == FLUSHED, sizes.lacks() > 0);
    let can_be = sizes.lacks() <= LOST_GROWTH_BYTES_MAX;
    can_be.then_some(Geometry { size_bytes_max, is_flushed, is_cut })
}

/// Bytes of a data file, and of what its newest meta page says.
struct Sizes {
    file: u64,
    in_use: u64,
    present: u64,
}

impl Sizes {
    fn of(data: &File, newest: &Meta) -> io::Result<Self> {
        let bytes = |pages: u32| u64::from(pages) * u64::from(newest.page_bytes());
        let (in_use, present) = (bytes(newest.first_unallocated), bytes(newest.present_pages));
        Ok(Self { file: data.metadata()?.len(), in_use, present })
    }

    /// What the file ends before its length.
    const fn lacks(&self) -> u64 {
        self.present.saturating_sub(self.file)
    }
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
