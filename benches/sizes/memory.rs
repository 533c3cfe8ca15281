//! Memory of 32 cached states, counted by the allocator.

use lamella_benches::{
    BenchChain, BlockSource, Finality, LARGE, PlainState, anchor, figures::record, sweep::HISTORIES,
};
use lamella_tables::Durability;
use lamella_types::latest_block_root;
use peak_alloc::PeakAlloc;

/// States in the cache.
const STATES: usize = 32;

/// Blocks between the anchor and the first of the states: the longest history tails that there are.
const DISTANCE: usize = 1_023 - STATES;

/// What the states beyond the first take, ours and as plain containers, at each length of the history.
pub fn cached_states(allocator: &PeakAlloc) {
    for slot in HISTORIES {
        let bootstrap = anchor(LARGE, slot, Finality::Healthy);
        let mut source = BlockSource::new(&bootstrap.state, Finality::Healthy);
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
        record(&format!("memory/32_states_beyond_the_first/{slot}"), ours as f64);

        let before = allocator.current_usage();
        let plain = PlainState::of(&first);
        let one = allocator.current_usage() - before;
        assert_eq!(plain.encode(), first.to_ssz());
        record(&format!("memory/baseline_32_ssz_rs_states/{slot}"), ((STATES - 1) * one) as f64);
    }
}
