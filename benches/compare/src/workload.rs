//! Rows of imports, from a fixed seed.

use lamella_benches::Random;

use crate::engine::{Row, Table};

/// Bytes of a block's parts at 4,096 validators, its proof cut to one signature.
const HEADER: usize = 112;
const BODY: usize = 1_300;
pub const PROOF: usize = 3_000;
const DIFF: usize = 140;

/// The rows of a block at `slot`.
pub fn import(slot: u64) -> Vec<Row> {
    let mut random = Random::new(slot);
    let root = random.bytes(32);
    let key = [&slot.to_be_bytes()[..], &root].concat();
    let mut row =
        |table, key: &[u8], bytes| Row { table, key: key.to_vec(), value: random.bytes(bytes) };
    vec![
        row(Table::Headers, &key, HEADER),
        row(Table::Bodies, &key, BODY),
        row(Table::Proofs, &key, PROOF),
        row(Table::Diffs, &key, DIFF),
        Row { table: Table::Slots, key: root.clone(), value: slot.to_be_bytes().to_vec() },
        Row { table: Table::Canonical, key: slot.to_be_bytes().to_vec(), value: root },
    ]
}

/// The key of the block at `slot`.
pub fn key(slot: u64) -> Vec<u8> {
    [&slot.to_be_bytes()[..], &Random::new(slot).bytes(32)].concat()
}
