//! `prune_signatures`: the job of a node that comes back after a day, in bounded transactions.

use std::{
    cell::{Cell, LazyCell, RefCell},
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput};
use lamella_benches::{Random, blocks::SIGNATURE_BYTES, figures};
use lamella_block_store::{
    PRUNE_ROWS_MAX, SIGNATURE_PRUNING_RANGE_SLOTS, prune_signatures as prune_step, signature_floor,
};
use lamella_tables::{
    Bytes, Database, Durability, OpenMode, Options, Read as _, Signatures, SlotRoot,
};
use tempfile::TempDir;

/// Signatures to prune.
const SIGNATURES: u64 = 20_000;

/// Signatures that stay.
const KEPT: u64 = 100;

/// Bytes of one: an XMSS signature, rounded up.
const BYTES: usize = SIGNATURE_BYTES.next_multiple_of(1_000);

/// A database with signatures; every job adds as many again as it prunes.
struct Signed {
    database: Database,
    next_slot: u64,
    random: Random,
    _directory: TempDir,
}

/// What a job did. Its longest transaction, and the part of one before its commit, which in a durable database has
/// no flush in it.
#[derive(Debug, Default, Clone, Copy)]
struct Job {
    deleted: u64,
    longest: Duration,
    longest_step: Duration,
}

impl Signed {
    fn begin(durability: Durability) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { durability, ..Options::new(OpenMode::Create) };
        let database = Database::open(directory.path(), options).unwrap();
        let mut signed =
            Self { database, next_slot: 0, random: Random::new(6), _directory: directory };
        signed.add(KEPT);
        signed
    }

    fn add(&mut self, count: u64) {
        let mut txn = self.database.write().unwrap();
        let signature = Bytes(self.random.bytes(BYTES));
        for _ in 0..count {
            let key = SlotRoot::new(self.next_slot, self.random.root());
            txn.put::<Signatures>(&key, &signature).unwrap();
            self.next_slot += 1;
        }
        txn.commit().unwrap();
    }

    /// The whole job.
    fn prune(&self) -> Job {
        let finalized = self.next_slot + SIGNATURE_PRUNING_RANGE_SLOTS - KEPT;
        let mut job = Job::default();
        loop {
            let started = Instant::now();
            let mut txn = self.database.write().unwrap();
            let window = SIGNATURE_PRUNING_RANGE_SLOTS;
            let step = prune_step(&mut txn, finalized, finalized, window, PRUNE_ROWS_MAX).unwrap();
            let deleting = started.elapsed();
            txn.commit().unwrap();
            job.deleted += step.deleted as u64;
            job.longest_step = job.longest_step.max(deleting);
            job.longest = job.longest.max(started.elapsed());
            if !step.more {
                return job;
            }
        }
    }

    /// Median time of a read of one of the newest signatures, the ones that no job prunes.
    fn read_time(&self) -> Duration {
        let key = |slot| SlotRoot::first_of(slot);
        let read = |slot| {
            let started = Instant::now();
            let txn = self.database.read().unwrap();
            let found = txn.scan::<Signatures>(key(slot)).unwrap().next().unwrap().unwrap();
            let time = started.elapsed();
            assert_eq!((found.0.slot, found.1.0.len()), (slot, BYTES));
            time
        };
        // Three rounds: the first one after a job finds caches cold that the job has filled with other pages.
        let slots = (0..3).flat_map(|_| self.next_slot - KEPT..self.next_slot);
        let mut times: Vec<_> = slots.map(read).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    fn check(&self, deleted: u64) {
        assert_eq!(deleted, SIGNATURES);
        let txn = self.database.read().unwrap();
        let floor = signature_floor(&txn).unwrap().key;
        assert_eq!(floor, SlotRoot::first_of(self.next_slot - KEPT));
        let left = txn.scan_keys::<Signatures>(SlotRoot::first_of(0)).unwrap();
        assert_eq!(left.count() as u64, KEPT);
    }
}

pub fn prune_signatures(c: &mut Criterion) {
    let mut group = c.benchmark_group("prune_signatures");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(SIGNATURES));
    for (name, durability) in [("lazy", Durability::Lazy), ("durable", Durability::Durable)] {
        let signed = LazyCell::new(|| RefCell::new(Signed::begin(durability)));
        let jobs = RefCell::new(Vec::new());
        let reads = RefCell::new(Vec::new());
        let first_file_bytes = Cell::new(None);
        group.bench_function(format!("{name}/20000_of_3kB"), |b| {
            let mut signed = signed.borrow_mut();
            b.iter_custom(|count| {
                let mut total = Duration::ZERO;
                for _ in 0..count {
                    signed.add(SIGNATURES);
                    let read_before = signed.read_time();
                    let started = Instant::now();
                    let job = signed.prune();
                    total += started.elapsed();
                    signed.check(job.deleted);
                    reads.borrow_mut().push([read_before, signed.read_time()]);
                    let file_bytes = signed.database.stats().unwrap().file_bytes;
                    if first_file_bytes.get().is_none() {
                        first_file_bytes.set(Some(file_bytes));
                    }
                    jobs.borrow_mut().push(job);
                }
                total
            });
        });
        let jobs = jobs.into_inner();
        if !jobs.is_empty() {
            let us = |time: Duration| time.as_secs_f64() * 1e6;
            let figure = |what: &str, value| {
                figures::record(&format!("prune_signatures/{name}/{what}"), value);
            };
            // Of each job the longest transaction; of those the median, as other programs run meanwhile.
            let median_of = |longest: fn(&Job) -> Duration| {
                let mut times: Vec<_> = jobs.iter().map(longest).collect();
                times.sort_unstable();
                us(times[times.len() / 2])
            };
            figure("longest_transaction_us", median_of(|job| job.longest));
            figure("longest_before_commit_us", median_of(|job| job.longest_step));
            let median = |index: usize| {
                let mut times: Vec<_> = reads.borrow().iter().map(|pair| pair[index]).collect();
                times.sort_unstable();
                us(times[times.len() / 2])
            };
            figure("read_before_us", median(0));
            figure("read_after_us", median(1));
            let file_bytes = signed.borrow().database.stats().unwrap().file_bytes as f64;
            let first = first_file_bytes.get().unwrap_or_default() as f64;
            figure("file_bytes_last_over_first_job", file_bytes / first);
        }
    }
    group.finish();
}
