//! `import_block` and `import_batch`: proof and transition checked, written, committed, published.

use std::{sync::Arc, time::Duration};

use criterion::Criterion;
use lamella::import::{BATCH_BLOCKS_MAX, Imported};
use lamella_benches::{
    BenchChain, BlockSource, Finality, LARGE, LONG, LinearStore, Random, SHORT, SMALL, Stopwatch,
    Times, anchor,
    bare::{BareFile, written_bytes},
    directory, figures,
    signed::{SCHEME, SignedChain},
};
use lamella_chain::{Bootstrap, Settings};
use lamella_tables::{
    Durability::{self, Durable, Lazy},
    Read as _, TableStats,
};
use lamella_types::{SignedBlock, hash_tree_root, latest_block_root};
use lamella_xmss::scheme::Trust;

use crate::{full_state::FullStates, group::Group, parts::Parts};

/// Slots whose proofs are kept: few, so that each import prunes one, as it does on every chain older than a day.
const SIGNATURE_WINDOW_SLOTS: u64 = 512;

/// Blocks of a chain before it is begun anew.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Imported before the first that is timed, in whole batches.
    pub before: usize,
    /// Timed.
    pub timed: usize,
}

/// As a node goes on for ever: each import drops a live block and a proof, and two in 2,048 are anchors.
const STEADY: Span = Span { before: 17 * BATCH_BLOCKS_MAX, timed: 2_048 };

/// Slot at which a long chain begins that leaves room for it.
const LONG_BEGIN: u64 = LONG - 2_048;

/// A chain that blocks are imported into, and the source of its next blocks.
pub struct Import {
    bootstrap: Bootstrap,
    finality: Finality,
    durability: Durability,
    span: Span,
    source: BlockSource,
    chain: BenchChain,
    pub parts: Parts,
}

impl Import {
    pub fn new(
        validators: u64,
        slot: u64,
        finality: Finality,
        durability: Durability,
        span: Span,
    ) -> Self {
        let bootstrap = anchor(validators, slot, finality);
        let (source, chain) = begin(&bootstrap, finality, durability, span);
        let parts = Parts::default();
        Self { bootstrap, finality, durability, span, source, chain, parts }
    }

    /// Begins a new chain if this one has no room for so many blocks.
    fn make_room(&mut self, count: usize) {
        let end = self.bootstrap.state.slot + (self.span.before + self.span.timed) as u64;
        if self.source.state().slot + count as u64 > end {
            (self.source, self.chain) =
                begin(&self.bootstrap, self.finality, self.durability, self.span);
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

    /// Imports blocks one by one, a commit for each.
    pub fn blocks(&mut self, times: &mut Times, count: u64) -> Duration {
        (0..count).map(|_| self.block(times)).sum()
    }

    fn block(&mut self, times: &mut Times) -> Duration {
        self.make_room(1);
        let block = self.source.next_signed();
        let (root, slot) = (hash_tree_root(&block.block), block.block.slot);
        let commits = self.commits();
        let watch = Stopwatch::start();
        let imported = self.chain.importer.import(block).unwrap();
        let spent = watch.stop();
        let Imported::New(new) = imported else { panic!("a block that is known already") };
        assert_eq!(new.root, root);
        self.parts.add(slot, &new, spent.clock);
        assert_eq!(self.chain.chain.fork_choice().head(), root, "the new head");
        assert_eq!(self.commits(), commits + 1, "one commit for a block");
        times.add(spent)
    }

    /// Imports blocks in the largest transactions that catch-up uses.
    fn batches(&mut self, times: &mut Times, count: u64) -> Duration {
        let batch = |_| {
            self.make_room(BATCH_BLOCKS_MAX);
            import_batch_of(&self.chain, self.source.take(BATCH_BLOCKS_MAX), times)
        };
        (0..count).map(batch).sum()
    }
}

/// A new chain, imported up to where times count.
fn begin(
    bootstrap: &Bootstrap,
    finality: Finality,
    durability: Durability,
    span: Span,
) -> (BlockSource, BenchChain) {
    let settings = Settings {
        signature_window_slots: SIGNATURE_WINDOW_SLOTS,
        ..directory::settings(durability)
    };
    let mut source = BlockSource::new(&bootstrap.state, finality);
    let chain = BenchChain::begin_with(bootstrap.clone(), Arc::new(Trust), settings);
    for _ in 0..span.before / BATCH_BLOCKS_MAX {
        chain.import_all(source.take(BATCH_BLOCKS_MAX));
    }
    (source, chain)
}

fn import_batch_of(chain: &BenchChain, blocks: Vec<SignedBlock>, times: &mut Times) -> Duration {
    let (count, last) = (blocks.len(), hash_tree_root(&blocks[blocks.len() - 1].block));
    let watch = Stopwatch::start();
    let persisted = chain.importer.import_batch(blocks).unwrap().unwrap();
    let spent = watch.stop();
    assert_eq!(persisted.imported.len(), count);
    assert_eq!(chain.chain.fork_choice().head(), last, "the new head");
    times.add(spent)
}

/// Durable imports, each followed by its baseline: the bytes that it wrote, written and flushed by the system alone.
/// In turn, because a disk's flushes take one time now and another time a minute later.
struct DurablePairs {
    import: Import,
    bare: BareFile,
    bytes: Vec<u8>,
    /// Baselines.
    bare_times: Times,
}

impl DurablePairs {
    fn new(name: &str, validators: u64, slot: u64) -> Self {
        let import = Import::new(validators, slot, Finality::Healthy, Durable, STEADY);
        let bare_times = Times::new(format!("import_block/durable_baseline_bare_write/{name}"));
        let bytes = Random::new(9).bytes(WRITTEN_BYTES_MAX);
        Self { import, bare: BareFile::default(), bytes, bare_times }
    }

    fn pair(&mut self, times: &mut Times) -> Duration {
        // A new chain would be counted with the block; nothing else writes.
        self.import.make_room(1);
        let before = written_bytes().unwrap_or(0);
        let import = self.import.block(times);
        let written = usize::try_from(written_bytes().unwrap_or(0) - before).unwrap();
        let watch = Stopwatch::start();
        self.bare.commit(&self.bytes[..written]);
        self.bare_times.add(watch.stop());
        import
    }
}

/// Most that one import writes: proof, anchor with a segment, the pages on the way to them.
const WRITTEN_BYTES_MAX: usize = 8 << 20;

fn import_durable(group: &mut Group<'_>) {
    for (name, validators, slot) in [("V8_H1k", SMALL, SHORT), ("V4096_H261k", LARGE, LONG_BEGIN)] {
        let mut pairs: Option<DurablePairs> = None;
        group.time(format!("durable/{name}"), |times, count| {
            let pairs = pairs.get_or_insert_with(|| DurablePairs::new(name, validators, slot));
            (0..count).map(|_| pairs.pair(times)).sum()
        });
        if let Some(pairs) = pairs {
            let blocks = pairs.import.parts.record(&format!("durable/{name}"));
            pairs.bare_times.record();
            let bytes_mean = pairs.bare.written() as f64 / blocks as f64;
            figures::record(&format!("import_block/durable/{name}/written_bytes"), bytes_mean);
        }
    }
}

/// Twelve hours without finality, at 4 s a slot; three more pass while blocks are imported.
const STALL: Finality = Finality::Stalled(10_800);

const CASES: [(&str, u64, u64, Finality, Durability); 4] = [
    ("lazy/V8_H1k", SMALL, SHORT, Finality::Healthy, Lazy),
    ("lazy/V4096_H1k", LARGE, SHORT, Finality::Healthy, Lazy),
    ("lazy/V4096_H261k", LARGE, LONG_BEGIN, Finality::Healthy, Lazy),
    ("lazy/V4096_H261k_stalled_12h", LARGE, LONG_BEGIN, STALL, Lazy),
];

pub fn import_block(c: &mut Criterion) {
    let mut group = Group::of(c, "import_block");
    group.throughput(1);
    for (name, validators, slot, finality, durability) in CASES {
        let mut import = None;
        group.time(name, |times, count| {
            let begin = || Import::new(validators, slot, finality, durability, STEADY);
            import.get_or_insert_with(begin).blocks(times, count)
        });
        if let Some(import) = import {
            import.parts.record(name);
        }
    }
    import_durable(&mut group);
    import_signed(&mut group);
    baseline_linear(&mut group);
    baseline_full_state(&mut group);
}

/// Blocks whose signatures are made once, and imported into one chain after the other.
struct Signed {
    blocks: SignedChain,
    chain: Option<BenchChain>,
    next: usize,
}

/// Blocks that are signed: two batches, and some seconds of signing.
const SIGNED_BLOCKS: usize = 2 * BATCH_BLOCKS_MAX;

impl Signed {
    fn new() -> Self {
        Self { blocks: SignedChain::of(SMALL, SIGNED_BLOCKS), chain: None, next: 0 }
    }

    /// The next blocks and the chain that they go into.
    fn take(&mut self, count: usize, durability: Durability) -> (&BenchChain, Vec<SignedBlock>) {
        if self.next + count > SIGNED_BLOCKS {
            (self.chain, self.next) = (None, 0);
        }
        let bootstrap = &self.blocks.bootstrap;
        let chain = self.chain.get_or_insert_with(|| {
            let settings = directory::settings(durability);
            BenchChain::begin_with(bootstrap.clone(), Arc::new(SCHEME), settings)
        });
        let blocks = self.blocks.blocks[self.next..self.next + count].to_vec();
        self.next += count;
        (chain, blocks)
    }
}

/// The same with every signature checked.
fn import_signed(group: &mut Group<'_>) {
    let mut signed = None;
    group.time("lazy/V8_signed", |times, count| {
        let signed = signed.get_or_insert_with(Signed::new);
        let import = |_| {
            let (chain, blocks) = signed.take(1, Lazy);
            import_batch_of(chain, blocks, times)
        };
        (0..count).map(import).sum()
    });
}

/// A store of snapshots and diffs that are walked: transition and root as ours, then its rows; a proof of the same size.
fn baseline_linear(group: &mut Group<'_>) {
    let mut linear = None;
    group.time("baseline_linear/V4096_H261k", |times, count| {
        let begin = || {
            let state = anchor(LARGE, LONG_BEGIN, Finality::Healthy).state;
            (LinearStore::default(), BlockSource::new(&state, Finality::Healthy))
        };
        let mut import = |_| {
            let (store, source) = linear.get_or_insert_with(begin);
            let parent = source.state().clone();
            let block = source.next_signed();
            let watch = Stopwatch::start();
            let state = store.import(&parent, &block);
            let spent = watch.stop();
            assert_eq!(state, *source.state());
            // One snapshot in as many blocks.
            if state.slot == LONG_BEGIN + 1_024 {
                linear = None;
            }
            times.add(spent)
        };
        (0..count).map(&mut import).sum()
    });
}

/// The write of a full state alone, without transition, block or fork choice.
fn baseline_full_state(group: &mut Group<'_>) {
    let begin = || {
        let state = anchor(LARGE, LONG, Finality::Healthy).state;
        BlockSource::new(&state, Finality::Healthy)
    };
    let mut full = None;
    group.samples(10).time("baseline_full_state_write/V4096_H261k", |times, count| {
        let (source, states) = full.get_or_insert_with(|| (begin(), FullStates::begin()));
        let write = |_| {
            if source.state().slot >= LONG + 2_000 {
                *source = begin();
            }
            let block = source.next_block();
            let root = latest_block_root(source.state());
            states.make_room();
            let watch = Stopwatch::start();
            states.write(root, source.state());
            let spent = watch.stop();
            assert_eq!(states.read(block.slot, root, &block.state_root, 1), *source.state());
            times.add(spent)
        };
        (0..count).map(write).sum()
    });
}

pub fn import_batch(c: &mut Criterion) {
    let mut group = Group::of(c, "import_batch");
    group.samples(10).throughput(BATCH_BLOCKS_MAX as u64);
    for (name, validators, slot, durability) in [
        ("lazy/V8_H1k", SMALL, SHORT, Lazy),
        ("lazy/V4096_H261k", LARGE, LONG_BEGIN, Lazy),
        ("durable/V8_H1k", SMALL, SHORT, Durable),
        ("durable/V4096_H261k", LARGE, LONG_BEGIN, Durable),
    ] {
        let mut import = None;
        group.time(name, |times, count| {
            let begin = || Import::new(validators, slot, Finality::Healthy, durability, STEADY);
            import.get_or_insert_with(begin).batches(times, count)
        });
        if let Some(import) = import {
            import.report_bytes(name);
        }
    }
    let mut signed = None;
    group.time("durable/V8_signed", |times, count| {
        let signed = signed.get_or_insert_with(Signed::new);
        let import = |_| {
            let (chain, blocks) = signed.take(BATCH_BLOCKS_MAX, Durable);
            import_batch_of(chain, blocks, times)
        };
        (0..count).map(import).sum()
    });
    // What a peer's repetition costs.
    let mut known = None;
    group.time("known_blocks/V4096_H261k", |times, count| {
        let (chain, blocks) = known.get_or_insert_with(|| {
            let bootstrap = anchor(LARGE, LONG, Finality::Healthy);
            let blocks =
                BlockSource::new(&bootstrap.state, Finality::Healthy).take(BATCH_BLOCKS_MAX);
            (BenchChain::grown(bootstrap, blocks.clone()), blocks)
        });
        let import = |blocks| chain.importer.import_batch(blocks).unwrap();
        times.each(count, || blocks.clone(), import, |imported| assert!(imported.is_none()))
    });
}
