//! The workload on one engine.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use lamella_benches::Random;

use crate::{
    engine::{Engine, Flush, Table, disk_bytes},
    workload::{PROOF, import, key},
};

/// Imports before and after pruning.
const IMPORTS: u64 = 20_000;

/// Of them, those that are timed one by one; the others go in transactions of `BATCH`.
const TIMED: u64 = 1_000;
const BATCH: u64 = 64;

/// Rows of a pruning transaction, as the node prunes.
const PRUNE_ROWS: u64 = 256;

/// Reads measured.
const READS: usize = 300;

pub const HEADER: &str =
    "| engine | import | state rows | proof | prune, longest | first proof | disk |
|---|---|---|---|---|---|---|
";

/// One line of the table.
pub fn run<E: Engine>(flush: Flush) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let import_us = grow::<E>(path, flush, 0);
    let disk_full = disk_bytes(path);

    let mut engine = E::open(path, flush);
    let mut random = Random::new(11);
    let mut slot = |below: u64| random.number() % below;
    let state_rows = median_us((0..READS).map(|_| state_rows(&engine, slot(IMPORTS - 1_023))));
    let proof = median_us((0..READS).map(|_| proof(&engine, slot(IMPORTS))));

    let started = Instant::now();
    let mut longest = Duration::ZERO;
    for first in (0..IMPORTS).step_by(PRUNE_ROWS as usize) {
        let (start, end) = (first.to_be_bytes(), (first + PRUNE_ROWS).min(IMPORTS).to_be_bytes());
        let bounds = [start, end].map(|slot| [&slot[..], &[0; 32]].concat());
        let step = Instant::now();
        engine.delete_range(Table::Proofs, &bounds[0], &bounds[1]);
        longest = longest.max(step.elapsed());
    }
    let prune = started.elapsed();
    assert_eq!(engine.first_key(Table::Proofs), None, "no proof is left");
    let disk_pruned = disk_bytes(path);
    engine.commit(&import(IMPORTS));
    let first_proof = median_us((0..READS).map(|_| {
        let started = Instant::now();
        let first = engine.first_key(Table::Proofs);
        let time = started.elapsed();
        assert_eq!(first, Some(key(IMPORTS)));
        time
    }));
    drop(engine);
    grow::<E>(path, flush, IMPORTS + 1);
    let disk_again = disk_bytes(path);

    let flush = format!("{flush:?}").to_lowercase();
    let mib = |bytes: u64| bytes >> 20;
    format!(
        "| {} {flush} | {import_us:.0} us | {state_rows:.0} us | {proof:.1} us | {:.0} ms, {:.1} ms | {first_proof:.1} us \
         | {} / {} / {} MiB |",
        E::NAME,
        prune.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3,
        mib(disk_full),
        mib(disk_pruned),
        mib(disk_again),
    )
}

/// Imports `IMPORTS` blocks and closes the database. Median time of an import of its own, in microseconds.
fn grow<E: Engine>(path: &Path, flush: Flush, first: u64) -> f64 {
    let mut engine = E::open(path, flush);
    let timed_from = first + IMPORTS - TIMED;
    for slot in (first..timed_from).step_by(BATCH as usize) {
        let rows: Vec<_> = (slot..(slot + BATCH).min(timed_from)).flat_map(import).collect();
        engine.commit(&rows);
    }
    let each = |slot| {
        let rows = import(slot);
        let started = Instant::now();
        engine.commit(&rows);
        started.elapsed()
    };
    median_us((timed_from..first + IMPORTS).map(each))
}

fn state_rows<E: Engine>(engine: &E, slot: u64) -> Duration {
    let key = key(slot);
    let started = Instant::now();
    let roots = engine.scan(Table::Canonical, &slot.to_be_bytes(), 1_023);
    let header = engine.get(Table::Headers, &key);
    let diff = engine.get(Table::Diffs, &key);
    let time = started.elapsed();
    assert_eq!((roots, header.is_some(), diff.is_some()), (1_023 * 32, true, true));
    time
}

fn proof<E: Engine>(engine: &E, slot: u64) -> Duration {
    let key = key(slot);
    let started = Instant::now();
    let proof = engine.get(Table::Proofs, &key);
    let time = started.elapsed();
    assert_eq!(proof.map(|bytes| bytes.len()), Some(PROOF));
    time
}

fn median_us(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
