//! A directory of schema 2, as a network of two nodes left it: blocks, a restart, pruned proofs, pending votes. It is
//! `tests/golden/schema2`, with what its own build said of it. Never made anew: no such build is left in the tree.

use std::{collections::BTreeMap, fs, ops::ControlFlow};

use lamella_chain::{
    Chain, ChainOpenError, ReadOnlyChain, SCHEMA_VERSION,
    schema2::{self, OldDiff, OldForkChoice, OldIdentity},
};
use lamella_tables::{DatabaseView, Key as _, SlotRoot};
use lamella_types::Root;

use crate::golden_directory::GOLDEN;

const INFO: &str = GOLDEN[1].info;

/// Every row of a tree, its seal taken off.
fn rows(database: &DatabaseView, tree: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let txn = database.read().unwrap();
    let rows = txn.tree_rows(tree).unwrap().unwrap();
    let unsealed = rows.map(|row| row.map(|row| (row.key, row.stored)).unwrap());
    unsealed.map(|(key, stored)| (key, stored[..stored.len() - 8].to_vec())).collect()
}

#[test]
fn it_is_known_for_what_it_is_by_every_way_in_and_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    GOLDEN[1].unpack(directory.path());
    let before = fs::read(directory.path().join("mdbx.dat")).unwrap();
    let opened = [Chain::find(directory.path()).err(), ReadOnlyChain::open(directory.path()).err()];
    for error in opened {
        let error = error.unwrap();
        let older = matches!(
            error,
            ChainOpenError::Older { found: schema2::VERSION, known: SCHEMA_VERSION }
        );
        assert!(older && error.to_string().contains("lamella db migrate"), "{error}");
    }
    let database = DatabaseView::open(directory.path()).unwrap();
    let report = lamella_chain::verify(&database, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(report.findings.iter().any(|finding| finding.what.contains("lamella db migrate")));
    drop(database);
    assert_eq!(fs::read(directory.path().join("mdbx.dat")).unwrap(), before);
}

#[test]
fn its_rows_say_what_its_own_build_said_of_it() {
    let directory = tempfile::tempdir().unwrap();
    GOLDEN[1].unpack(directory.path());
    let database = DatabaseView::open(directory.path()).unwrap();
    let says = |text: String| assert!(INFO.contains(&text), "{text} in {INFO}");

    let meta = rows(&database, "Meta");
    let identity = OldIdentity::decode(&meta[&b"identity"[..]]).unwrap();
    says(format!("\"genesis_time\":{}", identity.genesis_time));
    says(format!("\"registry_root\":\"{}\"", identity.registry_root));
    says(format!("\"proof_scheme\":\"{}\"", identity.proof_scheme));
    let view = OldForkChoice::decode(&meta[&b"fork_choice"[..]]).unwrap();
    let finalized = view.finalized;
    says(format!("\"finalized\":{{\"root\":\"{}\",\"slot\":{}}}", finalized.root, finalized.slot));
    says(format!("\"head\":{{\"root\":\"{}\"", view.head));
    let (floor, allowed_by) = schema2::floor(&meta[&b"signature_floor"[..]]).unwrap();
    says(format!("\"signatures_from_slot\":{}", floor.slot));
    assert!(floor.slot <= allowed_by);

    let votes = rows(&database, "Votes");
    says(format!("\"votes\":{}", votes.len()));
    for (key, vote) in votes {
        assert_eq!(SlotRoot::decode(&key).unwrap().slot, schema2::vote(&vote).unwrap().data.slot);
    }
    says(format!("\"blocks\":{}", rows(&database, "Slots").len()));
    says(format!("\"live_blocks\":{}", rows(&database, "LiveChain").len()));

    let canonical = rows(&database, "Canonical");
    let on_chain =
        |slot: u64| canonical.get(&slot.encode()).and_then(|root| Root::from_slice(root));
    let diffs = rows(&database, "Diffs");
    assert_eq!(diffs.len(), rows(&database, "Slots").len() - 1, "all but the anchor");
    for (key, bytes) in diffs {
        let key = SlotRoot::decode(&key).unwrap();
        let diff = OldDiff::decode(&bytes, key.slot).unwrap();
        assert_eq!(diff.validator_count, 2);
        assert_eq!(on_chain(diff.anchor.slot), Some(diff.anchor.root));
        if on_chain(key.slot) == Some(key.root) {
            assert_eq!(on_chain(diff.base.slot), Some(diff.base.root));
        }
    }
}

#[test]
fn its_trees_are_all_there_are() {
    let directory = tempfile::tempdir().unwrap();
    GOLDEN[1].unpack(directory.path());
    let database = DatabaseView::open(directory.path()).unwrap();
    let txn = database.read().unwrap();
    for tree in schema2::TREES {
        assert!(txn.tree_rows(tree).unwrap().is_some(), "{tree}");
    }
    assert!(txn.tree_rows("Blocks").unwrap().is_none());
}
