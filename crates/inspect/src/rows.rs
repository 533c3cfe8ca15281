//! The rows of a table, whatever they hold: keys, sizes, and bytes if asked for.

use std::path::Path;

use serde::Serialize;

use super::{InspectError, open_tables};

/// Rows shown at once.
pub const ROWS_MAX: usize = 10_000;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Key, hex.
    pub key: String,
    /// Bytes stored, checksum included.
    pub stored_bytes: usize,
    /// The bytes in hex, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<String>,
}

/// Some rows of the table of this name, in key order.
///
/// # Errors
/// [`InspectError::UnknownTable`] for an unknown name; no database there; the engine fails.
pub fn rows(
    data_dir: &Path,
    table: &str,
    skip: usize,
    limit: usize,
    values: bool,
) -> Result<Vec<Row>, InspectError> {
    let database = open_tables(data_dir)?;
    let txn = database.read()?;
    let unknown = || InspectError::UnknownTable(table.to_owned());
    let limit = limit.min(ROWS_MAX);
    if values {
        let rows = txn.raw_rows(table)?.ok_or_else(unknown)?.skip(skip).take(limit);
        return rows
            .map(|row| {
                let row = row?;
                Ok(Row {
                    key: const_hex::encode(&row.key),
                    stored_bytes: row.stored.len(),
                    stored: Some(const_hex::encode(&row.stored)),
                })
            })
            .collect();
    }
    let rows = txn.raw_keys(table, &[])?.ok_or_else(unknown)?.skip(skip).take(limit);
    rows.map(|row| {
        let row = row?;
        Ok(Row { key: const_hex::encode(&row.key), stored_bytes: row.stored_bytes, stored: None })
    })
    .collect()
}
