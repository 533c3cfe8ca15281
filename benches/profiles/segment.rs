//! Roots of a history segment: bytes that anchors repeat, bytes that each state in memory copies, rows of a first read.

use std::{hint::black_box, time::Instant};

use lamella_benches::{Random, figures::record};
use lamella_tables::{
    Bytes, Database, Durability, OpenMode, Options, Read as _, Signatures, SlotRoot,
};
use lamella_types::{Root, limits::HISTORICAL_ROOTS_LIMIT, merkle::merkleize, root::ROOT_BYTES};

use crate::median_us;

/// Roots of a segment.
const SIZES: [usize; 3] = [256, 1_024, 4_096];

/// Slots between anchors.
const ANCHOR_SLOTS: usize = 1_024;

/// Repetitions of a measurement.
const ROUNDS: usize = 15;

pub fn profile() {
    for roots in SIZES {
        measure(roots);
    }
}

fn measure(segment_roots: usize) {
    let figure = |what: &str, value: f64| {
        record(&format!("profiles/segment/{segment_roots}/{what}"), value);
    };
    // An anchor holds the root of each complete segment, and the roots after the last one.
    let anchors = (ANCHOR_SLOTS..=HISTORICAL_ROOTS_LIMIT).step_by(ANCHOR_SLOTS);
    let anchor_bytes: usize =
        anchors.map(|slot| (slot / segment_roots + slot % segment_roots) * ROOT_BYTES).sum();
    figure("anchors_bytes", anchor_bytes as f64);
    // On average half a segment is the tail that each state has for itself.
    let tail = Random::new(1).bytes(segment_roots / 2 * ROOT_BYTES);
    figure("state_bytes", tail.len() as f64);
    let clones = (0..ROUNDS * 10).map(|_| {
        let started = Instant::now();
        let copy = black_box(tail.clone());
        let time = started.elapsed();
        assert_eq!(copy.len(), tail.len());
        time
    });
    figure("clone_us", median_us(clones.collect()));
    figure("first_read_us", first_read(segment_roots));
}

/// Reads and hashes every segment of a full history, as the first read after a start does. Any table of bytes will do.
fn first_read(segment_roots: usize) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Create) };
    let database = Database::open(directory.path(), options).unwrap();
    let mut random = Random::new(2);
    let mut txn = database.write().unwrap();
    let count = (HISTORICAL_ROOTS_LIMIT / segment_roots) as u64;
    let depth = segment_roots.trailing_zeros() as usize;
    let mut roots: Vec<Root> = Vec::new();
    for index in 0..count {
        let segment = random.bytes(segment_roots * ROOT_BYTES);
        let root = merkleize(&segment, depth);
        roots.push(root);
        txn.put::<Signatures>(&SlotRoot::new(index, root), &Bytes(segment)).unwrap();
    }
    txn.commit().unwrap();
    let times = (0..ROUNDS).map(|_| {
        let txn = database.read().unwrap();
        let started = Instant::now();
        for (index, root) in (0..).zip(&roots) {
            let row = txn.get::<Signatures>(&SlotRoot::new(index, *root)).unwrap();
            assert_eq!(merkleize(&row.unwrap().0, depth), *root, "a segment that proves itself");
        }
        started.elapsed()
    });
    median_us(times.collect())
}
