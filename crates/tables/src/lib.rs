//! Every stored table, declared once, and the transactions that read and write them.
//!
//! The engine (MDBX) keeps B-trees crash-safe but does not check data pages. So each value either hashes to
//! its own key (headers, history segments, registries) or carries a checksum over table, key and value, and
//! every read verifies it. A value that fails is [`Damage`], an error that names table and key: it is never
//! returned, never taken for an absent row, and never deleted.
//!
//! This crate knows nothing of blocks and states beyond their bytes, and opens no transaction by itself.

mod body;
mod compare;
mod create;
mod data_file;
mod database;
mod elsewhere;
mod error;
mod fault;
mod key;
mod lazy;
mod lock;
mod many;
mod options;
mod page_check;
mod page_fault;
mod pages;
mod raw;
mod reader_table;
mod readers;
mod schema;
mod stored;
mod transaction;
mod value;
mod view;

/// Where the engine's own log lines come from, for whoever filters them.
pub const LOG_TARGET: &str = "libmdbx";

pub use compare::{Look, RowPlace, Side, StoredRow, Walked};
pub use database::Database;
pub use error::{
    Consequence, Damage, EngineError, OpenError, Operation, ReadError, RowTooLong, TookTooLong,
};
pub use fault::Fault;
pub use key::{DutyKey, Key, KeyKind, MetaName, SegmentKey, SlotRoot};
pub use lock::FolderLock;
pub use options::{Durability, OpenMode, Options};
pub use page_check::PageCheck;
pub use page_fault::{PageFault, PageFinding, PageTree};
pub use pages::{PageProgress, PageReport};
pub use raw::{RawKey, RawRow, Unowned};
pub use reader_table::OpenReader;
pub use readers::OldestRead;
pub use schema::{
    Anchors, Bodies, Canonical, Diffs, Headers, History, Meta, Place, Registries, Seal, SignGuard,
    Signatures, Slots, TABLES, Table, TableInfo, TableStats, Votes, trees,
};
pub use transaction::{Read, ReadTxn, Row, WriteTxn};
pub use value::{Bytes, Value};
pub use view::{DatabaseStats, DatabaseView, LockedView};
