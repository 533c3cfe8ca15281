//! The canonical index: the block root of each slot on the head's chain.

use lamella_tables::{Canonical, EngineError, Read, ReadError, WriteTxn};
use lamella_types::{Root, Slot};

/// The root of the canonical block at `slot`; `None` where the chain skipped it or has not reached it.
///
/// # Errors
/// A damaged row, or the engine.
pub fn canonical_root(txn: &impl Read, slot: Slot) -> Result<Option<Root>, ReadError> {
    txn.get::<Canonical>(&slot)
}

/// Roots of the canonical blocks of `count` slots from `start_slot` on, ascending; skipped slots have none.
///
/// # Errors
/// A damaged row, or the engine.
///
/// # Cost
/// One scan of at most `count` rows.
pub fn canonical_roots(
    txn: &impl Read,
    start_slot: Slot,
    count: u64,
) -> Result<Vec<Root>, ReadError> {
    let end = start_slot.saturating_add(count);
    let mut roots = Vec::new();
    for row in txn.scan::<Canonical>(start_slot)? {
        let (slot, root) = row?;
        if slot >= end {
            break;
        }
        roots.push(root);
    }
    Ok(roots)
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
