//! What must hold after every step.

use std::{collections::BTreeSet, ops::ControlFlow};

use lamella_block_store::{self as block_store, Extent, SignedBlockRead};
use lamella_chain::{ForkChoiceRow, live_block_count, verify};
use lamella_fork_choice::pool;
use lamella_state_store::StateStore;
use lamella_tables::{Canonical, Read as _, ReadTxn, SlotRoot};
use lamella_types::{Checkpoint, Root, hash_tree_root};

use crate::{naive::Pool, run::Run};

/// Up to this many blocks every state is read after every step; beyond it a sample, and all at every checkpoint.
const READ_ALL_UP_TO: usize = 24;

/// States of a sample.
const SAMPLE: usize = 12;

impl Run {
    /// After every step. `everything`: all states and blocks, and every numbered invariant.
    pub fn check(&mut self, everything: bool) {
        self.check_view();
        self.check_tables();
        let all = self.random.shuffled(self.imported.clone());
        let count = if everything || all.len() <= READ_ALL_UP_TO { all.len() } else { SAMPLE };
        self.check_states(&all[..count]);
        self.check_blocks(&all[..count]);
        if everything {
            self.check_invariants();
        }
    }

    /// Head, checkpoints, tree and pools.
    fn check_view(&self) {
        let (view, naive) = (self.chain().fork_choice(), &self.naive);
        assert_eq!(view.time(), naive.time, "time");
        assert_eq!(view.head(), naive.head, "head");
        assert_eq!(view.safe_target(), naive.safe_target, "safe target");
        assert_eq!(view.latest_justified(), naive.justified, "justified");
        assert_eq!(view.latest_finalized(), naive.finalized, "finalized");
        assert_eq!(view.tree_root().root, naive.tree_root, "tree root");
        let live: BTreeSet<_> = view.nodes().map(|block| block.root).collect();
        assert!(live.iter().eq(naive.blocks.keys()), "live blocks");
        assert_eq!(votes_of(view.known_pool()), naive.known, "known pool");
        assert_eq!(votes_of(view.pending_pool()), naive.pending, "pending pool");
    }

    /// The fork choice row, the canonical index and the live chain on disk.
    fn check_tables(&self) {
        let (txn, naive) = (self.chain().read().unwrap(), &self.naive);
        let stored = ForkChoiceRow::read(&txn).unwrap().unwrap();
        assert!(stored.time <= naive.time);
        let tree_root = naive.blocks[&naive.tree_root];
        let expected = ForkChoiceRow {
            tree_root: Checkpoint { root: naive.tree_root, slot: tree_root.slot },
            head: naive.head,
            safe_target: naive.safe_target,
            justified: naive.justified,
            finalized: naive.finalized,
            time: stored.time,
        };
        assert_eq!(stored, expected, "fork choice row");
        let canonical: Vec<_> = txn.scan::<Canonical>(0).unwrap().map(|row| row.unwrap()).collect();
        let chain = self.blocks.chain(naive.head);
        let expected = chain.iter().rev().map(|block| (block.slot, block.root));
        assert_eq!(canonical, expected.collect::<Vec<_>>(), "canonical index");
        let live = live_block_count(&txn, &stored).unwrap();
        assert_eq!(live, naive.blocks.len() as u64, "live tree");
        let extent = Extent::read(&txn).unwrap();
        assert_eq!(extent.newest().proofs.key, self.floor);
        let floors = (extent.states_floor(), extent.bodies_floor());
        assert_eq!(floors, (self.states_floor, self.bodies_floor));
    }

    /// Byte by byte: through a cold store, and through the chain's own warm one.
    fn check_states(&mut self, roots: &[Root]) {
        let cold = match self.random.below(3) {
            0 => StateStore::default(),
            // Room for nothing: every read begins at its anchor.
            1 if roots.len() <= 2 * SAMPLE => StateStore::with_cache_bytes(0),
            _ => StateStore::with_cache_bytes(20_000),
        };
        let mut pruned = 0;
        let txn = self.chain().read().unwrap();
        for root in roots {
            if self.key(root).slot < self.states_floor {
                pruned += 1;
                // What is in memory is as good as what is stored; what is not is no damage.
                let state = self.chain().state(root).unwrap();
                assert!(state.is_none_or(|state| state.to_ssz() == self.blocks.get(root).state));
                continue;
            }
            let expected = &self.blocks.get(root).state;
            let state = cold.state(&txn, root).unwrap().unwrap();
            assert!(state.to_ssz() == *expected, "cold state of {root} is another");
            let warm = self.chain().state(root).unwrap().unwrap();
            assert!(warm.to_ssz() == *expected, "warm state of {root} is another");
            let checkpoints = StateStore::checkpoints(&txn, self.key(root)).unwrap();
            let summary = self.blocks.get(root).summary;
            let history = &state.historical_block_hashes;
            assert_eq!(checkpoints.justified.on(history), Some(summary.justified));
            assert_eq!(checkpoints.finalized.on(history), Some(summary.finalized));
            assert_eq!(checkpoints.validator_count, summary.validator_count);
        }
        drop(txn);
        self.figures.pruned_states += pruned;
        self.figures.states_read += 2 * roots.len() as u64;
    }

    fn key(&self, root: &Root) -> SlotRoot {
        SlotRoot::new(self.blocks.get(root).summary.slot, *root)
    }

    fn check_blocks(&mut self, roots: &[Root]) {
        let mut pruned = 0;
        let txn = self.chain().read().unwrap();
        for root in roots {
            let expected = &self.blocks.get(root).signed;
            let slot = expected.block.slot;
            assert_eq!(block_store::slot(&txn, root).unwrap(), Some(slot));
            let header = block_store::header(&txn, root).unwrap().unwrap();
            assert_eq!(header, expected.block.header());
            assert_eq!(hash_tree_root(&header), *root);
            if slot >= self.bodies_floor || !block_store::has_body_row(&header) {
                assert_eq!(block_store::block(&txn, root).unwrap().unwrap(), expected.block);
            } else {
                pruned += 1;
            }
            let signed = match self.proofs.contains(root) {
                true => SignedBlockRead::Found(Box::new(expected.clone())),
                false => SignedBlockRead::Pruned(header),
            };
            assert_eq!(block_store::signed_block(&txn, root).unwrap(), signed);
            let same_slot = self.imported.iter().copied();
            let mut same_slot: Vec<_> =
                same_slot.filter(|other| self.blocks.get(other).summary.slot == slot).collect();
            same_slot.sort_unstable();
            assert_eq!(block_store::roots_at(&txn, slot).unwrap(), same_slot);
        }
        self.check_unknown(&txn);
        drop(txn);
        self.figures.pruned_bodies += pruned;
        self.figures.blocks_read += roots.len() as u64;
    }

    /// What was never imported is unknown in every way of asking.
    fn check_unknown(&self, txn: &ReadTxn<'_>) {
        for root in self.held.iter().filter(|root| !self.imported.contains(root)) {
            assert_eq!(self.chain().state(root).unwrap(), None);
            assert!(self.chain().diff_base(root).unwrap().is_none());
            assert_eq!(block_store::signed_block(txn, root).unwrap(), SignedBlockRead::Unknown);
            assert_eq!(block_store::block(txn, root).unwrap(), None);
        }
    }

    fn check_invariants(&mut self) {
        let report = verify(self.chain().database(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
        self.figures.verify_runs += 1;
        self.figures.checks += report.check_count();
    }
}

fn votes_of(pool: &pool::Pool) -> Pool {
    let votes = pool.iter().map(|entry| {
        let voters = entry.participants.ones().map(|index| index as u64);
        (entry.data, voters.collect())
    });
    votes.collect()
}
