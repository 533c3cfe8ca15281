//! The longest chain, some 260,000 blocks, once through everything that is done with history: imported, exported while it
//! grows on, restored. Each is done once, so what is told is one time by the clock.
//! `cargo bench -p lamella-benches --bench whole`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "figures far below 2^52")]

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use lamella::import::BATCH_BLOCKS_MAX;
use lamella_benches::{BenchChain, BlockSource, Finality, SMALL, figures::record, registry};
use lamella_chain::{Bootstrap, Progress};
use lamella_shipping::{
    archiver::{Known, ship},
    remote::Remote,
    restorer::{Restore, Target},
    seal::Shipped,
    store::{Access, Store},
};
use lamella_tables::Durability;
use lamella_types::{
    genesis_state,
    limits::{HISTORICAL_ROOTS_LIMIT, SLOT_MS},
};
use lamella_xmss::scheme::{ProofScheme as _, Trust};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Blocks that are imported one by one, before and while an archiver seals.
const SINGLE_BLOCKS: usize = 2_000;

/// Lowest priority, which a node's archiver has.
const NICE: i32 = 19;

fn main() {
    // Cargo hands every bench its arguments: a test run, or the filter of another bench.
    if std::env::args().skip(1).any(|argument| argument == "--test" || !argument.starts_with('-')) {
        return;
    }
    let genesis = genesis_state(1_700_000_000, registry(SMALL));
    let mut source = BlockSource::new(&genesis, Finality::Healthy);
    source.set_proof_bytes(0);
    let chain = BenchChain::begin(Bootstrap::genesis(genesis), Durability::Durable);
    catch_up(&chain, &mut source);
    beside_an_archiver(&chain, &mut source);
    let folder = tempfile::tempdir().unwrap();
    let remote = export(&chain, folder.path());
    verify(&remote);
    restore(&remote);
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Imports nearly all of it as it comes from peers, 64 blocks to a durable commit; making the blocks is not counted.
fn catch_up(chain: &BenchChain, source: &mut BlockSource) {
    let count = HISTORICAL_ROOTS_LIMIT - 2 * SINGLE_BLOCKS;
    let (mut spent, mut done) = (Duration::ZERO, 0);
    while done < count {
        let blocks = source.take(BATCH_BLOCKS_MAX.min(count - done));
        done += blocks.len();
        let began = Instant::now();
        chain.import_all(blocks);
        spent += began.elapsed();
    }
    record("whole/catch_up/blocks_a_second", done as f64 / spent.as_secs_f64());
}

/// Durable imports of one block each: alone, and while an archiver ships the whole chain again and again.
fn beside_an_archiver(chain: &BenchChain, source: &mut BlockSource) {
    let mut import = || {
        let blocks = source.take(SINGLE_BLOCKS);
        let times = blocks.into_iter().map(|block| {
            let began = Instant::now();
            chain.import_all(vec![block]);
            began.elapsed()
        });
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        let at = |per_cent: usize| times[times.len() * per_cent / 100].as_secs_f64() * 1e6;
        (at(50), at(99))
    };
    let alone = import();
    let (is_over, shipments) = (AtomicBool::new(false), AtomicBool::new(false));
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| {
            rustix::process::nice(NICE).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                let folder = tempfile::tempdir().unwrap();
                let store = Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
                let (chain, known) = (&chain.chain, Known::default());
                let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
                let go_on = &mut |_| match is_over.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                };
                let keep = &mut |_| {
                    shipments.store(true, Ordering::Relaxed);
                    Ok(())
                };
                drop(ship(shipped, store, known, go_on, keep));
            }
        });
        while !shipments.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let beside = import();
        is_over.store(true, Ordering::Relaxed);
        beside
    });
    record("whole/import_alone/median_us", alone.0);
    record("whole/import_alone/p99_us", alone.1);
    record("whole/import_beside/median_us", beside.0);
    record("whole/import_beside/p99_us", beside.1);
}

/// Every segment sealed, verified, put with a flush, read back.
fn export(chain: &BenchChain, folder: &std::path::Path) -> Remote {
    let chain = &chain.chain;
    chain.states().clear();
    let store = Store::open(folder.to_str().unwrap(), Access::Write).unwrap();
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let began = Instant::now();
    let known = Known { is_hurried: true, ..Known::default() };
    let (remote, shipment) = ship(shipped, store, known, &mut go_on, &mut |_| Ok(())).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let memory = ALLOCATOR.peak_usage() - before;
    assert_eq!(shipment.put, shipment.segments);
    record("whole/export/slots_a_second", (shipment.segments * 1024) as f64 / seconds);
    record("whole/export/memory_bytes", memory as f64);
    record("whole/export/bytes_a_slot", shipment.bytes as f64 / (shipment.segments * 1024) as f64);
    remote
}

/// Every state of it rebuilt and hashed.
fn verify(remote: &Remote) {
    let began = Instant::now();
    let verified = lamella_shipping::verifier::verify(remote, None, true, &mut go_on).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(verified.states, verified.blocks);
    record("whole/verify/seconds", seconds);
}

/// All of it back into a directory, durable at the end, every invariant checked.
fn restore(remote: &Remote) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    let restore = Restore {
        database: &database,
        target: Target::Finalized,
        trusted: None,
        slot_ms: SLOT_MS,
        proof_scheme: Trust.name(),
    };
    let (began, mut checks) = (Instant::now(), None);
    let restored = restore.run(remote, &mut |progress| {
        if progress.stage != "segments" {
            checks.get_or_insert_with(Instant::now);
        }
        ControlFlow::Continue(())
    });
    let (ended, blocks) = (Instant::now(), restored.unwrap().blocks);
    let seconds = (ended - began).as_secs_f64();
    record("whole/restore/blocks_a_second", blocks as f64 / seconds);
    let checks = ended.duration_since(checks.unwrap()).as_secs_f64();
    record("whole/restore/checks_per_cent", 100.0 * checks / seconds);
}
