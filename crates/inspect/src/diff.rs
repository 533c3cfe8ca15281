//! Which rows two databases do not have in common, by table: of two directories, or of one and a running node's.
//!
//! Both are walked side by side, some rows in each pair of snapshots, and what is kept of a difference is its table and key: so
//! it takes as much memory for a chain of any length. Beside a running node, rows that it writes meanwhile differ or not
//! as the walk meets them.

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path};

use lamella_chain::{ChainOpenError, Identity, Progress, explain};
use lamella_tables::{DatabaseView, Look, Read as _, ReadError, RowPlace, Side, trees};
use serde::Serialize;

use super::{InspectError, database_path, open_tables};

/// Rows compared in one pair of snapshots: as many proofs of 0.26 MB are 130 MB to read twice.
const STEP_ROWS: u64 = 512;

/// What differs in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableDiff {
    /// Rows that the first alone has.
    pub only_first: u64,
    /// Rows that the second alone has.
    pub only_second: u64,
    /// Rows that both have, with other bytes.
    pub other: u64,
    /// The first of them, in the order of their keys.
    pub rows: Vec<RowDiff>,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowDiff {
    /// Its key, as its table writes it.
    pub key: String,
    /// Its key, hex.
    pub key_bytes: String,
    /// `only_first`, `only_second` or `other`.
    pub how: &'static str,
}

/// What two databases do not have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Rows that were compared; one that both have counts once.
    pub rows: u64,
    /// Rows that differ.
    pub differing: u64,
    /// By table, those that differ.
    pub tables: BTreeMap<&'static str, TableDiff>,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

impl Diff {
    fn add(&mut self, place: &RowPlace, side: Side, rows_max: usize) {
        self.differing += 1;
        let table = self.tables.entry(place.table()).or_default();
        let (count, how) = match side {
            Side::First => (&mut table.only_first, "only_first"),
            Side::Second => (&mut table.only_second, "only_second"),
            Side::Both => (&mut table.other, "other"),
        };
        *count += 1;
        if table.rows.len() < rows_max {
            let (key, key_bytes) = (place.key_text(), const_hex::encode(place.key()));
            table.rows.push(RowDiff { key, key_bytes, how });
        }
    }
}

/// Compares two data directories, and keeps so many rows of each table by name. `progress` is called after each step and may stop it.
///
/// # Errors
/// No database there, a row whose place cannot be trusted, or the engine.
///
/// # Cost
/// Every row of both is read.
pub fn compare(
    first_dir: &Path,
    second_dir: &Path,
    rows_max: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Diff, InspectError> {
    let first = open_todays(first_dir)?;
    // The engine opens a database once in a process.
    let is_one = fs::canonicalize(first_dir).ok() == fs::canonicalize(second_dir).ok();
    let other = if is_one { None } else { Some(open_todays(second_dir)?) };
    let second = other.as_ref().unwrap_or(&first);
    let mut diff = Diff::default();
    for tree in trees() {
        let stats = first.read()?.table_stats()?;
        let total = stats.iter().find(|stats| stats.name == tree).map_or(0, |stats| stats.rows);
        let (mut after, mut done) = (Vec::new(), 0);
        loop {
            let (ours, theirs) = (first.read()?, second.read()?);
            let differs = |place: RowPlace, side| -> Result<ControlFlow<()>, ReadError> {
                diff.add(&place, side, rows_max);
                Ok(ControlFlow::Continue(()))
            };
            let step = ours.compare(&theirs, tree, &after, STEP_ROWS, Look::Bytes, differs)?;
            drop((ours, theirs));
            diff.rows += step.rows;
            done += step.rows;
            let total = total.max(done);
            if progress(Progress { stage: tree, done, total }).is_break() {
                diff.stopped = true;
                return Ok(diff);
            }
            if step.is_end {
                break;
            }
            after = step.last;
        }
    }
    Ok(diff)
}

/// A database whose tables are those of this version: of another schema each row would differ. One that is damaged is compared.
fn open_todays(data_dir: &Path) -> Result<DatabaseView, InspectError> {
    use ChainOpenError::{Layout, Newer, Older};
    let database = open_tables(data_dir)?;
    let identity = Identity::read(&database.read()?);
    match identity {
        Err(error @ (Older { .. } | Newer { .. } | Layout { .. })) => {
            Err(explain(&database_path(data_dir), error).into())
        }
        _ => Ok(database),
    }
}
