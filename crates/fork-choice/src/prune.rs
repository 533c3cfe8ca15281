//! Pruning the tree. leanSpec never drops a block; see the lag in [`TREE_LAG_SLOTS`].

use lamella_types::{Root, Slot};

use crate::{fork_choice::ForkChoice, limits::TREE_LAG_SLOTS};

impl ForkChoice {
    /// Moves the tree's root forward along the finalized chain while the next block on it is at least
    /// [`TREE_LAG_SLOTS`] older than the finalized one, and drops what does not descend from the new root.
    /// Returns the dropped blocks, at most `removed_max` unless the first step alone drops more.
    ///
    /// Head, justified and finalized block stay: the root stops in front of a step that would lose one. In a
    /// tree built by transitions none can be lost, because finalized is an ancestor of justified and justified of
    /// the head.
    ///
    /// The safe target may be stale (it moves only at interval 3) and on another branch. At or below the
    /// finalized slot it no longer bounds vote targets, so it falls back to the new root, which does not either;
    /// above it the root waits for the next safe target. It therefore holds up pruning for at most as long as
    /// finality takes to pass it.
    ///
    /// A vote for a dropped block loses its weight, all of which was outside the new root's subtree.
    ///
    /// # Cost
    /// Two comparisons while the root is recent enough; otherwise one pass over the tree.
    pub fn prune_tree(&mut self, removed_max: usize) -> Vec<(Slot, Root)> {
        let Some(steps) = self.root_steps(removed_max) else { return Vec::new() };
        let Steps { kept_from, position } = steps;
        let kept = |index: usize| position[index] >= kept_from;
        let dropped = (0..self.tree.len())
            .filter(|index| !kept(*index))
            .map(|index| (self.tree.get(index).slot, self.tree.get(index).root))
            .collect();
        let moved = self.tree.retain(kept);
        self.votes.renumber(&moved);
        let renumbered = |index: usize| moved[index].get().unwrap_or(0);
        self.head = renumbered(self.head);
        self.safe_target = renumbered(self.safe_target);
        dropped
    }

    /// How far the root can move, or `None` if it stays.
    fn root_steps(&self, removed_max: usize) -> Option<Steps> {
        let finalized = self.tree.find(&self.latest_finalized.root)?;
        let justified = self.tree.find(&self.latest_justified.root)?;
        let is_old = |slot: Slot| slot.saturating_add(TREE_LAG_SLOTS) <= self.latest_finalized.slot;
        if !is_old(self.tree_root().slot) {
            return None;
        }
        let mut path: Vec<_> = self.tree.chain(finalized).collect();
        path.reverse();
        let position = self.positions(&path);

        let mut last = path.iter().take_while(|index| is_old(self.tree.get(**index).slot)).count();
        last = last.checked_sub(1)?.min(position[justified]).min(position[self.head]);
        if self.tree.get(self.safe_target).slot > self.latest_finalized.slot {
            last = last.min(position[self.safe_target]);
        }

        let mut leaving = vec![0_usize; path.len()];
        for position in &position {
            leaving[*position] += 1;
        }
        let mut removed = 0;
        let mut kept_from = 0;
        while kept_from < last && (kept_from == 0 || removed + leaving[kept_from] <= removed_max) {
            removed += leaving[kept_from];
            kept_from += 1;
        }
        (kept_from > 0).then_some(Steps { kept_from, position })
    }

    /// For each node, the position on `path` of its deepest ancestor there. The path starts at the root.
    fn positions(&self, path: &[usize]) -> Vec<usize> {
        let mut position = vec![0; self.tree.len()];
        for (place, index) in path.iter().enumerate() {
            position[*index] = place;
        }
        for index in 0..self.tree.len() {
            let inherited = self.tree.parent(index).map_or(0, |parent| position[parent]);
            position[index] = position[index].max(inherited);
        }
        position
    }
}

/// The nodes whose `position` is at least `kept_from` descend from the new root.
struct Steps {
    kept_from: usize,
    position: Vec<usize>,
}
