//! Every numbered invariant, with progress, and what each of them means.

use std::{ops::ControlFlow, path::Path};

use lamella_chain::{Progress, Report};

use super::{InspectError, ends, held::HeldSlots, open_tables};

/// What each invariant says, in one line.
pub const MEANINGS: &[(&str, &str)] = &[
    ("E1", "every page of the file is in one place, in order and in bounds"),
    ("S1", "every block has its header, its body and its slot"),
    ("S2", "every block has one anchor or diff, and a diff its base"),
    ("S3", "every state hashes to its block's state root"),
    ("S4", "every history segment and registry hashes to its key"),
    ("C1", "the canonical index is the head's chain, complete"),
    ("L1", "the live tree is its root and all that descends from it"),
    ("P1", "proofs are missing only below the finalized floor"),
    ("P3", "states are missing only below the floor of states"),
    ("F1", "head and checkpoints are what votes and blocks give"),
    ("I1", "the directory is of the chain that its states are of"),
    ("G1", "the sign guard can be read, as far as a directory can show"),
];

/// Checks the directory; `progress` may stop it.
///
/// # Errors
/// No database there, or the engine fails. Findings are in the report.
pub fn run(
    data_dir: &Path,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, InspectError> {
    let database = open_tables(data_dir)?;
    Ok(lamella_chain::verify(&database, progress)?)
}

/// Slots of which every block is here.
///
/// # Errors
/// No database there, or a damaged row, which [`run`] names.
pub fn held(data_dir: &Path) -> Result<Vec<HeldSlots>, InspectError> {
    Ok(ends::held_slots(&open_tables(data_dir)?.read()?)?)
}
