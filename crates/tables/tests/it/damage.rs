//! Every change of every stored byte is an error that names table and key, in every table.

use lamella_tables::{
    Anchors, Bodies, Bytes, Canonical, Database, Diffs, DutyKey, Headers, History, KeyKind, Meta,
    MetaName, Read, ReadError, Registries, SegmentKey, SignGuard, Signatures, SlotRoot, Slots,
    Table, Votes, WriteTxn,
};
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, BlockBody, BlockHeader, Root, Segment,
    Validator, Validators,
};

use crate::new_database;

fn stored<T: Table>(database: &Database) -> (Vec<u8>, Vec<u8>) {
    let txn = database.read().unwrap();
    let row = txn.raw_rows(T::NAME).unwrap().unwrap().next().unwrap().unwrap();
    (row.key, row.stored)
}

/// Stores the row, then every truncation, one extension and single flipped bits of it.
fn check<T: Table>(key: &T::Key, value: &T::Value, positions: impl Fn(usize) -> Vec<usize>) {
    let (_directory, database) = new_database();
    let mut txn = database.write().unwrap();
    txn.put::<T>(key, value).unwrap();
    txn.commit().unwrap();
    assert!(database.read().unwrap().get::<T>(key).unwrap().is_some(), "{}", T::NAME);

    let (raw_key, good) = stored::<T>(&database);
    let mut txn = database.write().unwrap();
    let refused = |txn: &mut WriteTxn<'_>, bad: &[u8], what: &str| {
        txn.put_raw(T::NAME, &raw_key, bad).unwrap();
        match txn.get::<T>(key) {
            Err(ReadError::Damaged(damage)) => {
                assert_eq!((damage.table, damage.key_text()), (T::NAME, key.to_string()), "{what}");
            }
            Err(other) => panic!("{} {what}: {other}", T::NAME),
            Ok(value) => panic!("{} {what}: read {}", T::NAME, value.is_some()),
        }
    };
    for position in positions(good.len()) {
        refused(&mut txn, &good[..position], &format!("cut to {position} bytes"));
        let mut bad = good.clone();
        bad[position] ^= 1 << (position % 8);
        refused(&mut txn, &bad, &format!("bit flipped in byte {position}"));
    }
    let longer = [&good[..], &[0]].concat();
    refused(&mut txn, &longer, "one byte longer");
    txn.put_raw(T::NAME, &raw_key, &good).unwrap();
    assert!(txn.get::<T>(key).unwrap().is_some(), "{} restored", T::NAME);
}

fn all(length: usize) -> Vec<usize> {
    (0..length).collect()
}

fn some(length: usize) -> Vec<usize> {
    (0..length).step_by(length / 200 + 1).chain([length - 1]).collect()
}

#[test]
fn no_damaged_value_is_ever_read() {
    let header = BlockHeader { slot: 9, proposer_index: 1, ..BlockHeader::default() };
    let at_header = SlotRoot::new(9, header.root());
    let at = SlotRoot::new(9, Root::new([3; 32]));
    let body = BlockBody::new(vec![AggregatedAttestation {
        aggregation_bits: AggregationBits::from_indices([0, 3]).unwrap(),
        data: AttestationData::default(),
    }])
    .unwrap();
    check::<Headers>(&at_header, &header, all);
    check::<Bodies>(&at, &body, all);
    check::<Signatures>(&at, &Bytes((0..=255).collect()), all);
    check::<Slots>(&at.root, &9, all);
    check::<Canonical>(&9, &at.root, all);
    check::<Anchors>(&at, &Bytes(vec![5; 300]), all);
    check::<Diffs>(&at, &Bytes(vec![6; 90]), all);
    let segment = Segment::new(vec![8; 32 * 1024]).unwrap();
    check::<History>(&SegmentKey { index: 4, root: segment.root() }, &segment, some);
    let validators: Vec<_> =
        (0..5).map(|index| Validator { index, ..Validator::default() }).collect();
    let validators = Validators::new(&validators).unwrap();
    check::<Registries>(&validators.root(), &validators, all);
    check::<Votes>(&at, &Bytes(vec![7; 100]), all);
    check::<SignGuard>(&DutyKey { validator_index: 2, kind: KeyKind::Proposal }, &77, all);
    check::<Meta>(&MetaName::new("head"), &Bytes(vec![1; 40]), all);
}

#[test]
fn a_row_under_another_key_or_in_another_table_is_damaged() {
    let (_directory, database) = new_database();
    let mut txn = database.write().unwrap();
    txn.put::<Canonical>(&1, &Root::new([1; 32])).unwrap();
    txn.commit().unwrap();
    let (_, row) = stored::<Canonical>(&database);
    let mut txn = database.write().unwrap();
    txn.put_raw("Canonical", &2_u64.to_be_bytes(), &row).unwrap();
    assert!(matches!(txn.get::<Canonical>(&2), Err(ReadError::Damaged(_))));
    // Two tables with the same keys and values: only the table's name under the seal tells their rows apart.
    let key = SlotRoot::new(1, Root::ZERO);
    txn.put::<Anchors>(&key, &Bytes(vec![5; 300])).unwrap();
    txn.commit().unwrap();
    let (anchor_key, anchor) = stored::<Anchors>(&database);
    let mut txn = database.write().unwrap();
    txn.put_raw("Diffs", &anchor_key, &anchor).unwrap();
    let Err(ReadError::Damaged(damage)) = txn.get::<Diffs>(&key) else { panic!("read as a diff") };
    assert_eq!(damage.table, "Diffs");
    txn.put_raw("Canonical", b"short", &row).unwrap();
    let bad: Vec<_> = txn.scan::<Canonical>(0).unwrap().filter(Result::is_err).collect();
    assert_eq!(bad.len(), 2, "a scan meets both bad rows and goes on");
}
