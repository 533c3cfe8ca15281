//! From a diff to a state: tally by at most 31 deltas, history by one scan.

use std::sync::Arc;

use lamella_state_diff::{StateDiff, TALLY_DELTAS_MAX};
use lamella_tables::{Bytes, Canonical, Diffs, Read as _, ReadTxn, SlotRoot};
use lamella_types::{BlockHashes, BlockHeader, Checkpoint, Justifications, Root, Slot, State};

use crate::{ANCHOR_INTERVAL_SLOTS, error::StateReadError, stored_state::StoredState};

/// What a reconstruction asks of the states that are there already.
pub(crate) trait Ancestors {
    /// The state of an anchor block, cached or proved.
    fn anchor(&self, txn: &ReadTxn<'_>, key: SlotRoot) -> Result<Arc<State>, StateReadError>;

    /// A state that nothing has to be read for.
    fn cached(&self, root: &Root) -> Option<Arc<State>>;

    /// Counts a state put together from a diff, and the rows that took.
    fn count_replay(&self, rows: usize);
}

/// The state of the block at `key`, not yet compared with its header's `state_root`.
pub(crate) fn from_diff(
    store: &impl Ancestors,
    txn: &ReadTxn<'_>,
    key: SlotRoot,
    header: &BlockHeader,
    bytes: &[u8],
) -> Result<StoredState, StateReadError> {
    let diff = decode(key, bytes)?;
    let anchor = store.anchor(txn, at(diff.anchor))?;
    let (tally, diffs) = tally(store, txn, key, &diff, &anchor)?;
    let (history, roots) = history(txn, key, &diff, &anchor)?;
    store.count_replay(diffs + roots);
    let state = Arc::new(diff.reconstruct(&anchor, header, history, tally));
    Ok(StoredState { state, anchor: diff.anchor, tally_deltas: diff.tally.number() })
}

const fn at(checkpoint: Checkpoint) -> SlotRoot {
    SlotRoot::new(checkpoint.slot, checkpoint.root)
}

fn decode(key: SlotRoot, bytes: &[u8]) -> Result<StateDiff, StateReadError> {
    StateDiff::decode(bytes, key.slot)
        .map_err(|error| StateReadError::content::<Diffs>(&key, error))
}

/// The diff of an ancestor that must have one.
fn diff_at(
    txn: &ReadTxn<'_>,
    of: SlotRoot,
    anchor: Checkpoint,
    steps: usize,
    at: SlotRoot,
) -> Result<StateDiff, StateReadError> {
    let broken =
        || StateReadError::BrokenChain { root: of.root, anchor: anchor.root, at: at.root, steps };
    let Bytes(bytes) = txn.get::<Diffs>(&at)?.ok_or_else(broken)?;
    decode(at, &bytes)
}

/// The pending votes: back to the last full tally, the anchor or a cached ancestor, then forward again. And the
/// number of earlier diffs read for them.
fn tally(
    store: &impl Ancestors,
    txn: &ReadTxn<'_>,
    key: SlotRoot,
    diff: &StateDiff,
    anchor: &State,
) -> Result<(Justifications, usize), StateReadError> {
    let mut deltas = vec![diff.clone()];
    let mut tally = anchor.justifications.clone();
    // The last delta of a chain of 31 rests on a full tally, so the loop reads at most 31 rows.
    for steps in 1.. {
        let last = &deltas[deltas.len() - 1];
        if last.tally.number() == 0 || last.base.root == diff.anchor.root {
            break;
        }
        if let Some(cached) = store.cached(&last.base.root) {
            tally = cached.justifications.clone();
            break;
        }
        if steps > usize::from(TALLY_DELTAS_MAX) {
            let (root, anchor, at) = (key.root, diff.anchor.root, last.base.root);
            return Err(StateReadError::BrokenChain { root, anchor, at, steps });
        }
        deltas.push(diff_at(txn, key, diff.anchor, steps, self::at(last.base))?);
    }
    for step in deltas.iter().rev() {
        let applied = step.tally.apply(&tally, diff.validator_count);
        tally = applied.map_err(|source| StateReadError::Tally { root: key.root, source })?;
    }
    Ok((tally, deltas.len() - 1))
}

/// The block roots of the branch up to the block: the anchor's history, then one scan of the canonical index. A
/// block off the canonical chain walks its parents only until it meets it. And the number of rows read for them.
fn history(
    txn: &ReadTxn<'_>,
    key: SlotRoot,
    diff: &StateDiff,
    anchor: &State,
) -> Result<(BlockHashes, usize), StateReadError> {
    let mut side = Vec::new();
    let mut meet = diff.base;
    while meet.root != diff.anchor.root && txn.get::<Canonical>(&meet.slot)? != Some(meet.root) {
        let steps = side.len();
        if meet.slot <= diff.anchor.slot || steps as u64 >= ANCHOR_INTERVAL_SLOTS {
            let (root, anchor, at) = (key.root, diff.anchor.root, meet.root);
            return Err(StateReadError::BrokenChain { root, anchor, at, steps });
        }
        side.push(meet);
        meet = diff_at(txn, key, diff.anchor, steps, at(meet))?.base;
    }
    let mut rows = side.len();
    let mut history = History { hashes: anchor.historical_block_hashes.clone(), key };
    if meet.root != diff.anchor.root {
        for row in txn.scan::<Canonical>(diff.anchor.slot)? {
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
