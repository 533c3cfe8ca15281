//! `lamella db derive`: the indexes and the head, derived again although no start would see a reason to.

use std::path::Path;

use lamella_chain::{Chain, Recovered};
use lamella_inspect::{InspectError, database_path};
use serde_json::json;

use super::{CommandError, DbError, print_line};

/// Derives what follows in the database of a data directory.
pub(super) fn run(data_dir: &Path, json: bool) -> Result<(), CommandError> {
    let derived = Chain::derive(&database_path(data_dir)).map_err(InspectError::from);
    let derived = derived.map_err(DbError::from)?;
    let Recovered { votes, slots, canonical, fork_choice } = derived;
    if json {
        return print_line(&json!({
            "votes_dropped": votes,
            "slots": slots,
            "canonical": canonical,
            "fork_choice": fork_choice,
        }));
    }
    if !derived.is_something() {
        return print_line(&"every row that follows from others was as it should be");
    }
    let head = if fork_choice { ", head and checkpoints" } else { "" };
    print_line(&format!(
        "derived again: {slots} rows of Slots, {canonical} of Canonical{head}; {votes} votes dropped"
    ))
}
