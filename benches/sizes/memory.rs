//! Memory of 32 cached states, counted by the allocator.

use lamella_benches::{
    BenchChain, BlockSource, Finality, LARGE, PlainState, SHORT, anchor,
    figures::record,
    sweep::{HISTORIES, STALLS},
};
use lamella_chain::Bootstrap;
use lamella_tables::Durability;
use lamella_types::latest_block_root;
use peak_alloc::PeakAlloc;

/// States in the cache.
const STATES: usize = 32;

/// Blocks between the anchor and the first of the states: the longest history tails that there are.
const DISTANCE: usize = 1_023 - STATES;

/// Slot at which the stalled chains begin: past the longest stall.
const STALLED_AT: u64 = 16 * SHORT;

/// What the states beyond the first take, ours and as plain containers, at each length of the history and of a stall.
pub fn cached_states(allocator: &PeakAlloc) {
    for slot in HISTORIES {
        measure(allocator, anchor(LARGE, slot, Finality::Healthy), Finality::Healthy, slot, "");
    }
    for stall in STALLS {
        // The stall is as long as it says at the last state.
        let before = stall.saturating_sub((DISTANCE + STATES) as u64).max(3);
        let finality = if stall == 0 { Finality::Healthy } else { Finality::Stalled(before) };
        measure(allocator, anchor(LARGE, STALLED_AT, finality), finality, stall, "stall/");
    }
}

fn measure(
    allocator: &PeakAlloc,
    bootstrap: Bootstrap,
    finality: Finality,
    point: u64,
    sweep: &str,
) {
    let mut source = BlockSource::new(&bootstrap.state, finality);
    let chain = BenchChain::begin(bootstrap, Durability::Lazy);
    chain.import_all(source.take(DISTANCE));
    let mut roots = Vec::new();
    for _ in 0..STATES {
        chain.import_all(source.take(1));
        roots.push(latest_block_root(source.state()));
    }
    let states = chain.chain.states();
    states.clear();
    let read = |root| chain.chain.state(root).unwrap().unwrap();
    let first = read(&roots[0]);
    let before = allocator.current_usage();
    for root in &roots {
        assert_eq!(latest_block_root(&read(root)), *root, "the state of this block");
    }
    let ours = allocator.current_usage() - before;
    assert!(states.cache_stats().states > STATES, "all of them and the anchor");
    record(&format!("memory/{sweep}32_states_beyond_the_first/{point}"), ours as f64);

    let before = allocator.current_usage();
    let plain = PlainState::of(&first);
    let one = allocator.current_usage() - before;
    assert_eq!(plain.encode(), first.to_ssz());
    let baseline = (STATES - 1) * one;
    record(&format!("memory/{sweep}baseline_32_ssz_rs_states/{point}"), baseline as f64);
}
