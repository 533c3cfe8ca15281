//! `over_history` and `over_stall`: what grows with the chain's length and with the distance to finality, and what
//! does not. The report plots them.

use std::cell::LazyCell;

use criterion::Criterion;
use lamella_benches::{
    Finality, LARGE, SHORT, anchor,
    sweep::{HISTORIES, STALLS},
    threads,
};
use lamella_tables::Durability::Lazy;
use lamella_types::latest_block_root;

use crate::{
    full_state::{FullStates, head},
    group::Group,
    import::{Import, Span},
    read::{LinearChain, deepest_tally, grown, read_anchor_warm},
};

/// Blocks after an anchor: the farthest that a state can be from one.
const BLOCKS: usize = 1_023;

/// Blocks of a chain that are timed before it is begun anew: short of the slot limit; and few where finality stalls, so
/// that the chain stays about as deep in its stall as it says.
const HEALTHY: Span = Span { before: 64, timed: 1_900 };
const STALLED: Span = Span { before: 64, timed: 192 };

/// Slot at which the stalled chains begin: past the longest stall.
const STALLED_AT: u64 = 16 * SHORT;

pub fn over_history(c: &mut Criterion) {
    let mut group = Group::of(c, "over_history");
    group.samples(10);
    for slot in HISTORIES {
        let mut import = None;
        group.time(format!("import/{slot}"), |times, count| {
            let begin = || Import::new(LARGE, slot, Finality::Healthy, Lazy, HEALTHY);
            import.get_or_insert_with(begin).blocks(times, count)
        });
        drop(import);
        let full = LazyCell::new(|| {
            let state = anchor(LARGE, slot, Finality::Healthy).state;
            (latest_block_root(&state), state.root(), state)
        });
        group.time(format!("write_full_state/{slot}"), |times, count| {
            let (root, state_root, state) = &*full;
            let write = |mut states: FullStates| {
                states.write(*root, state);
                states
            };
            let check = |states: FullStates| {
                assert_eq!(states.read(slot, *root, state_root, threads::count()), **state);
            };
            times.each(count, FullStates::begin, write, check)
        });
        let chain = LazyCell::new(|| grown(slot, Finality::Healthy, BLOCKS));
        group.time(format!("read_warm/{slot}"), |times, count| {
            let (root, ..) = head(&chain);
            read_anchor_warm(&chain, root, times, count)
        });
        let linear = LazyCell::new(|| LinearChain::grown(slot, Finality::Healthy, BLOCKS));
        group.time(format!("read_linear_walk/{slot}"), |times, count| {
            linear.read_warm(times, count)
        });
    }
}

pub fn over_stall(c: &mut Criterion) {
    let mut group = Group::of(c, "over_stall");
    group.samples(10);
    for stall in STALLS {
        let finality = |slots: u64| match slots {
            0 => Finality::Healthy,
            slots => Finality::Stalled(slots),
        };
        let mut import = None;
        group.time(format!("import/{stall}"), |times, count| {
            let begin = || Import::new(LARGE, STALLED_AT, finality(stall), Lazy, STALLED);
            import.get_or_insert_with(begin).blocks(times, count)
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
        group.time(format!("read_warm/{stall}"), |times, count| {
            let (chain, deepest) = &*chain;
            read_anchor_warm(chain, *deepest, times, count)
        });
        let linear = LazyCell::new(|| LinearChain::grown(STALLED_AT, before, blocks));
        group.time(format!("read_linear_walk/{stall}"), |times, count| {
            linear.read_warm(times, count)
        });
    }
}
