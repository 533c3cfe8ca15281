//! Rows come back as they were written, in key order, and only once committed.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use lamella_tables::{
    Anchors, Bytes, Canonical, Consequence, Damage, Database, Diffs, Fault, Key as _, Meta,
    MetaName, OpenMode, Options, PageFinding, RawRow, Read, ReadError, RowTooLong, Signatures,
    SlotRoot, TABLES, Table, Votes,
};
use lamella_types::{Root, hash_tree_root};
use proptest::{collection::vec, prelude::*};

use crate::new_database;

#[test]
fn a_dropped_transaction_never_happened() {
    let (_directory, database) = new_database();
    let mut txn = database.write().unwrap();
    txn.put::<Canonical>(&7, &Root::new([7; 32])).unwrap();
    assert_eq!(txn.get::<Canonical>(&7).unwrap(), Some(Root::new([7; 32])), "own writes are seen");
    drop(txn);
    assert_eq!(database.read().unwrap().get::<Canonical>(&7).unwrap(), None);
}

/// Symptom: a commit succeeded and none of its rows was there. Mechanism: after a failed call the engine undoes the
/// transaction and answers the commit with a success that says so. Fix: that answer is an error.
#[test]
fn a_commit_after_a_failed_write_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let small = Options { size_bytes_max: Some(8 << 20), ..Options::new(OpenMode::Create) };
    let database = Database::open(directory.path(), small).unwrap();
    let mut txn = database.write().unwrap();
    txn.put::<Canonical>(&7, &Root::new([7; 32])).unwrap();
    let mut put = |slot| txn.put::<Signatures>(&SlotRoot::first_of(slot), &Bytes(vec![7; 500_000]));
    let full = (0..40).find_map(|slot| put(slot).err()).unwrap();
    assert_eq!(full.consequence, Consequence::NoSpace, "{full}");
    // Whoever keeps that to himself goes on, and is told again by name.
    assert_eq!(put(0).unwrap_err().consequence, Consequence::Unusable);
    assert_eq!(txn.commit().unwrap_err().consequence, Consequence::Unusable);
    assert!(!database.read().unwrap().has::<Canonical>(&7).unwrap());
    database.write().unwrap().commit().unwrap();
}

#[test]
fn a_reader_keeps_its_snapshot() {
    let (_directory, database) = new_database();
    let before = database.read().unwrap();
    let mut txn = database.write().unwrap();
    txn.put::<Canonical>(&7, &Root::new([7; 32])).unwrap();
    txn.commit().unwrap();
    assert!(!before.has::<Canonical>(&7).unwrap());
    assert!(database.read().unwrap().has::<Canonical>(&7).unwrap());
}

/// Not only the next call: a scan that has begun ends too.
#[test]
fn a_read_is_given_up_when_its_time_is_over() {
    let (_directory, database) = new_database();
    let mut txn = database.write().unwrap();
    for slot in 0..9 {
        txn.put::<Canonical>(&slot, &hash_tree_root(&slot)).unwrap();
    }
    txn.commit().unwrap();
    let slow = database.read().unwrap().within(Duration::ZERO);
    let given_up = |error: &ReadError| {
        let ReadError::Engine(error) = error else { return false };
        error.is_given_up() && error.consequence == Consequence::Retry
    };
    let first = |row: Option<Result<u64, ReadError>>| row.unwrap().unwrap_err();
    let errors = [
        slow.get::<Canonical>(&7).unwrap_err(),
        slow.get_many::<Canonical>(&[7]).unwrap_err(),
        slow.has::<Canonical>(&7).unwrap_err().into(),
        first(slow.scan::<Canonical>(0).unwrap().next().map(|row| row.map(|(slot, _)| slot))),
        first(slow.scan_keys::<Canonical>(0).unwrap().next()),
    ];
    assert!(errors.iter().all(given_up), "{errors:?}");
    let timely = database.read().unwrap().within(Duration::from_secs(600));
    assert_eq!(timely.scan::<Canonical>(0).unwrap().count(), 9);
}

#[test]
fn many_rows_are_what_each_of_them_is() {
    let (_directory, database) = new_database();
    let mut txn = database.write().unwrap();
    for slot in (0..200).filter(|slot| slot % 7 != 3) {
        txn.put::<Canonical>(&slot, &hash_tree_root(&slot)).unwrap();
    }
    txn.commit().unwrap();
    // Out of order, some twice, some absent; from one row to more than any number of threads shares evenly.
    for count in [0, 1, 15, 16, 33, 199] {
        let keys: Vec<u64> = (0..count).map(|index| index * 31 % 210).collect();
        let txn = database.read().unwrap();
        let each: Vec<_> = keys.iter().map(|slot| txn.get::<Canonical>(slot).unwrap()).collect();
        assert_eq!(txn.get_many::<Canonical>(&keys).unwrap(), each);
    }
}

#[test]
fn the_first_damaged_of_many_rows_is_named() {
    let (_directory, database) = new_database();
    let mut txn = database.write().unwrap();
    for slot in 0..100 {
        txn.put::<Canonical>(&slot, &hash_tree_root(&slot)).unwrap();
    }
    for slot in [20_u64, 99] {
        txn.put_raw("Canonical", &slot.encode(), &[0; 40]).unwrap();
    }
    txn.commit().unwrap();
    let txn = database.read().unwrap();
    let refusal =
        |keys: std::ops::Range<u64>| match txn.get_many::<Canonical>(&keys.collect::<Vec<_>>()) {
            Err(ReadError::Damaged(damage)) => Some((damage.table, damage.key_text())),
            other => {
                assert!(other.is_ok(), "{other:?}");
                None
            }
        };
    assert_eq!(refusal(0..100), Some(("Canonical", "20".to_owned())));
    assert_eq!(refusal(21..100), Some(("Canonical", "99".to_owned())));
    assert_eq!(refusal(21..99), None);
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, Vec<u8>),
    Delete(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put =
        (0..20_u8, 0..3_u8, vec(any::<u8>(), 0..9000)).prop_map(|(s, r, v)| Step::Put(s, r, v));
    let delete = (0..20_u8, 0..3_u8).prop_map(|(s, r)| Step::Delete(s, r));
    vec(prop_oneof![put, delete], 1..60)
}

fn key(slot: u8, fork: u8) -> SlotRoot {
    SlotRoot::new(u64::from(slot) << 8, hash_tree_root(&u64::from(fork)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_table_is_an_ordered_map(steps in steps()) {
        let (_directory, database) = new_database();
        let mut model = BTreeMap::new();
        for step in steps {
            let mut txn = database.write().unwrap();
            match step {
                Step::Put(slot, fork, value) => {
                    // Two ways to the same row.
                    let key = key(slot, fork);
                    if value.len() % 2 == 0 {
                        txn.put::<Signatures>(&key, &Bytes(value.clone())).unwrap();
                    } else {
                        txn.put_slice::<Signatures>(&key, &value).unwrap();
                    }
                    model.insert(key, Bytes(value));
                }
                Step::Delete(slot, fork) => {
                    let existed = txn.delete::<Signatures>(&key(slot, fork)).unwrap();
                    prop_assert_eq!(existed, model.remove(&key(slot, fork)).is_some());
                }
            }
            txn.commit().unwrap();
        }
        let txn = database.read().unwrap();
        let start = SlotRoot::first_of(5 << 8);
        let rows: Vec<_> = txn.scan::<Signatures>(start).unwrap().map(Result::unwrap).collect();
        let expected: Vec<_> = model.range(start..).map(|(k, v)| (*k, v.clone())).collect();
        prop_assert_eq!(&rows, &expected);
        let keys: Vec<_> = txn.scan_keys::<Signatures>(start).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(keys, expected.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        let last = model.last_key_value().map(|(k, v)| (*k, v.clone()));
        prop_assert_eq!(txn.last::<Signatures>().unwrap().map(Result::unwrap), last);
    }
}

/// Symptom: every row could have up to 4 MiB by its page, so a flipped bit in the length of a root's row made a read take
/// megabytes for it, and a row longer than that was written and never read again. Mechanism: one bound for all tables,
/// asked at reads alone. Fix: each table names its longest value, for writing, reading and the walk over the pages.
#[test]
fn no_row_longer_than_its_tables_longest_is_written_or_read() {
    fn refused<T: Table<Value = Bytes>>(database: &Database, key: &T::Key) {
        let mut txn = database.write().unwrap();
        let longest = vec![7; T::VALUE_BYTES_MAX];
        txn.put_slice::<T>(key, &longest).unwrap();
        assert_eq!(txn.get::<T>(key).unwrap(), Some(Bytes(longest)), "{}", T::NAME);
        txn.commit().unwrap();
        let mut txn = database.write().unwrap();
        let longer = Bytes(vec![7; T::VALUE_BYTES_MAX + 1]);
        let max = T::STORED_BYTES_MAX;
        for refusal in [txn.put::<T>(key, &longer), txn.put_slice::<T>(key, &longer.0)] {
            let refusal = refusal.unwrap_err();
            let why = refusal.source.downcast_ref();
            assert_eq!(why, Some(&RowTooLong { bytes: max + 1, max }), "{refusal}");
        }
        // Nothing was written, and the transaction is as good as before.
        txn.commit().unwrap();
        assert!(database.read().unwrap().get::<T>(key).unwrap().is_some());
        assert_eq!(walk(database), []);
    }
    let (_directory, database) = new_database();
    let at = SlotRoot::new(9, Root::new([3; 32]));
    refused::<Signatures>(&database, &at);
    refused::<Anchors>(&database, &at);
    refused::<Diffs>(&database, &at);
    refused::<Votes>(&database, &at);
    refused::<Meta>(&database, &MetaName::new("identity"));

    // Longer: no reader touches it, in either kind of transaction. The page is whole, so the walk lets a start name the row.
    for table in TABLES {
        let (_directory, database) = new_database();
        let bytes = vec![7; table.stored_bytes_max + 1];
        let key = vec![b'k'; table.key_bytes.end() - table.place.part.map_or(0, |_| 2)];
        let mut txn = database.write().unwrap();
        txn.put_raw(table.name, &key, &bytes).unwrap();
        txn.commit().unwrap();
        let got = bytes.len();
        let fault = Fault::TooLong { got, max: table.stored_bytes_max };
        let damage = Damaged { table: table.name, key, fault };
        let txn = database.read().unwrap();
        let mut rows = txn.raw_rows(table.name).unwrap().unwrap();
        assert_eq!(rows.next().map(damage_of), Some(Some(damage)));
        drop(rows);
        drop(txn);
        assert_eq!(walk(&database), [], "{}", table.name);
    }
    let mut txn = database.write().unwrap();
    txn.put_raw("Canonical", &9_u64.encode(), &[0; 41]).unwrap();
    let expected = Some(Fault::TooLong { got: 41, max: 40 });
    let fault = |read: ReadError| match read {
        ReadError::Damaged(damage) => Some(damage.fault),
        ReadError::Engine(_) => None,
    };
    assert_eq!(txn.get::<Canonical>(&9).err().and_then(fault), expected);
    assert_eq!(txn.scan::<Canonical>(0).unwrap().next().unwrap().err().and_then(fault), expected);
    txn.commit().unwrap();
    let txn = database.read().unwrap();
    assert_eq!(txn.get::<Canonical>(&9).err().and_then(fault), expected);
    assert_eq!(txn.get_many::<Canonical>(&[9]).err().and_then(fault), expected);
    assert_eq!(txn.last::<Canonical>().unwrap().unwrap().err().and_then(fault), expected);
}

/// Table, key and fault of a damaged row.
#[derive(Debug, PartialEq, Eq)]
struct Damaged {
    table: &'static str,
    key: Vec<u8>,
    fault: Fault,
}

fn damage_of(row: Result<RawRow, ReadError>) -> Option<Damaged> {
    match row {
        Err(ReadError::Damaged(Damage { table, key, fault, .. })) => {
            Some(Damaged { table, key, fault })
        }
        _ => None,
    }
}

fn walk(database: &Database) -> Vec<PageFinding> {
    database.check_pages(&mut |_| ControlFlow::Continue(())).unwrap().findings
}
