//! `read_state_cold` and `read_state_hot`: the state of a block, proved, out of the tables or the cache.

use std::cell::LazyCell;

use criterion::{BenchmarkId, Criterion};
use lamella_benches::{BenchChain, BlockSource, Finality, LARGE, LONG, SHORT, anchor, timed};
use lamella_block_store::canonical_root;
use lamella_state_store::StateStore;
use lamella_types::{Root, Slot, State, latest_block_root};

use crate::full_state::{FullStates, head};

/// Blocks of the chain: the last one is as far from its anchor as a block can be.
const BLOCKS: usize = 1_023;

/// Slots from the anchor to the block asked for.
const DISTANCES: [u64; 3] = [1, 100, 1023];

/// A stored chain that begins at `slot`, an anchor.
pub fn stored_chain(slot: Slot) -> BenchChain {
    let bootstrap = anchor(LARGE, slot, Finality::Healthy);
    let blocks = BlockSource::new(&bootstrap.state, Finality::Healthy).take(BLOCKS);
    BenchChain::grown(bootstrap, blocks)
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
