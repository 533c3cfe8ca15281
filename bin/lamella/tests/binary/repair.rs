//! `lamella db repair` as a user meets it.

use std::{
    path::Path,
    process::{Command, Output},
};

use lamella_tables::{Database, DutyKey, Key as _, KeyKind, OpenMode, Options, SlotRoot};
use serde_json::Value;

use crate::db::{Fixture, fixture_with};

fn repair(data: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lamella"));
    command.args(["db", "repair", "--data-dir"]).arg(data).args(flags).output().unwrap()
}

fn said(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn change(data: &Path, change: impl FnOnce(&mut lamella_tables::WriteTxn<'_>)) {
    let database = Database::open(&data.join("db"), Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    change(&mut txn);
    txn.commit().unwrap();
}

fn rows(data: &Path) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let database = Database::open(&data.join("db"), Options::new(OpenMode::Existing)).unwrap();
    let txn = database.read().unwrap();
    let of = |name: &'static str| {
        let rows = txn.raw_rows(name).unwrap().unwrap().map(Result::unwrap);
        rows.map(|row| (name, row.key, row.stored)).collect::<Vec<_>>()
    };
    lamella_tables::TABLES.iter().flat_map(|table| of(table.name)).collect()
}

fn key(fixture: &Fixture, slot: u64) -> Vec<u8> {
    SlotRoot::new(slot, fixture.blocks[&slot].0).encode()
}

/// Says first, does when told, ends with verify, and then there is nothing to do. A header, a state, an anchor and indexes
/// come from the other rows.
#[test]
fn what_follows_is_made_again_when_the_user_says_so() {
    let (fixture, chain) = fixture_with(Default::default());
    let data = &fixture.data;
    let (code, text) = said(&repair(data, &[]));
    assert_ne!(code, 0, "a node holds it: {text}");
    drop(chain);
    let before = rows(data);
    let (code, text) = said(&repair(data, &[]));
    assert!(code == 0 && text.contains("nothing to repair"), "{text}");
    change(data, |txn| {
        txn.put_raw("Headers", &key(&fixture, 4), &[1; 112]).unwrap();
        txn.put_raw("Diffs", &key(&fixture, 8), b"damage").unwrap();
        txn.delete_raw("Anchors", &key(&fixture, 1026)).unwrap();
        txn.delete_raw("Canonical", &3_u64.to_be_bytes()).unwrap();
    });
    let damaged = rows(data);
    let (code, text) = said(&repair(data, &[]));
    assert_eq!(code, 1, "{text}");
    for named in ["Headers, key slot 4", "Diffs, key slot 8", "Anchors, key slot 1026", "--apply"] {
        assert!(text.contains(named), "{named}: {text}");
    }
    assert!(rows(data) == damaged, "a dry run changes no row");
    let (code, text) = said(&repair(data, &["--apply"]));
    assert!(code == 0 && text.contains("checks: clean"), "{text}");
    assert!(rows(data) == before, "the rows that they were");
    let json: Value = serde_json::from_slice(&repair(data, &["--apply", "--json"]).stdout).unwrap();
    assert_eq!((&json["repair_count"], &json["commits"]), (&0.into(), &0.into()), "{json}");
    assert_eq!(json["verified"]["finding_count"], 0);
}

/// What nothing proves is told with the reason, and stays as it is.
#[test]
fn what_cannot_be_proven_is_left_and_named() {
    let (fixture, chain) = fixture_with(Default::default());
    let guarded = DutyKey { validator_index: 1, kind: KeyKind::Proposal };
    chain.reserve_slot(9, &[guarded]).unwrap();
    drop(chain);
    let data = &fixture.data;
    let registry = rows(data).into_iter().find(|(table, ..)| *table == "Registries").unwrap().1;
    change(data, |txn| {
        txn.put_raw("SignGuard", &guarded.encode(), &[0; 16]).unwrap();
        txn.delete_raw("Registries", &registry).unwrap();
    });
    let damaged = rows(data);
    let (code, text) = said(&repair(data, &["--apply"]));
    assert_eq!(code, 1, "{text}");
    for named in ["SignGuard, key validator 1 Proposal key", "not guessed", "Registries", "--from"]
    {
        assert!(text.contains(named), "{named}: {text}");
    }
    assert!(rows(data) == damaged);
    let missing = data.join("no-archive");
    let (code, text) = said(&repair(data, &["--from", missing.to_str().unwrap()]));
    assert!(code == 1 && text.contains("no-archive"), "{text}");
}

/// Damaged pages are not rows.
#[test]
fn damaged_pages_are_refused_with_what_helps() {
    let (fixture, chain) = fixture_with(Default::default());
    drop(chain);
    let file = fixture.data.join("db/mdbx.dat");
    let mut bytes = std::fs::read(&file).unwrap();
    let kind = |bytes: &[u8], page: usize| bytes[page * 4096 + 10];
    let leaf = (3..bytes.len() / 4096).find(|page| kind(&bytes, *page) == 2).unwrap();
    // Leaves of older snapshots are nobody's; each is turned round until one counts.
    let mut refused = false;
    for page in leaf..bytes.len() / 4096 {
        if kind(&bytes, page) != 2 {
            continue;
        }
        bytes[page * 4096 + 12] ^= 0xff;
        std::fs::write(&file, &bytes).unwrap();
        let (code, text) = said(&repair(&fixture.data, &["--apply"]));
        refused |= code == 1 && text.contains("archive restore") && text.contains("backup");
        bytes[page * 4096 + 12] ^= 0xff;
    }
    assert!(refused, "no page was refused");
}
