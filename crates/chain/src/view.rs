//! Changes of the view that no block brings: ticks, accepted votes. And what every change writes.

use std::sync::Arc;

use lamella_block_store as block_store;
use lamella_fork_choice::{BlockSummary, Combine, ForkChoice, Pools, Tick};
use lamella_tables::WriteTxn;

use crate::{error::PersistError, meta::ForkChoiceRow, open::Chain, settle::settle, vote_rows};

impl Chain {
    /// Sets time to `interval`, does what that one asks for, and makes permanent what this changes. Intervals before
    /// it that were not lived through are skipped; a time after it was another clock's.
    ///
    /// # Errors
    /// [`PersistError`]; time and view are as before.
    pub fn tick_interval(
        &self,
        interval: u64,
        has_proposal: bool,
        aggregator: Option<&mut dyn Combine>,
    ) -> Result<Tick, PersistError> {
        self.change(|view| {
            view.set_time(interval.saturating_sub(1));
            view.tick_interval(has_proposal, aggregator)
        })
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

    /// Changes pools in memory. The next commit makes them permanent.
    pub fn change_pools<R>(&self, change: impl FnOnce(&mut Pools<'_>) -> R) -> R {
        let _writer = self.writer.lock();
        let mut view = self.view.write();
        change(&mut Arc::make_mut(&mut view).pools())
    }

    /// Sets time in memory, back as well. The next commit makes it permanent.
    pub fn set_time(&self, interval: u64) {
        let _writer = self.writer.lock();
        Arc::make_mut(&mut self.view.write()).set_time(interval);
    }

    /// Upholds A2: called after the commit only.
    pub(crate) fn publish(&self, view: ForkChoice) -> Arc<ForkChoice> {
        let view = Arc::new(view);
        *self.view.write() = Arc::clone(&view);
        view
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

#[cfg(test)]
mod tests {
    use lamella_types::{
        AggregationBits, AttestationData, Checkpoint, ProofBytes, Root, SingleMessageAggregate,
    };

    use super::*;

    fn checkpoint(slot: u64) -> Checkpoint {
        Checkpoint { root: Root::new([u8::try_from(slot + 1).unwrap_or(0); 32]), slot }
    }

    /// A block named by its slot.
    fn block(slot: u64, parent: u64, justified: u64, finalized: u64) -> BlockSummary {
        BlockSummary {
            root: checkpoint(slot).root,
            parent_root: checkpoint(parent).root,
            slot,
            proposer_index: 0,
            justified: checkpoint(justified),
            finalized: checkpoint(finalized),
            validator_count: 4,
        }
    }

    /// A vote of validator 0.
    fn vote(view: &mut ForkChoice, slot: u64, head: u64) {
        let (head, genesis) = (checkpoint(head), checkpoint(0));
        let data = AttestationData { slot, head, target: genesis, source: genesis };
        let participants = AggregationBits::from_indices([0]).unwrap();
        let proof = SingleMessageAggregate { participants, proof: ProofBytes::default() };
        view.insert_known_aggregate(&data, Arc::new(proof));
    }

    /// Symptom: after two odd votes of one validator a node cannot restart: `HeadMismatch`.
    /// Mechanism: it votes at slot 15 for block 12 and at slot 20 for block 10. Under finality at 10 only the first
    /// counts, block 12 is the head, and its state says that 5 is finalized; under finality at 5 the second displaces
    /// the first, block 13 is the head, and it finalizes 10. Head and finality chase each other for ever, and the
    /// rounds ended with a head that the finality stored beside it does not give.
    /// Fix: where the rounds run out, finality stays, and the head is the one it gives.
    #[test]
    fn a_head_and_a_finality_that_chase_each_other_are_stored_so_that_a_restart_agrees() {
        for votes_first in [false, true] {
            let mut view = ForkChoice::from_anchor(block(0, 99, 0, 0));
            let settled = |view: &mut ForkChoice, change: &dyn Fn(&mut ForkChoice)| {
                let finalized = view.latest_finalized();
                change(view);
                let finalized_changed = finalized != view.latest_finalized();
                settle(view, finalized_changed);
            };
            let votes = |view: &mut ForkChoice| {
                vote(view, 15, 12);
                vote(view, 20, 10);
                view.update_head();
            };
            let blocks = [
                block(5, 0, 0, 0),
                block(10, 5, 0, 0),
                block(11, 10, 10, 5),
                block(12, 11, 10, 5),
                block(13, 11, 11, 10),
            ];
            for block in blocks {
                if votes_first && block.slot == 13 {
                    settled(&mut view, &votes);
                }
                settled(&mut view, &|view| {
                    view.on_block(block, []).unwrap();
                });
            }
            settled(&mut view, &votes);
            assert!(view.is_ancestor(&view.latest_finalized().root, &view.head()));
            let restored = ForkChoice::restore(view.snapshot()).unwrap();
            assert_eq!(restored.head(), view.head());
        }
    }
}
