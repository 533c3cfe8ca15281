//! `over_history` and `over_stall`: what grows with the chain's length and with the distance to finality, and what
//! does not. The report plots them.

use std::cell::LazyCell;

use criterion::{BenchmarkId, Criterion};
use lamella_benches::{
    Finality, LARGE, SHORT, anchor,
    sweep::{HISTORIES, STALLS},
    timed,
};
use lamella_tables::Durability::Lazy;
use lamella_types::latest_block_root;

use crate::{
    full_state::{FullStates, head},
    import::Import,
    read::{LinearChain, deepest_tally, grown, read_warm},
};

/// Blocks after an anchor: the farthest that a state can be from one.
const BLOCKS: usize = 1_023;

/// Blocks imported before a stalled chain is begun anew, so that it stays about as deep in its stall as it says.
const STALLED_BLOCKS_MAX: u64 = 256;

/// Slot at which the stalled chains begin: past the longest stall.
const STALLED_AT: u64 = 16 * SHORT;

pub fn over_history(c: &mut Criterion) {
    let mut group = c.benchmark_group("over_history");
    group.sample_size(10);
    for slot in HISTORIES {
        let mut import = None;
        group.bench_function(BenchmarkId::new("import", slot), |b| {
            let import =
                import.get_or_insert_with(|| Import::new(LARGE, slot, Finality::Healthy, Lazy));
            b.iter_custom(|count| import.blocks(count));
        });
        drop(import);
        let full = LazyCell::new(|| {
            let state = anchor(LARGE, slot, Finality::Healthy).state;
            (latest_block_root(&state), state.root(), state)
        });
        group.bench_function(BenchmarkId::new("write_full_state", slot), |b| {
            let (root, state_root, state) = &*full;
            let write = |mut states: FullStates| {
                states.write(*root, state);
                states
            };
            let check = |states: FullStates| {
                assert_eq!(states.read(slot, *root, state_root), **state);
            };
            b.iter_custom(|count| timed(count, FullStates::begin, write, check));
        });
        let chain = LazyCell::new(|| grown(slot, Finality::Healthy, BLOCKS));
        group.bench_function(BenchmarkId::new("read_cold", slot), |b| {
            let (root, ..) = head(&chain);
            b.iter_custom(|count| read_warm(&chain, root, count));
        });
        let linear = LazyCell::new(|| LinearChain::grown(slot, Finality::Healthy, BLOCKS));
        group.bench_function(BenchmarkId::new("read_linear_walk", slot), |b| {
            b.iter_custom(|count| linear.read(count));
        });
    }
    group.finish();
}

pub fn over_stall(c: &mut Criterion) {
    let mut group = c.benchmark_group("over_stall");
    group.sample_size(10);
    for stall in STALLS {
        let finality = |slots: u64| match slots {
            0 => Finality::Healthy,
            slots => Finality::Stalled(slots),
        };
        let mut import = None;
        group.bench_function(BenchmarkId::new("import", stall), |b| {
            let import = import.get_or_insert_with(|| {
                let mut import = Import::new(LARGE, STALLED_AT, finality(stall), Lazy);
                import.blocks_max = STALLED_BLOCKS_MAX;
                import
            });
            b.iter_custom(|count| import.blocks(count));
        });
        drop(import);
        // The stall is as long as it says at the block that is read.
        let blocks = if stall == 0 { BLOCKS as u64 } else { (stall - 3).min(BLOCKS as u64) };
        let before = finality(stall.saturating_sub(blocks));
        let blocks = usize::try_from(blocks).unwrap();
        let chain = LazyCell::new(|| {
            let chain = grown(STALLED_AT, before, blocks);
            let (deepest, _) = deepest_tally(&chain);
            (chain, deepest)
        });
        group.bench_function(BenchmarkId::new("read_cold", stall), |b| {
            let (chain, deepest) = &*chain;
            b.iter_custom(|count| read_warm(chain, *deepest, count));
        });
        let linear = LazyCell::new(|| LinearChain::grown(STALLED_AT, before, blocks));
        group.bench_function(BenchmarkId::new("read_linear_walk", stall), |b| {
            b.iter_custom(|count| linear.read(count));
        });
    }
    group.finish();
}
