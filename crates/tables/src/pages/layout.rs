//! The engine's structures, read from bytes. The layout is in the header of `pages`.

/// Meta pages at the beginning of the file.
pub(super) const META_PAGES: u32 = 3;
/// Bytes of a page's header.
pub(super) const HEADER_BYTES: usize = 20;
/// Bytes of a node before its key.
pub(super) const NODE_BYTES: usize = 8;
/// Bytes of a tree's record.
pub(super) const TREE_BYTES: usize = 48;
/// Bytes of a meta page that mean something.
pub(super) const META_BYTES: usize = 244;

/// Page numbers are 31 bits; this one means an empty tree.
pub(super) const NO_PAGE: u32 = u32::MAX;

pub(super) const BRANCH: u16 = 1;
pub(super) const LEAF: u16 = 2;
pub(super) const LARGE: u16 = 4;
pub(super) const META: u16 = 8;

/// The value is on large pages.
pub(super) const NODE_LARGE: u8 = 1;
/// The value is a tree's record.
pub(super) const NODE_TREE: u8 = 2;

/// The magic of the file and the version of its format.
pub(super) const MAGIC: u64 = 0x0059_659D_BDEF_4C11 << 8 | 3;
/// The free tree's flags: its keys are integers.
pub(super) const INTEGER_KEYS: u16 = 8;

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let slice = bytes.get(at..).and_then(|rest| rest.first_chunk());
    // A short slice reads as zeros; callers hand in whole structures.
    slice.copied().unwrap_or([0; N])
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(bytes, at))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

/// A page's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) transaction: u64,
    pub(super) zero: u16,
    pub(super) kind: u16,
    pub(super) lower: u16,
    pub(super) upper: u16,
    /// Lower and upper in one: pages of a large value.
    pub(super) pages: u32,
    pub(super) number: u32,
}

impl Header {
    pub(super) fn of(page: &[u8]) -> Self {
        Self {
            transaction: u64_at(page, 0),
            zero: u16_at(page, 8),
            kind: u16_at(page, 10),
            lower: u16_at(page, 12),
            upper: u16_at(page, 14),
            pages: u32_at(page, 12),
            number: u32_at(page, 16),
        }
    }
}

/// A tree's record.
#[derive(Debug, Clone, Copy)]
pub(super) struct TreeRecord {
    pub(super) flags: u16,
    pub(super) height: u16,
    /// Always zero; in a meta page's free tree the page size.
    pub(super) zero: u32,
    pub(super) root: u32,
    pub(super) branch_pages: u32,
    pub(super) leaf_pages: u32,
    pub(super) large_pages: u32,
    pub(super) rows: u64,
    pub(super) transaction: u64,
}

impl TreeRecord {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self {
            flags: u16_at(bytes, 0),
            height: u16_at(bytes, 2),
            zero: u32_at(bytes, 4),
            root: u32_at(bytes, 8),
            branch_pages: u32_at(bytes, 12),
            leaf_pages: u32_at(bytes, 16),
            large_pages: u32_at(bytes, 20),
            rows: u64_at(bytes, 32),
            transaction: u64_at(bytes, 40),
        }
    }
}

/// A meta page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) header: Header,
    pub(super) magic: u64,
    /// The transaction number, as written first and last.
    pub(super) transactions: (u64, u64),
    /// Always zero.
    pub(super) zero: u32,
    pub(super) least_pages: u32,
    pub(super) most_pages: u32,
    pub(super) present_pages: u32,
    pub(super) first_unallocated: u32,
    pub(super) free: TreeRecord,
    pub(super) main: TreeRecord,
    pub(super) sign: u64,
    pub(super) file_id: [u8; 16],
}

impl Meta {
    pub(super) fn of(page: &[u8]) -> Self {
        Self {
            header: Header::of(page),
            magic: u64_at(page, 20),
            transactions: (u64_at(page, 28), u64_at(page, 196)),
            zero: u32_at(page, 36),
            least_pages: u32_at(page, 44),
            most_pages: u32_at(page, 48),
            present_pages: u32_at(page, 52),
            first_unallocated: u32_at(page, 56),
            free: TreeRecord::of(page.get(60..).unwrap_or_default()),
            main: TreeRecord::of(page.get(108..).unwrap_or_default()),
            sign: u64_at(page, 188),
            file_id: array(page, 228),
        }
    }

    /// The transaction that wrote it; `None` if it was not written to the end, or was taken back.
    pub(super) fn transaction(&self) -> Option<u64> {
        let (first, last) = self.transactions;
        (first == last && first != 0).then_some(first)
    }

    pub(super) const fn page_bytes(&self) -> u32 {
        self.free.zero
    }
}
