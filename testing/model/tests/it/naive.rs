//! leanSpec's fork choice, transcribed naively: ordered lists and full recomputation, nothing remembered. leanSpec
//! `fork_choice.py`, `timeline.py`. Voters only: proofs and aggregation are the fork-choice crate's own model test.

use std::collections::{BTreeMap, BTreeSet};

use lamella_fork_choice::{BlockSummary, limits::TREE_LAG_SLOTS};
use lamella_types::{AttestationData, Checkpoint, Root};

/// A Python dict: distinct votes in insertion order, each with its voters.
pub type Pool = Vec<(AttestationData, BTreeSet<u64>)>;

fn entry<'a>(pool: &'a mut Pool, data: &AttestationData) -> &'a mut BTreeSet<u64> {
    let place = pool.iter().position(|(key, _)| key == data).unwrap_or_else(|| {
        pool.push((*data, BTreeSet::new()));
        pool.len() - 1
    });
    &mut pool[place].1
}

#[derive(Debug, Clone)]
pub struct Naive {
    pub time: u64,
    pub head: Root,
    pub safe_target: Root,
    pub justified: Checkpoint,
    pub finalized: Checkpoint,
    pub blocks: BTreeMap<Root, BlockSummary>,
    pub tree_root: Root,
    pub known: Pool,
    pub pending: Pool,
}

impl Naive {
    pub fn new(anchor: BlockSummary) -> Self {
        Self {
            time: anchor.slot * 5,
            head: anchor.root,
            safe_target: anchor.root,
            justified: anchor.checkpoint(),
            finalized: anchor.checkpoint(),
            blocks: BTreeMap::from([(anchor.root, anchor)]),
            tree_root: anchor.root,
            known: Pool::new(),
            pending: Pool::new(),
        }
    }

    /// The block and its ancestors in the tree.
    pub fn chain(&self, root: Root) -> Vec<BlockSummary> {
        let next = |block: &BlockSummary| self.blocks.get(&block.parent_root).copied();
        std::iter::successors(self.blocks.get(&root).copied(), next).collect()
    }

    pub fn is_ancestor(&self, ancestor: Checkpoint, descendant: Root) -> bool {
        self.chain(descendant).iter().any(|block| block.checkpoint() == ancestor)
    }

    fn ghost(&self, pool: &Pool, score_min: u64) -> Root {
        let mut latest: BTreeMap<u64, AttestationData> = BTreeMap::new();
        for (data, voters) in pool.iter().filter(|(d, _)| d.head.slot > self.finalized.slot) {
            for voter in voters {
                if latest.get(voter).is_none_or(|vote| vote.slot < data.slot) {
                    latest.insert(*voter, *data);
                }
            }
        }
        let mut weights: BTreeMap<Root, u64> = BTreeMap::new();
        for vote in latest.values() {
            for block in self.chain(vote.head.root) {
                *weights.entry(block.root).or_default() += 1;
            }
        }
        let weight = |root: &Root| weights.get(root).copied().unwrap_or(0);
        let mut head = self.justified.root;
        loop {
            let children = self.blocks.values().filter(|block| block.parent_root == head);
            let children = children.map(|b| (weight(&b.root), b.root));
            match children.filter(|child| child.0 >= score_min).max() {
                Some((_, child)) => head = child,
                None => return head,
            }
        }
    }

    pub fn ghost_head(&self) -> Root {
        self.ghost(&self.known, 0)
    }

    fn update_head(&mut self) {
        self.head = self.ghost_head();
        let slot = self.blocks[&self.head].finalized.slot;
        let root = &self.blocks[&self.tree_root];
        if slot < root.slot {
            // Ours, not leanSpec's: finality below the tree is its root, which is on every chain.
            self.finalized = root.checkpoint();
        } else if let Some(block) = self.chain(self.head).iter().find(|block| block.slot == slot) {
            self.finalized = block.checkpoint();
        }
    }

    /// Ours, not leanSpec's: the head is computed again under the finality that it brought, so that a restart finds
    /// the same one. Where head and finality chase each other, finality stays and the head is the one under it.
    fn settle(&mut self, finalized_changed: bool) {
        let mut changed = finalized_changed;
        for _ in 0..8 {
            if !changed {
                return;
            }
            let seen = self.finalized;
            self.update_head();
            changed = self.finalized != seen;
        }
        if changed {
            self.head = self.ghost_head();
        }
    }

    /// A block, and the votes of its body.
    pub fn on_block(&mut self, block: BlockSummary, body: &[(AttestationData, BTreeSet<u64>)]) {
        let previous = self.finalized;
        self.justified = self.justified.advance_to(block.justified);
        self.blocks.insert(block.root, block);
        let known = std::mem::take(&mut self.known);
        for (data, _) in body {
            entry(&mut self.known, data);
        }
        for (data, voters) in known {
            *entry(&mut self.known, &data) = voters;
        }
        self.update_head();
        if self.finalized.slot > previous.slot {
            let view = self.clone();
            let lives = |data: &AttestationData| {
                data.head.slot > view.finalized.slot
                    && view.is_ancestor(view.finalized, data.head.root)
            };
            self.known.retain(|(data, _)| lives(data));
            self.pending.retain(|(data, _)| lives(data));
        }
        let mut changed = self.finalized != previous;
        if self.record_body(body) {
            let seen = self.finalized;
            self.update_head();
            changed |= self.finalized != seen;
        }
        self.settle(changed);
    }

    /// The votes of a body count if gossip would take them: at once, unless those of their slot are still to be
    /// accepted. Whether any was new.
    fn record_body(&mut self, body: &[(AttestationData, BTreeSet<u64>)]) -> bool {
        let mut is_new = false;
        for (data, voters) in body {
            if data.head.slot <= self.finalized.slot || !self.takes(data, voters) {
                continue;
            }
            let is_late = 5 * data.slot + 4 <= self.time;
            let adds = |pool: &Pool| {
                let known = pool.iter().find(|(key, _)| key == data);
                known.is_none_or(|(_, known)| !voters.is_subset(known))
            };
            if adds(&self.known) && (is_late || adds(&self.pending)) {
                let pool = if is_late { &mut self.known } else { &mut self.pending };
                entry(pool, data).extend(voters);
                is_new = true;
            }
        }
        is_new
    }

    /// leanSpec `validate_attestation`, and who may vote.
    fn takes(&self, data: &AttestationData, voters: &BTreeSet<u64>) -> bool {
        let AttestationData { slot, head, target, source } = *data;
        let is_known = |c: Checkpoint| self.blocks.get(&c.root).is_some_and(|b| b.slot == c.slot);
        [source, target, head].into_iter().all(is_known)
            && self.is_ancestor(source, target.root)
            && self.is_ancestor(target, head.root)
            && (head.slot..=(self.time + 1) / 5).contains(&slot)
            && voters.last().is_some_and(|last| *last < self.blocks[&target.root].validator_count)
    }

    pub fn record(&mut self, data: &AttestationData, voters: &BTreeSet<u64>) {
        entry(&mut self.pending, data).extend(voters);
    }

    pub fn insert_known(&mut self, data: &AttestationData, voters: &BTreeSet<u64>) {
        let previous = self.finalized;
        entry(&mut self.known, data).extend(voters);
        self.update_head();
        self.settle(self.finalized != previous);
    }

    fn accept(&mut self) {
        for (data, voters) in std::mem::take(&mut self.pending) {
            entry(&mut self.known, &data).extend(voters);
        }
        self.update_head();
    }

    pub fn tick(&mut self, has_proposal: bool) {
        let previous = self.finalized;
        self.time += 1;
        match self.time % 5 {
            0 if has_proposal => self.accept(),
            3 => {
                let score_min = (2 * self.blocks[&self.head].validator_count).div_ceil(3);
                self.safe_target = self.ghost(&self.pending, score_min);
            }
            4 => self.accept(),
            _ => {}
        }
        self.settle(self.finalized != previous);
    }

    /// One step of the tree's root along the finalized chain at a time, each found by searching everything.
    pub fn prune(&mut self, removed_max: usize) -> usize {
        let mut removed = 0;
        loop {
            let chain = self.chain(self.finalized.root);
            let child = chain.iter().find(|block| block.parent_root == self.tree_root);
            let Some(child) = child.filter(|c| c.slot + TREE_LAG_SLOTS <= self.finalized.slot)
            else {
                return removed;
            };
            let stays = |root| self.is_ancestor(child.checkpoint(), root);
            let safe_is_stale = self.blocks[&self.safe_target].slot <= self.finalized.slot;
            if !stays(self.head)
                || !stays(self.justified.root)
                || !(stays(self.safe_target) || safe_is_stale)
            {
                return removed;
            }
            let step: BTreeSet<_> =
                self.blocks.keys().copied().filter(|root| !stays(*root)).collect();
            if removed != 0 && removed + step.len() > removed_max {
                return removed;
            }
            if step.contains(&self.safe_target) {
                self.safe_target = child.root;
            }
            self.tree_root = child.root;
            self.blocks.retain(|root, _| !step.contains(root));
            removed += step.len();
        }
    }
}
