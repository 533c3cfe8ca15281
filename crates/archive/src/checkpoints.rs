//! Checkpoints by reference: so many slots back on the canonical chain, or the index of a foreign one.
//!
//! ```text
//! checkpoint = distance below the block: varint, at least 1, for the canonical block of that slot in this segment, or its
//!              entry  |  0 | index: varint into the foreign checkpoints, in the order of their first use
//! ```

use std::collections::HashMap;

use lamella_types::{
    Checkpoint, Root, SEGMENT_ROOTS, Slot,
    packed::{FormatError, Reader, put_varint},
    root::ROOT_BYTES,
};

/// The canonical blocks that a segment has told so far.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    first_slot: Slot,
    entry: Checkpoint,
    /// 1,024 roots; zero where there is no block, or not yet.
    roots: Vec<u8>,
}

impl Told {
    pub fn new(first_slot: Slot, entry: Checkpoint) -> Self {
        let mut told = Self { first_slot, entry, roots: vec![0; SEGMENT_ROOTS * ROOT_BYTES] };
        told.put(entry.slot, &entry.root);
        told
    }

    /// Tells a block; one before the segment is the entry.
    pub fn put(&mut self, slot: Slot, root: &Root) {
        if let Some(place) = self.place(slot) {
            self.roots[place..place + ROOT_BYTES].copy_from_slice(root.as_bytes());
        }
    }

    /// The block at a slot.
    pub fn get(&self, slot: Slot) -> Option<Root> {
        if slot == self.entry.slot {
            return Some(self.entry.root);
        }
        let place = self.place(slot)?;
        Root::from_slice(&self.roots[place..place + ROOT_BYTES]).filter(|root| !root.is_zero())
    }

    /// The roots of the segment's slots.
    pub fn into_roots(self) -> Vec<u8> {
        self.roots
    }

    fn place(&self, slot: Slot) -> Option<usize> {
        let offset = usize::try_from(slot.checked_sub(self.first_slot)?).ok()?;
        (offset < SEGMENT_ROOTS).then_some(offset * ROOT_BYTES)
    }
}

/// Checkpoints that are not among the blocks told, in the order of their first use.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    list: Vec<Checkpoint>,
    indices: HashMap<Checkpoint, usize>,
}

impl Foreign {
    pub fn list(&self) -> &[Checkpoint] {
        &self.list
    }

    /// Appends a checkpoint as the block at `slot` names it.
    pub fn put(&mut self, buffer: &mut Vec<u8>, told: &Told, slot: Slot, checkpoint: &Checkpoint) {
        let distance = slot.checked_sub(checkpoint.slot).filter(|distance| *distance > 0);
        if let Some(distance) = distance
            && told.get(checkpoint.slot) == Some(checkpoint.root)
        {
            return put_varint(buffer, distance);
        }
        let next = self.list.len();
        let index = *self.indices.entry(*checkpoint).or_insert(next);
        if index == next {
            self.list.push(*checkpoint);
        }
        put_varint(buffer, 0);
        put_varint(buffer, index as u64);
    }
}

/// Reads what [`Foreign::put`] wrote.
pub(crate) fn read_checkpoint(
    reader: &mut Reader<'_>,
    what: &'static str,
    told: &Told,
    foreign: &[Checkpoint],
    slot: Slot,
) -> Result<Checkpoint, FormatError> {
    let error = reader.error(what);
    let distance = reader.varint(what)?;
    if distance > 0 {
        let slot = slot.checked_sub(distance).ok_or(error)?;
        return told.get(slot).map(|root| Checkpoint { slot, root }).ok_or(error);
    }
    let index = usize::try_from(reader.varint(what)?).map_err(|_| error)?;
    foreign.get(index).copied().ok_or(error)
}
