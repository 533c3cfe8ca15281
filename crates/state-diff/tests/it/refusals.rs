//! One broken assumption each: the block is refused with what differs.

use lamella_state_diff::{Anchor, AnchorError, BuildError, StateDiff};
use lamella_types::{BlockHashes, Config, Justifications, Root, State, Validators};

use crate::chain::{base, child, parent, root, validators};

type Break = fn(&mut State);

fn refused(break_it: Break) -> BuildError {
    let (block, parent) = parent(1030, 5, &vec![]);
    let mut child = child(&parent, block, 2, &vec![]);
    assert!(StateDiff::build(&base(block, &parent, 0), &child).is_ok());
    break_it(&mut child);
    StateDiff::build(&base(block, &parent, 0), &child).unwrap_err()
}

#[test]
fn each_broken_assumption_has_its_own_error() {
    use BuildError as E;
    let other_parent = refused(|s| s.latest_block_header.parent_root = root(1));
    assert!(matches!(other_parent, E::OtherParent { .. }), "{other_parent}");
    for (name, break_it) in [
        ("state slot", (|s| s.slot += 1) as Break),
        ("base slot", |s| {
            s.slot = 1030;
            s.latest_block_header.slot = 1030;
        }),
    ] {
        assert!(matches!(refused(break_it), E::Slots { .. }), "{name}");
    }
    let sealed = refused(|s| s.latest_block_header.state_root = root(1));
    assert!(matches!(sealed, E::HeaderSealed { .. }));
    assert!(matches!(
        refused(|s| s.config = Config { genesis_time: 8 }),
        E::ConstantsChanged { .. }
    ));
    assert!(matches!(refused(|s| s.validators = validators(6)), E::ConstantsChanged { .. }));
    for (name, break_it) in [
        ("too long", (|s| s.historical_block_hashes.push(Root::ZERO).unwrap()) as Break),
        ("another branch", |s| {
            s.historical_block_hashes = rewritten(&s.historical_block_hashes, 1029);
        }),
        ("another segment", |s| {
            s.historical_block_hashes = rewritten(&s.historical_block_hashes, 3);
        }),
        ("another parent root", |s| {
            s.historical_block_hashes = rewritten(&s.historical_block_hashes, 1030);
        }),
        ("a skipped slot with a root", |s| {
            s.historical_block_hashes = rewritten(&s.historical_block_hashes, 1032);
        }),
    ] {
        assert!(matches!(refused(break_it), E::HistoryBroken { .. }), "{name}");
    }
    let unsorted = refused(|s| {
        s.justifications = Justifications::new(
            vec![Root::new([2; 32]), Root::new([1; 32])],
            lamella_types::JustificationValidators::zeros(10),
        );
    });
    assert!(matches!(unsorted, E::TallyMalformed { roots: 2, votes: 10, .. }));
    let short = refused(|s| {
        s.justifications =
            Justifications::new(vec![root(1)], lamella_types::JustificationValidators::zeros(4));
    });
    assert!(matches!(short, E::TallyMalformed { roots: 1, votes: 4, .. }));
    let future = refused(|s| s.latest_finalized.slot = s.slot + 1);
    assert!(matches!(future, E::CheckpointInFuture { .. }));
}

#[test]
fn a_base_that_is_not_its_blocks_post_state_is_refused() {
    let (block, mut parent) = parent(10, 5, &vec![]);
    let child = child(&parent, block, 0, &vec![]);
    parent.slot += 1;
    let error = StateDiff::build(&base(block, &parent, 0), &child).unwrap_err();
    assert!(matches!(error, BuildError::BaseIncomplete { .. }), "{error}");
}

#[test]
fn an_anchor_refuses_other_segments() {
    let (_, state) = parent(2050, 5, &vec![]);
    let mut segments = state.historical_block_hashes.segments().to_vec();
    segments.swap(0, 1);
    let error = Anchor::of(&state).into_state(state.validators.clone(), segments).unwrap_err();
    assert!(matches!(error, AnchorError::OtherSegment { index: 0, .. }), "{error}");
    let missing = Anchor::of(&state).into_state(Validators::default(), vec![]).unwrap_err();
    assert!(matches!(missing, AnchorError::OtherSegment { index: 0, .. }), "{missing}");
}

#[test]
fn a_diff_that_could_form_a_cycle_is_refused() {
    let (block, parent) = parent(10, 5, &vec![]);
    let child = child(&parent, block, 0, &vec![]);
    let mut diff = StateDiff::build(&base(block, &parent, 0), &child).unwrap();
    diff.base_slot = child.slot;
    assert!(StateDiff::decode(&diff.encode(), child.slot).is_err());
}

/// The history with the root of one slot replaced.
fn rewritten(history: &BlockHashes, slot: u64) -> BlockHashes {
    let mut changed = BlockHashes::default();
    for index in 0..history.len() as u64 {
        let old = history.get(index).unwrap();
        changed.push(if index == slot { Root::new([0xee; 32]) } else { old }).unwrap();
    }
    changed
}
