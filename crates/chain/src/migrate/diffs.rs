//! A diff of schema 2 as schema 3 would have written it: without the roots that the block's branch gives.

use lamella_tables::{Canonical, Diffs, Headers, Read as _, ReadError, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Checkpoint, Root, Slot, packed::put_varint};

use super::old::slot_of;
use crate::{
    meta::content,
    schema2::{Alone, OldDiff},
};

/// Format byte of the diffs that are written here.
const FORMAT: u8 = 2;

/// The diff of the block of this header; the end of it, justified slots and tally, is what it was.
pub(super) fn carry(
    old: &ReadTxn<'_>,
    key: &SlotRoot,
    header: &BlockHeader,
    diff: &[u8],
) -> Result<Vec<u8>, ReadError> {
    let diff = OldDiff::decode(diff, key.slot)
        .map_err(|error| content::<Diffs>(key, &error.to_string()))?;
    let OldDiff { validator_count, base, anchor, justified, finalized, rest } = diff;
    if base.root != header.parent_root || base.slot >= key.slot || anchor.slot > base.slot {
        return Err(content::<Diffs>(
            key,
            "its base is not the parent, or its anchor is above that",
        ));
    }
    let mut bytes = vec![FORMAT];
    put_varint(&mut bytes, validator_count);
    for below in [base, anchor] {
        put_varint(&mut bytes, key.slot - below.slot);
    }
    for Checkpoint { slot, root } in [justified, finalized] {
        let is_given =
            slot >= anchor.slot && slot < key.slot && branch_root(old, base, slot)? == root;
        put_varint(&mut bytes, (key.slot - slot) << 1 | u64::from(!is_given));
        if !is_given {
            bytes.extend_from_slice(root.as_bytes());
        }
    }
    bytes.extend_from_slice(rest);
    Ok(bytes)
}

/// A row of Canonical; `None` for one that cannot be read: headers say it too, only slower.
fn canonical(old: &ReadTxn<'_>, slot: Slot) -> Result<Option<Option<Root>>, ReadError> {
    match old.get::<Canonical>(&slot) {
        Err(ReadError::Damaged(_)) => Ok(None),
        row => row.map(Some),
    }
}

/// The block of this slot on the branch that ends in `tip`, as a state's history has it: zero where there is none.
///
/// # Cost
/// Two reads on the canonical chain; off it three for each block down to it.
fn branch_root(old: &ReadTxn<'_>, tip: Checkpoint, slot: Slot) -> Result<Root, ReadError> {
    let mut at = SlotRoot::new(tip.slot, tip.root);
    while at.slot > slot {
        if let (Some(Some(here)), Some(there)) = (canonical(old, at.slot)?, canonical(old, slot)?)
            && here == at.root
        {
            return Ok(there.unwrap_or(Root::ZERO));
        }
        let lost = |what| content::<Headers>(&at, what);
        let header = old.get::<Alone<Headers>>(&at)?;
        let parent_root = header.ok_or_else(|| lost("the header is lost"))?.parent_root;
        let parent_slot = slot_of(old, &parent_root)?;
        // Slots descend, so this ends.
        let parent_slot = parent_slot.filter(|parent| *parent < at.slot);
        let parent_slot = parent_slot.ok_or_else(|| lost("its parent is not stored below it"))?;
        at = SlotRoot::new(parent_slot, parent_root);
    }
    Ok(if at.slot == slot { at.root } else { Root::ZERO })
}
