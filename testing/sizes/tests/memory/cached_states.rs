//! Memory of cached states.

use std::sync::Arc;

use lamella_benches::{BenchChain, BlockSource, Finality, LARGE, LONG, anchor};
use lamella_tables::Durability;
use lamella_types::{State, latest_block_root};

use crate::{ALLOCATOR, alone};

/// States of the test.
const STATES: usize = 32;

/// Limit of what each state beyond the first takes, nearly all of it the history since the last segment (under
/// 32 KiB). In full a state has 8.8 MB; the promise is 12 MiB for all of them.
const STATE_BYTES_MAX: usize = 36 << 10;

/// Blocks between the anchor and the first of the states: the longest history tails that there are.
const DISTANCE: usize = 1_023 - STATES;

#[test]
fn thirty_two_cached_states_take_little_more_than_one() {
    let _alone = alone();
    let bootstrap = anchor(LARGE, LONG, Finality::Healthy);
    let mut source = BlockSource::new(&bootstrap.state, Finality::Healthy);
    let mut roots = Vec::new();
    let mut blocks = |count: usize| {
        let taken = source.take(count);
        roots.push(latest_block_root(source.state()));
        taken
    };
    let chain = BenchChain::begin(bootstrap, Durability::Lazy);
    chain.import_all(blocks(DISTANCE));
    for _ in 0..STATES {
        chain.import_all(blocks(1));
    }
    let roots = roots.split_off(1);
    let states = chain.chain.states();
    states.clear();

    let read = |root| -> Arc<State> { chain.chain.state(root).unwrap().unwrap() };
    // The first brings its anchor, its segments and its registry with it.
    let first = read(&roots[0]);
    let before = ALLOCATOR.current_usage();
    let slots: Vec<_> = roots.iter().map(|root| read(root).slot).collect();
    let grown = ALLOCATOR.current_usage() - before;

    assert_eq!(slots, (first.slot..).take(STATES).collect::<Vec<_>>());
    let cached = states.cache_stats();
    assert!(cached.states > STATES, "all of them and the anchor: {cached:?}");
    let full = first.to_ssz().len();
    println!(
        "{STATES} states of {full} B: {grown} B beyond the first, {} B a state",
        grown / (STATES - 1)
    );
    assert!(grown <= (STATES - 1) * STATE_BYTES_MAX, "{grown} B");
}
