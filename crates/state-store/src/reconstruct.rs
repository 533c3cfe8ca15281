//! From a diff to a state: history by one scan, which gives the roots that diffs leave out, and the tally by at most 31
//! deltas. Where the parent's state is in memory, its history is the history but for one root, and nothing is scanned.

use std::sync::Arc;

use lamella_state_diff::{StateDiff, TALLY_DELTAS_MAX};
use lamella_tables::{Bytes, Canonical, Diffs, Headers, Read, SlotRoot};
use lamella_types::{BlockHashes, BlockHeader, Checkpoint, Justifications, Root, Slot, State};

use crate::{ANCHOR_INTERVAL_SLOTS, error::StateReadError, stored_state::StoredState};

/// What a reconstruction asks of the states that are there already.
pub(crate) trait Ancestors {
    /// The state of an anchor block, cached or proved.
    fn anchor(&self, txn: &impl Read, key: SlotRoot) -> Result<Arc<State>, StateReadError>;

    /// A state that nothing has to be read for.
    fn cached(&self, root: &Root) -> Option<StoredState>;

    /// Counts a state put together from a diff, and the rows that took.
    fn count_replay(&self, rows: usize);
}

/// The state of the block at `key`, not yet compared with its header's `state_root`.
pub(crate) fn from_diff(
    store: &impl Ancestors,
    txn: &impl Read,
    key: SlotRoot,
    header: &BlockHeader,
    bytes: &[u8],
) -> Result<StoredState, StateReadError> {
    let diff = decode(key, bytes)?;
    let is_base = |parent: &StoredState| {
        parent.state.slot == diff.base_slot && parent.anchor.slot == diff.anchor_slot
    };
    let (anchor_at, anchor, (history, roots)) =
        match store.cached(&header.parent_root).filter(is_base) {
            Some(parent) => {
                let anchor = store.anchor(txn, at(parent.anchor))?;
                (parent.anchor, anchor, (after(&parent.state, key, header)?, 0))
            }
            None => {
                let branch = branch(txn, key, header, &diff)?;
                let anchor = store.anchor(txn, at(branch.anchor))?;
                let history = history(txn, key, &branch, &anchor)?;
                (branch.anchor, anchor, history)
            }
        };
    let (tally, diffs) = tally(store, txn, key, &diff, &anchor, &history)?;
    store.count_replay(diffs + roots);
    let state = diff.reconstruct(&anchor, header, history, tally).ok_or_else(|| {
        StateReadError::content::<Diffs>(&key, "a checkpoint that its branch does not have")
    })?;
    let state = Arc::new(state);
    Ok(StoredState { state, anchor: anchor_at, tally_deltas: diff.tally.number() })
}

/// The block roots of the branch up to the block: its parent's, and its parent.
fn after(
    parent: &State,
    key: SlotRoot,
    header: &BlockHeader,
) -> Result<BlockHashes, StateReadError> {
    let mut history = History { hashes: parent.historical_block_hashes.clone(), key };
    history.push(parent.slot, header.parent_root)?;
    history.skip_to(key.slot)?;
    // The copy of a tail grows to twice its length, and the cache would keep that.
    history.hashes.shrink();
    Ok(history.hashes)
}

const fn at(checkpoint: Checkpoint) -> SlotRoot {
    SlotRoot::new(checkpoint.slot, checkpoint.root)
}

fn decode(key: SlotRoot, bytes: &[u8]) -> Result<StateDiff, StateReadError> {
    StateDiff::decode(bytes, key.slot)
        .map_err(|error| StateReadError::content::<Diffs>(&key, error))
}

/// The walk from a block to its anchor has no way on.
const fn broken(of: SlotRoot, diff: &StateDiff, at: Root, steps: usize) -> StateReadError {
    StateReadError::BrokenChain { root: of.root, anchor_slot: diff.anchor_slot, at, steps }
}

/// How a block's branch gets to its anchor.
struct Branch {
    /// Blocks off the canonical chain, newest first.
    side: Vec<Checkpoint>,
    /// The newest one on it; the anchor, if the branch never meets it.
    meet: Checkpoint,
    anchor: Checkpoint,
}

/// Walks parents until it meets the canonical chain, which then says which block the anchor is.
fn branch(
    txn: &impl Read,
    key: SlotRoot,
    header: &BlockHeader,
    diff: &StateDiff,
) -> Result<Branch, StateReadError> {
    let mut side = Vec::new();
    let mut meet = Checkpoint { root: header.parent_root, slot: diff.base_slot };
    while meet.slot != diff.anchor_slot && txn.get::<Canonical>(&meet.slot)? != Some(meet.root) {
        let steps = side.len();
        let lost = || broken(key, diff, meet.root, steps);
        if meet.slot < diff.anchor_slot || steps as u64 >= ANCHOR_INTERVAL_SLOTS {
            return Err(lost());
        }
        let parent_root = txn.get::<Headers>(&at(meet))?.ok_or_else(lost)?.parent_root;
        let Bytes(bytes) = txn.get::<Diffs>(&at(meet))?.ok_or_else(lost)?;
        let slot = decode(at(meet), &bytes)?.base_slot;
        side.push(meet);
        meet = Checkpoint { root: parent_root, slot };
    }
    let mut anchor = meet;
    if meet.slot != diff.anchor_slot {
        let root = txn.get::<Canonical>(&diff.anchor_slot)?;
        let root = root.ok_or_else(|| broken(key, diff, meet.root, side.len()))?;
        anchor = Checkpoint { root, slot: diff.anchor_slot };
    }
    Ok(Branch { side, meet, anchor })
}

/// The block roots of the branch up to the block: the anchor's history, then one scan of the canonical index, then the
/// blocks off it. And the number of rows read for them.
fn history(
    txn: &impl Read,
    key: SlotRoot,
    branch: &Branch,
    anchor: &State,
) -> Result<(BlockHashes, usize), StateReadError> {
    let Branch { side, meet, anchor: from } = branch;
    let mut rows = side.len();
    let mut history = History { hashes: anchor.historical_block_hashes.clone(), key };
    if meet.root != from.root {
        for row in txn.scan::<Canonical>(from.slot)? {
            let (slot, root) = row?;
            if slot >= meet.slot {
                break;
            }
            history.push(slot, root)?;
            rows += 1;
        }
    }
    history.push(meet.slot, meet.root)?;
    for block in side.iter().rev() {
        history.push(block.slot, block.root)?;
    }
    history.skip_to(key.slot)?;
    Ok((history.hashes, rows))
}

/// The pending votes: back to the last full tally, the anchor or a cached ancestor, then forward again. And the
/// number of earlier diffs read for them.
fn tally(
    store: &impl Ancestors,
    txn: &impl Read,
    key: SlotRoot,
    diff: &StateDiff,
    anchor: &State,
    history: &BlockHashes,
) -> Result<(Justifications, usize), StateReadError> {
    let mut deltas = vec![diff.clone()];
    let mut tally = anchor.justifications.clone();
    // The last delta of a chain of 31 rests on a full tally, so the loop reads at most 31 rows.
    for steps in 1.. {
        let last = &deltas[deltas.len() - 1];
        if last.tally.number() == 0 || last.base_slot == diff.anchor_slot {
            break;
        }
        let lost = |at| broken(key, diff, at, steps);
        let root = history.get(last.base_slot).ok_or_else(|| lost(Root::ZERO))?;
        if let Some(cached) = store.cached(&root) {
            tally = cached.state.justifications.clone();
            break;
        }
        if steps > usize::from(TALLY_DELTAS_MAX) {
            return Err(lost(root));
        }
        let base = SlotRoot::new(last.base_slot, root);
        let Bytes(bytes) = txn.get::<Diffs>(&base)?.ok_or_else(|| lost(root))?;
        deltas.push(decode(base, &bytes)?);
    }
    for step in deltas.iter().rev() {
        let applied = step.tally.apply(&tally, diff.validator_count);
        tally = applied.map_err(|source| StateReadError::Tally { root: key.root, source })?;
    }
    Ok((tally, deltas.len() - 1))
}

/// A history that grows by blocks in slot order, with zeros between them.
struct History {
    hashes: BlockHashes,
    key: SlotRoot,
}

impl History {
    fn push(&mut self, slot: Slot, root: Root) -> Result<(), StateReadError> {
        self.skip_to(slot)?;
        let key = self.key;
        self.hashes.push(root).map_err(|error| StateReadError::content::<Diffs>(&key, error))
    }

    /// Appends zeros until `slot` is the next entry.
    fn skip_to(&mut self, slot: Slot) -> Result<(), StateReadError> {
        while (self.hashes.len() as u64) < slot {
            let key = self.key;
            let pushed = self.hashes.push(Root::ZERO);
            pushed.map_err(|error| StateReadError::content::<Diffs>(&key, error))?;
        }
        Ok(())
    }
}
