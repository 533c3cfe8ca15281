//! `lamella db migrate`: the job is `lamella_chain::migrate`; here are its progress and its words.

use std::path::Path;

use lamella_chain::{
    SCHEMA_VERSION,
    migrate::{Done, Migrated, Migration},
};
use lamella_inspect::database_path;
use serde_json::json;

use super::{CommandError, DbError, print_line, stoppable};

/// Migrates the database of a data directory.
pub(super) fn run(data_dir: &Path, slot_ms: u64, json: bool) -> Result<(), CommandError> {
    let path = database_path(data_dir);
    let migrated = stoppable(|progress| Migration::new(slot_ms).run(&path, progress))?;
    match (migrated.map_err(DbError::from)?, json) {
        (Migrated::Nothing, true) => {
            print_line(&json!({ "migrated": false, "schema_version": SCHEMA_VERSION }))
        }
        (Migrated::Nothing, false) => {
            print_line(&format!("the database has schema {SCHEMA_VERSION} already"))
        }
        (Migrated::Done(done), true) => print_line(&report(&done)),
        (Migrated::Done(done), false) => print_done(&done),
    }
}

fn report(done: &Done) -> serde_json::Value {
    json!({
        "migrated": true,
        "schema_version": SCHEMA_VERSION,
        "rows": done.rows,
        "votes_dropped": done.votes_dropped,
        "keys_silenced": done.keys_silenced,
        "derived_again": done.recovered.is_something(),
        "began_again": done.began_again,
        "frontier_diverged": done.diverged,
        "old_path": done.old.display().to_string(),
        "old_bytes": done.old_bytes,
    })
}

fn print_done(done: &Done) -> Result<(), CommandError> {
    if done.began_again {
        print_line(
            &"begun again: the old database had changed since the migration that was under way",
        )?;
    }
    if let Some(frontier) = &done.diverged {
        print_line(&format!(
            "the tables were not where the frontier said ({frontier}); they were believed"
        ))?;
    }
    if done.votes_dropped > 0 {
        print_line(&format!(
            "{} votes could not be read and were left out; votes come again",
            done.votes_dropped
        ))?;
    }
    if done.keys_silenced > 0 {
        print_line(&format!(
            "{} rows of the sign guard could not be read; their keys sign no more",
            done.keys_silenced
        ))?;
    }
    if done.recovered.is_something() {
        print_line(
            &"head, indexes or checkpoints did not follow from blocks and votes, and were derived again",
        )?;
    }
    print_line(&format!("schema {SCHEMA_VERSION}, every invariant checked"))?;
    let (old, bytes) = (done.old.display(), done.old_bytes);
    print_line(&format!(
        "the old database is kept in {old}, {bytes} bytes; never start a node on it again. Delete it with: rm -r {old}"
    ))
}
