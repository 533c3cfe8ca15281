//! What can be wrong with a page, with its numbers.

use std::fmt;

/// Where a page belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageTree {
    /// The three pages that a snapshot begins with.
    Meta,
    /// The tree of trees.
    Main,
    /// The free list.
    Free,
    /// A table.
    Table(String),
}

impl fmt::Display for PageTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Meta => f.write_str("meta"),
            Self::Main => f.write_str("list of tables"),
            Self::Free => f.write_str("free list"),
            Self::Table(name) => write!(f, "table {name}"),
        }
    }
}

/// A page that is not as the engine wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("page {page} ({tree}): {fault}")]
pub struct PageFinding {
    /// What the page belongs to.
    pub tree: PageTree,
    /// The page.
    pub page: u32,
    /// What is wrong.
    pub fault: PageFault,
}

/// What is wrong with a page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// The system cannot read it.
    #[error("cannot be read at byte {offset} of the file: {error}")]
    Unreadable {
        /// Where in the file.
        offset: u64,
        /// The system's words.
        error: String,
    },
    /// The file ends before it.
    #[error("the file ends at byte {file_bytes}, its pages at {needed_bytes}")]
    FileShort {
        /// Bytes of the file.
        file_bytes: u64,
        /// Bytes that it should have.
        needed_bytes: u64,
    },
    /// Its header says that it is another page.
    #[error("its header says that it is page {found}")]
    Number {
        /// What it says.
        found: u32,
    },
    /// Its header says that it is of another kind.
    #[error("its kind is {found:#06x}, not {expected:#06x}")]
    Kind {
        /// What it says.
        found: u16,
        /// What belongs there.
        expected: u16,
    },
    /// A field that is always zero is not.
    #[error("a field that is always zero holds {found}")]
    NotZero {
        /// What it holds.
        found: u64,
    },
    /// It was written by a later transaction than what points to it.
    #[error("written by transaction {found}, what points to it by {limit}")]
    Newer {
        /// Its transaction.
        found: u64,
        /// That of its parent, or of the snapshot.
        limit: u64,
    },
    /// A root was not written by the transaction that its tree's record names.
    #[error("root written by transaction {found}, its tree's record says {recorded}")]
    RootTransaction {
        /// Its transaction.
        found: u64,
        /// The record's.
        recorded: u64,
    },
    /// What points here points outside the pages in use.
    #[error("{count} pages from here are not among the pages 3 to {limit} in use")]
    Outside {
        /// Pages from this one on.
        count: u32,
        /// First page not in use.
        limit: u32,
    },
    /// Two pointers lead here.
    #[error("reached twice")]
    Twice,
    /// A tree uses it, and the free list names it: the next commits would overwrite it.
    #[error("in use and in the free list")]
    UsedAndFree,
    /// The free list names it twice.
    #[error("twice in the free list")]
    FreeTwice,
    /// Neither a tree nor the free list has it.
    #[error("{pages} pages from here on are neither in use nor free")]
    Lost {
        /// How many.
        pages: u64,
    },
    /// The bounds of its free space are not bounds.
    #[error("free space from {lower} to {upper} of {limit} bytes")]
    Bounds {
        /// Where it begins.
        lower: u16,
        /// Where it ends.
        upper: u16,
        /// Bytes behind the header.
        limit: usize,
    },
    /// It has fewer rows than a page of its kind can have.
    #[error("only {rows} rows")]
    TooFewRows {
        /// Its rows.
        rows: usize,
    },
    /// A node reaches out of the page, into another, or leaves a gap.
    #[error("row {row} at byte {offset} has {bytes} bytes: it leaves the page, or its place in it")]
    NodePlace {
        /// Which of the page's rows.
        row: usize,
        /// Its offset behind the header.
        offset: u16,
        /// Its length.
        bytes: u64,
    },
    /// A node has flags that do not belong in its tree.
    #[error("row {row} has flags {flags:#04x}")]
    NodeFlags {
        /// Which of the page's rows.
        row: usize,
        /// Its flags.
        flags: u8,
    },
    /// A key or a value has a length that its tree does not know.
    #[error("row {row}, key {key}, has a key of {key_bytes} and a value of {value_bytes} bytes")]
    Length {
        /// Which of the page's rows.
        row: usize,
        /// The key's first bytes in hex, as many as any table's has.
        key: String,
        /// Of its key.
        key_bytes: usize,
        /// Of its value.
        value_bytes: u64,
    },
    /// Its key is not above the one before.
    #[error("row {row} is not above the row before it")]
    Order {
        /// Which of the page's rows.
        row: usize,
    },
    /// Its key is outside what its parent says of this page.
    #[error("row {row} is outside the range that the page above gives this page")]
    Separator {
        /// Which of the page's rows.
        row: usize,
    },
    /// A large value has another number of pages than its length needs.
    #[error("{pages} pages for a value that needs {needed}")]
    LargePages {
        /// What its header says.
        pages: u32,
        /// What its length needs.
        needed: u32,
    },
    /// A tree's record does not fit what the tree is.
    #[error("its record says {recorded} {what}, the tree has {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// In the record.
        recorded: u64,
        /// In the tree.
        found: u64,
    },
    /// A tree's record contradicts itself, or what tables of ours look like.
    #[error("the record of {tree} cannot be: {what} {value}")]
    Record {
        /// The tree.
        tree: String,
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
    /// A table that is declared is missing, and another one's name is that of it but for one bit.
    #[error("a table {found:?}, and none {declared}")]
    Name {
        /// The name that is there.
        found: String,
        /// The name that should be.
        declared: &'static str,
    },
    /// A list of free pages is not descending, or longer than its row.
    #[error("the list of free pages of transaction {transaction} is broken at entry {entry}")]
    FreeList {
        /// The transaction that freed them.
        transaction: u64,
        /// Where in the list.
        entry: u64,
    },
    /// A list of free pages belongs to a transaction that has not been.
    #[error("a list of free pages of transaction {transaction}, the last one is {last}")]
    FreeTransaction {
        /// Its transaction.
        transaction: u64,
        /// The snapshot's.
        last: u64,
    },
    /// A field of a meta page cannot be.
    #[error("{what} {value:#x}")]
    Meta {
        /// The field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
}
