//! `lamella db diff`: the walk is `lamella_inspect::diff`; here are its words and its verdict.

use std::path::Path;

use lamella_inspect::{
    diff::{self, Diff},
    rows::ROWS_MAX,
};
use serde_json::json;

use super::{CommandError, DbError, print_line, stoppable};

/// Compares two data directories, and names so many rows of each table.
pub(super) fn run(
    first: &Path,
    second: &Path,
    limit: usize,
    json: bool,
) -> Result<(), CommandError> {
    let limit = limit.min(ROWS_MAX);
    let diff = stoppable(|progress| diff::compare(first, second, limit, progress))??;
    if json {
        print_line(&json!(diff))?
    } else {
        print(&diff)?
    }
    match diff.differing {
        _ if diff.stopped => Err(DbError::Stopped.into()),
        0 => Ok(()),
        count => Err(DbError::Differ { count }.into()),
    }
}

fn print(diff: &Diff) -> Result<(), CommandError> {
    for (name, table) in &diff.tables {
        print_line(&format!(
            "{name}: {} only in the first, {} only in the second, {} other",
            table.only_first, table.only_second, table.other
        ))?;
        for row in &table.rows {
            print_line(&format!("  {name}, key {}: {}", row.key, row.how))?;
        }
    }
    print_line(&format!("{} rows compared, {} of them different", diff.rows, diff.differing))
}
