//! Rows damaged one by one in a real directory: every read gives the right bytes or an error, never a panic, never
//! another value; the checker finds it; and the next start derives the row again, or goes on, or refuses it by name.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    ops::ControlFlow,
    path::Path,
};

use lamella_block_store as block_store;
use lamella_chain::{Chain, Finding, Identity, Settings, verify};
use lamella_state_store::StateStore;
use lamella_tables::{
    Anchors, Bodies, Damage, Database, DatabaseView, Diffs, Durability, DutyKey, History, KeyKind,
    OpenMode, Options, RawRow, Read as _, ReadError, Registries, SegmentKey, Signatures, SlotRoot,
    Slots, TABLES, Table,
};
use lamella_types::{Root, Segment, SignedBlock, Validators};

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

/// Tables that follow from headers and states: a start makes their rows again, byte for byte.
const DERIVED: &[&str] = &["Slots", "Canonical"];

/// What must come back: each block with its state.
type Expected = BTreeMap<Root, (SignedBlock, Vec<u8>)>;

/// Every stored byte, by table and key.
type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// A row in the damaging: its table, its key, and whether it is lost.
#[derive(Clone, Copy)]
struct Bad<'a> {
    table: &'a str,
    key: &'a [u8],
    lost: bool,
}

impl Bad<'_> {
    /// Only the index by root says that a block is there, so losing its row makes one block unknown.
    fn hides_block(&self, root: &Root) -> bool {
        self.lost && self.table == "Slots" && self.key == root.as_bytes()
    }

    /// Only the header's key says which blocks a slot has.
    fn hides_from_slot(&self, root: &Root) -> bool {
        self.lost && self.table == "Headers" && self.key[8..] == *root.as_bytes()
    }
}

/// Some sixty blocks with votes, forks, skipped slots and three anchors on two branches.
fn chain() -> (Expected, Identity, tempfile::TempDir) {
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
    let key = |validator_index| DutyKey { validator_index, kind: KeyKind::Attestation };
    run.chain().reserve_slot(9, &[key(0), key(1)]).unwrap();
    let identity = run.identity.clone();
    let (blocks, imported, _, directory) = run.close();
    let expected = imported.into_iter().map(|root| {
        let block = blocks.get(&root);
        (root, (block.signed.clone(), block.state.clone()))
    });
    (expected.collect(), identity, directory)
}

/// Reads everything cold. Whatever is read must be right; what is not read is told.
fn errors_of_all_reads(
    database: &DatabaseView,
    expected: &Expected,
    bad: Option<Bad<'_>>,
) -> Vec<String> {
    let mut errors = Vec::new();
    let states = StateStore::default();
    let txn = database.read().unwrap();
    for (root, (block, state)) in expected {
        let hidden = bad.is_some_and(|bad| bad.hides_block(root));
        match states.state(&txn, root) {
            Ok(Some(read)) => assert!(read.to_ssz() == *state, "a wrong state of {root}"),
            Ok(None) => assert!(hidden, "the state of {root} is taken for absent"),
            Err(error) => errors.push(error.to_string()),
        }
        match block_store::signed_block(&txn, root) {
            Ok(block_store::SignedBlockRead::Found(read)) => assert_eq!(*read, *block),
            Ok(other) => assert!(hidden, "block {root} is taken for {other:?}"),
            Err(error) => errors.push(error.to_string()),
        }
        let off_slot = bad.is_some_and(|bad| bad.hides_from_slot(root));
        match block_store::roots_at(&txn, block.block.slot) {
            Ok(roots) => assert!(off_slot || roots.contains(root), "{root} left its slot"),
            Err(error) => errors.push(error.to_string()),
        }
    }
    errors
}

fn rows(database: &DatabaseView, table: &str) -> Vec<RawRow> {
    let txn = database.read().unwrap();
    let row = |row: Result<RawRow, ReadError>| match row {
        // Nobody touches the bytes of a row that is too long.
        Err(ReadError::Damaged(Damage { key, fault, .. })) => {
            RawRow { key, stored: fault.to_string().into_bytes() }
        }
        row => row.unwrap(),
    };
    txn.raw_rows(table).unwrap().unwrap().map(row).collect()
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

/// Every stored byte.
fn all_rows(database: &DatabaseView) -> Rows {
    let tables = TABLES.iter().flat_map(|table| {
        rows(database, table.name).into_iter().map(|row| ((table.name, row.key), row.stored))
    });
    tables.collect()
}

/// Makes the directory what it was.
fn put_back(database: &Database, before: &Rows) {
    let now = all_rows(database);
    for (table, key) in now.keys().filter(|key| !before.contains_key(*key)) {
        put(database, table, key, None);
    }
    for ((table, key), stored) in
        before.iter().filter(|(key, stored)| now.get(*key) != Some(stored))
    {
        put(database, table, key, Some(stored));
    }
}

fn finding_count(database: &DatabaseView) -> u64 {
    verify(database, &mut |_| ControlFlow::Continue(())).unwrap().finding_count
}

/// A sound row of a table, copied to a key that no block has.
fn put_loose<T: Table>(database: &Database, first: &T::Key, loose: &T::Key) {
    let txn = database.read().unwrap();
    let row = txn.scan::<T>(first.clone()).unwrap().next();
    let (_, value) = row.unwrap().unwrap();
    drop(txn);
    put_typed::<T>(database, loose, &value);
}

type Put<'a> = &'a dyn Fn(&Database);

fn put_typed<T: Table>(database: &Database, key: &T::Key, value: &T::Value) {
    let mut txn = database.write().unwrap();
    txn.put::<T>(key, value).unwrap();
    txn.commit().unwrap();
}

/// Every byte of such a row proves itself; what is wrong is that nothing names it.
#[test]
fn a_sound_row_that_nothing_names_is_a_finding() {
    let (_, _, directory) = chain();
    let open = || Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap();
    let before = all_rows(&open());
    let (first, loose) = (SlotRoot::first_of(0), SlotRoot::new(3, Root::new([0xee; 32])));
    let segment = Segment::new(vec![7; 32 * 1_024]).unwrap();
    let segment_key = SegmentKey { index: 1, root: segment.root() };
    let registry = Validators::new(&[]).unwrap();
    let puts: [(&str, Put<'_>); 7] = [
        ("Bodies", &|database| put_loose::<Bodies>(database, &first, &loose)),
        ("Anchors", &|database| put_loose::<Anchors>(database, &first, &loose)),
        ("Diffs", &|database| put_loose::<Diffs>(database, &first, &loose)),
        ("Signatures", &|database| put_loose::<Signatures>(database, &first, &loose)),
        ("Slots", &|database| put_loose::<Slots>(database, &Root::ZERO, &loose.root)),
        ("History", &|database| put_typed::<History>(database, &segment_key, &segment)),
        ("Registries", &|database| put_typed::<Registries>(database, &registry.root(), &registry)),
    ];
    for (table, put) in puts {
        put(&open());
        let report = verify(&open(), &mut |_| ControlFlow::Continue(())).unwrap();
        let named = |finding: &Finding| finding.to_string().contains(table);
        assert!(report.findings.iter().any(named), "{table}: {:?}", report.findings);
        put_back(&open(), &before);
    }
    assert_eq!(finding_count(&open()), 0);
}

/// What became of the damaged directories.
#[derive(Debug, Default)]
struct Outcomes {
    tried: BTreeMap<&'static str, u32>,
    found_by_verify: u32,
    started: u32,
    started_and_clean: u32,
    refused_by_name: u32,
}

#[test]
fn damage_is_an_error_a_finding_and_never_a_wrong_answer() {
    let (expected, identity, directory) = chain();
    let open = || {
        let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Existing) };
        Database::open(directory.path(), options).unwrap()
    };
    let before = all_rows(&open());
    assert_eq!(finding_count(&open()), 0);
    assert!(errors_of_all_reads(&open(), &expected, None).is_empty());

    let mut outcomes = Outcomes::default();
    for table in TABLES {
        let all = rows(&open(), table.name);
        for row in all.iter().step_by(all.len() / ROWS_MAX + 1) {
            let other = all.iter().find(|other| other.key != row.key).unwrap_or(row);
            for (how, stored) in damaged(row, other) {
                let what = format!("{}, key {:02x?}, {how}", table.name, row.key);
                let bad = Bad { table: table.name, key: &row.key, lost: stored.is_none() };
                let database = open();
                put(&database, table.name, &row.key, stored.as_deref());
                check_reads(&database, &expected, bad, &what, &mut outcomes);
                drop(database);
                check_start(
                    directory.path(),
                    &identity,
                    &before,
                    &expected,
                    bad,
                    &what,
                    &mut outcomes,
                );
                put_back(&open(), &before);
            }
        }
    }
    assert_eq!(all_rows(&open()), before);
    writeln!(io::stdout().lock(), "damage: {outcomes:?}").unwrap();
    assert_eq!(outcomes.tried.len(), TABLES.len(), "{outcomes:?}");
}

/// Whether the next start looks at the row: it is derived, and in the live tree's range.
fn is_looked_at(before: &Rows, bad: Bad<'_>) -> bool {
    // `[format | tree root: root 32, slot u64 LE | ..]`
    let view = &before[&("Meta", b"fork_choice".to_vec())];
    let root: Vec<u8> =
        [view[33..41].iter().rev().copied().collect(), view[1..33].to_vec()].concat();
    let live: Vec<&[u8]> = before
        .keys()
        .filter(|(table, key)| *table == "Headers" && *key >= root)
        .map(|(_, key)| key.as_slice())
        .collect();
    match bad.table {
        // One row less than headers shows anywhere.
        "Slots" => bad.lost || live.iter().any(|key| key[8..] == *bad.key),
        "Canonical" => *bad.key >= live[0][..8],
        "Votes" => true,
        "Meta" => [&b"fork_choice"[..], b"blocks"].contains(&bad.key),
        _ => false,
    }
}

/// Reads and checker, before anything is derived again.
fn check_reads(
    database: &DatabaseView,
    expected: &Expected,
    bad: Bad<'_>,
    what: &str,
    outcomes: &mut Outcomes,
) {
    let errors = errors_of_all_reads(database, expected, Some(bad));
    if NAMED_IN_ERRORS.contains(&bad.table) {
        let named = match bad.lost {
            true => !errors.is_empty() || bad.table == "Slots",
            false => errors.iter().any(|error| error.contains(bad.table)),
        };
        assert!(named, "{what}: no read names it: {errors:?}");
    }
    let found = finding_count(database) > 0;
    let legal = bad.lost && MAY_LACK_ROWS.contains(&bad.table);
    assert!(legal || found, "{what}: the checker finds nothing");
    outcomes.found_by_verify += u32::from(found);
}

/// The next start for writing.
fn check_start(
    path: &Path,
    identity: &Identity,
    before: &Rows,
    expected: &Expected,
    bad: Bad<'_>,
    what: &str,
    outcomes: &mut Outcomes,
) {
    let table = TABLES.iter().find(|table| table.name == bad.table).unwrap();
    *outcomes.tried.entry(table.name).or_default() += 1;
    let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
    let derivable = is_looked_at(before, bad);
    let derived = derivable && DERIVED.contains(&bad.table);
    match Chain::resume(path, identity, settings) {
        Ok((chain, opened)) => {
            let findings = finding_count(chain.database());
            outcomes.started += 1;
            outcomes.started_and_clean += u32::from(findings == 0);
            assert!(!derivable || findings == 0, "{what}: {findings} findings after the start");
            if derivable && !bad.lost {
                assert!(opened.recovered.is_something(), "{what}: not counted");
            }
            if derived {
                assert!(all_rows(chain.database()) == *before, "{what}: not as it was");
            }
            if derivable {
                assert!(errors_of_all_reads(chain.database(), expected, None).is_empty());
            }
        }
        Err(error) => {
            let error = error.to_string();
            assert!(!derivable, "{what}: {error}");
            let root = bad.key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let root = &root[root.len().saturating_sub(64)..];
            let names_it = error.contains(bad.table)
                || error.contains(root)
                || (bad.table == "Meta" && error.contains("does not say which chain"));
            assert!(names_it, "{what}: {error}");
            outcomes.refused_by_name += 1;
        }
    }
}
