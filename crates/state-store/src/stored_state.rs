//! A stored state and its place.

use std::sync::Arc;

use lamella_state_diff::DiffBase;
use lamella_tables::SlotRoot;
use lamella_types::{Checkpoint, Root, State};

/// A state and where it stands in the store.
#[derive(Debug, Clone)]
pub struct StoredState {
    /// The post-state.
    pub state: Arc<State>,
    /// The nearest ancestor stored whole; the block itself, if it is.
    pub anchor: Checkpoint,
    /// Tally deltas between it and the last full tally.
    pub tally_deltas: u8,
}

impl StoredState {
    /// This state as the base of its children's diffs.
    #[must_use]
    pub fn base(&self, root: Root) -> DiffBase {
        let block = Checkpoint { root, slot: self.state.slot };
        DiffBase::capture(block, self.anchor, self.tally_deltas, Arc::clone(&self.state))
    }
}

pub(crate) const fn checkpoint(key: SlotRoot) -> Checkpoint {
    Checkpoint { root: key.root, slot: key.slot }
}
