//! What the tables hold, counted there: a job that was killed and went on says the same as one that was not.

use lamella_tables::{
    Anchors, Bodies, DatabaseView, Diffs, EngineError, Headers, Meta, Read, ReadError, Signatures,
    SlotRoot, Table,
};
use lamella_types::{Root, Slot};

/// Rows of blocks that a directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Blocks.
    pub blocks: u64,
    /// Those with a state.
    pub states: u64,
    /// Those with a row of their body; the empty one has none.
    pub bodies: u64,
    /// Those with a proof.
    pub proofs: u64,
}

impl Left {
    /// # Cost
    /// Every key of these tables.
    pub(super) fn count(txn: &impl Read) -> Result<Self, ReadError> {
        let (first, end) = (SlotRoot::first_of(0), SlotRoot::new(Slot::MAX, Root::new([255; 32])));
        Ok(Self {
            blocks: count::<Headers>(txn, first, end)?,
            states: count::<Anchors>(txn, first, end)? + count::<Diffs>(txn, first, end)?,
            bodies: count::<Bodies>(txn, first, end)?,
            proofs: count::<Signatures>(txn, first, end)?,
        })
    }
}

/// Rows of a table between two keys.
pub(super) fn count<T: Table<Key = SlotRoot>>(
    txn: &impl Read,
    from: SlotRoot,
    end: SlotRoot,
) -> Result<u64, ReadError> {
    let keys = txn.scan_keys::<T>(from)?;
    Ok(keys.take_while(|key| key.as_ref().is_ok_and(|key| *key < end)).count() as u64)
}

/// Rows of all trees but that of `Meta`, as each tree's own record counts them, which opening for writing compared with the pages.
pub(super) fn rows_in_all(database: &DatabaseView) -> Result<u64, EngineError> {
    let trees = database.read()?.table_stats()?;
    Ok(trees.iter().filter(|tree| tree.name != Meta::PLACE.tree).map(|tree| tree.rows).sum())
}
