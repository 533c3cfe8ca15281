//! `head_update`: fork choice with 10,000 live blocks on two branches and 4,096 votes.

use std::{cell::LazyCell, sync::Arc};

use criterion::Criterion;
use lamella_benches::{LARGE, Random};
use lamella_fork_choice::{BlockSummary, ForkChoice, HeadChange, Recorded};
use lamella_types::{
    AggregationBits, AttestationData, Checkpoint, ProofBytes, SingleMessageAggregate,
};

use crate::group::Group;

/// Blocks in the tree.
const BLOCKS: usize = 10_000;

/// Two branches of the same length, everybody's vote on the first, and everybody's vote for the second.
struct Fork {
    choice: ForkChoice,
    tips: [BlockSummary; 2],
    other_vote: AttestationData,
    everyone: Arc<SingleMessageAggregate>,
}

impl Fork {
    fn new() -> Self {
        let mut random = Random::new(7);
        let trusted = block(&mut random, None);
        let mut choice = ForkChoice::from_anchor(trusted);
        let mut tips = [trusted; 2];
        for number in 1..BLOCKS {
            // Half of them in common, then the two branches in turn.
            let branch = if number < BLOCKS / 2 { 0 } else { number % 2 };
            tips[branch] = block(&mut random, Some(&tips[branch]));
            choice.on_block(tips[branch], []).unwrap();
            if number < BLOCKS / 2 {
                tips[1] = tips[0];
            }
        }
        assert_eq!(choice.block_count(), BLOCKS);
        choice.skip_to_interval(10 * BLOCKS as u64);
        let everyone = SingleMessageAggregate {
            participants: AggregationBits::from_indices(0..LARGE).unwrap(),
            proof: ProofBytes::default(),
        };
        let everyone = Arc::new(everyone);
        let vote = |slot, head: &BlockSummary| {
            let (source, head) = (trusted.checkpoint(), head.checkpoint());
            AttestationData { slot, head, target: source, source }
        };
        let slot = tips[1].slot + 1;
        let recorded = choice.record_aggregate(&vote(slot, &tips[0]), Arc::clone(&everyone));
        assert_eq!(recorded, Recorded::New);
        assert_eq!(choice.accept_new_attestations().new_head, tips[0].root);
        choice.drain_vote_changes();
        let other_vote = vote(slot + 1, &tips[1]);
        Self { choice, tips, other_vote, everyone }
    }

    /// With the votes for the other branch waiting to be accepted.
    fn pending(&self) -> ForkChoice {
        let mut choice = self.choice.clone();
        let recorded = choice.record_aggregate(&self.other_vote, Arc::clone(&self.everyone));
        assert_eq!(recorded, Recorded::New);
        choice
    }
}

fn block(random: &mut Random, parent: Option<&BlockSummary>) -> BlockSummary {
    BlockSummary {
        root: random.root(),
        parent_root: parent.map_or_else(|| random.root(), |parent| parent.root),
        slot: parent.map_or(0, |parent| parent.slot + 1),
        proposer_index: 0,
        justified: Checkpoint::default(),
        finalized: Checkpoint::default(),
        validator_count: LARGE,
    }
}

pub fn head_update(c: &mut Criterion) {
    let mut group = Group::of(c, "head_update");
    let fork = LazyCell::new(Fork::new);
    group.time("accept_4096_votes/10000_blocks", |times, count| {
        let measured = |mut choice: ForkChoice| (choice.accept_new_attestations(), choice);
        let check = |(change, _): (HeadChange, _)| {
            assert_eq!(change.new_head, fork.tips[1].root);
            assert_eq!(change.reorg_depth, fork.tips[0].slot + 1 - BLOCKS as u64 / 2);
        };
        times.each(count, || fork.pending(), measured, check)
    });
    // As an import or a tick does it: on a copy of the published view, which is dropped when it is replaced.
    group.time("copy_accept_publish/10000_blocks", |times, count| {
        let measured = |published: Arc<ForkChoice>| {
            let mut choice = ForkChoice::clone(&published);
            let change = choice.accept_new_attestations();
            (change, Arc::new(choice))
        };
        let check = |(change, published): (HeadChange, Arc<ForkChoice>)| {
            assert_eq!(change.new_head, fork.tips[1].root);
            assert_eq!(published.head(), fork.tips[1].root);
        };
        times.each(count, || Arc::new(fork.pending()), measured, check)
    });
    group.time("copy_add_block/10000_blocks", |times, count| {
        let measured = |child: BlockSummary| {
            let mut choice = fork.choice.clone();
            (choice.on_block(child, [&fork.other_vote]).unwrap(), choice)
        };
        let check = |(change, view): (HeadChange, ForkChoice)| {
            assert_eq!(change.new_head, view.head());
            assert_eq!(view.block_count(), BLOCKS + 1);
            assert_eq!(change.reorg_depth, 0);
        };
        let setup = || block(&mut Random::new(8), Some(&fork.tips[0]));
        times.each(count, setup, measured, check)
    });
}
