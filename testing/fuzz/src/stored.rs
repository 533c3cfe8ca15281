//! States as checkpoint sync sends them, diffs, anchors and bodies as the disk has them.

use std::sync::Arc;

use lamella_state_diff::{Anchor, DiffBase, StateDiff};
use lamella_tables::Value;
use lamella_types::{
    AggregatedAttestation, AttestationData, BlockBody, BlockHeader, Checkpoint, Decode, Root,
    State, Validator, Validators, bits::BitList, genesis_state, to_ssz,
};

/// History entries of the seeds, which keep inputs small.
const HISTORY_SLOTS: u64 = 3;

pub fn state(bytes: &[u8]) {
    let Ok(state) = State::from_ssz(bytes) else { return };
    assert_eq!(state.to_ssz(), bytes, "one encoding for each value");
    let anchor = Anchor::of(&state);
    let (validators, segments) =
        (state.validators.clone(), state.historical_block_hashes.segments());
    let segments: Vec<_> = segments.to_vec();
    let again = Anchor::decode(&anchor.encode()).ok();
    let again = again.and_then(|anchor| anchor.into_state(validators, segments).ok());
    let again = again.map(|again| (again.root(), again.to_ssz()));
    assert_eq!(again, Some((state.root(), bytes.to_vec())), "an anchor is the whole state");
}

pub fn state_seeds() -> Vec<Vec<u8>> {
    let (_, parent) = parent();
    vec![genesis_state(7, Validators::default()).to_ssz(), parent.to_ssz()]
}

/// The first eight bytes are the slot of the row's key.
pub fn stored(bytes: &[u8]) {
    if let Ok(anchor) = Anchor::decode(bytes) {
        assert_eq!(anchor.encode(), bytes, "one encoding for each anchor");
    }
    let Some((slot, diff)) = bytes.split_first_chunk() else { return };
    let slot = u64::from_be_bytes(*slot);
    if let Ok(value) = StateDiff::decode(diff, slot) {
        // Not the same bytes: a reader takes votes in any of the three ways, a writer chooses the shortest.
        let again = StateDiff::decode(&value.encode(), slot);
        assert_eq!(again, Ok(value), "a diff reads as it is written");
    }
}

pub fn stored_seeds() -> Vec<Vec<u8>> {
    let (block, parent) = parent();
    let anchor = Anchor::of(&parent).encode();
    let mut child = parent.clone();
    let slot = block.slot + 2;
    let is_pushed = child.historical_block_hashes.push_parent(block.root, 1).is_ok();
    child.slot = slot;
    child.latest_block_header =
        BlockHeader { slot, parent_root: block.root, ..BlockHeader::default() };
    let base = DiffBase::capture(block, block, 0, Arc::new(parent));
    let diff = StateDiff::build(&base, &child).ok().filter(|_| is_pushed);
    let row = |diff: StateDiff| [slot.to_be_bytes().to_vec(), diff.encode()].concat();
    diff.map(row).into_iter().chain([anchor]).collect()
}

pub fn body(bytes: &[u8]) {
    let Ok(body) = BlockBody::decode(bytes) else { return };
    assert_eq!(body.encode(), bytes, "one encoding for each body");
    assert_eq!(BlockBody::from_ssz(&to_ssz(&body)).as_ref(), Ok(&body), "a body that peers take");
}

pub fn body_seeds() -> Vec<Vec<u8>> {
    let vote = |slot, voters: Vec<u64>| AggregatedAttestation {
        aggregation_bits: BitList::from_indices(voters).unwrap_or_default(),
        data: AttestationData { slot, ..AttestationData::default() },
    };
    // A bitmap, a list of voters, a list of absentees.
    let kinds = [(0..40).step_by(2).collect(), vec![3, 90], (0..90).filter(|v| *v != 7).collect()];
    let votes: Vec<_> = (5..).zip(kinds).map(|(slot, voters)| vote(slot, voters)).collect();
    let bodies = [Vec::new(), votes[..1].to_vec(), votes];
    bodies.into_iter().filter_map(BlockBody::new).map(|body| body.encode()).collect()
}

/// A post-state and its block.
fn parent() -> (Checkpoint, State) {
    let entries: Vec<_> = (0..4).map(|index| Validator { index, ..Validator::default() }).collect();
    let mut state = genesis_state(7, Validators::new(&entries).unwrap_or_default());
    for index in 1..=HISTORY_SLOTS {
        let root = Root::new([u8::try_from(index).unwrap_or(0); 32]);
        let is_pushed = state.historical_block_hashes.push(root).is_ok();
        assert!(is_pushed, "far below the limit");
    }
    state.slot = HISTORY_SLOTS;
    state.latest_block_header.slot = HISTORY_SLOTS;
    let header = BlockHeader { state_root: state.root(), ..state.latest_block_header };
    (Checkpoint { root: header.root(), slot: HISTORY_SLOTS }, state)
}
