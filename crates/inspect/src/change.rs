//! What a block changed in its parent's state: both in short, and what of it is stored.

use lamella_block_store as block_store;
use lamella_state_diff::TallyDiff;
use lamella_state_store::StateStore;
use lamella_tables::{Anchors, Bytes, Read as _, ReadTxn, SlotRoot};
use lamella_types::{Checkpoint, Root, Slot, State, bits::count_ones};
use serde::Serialize;

use super::{
    error::{LookupError, contradiction},
    json, stored,
    which::Located,
};

/// Pending roots that a state in short lists at most; in a healthy chain it has a few.
pub const PENDING_MAX: usize = 64;

/// A block's post-state beside its parent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// The block.
    #[serde(serialize_with = "json::field")]
    pub block: Root,
    /// Its parent.
    #[serde(serialize_with = "json::field")]
    pub parent: Root,
    /// What is stored of the state.
    pub stored: StoredAs,
    /// The parent's state; `None` if the chain begins with this block, or the states before it are pruned.
    pub before: Option<StateInShort>,
    /// The block's.
    pub after: StateInShort,
}

/// How a state is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoredAs {
    /// As what it changes in its parent's.
    Diff {
        /// Bytes of the row.
        bytes: usize,
        /// Slot of the parent.
        base_slot: Slot,
        /// Slot of the nearest ancestor whose state is stored whole.
        anchor_slot: Slot,
        /// What became of the pending votes.
        tally: TallyChange,
    },
    /// Whole, but for its registry and its complete history segments.
    Anchor {
        /// Bytes of the row.
        bytes: usize,
    },
}

/// What a diff says of pending votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TallyChange {
    /// `full` or `delta`.
    pub kind: &'static str,
    /// Deltas since the last full tally; 0 for a full one.
    pub number: u8,
    /// Roots that are new.
    pub added: usize,
    /// Roots that are gone.
    pub removed: usize,
    /// Roots with new votes.
    pub changed: usize,
}

impl TallyChange {
    pub(crate) fn of(tally: &TallyDiff) -> Self {
        let (kind, added, removed, changed) = match tally {
            TallyDiff::Full(roots) => ("full", roots.len(), 0, 0),
            TallyDiff::Delta { added, removed, changed, .. } => {
                ("delta", added.len(), removed.len(), changed.len())
            }
        };
        Self { kind, number: tally.number(), added, removed, changed }
    }
}

/// A state without its lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateInShort {
    /// Slot of its block.
    pub slot: Slot,
    /// What it hashes to.
    #[serde(serialize_with = "json::field")]
    pub state_root: Root,
    /// Latest justified checkpoint.
    #[serde(serialize_with = "json::field")]
    pub latest_justified: Checkpoint,
    /// Latest finalized checkpoint.
    #[serde(serialize_with = "json::field")]
    pub latest_finalized: Checkpoint,
    /// Block roots in its history.
    pub history_roots: usize,
    /// Slots after the finalized one that it tracks.
    pub tracked_slots: usize,
    /// Those of them that are justified.
    pub justified_slots: usize,
    /// Validators.
    pub validators: usize,
    /// Roots that have votes and are not justified.
    pub pending_roots: usize,
    /// The first of these, ascending.
    pub pending: Vec<PendingRoot>,
}

/// A root that may become justified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PendingRoot {
    /// The root.
    #[serde(serialize_with = "json::field")]
    pub root: Root,
    /// Validators that voted for it.
    pub votes: usize,
}

impl StateChange {
    /// Reads both states and what is stored.
    ///
    /// # Errors
    /// Damage.
    ///
    /// # Cost
    /// Two states, as any; neither is copied.
    pub(crate) fn read(
        states: &StateStore,
        txn: &ReadTxn<'_>,
        located: &Located,
    ) -> Result<Self, LookupError> {
        let stored = match stored::diff(txn, located)? {
            Some((bytes, diff)) => StoredAs::Diff {
                bytes: bytes.len(),
                base_slot: diff.base_slot,
                anchor_slot: diff.anchor_slot,
                tally: TallyChange::of(&diff.tally),
            },
            None => {
                let anchor = txn.get::<Anchors>(&located.key)?;
                let neither = || "neither anchor nor diff".to_owned();
                let Bytes(bytes) =
                    anchor.ok_or_else(|| contradiction::<Anchors>(&located.key, neither()))?;
                StoredAs::Anchor { bytes: bytes.len() }
            }
        };
        let parent = located.header.parent_root;
        let before = match block_store::header(txn, &parent)? {
            None => None,
            Some(header) => {
                let key = SlotRoot::new(header.slot, parent);
                match stored::state(states, txn, &Located { key, header }) {
                    Err(LookupError::PartPruned { .. }) => None,
                    state => Some(StateInShort::of(&*state?, header.state_root)),
                }
            }
        };
        let state = stored::state(states, txn, located)?;
        let after = StateInShort::of(&state, located.header.state_root);
        Ok(Self { block: located.key.root, parent, stored, before, after })
    }
}

impl StateInShort {
    fn of(state: &State, state_root: Root) -> Self {
        let (roots, validators) = (state.justifications.roots(), state.validators.len());
        let pending = roots.iter().enumerate().take(PENDING_MAX).map(|(index, root)| {
            let votes = state.justifications.votes_of(index, validators);
            PendingRoot { root: *root, votes: votes.map_or(0, |votes| count_ones(&votes)) }
        });
        Self {
            slot: state.slot,
            state_root,
            latest_justified: state.latest_justified,
            latest_finalized: state.latest_finalized,
            history_roots: state.historical_block_hashes.len(),
            tracked_slots: state.justified_slots.len(),
            justified_slots: state.justified_slots.count_ones(),
            validators,
            pending_roots: roots.len(),
            pending: pending.collect(),
        }
    }
}
