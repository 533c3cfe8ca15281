//! A planted fault that no recorded call shows: one step of a scenario made durable in two transactions, the row that says
//! how far pruning is in the first, and what was pruned with all else in the second.

use std::{fs, ops::ControlFlow, path::Path, sync::Arc};

use lamella_tables::{
    Database, DatabaseView, Look, Meta, OpenMode, Options, ReadError, RowPlace, Side, Table as _,
    trees,
};

use crate::scenario::Scenario;

/// The row of `Meta` that goes first.
const FIRST: &[u8] = b"pruning";

/// Takes the last step of a scenario in its directory so. What it comes to is made in another directory before.
///
/// # Errors
/// What failed, in words.
pub fn last_step(scenario: &Scenario, folder: &Path) -> Result<(), String> {
    let (database, whole) = (folder.join("db"), folder.join("../whole"));
    fs::create_dir_all(&whole).map_err(text)?;
    // Not as a copy: the recorder would take the call for one that writes here.
    let bytes = fs::read(database.join("mdbx.dat")).map_err(text)?;
    fs::write(whole.join("mdbx.dat"), bytes).map_err(text)?;
    let chain = Arc::new(scenario.open(&whole)?);
    scenario.run(&chain, scenario.steps.len() - 1, |_, _| {})?;
    drop(chain);
    let whole = DatabaseView::open(&whole).map_err(text)?;
    let ours = Database::open(&database, Options::new(OpenMode::Existing)).map_err(text)?;
    let (whole, mut places) = (whole.read().map_err(text)?, Vec::new());
    for tree in trees() {
        let note = |place, side| -> Result<_, ReadError> {
            places.push((place, side));
            Ok(ControlFlow::Continue(()))
        };
        let before = ours.read().map_err(text)?;
        whole.compare(&before, tree, &[], u64::MAX, Look::Bytes, note).map_err(text)?;
    }
    let is_first = |place: &RowPlace| place.table() == Meta::NAME && place.key() == FIRST;
    for is_taken in [true, false] {
        let mut txn = ours.write().map_err(text)?;
        for (place, side) in places.iter().filter(|(place, _)| is_first(place) == is_taken) {
            match (side, whole.stored_row(place).map_err(text)?) {
                (Side::First | Side::Both, Some(row)) => txn.put_stored(&row).map_err(text)?,
                _ => drop(txn.delete_stored(place).map_err(text)?),
            }
        }
        txn.commit().map_err(text)?;
    }
    Ok(())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
