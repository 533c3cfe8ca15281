//! Opening, refusing, and the sign guard, on real directories.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path};

use lamella_chain::{Bootstrap, Chain, ChainOpenError, Found, SCHEMA_VERSION, Settings};
use lamella_tables::{
    Bytes, Database, DutyKey, KeyKind, Meta, MetaName, OpenError, OpenMode, Options, Read as _,
};
use lamella_types::{PublicKeyBytes, State, Validator, Validators, genesis_state};

/// The genesis of a chain of `validators` validators, all with keys of this byte.
fn genesis(genesis_time: u64, validators: u64, key: u8) -> State {
    let key = PublicKeyBytes([key; 52]);
    let validators: Vec<_> = (0..validators)
        .map(|index| Validator { attestation_public_key: key, proposal_public_key: key, index })
        .collect();
    genesis_state(genesis_time, Validators::new(&validators).unwrap())
}

fn open(path: &Path, state: State, scheme: &str) -> Result<Chain, ChainOpenError> {
    Chain::open(path, Bootstrap::genesis(state), scheme, Settings::default()).map(|opened| opened.0)
}

/// Every file but the engine's reader table.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| entry.file_name() != "mdbx.lck");
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// Refused with this text, and left as it was.
fn assert_refused(path: &Path, state: State, scheme: &str, text: &str) {
    let before = files(path);
    let Err(error) = open(path, state, scheme) else { panic!("accepted; wanted {text}") };
    assert!(error.to_string().contains(text), "{error}");
    assert_eq!(files(path), before, "left untouched");
}

#[test]
fn a_directory_of_another_chain_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), genesis(7, 4, 1), "raw").unwrap());
    assert_refused(directory.path(), genesis(8, 4, 1), "raw", "its genesis time is 7");
    assert_refused(directory.path(), genesis(7, 5, 1), "raw", "its validator registry root is");
    // The trap: same genesis time, other validators.
    assert_refused(directory.path(), genesis(7, 4, 2), "raw", "its validator registry root is");
    assert_refused(directory.path(), genesis(7, 4, 1), "trust", "its proof scheme is raw");
    drop(open(directory.path(), genesis(7, 4, 1), "raw").unwrap());
}

#[test]
fn another_schema_or_layout_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), genesis(7, 4, 1), "raw").unwrap());
    let row = |version: u32, anchor: u64, segment: u64| {
        let mut row = version.to_be_bytes().to_vec();
        row.extend([anchor.to_be_bytes(), segment.to_be_bytes()].concat());
        row
    };
    let current = SCHEMA_VERSION;
    for (row, text) in [
        (row(current + 1, 1024, 1024), "run a newer lamella"),
        (row(current - 1, 1024, 1024), "there is no migration"),
        (row(current, 2048, 1024), "anchor interval 2048"),
        (row(current, 1024, 512), "segment length 512"),
        (vec![1, 2], "damaged row in table Meta"),
    ] {
        write_meta(directory.path(), "schema", Some(row));
        assert_refused(directory.path(), genesis(7, 4, 1), "raw", text);
    }
    write_meta(directory.path(), "schema", None);
    assert_refused(directory.path(), genesis(7, 4, 1), "raw", "does not say which chain it holds");
    write_meta(directory.path(), "schema", Some(row(current, 1024, 1024)));
    drop(open(directory.path(), genesis(7, 4, 1), "raw").unwrap());
    write_meta(directory.path(), "identity", None);
    assert_refused(directory.path(), genesis(7, 4, 1), "raw", "a schema but no identity");
}

fn write_meta(path: &Path, name: &'static str, row: Option<Vec<u8>>) {
    let database = Database::open(path, Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    match row {
        Some(row) => txn.put::<Meta>(&MetaName::new(name), &Bytes(row)).unwrap(),
        None => assert!(txn.delete::<Meta>(&MetaName::new(name)).unwrap()),
    }
    txn.commit().unwrap();
}

#[test]
fn a_chain_is_never_created_over_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    drop(open(path, genesis(7, 4, 1), "raw").unwrap());
    let before = files(path);
    let again =
        Chain::create(path, Bootstrap::genesis(genesis(7, 4, 1)), "raw", Settings::default());
    assert!(matches!(again, Err(ChainOpenError::Exists)));
    assert_eq!(files(path), before);
}

#[test]
fn a_kill_before_the_first_commit_leaves_nothing_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // The file and its tables exist, the first transaction never happened.
    drop(Database::open(path, Options::new(OpenMode::Create)).unwrap());
    assert_eq!(Chain::find(path).unwrap(), Found::Nothing);
    let missing = Chain::resume(
        path,
        &lamella_chain::Identity::of(&genesis(7, 4, 1), "raw"),
        Settings::default(),
    );
    assert!(matches!(missing, Err(ChainOpenError::Open(OpenError::Missing { .. }))));
    let chain = open(path, genesis(7, 4, 1), "raw").unwrap();
    assert!(chain.read().unwrap().get::<Meta>(&MetaName::new("identity")).unwrap().is_some());
}

#[test]
fn a_bootstrap_state_of_another_block_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let mut bootstrap = Bootstrap::genesis(genesis(7, 4, 1));
    bootstrap.block.block.state_root = lamella_types::Root::new([1; 32]);
    let refused = Chain::create(&path, bootstrap, "raw", Settings::default());
    assert!(matches!(refused, Err(ChainOpenError::Bootstrap(_))));
    assert!(!path.exists(), "nothing was created");
}

#[test]
fn no_key_signs_twice_at_a_slot_not_even_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    let key = |validator_index, kind| DutyKey { validator_index, kind };
    let keys = [key(0, KeyKind::Attestation), key(1, KeyKind::Attestation)];
    assert_eq!(chain.reserve_slot(5, &keys).unwrap(), keys);
    assert_eq!(chain.reserve_slot(5, &keys).unwrap(), []);
    assert_eq!(chain.reserve_slot(4, &keys).unwrap(), [], "nor at an earlier slot");
    let mixed = [keys[0], key(0, KeyKind::Proposal), key(0, KeyKind::Proposal)];
    assert_eq!(chain.reserve_slot(5, &mixed).unwrap(), [key(0, KeyKind::Proposal)]);
    drop(chain);
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    assert_eq!(chain.reserve_slot(5, &keys).unwrap(), []);
    assert_eq!(chain.reserve_slot(6, &keys).unwrap(), keys);
}

#[test]
fn time_is_the_callers_whatever_intervals_were_missed() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    chain.tick_interval(1, false, None).unwrap();
    // Three ticks failed, or the machine slept.
    chain.tick_interval(5, false, None).unwrap();
    assert_eq!(chain.fork_choice().time(), 5);
    // Never back.
    chain.tick_interval(3, false, None).unwrap();
    assert_eq!(chain.fork_choice().time(), 6);
}
