//! leanSpec's store, transcribed naively: ordered lists and full recomputation, nothing remembered.
//! leanSpec `fork_choice.py`, `aggregation.py`, `timeline.py`, `validator_duties.py`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lamella_fork_choice::{
    BlockSummary,
    limits::{PROOFS_PER_DATA_MAX, TREE_LAG_SLOTS},
};
use lamella_types::{
    AttestationData, Checkpoint, RejectionReason as Reason, Root, SingleMessageAggregate,
    coverage::select_proofs_for_coverage, slot::is_justifiable_after,
};

use crate::support::proof;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub proofs: Vec<Arc<SingleMessageAggregate>>,
    /// Voters without a proof: from before a restart, or past the limit of proofs.
    pub unproven: BTreeSet<u64>,
}

impl Entry {
    pub fn voters(&self) -> BTreeSet<u64> {
        let proven = self.proofs.iter().flat_map(|proof| proof.participants.ones());
        proven.map(|index| index as u64).chain(self.unproven.iter().copied()).collect()
    }

    fn add(&mut self, proof: &Arc<SingleMessageAggregate>) {
        if self.proofs.contains(proof) {
        } else if self.proofs.len() < PROOFS_PER_DATA_MAX {
            self.proofs.push(Arc::clone(proof));
        } else {
            self.unproven.extend(proof.participants.ones().map(|index| index as u64));
        }
    }
}

/// A Python dict: distinct keys in insertion order.
pub type Pool = Vec<(AttestationData, Entry)>;

pub fn entry<'a>(pool: &'a mut Pool, data: &AttestationData) -> &'a mut Entry {
    let place = pool.iter().position(|(key, _)| key == data).unwrap_or_else(|| {
        pool.push((*data, Entry::default()));
        pool.len() - 1
    });
    &mut pool[place].1
}

#[derive(Debug, Clone)]
pub struct Model {
    pub time: u64,
    pub head: Root,
    pub safe_target: Root,
    pub justified: Checkpoint,
    pub finalized: Checkpoint,
    pub blocks: BTreeMap<Root, BlockSummary>,
    pub tree_root: Root,
    pub known: Pool,
    pub pending: Pool,
    pub signatures: Vec<(AttestationData, BTreeSet<u64>)>,
}

impl Model {
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
            signatures: Vec::new(),
        }
    }

    fn chain(&self, root: Root) -> Vec<BlockSummary> {
        let next = |block: &BlockSummary| self.blocks.get(&block.parent_root).copied();
        std::iter::successors(self.blocks.get(&root).copied(), next).collect()
    }

    fn is_ancestor(&self, ancestor: Checkpoint, descendant: Root) -> bool {
        self.chain(descendant).iter().any(|block| block.checkpoint() == ancestor)
    }

    fn latest_votes(&self, pool: &Pool) -> BTreeMap<u64, AttestationData> {
        let mut latest: BTreeMap<u64, AttestationData> = BTreeMap::new();
        for (data, entry) in pool {
            if data.head.slot <= self.finalized.slot {
                continue;
            }
            for voter in entry.voters() {
                if latest.get(&voter).is_none_or(|vote| vote.slot < data.slot) {
                    latest.insert(voter, *data);
                }
            }
        }
        latest
    }

    fn weights(&self, pool: &Pool, start_slot: u64) -> BTreeMap<Root, u32> {
        let mut weights = BTreeMap::new();
        for vote in self.latest_votes(pool).values() {
            for block in self.chain(vote.head.root).iter().filter(|b| b.slot > start_slot) {
                *weights.entry(block.root).or_default() += 1;
            }
        }
        weights
    }

    pub fn block_weights(&self) -> BTreeMap<Root, u32> {
        let weights = self.weights(&self.known, self.finalized.slot);
        let above = self.blocks.values().filter(|block| block.slot > self.finalized.slot);
        above.map(|b| (b.root, weights.get(&b.root).copied().unwrap_or(0))).collect()
    }

    fn ghost(&self, pool: &Pool, score_min: u32) -> Root {
        let weights = self.weights(pool, self.blocks[&self.justified.root].slot);
        let weight = |root: &Root| weights.get(root).copied().unwrap_or(0);
        let mut head = self.justified.root;
        loop {
            let children = self.blocks.values().filter(|block| block.parent_root == head);
            let children = children.map(|b| (weight(&b.root), b.root)).filter(|c| c.0 >= score_min);
            match children.max() {
                Some((_, child)) => head = child,
                None => return head,
            }
        }
    }

    pub fn ghost_head(&self) -> Root {
        self.ghost(&self.known, 0)
    }

    pub fn update_head(&mut self) {
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

    pub fn on_block(&mut self, block: BlockSummary, body: &[AttestationData]) {
        if self.blocks.contains_key(&block.root) {
            return;
        }
        let previous_finalized_slot = self.finalized.slot;
        self.justified = self.justified.advance_to(block.justified);
        self.blocks.insert(block.root, block);
        let known = std::mem::take(&mut self.known);
        for data in body {
            entry(&mut self.known, data);
        }
        for (data, votes) in known {
            *entry(&mut self.known, &data) = votes;
        }
        self.update_head();
        if self.finalized.slot > previous_finalized_slot {
            let view = self.clone();
            let lives = |data: &AttestationData| {
                data.head.slot > view.finalized.slot
                    && view.is_ancestor(view.finalized, data.head.root)
            };
            self.known.retain(|(data, _)| lives(data));
            self.pending.retain(|(data, _)| lives(data));
            self.signatures.retain(|(data, _)| lives(data));
        }
    }

    pub fn validate(&self, data: &AttestationData) -> Result<(), Reason> {
        let block = |root, reason| self.blocks.get(&root).ok_or(reason);
        let source = block(data.source.root, Reason::UnknownSourceBlock)?;
        let target = block(data.target.root, Reason::UnknownTargetBlock)?;
        let head = block(data.head.root, Reason::UnknownHeadBlock)?;
        let source_leads = self.is_ancestor(data.source, data.target.root);
        let target_leads = self.is_ancestor(data.target, data.head.root);
        let horizon = (u128::from(self.time) + 1) / 5;
        let checks = [
            (data.source.slot > data.target.slot, Reason::SourceAfterTarget),
            (data.head.slot < data.target.slot, Reason::HeadOlderThanTarget),
            (source.slot != data.source.slot, Reason::SourceSlotMismatch),
            (target.slot != data.target.slot, Reason::TargetSlotMismatch),
            (head.slot != data.head.slot, Reason::HeadSlotMismatch),
            (!source_leads, Reason::SourceNotAncestorOfTarget),
            (!target_leads, Reason::TargetNotAncestorOfHead),
            (data.slot < data.head.slot, Reason::AttestationSlotBeforeHead),
            (u128::from(data.slot) > horizon, Reason::AttestationTooFarInFuture),
        ];
        checks.iter().find(|(failed, _)| *failed).map_or(Ok(()), |(_, reason)| Err(*reason))
    }

    pub fn accept(&mut self) {
        for (data, votes) in std::mem::take(&mut self.pending) {
            self.insert_known(&data, &votes);
        }
        self.update_head();
    }

    pub fn insert_known(&mut self, data: &AttestationData, votes: &Entry) {
        let known = entry(&mut self.known, data);
        votes.proofs.iter().for_each(|proof| known.add(proof));
        known.unproven.extend(&votes.unproven);
    }

    pub fn record_aggregate(
        &mut self,
        data: &AttestationData,
        aggregate: &Arc<SingleMessageAggregate>,
    ) {
        entry(&mut self.pending, data).add(aggregate);
    }

    /// A vote of a block's body: as gossip would take it, and at once if the acceptance of its slot is over.
    pub fn record_block_vote(
        &mut self,
        data: &AttestationData,
        proof: &Arc<SingleMessageAggregate>,
        is_proven: bool,
    ) {
        let voters: BTreeSet<u64> = proof.participants.ones().map(|index| index as u64).collect();
        let carries_weight = data.head.slot > self.finalized.slot;
        let is_registered = |last: &u64| *last < self.blocks[&data.target.root].validator_count;
        if !carries_weight
            || self.validate(data).is_err()
            || !voters.last().is_some_and(is_registered)
        {
            return;
        }
        let is_late = 5 * u128::from(data.slot) + 4 <= u128::from(self.time);
        let holds_all = |pool: &Pool| {
            pool.iter().any(|(key, entry)| key == data && voters.is_subset(&entry.voters()))
        };
        if holds_all(&self.known) || (!is_late && holds_all(&self.pending)) {
            return;
        }
        let votes = match is_proven {
            true => Entry { proofs: vec![Arc::clone(proof)], unproven: BTreeSet::new() },
            false => Entry { proofs: Vec::new(), unproven: voters },
        };
        let pool = if is_late { &mut self.known } else { &mut self.pending };
        let counted = entry(pool, data);
        votes.proofs.iter().for_each(|proof| counted.add(proof));
        counted.unproven.extend(&votes.unproven);
    }

    pub fn record_signature(&mut self, data: &AttestationData, validator: u64) {
        match self.signatures.iter_mut().find(|(key, _)| key == data) {
            Some((_, signers)) => drop(signers.insert(validator)),
            None => self.signatures.push((*data, BTreeSet::from([validator]))),
        }
    }

    pub fn tick(&mut self, has_proposal: bool, prover: Option<&dyn Fn(&AttestationData) -> bool>) {
        self.time += 1;
        match (self.time % 5, prover) {
            (0, _) if has_proposal => self.accept(),
            (2, Some(prover)) => self.aggregate(prover),
            (3, _) => {
                let score_min = (2 * self.blocks[&self.head].validator_count).div_ceil(3);
                self.safe_target = self.ghost(&self.pending, u32::try_from(score_min).unwrap());
            }
            (4, _) => self.accept(),
            _ => {}
        }
    }

    fn aggregate(&mut self, prover: &dyn Fn(&AttestationData) -> bool) {
        let mut known = self.known.clone();
        let mut pending = self.pending.clone();
        let mut due: Pool = self.pending.clone();
        for (data, _) in &self.signatures {
            entry(&mut due, data);
        }
        let mut replacement = Pool::new();
        for (data, kept) in due {
            let pools: [&[_]; 2] =
                [&entry(&mut pending, &data).proofs, &entry(&mut known, &data).proofs];
            let (children, covered) = select_proofs_for_coverage(&pools);
            let mut voters: BTreeSet<_> = covered.ones().map(|index| index as u64).collect();
            let signers = self.signatures.iter().find(|(key, _)| *key == data);
            let signers = signers.map(|(_, signers)| signers.clone()).unwrap_or_default();
            if signers.is_subset(&voters) && children.len() < 2 {
                continue;
            }
            if prover(&data) {
                voters.extend(signers);
                entry(&mut replacement, &data).add(&proof(voters));
                self.signatures.retain(|(key, _)| *key != data);
            } else if self.pending.iter().any(|(key, _)| *key == data) {
                *entry(&mut replacement, &data) = kept;
            }
        }
        self.pending = replacement;
    }

    /// `None` while the walk would leave the tree: leanSpec's never does, because it never drops a block.
    pub fn attestation_target(&self) -> Option<Checkpoint> {
        let finalized_slot = self.finalized.slot;
        let lower_bound = self.blocks[&self.safe_target].slot.max(finalized_slot);
        let mut block = self.blocks[&self.head];
        for _ in 0..3 {
            if block.slot > lower_bound {
                block = *self.blocks.get(&block.parent_root)?;
            }
        }
        while block.slot > finalized_slot && !is_justifiable_after(block.slot, finalized_slot) {
            block = *self.blocks.get(&block.parent_root)?;
        }
        Some(block.checkpoint())
    }

    /// One step of the tree's root along the finalized chain at a time, each found by searching everything.
    pub fn prune(&mut self, removed_max: usize) -> BTreeSet<Root> {
        let mut removed = BTreeSet::new();
        loop {
            let chain = self.chain(self.finalized.root);
            let child = chain.iter().find(|block| block.parent_root == self.tree_root);
            let Some(child) = child.filter(|c| c.slot + TREE_LAG_SLOTS <= self.finalized.slot)
            else {
                break;
            };
            let stays = |root| self.is_ancestor(child.checkpoint(), root);
            let safe_is_stale = self.blocks[&self.safe_target].slot <= self.finalized.slot;
            if !stays(self.head) || !stays(self.justified.root) {
                break;
            }
            if !stays(self.safe_target) && !safe_is_stale {
                break;
            }
            let step: BTreeSet<_> =
                self.blocks.keys().copied().filter(|root| !stays(*root)).collect();
            if !removed.is_empty() && removed.len() + step.len() > removed_max {
                break;
            }
            if step.contains(&self.safe_target) {
                self.safe_target = child.root;
            }
            self.tree_root = child.root;
            self.blocks.retain(|root, _| !step.contains(root));
            removed.extend(step);
        }
        removed
    }

    /// What a restart leaves: votes without proofs, no signatures, and a head derived again.
    pub fn restart(&mut self) {
        for (_, entry) in self.known.iter_mut().chain(&mut self.pending) {
            entry.unproven = entry.voters();
            entry.proofs.clear();
        }
        self.signatures.clear();
        self.head = self.ghost_head();
    }
}
