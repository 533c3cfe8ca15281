//! Single blocks: parents of orphans, and heads that votes name.

use super::*;

#[test]
fn parents_are_asked_of_the_sender_first_and_imported_oldest_first() {
    let mut node = Node::new(20, 10, 5);
    for peer in [1, 2, 3] {
        node.connect(peer, checkpoint(&node.chain[9]), 0);
    }
    assert!(node.poll(0).is_none());
    let orphan = node.chain[12].clone();
    assert!(node.orphan(3, &orphan));
    let (request, peer, what) = node.request(0);
    assert_eq!((peer, &what), (3, &BlocksRequest::Roots(vec![root(&node.chain[11])])));
    node.answer(request, Vec::new(), 0);
    let (request, peer, again) = node.request(0);
    assert_eq!((peer, &again), (1, &what), "then of others");
    node.answer(request, vec![node.chain[11].clone()], 0);
    let (request, peer, what) = node.request(0);
    assert_eq!((peer, &what), (1, &BlocksRequest::Roots(vec![root(&node.chain[10])])));
    node.answer(request, vec![node.chain[10].clone()], 0);
    assert_eq!(node.import(0).1, [11, 12, 13]);
}

#[test]
fn a_block_that_nobody_has_takes_its_orphans_with_it() {
    let mut node = Node::new(20, 10, 5);
    for peer in 1..=9 {
        node.connect(peer, checkpoint(&node.chain[9]), 0);
    }
    let orphan = node.chain[12].clone();
    assert!(node.orphan(1, &orphan));
    for _ in 0..ROOT_TRIES_MAX {
        let (request, ..) = node.request(0);
        node.answer(request, Vec::new(), 0);
    }
    assert!(node.poll(0).is_none());
    assert_eq!(node.syncer.orphans.len(), 0);
}

#[test]
fn orphans_of_the_future_and_below_finality_are_not_kept() {
    let mut node = Node::new(20, 10, 5);
    let at = |slot| chain(Root::ZERO, slot..=slot, 9).remove(0);
    assert!(!node.orphan(1, &at(NOW_SLOT + FUTURE_SLOTS_MAX + 1)));
    assert!(!node.orphan(1, &at(5)));
    assert!(node.orphan(1, &at(6)));
    node.connect(1, checkpoint(&node.chain[9]), 0);
    node.syncer.view.finalized = checkpoint(&node.chain[5]);
    assert!(node.poll(0).is_none(), "nothing to ask for");
    assert_eq!(node.syncer.orphans.len(), 0);
}

/// Symptom: after a partition two halves of a network never had each other's chain (simulated seed 6,101,000,038). Mechanism: a block
/// right above the finalized slot waited for a parent below it, which was looked for and given up in each poll, of every peer in
/// turn, so that nothing else was ever asked for. Fix: a block whose parent can only be finalized away goes with it.
#[test]
fn an_orphan_whose_parent_is_finalized_away_goes_and_asks_nobody() {
    let mut node = Node::new(20, 10, 5);
    for peer in [1, 2, 3] {
        node.connect(peer, checkpoint(&node.chain[9]), 0);
    }
    let fork = chain(Root::from_slice(&[7; 32]).unwrap(), 8..=9, 3);
    assert!(node.orphan(1, &fork[0]) && node.orphan(1, &fork[1]));
    let (request, ..) = node.request(0);
    node.syncer.view.finalized = checkpoint(&node.chain[6]);
    assert!(node.poll(0).is_none(), "nothing to ask for");
    assert_eq!((node.syncer.orphans.len(), node.syncer.orphans.missing_count()), (0, 0));
    node.answer(request, chain(Root::ZERO, 7..=7, 3), 0);
    assert!(node.orphan(1, &fork[0]) && node.poll(0).is_none(), "not when it comes again either");
    // One whose parent may be above it is looked for.
    assert!(node.orphan(1, &fork[1]));
    assert_eq!(node.request(0).2, BlocksRequest::Roots(vec![root(&fork[0])]));
}

#[test]
fn orphans_are_bounded_in_all_and_by_peer_and_the_oldest_go_with_what_builds_on_them() {
    let mut node = Node::new(20, 10, 5);
    let pair = |slot: Slot| chain(Root::from_slice(&[7; 32]).unwrap(), slot..slot + 2, slot);
    let mut peer = 0;
    for slot in (0..ORPHANS_MAX as u64).map(|pair| 100 + 2 * pair) {
        // Each peer fills its share, then the next one begins.
        peer += u8::from(node.syncer.orphans.of_peer(&peer) == ORPHANS_PER_PEER);
        assert!(pair(slot).iter().all(|block| node.orphan(peer, block)), "slot {slot}");
        assert!(node.syncer.orphans.len() <= ORPHANS_MAX);
    }
    let full = node.syncer.orphans.of_peer(&peer) == ORPHANS_PER_PEER;
    assert!(full && !node.orphan(peer, &pair(9_000)[0]), "one peer fills no more than its share");
    let kept = |slot| node.syncer.orphans.contains(&root(&pair(slot)[0]));
    assert!(!kept(100) && !kept(102), "the oldest");
    assert!(kept(100 + 2 * (ORPHANS_MAX as u64 - 1)), "the newest");
    let weight = |block: &SignedBlock| super::held::Held::new(Arc::new(block.clone()), 1).bytes;
    let one = weight(&pair(100)[0]);
    assert_eq!(node.syncer.orphans.bytes(), one * node.syncer.orphans.len());
}

#[test]
fn a_head_that_votes_name_is_asked_for_and_nobody_is_blamed_if_it_is_not_there() {
    let mut node = Node::new(20, 10, 5);
    let named = chain(root(&node.chain[9]), 11..=11, 3).remove(0);
    let level = checkpoint(&node.chain[9]);
    for peer in [1, 2] {
        node.connect(peer, level, 0);
    }
    node.syncer.heard_of(1, checkpoint(&named));
    let (request, peer, what) = node.request(0);
    assert_eq!((peer, what), (1, BlocksRequest::Roots(vec![root(&named)])));
    node.answer(request, Vec::new(), 0);
    let (request, peer, _) = node.request(0);
    assert_eq!(peer, 2);
    node.answer(request, vec![named], 0);
    assert_eq!(node.import(0).1, [11]);
    assert_eq!(node.settle(0), []);
    // What is finalized, or of the future, is of no interest.
    for slot in [5, NOW_SLOT + FUTURE_SLOTS_MAX + 1] {
        node.syncer.heard_of(1, Checkpoint { root: Root::ZERO, slot });
    }
    assert_eq!(node.settle(0), []);
}

#[test]
fn a_copy_with_a_bad_proof_does_not_cost_the_block() {
    let mut node = Node::new(20, 10, 5);
    let branch = chain(root(&node.chain[9]), 11..=12, 3);
    let level = checkpoint(&node.chain[9]);
    for peer in [1, 2] {
        node.connect(peer, level, 0);
    }
    // The child is an orphan; somebody answers with its parent, whose proof was exchanged.
    assert!(node.orphan(1, &branch[1]));
    let (request, peer, _) = node.request(0);
    assert_eq!(peer, 1);
    node.answer(request, vec![branch[0].clone()], 0);
    let (batch, slots) = node.import(0);
    assert_eq!(slots, [11, 12]);
    assert!(node.orphan(2, &branch[1]), "brought again by another");
    let rejected = Outcome::Rejected { index: 0, reason: RejectionReason::InvalidBlockProof };
    node.syncer.imported(batch, rejected, 0);
    assert_eq!(node.penalty(0), (1, Offence::InvalidAnswer));
    // The parent is looked for again.
    let (request, peer, what) = node.request(0);
    assert_eq!((peer, what), (2, BlocksRequest::Roots(vec![root(&branch[0])])));
    node.answer(request, vec![branch[0].clone()], 0);
    assert_eq!(node.import(0).1, [11, 12]);
}

#[test]
fn a_gap_too_deep_for_single_blocks_becomes_a_range_of_its_sender() {
    let mut node = Node::new(200, 110, 50);
    let fork = chain(root(&node.chain[59]), 61..=112, 1);
    let tip = fork.last().unwrap().clone();
    for (peer, head) in [(1, checkpoint(&node.chain[109])), (2, checkpoint(&tip))] {
        node.connect(peer, head, 0);
    }
    assert!(node.orphan(2, &tip));
    for depth in 1..=ORPHAN_DEPTH_MAX as usize {
        let parent = &fork[fork.len() - 1 - depth];
        let (request, peer, what) = node.request(0);
        assert_eq!((peer, what), (2, BlocksRequest::Roots(vec![root(parent)])));
        node.answer(request, vec![parent.clone()], 0);
    }
    let lowest = 112 - u64::from(ORPHAN_DEPTH_MAX);
    let (_, peer, what) = node.request(0);
    let start = (lowest - STEP_BACK_SLOTS).max(51);
    assert_eq!((peer, what), (2, range(start, 112 - start + 1)));
}

/// Symptom: a peer that forwarded a bad block was no source of blocks for ten minutes.
/// Mechanism: lean clients forward before they validate, and the forwarder was taken for the author.
/// Fix: only who answers with a bad block loses its claims.
#[test]
fn a_bad_block_that_was_gossiped_costs_its_forwarder_no_claim() {
    let mut node = Node::new(20, 10, 5);
    let fork = chain(root(&node.chain[9]), 11..=12, 3);
    for peer in [1, 2] {
        node.connect(peer, checkpoint(&node.chain[9]), 0);
    }
    assert!(node.orphan(1, &fork[1]));
    let (request, ..) = node.request(0);
    node.answer(request, vec![fork[0].clone()], 0);
    let (batch, slots) = node.import(0);
    assert_eq!(slots, [11, 12]);
    let reason = RejectionReason::InvalidSignature;
    node.syncer.imported(batch, Outcome::Rejected { index: 1, reason }, 0);
    assert_eq!(node.penalty(0), (1, Offence::Invalid));
    let (batch, _) = node.import(0);
    node.syncer.imported(batch, Outcome::Imported, 0);
    node.tree.borrow_mut().insert(root(&fork[0]));
    node.connect(1, node.tip(), 0);
    assert!(matches!(node.poll(0), Some(Action::Request { peer: 1, .. })));
}
