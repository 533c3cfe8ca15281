//! A diff of schema 2 as schema 3 would have written it, without the roots that the block's branch gives, and the way back.

use lamella_tables::{Canonical, Diffs, Headers, ReadError, SlotRoot};
use lamella_types::{
    BlockHeader, Checkpoint, Root, Slot,
    packed::{FormatError, Reader, put_checkpoint_below, put_varint},
};

use super::{
    said::slot_of,
    side::{Schema, Side},
};
use crate::{meta::content, schema2::OldDiff};

/// Format byte of the diffs of schema 3.
const FORMAT: u8 = 2;

/// The diff of the block of this header in another schema; its end, justified slots and tally, is what it was.
pub(super) fn carry(
    old: Side<'_, '_>,
    to: Schema,
    key: &SlotRoot,
    header: &BlockHeader,
    diff: &[u8],
) -> Result<Vec<u8>, ReadError> {
    match (old.schema.is_today(), to.is_today()) {
        (false, true) => up(old, key, header, diff),
        (true, false) => down(old, key, header, diff),
        _ => Ok(diff.to_vec()),
    }
}

fn up(
    old: Side<'_, '_>,
    key: &SlotRoot,
    header: &BlockHeader,
    diff: &[u8],
) -> Result<Vec<u8>, ReadError> {
    let diff = OldDiff::decode(diff, key.slot).map_err(|error| not_a_diff(key, &error))?;
    let OldDiff { validator_count, base, anchor, justified, finalized, rest } = diff;
    check_base(key, base.slot, anchor.slot)?;
    if base.root != header.parent_root {
        return Err(content::<Diffs>(key, "its base is not the parent"));
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

fn down(
    old: Side<'_, '_>,
    key: &SlotRoot,
    header: &BlockHeader,
    diff: &[u8],
) -> Result<Vec<u8>, ReadError> {
    let head = Head::decode(diff, key.slot).map_err(|error| not_a_diff(key, &error))?;
    let Head { validator_count, base_slot, anchor_slot, checkpoints, rest } = head;
    check_base(key, base_slot, anchor_slot)?;
    let base = Checkpoint { slot: base_slot, root: header.parent_root };
    let anchor = Checkpoint { slot: anchor_slot, root: branch_root(old, base, anchor_slot)? };
    if anchor.root == Root::ZERO {
        return Err(content::<Diffs>(key, "its branch has no block at its anchor's slot"));
    }
    let mut bytes = vec![OldDiff::FORMAT];
    put_varint(&mut bytes, validator_count);
    for checkpoint in [base, anchor] {
        put_checkpoint_below(&mut bytes, key.slot, &checkpoint);
    }
    for (slot, root) in checkpoints {
        let root = root.map_or_else(|| branch_root(old, base, slot), Ok)?;
        put_checkpoint_below(&mut bytes, key.slot, &Checkpoint { slot, root });
    }
    bytes.extend_from_slice(rest);
    Ok(bytes)
}

/// What a diff of schema 3 begins with.
struct Head<'a> {
    validator_count: u64,
    base_slot: Slot,
    anchor_slot: Slot,
    /// Justified and finalized: the slot, and the root if the branch does not give it.
    checkpoints: [(Slot, Option<Root>); 2],
    rest: &'a [u8],
}

impl<'a> Head<'a> {
    fn decode(bytes: &'a [u8], slot: Slot) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.byte("format")? != FORMAT {
            return Err(FormatError { what: "format", position: 0 });
        }
        let validator_count = reader.varint("validators")?;
        let below = |reader: &Reader<'_>, what, distance: u64| {
            slot.checked_sub(distance).ok_or_else(|| reader.error(what))
        };
        let distance = reader.varint("base")?;
        let base_slot = below(&reader, "base", distance)?;
        let distance = reader.varint("anchor")?;
        let anchor_slot = below(&reader, "anchor", distance)?;
        let mut checkpoint = |what| {
            let distance = reader.varint(what)?;
            let slot = below(&reader, what, distance >> 1)?;
            Ok((slot, if distance & 1 == 1 { Some(reader.root(what)?) } else { None }))
        };
        let checkpoints = [checkpoint("justified")?, checkpoint("finalized")?];
        let end = reader.error("justified slots");
        let rest = bytes.get(end.position..).ok_or(end)?;
        Ok(Self { validator_count, base_slot, anchor_slot, checkpoints, rest })
    }
}

fn not_a_diff(key: &SlotRoot, error: &FormatError) -> ReadError {
    content::<Diffs>(key, &error.to_string())
}

fn check_base(key: &SlotRoot, base_slot: Slot, anchor_slot: Slot) -> Result<(), ReadError> {
    if base_slot < key.slot && anchor_slot <= base_slot {
        return Ok(());
    }
    Err(content::<Diffs>(key, "its base is not below it, or its anchor is above that"))
}

/// A row of Canonical; `None` for one that cannot be read: headers say it too, only slower.
fn canonical(old: Side<'_, '_>, slot: Slot) -> Result<Option<Option<Root>>, ReadError> {
    match old.get::<Canonical>(&slot) {
        Err(ReadError::Damaged(_)) => Ok(None),
        row => row.map(Some),
    }
}

/// The block of this slot on the branch that ends in `tip`, as a state's history has it: zero where there is none.
///
/// # Cost
/// Two reads on the canonical chain; off it three for each block down to it.
fn branch_root(old: Side<'_, '_>, tip: Checkpoint, slot: Slot) -> Result<Root, ReadError> {
    let mut at = SlotRoot::new(tip.slot, tip.root);
    while at.slot > slot {
        if let (Some(Some(here)), Some(there)) = (canonical(old, at.slot)?, canonical(old, slot)?)
            && here == at.root
        {
            return Ok(there.unwrap_or(Root::ZERO));
        }
        let lost = |what| content::<Headers>(&at, what);
        let header = old.get::<Headers>(&at)?;
        let parent_root = header.ok_or_else(|| lost("the header is lost"))?.parent_root;
        let parent_slot = slot_of(old, &parent_root)?;
        // Slots descend, so this ends.
        let parent_slot = parent_slot.filter(|parent| *parent < at.slot);
        let parent_slot = parent_slot.ok_or_else(|| lost("its parent is not stored below it"))?;
        at = SlotRoot::new(parent_slot, parent_root);
    }
    Ok(if at.slot == slot { at.root } else { Root::ZERO })
}
