//! Head and safe target.

use lamella_types::Checkpoint;

use crate::{
    fork_choice::{ForkChoice, HeadChange},
    votes::LatestVotes,
};

impl ForkChoice {
    /// Recomputes the head from the justified block and takes over its view of finality. leanSpec `update_head`.
    ///
    /// # Cost
    /// One step for each block between the justified block and the head, and between the head and finality.
    pub fn update_head(&mut self) -> HeadChange {
        let previous_finalized = self.latest_finalized;
        let change = self.select_head();
        self.recount_after(previous_finalized);
        change
    }

    /// Recomputes the head from the justified block and leaves finality as it is: the head that
    /// [`ForkChoice::restore`] computes. leanSpec's head and finality can chase each other for ever.
    pub fn update_head_keeping_finality(&mut self) {
        let start = self.tree.find(&self.latest_justified.root).unwrap_or(0);
        self.head = self.tree.heaviest_leaf(start);
    }

    /// [`ForkChoice::update_head`] without the recount that a change of finality asks for.
    pub(crate) fn select_head(&mut self) -> HeadChange {
        let old_head = self.head;
        // The justified block is in the tree: `prune_tree` stops in front of it. Were it not, everything in the
        // tree would have to compete.
        let start = self.tree.find(&self.latest_justified.root).unwrap_or(0);
        self.head = self.tree.heaviest_leaf(start);
        let finalized = self.finalized_of_head().unwrap_or(self.latest_finalized);
        let finalized_changed = finalized != self.latest_finalized;
        self.latest_finalized = finalized;
        HeadChange {
            old_head: self.tree.get(old_head).root,
            new_head: self.head(),
            reorg_depth: self.tree.blocks_left(old_head, self.head),
            justified_advanced: false,
            finalized_changed,
        }
    }

    /// The block on the head's chain at the slot that its post-state calls finalized.
    ///
    /// That slot may lie below the tree's root, in a view that began at a trusted anchor or after a reorg deeper
    /// than the tree's lag. leanSpec then keeps the checkpoint it has, which may be off the head's chain; the root is
    /// on every chain, and nothing below it can change any more.
    fn finalized_of_head(&self) -> Option<Checkpoint> {
        let slot = self.head_summary().finalized.slot;
        let root = self.tree_root();
        if slot < root.slot {
            return Some(root.checkpoint());
        }
        let mut chain = self.tree.chain(self.head).map(|index| self.tree.get(index));
        chain
            .find(|block| block.slot <= slot)
            .filter(|block| block.slot == slot)
            .map(|block| block.checkpoint())
    }

    pub(crate) fn no_head_change(&self) -> HeadChange {
        HeadChange {
            old_head: self.head(),
            new_head: self.head(),
            reorg_depth: 0,
            justified_advanced: false,
            finalized_changed: false,
        }
    }

    /// Moves the safe target to the deepest block that two thirds of the head's registry support in the pending
    /// pool. leanSpec `update_safe_target`.
    ///
    /// # Cost
    /// One pass over the pending pool's participants and one over the tree.
    pub fn update_safe_target(&mut self) {
        let score_min = self.head_summary().validator_count.saturating_mul(2).div_ceil(3);
        let votes = LatestVotes::of(&self.pending, self.latest_finalized.slot, &self.tree);
        let start = self.tree.find(&self.latest_justified.root).unwrap_or(0);
        self.safe_target = self.tree.heaviest_above(start, votes.heads(), score_min);
    }
}
