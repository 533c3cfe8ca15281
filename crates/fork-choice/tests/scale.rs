//! 10,000 live blocks and 4,096 votes, and pools beyond their limits.

use lamella_fork_choice::{
    BlockSummary, ForkChoice, Recorded,
    limits::{KNOWN_DATA_MAX, PENDING_DATA_MAX},
};

use crate::support::{block, proof, root, vote};

const BLOCKS: u64 = 10_000;
const VALIDATORS: u64 = 4_096;

/// A chain of `BLOCKS` with a second branch from its middle, of which the numbers above `BLOCKS` are blocks.
fn two_branches() -> (ForkChoice, BlockSummary) {
    let anchor = block(0, u64::MAX, 0, VALIDATORS);
    let mut choice = ForkChoice::from_anchor(anchor);
    for number in 1..BLOCKS {
        let on_branch = number > BLOCKS / 2 && number % 2 == 0;
        let parent = if number > BLOCKS / 2 + 1 { number - 2 } else { number - 1 };
        let parent = if on_branch && number == BLOCKS / 2 + 2 { BLOCKS / 2 } else { parent };
        choice.on_block(block(number, parent, number, VALIDATORS), []).unwrap();
    }
    choice.skip_to_interval(10 * BLOCKS);
    (choice, anchor)
}

#[test]
fn four_thousand_votes_move_the_head_of_ten_thousand_blocks_and_back() {
    let (mut choice, anchor) = two_branches();
    let [odd, even] = [BLOCKS - 1, BLOCKS - 2].map(|number| *choice.get(&root(number)).unwrap());
    assert_eq!(choice.block_count() as u64, BLOCKS);

    for (slot, winner) in [(BLOCKS, odd), (BLOCKS + 1, even), (BLOCKS + 2, odd)] {
        let data = vote(slot, &winner, &anchor);
        assert_eq!(choice.check_aggregate(&data, &proof(0..VALIDATORS).participants), Ok(()));
        assert_eq!(choice.record_aggregate(&data, proof(0..VALIDATORS)), Recorded::New);
        choice.update_safe_target();
        assert_eq!(choice.safe_target(), winner.root);
        let change = choice.accept_new_attestations();
        assert_eq!(change.new_head, winner.root);
        let total: u64 = choice.block_weights().map(|(_, weight)| u64::from(weight)).sum();
        assert_eq!(total, VALIDATORS * choice.chain(&winner.root).skip(1).count() as u64);
    }
    // 4,999 blocks above the fork, alternately on one branch and the other.
    let change = {
        let data = vote(BLOCKS + 3, &even, &anchor);
        choice.record_aggregate(&data, proof(0..VALIDATORS));
        choice.accept_new_attestations()
    };
    assert_eq!(change.reorg_depth, BLOCKS / 4);
    assert_eq!(ForkChoice::restore(choice.snapshot()).unwrap().head(), choice.head());
}

#[test]
fn a_known_pool_at_its_limit_forgets_old_data_and_no_latest_vote() {
    let anchor = block(0, u64::MAX, 0, VALIDATORS);
    let mut choice = ForkChoice::from_anchor(anchor);
    choice.on_block(block(1, 0, 1, VALIDATORS), []).unwrap();
    choice.on_block(block(2, 0, 2, VALIDATORS), []).unwrap();
    let [left, right] = [1, 2].map(|number| *choice.get(&root(number)).unwrap());
    // Validator 0 voted once, long ago, and is the majority of those who do not follow the crowd of one.
    choice.insert_known_aggregate(&vote(3, &left, &anchor), proof([0, 1]));
    choice.update_head();
    for slot in 4..4 + KNOWN_DATA_MAX as u64 + 100 {
        choice.insert_known_aggregate(&vote(slot, &right, &anchor), proof([2]));
        assert!(choice.known_pool().len() <= KNOWN_DATA_MAX);
    }
    assert_eq!(choice.update_head().new_head, left.root);
    let weights: Vec<_> = choice.block_weights().map(|(_, weight)| weight).collect();
    assert_eq!(weights, [2, 1]);
    let slots: Vec<_> = choice.known_pool().iter().map(|entry| entry.data.slot).collect();
    assert_eq!(slots[0], 3);
    assert!(slots[1] > 100, "the oldest superseded votes went first: {}", slots[1]);
}

#[test]
fn a_pending_pool_at_its_limit_takes_no_further_data_but_more_of_what_it_has() {
    let (mut choice, anchor) = two_branches();
    for slot in 0..PENDING_DATA_MAX as u64 {
        assert_eq!(
            choice.record_aggregate(&vote(slot, &anchor, &anchor), proof([1])),
            Recorded::New
        );
    }
    let beyond = vote(u64::MAX, &anchor, &anchor);
    assert_eq!(choice.record_aggregate(&beyond, proof([1])), Recorded::Full);
    assert_eq!(choice.record_aggregate(&vote(7, &anchor, &anchor), proof([2])), Recorded::New);
    assert_eq!(choice.pending_pool().len(), PENDING_DATA_MAX);
}
