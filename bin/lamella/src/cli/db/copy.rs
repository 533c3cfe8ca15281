//! `lamella db backup` and `lamella db compact`: the job is `lamella_chain::copy`; here are their words.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use lamella_chain::{
    BACKUP_SILENT_SLOTS,
    copy::{BackedUp, Compacted, CopyJob, Sizes},
};
use lamella_inspect::database_path;
use serde_json::{Value, json};

use super::{CommandError, DbError, print_line, stoppable};
use crate::backup;

/// Copies the database of a data directory into another.
pub(super) fn back_up(
    data_dir: &Path,
    to: &Path,
    resume: bool,
    json: bool,
) -> Result<(), CommandError> {
    let (path, to_path) = (database_path(data_dir), database_path(to));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let done = stoppable(|progress| backup::run(&path, &to_path, now, resume, progress))?;
    let done = done.map_err(DbError::from)?;
    let BackedUp { rows, kept, blocks, head, finalized_slot, source, copy } = done;
    let to = to.display();
    if json {
        return print_line(&json!({
            "to": to.to_string(),
            "taken_unix_s": now,
            "rows": rows,
            "rows_kept": kept,
            "blocks": blocks,
            "head_slot": head.slot,
            "head_root": head.root.to_string(),
            "finalized_slot": finalized_slot,
            "silent_slots": BACKUP_SILENT_SLOTS,
            "tables": tables(&source, &copy),
            "source_bytes": source.file_bytes,
            "backup_bytes": copy.file_bytes,
        }));
    }
    print_sizes("source", "backup", &source, &copy)?;
    print_kept(rows, kept)?;
    print_line(&format!(
        "{to} is a backup up to block {} at slot {}, finalized slot {finalized_slot}: {blocks} blocks, every row proven, every invariant checked",
        head.root, head.slot
    ))?;
    print_line(&format!(
        "it does not know what its keys sign from now on: never start it while the original runs; a node with keys that begins with it is silent for {BACKUP_SILENT_SLOTS} slots"
    ))
}

/// Compacts the database of a data directory.
pub(super) fn compact(data_dir: &Path, resume: bool, json: bool) -> Result<(), CommandError> {
    let job = CopyJob { resume, ..CopyJob::default() };
    let path = database_path(data_dir);
    let done = stoppable(|progress| job.compact(&path, progress))?;
    let Compacted { rows, kept, before, after } = done.map_err(DbError::from)?;
    if json {
        return print_line(&json!({
            "rows": rows,
            "rows_kept": kept,
            "tables": tables(&before, &after),
            "before_bytes": before.file_bytes,
            "after_bytes": after.file_bytes,
        }));
    }
    print_sizes("before", "after", &before, &after)?;
    print_kept(rows, kept)?;
    print_line(&"compacted: every row compared, every invariant checked")
}

/// Names, rows and bytes of each tree, in both databases.
fn pairs<'a>(
    from: &'a Sizes,
    to: &'a Sizes,
) -> impl Iterator<Item = (&'static str, u64, u64, u64)> + 'a {
    from.trees.iter().zip(&to.trees).map(|(from, to)| (from.name, to.rows, from.bytes, to.bytes))
}

fn tables(from: &Sizes, to: &Sizes) -> Vec<Value> {
    let row = |(name, rows, before, after)| json!({ "name": name, "rows": rows, "bytes_before": before, "bytes_after": after });
    pairs(from, to).map(row).collect()
}

fn print_sizes(first: &str, second: &str, from: &Sizes, to: &Sizes) -> Result<(), CommandError> {
    print_line(&format!("{:<12}{:>12}{first:>15}{second:>15}", "table", "rows"))?;
    for (name, rows, before, after) in pairs(from, to) {
        print_line(&format!("{name:<12}{rows:>12}{before:>15}{after:>15}"))?;
    }
    print_line(&format!("{:<24}{:>15}{:>15}", "file", from.file_bytes, to.file_bytes))
}

fn print_kept(rows: u64, kept: u64) -> Result<(), CommandError> {
    if kept == 0 {
        return Ok(());
    }
    print_line(&format!("{kept} rows were there of an earlier run; {rows} were carried now"))
}
