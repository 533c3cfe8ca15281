//! A lost row of the canonical index, as the tools meet it.

use std::process::Command;

use lamella_inspect::{LookupError, which};
use lamella_tables::{Durability, Key as _};
use lamella_types::{Checkpoint, Root};

use crate::db::fixture_with;

/// A start derives the newest 1,030 rows of the index again; the rest of it nobody but a reader looks at.
#[test]
fn a_lost_canonical_row_is_damage_and_no_skipped_slot() {
    let (fixture, chain) = fixture_with(Durability::Durable);
    let mut txn = chain.database().write_raw().unwrap();
    assert!(txn.delete_raw("Canonical", &3_u64.encode()).unwrap());
    txn.commit().unwrap();
    let db = |arguments: &[&str]| {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_lamella"));
        tool.arg("db").args(arguments).arg("--data-dir").arg(&fixture.data).output().unwrap()
    };
    let root = fixture.blocks[&3].0.to_string();
    for command in [
        &["get", "block", "3"][..],
        &["get", "state", "3"],
        &["get", "header", &root],
        &["checksum", "--to", "1030"],
        &["checksum", "--from", "3", "--to", "5"],
        &["checksum", "--from", "1", "--to", "3"],
    ] {
        let output = db(command);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{command:?}: {error}");
        assert!(
            error.contains("table Canonical") && error.contains("lamella db verify"),
            "{error}"
        );
        assert!(output.stdout.is_empty());
    }
    for command in [&["get", "state", "2"][..], &["checksum", "--from", "4", "--to", "1030"]] {
        assert_eq!(db(command).status.code(), Some(0), "{command:?}: what can be proven is given");
    }
    assert_eq!(db(&["get", "block", "6"]).status.code(), Some(3), "a skipped slot");
}

/// Symptom: a node whose canonical row of a slot is lost bans every peer that finalized that slot's block.
/// Mechanism: no row was taken for another chain.
/// Fix: only a block found there, or a gap that its neighbours prove, speaks against a peer.
#[test]
fn a_lost_canonical_row_speaks_against_no_peer() {
    let (fixture, chain) = fixture_with(Durability::Durable);
    let contradicts = |slot: u64, root: Root| {
        which::contradicts(&chain.read().unwrap(), &Checkpoint { slot, root })
    };
    let (ours, other) = (fixture.blocks[&3].0, Root::new([7; 32]));
    assert!(!contradicts(3, ours).unwrap());
    assert!(contradicts(3, other).unwrap());
    assert!(contradicts(6, other).unwrap(), "the slot was skipped");
    assert!(!contradicts(u64::MAX, other).unwrap(), "nothing is known of it");
    let mut txn = chain.database().write_raw().unwrap();
    assert!(txn.delete_raw("Canonical", &3_u64.encode()).unwrap());
    txn.commit().unwrap();
    for root in [ours, other] {
        assert!(matches!(contradicts(3, root), Err(LookupError::Read(_))));
    }
}
