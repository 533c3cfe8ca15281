//! `lamella db migrate`: the job is `lamella_chain::migrate`; here are its progress and its words.

use std::path::Path;

use lamella_chain::{
    SCHEMA_VERSION,
    migrate::{Done, Look, Migrated, Migration},
};
use lamella_inspect::database_path;
use serde_json::{Map, json};

use super::{CommandError, DbError, print_line, stoppable};

/// Migrates the database of a data directory.
pub(super) fn run(data_dir: &Path, migration: Migration, json: bool) -> Result<(), CommandError> {
    let path = database_path(data_dir);
    let migrated = stoppable(|progress| migration.run(&path, progress))?;
    match (migrated.map_err(DbError::from)?, json) {
        (Migrated::Nothing { schema }, _) => print_nothing(schema, json),
        (Migrated::Done(done), true) => print_line(&report(&done)),
        (Migrated::Done(done), false) => print_done(&done),
    }
}

/// Says what that would do.
pub(super) fn look(data_dir: &Path, migration: Migration, json: bool) -> Result<(), CommandError> {
    let path = database_path(data_dir);
    let looked = stoppable(|progress| migration.look(&path, progress))?;
    let Some(look) = looked.map_err(DbError::from)? else {
        return print_nothing(migration.to.unwrap_or(SCHEMA_VERSION), json);
    };
    let Look { from, to, rows, replaced, bytes, is_under_way } = look;
    if json {
        let rows: Map<_, _> =
            rows.into_iter().map(|(table, rows)| (table.to_owned(), rows.into())).collect();
        return print_line(&json!({
            "migrated": false,
            "schema_version": from,
            "to_schema_version": to,
            "rows": rows,
            "rows_replaced": replaced,
            "bytes": bytes,
            "under_way": is_under_way,
        }));
    }
    for (table, rows) in rows {
        print_line(&format!("{table:<12}{rows:>12} rows"))?;
    }
    if replaced > 0 {
        print_line(&format!("{replaced} rows cannot be read; see `lamella db verify`"))?;
    }
    let verb = if is_under_way { "goes on with the migration of" } else { "would migrate" };
    print_line(&format!("{verb} schema {from} to {to}, {bytes} bytes; nothing was written"))
}

fn print_nothing(schema: u32, json: bool) -> Result<(), CommandError> {
    if json {
        return print_line(&json!({ "migrated": false, "schema_version": schema }));
    }
    print_line(&format!("the database has schema {schema} already"))
}

fn report(done: &Done) -> serde_json::Value {
    json!({
        "migrated": true,
        "from_schema_version": done.from,
        "schema_version": done.to,
        "slot_ms_unsaid": done.slot_ms_unsaid,
        "rows": done.rows,
        "rows_in_all": done.rows_in_all,
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
    let Done { from, to, rows, rows_in_all, .. } = done;
    print_line(&format!(
        "schema {from} has become {to}, compared and checked: {rows_in_all} rows, {rows} of them moved by this run"
    ))?;
    if let Some(slot_ms) = done.slot_ms_unsaid {
        print_line(&format!(
            "schema {} does not store that a slot has {slot_ms} ms: give --slot-ms {slot_ms} on the way back",
            done.to
        ))?;
    }
    let (old, bytes) = (done.old.display(), done.old_bytes);
    print_line(&format!(
        "the old database is kept in {old}, {bytes} bytes; never start a node on it again. Delete it with: rm -r {old}"
    ))
}
