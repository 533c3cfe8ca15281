//! Rows and bytes of each table.

use std::{fmt, path::Path};

use lamella_tables::Read as _;
use serde::Serialize;

use super::{InspectError, open_tables};

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// Name.
    pub name: &'static str,
    /// Rows.
    pub rows: u64,
    /// Bytes of its pages.
    pub bytes: u64,
    /// Depth of its tree.
    pub depth: u32,
}

/// What `lamella db stats` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Every table.
    pub tables: Vec<TableSize>,
    /// Bytes of all their pages.
    pub live_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Pages that will be reused.
    pub free_pages: u64,
}

/// Reads the sizes that the engine keeps; no row is looked at.
///
/// # Errors
/// No database there, or the engine fails.
pub fn read(data_dir: &Path) -> Result<Stats, InspectError> {
    let database = open_tables(data_dir)?;
    let tables = database.read()?.table_stats()?;
    let tables: Vec<_> = tables
        .into_iter()
        .map(|table| TableSize {
            name: table.name,
            rows: table.rows,
            bytes: table.bytes,
            depth: table.depth,
        })
        .collect();
    let stats = database.stats()?;
    Ok(Stats {
        live_bytes: tables.iter().map(|table| table.bytes).sum(),
        tables,
        file_bytes: stats.file_bytes,
        page_bytes: stats.page_bytes,
        free_pages: stats.free_pages,
    })
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12}{:>12}{:>15}{:>11}{:>7}",
            "table", "rows", "bytes", "bytes/row", "depth"
        )?;
        for TableSize { name, rows, bytes, depth } in &self.tables {
            let each = bytes.checked_div(*rows).unwrap_or(0);
            writeln!(f, "{name:<12}{rows:>12}{bytes:>15}{each:>11}{depth:>7}")?;
        }
        writeln!(f, "{:<12}{:>27}", "live", self.live_bytes)?;
        write!(
            f,
            "{:<12}{:>27}, {} pages of {} bytes free (the engine's figures)",
            "file", self.file_bytes, self.free_pages, self.page_bytes
        )
    }
}
