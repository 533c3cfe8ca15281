//! What a stored state row names: for a checker, which follows names without putting states together.

use lamella_state_diff::{Anchor, StateDiff};
use lamella_tables::{Anchors, Bytes, Diffs, Read, ReadError, SegmentKey, SlotRoot};
use lamella_types::{Root, Slot};

use crate::error::content;

/// What a diff rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffLinks {
    /// Slot of the parent.
    pub base_slot: Slot,
    /// Slot of the nearest ancestor stored whole.
    pub anchor_slot: Slot,
    /// Tally deltas since the last full tally, this one included; 0 for a full one.
    pub tally_deltas: u8,
}

/// What an anchor rests on, and the chain that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorLinks {
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Root of the registry.
    pub registry_root: Root,
    /// Its history segments.
    pub segments: Vec<SegmentKey>,
}

/// The links of a block's diff; `None` if it has none.
///
/// # Errors
/// A damaged row, or the engine.
pub fn diff_links(txn: &impl Read, key: &SlotRoot) -> Result<Option<DiffLinks>, ReadError> {
    let Some(Bytes(bytes)) = txn.get::<Diffs>(key)? else { return Ok(None) };
    let diff = StateDiff::decode(&bytes, key.slot).map_err(|error| content::<Diffs>(key, error))?;
    let tally_deltas = diff.tally.number();
    Ok(Some(DiffLinks { base_slot: diff.base_slot, anchor_slot: diff.anchor_slot, tally_deltas }))
}

/// The links of a block's anchor; `None` if it has none.
///
/// # Errors
/// A damaged row, or the engine.
pub fn anchor_links(txn: &impl Read, key: &SlotRoot) -> Result<Option<AnchorLinks>, ReadError> {
    let Some(Bytes(bytes)) = txn.get::<Anchors>(key)? else { return Ok(None) };
    let anchor = Anchor::decode(&bytes).map_err(|error| content::<Anchors>(key, error))?;
    let segments = (0..).zip(&anchor.segment_roots);
    Ok(Some(AnchorLinks {
        genesis_time: anchor.genesis_time(),
        registry_root: anchor.registry_root,
        segments: segments.map(|(index, root)| SegmentKey { index, root: *root }).collect(),
    }))
}
