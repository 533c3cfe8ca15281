//! `diff_encode` and `diff_apply`: a child's state against its parent's.

use std::{cell::LazyCell, sync::Arc};

use criterion::Criterion;
use lamella_benches::{BlockSource, Finality, LARGE, LONG, SHORT, anchor};
use lamella_state_diff::{DiffBase, StateDiff};
use lamella_types::{BlockHeader, Checkpoint, State, latest_block_root};

use crate::group::Group;

/// Slots without finality: none, an hour, four, twelve.
const CASES: [(&str, u64, Finality); 4] = [
    ("healthy", SHORT, Finality::Healthy),
    ("stalled_1h", LONG, Finality::Stalled(900)),
    ("stalled_4h", LONG, Finality::Stalled(3_600)),
    ("stalled_12h", LONG, Finality::Stalled(10_800)),
];

/// Blocks whose diffs are looked at: two cycles of a full tally and its deltas.
const BLOCKS: usize = 64;

/// A diff with all that it is made of and applied to.
#[derive(Clone)]
struct Sample {
    base: DiffBase,
    header: BlockHeader,
    target: Arc<State>,
    bytes: Vec<u8>,
}

impl Sample {
    fn encode(&self) -> Vec<u8> {
        StateDiff::build(&self.base, &self.target).unwrap().encode()
    }

    fn apply(&self) -> State {
        let diff = StateDiff::decode(&self.bytes, self.target.slot).unwrap();
        let base = self.base.state();
        let tally = diff.tally.apply(&base.justifications, diff.validator_count).unwrap();
        // The history is the store's to supply; here the target's own stands in for it.
        let history = self.target.historical_block_hashes.clone();
        diff.reconstruct(base, &self.header, history, tally).unwrap()
    }
}

/// Which block of a run: an ordinary one, or the one that writes its tally in full.
const KINDS: [&str; 2] = ["median", "largest"];

/// The diffs of a run of blocks.
struct Samples {
    /// As in `KINDS`.
    samples: [Sample; 2],
    sizes: String,
}

impl Samples {
    fn new(slot: u64, finality: Finality) -> Self {
        let bootstrap = anchor(LARGE, slot, finality);
        let mut source = BlockSource::new(&bootstrap.state, finality);
        let at = |state: &State| Checkpoint { root: latest_block_root(state), slot: state.slot };
        let anchor = at(&bootstrap.state);
        let mut base = DiffBase::capture(anchor, anchor, 0, bootstrap.state);
        let mut samples: Vec<Sample> = Vec::with_capacity(BLOCKS);
        for _ in 0..BLOCKS {
            let header = source.next_block().header();
            let target = Arc::new(source.state().clone());
            let diff = StateDiff::build(&base, &target).unwrap();
            let next =
                DiffBase::capture(at(&target), anchor, diff.tally.number(), Arc::clone(&target));
            samples.push(Sample { base, header, target, bytes: diff.encode() });
            base = next;
        }
        samples.sort_by_key(|sample| sample.bytes.len());
        let mean_bytes = samples.iter().map(|sample| sample.bytes.len()).sum::<usize>() / BLOCKS;
        let (median, full) = (samples[BLOCKS / 2].clone(), samples[BLOCKS - 1].clone());
        let sizes = format!(
            "mean {mean_bytes} B a block, median {} B, largest {} B, {} pending roots",
            median.bytes.len(),
            full.bytes.len(),
            full.target.justifications.roots().len(),
        );
        Self { samples: [median, full], sizes }
    }
}

pub fn diff_encode(c: &mut Criterion) {
    let mut group = Group::of(c, "diff_encode");
    for (name, slot, finality) in CASES {
        let samples = LazyCell::new(|| {
            let samples = Samples::new(slot, finality);
            eprintln!("diff_encode/V4096_{name}: {}", samples.sizes);
            samples
        });
        for (index, kind) in KINDS.into_iter().enumerate() {
            group.time(format!("V4096_{name}/{kind}"), |times, count| {
                let sample = &samples.samples[index];
                let check = |bytes: Vec<u8>| assert_eq!(bytes, sample.bytes);
                times.each(count, || (), |()| sample.encode(), check)
            });
        }
    }
    let state = LazyCell::new(|| anchor(LARGE, LONG, Finality::Healthy).state);
    let bytes = LazyCell::new(|| state.to_ssz().len());
    group.time("baseline_full_state/V4096_H261k", |times, count| {
        times.each(count, || (), |()| state.to_ssz(), |full| assert_eq!(full.len(), *bytes))
    });
}

pub fn diff_apply(c: &mut Criterion) {
    let mut group = Group::of(c, "diff_apply");
    for (name, slot, finality) in CASES {
        let samples = LazyCell::new(|| Samples::new(slot, finality));
        for (index, kind) in KINDS.into_iter().enumerate() {
            group.time(format!("V4096_{name}/{kind}"), |times, count| {
                let sample = &samples.samples[index];
                let check = |state: State| assert_eq!(state, *sample.target);
                times.each(count, || (), |()| sample.apply(), check)
            });
        }
    }
}
