//! Exact stored bytes. A change here is a change of the format: bump the schema version in `chain`, say what
//! happens to existing directories, then change the expectation in the same commit.

use lamella_tables::Key;
use lamella_tables::{
    Bytes, Canonical, DutyKey, KeyKind, Meta, MetaName, SegmentKey, SignGuard, SlotRoot, Slots,
    TABLES,
};
use lamella_types::Root;

use crate::new_database;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn keys_are_big_endian_and_fixed() {
    let root = Root::new([0xaa; 32]);
    let a = "aa".repeat(32);
    assert_eq!(hex(&SlotRoot::new(258, root).encode()), format!("0000000000000102{a}"));
    assert_eq!(hex(&SegmentKey { index: 3, root }.encode()), format!("00000003{a}"));
    let duty = DutyKey { validator_index: 5, kind: KeyKind::Proposal };
    assert_eq!(hex(&duty.encode()), "000000000000000501");
    assert_eq!(hex(&MetaName::new("head").encode()), "68656164");
}

#[test]
fn a_row_is_its_value_and_a_checksum_of_table_key_and_value() {
    let (_directory, database) = new_database();
    let mut txn = database.write().unwrap();
    let root = Root::new([0xaa; 32]);
    txn.put::<Canonical>(&1, &root).unwrap();
    txn.put::<Slots>(&root, &1).unwrap();
    txn.put::<SignGuard>(&DutyKey { validator_index: 1, kind: KeyKind::Attestation }, &7).unwrap();
    txn.put::<Meta>(&MetaName::new("head"), &Bytes(vec![1, 2, 3])).unwrap();
    txn.commit().unwrap();
    let txn = database.read().unwrap();
    let rows: Vec<String> = TABLES
        .iter()
        .flat_map(|table| {
            let rows = txn.raw_rows(table.name).unwrap().unwrap();
            rows.map(|row| hex(&row.unwrap().stored)).collect::<Vec<_>>()
        })
        .collect();
    let a = "aa".repeat(32);
    assert_eq!(
        rows,
        [
            "00000000000000013b304d0db5843891".to_owned(),
            format!("{a}f2b6e8a875320871"),
            "0000000000000007049514a208df44d9".to_owned(),
            "01020340ae88559986612f".to_owned(),
        ]
    );
}
