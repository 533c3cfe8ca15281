//! What one imported block adds: an anchor with its new segments, or a diff.

use std::sync::Arc;

use lamella_state_diff::{Anchor, DiffBase, StateDiff};
use lamella_tables::{
    Anchors, Bytes, Diffs, History, Read as _, Registries, SegmentKey, SlotRoot, WriteTxn,
};
use lamella_types::{BlockHeader, Root, Slot, State};

use crate::{
    ANCHOR_INTERVAL_SLOTS,
    error::StateWriteError,
    store::{StoredState, checkpoint},
};

/// Whether a block at `slot` on a parent at `parent_slot` stores its state whole: it crosses a multiple of 1,024.
#[must_use]
pub const fn crosses_anchor(parent_slot: Slot, slot: Slot) -> bool {
    slot / ANCHOR_INTERVAL_SLOTS > parent_slot / ANCHOR_INTERVAL_SLOTS
}

/// Stores the post-state of a child of `base`. Upholds S2: exactly one of anchor and diff.
///
/// # Errors
/// [`StateWriteError`]; a state that is not the child's post-state is refused before anything is written.
pub fn put_child(
    txn: &mut WriteTxn<'_>,
    base: &DiffBase,
    root: Root,
    header: &BlockHeader,
    state: &Arc<State>,
) -> Result<StoredState, StateWriteError> {
    check_root(root, header, state)?;
    let diff = StateDiff::build(base, state)?;
    let key = SlotRoot::new(header.slot, root);
    if crosses_anchor(base.block().slot, header.slot) {
        return put_anchor(txn, key, state);
    }
    txn.put::<Diffs>(&key, &Bytes(diff.encode()))?;
    let (anchor, tally_deltas) = (diff.anchor, diff.tally.number());
    Ok(StoredState { state: Arc::clone(state), anchor, tally_deltas })
}

/// Stores the state that a directory begins with.
///
/// # Errors
/// [`StateWriteError`].
pub fn put_bootstrap(
    txn: &mut WriteTxn<'_>,
    root: Root,
    header: &BlockHeader,
    state: &Arc<State>,
) -> Result<StoredState, StateWriteError> {
    check_root(root, header, state)?;
    put_anchor(txn, SlotRoot::new(header.slot, root), state)
}

fn put_anchor(
    txn: &mut WriteTxn<'_>,
    key: SlotRoot,
    state: &Arc<State>,
) -> Result<StoredState, StateWriteError> {
    // Upholds S4: segments and registry are stored with the first anchor that names them.
    for (index, segment) in (0..).zip(state.historical_block_hashes.segments()) {
        let segment_key = SegmentKey { index, root: segment.root() };
        if !txn.has::<History>(&segment_key)? {
            txn.put::<History>(&segment_key, segment)?;
        }
    }
    let registry_root = state.validators.root();
    if !txn.has::<Registries>(&registry_root)? {
        txn.put::<Registries>(&registry_root, &state.validators)?;
    }
    txn.put::<Anchors>(&key, &Bytes(Anchor::of(state).encode()))?;
    Ok(StoredState { state: Arc::clone(state), anchor: checkpoint(key), tally_deltas: 0 })
}

fn check_root(root: Root, header: &BlockHeader, state: &State) -> Result<(), StateWriteError> {
    let computed = state.root();
    let expected = header.state_root;
    if computed == expected {
        Ok(())
    } else {
        Err(StateWriteError::RootMismatch { root, computed, expected })
    }
}
