//! The canonical index: the block root of each slot on the head's chain.

use lamella_tables::{Canonical, EngineError, Read, ReadError, WriteTxn};
use lamella_types::{Root, Slot};

/// The root of the canonical block at `slot`; `None` where the chain skipped it, has not reached it, or the row was lost:
/// only the neighbours tell which.
///
/// # Errors
/// A damaged row, or the engine.
pub fn canonical_root(txn: &impl Read, slot: Slot) -> Result<Option<Root>, ReadError> {
    txn.get::<Canonical>(&slot)
}

/// Puts a block on the canonical chain.
///
/// # Errors
/// When the engine fails.
pub fn put_canonical(txn: &mut WriteTxn<'_>, slot: Slot, root: Root) -> Result<(), EngineError> {
    txn.put::<Canonical>(&slot, &root)
}

/// Takes the block of a slot off the canonical chain.
///
/// # Errors
/// When the engine fails.
pub fn remove_canonical(txn: &mut WriteTxn<'_>, slot: Slot) -> Result<(), EngineError> {
    txn.delete::<Canonical>(&slot).map(|_| ())
}
