//! Changes of the view that no block brings: ticks, accepted votes. And what every change writes.

use std::sync::Arc;

use lamella_block_store as block_store;
use lamella_fork_choice::{BlockSummary, Combine, ForkChoice, Tick};
use lamella_tables::WriteTxn;

use crate::{error::PersistError, meta::ForkChoiceRow, open::Chain, vote_rows};

impl Chain {
    /// Moves time on by one interval, and makes permanent what that changes.
    ///
    /// # Errors
    /// [`PersistError`]; time and view are as before.
    pub fn tick_interval(
        &self,
        has_proposal: bool,
        aggregator: Option<&mut dyn Combine>,
    ) -> Result<Tick, PersistError> {
        self.change(|view| view.tick_interval(has_proposal, aggregator))
    }

    /// Changes the view on a copy, commits what moved, and publishes. A change that moves neither head,
    /// checkpoints, safe target nor votes commits nothing.
    ///
    /// # Errors
    /// [`PersistError`]; the view is as before.
    pub fn change<R>(&self, change: impl FnOnce(&mut ForkChoice) -> R) -> Result<R, PersistError> {
        let _writer = self.writer.lock();
        let before = self.fork_choice();
        let mut after = ForkChoice::clone(&before);
        let result = change(&mut after);
        let finalized_changed = before.latest_finalized() != after.latest_finalized();
        settle(&mut after, finalized_changed);
        let row = |view: &ForkChoice| ForkChoiceRow { time: 0, ..ForkChoiceRow::of(view) };
        if row(&before) != row(&after) || after.has_vote_changes() {
            let canonical = CanonicalChange::between(&before, &after);
            let mut txn = self.database.write()?;
            put(&mut txn, &canonical, &mut after)?;
            txn.commit()?;
        }
        self.publish(after);
        Ok(result)
    }

    /// Changes pools in memory. The next commit makes them permanent; head and checkpoints must not move.
    pub fn change_pools<R>(&self, change: impl FnOnce(&mut ForkChoice) -> R) -> R {
        let _writer = self.writer.lock();
        let mut view = self.view.write();
        let head = view.head();
        let result = change(Arc::make_mut(&mut view));
        debug_assert_eq!(head, view.head(), "only a commit may move the head");
        result
    }

    /// Upholds A2: called after the commit only.
    pub(crate) fn publish(&self, view: ForkChoice) -> Arc<ForkChoice> {
        let view = Arc::new(view);
        *self.view.write() = Arc::clone(&view);
        view
    }
}

/// leanSpec computes a head under the finalized slot before it and then moves that slot. Computing it once
/// more makes the stored head the one that a restart computes. Upholds F1.
pub(crate) fn settle(view: &mut ForkChoice, finalized_changed: bool) {
    /// Finality can follow the head back and forth only as often as votes leave the pool; three rounds are ample.
    const ROUNDS_MAX: usize = 8;
    let mut changed = finalized_changed;
    for _ in 0..ROUNDS_MAX {
        if !changed {
            break;
        }
        changed = view.update_head().finalized_changed;
    }
}

/// Writes what a changed view owes the tables: canonical rows, votes, and the fork choice row.
pub(crate) fn put(
    txn: &mut WriteTxn<'_>,
    canonical: &CanonicalChange,
    view: &mut ForkChoice,
) -> Result<(), PersistError> {
    canonical.put(txn)?;
    vote_rows::put_changes(txn, &view.drain_vote_changes())?;
    ForkChoiceRow::of(view).put(txn)?;
    Ok(())
}

/// The canonical rows that a new head rewrites: those between it and its common ancestor with the old head.
#[derive(Debug, Default)]
pub(crate) struct CanonicalChange {
    removed: Vec<BlockSummary>,
    added: Vec<BlockSummary>,
}

impl CanonicalChange {
    /// Both views must hold both heads and their common ancestor: call it before pruning.
    pub(crate) fn between(before: &ForkChoice, after: &ForkChoice) -> Self {
        let (old_head, new_head) = (before.head(), after.head());
        let mut old = before.chain(&old_head).peekable();
        let mut new = after.chain(&new_head).peekable();
        let mut change = Self::default();
        while let (Some(from), Some(to)) = (old.peek(), new.peek()) {
            if from.root == to.root {
                break;
            }
            let (from_slot, to_slot) = (from.slot, to.slot);
            if from_slot >= to_slot {
                change.removed.extend(old.next());
            }
            if to_slot >= from_slot {
                change.added.extend(new.next());
            }
        }
        change
    }

    /// Blocks on the old head's chain that are not on the new one's.
    pub(crate) const fn reorg_depth(&self) -> usize {
        self.removed.len()
    }

    /// Upholds C1.
    fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), PersistError> {
        for block in &self.removed {
            block_store::remove_canonical(txn, block.slot)?;
        }
        for block in self.added.iter().rev() {
            block_store::put_canonical(txn, block.slot, block.root)?;
        }
        Ok(())
    }
}
