//! What can happen to a chain, one step at a time.

use std::sync::Arc;

use lamella_fork_choice::BlockSummary;
use lamella_types::{
    AggregationBits, AttestationData, Checkpoint, ProofBytes, Root, SingleMessageAggregate,
};

use crate::{
    blocks::{Voting, bits},
    invalid::{KINDS, invalid_block},
    run::Run,
};

/// The greatest slot that a run reaches: four anchors, and states that still fit a test's memory.
const SLOT_MAX: u64 = 5_000;

/// One thing that can happen.
type Step = fn(&mut Run);

/// What can happen: how often, what it is called in the report of a failure, and the step.
const STEPS: &[(u64, &str, Step)] = &[
    (34, "extend the head", Run::extend_head),
    (10, "fork", Run::fork),
    (5, "equivocate", Run::equivocate),
    (5, "hold a block back", Run::hold_back),
    (5, "import a late block", Run::import_held),
    (3, "orphan", Run::orphan),
    (3, "a block again", Run::duplicate),
    (4, "invalid block", Run::invalid),
    (8, "vote", Run::vote),
    (10, "tick", Run::tick),
    (6, "batch", Run::batch),
    (2, "bad batch", Run::bad_batch),
    (3, "restart", Run::restart),
    (2, "jump", Run::jump),
];

impl Run {
    /// One random step.
    pub fn step(&mut self) {
        if self.random.percent(7) {
            self.voting = Voting {
                participation: self.random.pick(&[0, 30, 60, 75, 95, 100]),
                votes_max: self.random.pick(&[0, 2, 4, 7]),
            };
        }
        let mut chosen = self.random.below(STEPS.iter().map(|step| step.0).sum());
        for (weight, doing, step) in STEPS {
            if chosen < *weight {
                self.doing = doing;
                return step(self);
            }
            chosen -= weight;
        }
    }

    /// A child of `parent`, not offered yet.
    pub fn child(&mut self, parent: Root, skip: u64) -> Root {
        let full = self.blocks.get(&parent).summary.slot > SLOT_MAX;
        let skip = if full { 0 } else { skip };
        let slot = self.blocks.child_slot(&mut self.random, &parent, skip);
        let root = self.blocks.build(&mut self.random, parent, slot, self.voting);
        self.figures.slots = self.figures.slots.max(slot);
        root
    }

    fn small_skip(&mut self) -> u64 {
        if self.random.percent(70) { 0 } else { self.random.below(6) }
    }

    fn extend_head(&mut self) {
        let skip = self.small_skip();
        let root = self.child(self.naive.head, skip);
        self.import(root);
        if self.random.percent(60) {
            self.catch_up_time(root);
        }
    }

    /// Time reaches the block's slot.
    pub fn catch_up_time(&mut self, root: Root) {
        let interval = self.blocks.get(&root).summary.slot * 5;
        self.chain().change(|view| view.skip_to_interval(interval)).unwrap();
        self.naive.time = self.naive.time.max(interval);
        self.durable = (self.naive.known.clone(), self.naive.pending.clone());
    }

    fn fork(&mut self) {
        let live = self.live();
        let count = if self.random.percent(80) { 6 } else { live.len() };
        let parent = self.random.recent(&live, count);
        let skip = self.small_skip();
        let root = self.child(parent, skip);
        self.import(root);
    }

    /// A second block of the same slot and parent, so of the same proposer.
    fn equivocate(&mut self) {
        let live = self.live();
        let first = self.blocks.get(&self.random.recent(&live, 8)).summary;
        if self.is_live(&first.parent_root) {
            let voting = Voting { votes_max: 8, ..self.voting };
            let root = self.blocks.build(&mut self.random, first.parent_root, first.slot, voting);
            self.import(root);
        }
    }

    fn hold_back(&mut self) {
        let mut parents = self.live();
        parents.extend(&self.held);
        let parent = self.random.recent(&parents, 6);
        let skip = self.small_skip();
        let root = self.child(parent, skip);
        self.held.push(root);
    }

    fn import_held(&mut self) {
        if !self.held.is_empty() {
            let index = self.random.below(self.held.len() as u64) as usize;
            let root = self.held[index];
            self.import(root);
            if self.is_live(&root) {
                self.held.retain(|held| *held != root);
            }
        }
    }

    /// A block whose parent is stored no more in the tree, or not at all.
    fn orphan(&mut self) {
        let all = self.imported.clone();
        let parent = match self.held.is_empty() {
            true => self.random.pick(&all),
            false => self.random.pick(&self.held),
        };
        let root = self.child(parent, 0);
        self.import(root);
    }

    fn duplicate(&mut self) {
        let root = self.random.pick(&self.imported);
        self.import(root);
    }

    fn invalid(&mut self) {
        let parent = self.random.recent(&self.live(), 6);
        let kind = self.random.below(KINDS);
        let (signed, reason) = invalid_block(&mut self.random, &self.blocks, parent, kind);
        // A registry of one has no wrong proposer: that kind falls through to an unknown parent.
        self.refuse(signed, reason);
    }

    /// A run of blocks in one transaction, some of them known perhaps.
    fn batch(&mut self) {
        let roots = self.line();
        if self.random.percent(20) {
            let known = self.random.between(1, roots.len() as u64) as usize;
            for root in &roots[..known] {
                self.import(*root);
            }
        }
        // Those that were pruned at once by the first are no children of the tree any more.
        if self.is_live(&self.blocks.get(&roots[0]).summary.parent_root) {
            self.import_batch(&roots);
        }
    }

    fn line(&mut self) -> Vec<Root> {
        let mut parent = self.random.recent(&self.live(), 5);
        let mut roots = Vec::new();
        for _ in 0..self.random.between(1, 7) {
            let skip = if self.random.percent(4) { 300 } else { self.small_skip() };
            parent = self.child(parent, skip);
            roots.push(parent);
        }
        roots
    }

    /// A batch with a bad block at its end: none of it happens.
    fn bad_batch(&mut self) {
        let roots = self.line();
        let last = roots[roots.len() - 1];
        let kind = self.random.below(KINDS);
        let (bad, reason) = invalid_block(&mut self.random, &self.blocks, last, kind);
        let good = roots.iter().map(|root| self.blocks.get(root).signed.clone());
        let blocks = good.chain([bad]).collect();
        self.refuse_batch(blocks, reason);
    }

    /// Many slots without a block: anchors, segments, and finality far behind.
    fn jump(&mut self) {
        let parent = match self.random.percent(75) {
            true => self.naive.head,
            false => self.random.recent(&self.live(), 6),
        };
        let to_anchor = 1024 - self.blocks.get(&parent).summary.slot % 1024;
        let skip = match self.random.below(3) {
            0 => to_anchor.saturating_sub(self.random.below(4)),
            1 => self.random.below(700),
            _ => to_anchor + self.random.below(3) * 1024 / 2,
        };
        let root = self.child(parent, skip);
        self.import(root);
    }

    /// Aggregates for blocks of the tree; pending as a rule.
    fn vote(&mut self) {
        for _ in 0..self.random.between(1, 4) {
            let (data, proof) = self.aggregate();
            if self.chain().fork_choice().validate_attestation(&data).is_err() {
                continue;
            }
            let voters = proof.participants.ones().map(|index| index as u64).collect();
            if self.random.percent(80) {
                self.chain().change_pools(|pools| pools.record_aggregate(&data, proof));
                self.naive.record(&data, &voters);
            } else {
                let before = self.naive.clone();
                let change = |view: &mut lamella_fork_choice::ForkChoice| {
                    view.insert_known_aggregate(&data, proof);
                    view.update_head();
                };
                self.chain().change(change).unwrap();
                self.naive.insert_known(&data, &voters);
                self.moved(&before);
            }
        }
    }

    fn aggregate(&mut self) -> (AttestationData, Arc<SingleMessageAggregate>) {
        let live = self.live();
        let head = match self.random.below(3) {
            0 => self.naive.head,
            1 => self.random.recent(&live, 8),
            _ => self.random.pick(&live),
        };
        let chain: Vec<Checkpoint> =
            self.naive.chain(head).iter().map(BlockSummary::checkpoint).collect();
        let target = self.random.pick(&chain[..chain.len().min(4)]);
        let sources: Vec<_> = chain.iter().filter(|b| b.slot <= target.slot).copied().collect();
        let source = self.random.pick(&sources);
        let now = (self.naive.time / 5).max(chain[0].slot);
        let slot = self.random.between(chain[0].slot, now.min(chain[0].slot + 40));
        let count = self.blocks.get(&head).summary.validator_count;
        let participation = self.random.pick(&[10, 40, 80, 100]);
        let participants: AggregationBits = bits(&mut self.random, count, participation);
        let proof = ProofBytes::new(self.random.bytes(4)).unwrap();
        let data = AttestationData { slot, head: chain[0], target, source };
        (data, Arc::new(SingleMessageAggregate { participants, proof }))
    }

    fn tick(&mut self) {
        for _ in 0..self.random.between(1, 7) {
            let has_proposal = self.random.percent(50);
            let before = self.naive.clone();
            let interval = self.chain().fork_choice().time() + 1;
            self.chain().tick_interval(interval, has_proposal, None).unwrap();
            self.naive.tick(has_proposal);
            self.moved(&before);
        }
    }
}
