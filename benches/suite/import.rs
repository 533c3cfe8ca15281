//! `import_block` and `import_batch`: proof and transition checked, written, committed, published.

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use lamella::import::{BATCH_BLOCKS_MAX, Imported, NewBlock};
use lamella_benches::{
    BenchChain, BlockSource, Finality, LARGE, LONG, Random, SHORT, SMALL, anchor,
    bare::{BareFile, written_bytes},
    figures, timed,
    timing::total_of_median,
};
use lamella_chain::{Bootstrap, Timings};
use lamella_tables::{
    Durability::{self, Durable, Lazy},
    Read as _, TableStats,
};
use lamella_types::{SignedBlock, hash_tree_root, latest_block_root};

use crate::full_state::FullStates;

/// Blocks after which a chain is begun anew: short of the slot limit, past an anchor.
const BLOCKS_MAX: u64 = 2_000;

/// A chain that blocks are imported into, and the source of its next blocks.
pub struct Import {
    bootstrap: Bootstrap,
    finality: Finality,
    durability: Durability,
    source: BlockSource,
    chain: BenchChain,
    parts: Parts,
    /// Blocks after which the chain is begun anew.
    pub blocks_max: u64,
}

/// Where the time of the blocks went. The median beside the mean: a database without flushes still makes one now and
/// then, when it has no page left to reuse that the disk does not need.
#[derive(Default)]
struct Parts {
    /// Transition, fork choice, write, commit of each block.
    blocks: Vec<[Duration; 4]>,
}

impl Parts {
    fn add(&mut self, block: &NewBlock) {
        let Timings { fork_choice, write, commit } = block.persisted.timings;
        self.blocks.push([block.transition, fork_choice, write, commit]);
    }

    /// Median of the blocks' times.
    fn median(&self) -> Option<Duration> {
        let mut times: Vec<Duration> = self.blocks.iter().map(|parts| parts.iter().sum()).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    /// Median microseconds of the commits, flushes included.
    fn commit_us(&self) -> f64 {
        let mut times: Vec<Duration> = self.blocks.iter().map(|parts| parts[3]).collect();
        times.sort_unstable();
        times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }

    fn report(&self, name: &str) {
        let count = self.blocks.len().max(1);
        let summary = |mut times: Vec<Duration>| {
            times.sort_unstable();
            let mean = times.iter().sum::<Duration>().as_micros() / count as u128;
            let median = times.get(count / 2).map_or(0, Duration::as_micros);
            format!("{mean}/{median}")
        };
        let part = |index: usize| summary(self.blocks.iter().map(|parts| parts[index]).collect());
        let whole = summary(self.blocks.iter().map(|parts| parts.iter().sum()).collect());
        let [transition, fork_choice, write, commit] = [0, 1, 2, 3].map(part);
        if let Some(median) = self.median() {
            let median_us = median.as_secs_f64() * 1e6;
            figures::record(&format!("import_block/{name}/median_us"), median_us);
            figures::record(&format!("import_block/{name}/commit_us"), self.commit_us());
        }
        eprintln!(
            "import_block/{name}, µs mean/median of {count} blocks: {whole} = {transition} transition + {fork_choice} fork choice + {write} write + {commit} commit"
        );
    }
}

impl Import {
    pub fn new(validators: u64, slot: u64, finality: Finality, durability: Durability) -> Self {
        let bootstrap = anchor(validators, slot, finality);
        let source = BlockSource::new(&bootstrap.state, finality);
        let chain = BenchChain::begin(bootstrap.clone(), durability);
        let (parts, blocks_max) = (Parts::default(), BLOCKS_MAX);
        let mut import = Self { bootstrap, finality, durability, source, chain, parts, blocks_max };
        let blocks = import.next_blocks(BATCH_BLOCKS_MAX);
        import.chain.import_all(blocks);
        import
    }

    /// The next blocks; of a new chain if this one has no room for them.
    fn next_blocks(&mut self, count: usize) -> Vec<SignedBlock> {
        self.make_room(count);
        self.source.take(count)
    }

    /// Begins a new chain if this one has no room for so many blocks.
    fn make_room(&mut self, count: usize) {
        let first_slot = self.bootstrap.state.slot;
        if self.source.state().slot + count as u64 > first_slot + self.blocks_max {
            self.source = BlockSource::new(&self.bootstrap.state, self.finality);
            self.chain = BenchChain::begin(self.bootstrap.clone(), self.durability);
        }
    }

    fn commits(&self) -> u64 {
        self.chain.chain.database().stats().unwrap().last_transaction
    }

    /// Bytes of the pages that a block fills, but for its proof and what is written once in a thousand blocks.
    fn report_bytes(&self, name: &str) {
        let state = self.source.state();
        let blocks = state.slot - self.bootstrap.state.slot;
        let tables = self.chain.chain.read().unwrap().table_stats().unwrap();
        let grows = |table: &&TableStats| {
            !["Signatures", "Anchors", "History", "Registries"].contains(&table.name)
        };
        let bytes: u64 = tables.iter().filter(grows).map(|table| table.bytes).sum();
        eprintln!(
            "import_batch/{name}: {} B of pages a block without proofs, {blocks} blocks; its full state has {} B",
            bytes / blocks,
            state.to_ssz().len()
        );
    }

    /// Imports blocks one by one, a commit for each. The median block counts: a database without flushes still makes one
    /// now and then.
    pub fn blocks(&mut self, count: u64) -> Duration {
        let mut times = Vec::new();
        for _ in 0..count {
            let block = self.next_blocks(1).remove(0);
            let root = hash_tree_root(&block.block);
            let commits = self.commits();
            let started = Instant::now();
            let imported = self.chain.importer.import(block).unwrap();
            times.push(started.elapsed());
            let Imported::New(new) = imported else { panic!("a block that is known already") };
            assert_eq!(new.root, root);
            self.parts.add(&new);
            assert_eq!(self.chain.chain.fork_choice().head(), root, "the new head");
            assert_eq!(self.commits(), commits + 1, "one commit for a block");
        }
        total_of_median(times)
    }

    /// Imports blocks in the largest transactions that catch-up uses.
    fn batches(&mut self, count: u64) -> Duration {
        let mut times = Vec::new();
        for _ in 0..count {
            let blocks = self.next_blocks(BATCH_BLOCKS_MAX);
            let last = hash_tree_root(&blocks[BATCH_BLOCKS_MAX - 1].block);
            let commits = self.commits();
            let started = Instant::now();
            let persisted = self.chain.importer.import_batch(blocks).unwrap().unwrap();
            times.push(started.elapsed());
            assert_eq!(persisted.imported.len(), BATCH_BLOCKS_MAX);
            assert_eq!(self.chain.chain.fork_choice().head(), last, "the new head");
            assert_eq!(self.commits(), commits + 1, "one commit for a batch");
        }
        total_of_median(times)
    }
}

/// Durable imports, each followed by its baseline: the bytes that it wrote, written and flushed by the system alone.
/// In turn, because a disk's flushes take one time now and another time a minute later.
struct DurablePairs {
    import: Import,
    bare: BareFile,
    bytes: Vec<u8>,
    pairs: Vec<[Duration; 2]>,
}

impl DurablePairs {
    fn new(validators: u64, slot: u64) -> Self {
        let import = Import::new(validators, slot, Finality::Healthy, Durable);
        let bytes = Random::new(9).bytes(4 << 20);
        Self { import, bare: BareFile::default(), bytes, pairs: Vec::new() }
    }

    /// Time of `count` imports and of `count` baselines.
    fn run(&mut self, count: u64) -> [Duration; 2] {
        let first = self.pairs.len();
        for _ in 0..count {
            // A new chain would be counted with the block; nothing else writes.
            self.import.make_room(1);
            let before = written_bytes().unwrap_or(0);
            let import = self.import.blocks(1);
            let written = written_bytes().unwrap_or(0) - before;
            let written = usize::try_from(written).unwrap();
            let started = Instant::now();
            self.bare.commit(&self.bytes[..written]);
            let bare = started.elapsed();
            self.pairs.push([import, bare]);
        }
        [0, 1].map(|index| {
            total_of_median(self.pairs[first..].iter().map(|pair| pair[index]).collect())
        })
    }

    fn record(&self, name: &str) {
        if self.pairs.is_empty() {
            return;
        }
        let median = |index: usize| {
            let mut times: Vec<_> = self.pairs.iter().map(|pair| pair[index]).collect();
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        };
        let bytes_mean = self.bare.written() as f64 / self.pairs.len() as f64;
        figures::record(&format!("import_block/durable/{name}/written_bytes"), bytes_mean);
        figures::record(&format!("import_block/durable/{name}/bare_us"), median(1) * 1e6);
        let ratio = median(0) / median(1);
        figures::record(&format!("import_block/durable/{name}/ratio_to_bare_write"), ratio);
    }
}

fn import_durable(group: &mut BenchmarkGroup<'_, WallTime>) {
    for (name, validators, slot) in [("V8_H1k", SMALL, SHORT), ("V4096_H261k", LARGE, LONG)] {
        let mut pairs: Option<DurablePairs> = None;
        for (index, what) in ["durable", "durable_baseline_bare_write"].into_iter().enumerate() {
            group.bench_function(format!("{what}/{name}"), |b| {
                let pairs = pairs.get_or_insert_with(|| DurablePairs::new(validators, slot));
                b.iter_custom(|count| pairs.run(count)[index]);
            });
        }
        if let Some(pairs) = pairs {
            pairs.import.parts.report(&format!("durable/{name}"));
            pairs.record(name);
        }
    }
}

/// Twelve hours without finality, at 4 s a slot.
const STALL: Finality = Finality::Stalled(10_800);

const CASES: [(&str, u64, u64, Finality, Durability); 4] = [
    ("lazy/V8_H1k", SMALL, SHORT, Finality::Healthy, Lazy),
    ("lazy/V4096_H1k", LARGE, SHORT, Finality::Healthy, Lazy),
    ("lazy/V4096_H261k", LARGE, LONG, Finality::Healthy, Lazy),
    ("lazy/V4096_H261k_stalled_12h", LARGE, LONG, STALL, Lazy),
];

pub fn import_block(c: &mut Criterion) {
    let mut group = c.benchmark_group("import_block");
    group.throughput(Throughput::Elements(1));
    for (name, validators, slot, finality, durability) in CASES {
        let mut import = None;
        group.bench_function(name, |b| {
            let import =
                import.get_or_insert_with(|| Import::new(validators, slot, finality, durability));
            b.iter_custom(|count| import.blocks(count));
        });
        if let Some(import) = import {
            import.parts.report(name);
        }
    }
    import_durable(&mut group);
    // The write alone, without transition, block or fork choice.
    let mut full = None;
    group.sample_size(10);
    group.bench_function("baseline_full_state_write/V4096_H261k", |b| {
        let (source, states) = full.get_or_insert_with(|| {
            let state = anchor(LARGE, LONG, Finality::Healthy).state;
            (BlockSource::new(&state, Finality::Healthy), FullStates::begin())
        });
        let first_slot = LONG;
        b.iter_custom(|count| {
            let mut total = Duration::ZERO;
            for _ in 0..count {
                if source.state().slot >= first_slot + BLOCKS_MAX {
                    let state = anchor(LARGE, LONG, Finality::Healthy).state;
                    *source = BlockSource::new(&state, Finality::Healthy);
                }
                let block = source.next_block();
                let root = latest_block_root(source.state());
                states.make_room();
                let started = Instant::now();
                states.write(root, source.state());
                total += started.elapsed();
                assert_eq!(states.read(block.slot, root, &block.state_root), *source.state());
            }
            total
        });
    });
    group.finish();
}

pub fn import_batch(c: &mut Criterion) {
    let mut group = c.benchmark_group("import_batch");
    group.throughput(Throughput::Elements(BATCH_BLOCKS_MAX as u64));
    group.sample_size(10);
    for (name, validators, slot, durability) in [
        ("lazy/V8_H1k", SMALL, SHORT, Lazy),
        ("lazy/V4096_H261k", LARGE, LONG, Lazy),
        ("durable/V8_H1k", SMALL, SHORT, Durable),
        ("durable/V4096_H261k", LARGE, LONG, Durable),
    ] {
        let mut import = None;
        group.bench_function(name, |b| {
            let import = import.get_or_insert_with(|| {
                Import::new(validators, slot, Finality::Healthy, durability)
            });
            b.iter_custom(|count| import.batches(count));
        });
        if let Some(import) = import {
            import.report_bytes(name);
        }
    }
    // What a peer's repetition costs.
    let mut known = None;
    group.bench_function("known_blocks/V4096_H261k", |b| {
        let (chain, blocks) = known.get_or_insert_with(|| {
            let bootstrap = anchor(LARGE, LONG, Finality::Healthy);
            let blocks =
                BlockSource::new(&bootstrap.state, Finality::Healthy).take(BATCH_BLOCKS_MAX);
            (BenchChain::grown(bootstrap, blocks.clone()), blocks)
        });
        b.iter_custom(|count| {
            let import = |blocks| chain.importer.import_batch(blocks).unwrap();
            timed(count, || blocks.clone(), import, |imported| assert!(imported.is_none()))
        });
    });
    group.finish();
}
