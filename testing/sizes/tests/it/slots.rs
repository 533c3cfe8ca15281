//! Bytes that a slot adds to each table at the largest registry, healthy and without finality.

use lamella_benches::{BenchChain, BlockSource, Finality, LARGE, SHORT, anchor};
use lamella_tables::Durability;
use lamella_testing_sizes::{DiskBytes, PerSlot};
use lamella_types::{MultiMessageAggregate, SignedBlock};

/// Slots after which a healthy chain holds as many live blocks as it ever will: an anchor interval and two steps.
const WARM_UP_SLOTS: usize = 1_100;

/// Slots of the stall that the project promises to bear.
const STALL_SLOTS: usize = 2_100;

/// Slots of two anchor intervals, so that anchors and segments count with their share.
const HEALTHY_SLOTS: usize = 2_048;

/// Blocks of one transaction.
const BATCH_BLOCKS: usize = 50;

/// Blocks without proofs, imported into a chain that began at `SHORT`.
struct Growing {
    chain: BenchChain,
    source: BlockSource,
}

impl Growing {
    fn begin(finality: Finality) -> Self {
        let bootstrap = anchor(LARGE, SHORT, finality);
        let source = BlockSource::new(&bootstrap.state, finality);
        Self { chain: BenchChain::begin(bootstrap, Durability::Lazy), source }
    }

    /// What this many blocks add.
    fn grow(&mut self, blocks: usize) -> PerSlot {
        let before = DiskBytes::of(self.chain.chain.database());
        let mut left = blocks;
        while left > 0 {
            let count = left.min(BATCH_BLOCKS);
            let proof = MultiMessageAggregate::default();
            let block = || SignedBlock { block: self.source.next_block(), proof: proof.clone() };
            let batch = std::iter::repeat_with(block).take(count).collect();
            self.chain.import_all(batch);
            left -= count;
        }
        DiskBytes::of(self.chain.chain.database()).per_slot_since(&before, blocks as u64)
    }
}

/// Holds each table to its limit, so that whatever grows is named.
fn check(what: &str, per_slot: &PerSlot, limits: &[(&str, f64)], total_max: f64) {
    println!("{what}, 4,096 validators:\n{per_slot}");
    for (table, bytes) in &per_slot.0 {
        let limit = limits.iter().find(|(name, _)| name == table).map_or(0.0, |(_, limit)| *limit);
        assert!(*bytes <= limit, "{what}: {table} takes {bytes:.1} B a slot, its limit is {limit}");
    }
    let total = per_slot.total();
    assert!(total <= total_max, "{what}: {total:.1} B a slot, the limit is {total_max}");
}

/// What each tree takes of a slot, with room for a page here and there. Some 60 bytes of a block are the row of its
/// empty proof.
#[test]
fn a_healthy_slot() {
    let mut chain = Growing::begin(Finality::Healthy);
    chain.grow(WARM_UP_SLOTS);
    let limits = [
        ("Anchors", 4.0),
        ("Blocks", 698.0),
        ("Canonical", 60.0),
        ("History", 37.0),
        ("Signatures", 60.0),
        ("Slots", 110.0),
        ("Votes", 2.0),
    ];
    check("healthy", &chain.grow(HEALTHY_SLOTS), &limits, 945.0);
}

/// The diffs of the stall are the row that tells: 1.2 KB a slot at most was promised, full tallies take 33.8.
/// Live blocks and votes are those that finality would have let go.
#[test]
fn a_slot_of_a_stall() {
    let limits = [
        ("Anchors", 45.0),
        ("Blocks", 1525.0),
        ("Canonical", 62.0),
        ("History", 37.0),
        ("Signatures", 62.0),
        ("Slots", 115.0),
        ("Votes", 220.0),
    ];
    let per_slot = Growing::begin(Finality::Stalled(1)).grow(STALL_SLOTS);
    check("stalled", &per_slot, &limits, 2_045.0);
}
