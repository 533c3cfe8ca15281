//! `prune_signatures`: the job of a node that comes back after a day, in bounded transactions.

use std::{
    cell::{Cell, LazyCell, RefCell},
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, Throughput};
use lamella_benches::{Random, blocks::SIGNATURE_BYTES};
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
        let mut signed = Self { database, next_slot: 0, random: Random(6), _directory: directory };
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
        let worst = Cell::new(Job::default());
        group.bench_function(format!("{name}/20000_of_3kB"), |b| {
            let mut signed = signed.borrow_mut();
            b.iter_custom(|count| {
                let mut total = Duration::ZERO;
                for _ in 0..count {
                    signed.add(SIGNATURES);
                    let started = Instant::now();
                    let job = signed.prune();
                    total += started.elapsed();
                    signed.check(job.deleted);
                    worst.set(Job {
                        deleted: job.deleted,
                        longest: worst.get().longest.max(job.longest),
                        longest_step: worst.get().longest_step.max(job.longest_step),
                    });
                }
                total
            });
        });
        let Job { deleted, longest, longest_step } = worst.get();
        if deleted > 0 {
            eprintln!(
                "prune_signatures/{name}: longest transaction {longest:?}, before its commit {longest_step:?}"
            );
        }
    }
    group.finish();
}
