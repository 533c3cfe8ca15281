//! A second block of a proposer for one slot: taken where votes or a child name it, not on a peer's word.

use lamella_types::{MultiMessageAggregate, ProofBytes, limits::PROOF_BYTES_MAX};

use super::*;

/// Symptom: a proposer signed 600 blocks for one slot, and nodes imported and kept all of them for ever.
/// Mechanism: whatever a peer called its head was fetched, and what was valid was imported.
/// Fix: a second block of a slot that one peer's word brought is put aside, until votes or a child name it.
#[test]
fn a_second_block_of_a_slot_is_not_taken_on_a_peers_word_but_for_votes() {
    let mut node = Node::new(20, 10, 5);
    let second = chain(root(&node.chain[8]), 10..=10, 7).remove(0);
    node.connect(1, checkpoint(&second), 0);
    let (request, peer, what) = node.request(0);
    assert_eq!((peer, what), (1, BlocksRequest::Roots(vec![root(&second)])));
    assert_eq!(node.syncer.asked_root(request), Some(root(&second)));
    assert!(node.syncer.decline_claimed(request));
    assert_eq!(node.settle(0), [], "it is not asked for again, and nobody is blamed");
    node.connect(1, checkpoint(&second), 1_000);
    assert_eq!(node.settle(1_000), []);
    // When votes name it,
    node.syncer.heard_of(1, checkpoint(&second));
    let (request, ..) = node.request(1_000);
    assert!(!node.syncer.decline_claimed(request));
    node.answer(request, vec![second.clone()], 1_000);
    assert_eq!(node.import(1_000).1, [10]);
}

#[test]
fn a_child_of_a_block_that_was_put_aside_brings_it_back_and_claims_leave_nothing_behind() {
    let mut node = Node::new(20, 10, 5);
    let pair = chain(root(&node.chain[8]), 10..=11, 7);
    node.connect(1, checkpoint(&pair[0]), 0);
    let (request, ..) = node.request(0);
    assert!(node.syncer.decline_claimed(request));
    assert!(node.orphan(1, &pair[1]));
    let (request, _, what) = node.request(0);
    assert_eq!(what, BlocksRequest::Roots(vec![root(&pair[0])]));
    node.answer(request, vec![pair[0].clone()], 0);
    assert_eq!(node.import(0).1, [10, 11]);
    // A peer that claims one second block after the other is remembered for the last.
    for salt in 20..40 {
        let second = chain(root(&node.chain[8]), 10..=10, salt).remove(0);
        let now_ms = 1_000 * salt;
        node.connect(2, checkpoint(&second), now_ms);
        let (request, ..) = node.request(now_ms);
        assert!(node.syncer.decline_claimed(request));
    }
    assert_eq!(node.syncer.orphans.missing_count(), 1);
}

#[test]
fn large_orphans_of_one_peer_are_bounded_in_bytes() {
    let mut node = Node::new(20, 10, 5);
    let proof = MultiMessageAggregate { proof: ProofBytes::new(vec![0; PROOF_BYTES_MAX]).unwrap() };
    let kept = (100..200).filter(|slot| {
        let block = chain(Root::ZERO, *slot..=*slot, 7).remove(0).block;
        node.orphan(1, &SignedBlock { block, proof: proof.clone() })
    });
    assert_eq!(kept.count(), 31);
    assert!(node.syncer.orphans.bytes() <= ORPHAN_BYTES_PER_PEER);
}
