//! Checksums of rows: what the rows of an import and of a cold read take by several of them.

use std::{hint::black_box, time::Instant};

use lamella_benches::{Random, figures::record};
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::median_us;

/// Rows of an import at 4,096 validators that carry one, keys and table names included: body, proof, slot, canonical,
/// diff, live chain, ten values of Meta.
const IMPORT_ROWS: &[(usize, usize)] =
    &[(1, 1_400), (1, 190 << 10), (1, 60), (1, 60), (1, 190), (1, 90), (10, 60)];

/// The same of an import whose proof is one signature.
const SMALL_IMPORT_ROWS: &[(usize, usize)] =
    &[(1, 200), (1, 3_000), (1, 60), (1, 60), (1, 190), (1, 90), (10, 60)];

/// Rows of a cold read 1,023 blocks after its anchor: the canonical roots, anchor, diff, slot.
const READ_ROWS: &[(usize, usize)] = &[(1_023, 50), (1, 8_600), (1, 190), (1, 60)];

/// A checksum.
type Sum = fn(&[u8]) -> u64;

const SUMS: [(&str, Sum); 4] = [
    // As the tables crate does it: table name, key and value in turn, nothing copied together.
    ("xxh3_streamed", |bytes| {
        let (key, value) = bytes.split_at(40.min(bytes.len()));
        let mut hasher = Xxh3Default::new();
        hasher.update(b"Canonical");
        hasher.update(&[0]);
        hasher.update(key);
        hasher.update(value);
        hasher.digest()
    }),
    ("xxh3", xxh3_64),
    ("crc32", |bytes| u64::from(crc32fast::hash(bytes))),
    ("sha256", |bytes| {
        let digest = Sha256::digest(bytes);
        digest.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
    }),
];

/// Repetitions of a measurement.
const ROUNDS: usize = 201;

pub fn profile() {
    let uses =
        [("import", IMPORT_ROWS), ("small_import", SMALL_IMPORT_ROWS), ("cold_read", READ_ROWS)];
    for (usage, rows) in uses {
        for (name, sum) in SUMS {
            record(&format!("profiles/checksum/{usage}/{name}_us"), measure(rows, sum));
        }
    }
}

fn measure(rows: &[(usize, usize)], sum: Sum) -> f64 {
    let mut random = Random::new(1);
    let mut each = |(count, bytes): &(usize, usize)| {
        (0..*count).map(|_| random.bytes(*bytes)).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<u8>> = rows.iter().flat_map(&mut each).collect();
    let expected = rows.iter().map(|row| sum(row)).fold(0, u64::wrapping_add);
    let times = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        let found = rows.iter().map(|row| sum(black_box(row))).fold(0, u64::wrapping_add);
        let time = started.elapsed();
        assert_eq!(found, expected);
        time
    });
    median_us(times.collect())
}
