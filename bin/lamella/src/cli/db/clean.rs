//! `lamella db clean`: what interrupted jobs left, and its deletion when the user says so.

use std::path::Path;

use lamella_chain::leftovers;
use lamella_inspect::database_path;
use serde_json::json;

use super::{CommandError, DbError, print_line};

/// Lists the leftovers of a data directory, and deletes those that can go if told to.
pub(super) fn run(data_dir: &Path, delete: bool, json: bool) -> Result<(), CommandError> {
    let found = leftovers::find(&database_path(data_dir)).map_err(DbError::from)?;
    let mut said = Vec::new();
    for leftover in &found {
        let stays = match delete {
            true => leftover.delete().map_err(DbError::from)?,
            false => leftover.stays,
        };
        let can_go = stays.is_none();
        let (path, what, bytes) = (leftover.path.display(), leftover.what, leftover.bytes);
        let verdict = match &stays {
            Some(stays) => stays.to_string(),
            None if delete => "deleted".to_owned(),
            None => "can be deleted".to_owned(),
        };
        if !json {
            print_line(&format!("{path}: {what}, {bytes} bytes: {verdict}"))?;
        }
        said.push(json!({
            "path": path.to_string(),
            "what": what,
            "bytes": bytes,
            "can_go": can_go,
            "deleted": can_go && delete,
            "verdict": verdict,
        }));
    }
    if json {
        return print_line(&json!({ "leftovers": said }));
    }
    match (found.len(), delete) {
        (0, _) => print_line(&"nothing is left of interrupted jobs"),
        (_, false) => print_line(&"nothing was deleted: --delete deletes"),
        (_, true) => Ok(()),
    }
}
