//! Blocks that no branch of interest descends to: orphaned forks, dropped with all their rows.
//!
//! The hard idea: a diff rests on its parent's state and a block on its parent, so a fork may only go from its tips down. What
//! is dropped is old, off the canonical chain, below the live tree, and nobody's ancestor but of what is dropped too; children go
//! before their parents. So after each commit every block that is left has all that it rests on (S2), and who goes on after a
//! kill finds by the tables what is left to do: there is no other note of it.

use std::collections::HashSet;

use lamella_block_store::{self as block_store, UncheckedProofs};
use lamella_state_store::{anchor_links, delete_state};
use lamella_tables::{
    Anchors, Bodies, Headers, History, Read, ReadError, SegmentKey, Signatures, SlotRoot, Slots,
    WriteTxn,
};
use lamella_types::{Root, Slot};

use crate::meta::put_block_count;

/// The blocks that may go, the newest first: off the canonical chain, below `limit`, and no ancestor of another one that stays.
/// `limit` is no slot above the root of the live tree.
///
/// # Errors
/// A damaged header or row of Canonical: what cannot be read could be an ancestor.
///
/// # Cost
/// Every header is read; 72 bytes of memory for each block off the canonical chain.
pub(super) fn orphans(txn: &impl Read, limit: Slot) -> Result<Vec<SlotRoot>, ReadError> {
    let mut off_chain: Vec<(SlotRoot, Root)> = Vec::new();
    for row in txn.scan::<Headers>(SlotRoot::first_of(0))? {
        let (key, header) = row?;
        if block_store::canonical_root(txn, key.slot)? != Some(key.root) {
            off_chain.push((key, header.parent_root));
        }
    }
    let (mut ancestors, mut orphans) = (HashSet::new(), Vec::new());
    for (key, parent_root) in off_chain.into_iter().rev() {
        if key.slot >= limit || ancestors.contains(&key.root) {
            ancestors.insert(parent_root);
        } else {
            orphans.push(key);
        }
    }
    Ok(orphans)
}

/// Deletes these blocks with all their rows, and the segments that only they needed; says how many rows those were.
///
/// # Errors
/// A damaged row of Meta, or the engine. Damaged rows of the blocks are no obstacle: they are not read.
pub(super) fn drop_blocks(txn: &mut WriteTxn<'_>, blocks: &[SlotRoot]) -> Result<u64, ReadError> {
    let mut unchecked = UncheckedProofs::read(txn)?;
    let (mut rows, mut was_bad) = (0, false);
    for key in blocks {
        rows += delete_state(txn, key)?;
        let deleted = [
            txn.delete::<Bodies>(key)?,
            txn.delete::<Signatures>(key)?,
            txn.delete::<Slots>(&key.root)?,
            txn.delete::<Headers>(key)?,
        ];
        rows += deleted.into_iter().map(u64::from).sum::<u64>();
        was_bad |= unchecked.replaced(key);
    }
    if was_bad {
        unchecked.put(txn)?;
    }
    rows += drop_segments(txn)?;
    put_block_count(txn)?;
    Ok(rows)
}

/// Upholds S4: segments that no anchor names any more, which were those of branches that are gone.
///
/// # Cost
/// Every anchor is read: 256 on the longest chain without forks.
fn drop_segments(txn: &mut WriteTxn<'_>) -> Result<u64, ReadError> {
    let mut named = HashSet::new();
    for key in txn.scan_keys::<Anchors>(SlotRoot::first_of(0))? {
        named.extend(anchor_links(txn, &key?)?.into_iter().flat_map(|links| links.segments));
    }
    let first = SegmentKey { index: 0, root: Root::ZERO };
    let keys: Vec<SegmentKey> = txn.scan_keys::<History>(first)?.collect::<Result<_, _>>()?;
    let mut rows = 0;
    for key in keys.iter().filter(|key| !named.contains(key)) {
        rows += u64::from(txn.delete::<History>(key)?);
    }
    Ok(rows)
}
