//! Exact stored bytes. A change here is a change of the format: bump the schema version in `chain`, say what
//! happens to existing directories, then change the expectation in the same commit.

use lamella_tables::{
    Anchors, Bodies, Bytes, Canonical, Diffs, DutyKey, Headers, History, Key, KeyKind, Meta,
    MetaName, Registries, SegmentKey, SignGuard, Signatures, SlotRoot, Slots, TABLES, Votes, trees,
};
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, BlockBody, BlockHeader, Root, Segment,
    Validator, Validators,
};

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

/// One row of every table, as `tree, key in the tree, stored bytes`: long values as their length and XXH3.
#[test]
fn every_table_has_this_name_tree_key_and_seal() {
    let (_directory, database) = new_database();
    let mut txn = database.write().unwrap();
    let root = Root::new([0xaa; 32]);
    let header = BlockHeader { slot: 2, proposer_index: 1, ..BlockHeader::default() };
    let at = SlotRoot::new(2, header.root());
    let body = BlockBody::new(vec![AggregatedAttestation {
        aggregation_bits: AggregationBits::from_indices([0, 3]).unwrap(),
        data: AttestationData::default(),
    }])
    .unwrap();
    let segment = Segment::new(vec![8; 32 * 1024]).unwrap();
    let validators = Validators::new(&[Validator::default()]).unwrap();
    txn.put::<Headers>(&at, &header).unwrap();
    txn.put::<Bodies>(&at, &body).unwrap();
    txn.put::<Signatures>(&at, &Bytes(vec![1, 2])).unwrap();
    txn.put::<Diffs>(&at, &Bytes(vec![3, 4])).unwrap();
    txn.put::<Slots>(&root, &1).unwrap();
    txn.put::<Canonical>(&1, &root).unwrap();
    txn.put::<Anchors>(&at, &Bytes(vec![5, 6])).unwrap();
    txn.put::<History>(&SegmentKey { index: 4, root: segment.root() }, &segment).unwrap();
    txn.put::<Registries>(&validators.root(), &validators).unwrap();
    txn.put::<Votes>(&at, &Bytes(vec![7, 8])).unwrap();
    txn.put::<SignGuard>(&DutyKey { validator_index: 1, kind: KeyKind::Attestation }, &7).unwrap();
    txn.put::<Meta>(&MetaName::new("head"), &Bytes(vec![1, 2, 3])).unwrap();
    txn.commit().unwrap();
    let txn = database.read().unwrap();
    let mut rows = Vec::new();
    for tree in trees() {
        for row in txn.tree_rows(tree).unwrap().unwrap() {
            let row = row.unwrap();
            let stored = match row.stored.len() {
                ..=60 => hex(&row.stored),
                bytes => format!("{bytes} bytes, {:016x}", xxhash_rust::xxh3::xxh3_64(&row.stored)),
            };
            rows.push(format!("{tree} {} {stored}", hex(&row.key)));
        }
    }
    assert_eq!(rows, EVERY_ROW);
    let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
    assert_eq!(
        names.join(" "),
        "Headers Bodies Signatures Slots Canonical Anchors Diffs History Registries Votes SignGuard Meta"
    );
}

const EVERY_ROW: [&str; 12] = [
    "Blocks 00000000000000028f8ab4ea54f153a50b48cc61cad6231c9125b5da613af2127c946b8daa91926a0000 112 bytes, 5a1ff659f8c2f7f9",
    "Blocks 00000000000000028f8ab4ea54f153a50b48cc61cad6231c9125b5da613af2127c946b8daa91926a0001 0101000000000000000000000000000000000000000000000000000000000000000000000001010400092743571a573e14eb",
    "Blocks 00000000000000028f8ab4ea54f153a50b48cc61cad6231c9125b5da613af2127c946b8daa91926a0002 03048d8a9d65e3b78740",
    "Signatures 00000000000000028f8ab4ea54f153a50b48cc61cad6231c9125b5da613af2127c946b8daa91926a 0102bff2e4229e6ee1d0",
    "Slots aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 00000000000000013b304d0db5843891",
    "Canonical 0000000000000001 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaf2b6e8a875320871",
    "Anchors 00000000000000028f8ab4ea54f153a50b48cc61cad6231c9125b5da613af2127c946b8daa91926a 05068ade71b3fe6f742f",
    "History 00000004913e63d3fa2a70f1e61290d7240e6f1abc2413320ef66be0f735ab34826b4447 32768 bytes, abdb98fb30b1fea3",
    "Registries 33164436f8c767a2a28a1430fd49867ccdc209d3e85f07f71dd21dadcd33cee5 112 bytes, 0fec69d5d3147a05",
    "Votes 00000000000000028f8ab4ea54f153a50b48cc61cad6231c9125b5da613af2127c946b8daa91926a 07080874f2de3390341f",
    "SignGuard 000000000000000100 0000000000000007049514a208df44d9",
    "Meta 68656164 01020340ae88559986612f",
];
