//! Exact bytes of the rows that this crate packs. A change here is a change of the format: bump the schema version, say
//! what happens to existing directories (and keep the decoder of the old bytes for their migration), then change the
//! expectation in the same commit.

use lamella_block_store::Extent;
use lamella_chain::{ForkChoiceRow, Identity, rows};
use lamella_tables::SlotRoot;
use lamella_types::{Checkpoint, Root};

use crate::{genesis, open};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_rows_of_meta_have_these_bytes() {
    let root = |byte| Root::new([byte; 32]);
    let checkpoint = |byte, slot| Checkpoint { root: root(byte), slot };
    let r = |byte: &str| byte.repeat(32);
    let identity = Identity {
        genesis_time: 7,
        registry_root: root(0xaa),
        slot_ms: 4000,
        proof_scheme: "raw".to_owned(),
    };
    let expected = format!("010000000000000007{}0000000000000fa003726177", r("aa"));
    assert_eq!(hex(&rows::put_identity(&identity)), expected);

    let view = ForkChoiceRow {
        tree_root: checkpoint(1, 2),
        head: root(3),
        safe_target: root(4),
        justified: checkpoint(5, 6),
        finalized: checkpoint(7, 8),
        time: 9,
    };
    let at = |byte: &str, slot: &str| format!("{}{slot}00000000000000", r(byte));
    let checkpoints = format!("{}{}", at("05", "06"), at("07", "08"));
    let expected =
        format!("01{}{}{}{checkpoints}0900000000000000", at("01", "02"), r("03"), r("04"));
    assert_eq!(hex(&rows::put_fork_choice(&view)), expected);

    let extent = Extent::begin(SlotRoot::new(258, root(0xaa)), root(0xbb));
    let key = format!("0000000000000102{}", r("aa"));
    let floor = format!("0000000000000000{}0000000000000000", r("00"));
    let range = format!("{key}{}0000000000000102{floor}00", r("bb"));
    assert_eq!(hex(&extent.encode()), format!("01{key}00010081{range}"));
    assert_eq!(hex(&rows::our_schema()), "0000000300000000000004000000000000000400");
}

#[test]
fn meta_has_these_names() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    let txn = chain.read().unwrap();
    let rows = txn.raw_keys("Meta", &[]).unwrap().unwrap();
    let names: Vec<_> = rows.map(|row| String::from_utf8(row.unwrap().key).unwrap()).collect();
    assert_eq!(names, ["blocks", "extent", "fork_choice", "identity", "schema"]);
}
