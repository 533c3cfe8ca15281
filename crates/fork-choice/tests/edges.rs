//! Edges: unknown blocks, extreme slots, damaged snapshots, a safe target left behind.

use lamella_fork_choice::{
    BlockStatus, BlockSummary, BlockVote, ForkChoice, PoolVotes, RestoreError, Snapshot, VoteRow,
};
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint,
    RejectionReason, Root,
};

use crate::support::{block, proof, root, vote};

fn anchored() -> (ForkChoice, BlockSummary) {
    let anchor = block(0, u64::MAX, 0, 4);
    let mut choice = ForkChoice::from_anchor(anchor);
    choice.on_block(block(1, 0, 1, 4), []).unwrap();
    choice.skip_to_interval(10);
    (choice, anchor)
}

fn snapshot() -> Snapshot {
    let (mut choice, anchor) = anchored();
    let head = *choice.get(&root(1)).unwrap();
    choice.insert_known_aggregate(&vote(1, &head, &anchor), proof([0, 2]));
    choice.record_aggregate(&vote(2, &head, &anchor), proof([3]));
    choice.snapshot()
}

#[test]
fn a_block_is_checked_before_it_is_imported() {
    let (choice, _) = anchored();
    let attestation = AggregatedAttestation::default();
    let twice = BlockBody::new(vec![attestation.clone(), attestation]).unwrap();
    let mut new = Block { parent_root: root(1), slot: 2, ..Block::default() };
    assert_eq!(choice.check_block(&root(1), &new), Ok(BlockStatus::Known));
    assert_eq!(choice.check_block(&root(2), &new), Ok(BlockStatus::New));
    new.body = twice;
    let duplicate = Err(RejectionReason::DuplicateAttestationData);
    assert_eq!(choice.check_block(&root(2), &new), duplicate);
    new.parent_root = root(7);
    let unknown = Err(RejectionReason::UnknownParentBlock);
    assert_eq!(choice.check_block(&root(2), &new), unknown);
}

#[test]
fn a_block_that_does_not_follow_its_parent_changes_nothing() {
    let (mut choice, _) = anchored();
    let before = choice.snapshot();
    let orphan = choice.on_block(block(5, 4, 9, 4), []);
    assert_eq!(orphan, Err(RejectionReason::UnknownParentBlock));
    let early = choice.on_block(block(5, 1, 1, 4), []);
    assert_eq!(early, Err(RejectionReason::BlockSlotNotInFuture));
    let known = choice.on_block(block(1, 0, 1, 4), [&AttestationData::default()]).unwrap();
    assert_eq!(known.new_head, root(1));
    assert_eq!(choice.snapshot(), before);
}

#[test]
fn aggregates_need_participants_of_the_targets_registry() {
    let (choice, anchor) = anchored();
    let data = vote(1, choice.head_summary(), &anchor);
    let check = |bits: AggregationBits| choice.check_aggregate(&data, &bits);
    assert_eq!(check(AggregationBits::zeros(4)), Err(RejectionReason::EmptyAggregationBits));
    assert_eq!(check(AggregationBits::default()), Err(RejectionReason::EmptyAggregationBits));
    let past = AggregationBits::from_indices([1, 4]).unwrap();
    assert_eq!(check(past), Err(RejectionReason::ValidatorNotInState));
    assert_eq!(check(AggregationBits::from_indices([1, 3]).unwrap()), Ok(()));
    let not_in_state = Err(RejectionReason::ValidatorNotInState);
    assert_eq!(choice.check_attestation(&data, u64::MAX), not_in_state);
    assert_eq!(choice.check_attestation(&data, 3), Ok(()));
}

#[test]
fn the_greatest_slots_overflow_nothing() {
    let anchor = BlockSummary { slot: u64::MAX - 1, ..block(0, 9, 0, u64::MAX) };
    let mut choice = ForkChoice::from_anchor(anchor);
    choice.on_block(block(1, 0, u64::MAX, u64::MAX), []).unwrap();
    for _ in 0..10 {
        choice.tick_interval(true, None);
    }
    let data = vote(u64::MAX, choice.head_summary(), &anchor);
    let future = Err(RejectionReason::AttestationTooFarInFuture);
    assert_eq!(choice.validate_attestation(&data), future);
    choice.insert_known_aggregate(&data, proof([4_095]));
    assert_eq!(choice.update_head().new_head, root(1));
    assert_eq!(choice.attestation_target().slot, u64::MAX - 1);
    assert_eq!(choice.prune_tree(0), []);
}

#[test]
fn genesis_is_its_own_source() {
    let anchor = block(0, u64::MAX, 0, 4);
    let data = ForkChoice::from_anchor(anchor).attestation_data(0).unwrap();
    let [head, target, source] = [anchor.checkpoint(); 3];
    assert_eq!(data, AttestationData { slot: 0, head, target, source });
}

#[test]
fn a_source_after_the_target_is_no_vote() {
    let (mut choice, _) = anchored();
    let justified = Checkpoint { root: root(1), slot: 1 };
    choice.on_block(BlockSummary { justified, ..block(2, 1, 2, 4) }, []).unwrap();
    assert_eq!(choice.attestation_target().slot, 0);
    assert_eq!(choice.attestation_data(3), None);
}

#[test]
fn a_snapshot_restores_to_itself() {
    let snapshot = snapshot();
    let restored = ForkChoice::restore(snapshot.clone()).unwrap();
    assert_eq!(restored.snapshot(), snapshot);
    assert_eq!(restored.head(), root(1));
    assert_eq!(restored.block_weights().map(|(_, weight)| weight).collect::<Vec<_>>(), [2]);
    assert_eq!(restored.block_candidates(), [], "no proof survives a restart");
}

/// Justified, head, finality and time come from the blocks, as if the fork choice row had never been.
#[test]
fn a_snapshot_without_its_checkpoints_is_derived_from_its_blocks() {
    let mut choice = ForkChoice::from_anchor(block(0, u64::MAX, 0, 4));
    finalizing(&mut choice, 1..=8);
    let stored = choice.snapshot();
    let derived = Snapshot::derived(stored.blocks.clone(), stored.votes.clone());
    assert_eq!(derived.latest_justified, stored.latest_justified);
    assert_eq!(derived.safe_target, stored.latest_justified.root);
    assert_eq!(derived.time, choice.head_summary().slot * 5);
    let mut derived = ForkChoice::restore(derived).unwrap();
    derived.update_head();
    assert_eq!(derived.head(), choice.head());
    assert_eq!(derived.latest_finalized(), choice.latest_finalized());
    assert_eq!(
        ForkChoice::restore(Snapshot::derived(vec![], vec![])).unwrap_err(),
        RestoreError::NoBlocks
    );
}

/// What a snapshot, damaged by `damage`, is refused for.
fn refusal(damage: impl FnOnce(&mut Snapshot)) -> RestoreError {
    let mut snapshot = snapshot();
    damage(&mut snapshot);
    ForkChoice::restore(snapshot).unwrap_err()
}

#[test]
fn damaged_snapshots_are_refused_with_evidence() {
    assert_eq!(refusal(|s| s.blocks.clear()), RestoreError::NoBlocks);
    let again = refusal(|s| s.blocks.push(s.blocks[1]));
    assert_eq!(again, RestoreError::DuplicateBlock { root: root(1) });
    let orphan = refusal(|s| s.blocks.push(block(3, 2, 5, 4)));
    let missing = RestoreError::MissingParent { root: root(3), slot: 5, parent_root: root(2) };
    assert_eq!(orphan, missing);
    let early = refusal(|s| s.blocks.push(block(3, 1, 1, 4)));
    assert_eq!(early, RestoreError::SlotNotAfterParent { root: root(3), slot: 1, parent_slot: 1 });
    let lost = refusal(|s| s.latest_justified.root = root(8));
    assert_eq!(lost, RestoreError::NotInTree { what: "justified block", root: root(8) });
    let lost = refusal(|s| s.safe_target = Root::ZERO);
    assert_eq!(lost, RestoreError::NotInTree { what: "safe target", root: Root::ZERO });
    let moved = refusal(|s| s.latest_finalized.slot = 9);
    let what = "finalized block";
    assert_eq!(moved, RestoreError::CheckpointSlot { what, root: root(0), slot: 9, block_slot: 0 });
}

#[test]
fn damaged_votes_are_refused_with_evidence() {
    let twice = refusal(|s| s.votes.push(s.votes[0].clone()));
    assert_eq!(twice, RestoreError::DuplicateVote { slot: 1 });
    for order in [0, i64::MAX, i64::MIN, 1 << 62] {
        let data = AttestationData { slot: 77, ..AttestationData::default() };
        let known = Some(PoolVotes { order, participants: AggregationBits::default() });
        let taken = refusal(|s| s.votes.push(VoteRow { data, known, pending: None }));
        assert_eq!(taken, RestoreError::VoteOrder { slot: 77, order });
    }
}

/// A chain of single blocks 100 slots apart, finalized up to three blocks below its tip.
fn finalizing(choice: &mut ForkChoice, blocks: std::ops::RangeInclusive<u64>) {
    for number in blocks {
        let checkpoint = |number: u64| Checkpoint { root: root(number), slot: 100 * number };
        let (justified, finalized) = (checkpoint(number - 1), checkpoint(number.max(3) - 3));
        let block = block(number, number - 1, 100 * number, 4);
        choice.on_block(BlockSummary { justified, finalized, ..block }, []).unwrap();
    }
}

#[test]
fn the_root_follows_finality_at_a_distance_and_takes_a_stale_safe_target_along() {
    let mut choice = ForkChoice::from_anchor(block(0, u64::MAX, 0, 4));
    finalizing(&mut choice, 1..=12);
    assert_eq!(choice.latest_finalized().slot, 900);
    assert_eq!(choice.prune_tree(100), []);
    finalizing(&mut choice, 13..=18);
    assert_eq!(choice.latest_finalized().slot, 1_500);
    assert_eq!(choice.safe_target(), root(0));
    let dropped: Vec<_> = (0..4).map(|number| (100 * number, root(number))).collect();
    assert_eq!(choice.clone().prune_tree(0), dropped[..1], "one step whatever the limit");
    assert_eq!(choice.clone().prune_tree(2), dropped[..2]);
    assert_eq!(choice.prune_tree(100), dropped);
    assert_eq!(choice.tree_root().slot, 400);
    assert_eq!(choice.safe_target(), root(4));
    assert_eq!(choice.head(), root(18));
    assert_eq!(choice.prune_tree(100), []);
}

#[test]
fn the_root_waits_for_a_safe_target_above_finality_on_another_branch() {
    let anchor = block(0, u64::MAX, 0, 4);
    let mut choice = ForkChoice::from_anchor(anchor);
    let side = block(99, 0, 5_000, 4);
    choice.on_block(side, []).unwrap();
    choice.record_aggregate(&vote(5_000, &side, &anchor), proof([0, 1, 2]));
    choice.update_safe_target();
    finalizing(&mut choice, 1..=18);
    assert_eq!((choice.safe_target(), choice.head()), (root(99), root(18)));
    assert_eq!(choice.prune_tree(100), []);
    choice.update_safe_target();
    let dropped = choice.prune_tree(100);
    assert_eq!(dropped.len(), 5, "four blocks of the chain and the side branch: {dropped:?}");
    assert!(!choice.contains(&root(99)));
}

#[test]
fn the_root_stays_below_the_justified_block_whatever_a_snapshot_calls_finalized() {
    let mut choice = ForkChoice::from_anchor(block(0, u64::MAX, 0, 4));
    finalizing(&mut choice, 1..=18);
    let side = block(99, 0, 50, 4);
    choice.on_block(side, []).unwrap();
    let mut snapshot = choice.snapshot();
    snapshot.latest_justified = side.checkpoint();
    let mut split = ForkChoice::restore(snapshot).unwrap();
    assert_eq!((split.head(), split.latest_finalized().slot), (root(99), 1_500));
    assert_eq!(split.prune_tree(100), []);
}

/// An aggregate is folded elsewhere, and votes go on coming meanwhile.
#[test]
fn what_came_while_votes_were_folded_stays_as_it_is() {
    let (mut choice, anchor) = anchored();
    let head = *choice.get(&root(1)).unwrap();
    let (folded, other) = (vote(1, &head, &anchor), vote(2, &head, &anchor));
    for validator in [0, 1] {
        choice.record_signature(&folded, validator, [7; 4].into());
    }
    choice.record_aggregate(&other, proof([1]));
    let aggregation = choice.start_aggregation();
    assert_eq!(aggregation.tasks.len(), 1);

    choice.record_signature(&folded, 2, [7; 4].into());
    choice.record_aggregate(&folded, proof([3]));
    choice.record_aggregate(&other, proof([0]));
    let made = choice.finish_aggregation(&aggregation, vec![Some((*proof([0, 1])).clone())]);

    assert_eq!(made.len(), 1);
    let voters = |data| -> Vec<usize> {
        choice.pending_pool().get(data).unwrap().participants.ones().collect()
    };
    assert_eq!((voters(&folded), voters(&other)), (vec![0, 1, 3], vec![0, 1]));
    let left: Vec<u64> = choice.signature_pool().get(&folded).unwrap().keys().copied().collect();
    assert_eq!((left, choice.signature_pool().count()), (vec![2], 1));
}

fn block_vote(data: AttestationData, voters: impl IntoIterator<Item = u64>) -> BlockVote {
    let proof = proof(voters);
    BlockVote { data, voters: proof.participants.clone(), proof: Some(proof) }
}

/// Two branches of one block each, after a block of slot 1; the one whose root is not the larger.
fn branches() -> (ForkChoice, BlockSummary, BlockSummary) {
    let (mut choice, anchor) = anchored();
    for number in [2, 3] {
        choice.on_block(block(number, 1, 2, 4), []).unwrap();
    }
    let loser = if choice.head() == root(2) { root(3) } else { root(2) };
    let loser = *choice.get(&loser).unwrap();
    (choice, anchor, loser)
}

/// Symptom: a node that had caught up chose its head by the roots of blocks until votes came by gossip.
/// Mechanism: the votes inside imported blocks had no proof in the pool, so no weight.
/// Fix: they count, with their part of the block's proof.
#[test]
fn votes_inside_a_block_decide_between_branches() {
    let (mut choice, anchor, loser) = branches();
    let data = vote(2, &loser, &anchor);
    choice.skip_to_interval(14);
    // Given a block that brings two votes for the other branch,
    choice.on_block(block(4, 1, 3, 4), [&data]).unwrap();
    assert_ne!(choice.head(), loser.root);
    assert!(choice.record_block_votes([block_vote(data, [1, 3])]));
    // then that branch is the head, a proposer can use them,
    assert_eq!(choice.update_head().new_head, loser.root);
    assert_eq!(choice.block_candidates(), [(data, vec![proof([1, 3])])]);
    // and nothing is new when they come again.
    let before = choice.snapshot();
    assert!(!choice.record_block_votes([block_vote(data, [1]), block_vote(data, [3])]));
    assert_eq!(choice.snapshot(), before);
    // A proof that cannot be taken apart counts too.
    assert!(choice.record_block_votes([BlockVote { proof: None, ..block_vote(data, [0]) }]));
    assert_eq!(choice.known_pool().get(&data).unwrap().participants.count_ones(), 3);
}

#[test]
fn votes_of_the_slot_under_way_wait_for_its_acceptance() {
    let (mut choice, anchor, loser) = branches();
    let data = vote(2, &loser, &anchor);
    choice.skip_to_interval(13);
    assert!(choice.record_block_votes([block_vote(data, [1, 3])]));
    assert_ne!(choice.update_head().new_head, loser.root);
    assert_eq!(choice.tick_interval(false, None).head.new_head, loser.root);
}

#[test]
fn votes_inside_a_block_are_held_to_the_rules_of_gossip() {
    let (mut choice, anchor, loser) = branches();
    choice.skip_to_interval(14);
    let data = vote(2, &loser, &anchor);
    let mut unknown = data;
    unknown.head.root = root(9);
    let future = AttestationData { slot: 4, ..data };
    let before = choice.snapshot();
    let refused = [
        block_vote(unknown, [1]),
        block_vote(future, [1]),
        block_vote(AttestationData { slot: u64::MAX, ..data }, [1]),
        block_vote(data, [4]),
        block_vote(data, []),
    ];
    assert!(!choice.record_block_votes(refused));
    assert_eq!(choice.snapshot(), before);
}
