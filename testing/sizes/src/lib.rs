//! What a chain takes on disk, by table. The tests that hold it to limits are in `tests`; nothing here is timed.
//!
//! Blocks are those of the benchmarks: from a fixed seed, through the real import, so every figure is the same in
//! every run of one version of the engine.
//!
//! | question | file |
//! |---|---|
//! | bytes a slot by table, healthy and stalled | `tests/it/slots` |
//! | the file against what lives in it | `tests/it/file` |
//! | anchors, history and registry of a whole chain | `tests/it/anchors` |
//! | 32 cached states, counted by the allocator | `tests/memory` |

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fmt, fs};

use lamella_tables::{DatabaseView, Read as _};

/// Bytes of a chain's directory.
#[derive(Debug, Clone)]
pub struct DiskBytes {
    /// Bytes of each tree's pages.
    pub tables: BTreeMap<&'static str, u64>,
    /// Bytes of the file.
    pub file: u64,
}

impl DiskBytes {
    /// Measures a database.
    #[must_use]
    pub fn of(database: &DatabaseView) -> Self {
        let stats = database.read().unwrap().table_stats().unwrap();
        let tables = stats.into_iter().map(|table| (table.name, table.bytes)).collect();
        let files = fs::read_dir(database.path()).unwrap();
        let data =
            files.map(Result::unwrap).filter(|file| file.file_name().to_str() != Some("LOCK"));
        let sizes = data.map(|file| file.metadata().unwrap().len());
        // The data file is the largest by far; the others hold reader slots and a process number.
        Self { tables, file: sizes.max().unwrap() }
    }

    /// Bytes of one table.
    #[must_use]
    pub fn table(&self, name: &str) -> u64 {
        self.tables[name]
    }

    /// Bytes of all tables: what lives in the file.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.tables.values().sum()
    }

    /// What was added since an earlier measurement, spread over a number of slots.
    #[must_use]
    pub fn per_slot_since(&self, before: &Self, slots: u64) -> PerSlot {
        let grown = |(name, bytes): (&&'static str, &u64)| {
            let bytes =
                i64::try_from(*bytes).unwrap() - i64::try_from(before.tables[name]).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
            let per_slot = bytes as f64 / slots as f64;
            (*name, per_slot)
        };
        PerSlot(self.tables.iter().map(grown).collect())
    }
}

/// Bytes that a slot adds to each table.
#[derive(Debug, Clone)]
pub struct PerSlot(pub BTreeMap<&'static str, f64>);

impl PerSlot {
    /// Bytes of all trees.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.0.values().sum()
    }
}

impl fmt::Display for PerSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes) in self.0.iter().filter(|(_, bytes)| **bytes != 0.0) {
            writeln!(f, "  {name:<12} {bytes:>8.1} B a slot")?;
        }
        write!(f, "  in all {:.1} B a slot", self.total())
    }
}
