//! How often a diff holds the whole tally: bytes a slot against the time of the slowest read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_benches::{BlockSource, Finality, LARGE, SHORT, anchor, figures::record};
use lamella_state_diff::{DiffBase, StateDiff, TallyDiff};
use lamella_types::{Checkpoint, Justifications, Slot, State, latest_block_root};

use crate::median_us;

/// Blocks from one full tally to the next; the last one lets an anchor's be the only one.
const INTERVALS: [usize; 5] = [8, 16, 32, 64, 1_024];

/// Blocks between two anchors.
const BLOCKS: usize = 1_023;

/// Slots since finality at the anchor.
const STALLS: [u64; 2] = [2_100, 10_800];

/// Replays measured.
const REPLAYS: usize = 15;

pub fn profile() {
    for stall in STALLS {
        let states = states(stall);
        for interval in INTERVALS {
            measure(stall, &states, interval);
        }
    }
}

fn states(stall: u64) -> Vec<Arc<State>> {
    let bootstrap = anchor(LARGE, 16 * SHORT, Finality::Stalled(stall));
    let mut source = BlockSource::new(&bootstrap.state, Finality::Stalled(stall));
    source.take_states(BLOCKS).into_iter().map(Arc::new).collect()
}

fn measure(stall: u64, states: &[Arc<State>], interval: usize) {
    let at = |state: &State| Checkpoint { root: latest_block_root(state), slot: state.slot };
    let validators = states[0].validators.len();
    // The diffs of the longest run of deltas so far, and the tally before it.
    let (mut run, mut before) = (Vec::new(), &states[0].justifications);
    let mut longest: (Vec<(Slot, Vec<u8>)>, Justifications) = (Vec::new(), before.clone());
    let mut total_bytes = 0;
    for pair in states.windows(2) {
        let (base, target) = (&pair[0], &pair[1]);
        let captured = DiffBase::capture(at(base), at(&states[0]), 0, Arc::clone(base));
        let built = StateDiff::build(&captured, target).unwrap();
        let diff = |tally| StateDiff { tally, ..built.clone() }.encode();
        // The number does not change the size.
        let delta = TallyDiff::delta(1, &base.justifications, &target.justifications, validators);
        let mut bytes = diff(delta);
        let full_due = run.len() + 1 >= interval;
        if full_due {
            bytes = diff(TallyDiff::full(&target.justifications, validators));
        }
        total_bytes += bytes.len();
        if full_due {
            run.clear();
            before = &target.justifications;
        } else {
            run.push((target.slot, bytes));
            if run.len() > longest.0.len() {
                longest = (run.clone(), before.clone());
            }
        }
    }
    let expected = &states[states.len() - 1].justifications;
    let times =
        (0..REPLAYS).map(|_| replay(&longest.0, &longest.1, validators, expected)).collect();
    let figure = |what: &str, value: f64| {
        record(&format!("profiles/tally/{stall}/{interval}/{what}"), value);
    };
    figure("bytes_per_slot", total_bytes as f64 / (states.len() - 1) as f64);
    figure("replay_us", median_us(times));
}

/// Decodes and applies a run of deltas, as a read does after it has fetched them.
fn replay(
    run: &[(Slot, Vec<u8>)],
    before: &Justifications,
    validators: usize,
    last: &Justifications,
) -> Duration {
    let started = Instant::now();
    let mut tally = before.clone();
    for (slot, bytes) in run {
        let diff = StateDiff::decode(bytes, *slot).unwrap();
        tally = diff.tally.apply(&tally, validators).unwrap();
    }
    let time = started.elapsed();
    assert!(tally.roots().len() <= last.roots().len(), "a tally of the run");
    time
}
