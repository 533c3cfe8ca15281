//! `lamella db prune`: the job is `lamella_chain::prune`; here are its words.

use std::path::Path;

use lamella_chain::{
    PruneMode,
    prune::{PruneJob, Pruned},
};
use lamella_inspect::database_path;
use serde_json::json;

use super::{CommandError, DbError, print_line, stoppable};

/// Brings the database of a data directory to a mode, or says what that would do.
pub(super) fn run(
    data_dir: &Path,
    mode: Option<PruneMode>,
    drop_forks: Option<u64>,
    apply: bool,
    json: bool,
) -> Result<(), CommandError> {
    let path = database_path(data_dir);
    let job = PruneJob { drop_forks, ..PruneJob::new(mode) };
    let done = match apply {
        true => stoppable(|progress| job.run(&path, progress))?,
        false => job.look(&path),
    };
    let done = done.map_err(DbError::from)?;
    let Pruned { mode_before, mode, floor_before, floor, rows, commits, .. } = done;
    let Pruned { forks, fork_rows, file_bytes, free_bytes_before, free_bytes, .. } = done;
    if json {
        return print_line(&json!({
            "applied": apply,
            "mode_before": mode_before.to_string(),
            "mode": mode.to_string(),
            "states_from_slot_before": floor_before,
            "states_from_slot": floor,
            "rows": rows,
            "forks": forks,
            "fork_rows": fork_rows,
            "commits": commits,
            "file_bytes": file_bytes,
            "free_bytes_before": free_bytes_before,
            "free_bytes": free_bytes,
        }));
    }
    print_line(&format!("mode         {mode_before} -> {mode}"))?;
    print_line(&format!("states from  slot {floor_before} -> slot {floor}"))?;
    if !apply {
        return print_line(&format!(
            "{rows} rows of states, bodies and proofs and {forks} blocks of forks would go; nothing was changed: --apply does it, and what goes does not come back"
        ));
    }
    print_line(&format!(
        "{rows} rows of states, bodies and proofs and {forks} blocks of forks ({fork_rows} rows) deleted in {commits} commits, what is left was checked"
    ))?;
    print_line(&format!(
        "file         {file_bytes} bytes, free in it {free_bytes_before} -> {free_bytes}; `lamella db compact` gives back what the rows took"
    ))
}
