//! What of a key can sign now: two neighbouring bottom trees.
//!
//! The window slides while others sign with the key: the next tree is built beside it, which takes
//! long, and then takes its place, which takes none. So a key is shared and never changed otherwise.

use std::{
    ops::Range,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use crate::tree::HashSubTree;

/// Two neighbouring bottom trees.
pub(crate) struct Trees {
    /// Which of the bottom trees `left` is.
    pub(crate) left_index: u64,
    pub(crate) left: HashSubTree,
    pub(crate) right: HashSubTree,
}

/// The trees, and their exchange.
pub(crate) struct Window(RwLock<Trees>);

impl Window {
    pub(crate) const fn new(left_index: u64, left: HashSubTree, right: HashSubTree) -> Self {
        Self(RwLock::new(Trees { left_index, left, right }))
    }

    pub(crate) fn trees(&self) -> RwLockReadGuard<'_, Trees> {
        // Nobody panics while exchanging trees, and whole trees are all that is exchanged.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this tree the right one. What was the right one becomes the left one, if they are neighbours.
    pub(crate) fn slide(&self, index: u64, tree: HashSubTree) {
        let mut trees = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let (depth, lowest_layer) = (tree.depth, tree.lowest_layer);
        let nothing = HashSubTree { depth, lowest_layer, layers: Vec::new() };
        let before = std::mem::replace(&mut trees.right, tree);
        trees.left = if index == trees.left_index + 2 { before } else { nothing };
        trees.left_index = index.saturating_sub(1);
    }
}

impl Trees {
    /// The tree that holds a leaf, if it is one of these.
    pub(crate) fn tree(&self, index: u64) -> Option<&HashSubTree> {
        match index.checked_sub(self.left_index) {
            Some(0) => Some(&self.left),
            Some(1) => Some(&self.right),
            _ => None,
        }
    }

    /// Slots of trees that are here, `leaves` in each.
    pub(crate) fn slots(&self, leaves: u64) -> Range<u64> {
        let is_skipped = self.left.layers.is_empty() && !self.right.layers.is_empty();
        (self.left_index + u64::from(is_skipped)) * leaves..(self.left_index + 2) * leaves
    }
}
