//! The root of a child's state where history and registry are tree-backed lists: what one would take for an incremental
//! root instead of writing segments and a frontier.
//!
//! `milhouse` keeps a Merkle tree whose nodes are shared between versions and remember their hashes, so a state that
//! appends one root hashes one path. The leaves of the registry's tree are the validators' roots, as in a list of
//! containers. Small fields are hashed by the project's own functions on both sides.

use std::collections::BTreeMap;

use lamella_benches::{Finality, LARGE, LONG, Random, Times, anchor, figures};
use lamella_types::{
    BlockHashes, Checkpoint, Root, State,
    merkle::{hash_pair, merkleize, merkleize_roots},
};
use milhouse::{List, mem::MemoryTracker};
use tree_hash::{Hash256, TreeHash as _};
use typenum::{U4096, U262144};

/// Slot of the parent: its history ends in half a segment, which a clone of ours copies.
const SLOT: u64 = LONG + 512;

/// Children measured on either side, in turn.
const CHILDREN: u64 = 3_000;

/// States in a cache whose memory is weighed.
const STATES: usize = 32;

/// A tree-backed list whose pending changes wait in a map: the default, a vector as long as the list's last changed index,
/// takes milliseconds for a push at the end.
type TreeList<T, N> = List<T, N, BTreeMap<usize, T>>;

/// A state with its large lists as trees.
#[derive(Clone)]
struct TreeState {
    /// The other fields,.
    small: State,
    history: TreeList<Hash256, U262144>,
    registry: TreeList<Hash256, U4096>,
}

impl TreeState {
    fn of(state: &State) -> Self {
        let slots = 0..state.historical_block_hashes.len() as u64;
        let history = slots.map(|slot| hash(&state.historical_block_hashes.get(slot).unwrap()));
        let registry = state.validators.iter().map(|validator| hash(&validator.root()));
        Self {
            small: State { historical_block_hashes: BlockHashes::default(), ..state.clone() },
            history: List::try_from_iter(history).unwrap(),
            registry: List::try_from_iter(registry).unwrap(),
        }
    }

    /// The state of a child in the next slot, as far as a root can tell.
    fn child(&self, parent_root: Root) -> Self {
        let mut child = self.clone();
        advance(&mut child.small, parent_root);
        child.history.push(hash(&parent_root)).unwrap();
        child.history.apply_updates().unwrap();
        child
    }

    fn root(&self) -> Root {
        let state = &self.small;
        let number = |value: u64| merkleize(&value.to_le_bytes(), 0);
        let checkpoint = |at: &Checkpoint| hash_pair(&at.root, &number(at.slot));
        let tree = |root: Hash256| Root::from_slice(root.as_slice()).unwrap();
        let (tally_roots, tally_votes) = state.justifications.field_roots();
        merkleize_roots(
            &[
                number(state.config.genesis_time),
                number(state.slot),
                state.latest_block_header.root(),
                checkpoint(&state.latest_justified),
                checkpoint(&state.latest_finalized),
                tree(self.history.tree_hash_root()),
                state.justified_slots.root(),
                tree(self.registry.tree_hash_root()),
                tally_roots,
                tally_votes,
            ],
            4,
        )
    }
}

/// The same child of a state of ours.
fn child(parent: &State, parent_root: Root) -> State {
    let mut child = parent.clone();
    advance(&mut child, parent_root);
    child.historical_block_hashes.push(parent_root).unwrap();
    child
}

fn advance(state: &mut State, parent_root: Root) {
    state.slot += 1;
    state.latest_block_header.slot = state.slot;
    state.latest_block_header.parent_root = parent_root;
}

fn hash(root: &Root) -> Hash256 {
    Hash256::from_slice(root.as_bytes())
}

/// Measures both and leaves the figures for the report.
pub fn measure() {
    let ours = anchor(LARGE, SLOT, Finality::Healthy).state;
    let trees = TreeState::of(&ours);
    assert_eq!(
        trees.root(),
        ours.root(),
        "the same state, every hash of both in memory from here on"
    );
    let mut random = Random::new(12);
    let (mut our_times, mut tree_times) =
        (Times::new("tree_list/ours".to_owned()), Times::new("tree_list/milhouse".to_owned()));
    for _ in 0..CHILDREN {
        let parent_root = random.root();
        let mut expected = Root::ZERO;
        let of_ours = |()| {
            let child = child(&ours, parent_root);
            (child.root(), child)
        };
        our_times.each(1, || (), of_ours, |(root, _)| expected = root);
        let of_trees = |()| {
            let child = trees.child(parent_root);
            (child.root(), child)
        };
        tree_times.each(1, || (), of_trees, |(root, _)| assert_eq!(root, expected));
    }
    our_times.record();
    tree_times.record();
    weigh(trees, &mut random);
}

/// Bytes of successive states beyond the first that they do not share, as `milhouse` counts its nodes.
fn weigh(first: TreeState, random: &mut Random) {
    let mut states = vec![first];
    for _ in 1..STATES {
        let child = states[states.len() - 1].child(random.root());
        // Hashes stand in the nodes.
        let _ = child.root();
        states.push(child);
    }
    let mut tracker = MemoryTracker::default();
    let mut own = |state: &TreeState| {
        tracker.track_item(&state.history).differential_size
            + tracker.track_item(&state.registry).differential_size
    };
    let sizes: Vec<usize> = states.iter().map(&mut own).collect();
    let beyond_the_first: usize = sizes[1..].iter().sum();
    figures::record("memory/baseline_32_tree_lists", beyond_the_first as f64);
}
