//! Headers, bodies and the slot index.

use std::sync::LazyLock;

use lamella_tables::{
    Bodies, EngineError, Headers, Read, ReadError, Signatures, SlotRoot, Slots, WriteTxn,
};
use lamella_types::{Block, BlockBody, BlockHeader, Root, Slot, hash_tree_root};

use crate::contradiction;

/// Root of the empty body, which has no row.
static EMPTY_BODY_ROOT: LazyLock<Root> = LazyLock::new(|| hash_tree_root(&BlockBody::default()));

/// Writes header, body and slot index of a block. The proof is `put_signature`'s.
///
/// # Errors
/// When the engine fails.
pub fn put_block(
    txn: &mut WriteTxn<'_>,
    root: Root,
    header: &BlockHeader,
    body: &BlockBody,
) -> Result<(), EngineError> {
    put_unindexed(txn, &SlotRoot::new(header.slot, root), header, body)?;
    txn.put::<Slots>(&root, &header.slot)
}

/// Writes header and body of a block, for whoever writes the slot index of many at once: its keys are in no order, so a commit of
/// some blocks rewrites a page of it for each.
///
/// # Errors
/// When the engine fails.
pub fn put_unindexed(
    txn: &mut WriteTxn<'_>,
    key: &SlotRoot,
    header: &BlockHeader,
    body: &BlockBody,
) -> Result<(), EngineError> {
    txn.put::<Headers>(key, header)?;
    if has_body_row(header) {
        txn.put::<Bodies>(key, body)?;
    }
    Ok(())
}

/// The slot of a block, `None` if it is unknown.
///
/// # Errors
/// A damaged row, or the engine.
pub fn slot(txn: &impl Read, root: &Root) -> Result<Option<Slot>, ReadError> {
    txn.get::<Slots>(root)
}

/// The header of a block, `None` if it is unknown.
///
/// # Errors
/// A damaged row (an indexed block without a header is one), or the engine.
pub fn header(txn: &impl Read, root: &Root) -> Result<Option<BlockHeader>, ReadError> {
    let Some(slot) = slot(txn, root)? else {
        return Ok(None);
    };
    let header = header_at(txn, &SlotRoot::new(slot, *root))?;
    let missing = || contradiction::<Slots>(root, format!("no header at slot {slot}"));
    header.map(Some).ok_or_else(missing)
}

/// The header of the block of this slot and root.
///
/// # Errors
/// A damaged row, or the engine.
pub fn header_at(txn: &impl Read, key: &SlotRoot) -> Result<Option<BlockHeader>, ReadError> {
    txn.get::<Headers>(key)
}

/// Whether a block's body has a row: the empty one has none.
#[must_use]
pub fn has_body_row(header: &BlockHeader) -> bool {
    header.body_root != *EMPTY_BODY_ROOT
}

/// The body that belongs to a header.
///
/// # Errors
/// A damaged, missing or foreign body, or the engine.
pub fn body(txn: &impl Read, key: &SlotRoot, header: &BlockHeader) -> Result<BlockBody, ReadError> {
    if !has_body_row(header) {
        return Ok(BlockBody::default());
    }
    let Some(body) = txn.get::<Bodies>(key)? else {
        let what = format!("no body, the header wants {}", header.body_root);
        return Err(contradiction::<Bodies>(key, what));
    };
    let computed = hash_tree_root(&body);
    if computed != header.body_root {
        let what = format!("the body hashes to {computed}, the header wants {}", header.body_root);
        return Err(contradiction::<Bodies>(key, what));
    }
    Ok(body)
}

/// The block of this root, `None` if it is unknown.
///
/// # Errors
/// A damaged row, or the engine.
pub fn block(txn: &impl Read, root: &Root) -> Result<Option<Block>, ReadError> {
    let Some(header) = header(txn, root)? else {
        return Ok(None);
    };
    let body = body(txn, &SlotRoot::new(header.slot, *root), &header)?;
    Ok(Some(Block::from_parts(&header, body)))
}

/// Deletes a block's body and proof, whether or not they can be read; says how many rows those were.
///
/// # Errors
/// When the engine fails.
pub fn delete_contents(txn: &mut WriteTxn<'_>, key: &SlotRoot) -> Result<u64, EngineError> {
    let (body, proof) = (txn.delete::<Bodies>(key)?, txn.delete::<Signatures>(key)?);
    Ok(u64::from(body) + u64::from(proof))
}

/// Every stored block root of a slot, over all forks, ascending.
///
/// # Errors
/// A damaged key, or the engine.
pub fn roots_at(txn: &impl Read, slot: Slot) -> Result<Vec<Root>, ReadError> {
    let keys = txn.scan_keys::<Headers>(SlotRoot::first_of(slot))?;
    let of_slot = keys.take_while(|key| key.as_ref().map_or(true, |key| key.slot == slot));
    of_slot.map(|key| key.map(|key| key.root)).collect()
}
