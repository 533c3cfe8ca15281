//! What is built, written, read and applied is the state that went in.

use lamella_state_diff::{Anchor, StateDiff, TALLY_DELTAS_MAX, TallyDiff};
use lamella_types::BlockHeader;
use proptest::{collection::vec, prelude::*};

use crate::chain::{Votes, base, child, parent, root};

fn any_votes() -> impl Strategy<Value = Votes> {
    vec((0..12_u64, vec(0..70_usize, 0..70)), 0..8)
        .prop_map(|votes| votes.into_iter().map(|(seed, voters)| (root(seed), voters)).collect())
}

proptest! {
    #[test]
    fn a_diff_restores_the_child(
        slot in prop_oneof![0..6_u64, 1020..1030_u64],
        skipped in 0..5_u64,
        validator_count in 1..70_u64,
        (before, after) in (any_votes(), any_votes()),
        tally_deltas in 0..=TALLY_DELTAS_MAX,
    ) {
        let (block, parent) = parent(slot, validator_count, &before);
        let child = child(&parent, block, skipped, &after);
        let diff = StateDiff::build(&base(block, &parent, tally_deltas), &child).unwrap();
        if tally_deltas == TALLY_DELTAS_MAX {
            prop_assert_eq!(diff.tally.number(), 0, "a full tally at least every 32 blocks");
        }
        let decoded = StateDiff::decode(&diff.encode(), child.slot).unwrap();
        prop_assert_eq!(&decoded, &diff);

        let mut history = parent.historical_block_hashes.clone();
        history.push_parent(block.root, skipped).unwrap();
        let header = BlockHeader { state_root: child.root(), ..child.latest_block_header };
        let tally = decoded.tally.apply(&parent.justifications, validator_count as usize).unwrap();
        prop_assert_eq!(decoded.reconstruct(&parent, &header, history, tally), Some(child));
    }

    #[test]
    fn full_and_delta_say_the_same(validator_count in 1..70_usize, (before, after) in (any_votes(), any_votes())) {
        let before = crate::chain::tally(&before, validator_count);
        let after = crate::chain::tally(&after, validator_count);
        for tally in [
            TallyDiff::full(&after, validator_count),
            TallyDiff::delta(1, &before, &after, validator_count),
        ] {
            prop_assert_eq!(&tally.apply(&before, validator_count).unwrap(), &after);
        }
    }

    #[test]
    fn an_anchor_restores_the_state(slot in prop_oneof![0..4_u64, 2040..2060_u64], votes in any_votes()) {
        let (block, parent) = parent(slot, 9, &votes);
        let state = child(&parent, block, 3, &votes);
        let anchor = Anchor::decode(&Anchor::of(&state).encode()).unwrap();
        prop_assert_eq!(&anchor, &Anchor::of(&state));
        let segments = state.historical_block_hashes.segments().to_vec();
        prop_assert_eq!(anchor.into_state(state.validators.clone(), segments).unwrap(), state);
    }

    #[test]
    fn damaged_bytes_never_panic_and_never_pass_for_the_original(
        (before, after) in (any_votes(), any_votes()), position in any::<prop::sample::Index>(), flip in 0..8_u8,
    ) {
        let (block, parent) = parent(5, 9, &before);
        let child = child(&parent, block, 1, &after);
        let diff = StateDiff::build(&base(block, &parent, 0), &child).unwrap();
        let mut bytes = diff.encode();
        let position = position.index(bytes.len());
        prop_assert!(StateDiff::decode(&bytes[..position], child.slot).is_err());
        bytes[position] ^= 1 << flip;
        if let Ok(other) = StateDiff::decode(&bytes, child.slot) {
            prop_assert_ne!(&other, &diff);
            let _ = other.tally.apply(&parent.justifications, 9);
        }
        let mut bytes = Anchor::of(&child).encode();
        let position = position.min(bytes.len() - 1);
        prop_assert!(Anchor::decode(&bytes[..position]).is_err());
        bytes[position] ^= 1 << flip;
        if let Ok(other) = Anchor::decode(&bytes) {
            prop_assert_ne!(other, Anchor::of(&child));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400), slot in any::<u64>()) {
        let _ = StateDiff::decode(&bytes, slot);
        let _ = Anchor::decode(&bytes);
    }
}

#[test]
fn a_stalled_tally_costs_its_change() {
    // 60 pending roots of 4,096 validators, half of them voting, the same for each: 31 KB as bitmaps.
    let voters: Vec<usize> = (0..4096).step_by(2).collect();
    let pending: Votes = (0..60).map(|seed| (root(seed), voters.clone())).collect();
    let (block, parent) = parent(100, 4096, &pending);
    let mut after = pending;
    after.push((root(60), voters));
    let child = child(&parent, block, 0, &after);
    let full = StateDiff::build(&base(block, &parent, TALLY_DELTAS_MAX), &child).unwrap();
    let delta = StateDiff::build(&base(block, &parent, 0), &child).unwrap();
    assert_eq!((full.encode().len(), delta.encode().len()), (2_600, 562));
}
