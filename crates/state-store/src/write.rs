//! What one imported block adds: an anchor with its new segments, or a diff.

use std::sync::Arc;

use lamella_state_diff::{Anchor, DiffBase, StateDiff};
use lamella_tables::{
    Anchors, Diffs, EngineError, History, Read as _, Registries, SegmentKey, SlotRoot, WriteTxn,
};
use lamella_types::{BlockHeader, Root, Slot, State};

use crate::{
    ANCHOR_INTERVAL_SLOTS,
    error::StateWriteError,
    stored_state::{StoredState, checkpoint},
};

/// Whether a block at `slot` on a parent at `parent_slot` stores its state whole: it crosses a multiple of 1,024.
#[must_use]
pub const fn crosses_anchor(parent_slot: Slot, slot: Slot) -> bool {
    slot / ANCHOR_INTERVAL_SLOTS > parent_slot / ANCHOR_INTERVAL_SLOTS
}

/// A post-state ready to be stored: proved, encoded, not yet written.
#[derive(Debug, Clone)]
pub struct PreparedState {
    row: StateRow,
    stored: StoredState,
}

/// What is written of a post-state.
#[derive(Debug, Clone)]
pub struct StateRow {
    key: SlotRoot,
    bytes: Vec<u8>,
    /// Of an anchor, whose segments and registry are rows of their own; `None` of a diff.
    whole: Option<Arc<State>>,
}

impl PreparedState {
    /// Prepares the post-state of a child of `base`: a diff, or an anchor where the block crosses one.
    ///
    /// # Errors
    /// [`StateWriteError`] for a state that is not the child's post-state.
    ///
    /// # Cost
    /// The diff's bytes, and the state's root (cached in its parts as a rule).
    pub fn child(
        base: &DiffBase,
        root: Root,
        header: &BlockHeader,
        state: Arc<State>,
    ) -> Result<Self, StateWriteError> {
        check_root(root, header, &state)?;
        let diff = StateDiff::build(base, &state)?;
        if crosses_anchor(base.block().slot, header.slot) {
            return Ok(Self::anchor(SlotRoot::new(header.slot, root), state));
        }
        let stored =
            StoredState { state, anchor: base.anchor(), tally_deltas: diff.tally.number() };
        let key = SlotRoot::new(header.slot, root);
        Ok(Self { row: StateRow { key, bytes: diff.encode(), whole: None }, stored })
    }

    /// Prepares the state that a directory begins with.
    ///
    /// # Errors
    /// [`StateWriteError::RootMismatch`] for a state that the block does not commit to.
    pub fn bootstrap(
        root: Root,
        header: &BlockHeader,
        state: Arc<State>,
    ) -> Result<Self, StateWriteError> {
        check_root(root, header, &state)?;
        Ok(Self::anchor(SlotRoot::new(header.slot, root), state))
    }

    fn anchor(key: SlotRoot, state: Arc<State>) -> Self {
        let (bytes, whole) = (Anchor::of(&state).encode(), Some(Arc::clone(&state)));
        let stored = StoredState { state, anchor: checkpoint(key), tally_deltas: 0 };
        Self { row: StateRow { key, bytes, whole }, stored }
    }

    /// The state and its place in the store.
    #[must_use]
    pub const fn stored(&self) -> &StoredState {
        &self.stored
    }

    /// What is to be written, for whoever has no use for the state.
    #[must_use]
    pub fn into_row(self) -> StateRow {
        self.row
    }

    /// As [`StateRow::put`].
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), EngineError> {
        self.row.put(txn)
    }
}

impl StateRow {
    /// Bytes of the row's value; the parts of an anchor that are new not counted.
    #[must_use]
    pub const fn value_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the anchor with the segments and registry that are new, or the diff. Upholds S2: exactly one of both.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), EngineError> {
        match &self.whole {
            None => txn.put_slice::<Diffs>(&self.key, &self.bytes),
            Some(state) => {
                put_parts(txn, state)?;
                txn.put_slice::<Anchors>(&self.key, &self.bytes)
            }
        }
    }
}

/// Deletes a block's state row, whether or not it can be read; says how many rows that were. Segments and registry stay.
///
/// # Errors
/// When the engine fails.
pub fn delete_state(txn: &mut WriteTxn<'_>, key: &SlotRoot) -> Result<u64, EngineError> {
    let (diff, anchor) = (txn.delete::<Diffs>(key)?, txn.delete::<Anchors>(key)?);
    Ok(u64::from(diff) + u64::from(anchor))
}

/// Upholds S4: segments and registry are stored with the first anchor that names them.
fn put_parts(txn: &mut WriteTxn<'_>, state: &State) -> Result<(), EngineError> {
    for (index, segment) in (0..).zip(state.historical_block_hashes.segments()) {
        let key = SegmentKey { index, root: segment.root() };
        if !txn.has::<History>(&key)? {
            txn.put::<History>(&key, segment)?;
        }
    }
    let root = state.validators.root();
    if !txn.has::<Registries>(&root)? {
        txn.put::<Registries>(&root, &state.validators)?;
    }
    Ok(())
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
