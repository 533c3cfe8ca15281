//! Twelve hours without finality: what grows meanwhile, what a start takes afterwards, and what is given back once finality
//! returns. With `-- --nocapture` it prints what docs/limits.md says.
//!
//! The chain is one without forks, in which too few vote; blocks go through the real import, aggregates through the pending
//! pool and the ticks of the clock, as in a node. Only the network and the wall clock are left out.

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use lamella::import::{BATCH_BLOCKS_MAX, Importer};
use lamella_benches::{BlockSource, Finality, LARGE, SHORT, anchor, directory::settings};
use lamella_chain::{Bootstrap, Chain, Identity, verify};
use lamella_fork_choice::limits::{KNOWN_DATA_MAX, POOL_PROOF_BYTES_MAX};
use lamella_tables::Durability;
use lamella_testing_sizes::DiskBytes;
use lamella_types::{
    AggregatedAttestation, MultiMessageAggregate, ProofBytes, SignedBlock, SingleMessageAggregate,
    limits::INTERVALS_PER_SLOT,
};
use lamella_xmss::scheme::{ProofScheme as _, Trust};
use tempfile::TempDir;

use crate::{ALLOCATOR, alone};

/// Twelve hours of slots of 4 s.
const STALL_SLOTS: usize = 10_800;

/// Slots after which a healthy chain holds as many live blocks as it ever will: an anchor interval and two steps.
const SETTLED_SLOTS: usize = 1_100;

/// Slots after a stall within which finality is back at the head, and the live tree as small as before.
const RECOVERY_SLOTS: usize = 400;

/// Live blocks of a healthy chain: the tree's lag, the step of its pruning, and what finality is behind.
const LIVE_BLOCKS_MAX: usize = 1_024 + 16;

/// Bytes of an aggregate's proof: enough for the pool to shed proofs for most of the stall.
const PROOF_BYTES: usize = 16 << 10;

/// Memory of a live block in fork choice: its node, and its place in an index that may be half empty.
const LIVE_BLOCK_BYTES_MAX: usize = 640;

/// Memory of a distinct vote without its proofs, at the largest registry.
const VOTE_BYTES_MAX: usize = 1_536;

/// Memory that is not given back: pools and tables keep some of the room that they had.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Bytes of all tables that a slot of the stall adds, at the largest registry: a third of them are votes.
const SLOT_BYTES_MAX: f64 = 3_000.0;

/// What the cache of states may hold beyond what it counts, in parts of a hundred: its own tables.
const CACHE_OVERHEAD_PERCENT: usize = 5;

/// A history segment in memory.
const SEGMENT_BYTES: usize = 34 << 10;

/// A node's chain, without network and wall clock.
struct Node {
    chain: Arc<Chain>,
    importer: Importer,
    identity: Identity,
    source: BlockSource,
    /// Slots that are lived through at once, since each commit copies the view: 1 as a node does, more as in catching up.
    slots_at_once: usize,
    directory: TempDir,
}

/// What there is at one time.
struct Seen {
    live_blocks: usize,
    votes: usize,
    /// Bytes of memory without caches of states.
    memory: usize,
    disk: DiskBytes,
}

impl Node {
    fn begin(validators: u64, slots_at_once: usize) -> Self {
        let bootstrap = anchor(validators, SHORT, Finality::Healthy);
        let source = BlockSource::new(&bootstrap.state, Finality::Healthy);
        let directory = tempfile::tempdir().unwrap();
        let chain = Self::create(&directory, bootstrap);
        let identity = chain.identity().clone();
        let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
        Self { chain, importer, identity, source, slots_at_once, directory }
    }

    fn create(directory: &TempDir, bootstrap: Bootstrap) -> Arc<Chain> {
        let settings = settings(Durability::Lazy);
        Arc::new(Chain::create(directory.path(), bootstrap, Trust.name(), settings).unwrap().0)
    }

    /// Lives through so many slots: blocks, their votes as aggregates, and the intervals that act on them.
    fn live(&mut self, slots: usize) {
        let mut left = slots;
        while left > 0 {
            let count = left.min(self.slots_at_once);
            let blocks: Vec<_> = (0..count).map(|_| self.source.next_block()).collect();
            let votes: Vec<_> =
                blocks.iter().flat_map(|block| block.attestations().to_vec()).collect();
            let signed = |block| SignedBlock { block, proof: MultiMessageAggregate::default() };
            let persisted = self.importer.import_batch(blocks.into_iter().map(signed).collect());
            assert_eq!(persisted.unwrap().unwrap().imported.len(), count);
            for AggregatedAttestation { aggregation_bits: participants, data } in votes {
                let proof = ProofBytes::new(vec![7; PROOF_BYTES]).unwrap();
                let proof = Arc::new(SingleMessageAggregate { participants, proof });
                self.chain.change_pools(|pools| pools.record_aggregate(&data, proof));
            }
            for phase in [3, 4] {
                let interval = self.source.state().slot * INTERVALS_PER_SLOT + phase;
                self.chain.tick_interval(interval, false, None).unwrap();
            }
            left -= count;
        }
    }

    /// Ends the node, and starts it again on its directory. The bytes that this took at its peak.
    fn restart(self) -> (Self, usize) {
        let Self { chain, importer, identity, source, slots_at_once, directory } = self;
        drop(importer);
        let before = chain.fork_choice();
        assert_eq!(Arc::strong_count(&chain), 1, "the database closes");
        drop(chain);
        let (head, live_blocks) = (before.head(), before.nodes().count());
        drop(before);
        ALLOCATOR.reset_peak_usage();
        let (usage, started) = (ALLOCATOR.current_usage(), Instant::now());
        let resumed = Chain::resume(directory.path(), &identity, settings(Durability::Lazy));
        let (chain, opened) = resumed.unwrap();
        println!("  a start over {live_blocks} live blocks takes {:?}", started.elapsed());
        assert!(!opened.recovered.is_something(), "{:?}", opened.recovered);
        assert_eq!((opened.fork_choice.head, opened.live_blocks), (head, live_blocks));
        let peak = ALLOCATOR.peak_usage() - usage;
        let chain = Arc::new(chain);
        let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
        (Self { chain, importer, identity, source, slots_at_once, directory }, peak)
    }

    fn look(&self, what: &str) -> Seen {
        let cached = self.chain.states().cache_stats();
        let held = ALLOCATOR.current_usage();
        self.chain.states().clear();
        let memory = ALLOCATOR.current_usage();
        // Symptom: the cache counted 67 MB of states, which took 86. Mechanism: a block's post-state kept the room in which its
        // history had grown, as much again. Fix: the transition gives it back.
        let counted = cached.state_bytes + cached.segments * SEGMENT_BYTES;
        let allowed = counted + counted * CACHE_OVERHEAD_PERCENT / 100;
        assert!(held - memory <= allowed, "{} B of caches that count {cached:?}", held - memory);
        let view = self.chain.fork_choice();
        let disk = DiskBytes::of(self.chain.database());
        let seen = Seen {
            live_blocks: view.nodes().count(),
            votes: view.known_pool().len(),
            memory,
            disk,
        };
        println!(
            "{what}: {} live blocks, {} votes with {} B of proofs, {} B of memory and {} B of caches, tables {} B",
            seen.live_blocks,
            seen.votes,
            view.known_pool().proof_bytes(),
            seen.memory,
            held - memory,
            seen.disk.live(),
        );
        assert!(seen.votes <= KNOWN_DATA_MAX, "{} votes", seen.votes);
        assert!(view.known_pool().proof_bytes() <= POOL_PROOF_BYTES_MAX);
        seen
    }

    fn finality_lag(&self) -> u64 {
        let view = self.chain.fork_choice();
        view.head_summary().slot - view.latest_finalized().slot
    }
}

fn bear(validators: u64, slots_at_once: usize) {
    let _alone = alone();
    println!("{validators} validators, {slots_at_once} slots at once");
    let mut node = Node::begin(validators, slots_at_once);
    node.live(SETTLED_SLOTS);
    let healthy = node.look("healthy");
    assert!(healthy.live_blocks <= LIVE_BLOCKS_MAX, "{} live blocks", healthy.live_blocks);

    let started = Instant::now();
    node.source.set_finality(Finality::Stalled(0));
    node.live(STALL_SLOTS);
    println!("  {STALL_SLOTS} slots in {:?}", started.elapsed());
    let stalled = node.look("after 12 h without finality");
    assert_eq!(
        stalled.live_blocks,
        healthy.live_blocks + STALL_SLOTS,
        "nothing of the tree is shed"
    );
    let grown = stalled.memory.saturating_sub(healthy.memory);
    let view_max = STALL_SLOTS * LIVE_BLOCK_BYTES_MAX + KNOWN_DATA_MAX * VOTE_BYTES_MAX;
    let grown_max = view_max + POOL_PROOF_BYTES_MAX;
    println!("  {grown} B of memory more, {grown_max} allowed");
    assert!(grown <= grown_max, "{grown} B of memory more, {grown_max} allowed");
    let per_slot = stalled.disk.per_slot_since(&healthy.disk, STALL_SLOTS as u64);
    println!("{per_slot}");
    assert!(per_slot.total() <= SLOT_BYTES_MAX, "{per_slot}");

    let (mut node, peak) = node.restart();
    println!("  and {peak} B at its peak");
    assert!(peak <= 2 * view_max, "a start takes {peak} B, twice {view_max} allowed");

    node.source.set_finality(Finality::Healthy);
    // Each commit gives a bounded number of live blocks back.
    node.slots_at_once = 1;
    node.live(RECOVERY_SLOTS);
    assert_eq!(node.finality_lag(), 2, "finality is back");
    let back = node.look("400 slots after finality returned");
    assert!(back.live_blocks <= LIVE_BLOCKS_MAX, "{} live blocks", back.live_blocks);
    let kept = back.memory.saturating_sub(healthy.memory);
    assert!(kept <= KEPT_BYTES_MAX, "{kept} B of memory are not given back");
    let report = verify(node.chain.database(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.findings, []);
    drop(node.directory);
}

#[test]
fn twelve_hours_without_finality_are_borne_and_given_back() {
    bear(64, BATCH_BLOCKS_MAX);
}

/// Slot by slot as a node lives them, so not with the others but in `make torture`.
#[test]
#[ignore = "a minute and more"]
fn twelve_hours_without_finality_are_borne_at_the_largest_registry() {
    bear(LARGE, 1);
}
