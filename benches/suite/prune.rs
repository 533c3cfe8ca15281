//! `prune_signatures`: the job of a node that comes back after a day, in bounded transactions.

use std::time::{Duration, Instant};

use criterion::Criterion;
use lamella_benches::{
    Random, Stopwatch, Times,
    blocks::SIGNATURE_BYTES,
    figures,
    timing::{Spread, micros},
};
use lamella_block_store::{
    Extent, PRUNE_ROWS_MAX, SIGNATURE_PRUNING_RANGE_SLOTS, prune_signatures as prune_step,
    signature_floor,
};
use lamella_tables::{
    Bytes, Database, Durability, OpenMode, Options, Read as _, Signatures, SlotRoot,
};
use lamella_types::Root;
use tempfile::TempDir;

use crate::group::Group;

/// Signatures to prune.
const SIGNATURES: u64 = 20_000;

/// Signatures that stay.
const KEPT: u64 = 100;

/// Bytes of one: an XMSS signature, rounded up.
const BYTES: usize = SIGNATURE_BYTES.next_multiple_of(1_000);

/// Reads of each signature that stays, before and after a job.
const READ_ROUNDS: u64 = 30;

/// A database with signatures; every job adds as many again as it prunes.
struct Signed {
    database: Database,
    next_slot: u64,
    random: Random,
    _directory: TempDir,
}

/// What a job did, its longest transaction with its commit, and the longest of the parts before a commit.
#[derive(Debug, Default, Clone, Copy)]
struct Job {
    deleted: u64,
    longest: Duration,
    longest_step: Duration,
}

/// What the jobs on one database left.
#[derive(Default)]
struct Jobs {
    jobs: Vec<Job>,
    /// Time of a read before and after each.
    reads: Vec<[Duration; 2]>,
    /// Bytes of the file after each.
    file_bytes: Vec<u64>,
}

impl Signed {
    fn begin(durability: Durability) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { durability, ..Options::new(OpenMode::Create) };
        let database = Database::open(directory.path(), options).unwrap();
        let mut txn = database.write().unwrap();
        Extent::begin(SlotRoot::first_of(0), Root::ZERO).put(&mut txn).unwrap();
        txn.commit().unwrap();
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
        // Many rounds: the first ones after a job find caches cold that the job has filled with other pages.
        let slots = (0..READ_ROUNDS).flat_map(|_| self.next_slot - KEPT..self.next_slot);
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

impl Jobs {
    /// Adds as many signatures as a job prunes, and prunes them.
    fn run(&mut self, signed: &mut Signed, times: &mut Times) -> Duration {
        signed.add(SIGNATURES);
        let read_before = signed.read_time();
        let watch = Stopwatch::start();
        let job = signed.prune();
        let spent = watch.stop();
        signed.check(job.deleted);
        self.reads.push([read_before, signed.read_time()]);
        self.file_bytes.push(signed.database.stats().unwrap().file_bytes);
        self.jobs.push(job);
        times.add(spent)
    }

    fn record(&self, name: &str) {
        let [Some(first), Some(last)] = [self.file_bytes.first(), self.file_bytes.last()] else {
            return;
        };
        let figure = |what: &str, value| {
            figures::record(&format!("prune_signatures/{name}/{what}"), value);
        };
        let of_jobs =
            |longest: fn(&Job) -> Duration| Spread::of(self.jobs.iter().map(longest).collect());
        figure("longest_transaction_us", micros(of_jobs(|job| job.longest).median));
        figure("longest_transaction_worst_us", micros(of_jobs(|job| job.longest).worst));
        figure("longest_before_commit_us", micros(of_jobs(|job| job.longest_step).median));
        let read = |index: usize| Spread::of(self.reads.iter().map(|pair| pair[index]).collect());
        figure("read_before_us", micros(read(0).median));
        figure("read_after_us", micros(read(1).median));
        figure("file_bytes_last_over_first_job", *last as f64 / *first as f64);
    }
}

pub fn prune_signatures(c: &mut Criterion) {
    let mut group = Group::of(c, "prune_signatures");
    group.samples(10).flat().throughput(SIGNATURES);
    for (name, durability) in [("lazy", Durability::Lazy), ("durable", Durability::Durable)] {
        let (mut signed, mut jobs) = (None, Jobs::default());
        group.time(format!("{name}/20000_of_3kB"), |times, count| {
            let signed = signed.get_or_insert_with(|| Signed::begin(durability));
            (0..count).map(|_| jobs.run(signed, times)).sum()
        });
        jobs.record(name);
    }
}
