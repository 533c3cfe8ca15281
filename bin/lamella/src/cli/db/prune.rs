//! `lamella db prune`: the job is `lamella_chain::prune`; here are its words.

use std::path::Path;

use lamella_chain::{
    PruneMode,
    prune::{Left, PruneJob, Pruned},
};
use lamella_inspect::database_path;
use serde_json::{Value, json};

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
    if json {
        return print_line(&report(&done, apply));
    }
    print_text(&done, apply)
}

fn report(done: &Pruned, apply: bool) -> Value {
    let Left { blocks, states, bodies, proofs } = done.left;
    json!({
        "applied": apply,
        "mode_before": done.mode_before.to_string(),
        "mode": done.mode.to_string(),
        "states_from_slot_before": done.floor_before,
        "states_from_slot": done.floor,
        "slots_held_for_archive": done.held,
        "archive": done.archive,
        "frontier_diverged": done.diverged.map(|key| key.to_string()),
        "rows": done.rows,
        "forks": done.forks,
        "fork_rows": done.fork_rows,
        "left": { "blocks": blocks, "states": states, "bodies": bodies, "proofs": proofs },
        "commits": done.commits,
        "checked_all": done.checked_all,
        "file_bytes": done.file_bytes,
        "free_bytes_before": done.free_bytes_before,
        "free_bytes": done.free_bytes,
    })
}

fn print_text(done: &Pruned, apply: bool) -> Result<(), CommandError> {
    let Pruned { mode_before, mode, floor_before, floor, held, rows, commits, .. } = done;
    let Pruned { forks, fork_rows, file_bytes, free_bytes_before, free_bytes, .. } = done;
    if let Some(swept) = done.diverged {
        print_line(&format!(
            "the tables were not where the frontier said ({swept}); they were believed"
        ))?;
    }
    print_line(&format!("mode         {mode_before} -> {mode}"))?;
    print_line(&format!("states from  slot {floor_before} -> slot {floor}"))?;
    if let Some(archive) = done.archive.as_ref().filter(|_| *held > 0) {
        print_line(&format!(
            "held         {held} slots that {archive} lacks: a node that ships there prunes them once they are there, one without --archive with its imports"
        ))?;
    }
    if !apply {
        return print_line(&format!(
            "{rows} rows of states, bodies and proofs and {forks} blocks of forks would go; nothing was changed: --apply does it, and what goes does not come back"
        ));
    }
    print_line(&format!(
        "{rows} rows of states, bodies and proofs and {forks} blocks of forks ({fork_rows} rows) deleted, commits: {commits}"
    ))?;
    let Left { blocks, states, bodies, proofs } = done.left;
    print_line(&format!(
        "left         {blocks} blocks, {states} states, {bodies} bodies, {proofs} proofs"
    ))?;
    print_line(&match done.checked_all {
        true => "checked      every invariant".to_owned(),
        false => format!(
            "checked      that each row has its block, the states of 1024 slots from slot {floor} on, history, and the head; `lamella db verify` checks all"
        ),
    })?;
    print_line(&format!(
        "file         {file_bytes} bytes, free in it {free_bytes_before} -> {free_bytes}; `lamella db compact` gives back what the rows took"
    ))
}
