//! That every block of a database of an older schema is whole: what can be checked without reading its states, which only
//! today's are.

use lamella_tables::{Anchors, Diffs, Headers, Read as _, ReadTxn, SlotRoot, Slots};
use lamella_types::{BlockBody, hash_tree_root};

use super::{
    error::MigrateError,
    side::{Schema, Side},
};
use crate::invariants::Finding;

/// Every block is in the index, has the body that its header names, and an anchor or a diff (S1, S2).
pub(super) fn check(txn: &ReadTxn<'_>, schema: Schema) -> Result<(), MigrateError> {
    let side = Side { txn, schema };
    let mut blocks = 0;
    for row in side.scan::<Headers>(SlotRoot::first_of(0))? {
        let (key, header) = row?;
        blocks += 1;
        if side.get::<Slots>(&key.root)? != Some(key.slot) {
            return Err(finding("S1", format!("block {key} is not in Slots")));
        }
        let body = side.body(&key)?.unwrap_or_else(BlockBody::default);
        if hash_tree_root(&body) != header.body_root {
            return Err(finding(
                "S1",
                format!("block {key} has another body than its header says"),
            ));
        }
        if side.has::<Anchors>(&key)? == side.has::<Diffs>(&key)? {
            return Err(finding("S2", format!("block {key} has neither anchor nor diff, or both")));
        }
    }
    let indexed = txn.scan_keys::<Slots>(lamella_types::Root::ZERO)?.count();
    if indexed != blocks {
        return Err(finding("S1", format!("Slots has {indexed} blocks, Headers {blocks}")));
    }
    Ok(())
}

const fn finding(invariant: &'static str, what: String) -> MigrateError {
    MigrateError::Findings { count: 1, first: Finding { invariant, what } }
}
