//! What an import's time is made of, and what makes the slow ones.

use std::time::Duration;

use lamella::import::NewBlock;
use lamella_benches::{
    figures,
    timing::{Spread, micros},
};
use lamella_chain::Timings;
use lamella_state_store::ANCHOR_INTERVAL_SLOTS;

/// A block that is written and committed in more than this many times the median is a slow one: of a database without
/// flushes, one that flushed after all, in the middle of its writing, because no page was left to reuse that the disk
/// does not need.
const SLOW_FACTOR: u32 = 4;

const NAMES: [&str; 4] = ["transition", "fork_choice", "write", "commit"];

/// The blocks of a benchmark.
#[derive(Default)]
pub struct Parts {
    blocks: Vec<Block>,
}

struct Block {
    whole: Duration,
    /// As in `NAMES`.
    parts: [Duration; 4],
    is_anchor: bool,
    pruned: bool,
}

impl Parts {
    /// Adds a block of a chain that has one in every slot.
    pub fn add(&mut self, slot: u64, block: &NewBlock, whole: Duration) {
        let Timings { fork_choice, write, commit } = block.persisted.timings;
        let step = block.persisted.pruned_signatures.as_ref().unwrap();
        self.blocks.push(Block {
            whole,
            parts: [block.effort.proof + block.effort.transition, fork_choice, write, commit],
            is_anchor: slot.is_multiple_of(ANCHOR_INTERVAL_SLOTS),
            pruned: step.deleted > 0 && block.persisted.pruned_nodes > 0,
        });
    }

    /// Leaves the figures of `import_block/NAME` and returns the number of blocks.
    pub fn record(&self, name: &str) -> usize {
        let Some(worst) = self.blocks.iter().max_by_key(|block| block.whole) else { return 0 };
        let figure = |what: &str, value: f64| {
            figures::record(&format!("import_block/{name}/{what}"), value);
        };
        figure("count", self.blocks.len() as f64);
        for (index, part) in NAMES.into_iter().enumerate() {
            let spread = Spread::of(self.blocks.iter().map(|block| block.parts[index]).collect());
            figure(&format!("{part}_median_us"), micros(spread.median));
            figure(&format!("{part}_mean_us"), micros(spread.mean));
            figure(&format!("worst_{part}_us"), micros(worst.parts[index]));
        }
        figure("worst_is_anchor", f64::from(u8::from(worst.is_anchor)));
        let stored = |block: &Block| block.parts[2] + block.parts[3];
        let median = Spread::of(self.blocks.iter().map(stored).collect()).median;
        let kind = |kind: &str, is: &dyn Fn(&Block) -> bool| {
            let times: Vec<_> =
                self.blocks.iter().filter(|block| is(block)).map(|block| block.whole).collect();
            figure(&format!("{kind}_count"), times.len() as f64);
            figure(&format!("{kind}_mean_us"), micros(Spread::of(times).mean));
        };
        kind("anchor", &|block| block.is_anchor);
        kind("pruning", &|block| block.pruned);
        kind("slow", &|block| !block.is_anchor && stored(block) > median * SLOW_FACTOR);
        self.blocks.len()
    }
}
