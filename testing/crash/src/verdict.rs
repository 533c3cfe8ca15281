//! What the opening of a directory comes to, and one digest of all that is in it.

use std::collections::{BTreeMap, BTreeSet};

use lamella_tables::{DatabaseView, Headers, Meta, Read as _, SlotRoot, TABLES, Table as _};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why it could not be opened, or something else that must not be.
    pub error: Option<String>,
    /// Whether there was a chain, before one was made.
    pub is_chain: bool,
    /// Findings of the checks of every invariant.
    pub findings: Vec<String>,
    /// Digest of every row of every table.
    pub rows: String,
    /// Whether something had to be derived again.
    pub is_derived: bool,
    /// The same after it was closed and opened again.
    pub rows_again: String,
    /// Roots of all blocks of a node, whatever branch they are on.
    pub blocks: BTreeSet<String>,
    /// The guard's rows: `0 attestation` and the slot.
    pub guard: BTreeMap<String, u64>,
    /// The same of the copy beside the keys; `None` if it is not whole.
    pub copy: Option<BTreeMap<String, u64>>,
    /// Digest of every row after the other steps.
    pub rows_at_end: Option<String>,
}

/// Digest of every row of every table.
///
/// # Errors
/// What cannot be read, in words.
pub fn rows(database: &DatabaseView) -> Result<String, String> {
    rows_but(database, None)
}

/// Digest of every row of every table, but the one of this name in `Meta`.
///
/// # Errors
/// What cannot be read, in words.
pub fn rows_but(database: &DatabaseView, but: Option<&str>) -> Result<String, String> {
    let txn = database.read().map_err(text)?;
    let mut hasher = Xxh3::new();
    for table in TABLES {
        hasher.update(table.name.as_bytes());
        let rows = txn.raw_rows(table.name).map_err(text)?.ok_or("no such table")?;
        for row in rows {
            let row = row.map_err(text)?;
            if table.name == Meta::NAME && but.is_some_and(|but| row.key == but.as_bytes()) {
                continue;
            }
            for part in [&row.key, &row.stored] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
    }
    Ok(format!("{:032x}", hasher.digest128()))
}

/// Roots of all blocks, on whatever branch.
///
/// # Errors
/// What cannot be read, in words.
pub fn blocks(database: &DatabaseView) -> Result<BTreeSet<String>, String> {
    let txn = database.read().map_err(text)?;
    let keys = txn.scan_keys::<Headers>(SlotRoot::first_of(0)).map_err(text)?;
    keys.map(|key| key.map(|key| key.root.to_string()).map_err(text)).collect()
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
