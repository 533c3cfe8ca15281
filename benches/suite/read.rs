//! `read_state_cold`, `read_state_in_stall` and `read_state_hot`: the state of a block, proved, out of the tables or
//! the cache.

use std::{cell::LazyCell, sync::Arc, time::Duration};

use criterion::Criterion;
use lamella_benches::{
    BenchChain, BlockSource, Finality, LARGE, LONG, LinearStore, SHORT, Times, anchor, figures,
    threads,
};
use lamella_block_store::canonical_root;
use lamella_state_diff::TALLY_DELTAS_MAX;
use lamella_state_store::StateStore;
use lamella_tables::SlotRoot;
use lamella_types::{Root, Slot, State, latest_block_root};

use crate::{
    full_state::{FullStates, head},
    group::Group,
};

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

    /// Reads the head's state with the snapshot in memory.
    pub fn read_warm(&self, times: &mut Times, count: u64) -> Duration {
        let measured = |()| self.store.read_warm(self.key(), &self.state_root);
        // The first one takes the snapshot into memory.
        drop(measured(()));
        times.each(count, || (), measured, |state| assert_eq!(state, self.head))
    }

    /// Reads it with nothing in memory, the snapshot hashed on as many threads as our own segments.
    fn read_cold(&self, times: &mut Times, count: u64) -> Duration {
        let measured = |()| self.store.read_cold(self.key(), &self.state_root, threads::count());
        times.each(count, || (), measured, |state| assert_eq!(state, self.head))
    }

    /// Reads it as `ssz_rs` containers.
    fn read_plain(&self, times: &mut Times, count: u64) -> Duration {
        let measured = |()| self.store.read_plain(self.key(), &self.state_root);
        let bytes = self.head.to_ssz();
        times.each(count, || (), measured, |state| assert!(state.encode() == bytes))
    }
}

fn block_at(chain: &BenchChain, slot: Slot) -> Root {
    canonical_root(&chain.chain.read().unwrap(), slot).unwrap().unwrap()
}

fn check(state: &State, root: Root) {
    assert_eq!(latest_block_root(state), root, "the state of this block");
}

fn read(chain: &BenchChain, store: &StateStore, root: Root) -> Arc<State> {
    store.state(&chain.chain.read().unwrap(), &root).unwrap().unwrap()
}

/// Reads a state with nothing in memory but the system's page cache: the first read after a start.
fn read_first(chain: &BenchChain, root: Root, times: &mut Times, count: u64) -> Duration {
    let measured = |store: StateStore| (read(chain, &store, root), store);
    times.each(count, StateStore::default, measured, |(state, _)| check(&state, root))
}

/// Reads a state with history segments and registry in memory and no state: anchor and block are rebuilt and proved.
fn read_segments_warm(chain: &BenchChain, root: Root, times: &mut Times, count: u64) -> Duration {
    let store = StateStore::default();
    read(chain, &store, root);
    let forget = || store.clear_states();
    times.each(count, forget, |()| read(chain, &store, root), |state| check(&state, root))
}

/// Reads a state with its anchor's in memory, as once any other state of its thousand slots has been read.
pub fn read_anchor_warm(chain: &BenchChain, root: Root, times: &mut Times, count: u64) -> Duration {
    let store = StateStore::default();
    let stored = store.stored(&chain.chain.read().unwrap(), &root).unwrap().unwrap();
    let forget = || {
        store.clear_states();
        read(chain, &store, stored.anchor.root);
    };
    times.each(count, forget, |()| read(chain, &store, root), |state| check(&state, root))
}

pub fn read_state_cold(c: &mut Criterion) {
    let mut group = Group::of(c, "read_state_cold");
    for (history, slot) in [("H2k", SHORT), ("H261k", LONG)] {
        let chain = LazyCell::new(|| stored_chain(slot));
        group.samples(15);
        for distance in DISTANCES {
            let root = LazyCell::new(|| block_at(&chain, slot + distance));
            group.time(format!("first/V4096_{history}/{distance}"), |times, count| {
                read_first(&chain, *root, times, count)
            });
            group.time(format!("segments_warm/V4096_{history}/{distance}"), |times, count| {
                read_segments_warm(&chain, *root, times, count)
            });
            group.time(format!("anchor_warm/V4096_{history}/{distance}"), |times, count| {
                read_anchor_warm(&chain, *root, times, count)
            });
        }
        baselines(&mut group, &chain, history, slot);
    }
}

/// What would stand in its place: a snapshot and diffs that are walked, and a full state for each block.
fn baselines(group: &mut Group<'_>, chain: &BenchChain, history: &str, slot: Slot) {
    let linear = LazyCell::new(|| LinearChain::grown(slot, Finality::Healthy, BLOCKS));
    let at = format!("V4096_{history}/{BLOCKS}");
    group
        .samples(15)
        .time(format!("baseline_linear_warm/{at}"), |times, count| linear.read_warm(times, count));
    group.time(format!("baseline_linear_cold/{at}"), |times, count| linear.read_cold(times, count));
    group.samples(10).time(format!("baseline_linear_ssz_rs/{at}"), |times, count| {
        linear.read_plain(times, count)
    });
    let full = LazyCell::new(|| {
        let (root, slot, state) = head(chain);
        let mut states = FullStates::begin();
        states.write(root, &state);
        (states, SlotRoot::new(slot, root), state.root(), state)
    });
    for (name, threads) in
        [("baseline_full_state", threads::count()), ("baseline_full_state_1_thread", 1)]
    {
        group.samples(15).time(format!("{name}/V4096_{history}"), |times, count| {
            let (states, at, state_root, state) = &*full;
            let measured = |()| states.read(at.slot, at.root, state_root, threads);
            times.each(count, || (), measured, |read| assert_eq!(read, **state))
        });
    }
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

pub fn read_state_in_stall(c: &mut Criterion) {
    let mut group = Group::of(c, "read_state_in_stall");
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
        let at = format!("V4096_{history}_2100_slots");
        group.samples(15).time(format!("segments_warm/{at}"), |times, count| {
            let (chain, deepest) = &*chain;
            read_segments_warm(chain, *deepest, times, count)
        });
        group.time(format!("anchor_warm/{at}"), |times, count| {
            let (chain, deepest) = &*chain;
            read_anchor_warm(chain, *deepest, times, count)
        });
        let linear = LazyCell::new(|| {
            let linear = LinearChain::grown(slot, finality, BLOCKS);
            let bytes = linear.diff_bytes() as f64;
            figures::record(&format!("read_state_in_stall/baseline_diff_bytes/{history}"), bytes);
            linear
        });
        group.samples(10).time(format!("baseline_linear_warm/{at}"), |times, count| {
            linear.read_warm(times, count)
        });
        group.time(format!("baseline_linear_cold/{at}"), |times, count| {
            linear.read_cold(times, count)
        });
    }
}

/// Every read's time is kept, and there are two million of them a second.
const HOT_TIME: Duration = Duration::from_millis(200);

pub fn read_state_hot(c: &mut Criterion) {
    let mut group = Group::of(c, "read_state_hot");
    group.measurement_time(HOT_TIME);
    let chain = LazyCell::new(|| stored_chain(LONG));
    group.time("V4096_H261k", |times, count| {
        let (root, slot, _) = head(&chain);
        let read = |()| chain.chain.state(&root).unwrap().unwrap();
        times.each(count, || (), read, |state| assert_eq!(state.slot, slot))
    });
    group.time("unknown/V4096_H261k", |times, count| {
        let (_, _, state) = head(&chain);
        let unknown = state.root();
        let read = |()| chain.chain.state(&unknown).unwrap();
        times.each(count, || (), read, |state| assert!(state.is_none()))
    });
}
