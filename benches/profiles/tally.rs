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

/// Deltas since a full tally, and that tally.
struct Run {
    before: Justifications,
    deltas: Vec<(Slot, Vec<u8>)>,
    /// The tally that they lead to.
    after: Justifications,
}

fn measure(stall: u64, states: &[Arc<State>], interval: usize) {
    let at = |state: &State| Checkpoint { root: latest_block_root(state), slot: state.slot };
    let validators = states[0].validators.len();
    let begin = |tally: &Justifications| Run {
        before: tally.clone(),
        deltas: Vec::new(),
        after: tally.clone(),
    };
    let mut runs = vec![begin(&states[0].justifications)];
    let mut total_bytes = 0;
    for (number, pair) in states.windows(2).enumerate() {
        let (base, target) = (&pair[0], &pair[1]);
        let tally = &target.justifications;
        let captured = DiffBase::capture(at(base), at(&states[0]), 0, Arc::clone(base));
        let built = StateDiff::build(&captured, target).unwrap();
        let diff = |tally| StateDiff { tally, ..built.clone() }.encode();
        let bytes = if (number + 1).is_multiple_of(interval) {
            runs.push(begin(tally));
            diff(TallyDiff::full(tally, validators))
        } else {
            // The number does not change the size.
            diff(TallyDiff::delta(1, &base.justifications, tally, validators))
        };
        total_bytes += bytes.len();
        if let Some(run) = runs.last_mut() {
            if !(number + 1).is_multiple_of(interval) {
                run.deltas.push((target.slot, bytes));
            }
            run.after = tally.clone();
        }
    }
    let slowest =
        runs.iter().map(|run| median_us((0..REPLAYS).map(|_| replay(run, validators)).collect()));
    let figure = |what: &str, value: f64| {
        record(&format!("profiles/tally/{stall}/{interval}/{what}"), value);
    };
    figure("bytes_per_slot", total_bytes as f64 / (states.len() - 1) as f64);
    figure("replay_us", slowest.fold(0.0, f64::max));
}

/// Decodes and applies a run of deltas, as a read does after it has fetched them.
fn replay(run: &Run, validators: usize) -> Duration {
    let started = Instant::now();
    let mut tally = run.before.clone();
    for (slot, bytes) in &run.deltas {
        let diff = StateDiff::decode(bytes, *slot).unwrap();
        tally = diff.tally.apply(&tally, validators).unwrap();
    }
    let time = started.elapsed();
    assert_eq!(tally, run.after);
    time
}
