//! Replicas of a node, each a process of its own: how far behind the node's commit they are, and what eight of them cost it.
//! `cargo bench -p lamella-benches --bench follow`.
//!
//! A lag ends when whoever listens to the replica's API hears of the block there, by this process' clock alone. The eight are
//! at the lowest priority and their directories in memory, where there is one: they would be on machines of their own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "figures far below 2^52")]

mod replica;
#[path = "../../testing/archive/tests/it/server.rs"]
mod server;

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lamella_archive::{NetworkId, WriterId};
use lamella_benches::{BenchChain, BlockSource, Finality, LARGE, figures::record, registry};
use lamella_chain::Bootstrap;
use lamella_http_api::{
    ApiContext, ApiServer, Events, Limits, NodeFacts, ServerConfig, serve, version,
};
use lamella_inspect::served::{Change, Served};
use lamella_interrupt::Bell;
use lamella_metrics::Metrics;
use lamella_shipping::{
    archiver::{Known, ship},
    remote::Remote,
    seal::Shipped,
    store::{Access, Store},
    tails::TailShipper,
};
use lamella_tables::Durability;
use lamella_types::{Slot, SlotClock, genesis_state, limits::SLOT_MS};
use rustix::process::Signal;

use replica::{Heard, Replica};

const GENESIS_TIME: u64 = 1_700_000_000;

/// From one import to the next. A node has 4 s; the replicas keep up with far more.
const IMPORT_EVERY: Duration = Duration::from_millis(80);

/// Blocks of which the lag is told.
const LAG_BLOCKS: usize = 400;

/// Parts alone, and beside replicas, in turn; imports of each.
const ROUNDS: usize = 8;
const PART_BLOCKS: usize = 200;

/// Replicas beside which imports are timed.
const REPLICAS: usize = 8;

/// Longest wait for a replica.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    if replica::is_child() {
        replica::run();
        return;
    }
    // Cargo hands every bench its arguments: a test run, or the filter of another bench.
    if std::env::args().skip(1).any(|argument| argument == "--test" || !argument.starts_with('-')) {
        return;
    }
    let mut node = Node::new();
    let url = format!("http://{}", node.server.api_address());
    // First, while there is little to catch up with.
    node.beside_replicas(&url);
    node.lag("http", &url, &[]);
    let archive = tempfile::tempdir().unwrap();
    let folder = archive.path().to_str().unwrap();
    node.lag_by_objects("file", folder, &[], || Store::open(folder, Access::Write).unwrap());
    let bucket = tempfile::tempdir().unwrap();
    let (endpoint, _runtime) = server::serve(bucket.path(), Some(server::access()));
    let settings = server::settings(endpoint);
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let url = format!("s3://{}", server::BUCKET);
    node.lag_by_objects("s3", &url, &settings, || Store::in_bucket(&url, &settings).unwrap());
}

/// What a node does with a block of its own, without a network: it commits, and tells.
struct Node {
    chain: BenchChain,
    source: BlockSource,
    served: Served,
    events: Events,
    server: ApiServer,
    /// Rung after each commit.
    bell: Bell,
}

impl Node {
    fn new() -> Self {
        let genesis = genesis_state(GENESIS_TIME, registry(LARGE));
        let source = BlockSource::new(&genesis, Finality::Healthy);
        let chain = BenchChain::begin(Bootstrap::genesis(genesis), Durability::Durable);
        let (served, events) = (Served::from(Arc::clone(&chain.chain)), Events::new());
        let clock = SlotClock::new(GENESIS_TIME, SLOT_MS);
        let facts = Arc::new(NodeFacts::new("writer", None, clock, false));
        let metrics = Arc::new(Metrics::new("writer", &version(), 0));
        let (limits, failed) = (Limits::default(), Arc::new(|error| panic!("{error}")));
        let context =
            ApiContext::new(served.clone(), facts, metrics, events.clone(), limits, failed);
        let config = ServerConfig::new(Ipv4Addr::LOCALHOST.into(), 0, None);
        let server = serve(&config, Arc::new(context)).unwrap();
        Self { chain, source, served, events, server, bell: Bell::default() }
    }

    /// Imports a block; gives its slot, how long the import took, and when it was over.
    fn import(&mut self) -> (Slot, Duration, Instant) {
        let block = self.source.next_signed();
        let slot = block.block.slot;
        let began = Instant::now();
        let persisted = self.chain.importer.import_batch(vec![block]).unwrap().unwrap();
        let committed = Instant::now();
        self.events.changed(&self.served, &Change::of_import(&persisted), slot);
        self.bell.ring();
        (slot, committed - began, committed)
    }

    /// Imports blocks at a pace; gives the slot of each and when it was committed, and how long they took.
    fn import_paced(&mut self, count: usize) -> (HashMap<Slot, Instant>, Vec<Duration>) {
        let (mut committed, mut times) = (HashMap::new(), Vec::new());
        for _ in 0..count {
            let began = Instant::now();
            let (slot, took, at) = self.import();
            committed.insert(slot, at);
            times.push(took);
            thread::sleep(IMPORT_EVERY.saturating_sub(began.elapsed()));
        }
        (committed, times)
    }

    /// Waits until each of them has a block that is new, importing some.
    fn until_followed(&mut self, replicas: &[Replica]) {
        let began = Instant::now();
        for replica in replicas {
            while replica.heard.try_recv().is_err() {
                assert!(began.elapsed() < PATIENCE, "a replica does not follow");
                self.import();
                thread::sleep(IMPORT_EVERY);
            }
        }
        let (newest, _, _) = self.import();
        for replica in replicas {
            while replica.heard.recv_timeout(PATIENCE).unwrap().slot < newest {}
        }
    }

    fn lag(&mut self, name: &str, source: &str, settings: &[(&str, &str)]) {
        let replicas = [Replica::start(source, replica::Priority::Own, settings)];
        self.until_followed(&replicas);
        let (mut committed, _) = self.import_paced(LAG_BLOCKS);
        let mut lags = Vec::new();
        while !committed.is_empty() {
            let Heard { slot, at } = replicas[0].heard.recv_timeout(PATIENCE).unwrap();
            lags.extend(committed.remove(&slot).map(|committed| at - committed));
        }
        assert_eq!(lags.len(), LAG_BLOCKS);
        for per_cent in [50, 99] {
            let name = format!("follow/{name}/p{per_cent}_us");
            record(&name, at(&mut lags, per_cent).as_secs_f64() * 1e6);
        }
    }

    /// The same through a folder or a bucket, into which a thread of the lowest priority ships what is committed, as a
    /// node's does.
    fn lag_by_objects(
        &mut self,
        name: &str,
        url: &str,
        settings: &[(&str, &str)],
        store: impl Fn() -> Store,
    ) {
        let (chain, bell) = (Arc::clone(&self.chain.chain), self.bell.clone());
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        let go_on = &mut |_| std::ops::ControlFlow::Continue(());
        ship(shipped, store(), Known::default(), go_on, &mut |_| Ok(())).unwrap();
        let identity = chain.identity();
        let network = NetworkId::of(identity.genesis_time, &identity.registry_root);
        let mut tail = TailShipper::begin(Remote::of(store(), network), &chain, WriterId([1; 8]));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                replica::be_last();
                while !is_over.load(Ordering::Relaxed) {
                    while tail.ship_next(&chain).unwrap().is_some() {}
                    let _ = bell.wait(PATIENCE);
                }
            });
            self.lag(name, url, settings);
            is_over.store(true, Ordering::Relaxed);
            self.bell.ring();
        });
    }

    /// Imports while replicas stand still, and while they follow.
    fn beside_replicas(&mut self, url: &str) {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        let start = |_| Replica::start(url, replica::Priority::Last, &[]);
        let replicas: Vec<_> = (0..REPLICAS).map(start).collect();
        self.until_followed(&replicas);
        for _ in 0..ROUNDS {
            replicas.iter().for_each(|replica| replica.send(Signal::STOP));
            alone.extend(self.import_paced(PART_BLOCKS).1);
            replicas.iter().for_each(|replica| replica.send(Signal::CONT));
            self.until_followed(&replicas);
            beside.extend(self.import_paced(PART_BLOCKS).1);
        }
        for (name, mut times) in [("alone", alone), ("beside_eight", beside)] {
            for per_cent in [50, 99] {
                let name = format!("follow/import_{name}/p{per_cent}_us");
                record(&name, at(&mut times, per_cent).as_secs_f64() * 1e6);
            }
        }
    }
}

fn at(times: &mut [Duration], per_cent: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * per_cent / 100]
}
