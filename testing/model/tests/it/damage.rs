//! Rows damaged one by one in a real directory: every read gives the right bytes or an error, never a panic, never
//! another value, and the checker finds it.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    ops::ControlFlow,
};

use lamella_block_store as block_store;
use lamella_chain::{Settings, verify};
use lamella_state_store::StateStore;
use lamella_tables::{Database, Durability, OpenMode, Options, RawRow, TABLES};
use lamella_types::{Root, SignedBlock};

use crate::{
    blocks::{Blocks, Voting},
    random::Random,
    run::Run,
};

/// Rows of a table that are damaged; of larger tables, evenly spread ones.
const ROWS_MAX: usize = 8;

/// Tables whose damage must show in the error of some read, by name.
const NAMED_IN_ERRORS: &[&str] =
    &["Headers", "Bodies", "Signatures", "Slots", "Anchors", "Diffs", "History", "Registries"];

/// Tables where a lost row can be a legal state of affairs: a vote that nobody cast, a key that never signed, a
/// directory that never pruned.
const MAY_LACK_ROWS: &[&str] = &["Votes", "SignGuard"];

/// What must come back: each block with its state.
type Expected = BTreeMap<Root, (SignedBlock, Vec<u8>)>;

/// Some sixty blocks with votes, forks, skipped slots and three anchors on two branches.
fn chain() -> (Expected, tempfile::TempDir) {
    let mut random = Random::new(20);
    let blocks = Blocks::genesis(&mut random, 13);
    let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
    let mut run = Run::begin(random, settings, blocks);
    run.voting = Voting { participation: 70, votes_max: 3 };
    for step in 0..44 {
        let parent =
            if step % 6 == 5 { run.imported[run.imported.len() - 2] } else { run.naive.head };
        let skip = match step {
            20 | 23 => 990,
            30 => 1100,
            _ => step % 3,
        };
        let block = run.child(parent, skip);
        run.import(block);
    }
    let (blocks, imported, _, directory) = run.close();
    let expected = imported.into_iter().map(|root| {
        let block = blocks.get(&root);
        (root, (block.signed.clone(), block.state.clone()))
    });
    (expected.collect(), directory)
}

/// Reads everything cold. Whatever is read must be right; what is not read is told.
fn errors_of_all_reads(
    database: &Database,
    expected: &Expected,
    may_be_absent: bool,
) -> Vec<String> {
    let mut errors = Vec::new();
    let states = StateStore::default();
    let txn = database.read().unwrap();
    for (root, (block, state)) in expected {
        match states.state(&txn, root) {
            Ok(Some(read)) => assert!(read.to_ssz() == *state, "a wrong state of {root}"),
            Ok(None) => assert!(may_be_absent, "the state of {root} is taken for absent"),
            Err(error) => errors.push(error.to_string()),
        }
        match block_store::signed_block(&txn, root) {
            Ok(block_store::SignedBlockRead::Found(read)) => assert_eq!(*read, *block),
            Ok(other) => assert!(may_be_absent, "block {root} is taken for {other:?}"),
            Err(error) => errors.push(error.to_string()),
        }
        match block_store::roots_at(&txn, block.block.slot) {
            Ok(roots) => assert!(may_be_absent || roots.contains(root), "{root} left its slot"),
            Err(error) => errors.push(error.to_string()),
        }
    }
    errors
}

fn rows(database: &Database, table: &str) -> Vec<RawRow> {
    let txn = database.read().unwrap();
    txn.raw_rows(table).unwrap().unwrap().map(Result::unwrap).collect()
}

fn put(database: &Database, table: &str, key: &[u8], stored: Option<&[u8]>) {
    let mut txn = database.write().unwrap();
    match stored {
        Some(stored) => txn.put_raw(table, key, stored).unwrap(),
        None => assert!(txn.delete_raw(table, key).unwrap()),
    }
    txn.commit().unwrap();
}

/// Truncated, extended, bits flipped in front, middle and end, another row's value, lost.
fn damaged(row: &RawRow, other: &RawRow) -> Vec<(String, Option<Vec<u8>>)> {
    let length = row.stored.len();
    let mut ways: Vec<(String, Option<Vec<u8>>)> = vec![("lost".into(), None)];
    for cut in [0, length / 2, length - 1] {
        ways.push((format!("cut to {cut} bytes"), Some(row.stored[..cut].to_vec())));
    }
    ways.push(("one byte longer".into(), Some([&row.stored[..], &[0]].concat())));
    for position in [0, length / 3, length / 2, length - 1] {
        let mut flipped = row.stored.clone();
        flipped[position] ^= 1 << (position % 8);
        ways.push((format!("bit flipped in byte {position}"), Some(flipped)));
    }
    if other.stored != row.stored {
        ways.push(("another row's value".into(), Some(other.stored.clone())));
    }
    ways
}

#[test]
fn damage_is_an_error_a_finding_and_never_a_wrong_answer() {
    let (expected, directory) = chain();
    let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Existing) };
    let database = Database::open(directory.path(), options).unwrap();
    let findings = || verify(&database, &mut |_| ControlFlow::Continue(())).unwrap().finding_count;
    assert_eq!((findings(), errors_of_all_reads(&database, &expected, false).len()), (0, 0));

    let mut tried = BTreeMap::new();
    for table in TABLES {
        let all = rows(&database, table.name);
        for row in all.iter().step_by(all.len() / ROWS_MAX + 1) {
            let other = all.iter().find(|other| other.key != row.key).unwrap_or(row);
            for (how, stored) in damaged(row, other) {
                let what = format!("{}, key {:02x?}, {how}", table.name, row.key);
                put(&database, table.name, &row.key, stored.as_deref());
                let lost = stored.is_none();
                let errors = errors_of_all_reads(&database, &expected, lost);
                if NAMED_IN_ERRORS.contains(&table.name) && !lost {
                    let named = errors.iter().any(|error| error.contains(table.name));
                    assert!(named, "{what}: no read names it: {errors:?}");
                }
                let legal = lost && MAY_LACK_ROWS.contains(&table.name);
                assert!(legal || findings() > 0, "{what}: the checker finds nothing");
                put(&database, table.name, &row.key, Some(&row.stored));
                *tried.entry(table.name).or_insert(0) += 1;
            }
        }
    }
    assert_eq!((findings(), errors_of_all_reads(&database, &expected, false).len()), (0, 0));
    writeln!(
        io::stdout().lock(),
        "damage: {} rows and ways tried: {tried:?}",
        tried.values().sum::<i32>()
    )
    .unwrap();
    let must = ["Headers", "Diffs", "Anchors", "History"];
    assert!(must.iter().all(|table| tried.contains_key(table)), "{tried:?}");
}
