//! The walk over the engine's pages: no finding in any database that the engine has made.

use std::{
    fs,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
};

use lamella_tables::{
    Bytes, Canonical, Consequence, Database, DatabaseView, Durability, OpenError, OpenMode,
    Options, PageReport, Signatures, SlotRoot, Slots, TABLES,
};
use lamella_types::{Root, hash_tree_root};

use crate::new_database;

fn report(database: &DatabaseView) -> PageReport {
    database.check_pages(&mut |_| ControlFlow::Continue(())).unwrap()
}

fn assert_clean(database: &DatabaseView, what: &str) -> PageReport {
    let report = report(database);
    assert_eq!(report.findings, [], "{what}");
    assert!(!report.stopped);
    assert_eq!(
        3 + report.branch_pages + report.leaf_pages + report.large_pages + report.free_pages,
        report.pages,
        "{what}: every page is accounted for"
    );
    report
}

fn proof(slot: u64) -> (SlotRoot, Bytes) {
    // From a few bytes, in the leaf, to 300 KiB, on pages of its own.
    let bytes = 7 + slot as usize * 7919 % 300_000;
    (SlotRoot::new(slot, hash_tree_root(&slot)), Bytes(vec![slot as u8; bytes]))
}

fn fill(database: &Database, slots: std::ops::Range<u64>) {
    let mut txn = database.write().unwrap();
    for slot in slots {
        let (key, value) = proof(slot);
        txn.put::<Canonical>(&slot, &key.root).unwrap();
        txn.put::<Slots>(&key.root, &slot).unwrap();
        txn.put::<Signatures>(&key, &value).unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn every_page_of_a_database_is_accounted_for_at_each_of_its_ages() {
    let (_directory, database) = new_database();
    let empty = assert_clean(&database, "of empty tables");
    assert_eq!((empty.branch_pages, empty.large_pages), (0, 0));
    for first in (0..400).step_by(10) {
        fill(&database, first..first + 10);
        assert_clean(&database, "growing");
    }
    let grown = assert_clean(&database, "grown");
    assert!(grown.branch_pages > 0 && grown.large_pages > 1_000 && grown.rows > 1_200);
    for first in (0..400).step_by(7) {
        let mut txn = database.write().unwrap();
        for slot in first..400.min(first + 5) {
            txn.delete::<Signatures>(&proof(slot).0).unwrap();
        }
        txn.delete::<Canonical>(&first).unwrap();
        txn.commit().unwrap();
        assert_clean(&database, "shrinking");
    }
    let shrunk = assert_clean(&database, "shrunk");
    assert!(shrunk.free_pages > 1_000, "{shrunk:?}");
    fill(&database, 400..700);
    assert_clean(&database, "one large transaction over reused pages");
}

#[test]
fn a_long_free_list_of_one_commit_is_read_whole() {
    let (_directory, database) = new_database();
    fill(&database, 0..600);
    let mut txn = database.write().unwrap();
    for slot in 0..600 {
        txn.delete::<Signatures>(&proof(slot).0).unwrap();
    }
    txn.commit().unwrap();
    let report = assert_clean(&database, "all values deleted at once");
    assert!(report.free_pages > 10_000 && report.large_pages > 0, "{report:?}");
}

#[test]
fn small_pages_lazy_commits_and_a_reopened_file_are_as_clean() {
    for (durability, page_bytes) in
        [(Durability::Durable, 4_096), (Durability::Lazy, 4_096), (Durability::Durable, 65_536)]
    {
        let directory = tempfile::tempdir().unwrap();
        let mode = OpenMode::Create;
        let options = Options { durability, page_bytes: Some(page_bytes), ..Options::new(mode) };
        let database = Database::open(directory.path(), options).unwrap();
        for first in (0..300).step_by(3) {
            fill(&database, first..first + 3);
            let mut txn = database.write().unwrap();
            txn.delete::<Signatures>(&proof(first / 2).0).unwrap();
            txn.commit().unwrap();
        }
        assert_eq!(assert_clean(&database, "written").page_bytes, page_bytes as u64);
        drop(database);
        let reopened = Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap();
        assert_clean(&reopened, "reopened");
        drop(reopened);
        assert_clean(&DatabaseView::open(directory.path()).unwrap(), "closed");
    }
}

#[test]
fn a_writer_that_commits_all_the_time_does_not_disturb_the_walk() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Create) };
    let database = Database::open(directory.path(), options).unwrap();
    fill(&database, 0..200);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut commits = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let (key, value) = proof(commits % 200);
                let mut txn = database.write().unwrap();
                txn.delete::<Signatures>(&key).unwrap();
                txn.put::<Canonical>(&(commits % 5_000), &Root::ZERO).unwrap();
                txn.commit().unwrap();
                let mut txn = database.write().unwrap();
                txn.put::<Signatures>(&key, &value).unwrap();
                txn.commit().unwrap();
                commits += 1;
            }
        });
        // Dropped at a failure too, so that the writer ends and the failure is seen.
        let _stop = Stop(&done);
        while assert_clean(&database, "beside a writer").transaction < 1_000 {
            assert!(!writer.is_finished());
        }
    });
}

/// Tells the writer to stop when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_walk_stops_when_told_to() {
    let (_directory, database) = new_database();
    fill(&database, 0..100);
    let mut calls = 0;
    let report = database
        .check_pages(&mut |progress| {
            calls += 1;
            assert!(progress.done <= progress.total);
            ControlFlow::Break(())
        })
        .unwrap();
    assert!(report.stopped && calls == 1);
}

/// Symptom: a walk beside a running node called a copy clean that somebody had put in the file's place. Mechanism: it
/// opened `mdbx.dat` by name, and the engine had another file open. Fix: it walks over the engine's file or none.
#[test]
fn a_walk_over_another_file_than_the_engines_is_refused() {
    let (directory, database) = new_database();
    fill(&database, 0..10);
    let (data, other) = (directory.path().join("mdbx.dat"), directory.path().join("other"));
    fs::copy(&data, &other).unwrap();
    fs::rename(&other, &data).unwrap();
    let refusal = database.check_pages(&mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(refusal.consequence, Consequence::Unusable);
    assert!(refusal.to_string().contains("mdbx.dat was replaced"), "{refusal}");
}

/// Symptom: a bit flipped in the name of `SignGuard` made a start write to an empty table in its place: what its keys
/// had signed was forgotten. Mechanism: the row of a table is found by its name, and what is missing is created. Fix: the
/// walk compares the names.
#[test]
fn a_table_that_lost_its_name_is_not_made_anew() {
    let (directory, database) = new_database();
    fill(&database, 0..10);
    drop(database);
    let data = directory.path().join("mdbx.dat");
    let good = fs::read(&data).unwrap();
    for name in ["SignGuard", "Blocks", "Slots"] {
        let mut bad = good.clone();
        let last = name.len() - 1;
        // In each of the file's snapshots.
        let at = (0..bad.len()).filter(|at| good[*at..].starts_with(name.as_bytes()));
        at.for_each(|at| bad[at + last] ^= 1);
        fs::write(&data, &bad).unwrap();
        let error = Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap_err();
        assert!(matches!(error, OpenError::Pages { finding_count: 1, .. }), "{error}");
        assert!(error.to_string().contains(&format!("and none {name}")), "{error}");
        assert!(fs::read(&data).unwrap() == bad, "left as it was");
    }
    fs::write(&data, &good).unwrap();
    drop(Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap());
}

/// The walk compares the lengths of keys by tree.
#[test]
fn tables_that_share_a_tree_have_keys_of_one_length() {
    for info in TABLES {
        let other = TABLES.iter().find(|other| other.place.tree == info.place.tree).unwrap();
        assert_eq!(info.key_bytes, other.key_bytes, "{} and {}", info.name, other.name);
    }
}

/// Symptom: one flipped bit in a meta page, and a start made a file of 256 KiB 8 GiB long, and filled the disk. Mechanism: the
/// engine makes the file as long as its meta page says, and nothing covers that number. Fix: a file that lacks more than a
/// growth that a power cut took is refused before the engine sees it.
#[test]
fn a_flipped_bit_in_the_size_of_the_file_does_not_make_it_grow() {
    // Page head, magic, transaction, zeros; of the geometry the steps and bounds before it.
    const PRESENT_PAGES: usize = 20 + 8 + 8 + 4 + 12;
    let (directory, database) = new_database();
    fill(&database, 0..10);
    drop(database);
    let data = directory.path().join("mdbx.dat");
    let good = fs::read(&data).unwrap();
    for bit in 17..32 {
        let mut bad = good.clone();
        (0..3).for_each(|meta| bad[meta * 4096 + PRESENT_PAGES + bit / 8] ^= 1 << (bit % 8));
        fs::write(&data, &bad).unwrap();
        let error = Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap_err();
        assert!(matches!(error, OpenError::Pages { .. }), "bit {bit}: {error}");
        assert!(fs::read(&data).unwrap() == bad, "bit {bit}: left as it was");
    }
    fs::write(&data, &good).unwrap();
    drop(Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap());
}
