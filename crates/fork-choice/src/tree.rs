//! The block tree: nodes in insertion order, so a parent's index is below its children's, with subtree weights
//! and the best child of every node kept up to date.
//!
//! A batch of vote moves becomes one change of weight at each head, pushed towards the root in one backward pass;
//! a best child is looked for only below nodes whose children changed.

use std::collections::HashMap;

use lamella_types::{Checkpoint, Root, Slot, ValidatorIndex};

/// What fork choice needs of a block and its post-state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSummary {
    /// Root of the block.
    pub root: Root,
    /// Root of its parent.
    pub parent_root: Root,
    /// The block's slot.
    pub slot: Slot,
    /// Its proposer.
    pub proposer_index: ValidatorIndex,
    /// `latest_justified` of its post-state.
    pub justified: Checkpoint,
    /// `latest_finalized` of its post-state.
    pub finalized: Checkpoint,
    /// Validators in its post-state's registry.
    pub validator_count: u64,
}

impl BlockSummary {
    /// The block as a checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> Checkpoint {
        Checkpoint { root: self.root, slot: self.slot }
    }
}

/// A node index or none, in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(u32);

impl Link {
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// A link to the node at `index`. A tree outgrows memory long before it outgrows 2^32 nodes.
    pub(crate) fn to(index: usize) -> Self {
        u32::try_from(index).map_or(Self::NONE, Self)
    }

    pub(crate) const fn get(self) -> Option<usize> {
        if self.0 == u32::MAX { None } else { Some(self.0 as usize) }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) summary: BlockSummary,
    pub(crate) parent: Link,
    first_child: Link,
    next_sibling: Link,
    best_child: Link,
    /// Latest votes for this block and its descendants.
    pub(crate) weight: u32,
}

/// Changes of weight that are not in the tree yet, one for each node.
pub(crate) struct Deltas(Vec<i32>);

impl Deltas {
    pub(crate) fn move_vote(&mut self, from: Link, to: Link) {
        if let Some(from) = from.get() {
            self.0[from] -= 1;
        }
        if let Some(to) = to.get() {
            self.0[to] += 1;
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    index: HashMap<Root, u32>,
}

impl Tree {
    pub(crate) fn new(root: BlockSummary) -> Self {
        let mut tree = Self { nodes: Vec::new(), index: HashMap::new() };
        tree.push(root, Link::NONE);
        tree
    }

    /// Adds a block; `None` if its parent is not in the tree. The caller has seen that the root is new.
    pub(crate) fn insert(&mut self, summary: BlockSummary) -> Option<usize> {
        let parent = self.find(&summary.parent_root)?;
        let index = self.push(summary, Link::to(parent));
        self.nodes[index].next_sibling = self.nodes[parent].first_child;
        self.nodes[parent].first_child = Link::to(index);
        let best = self.nodes[parent].best_child;
        if best.get().is_none_or(|best| self.rank(index) > self.rank(best)) {
            self.nodes[parent].best_child = Link::to(index);
        }
        Some(index)
    }

    fn push(&mut self, summary: BlockSummary, parent: Link) -> usize {
        let index = self.nodes.len();
        let none = Link::NONE;
        let links = Node {
            summary,
            parent,
            first_child: none,
            next_sibling: none,
            best_child: none,
            weight: 0,
        };
        self.nodes.push(links);
        self.index.insert(summary.root, Link::to(index).0);
        index
    }

    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn get(&self, index: usize) -> &BlockSummary {
        &self.nodes[index].summary
    }

    pub(crate) fn parent(&self, index: usize) -> Option<usize> {
        self.nodes[index].parent.get()
    }

    pub(crate) fn find(&self, root: &Root) -> Option<usize> {
        self.index.get(root).map(|index| *index as usize)
    }

    /// The node of a root, as a vote stores it.
    pub(crate) fn link(&self, root: &Root) -> Link {
        self.find(root).map_or(Link::NONE, Link::to)
    }

    /// Children of a node, newest first.
    pub(crate) fn children(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let first = self.nodes[index].first_child.get();
        std::iter::successors(first, |child| self.nodes[*child].next_sibling.get())
    }

    /// The node and its ancestors, up to the tree's root.
    pub(crate) fn chain(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(index), |node| self.parent(*node))
    }

    /// Whether `ancestor` is `descendant` or on its chain.
    ///
    /// # Cost
    /// One step for each block between them: indices fall towards the root, so the walk stops at `ancestor`'s.
    pub(crate) fn is_ancestor(&self, ancestor: usize, descendant: usize) -> bool {
        self.chain(descendant).find(|node| *node <= ancestor) == Some(ancestor)
    }

    /// Blocks on `from`'s chain that are not on `to`'s.
    pub(crate) fn blocks_left(&self, mut from: usize, mut to: usize) -> u64 {
        let mut left = 0;
        // The larger index cannot be an ancestor of the smaller, so it is the one that steps back.
        while from != to {
            let (walker, steps) = if from > to { (&mut from, 1) } else { (&mut to, 0) };
            let Some(parent) = self.nodes[*walker].parent.get() else { break };
            *walker = parent;
            left += steps;
        }
        left
    }

    pub(crate) fn no_deltas(&self) -> Deltas {
        Deltas(vec![0; self.nodes.len()])
    }

    /// Adds the changes to every block they are for and to its ancestors.
    ///
    /// # Cost
    /// One pass over the nodes, children before parents.
    pub(crate) fn apply(&mut self, deltas: Deltas) {
        let Deltas(mut deltas) = deltas;
        let mut children_changed = vec![false; self.nodes.len()];
        for index in (0..self.nodes.len()).rev() {
            if children_changed[index] {
                let best = self.children(index).max_by_key(|child| self.rank(*child));
                self.nodes[index].best_child = best.map_or(Link::NONE, Link::to);
            }
            let delta = deltas[index];
            if delta == 0 {
                continue;
            }
            let node = &mut self.nodes[index];
            node.weight = node.weight.saturating_add_signed(delta);
            if let Some(parent) = node.parent.get() {
                deltas[parent] += delta;
                children_changed[parent] = true;
            }
        }
    }

    /// The leaf that the heaviest children lead to. leanSpec `_compute_lmd_ghost_head` without a threshold.
    pub(crate) fn heaviest_leaf(&self, start: usize) -> usize {
        let mut head = start;
        while let Some(child) = self.nodes[head].best_child.get() {
            head = child;
        }
        head
    }

    /// The last block of the heaviest path whose blocks all have `score_min` of these votes. leanSpec
    /// `_compute_lmd_ghost_head` with a threshold.
    pub(crate) fn heaviest_above(
        &self,
        start: usize,
        heads: impl Iterator<Item = Link>,
        score_min: u64,
    ) -> usize {
        let mut weights = vec![0_u32; self.nodes.len()];
        for head in heads.filter_map(Link::get) {
            weights[head] += 1;
        }
        for index in (0..self.nodes.len()).rev() {
            if let Some(parent) = self.nodes[index].parent.get() {
                weights[parent] += weights[index];
            }
        }
        let rank = |child: &usize| (weights[*child], self.nodes[*child].summary.root);
        let mut head = start;
        while let Some(child) = self
            .children(head)
            .filter(|child| u64::from(weights[*child]) >= score_min)
            .max_by_key(rank)
        {
            head = child;
        }
        head
    }

    /// What children compete by: weight, then the larger root.
    fn rank(&self, index: usize) -> (u32, Root) {
        (self.nodes[index].weight, self.nodes[index].summary.root)
    }

    /// Keeps the nodes that `kept` names, whose first becomes the root, and returns each old index's new one.
    /// Every kept node but that first has its parent kept, so weights and best children stay as they are.
    pub(crate) fn retain(&mut self, kept: impl Fn(usize) -> bool) -> Vec<Link> {
        let mut moved = vec![Link::NONE; self.nodes.len()];
        let kept_links = moved.iter_mut().enumerate().filter(|(index, _)| kept(*index));
        for (new_index, (_, link)) in kept_links.enumerate() {
            *link = Link::to(new_index);
        }
        let renumber = |link: Link| link.get().map_or(Link::NONE, |index| moved[index]);
        let old = std::mem::take(&mut self.nodes);
        self.index.clear();
        for (index, node) in old.into_iter().enumerate().filter(|(index, _)| kept(*index)) {
            self.index.insert(node.summary.root, moved[index].0);
            self.nodes.push(Node {
                parent: renumber(node.parent),
                first_child: renumber(node.first_child),
                next_sibling: renumber(node.next_sibling),
                best_child: renumber(node.best_child),
                ..node
            });
        }
        moved
    }
}
