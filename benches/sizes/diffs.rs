//! Bytes of a block's diff as finality falls behind.

use std::sync::Arc;

use lamella_benches::{
    BlockSource, Finality, LARGE, SHORT, anchor, figures::record, linear_diff::LinearDiff,
    sweep::STALLS,
};
use lamella_state_diff::{DiffBase, StateDiff};
use lamella_types::{Checkpoint, State, latest_block_root};

/// Slot at which the chains begin: past the longest stall.
const BEGIN: u64 = 16 * SHORT;

/// Blocks whose diffs are looked at: two cycles of a full tally and its deltas.
const BLOCKS: usize = 64;

/// The stall of which the project says what it may take.
const STALL: usize = 2_100;

/// Mean bytes of a diff: ours, and one that repeats the history entries and the whole tally.
#[derive(Debug, Clone, Copy)]
pub struct MeanBytes {
    pub ours: f64,
    pub linear: f64,
}

/// Mean over blocks at each distance to finality, and over all blocks of one stall. Returns the healthy one.
pub fn over_stall() -> MeanBytes {
    let mut healthy = None;
    for stall in STALLS {
        let finality = if stall == 0 { Finality::Healthy } else { Finality::Stalled(stall) };
        let mean = mean_bytes(finality, BLOCKS);
        healthy.get_or_insert(mean);
        record(&format!("diffs/ours/{stall}"), mean.ours);
        record(&format!("diffs/linear/{stall}"), mean.linear);
    }
    let whole = mean_bytes(Finality::Stalled(3), STALL);
    record("diffs/mean_of_a_stall_of_2100_slots", whole.ours);
    record("diffs/baseline_mean_of_a_stall_of_2100_slots", whole.linear);
    healthy.unwrap()
}

fn mean_bytes(finality: Finality, blocks: usize) -> MeanBytes {
    let bootstrap = anchor(LARGE, BEGIN, finality);
    let mut source = BlockSource::new(&bootstrap.state, finality);
    let at = |state: &State| Checkpoint { root: latest_block_root(state), slot: state.slot };
    let anchor = at(&bootstrap.state);
    let mut base = DiffBase::capture(anchor, anchor, 0, bootstrap.state);
    let (mut ours, mut linear) = (0, 0);
    for _ in 0..blocks {
        source.next_block();
        let target = Arc::new(source.state().clone());
        let diff = StateDiff::build(&base, &target).unwrap();
        ours += diff.encode().len();
        linear += LinearDiff::between(base.state(), &target).encode().len();
        base = DiffBase::capture(at(&target), anchor, diff.tally.number(), target);
    }
    MeanBytes { ours: ours as f64 / blocks as f64, linear: linear as f64 / blocks as f64 }
}
