//! `lamella db checksum` over damaged rows and files: the digest of the chain, or an error.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use lamella_chain::Chain;
use lamella_inspect::checksum;
use lamella_tables::{Durability, RawRow};
use lamella_types::Slot;

use crate::db::{Fixture, fixture_with};

/// The tables that a digest reads. The chain's bodies are empty but for those that have a row.
const TABLES: [&str; 5] = ["Canonical", "Headers", "Bodies", "Slots", "Meta"];

/// Flips of the data file.
const FILE_FLIPS: u64 = 160;

/// The ranges: all of it, ends on skipped slots, begins on some, and one of nothing but skipped ones.
const RANGES: [(Slot, Slot); 4] = [(0, 1030), (2, 7), (6, 1026), (9, 1000)];

fn digests(chain: &Chain) -> [Option<String>; 4] {
    RANGES.map(|(from, to)| {
        let sum = checksum::of(chain.database(), Some(from), Some(to));
        sum.ok().map(|sum| format!("{} {}", sum.blocks, sum.digest))
    })
}

fn change(chain: &Chain, table: &str, key: &[u8], stored: Option<&[u8]>) {
    let mut txn = chain.database().write_raw().unwrap();
    match stored {
        Some(stored) => txn.put_raw(table, key, stored).unwrap(),
        None => assert!(txn.delete_raw(table, key).unwrap()),
    }
    txn.commit().unwrap();
}

/// Symptom: a damaged database had a digest, with exit code 0, that no node of the network had.
/// Mechanism: the walk compared only neighbours, so a row lost at either end was taken for a skipped slot.
/// Fix: the first block's parent lies before the range, and the next one or the head says that none is missing behind.
#[test]
fn a_flipped_byte_or_a_lost_row_gives_the_digest_or_an_error() {
    let (_fixture, chain) = fixture_with(Durability::Lazy);
    let whole = digests(&chain);
    assert!(whole.iter().all(Option::is_some), "{whole:?}");
    let (mut flips, mut refused) = (0, 0);
    for table in TABLES {
        let rows: Vec<RawRow> = {
            let txn = chain.database().read().unwrap();
            txn.raw_rows(table).unwrap().unwrap().map(Result::unwrap).collect()
        };
        for RawRow { key, stored } in rows {
            let mut check = |damaged: Option<&[u8]>, what: &str| {
                change(&chain, table, &key, damaged);
                for (index, (now, whole)) in digests(&chain).iter().zip(&whole).enumerate() {
                    let (from, to) = RANGES[index];
                    assert!(
                        now.is_none() || now == whole,
                        "{table} {}: {what}, slots {from} to {to}: {now:?}",
                        hex::encode(&key)
                    );
                    refused += usize::from(now.is_none());
                }
                change(&chain, table, &key, Some(&stored));
            };
            check(None, "lost");
            for byte in 0..stored.len() {
                let mut damaged = stored.clone();
                damaged[byte] ^= 1 << (byte % 8);
                check(Some(&damaged), "flipped");
                flips += 1;
            }
        }
    }
    assert_eq!(digests(&chain), whole, "everything is as it was");
    assert!(flips > 2_000 && refused > 4_000, "{flips} flips, {refused} refused");
}

fn run(data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lamella"));
    command.args(["db", "checksum", "--to", "1030", "--data-dir"]).arg(data).output().unwrap()
}

#[test]
fn a_flipped_bit_of_the_file_gives_the_digest_or_an_error() {
    let (fixture, chain) = fixture_with(Durability::Durable);
    let used_bytes = chain.database().stats().unwrap().used_bytes;
    drop(chain);
    let Fixture { data, .. } = &fixture;
    let whole = run(data);
    assert!(whole.status.success());
    let path = data.join("db/mdbx.dat");
    let mut bytes = fs::read(&path).unwrap();
    let mut refused = 0;
    for flip in 0..FILE_FLIPS {
        // Odd steps over all pages, each time another place of the page and another bit.
        let place = usize::try_from(flip * used_bytes / FILE_FLIPS).unwrap();
        bytes[place] ^= 1 << (flip % 8);
        fs::write(&path, &bytes).unwrap();
        bytes[place] ^= 1 << (flip % 8);
        let output = run(data);
        if output.status.code() == Some(0) {
            assert_eq!(output.stdout, whole.stdout, "byte {place}");
        } else {
            assert!(output.stdout.is_empty(), "byte {place}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}
