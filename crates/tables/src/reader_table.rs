//! Who reads the database, of all processes: the engine's table of readers, read as plain bytes.
//!
//! A reader keeps the pages that it can see from being reused, so one that is stopped grows the file for as long as it
//! lives. The engine's safe interface does not name it; `mdbx.lck` does. Its layout is the engine's own and differs between
//! systems, so it says which it has in one number; a table with another number is not read.

use std::{fs, path::Path};

use crate::{error::OpenError, lock::READERS_FILE};

/// A process that has a snapshot open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenReader {
    /// Its process.
    pub process_id: u32,
    /// Commits since its snapshot.
    pub lag_transactions: u64,
    /// Bytes of the file that wait for it: what those commits freed.
    pub held_bytes: u64,
}

/// Where the counter of entries is, for glibc on 64-bit x86.
const LENGTH_AT: usize = 552;

/// Where the entries begin.
const ENTRIES_AT: usize = 576;

/// Bytes of an entry: `[transaction: u64 | thread: u64 | process: u32 | pages: u32 | pages freed before it: u64]`.
const ENTRY_BYTES: usize = 32;

/// The engine's own number for this layout: the signature of its locks, and where four fields are.
const LAYOUT: u32 = 0x8017_u32
    .wrapping_mul(27_733)
    .wrapping_add(32 * 13 + 20 * 251 + 360 * 83)
    .wrapping_add(552 * 37 + 576 * 29);

/// An entry of a snapshot that is open.
struct Entry {
    transaction: u64,
    process_id: u32,
    freed_before: u64,
}

/// The open snapshots of other processes, oldest first; `None` where the table has another layout. The caller holds a
/// snapshot of the newest commit, which is what the others are compared with.
pub(crate) fn others(path: &Path, page_bytes: u64) -> Result<Option<Vec<OpenReader>>, OpenError> {
    let path = path.join(READERS_FILE);
    let table = fs::read(&path).map_err(|source| OpenError::Io { path, source })?;
    let Some(entries) = parse(&table) else {
        return Ok(None);
    };
    let own = std::process::id();
    let newest = entries.iter().map(|entry| entry.transaction).max().unwrap_or_default();
    let freed = entries.iter().map(|entry| entry.freed_before).max().unwrap_or_default();
    let others = entries.iter().filter(|entry| entry.process_id != own);
    let mut readers: Vec<_> = others
        .map(|entry| OpenReader {
            process_id: entry.process_id,
            lag_transactions: newest - entry.transaction,
            held_bytes: (freed - entry.freed_before).saturating_mul(page_bytes),
        })
        .collect();
    readers.sort_by_key(|reader| std::cmp::Reverse(reader.lag_transactions));
    Ok(Some(readers))
}

fn parse(table: &[u8]) -> Option<Vec<Entry>> {
    let number = |at: usize| Some(u32::from_ne_bytes(*table.get(at..)?.first_chunk()?));
    if number(8)? != LAYOUT {
        return None;
    }
    let length = number(LENGTH_AT)? as usize;
    let entries = table.get(ENTRIES_AT..)?.chunks_exact(ENTRY_BYTES).take(length);
    let open = entries.filter_map(|entry| {
        let word = |at: usize| Some(u64::from_ne_bytes(*entry.get(at..)?.first_chunk()?));
        let transaction = word(0)?;
        let process_id = u32::from_ne_bytes(*entry.get(16..)?.first_chunk()?);
        // An entry between two snapshots has an impossible number.
        let is_open = process_id != 0 && transaction < u64::MAX >> 1;
        is_open.then_some(Entry { transaction, process_id, freed_before: word(24)? })
    });
    Some(open.collect())
}
