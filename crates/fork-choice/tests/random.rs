//! Law: whatever happens, fork choice and the naive model answer alike, what was drained to disk is what a restart
//! reads, and a restart gives the same view.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lamella_fork_choice::{
    AggregationTask, BlockSummary, BlockVote, Combine, ForkChoice, Snapshot, VoteRow, pool,
};
use lamella_types::{AttestationData, Checkpoint, Root, SingleMessageAggregate, hash_tree_root};
use proptest::prelude::*;

use crate::{
    model::{self, Model},
    support::{proof, root},
};

const VALIDATORS: u64 = 8;

/// One operation: what it is, and the numbers it takes its choices from.
type Word = [u16; 8];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn fork_choice_answers_like_the_naive_model(
        anchor_slot in 0_u64..40,
        far in any::<bool>(),
        words in prop::collection::vec(any::<Word>(), 1..150),
    ) {
        let mut pair = Pair::new(anchor_slot, far);
        for word in words {
            pair.step(word);
            pair.compare();
        }
    }
}

struct Pair {
    choice: ForkChoice,
    model: Model,
    disk: BTreeMap<(u64, Root), VoteRow>,
    next_block: u64,
    /// Blocks are far apart, so that the tree's root moves.
    far: bool,
}

impl Pair {
    fn new(anchor_slot: u64, far: bool) -> Self {
        let anchor = BlockSummary {
            root: root(0),
            parent_root: Root::ZERO,
            slot: anchor_slot,
            proposer_index: 0,
            justified: Checkpoint::default(),
            finalized: Checkpoint::default(),
            validator_count: VALIDATORS,
        };
        let disk = BTreeMap::new();
        Self {
            choice: ForkChoice::from_anchor(anchor),
            model: Model::new(anchor),
            disk,
            next_block: 1,
            far,
        }
    }

    fn step(&mut self, word: Word) {
        match word[0] % 21 {
            0..=6 => self.add_block(word),
            7..=9 => self.add_aggregate(word),
            10 => self.add_signature(word),
            11 => self.insert_known(word),
            12..=15 => self.tick(word),
            16 => self.skip(word),
            17 => self.check_garbage(word),
            18 => self.prune(word),
            19 => self.add_block_vote(word),
            _ => self.restart(),
        }
    }

    /// A block of the tree, more often a recent one.
    fn pick(&self, number: u16) -> BlockSummary {
        let count = self.choice.block_count();
        let from = if number.is_multiple_of(3) { 0 } else { count.saturating_sub(6) };
        *self.choice.nodes().nth(from + usize::from(number / 3) % (count - from)).unwrap()
    }

    fn pick_ancestor(&self, of: Root, number: u16) -> BlockSummary {
        let chain: Vec<_> = self.choice.chain(&of).collect();
        *chain[usize::from(number) % chain.len().min(4)]
    }

    /// A vote for blocks on one chain; now and then for a block that is not there, or not yet.
    fn pick_vote(&self, [a, b, c, d]: [u16; 4]) -> AttestationData {
        let known = self.choice.known_pool();
        if d % 4 == 1 && !known.is_empty() {
            return known.iter().nth(usize::from(a) % known.len()).unwrap().data;
        }
        let head = self.pick(a);
        let target = self.pick_ancestor(head.root, b);
        let source = self.pick_ancestor(target.root, c);
        let mut head = head.checkpoint();
        if d % 16 == 0 {
            head.root = root(self.next_block + u64::from(d / 16 % 3));
        }
        let slot = head.slot + u64::from(d % 3);
        let [target, source] = [target.checkpoint(), source.checkpoint()];
        AttestationData { slot, head, target, source }
    }

    fn add_block(&mut self, [_, a, b, c, d, e, f, g]: Word) {
        let parent = self.pick(a);
        let new_root = root(self.next_block);
        self.next_block += 1;
        let gap = if self.far || b % 8 == 0 {
            100 + u64::from(b / 8 % 400)
        } else {
            1 + u64::from(b % 3)
        };
        let (mut justified, mut finalized) = (parent.justified, parent.finalized);
        let candidate = self.pick_ancestor(parent.root, c).checkpoint();
        if c % 3 == 0 && candidate.slot > justified.slot {
            if !justified.root.is_zero() && c % 2 == 0 {
                finalized = justified;
            }
            justified = candidate;
        }
        let block = BlockSummary {
            root: new_root,
            parent_root: parent.root,
            slot: parent.slot + gap,
            proposer_index: 0,
            justified,
            finalized,
            validator_count: VALIDATORS - u64::from(d % 16 == 0),
        };
        let body: Vec<_> = (0..e % 4)
            .map(|index| self.pick_vote([f, g.rotate_left(index.into()), c, e / 4 + index]))
            .collect();
        let change = self.choice.on_block(block, &body).unwrap();
        let old_head = self.model.head;
        let old_finalized = self.model.finalized;
        let old_justified = self.model.justified;
        self.model.on_block(block, &body);
        assert_eq!((change.old_head, change.new_head), (old_head, self.model.head));
        assert_eq!(change.justified_advanced, old_justified != self.model.justified);
        assert_eq!(change.finalized_changed, old_finalized != self.model.finalized);
        let left = self
            .choice
            .chain(&old_head)
            .filter(|block| !self.choice.is_ancestor(&block.root, &self.model.head));
        assert_eq!(change.reorg_depth, left.count() as u64);
    }

    fn add_aggregate(&mut self, [_, a, b, c, d, e, ..]: Word) {
        let data = self.pick_vote([a, b, c, d]);
        let proof = some_proof(e);
        let result = self.choice.check_aggregate(&data, &proof.participants);
        let valid = self.model.validate(&data);
        assert!(result == valid || valid.is_ok(), "{result:?}, {valid:?}");
        if result.is_ok() {
            self.choice.record_aggregate(&data, Arc::clone(&proof));
            self.model.record_aggregate(&data, &proof);
        }
    }

    fn add_block_vote(&mut self, [_, a, b, c, d, e, f, _]: Word) {
        let (data, proof, is_proven) = (self.pick_vote([a, b, c, d]), some_proof(e), f % 2 == 0);
        let voters = proof.participants.clone();
        let vote = BlockVote { data, voters, proof: is_proven.then(|| Arc::clone(&proof)) };
        self.choice.record_block_votes([vote]);
        self.choice.update_head();
        self.model.record_block_vote(&data, &proof, is_proven);
        self.model.update_head();
    }

    fn add_signature(&mut self, [_, a, b, c, d, e, ..]: Word) {
        let data = self.pick_vote([a, b, c, d]);
        let validator = u64::from(e) % VALIDATORS;
        if self.choice.check_attestation(&data, validator).is_ok() {
            self.choice.record_signature(&data, validator, Arc::from([]));
            self.model.record_signature(&data, validator);
        }
    }

    fn insert_known(&mut self, [_, a, b, c, d, e, ..]: Word) {
        let data = self.pick_vote([a, b, c, d]);
        let proof = some_proof(e);
        self.choice.insert_known_aggregate(&data, Arc::clone(&proof));
        let votes = model::Entry { proofs: vec![proof], unproven: BTreeSet::new() };
        self.model.insert_known(&data, &votes);
    }

    fn tick(&mut self, [_, a, b, ..]: Word) {
        let has_proposal = a % 2 == 0;
        let old_head = self.model.head;
        let tick = if b % 4 == 0 {
            self.model.tick(has_proposal, None);
            self.choice.tick_interval(has_proposal, None)
        } else {
            self.model.tick(has_proposal, Some(&proves));
            self.choice.tick_interval(has_proposal, Some(&mut Prover))
        };
        assert_eq!((tick.head.old_head, tick.head.new_head), (old_head, self.model.head));
        assert!(tick.aggregates.is_empty() || self.model.time % 5 == 2);
        let failed = |entry: &&pool::PoolEntry| proves(&entry.data);
        let published = self.choice.pending_pool().iter().filter(failed).count();
        assert!(tick.aggregates.is_empty() || tick.aggregates.len() == published);
    }

    /// Towards the head's slot, where its votes are no longer from the future.
    fn skip(&mut self, [_, a, ..]: Word) {
        let interval = self.choice.head_summary().slot * 5 + u64::from(a % 5);
        self.choice.skip_to_interval(interval);
        self.model.time = self.model.time.max(interval);
    }

    /// Votes from a hostile peer are refused for the same reason, or as harmless as the model finds them.
    fn check_garbage(&mut self, [_, a, b, c, d, e, f, g]: Word) {
        let mut data = self.pick_vote([a, b, c, d]);
        let other = self.pick(g).checkpoint();
        match e % 8 {
            0 => data.slot = u64::MAX,
            1 => data.head.slot = u64::MAX,
            2 => data.source = other,
            3 => data.target = other,
            4 => data.head = other,
            5 => data.source.slot ^= u64::from(f % 4),
            6 => data.target.slot ^= u64::from(f % 4),
            _ => data.target.root = root(u64::from(f)),
        }
        assert_eq!(self.choice.validate_attestation(&data), self.model.validate(&data));
    }

    fn prune(&mut self, [_, a, ..]: Word) {
        let removed_max = usize::from(a % 12);
        let removed = self.choice.prune_tree(removed_max);
        let roots: BTreeSet<_> = removed.iter().map(|(_, root)| *root).collect();
        assert_eq!(roots.len(), removed.len());
        assert_eq!(roots, self.model.prune(removed_max));
    }

    fn restart(&mut self) {
        let mut snapshot = self.choice.snapshot();
        snapshot.votes = self.disk.values().cloned().collect();
        self.choice = ForkChoice::restore(snapshot).unwrap();
        let before = self.model.clone();
        self.model.restart();
        let mut updated = before.clone();
        updated.update_head();
        assert_eq!(self.model.head, updated.head, "the head is that of the next update");
    }

    fn compare(&mut self) {
        let (choice, model) = (&self.choice, &self.model);
        assert_eq!(choice.time(), model.time);
        assert_eq!(choice.head(), model.head);
        assert_eq!(choice.safe_target(), model.safe_target);
        assert_eq!(choice.latest_justified(), model.justified);
        assert_eq!(choice.latest_finalized(), model.finalized);
        assert_eq!(choice.tree_root().root, model.tree_root);
        assert!(choice.is_ancestor(&model.tree_root, &model.finalized.root));
        let blocks: BTreeMap<_, _> = choice.nodes().map(|block| (block.root, *block)).collect();
        assert_eq!(blocks, model.blocks);
        let weights: BTreeMap<_, _> = choice.block_weights().map(|(b, w)| (b.root, w)).collect();
        assert_eq!(weights, model.block_weights());
        compare_pool(choice.known_pool(), &model.known);
        compare_pool(choice.pending_pool(), &model.pending);
        let signatures = choice.signature_pool().iter();
        let signatures: Vec<(_, BTreeSet<_>)> =
            signatures.map(|(data, by)| (*data, by.keys().copied().collect())).collect();
        assert_eq!(signatures, model.signatures);
        if let Some(target) = model.attestation_target() {
            assert_eq!(choice.attestation_target(), target);
        }
        self.compare_disk();
    }

    fn compare_disk(&mut self) {
        for change in self.choice.drain_vote_changes() {
            match change.row {
                Some(row) => drop(self.disk.insert((change.slot, change.data_root), row)),
                None => drop(self.disk.remove(&(change.slot, change.data_root))),
            }
        }
        let Snapshot { votes, .. } = self.choice.snapshot();
        let rows = votes.into_iter().map(|row| ((row.data.slot, hash_tree_root(&row.data)), row));
        assert_eq!(self.disk, rows.collect());
        assert_eq!(self.choice.drain_vote_changes(), []);
    }
}

fn compare_pool(pool: &pool::Pool, model: &model::Pool) {
    let ours = pool.iter().map(|entry| {
        let voters = entry.participants.ones().map(|index| index as u64);
        (entry.data, voters.collect::<BTreeSet<_>>(), entry.proofs.clone())
    });
    let theirs = model.iter().map(|(data, entry)| (*data, entry.voters(), entry.proofs.clone()));
    assert_eq!(ours.collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
    assert!(pool.iter().all(|entry| pool.get(&entry.data) == Some(entry)));
}

fn some_proof(bits: u16) -> Arc<SingleMessageAggregate> {
    proof((0..VALIDATORS).filter(|index| bits >> index & 1 == 1))
}

/// The prover fails for some votes.
fn proves(data: &AttestationData) -> bool {
    !data.head.slot.is_multiple_of(5)
}

struct Prover;

impl Combine for Prover {
    fn combine(&mut self, task: &AggregationTask) -> Option<SingleMessageAggregate> {
        let children = task.children.iter().flat_map(|child| child.participants.ones());
        let raw = task.raw.iter().map(|(validator, _)| *validator);
        let voters = children.map(|index| index as u64).chain(raw);
        proves(&task.data).then(|| proof(voters).as_ref().clone())
    }
}
