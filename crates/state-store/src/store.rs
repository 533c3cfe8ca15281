//! `StateStore`: reads through the cache, and the capture of diff bases.

use std::sync::Arc;

use lamella_state_diff::{Anchor, BranchCheckpoint, DiffBase, StateDiff};
use lamella_tables::{Anchors, Bytes, Diffs, Headers, Read, SlotRoot, Slots};
use lamella_types::{BlockHeader, Root, State};

use crate::{
    cache::{CacheStats, Caches},
    error::{StateReadError, content},
    reconstruct::{self, Ancestors},
    stored_state::{StoredState, checkpoint},
};

/// What fork choice wants to know of a post-state; its checkpoints by slot where they are blocks of its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateCheckpoints {
    /// Latest justified checkpoint.
    pub justified: BranchCheckpoint,
    /// Latest finalized checkpoint.
    pub finalized: BranchCheckpoint,
    /// Validators in the registry.
    pub validator_count: u64,
}

/// Reads states. Shared between threads; holds no transaction.
#[derive(Default)]
pub struct StateStore {
    pub(crate) caches: Caches,
}

impl StateStore {
    /// A store whose cached states may hold this many bytes of their own.
    #[must_use]
    pub fn with_cache_bytes(bytes_max: usize) -> Self {
        Self { caches: Caches::new(bytes_max) }
    }

    /// The post-state of a block; `None` if the block is unknown.
    ///
    /// # Errors
    /// [`StateReadError`]: engine, damage, or a state that does not hash to its block's `state_root`.
    ///
    /// # Cost
    /// Cached: a lookup. Otherwise one header, one diff, one anchor (cached as a rule), and where the parent's state is not
    /// cached one scan of up to 1,024 canonical rows, at most 31 more diffs, two hashes for each root scanned.
    pub fn state(
        &self,
        txn: &impl Read,
        root: &Root,
    ) -> Result<Option<Arc<State>>, StateReadError> {
        Ok(self.stored(txn, root)?.map(|stored| stored.state))
    }

    /// As [`StateStore::state`], with the state's place in the store.
    ///
    /// # Errors
    /// As [`StateStore::state`].
    pub fn stored(
        &self,
        txn: &impl Read,
        root: &Root,
    ) -> Result<Option<StoredState>, StateReadError> {
        if let Some(stored) = self.caches.state(root) {
            return Ok(Some(stored));
        }
        let Some(slot) = txn.get::<Slots>(root)? else {
            return Ok(None);
        };
        let stored = self.load(txn, SlotRoot::new(slot, *root))?;
        self.caches.put_state(*root, stored.clone());
        Ok(Some(stored))
    }

    /// Captures a block as the base of its children's diffs; `None` if it is unknown.
    ///
    /// # Errors
    /// As [`StateStore::state`].
    pub fn base(&self, txn: &impl Read, root: &Root) -> Result<Option<DiffBase>, StateReadError> {
        Ok(self.stored(txn, root)?.map(|stored| stored.base(*root)))
    }

    /// The checkpoints of a stored post-state and its validator count, from its own row alone.
    ///
    /// # Errors
    /// As [`StateStore::state`], except that nothing is reconstructed or hashed.
    pub fn checkpoints(txn: &impl Read, key: SlotRoot) -> Result<StateCheckpoints, StateReadError> {
        if let Some(Bytes(bytes)) = txn.get::<Diffs>(&key)? {
            let diff = StateDiff::decode(&bytes, key.slot);
            let diff = diff.map_err(|error| StateReadError::content::<Diffs>(&key, error))?;
            return Ok(StateCheckpoints {
                justified: diff.latest_justified,
                finalized: diff.latest_finalized,
                validator_count: diff.validator_count as u64,
            });
        }
        let missing = || StateReadError::NoState { root: key.root, slot: key.slot };
        let Bytes(bytes) = txn.get::<Anchors>(&key)?.ok_or_else(missing)?;
        let anchor = Anchor::decode(&bytes);
        let anchor = anchor.map_err(|error| StateReadError::content::<Anchors>(&key, error))?;
        Ok(StateCheckpoints {
            justified: anchor.latest_justified().into(),
            finalized: anchor.latest_finalized().into(),
            validator_count: anchor.validator_count,
        })
    }

    /// Takes a committed state into the cache. Upholds A2: callers do this after the commit only.
    pub fn publish(&self, root: Root, stored: StoredState) {
        for segment in stored.state.historical_block_hashes.segments().iter().rev().take(1) {
            self.caches.put_segment(segment);
        }
        self.caches.put_state(root, stored);
    }

    /// Forgets every cached state and segment.
    pub fn clear(&self) {
        self.caches.clear();
    }

    /// Forgets every cached state; segments stay.
    pub fn clear_states(&self) {
        self.caches.clear_states();
    }

    /// What the cache holds.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.caches.stats()
    }

    /// Reads and proves a stored state, past the cache of states. Upholds S3.
    fn load(&self, txn: &impl Read, key: SlotRoot) -> Result<StoredState, StateReadError> {
        let header = txn.get::<Headers>(&key)?;
        let missing = || content::<Slots>(&key.root, format!("no header at slot {}", key.slot));
        let header: BlockHeader = header.ok_or_else(missing)?;
        let stored = if txn.has::<Anchors>(&key)? {
            let state = Arc::new(self.anchor_state(txn, key)?);
            StoredState { state, anchor: checkpoint(key), tally_deltas: 0 }
        } else if let Some(Bytes(diff)) = txn.get::<Diffs>(&key)? {
            reconstruct::from_diff(self, txn, key, &header, &diff)?
        } else {
            return Err(StateReadError::NoState { root: key.root, slot: key.slot });
        };
        prove(&stored.state, key.root, &header)?;
        Ok(stored)
    }
}

impl Ancestors for StateStore {
    fn anchor(&self, txn: &impl Read, key: SlotRoot) -> Result<Arc<State>, StateReadError> {
        if let Some(stored) = self.caches.peek(&key.root) {
            return Ok(stored.state);
        }
        let stored = self.load(txn, key)?;
        self.caches.put_state(key.root, stored.clone());
        Ok(stored.state)
    }

    fn cached(&self, root: &Root) -> Option<StoredState> {
        self.caches.peek(root)
    }

    fn count_replay(&self, rows: usize) {
        self.caches.count_replay(rows);
    }
}

/// Each stored state authenticates itself: it hashes to its block's `state_root`.
fn prove(state: &State, root: Root, header: &BlockHeader) -> Result<(), StateReadError> {
    let computed = state.root();
    if computed == header.state_root {
        Ok(())
    } else {
        Err(StateReadError::RootMismatch { root, computed, expected: header.state_root })
    }
}
