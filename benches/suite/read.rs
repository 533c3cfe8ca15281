//! `read_state_cold`, `read_state_in_stall` and `read_state_hot`: the state of a block, proved, out of the tables or
//! the cache.

use std::{cell::LazyCell, time::Duration};

use criterion::{BenchmarkId, Criterion};
use lamella_benches::{
    BenchChain, BlockSource, Finality, LARGE, LONG, LinearStore, SHORT, anchor, figures, timed,
};
use lamella_block_store::canonical_root;
use lamella_state_diff::TALLY_DELTAS_MAX;
use lamella_state_store::StateStore;
use lamella_tables::SlotRoot;
use lamella_types::{Root, Slot, State, latest_block_root};

use crate::full_state::{FullStates, head};

/// Blocks of the chain: the last one is as far from its anchor as a block can be.
const BLOCKS: usize = 1_023;

/// Slots from the anchor to the block asked for.
const DISTANCES: [u64; 3] = [1, 100, 1023];

/// A stored chain that begins at `slot`, an anchor.
pub fn stored_chain(slot: Slot) -> BenchChain {
    grown(slot, Finality::Healthy, BLOCKS)
}

/// A stored chain of this many blocks after its anchor.
pub fn grown(slot: Slot, finality: Finality, blocks: usize) -> BenchChain {
    let bootstrap = anchor(LARGE, slot, finality);
    let blocks = BlockSource::new(&bootstrap.state, finality).take(blocks);
    BenchChain::grown(bootstrap, blocks)
}

/// The same blocks' states as a snapshot and diffs that are walked one by one.
pub struct LinearChain {
    store: LinearStore,
    head: State,
    state_root: Root,
}

impl LinearChain {
    pub fn grown(slot: Slot, finality: Finality, blocks: usize) -> Self {
        let bootstrap = anchor(LARGE, slot, finality);
        let mut source = BlockSource::new(&bootstrap.state, finality);
        let states = source.take_states(blocks);
        let (store, head) = (LinearStore::of(&states), source.state().clone());
        Self { store, state_root: head.root(), head }
    }

    pub fn diff_bytes(&self) -> usize {
        self.store.diff_bytes()
    }

    fn key(&self) -> SlotRoot {
        SlotRoot::new(self.head.slot, latest_block_root(&self.head))
    }

    /// Reads the head's state by our own bulk path.
    pub fn read(&self, count: u64) -> Duration {
        let measured = |()| self.store.read(self.key(), &self.state_root);
        timed(count, || (), measured, |state| assert_eq!(state, self.head))
    }

    /// Reads it as `ssz_rs` containers.
    fn read_plain(&self, count: u64) -> Duration {
        let measured = |()| self.store.read_plain(self.key(), &self.state_root);
        timed(count, || (), measured, |state| assert!(state.encode() == self.head.to_ssz()))
    }
}

fn block_at(chain: &BenchChain, slot: Slot) -> Root {
    canonical_root(&chain.chain.read().unwrap(), slot).unwrap().unwrap()
}

fn check(state: &State, root: Root) {
    assert_eq!(latest_block_root(state), root, "the state of this block");
}

pub fn read_state_cold(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_state_cold");
    for (history, slot) in [("H2k", SHORT), ("H261k", LONG)] {
        let chain = LazyCell::new(|| stored_chain(slot));
        for distance in DISTANCES {
            let read = |store: &StateStore, root: Root| {
                store.state(&chain.chain.read().unwrap(), &root).unwrap().unwrap()
            };
            // Nothing in memory but the system's page cache: the first read after a start.
            let id = BenchmarkId::new(format!("first/V4096_{history}"), distance);
            group.bench_function(id, |b| {
                let root = block_at(&chain, slot + distance);
                b.iter_custom(|count| {
                    let measured = |store: StateStore| (read(&store, root), store);
                    timed(count, StateStore::default, measured, |(state, _)| check(&state, root))
                });
            });
            // History segments and the registry in memory, no state: anchor and block are rebuilt and proved.
            let id = BenchmarkId::new(format!("segments_warm/V4096_{history}"), distance);
            group.bench_function(id, |b| {
                let root = block_at(&chain, slot + distance);
                let store = StateStore::default();
                read(&store, root);
                b.iter_custom(|count| {
                    let forget = || store.clear_states();
                    timed(count, forget, |()| read(&store, root), |state| check(&state, root))
                });
            });
            // The anchor in memory too, as once any other state of its thousand slots has been read.
            let id = BenchmarkId::new(format!("anchor_warm/V4096_{history}"), distance);
            group.bench_function(id, |b| {
                let (root, anchor) = (block_at(&chain, slot + distance), block_at(&chain, slot));
                let store = StateStore::default();
                read(&store, root);
                b.iter_custom(|count| {
                    let forget = || {
                        store.clear_states();
                        read(&store, anchor);
                    };
                    timed(count, forget, |()| read(&store, root), |state| check(&state, root))
                });
            });
        }
        let linear = LazyCell::new(|| LinearChain::grown(slot, Finality::Healthy, BLOCKS));
        group.sample_size(10);
        group.bench_function(format!("baseline_linear_walk/V4096_{history}/{BLOCKS}"), |b| {
            b.iter_custom(|count| linear.read(count))
        });
        group
            .bench_function(format!("baseline_linear_walk_ssz_rs/V4096_{history}/{BLOCKS}"), |b| {
                b.iter_custom(|count| linear.read_plain(count))
            });
        group.sample_size(15);
        let full = LazyCell::new(|| {
            let (root, slot, state) = head(&chain);
            let mut states = FullStates::begin();
            states.write(root, &state);
            (states, root, slot, state)
        });
        group.bench_function(format!("baseline_full_state/V4096_{history}"), |b| {
            let (states, root, slot, state) = &*full;
            let state_root = state.root();
            b.iter_custom(|count| {
                let measured = |()| states.read(*slot, *root, &state_root);
                timed(count, || (), measured, |read| assert_eq!(read, **state))
            });
        });
    }
    group.finish();
}

/// Slots without finality at the end of the chain that is read in a stall.
const STALL: u64 = 2_100;

/// Of the last blocks of a chain, the one with the most tally deltas behind it: the slowest to read in a stall.
pub fn deepest_tally(chain: &BenchChain) -> (Root, u8) {
    let mut deepest = (Root::ZERO, 0);
    let (_, head_slot, _) = head(chain);
    let txn = chain.chain.read().unwrap();
    for slot in head_slot - u64::from(TALLY_DELTAS_MAX)..=head_slot {
        let root = canonical_root(&txn, slot).unwrap().unwrap();
        let deltas = StateStore::default().stored(&txn, &root).unwrap().unwrap().tally_deltas;
        if deltas >= deepest.1 {
            deepest = (root, deltas);
        }
    }
    deepest
}

/// Reads a state again and again with the history's segments in memory and no state.
pub fn read_warm(chain: &BenchChain, root: Root, count: u64) -> Duration {
    let store = StateStore::default();
    let read = || store.state(&chain.chain.read().unwrap(), &root).unwrap().unwrap();
    read();
    timed(count, || store.clear_states(), |()| read(), |state| check(&state, root))
}

pub fn read_state_in_stall(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_state_in_stall");
    let finality = Finality::Stalled(STALL - BLOCKS as u64);
    for (history, slot) in [("H4k", 4 * SHORT), ("H261k", LONG)] {
        let chain = LazyCell::new(|| {
            let chain = grown(slot, finality, BLOCKS);
            let (deepest, deltas) = deepest_tally(&chain);
            figures::record(
                &format!("read_state_in_stall/tally_deltas/{history}"),
                f64::from(deltas),
            );
            (chain, deepest)
        });
        group.bench_function(format!("segments_warm/V4096_{history}_2100_slots"), |b| {
            let (chain, deepest) = &*chain;
            b.iter_custom(|count| read_warm(chain, *deepest, count));
        });
        let linear = LazyCell::new(|| {
            let linear = LinearChain::grown(slot, finality, BLOCKS);
            let bytes = linear.diff_bytes() as f64;
            figures::record(&format!("read_state_in_stall/baseline_diff_bytes/{history}"), bytes);
            linear
        });
        group.sample_size(10);
        group.bench_function(format!("baseline_linear_walk/V4096_{history}_2100_slots"), |b| {
            b.iter_custom(|count| linear.read(count));
        });
        group.sample_size(15);
    }
    group.finish();
}

pub fn read_state_hot(c: &mut Criterion) {
    let mut group = c.benchmark_group("read_state_hot");
    let chain = LazyCell::new(|| stored_chain(LONG));
    group.bench_function("V4096_H261k", |b| {
        let (root, slot, _) = head(&chain);
        b.iter(|| {
            let state = chain.chain.state(&root).unwrap().unwrap();
            assert_eq!(state.slot, slot);
            state
        });
    });
    group.bench_function("unknown/V4096_H261k", |b| {
        let (_, _, state) = head(&chain);
        let unknown = state.root();
        b.iter(|| assert!(chain.chain.state(&unknown).unwrap().is_none()));
    });
    group.finish();
}
