//! Opening, refusing, and the sign guard, on real directories.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod copy;
mod golden;
#[path = "../golden/unpack.rs"]
mod golden_directory;
mod migrate;
mod schema2;
mod ways;

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path, sync::Arc};

use lamella_block_store::Extent;
use lamella_chain::{
    Bootstrap, Chain, ChainOpenError, Found, PruneMode, SCHEMA_VERSION, Settings, ShippedTail,
    TailPosition, verify,
};
use lamella_fork_choice::Recorded;
use lamella_tables::{
    Bytes, Database, DatabaseView, Durability, DutyKey, KeyKind, Meta, MetaName, OpenError,
    OpenMode, Options, RawRow, Read as _,
};
use lamella_types::{
    AttestationData, PublicKeyBytes, Root, State, Validator, Validators, genesis_state,
    limits::SLOT_MS,
};

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
        (row(current - 1, 1024, 1024), "run `lamella db migrate`"),
        (row(current, 2048, 1024), "anchor interval 2048"),
        (row(current, 1024, 512), "segment length 512"),
        (vec![1, 2], "damaged row in table Meta"),
    ] {
        write_meta(directory.path(), "schema", Some(row));
        assert_refused(directory.path(), genesis(7, 4, 1), "raw", text);
    }
    // What a later version of the same layout appends does not stand in the way.
    let longer = [row(current, 1024, 1024), vec![7]].concat();
    write_meta(directory.path(), "schema", Some(longer));
    drop(open(directory.path(), genesis(7, 4, 1), "raw").unwrap());
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

/// S2 of the extent: it must not promise states where it has no blocks, nor keep quiet about states that are there.
#[test]
fn an_extent_that_says_another_first_state_is_a_finding() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    let mut row = Extent::read(&chain.read().unwrap()).unwrap().encode();
    drop(chain);
    // format 1 | bootstrap 40 | ranges 2 | bytes of the range 2 | oldest 40 | parent 32 | states from 8
    row[117..125].copy_from_slice(&9u64.to_be_bytes());
    write_meta(directory.path(), "extent", Some(row));
    let view = DatabaseView::open(directory.path()).unwrap();
    let report = verify(&view, &mut |_| ControlFlow::Continue(())).unwrap();
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let text = "the extent has states from slot 9 on, blocks from slot 0";
    assert!(findings.iter().any(|finding| finding.contains(text)), "{findings:?}");
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

/// Symptom: a node started with another `--slot-ms` on an existing directory went on, at times that no other node knew.
/// Mechanism: the slot length stood nowhere in the directory.
/// Fix: it is part of the identity.
#[test]
fn a_directory_of_another_slot_length_is_refused_by_name_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), genesis(7, 4, 1), "raw").unwrap());
    let before = files(directory.path());
    let settings = Settings { slot_ms: 300, ..Settings::default() };
    let bootstrap = Bootstrap::genesis(genesis(7, 4, 1));
    let refused = Chain::open(directory.path(), bootstrap, "raw", settings).err().unwrap();
    let text = "its slot length in milliseconds is 4000, the configured one is 300";
    assert!(refused.to_string().contains(text), "{refused}");
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_database_whose_first_row_was_never_written_is_none_yet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    // The file and its tables exist, the first transaction never happened.
    drop(Database::open(path, Options::new(OpenMode::Create)).unwrap());
    assert_eq!(Chain::find(path).unwrap(), Found::Nothing);
    let missing = Chain::resume(
        path,
        &lamella_chain::Identity::of(&genesis(7, 4, 1), "raw", SLOT_MS),
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
    let allowed = |chain: &Chain, slot, keys: &[DutyKey]| {
        let reserved = chain.reserve_slot(slot, keys).unwrap();
        assert_eq!(reserved.damaged, []);
        reserved.allowed
    };
    assert_eq!(allowed(&chain, 5, &keys), keys);
    assert_eq!(allowed(&chain, 5, &keys), []);
    assert_eq!(allowed(&chain, 4, &keys), [], "nor at an earlier slot");
    let mixed = [keys[0], key(0, KeyKind::Proposal), key(0, KeyKind::Proposal)];
    assert_eq!(allowed(&chain, 5, &mixed), [key(0, KeyKind::Proposal)]);
    drop(chain);
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    assert_eq!(allowed(&chain, 5, &keys), []);
    assert_eq!(allowed(&chain, 6, &keys), keys);
}

/// Whether the newest commit was flushed, by the meta pages: number at byte 28 of each, sign at byte 188.
fn is_flushed(path: &Path) -> bool {
    let data = fs::read(path.join("mdbx.dat")).unwrap();
    let number = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().unwrap());
    let newest = [0, 4096, 8192].into_iter().max_by_key(|page| number(page + 28));
    number(newest.unwrap() + 188) == u64::MAX
}

/// Symptom: a lazy node that shipped a tail was fenced off by its own objects after a power cut.
/// Mechanism: the cut took the rows that say what it has shipped, so it was an older copy of itself.
/// Fix: what has left the process is flushed, as what was signed is.
#[test]
fn under_lazy_commits_too_what_was_signed_or_shipped_is_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
    let bootstrap = Bootstrap::genesis(genesis(7, 4, 1));
    let (chain, _) = Chain::open(directory.path(), bootstrap, "raw", settings).unwrap();
    chain.set_prune_mode(PruneMode::Light).unwrap();
    assert!(!is_flushed(directory.path()), "a commit that nobody outside knows of");
    let position = TailPosition { writer: [3; 8], next: 1, digest: Root::ZERO };
    let address = "file:///archive".to_owned();
    chain
        .put_shipped_tail(&ShippedTail { position, underway: Root::ZERO, floor: 0, address })
        .unwrap();
    assert!(is_flushed(directory.path()));
    let key = DutyKey { validator_index: 0, kind: KeyKind::Proposal };
    assert_eq!(chain.reserve_slot(5, &[key]).unwrap().allowed, [key]);
    assert!(is_flushed(directory.path()));
}

/// Symptom: one flipped bit in one guard row, and no validator of the node signs any more.
/// Mechanism: the reservation of all keys is one transaction, and a row that cannot be read failed all of it.
/// Fix: the damaged key is refused and named; the others' reservation goes on.
#[test]
fn a_damaged_guard_silences_its_own_key_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    let keys =
        [0, 1, 2].map(|validator_index| DutyKey { validator_index, kind: KeyKind::Attestation });
    assert_eq!(chain.reserve_slot(5, &keys).unwrap().allowed, keys);
    drop(chain);

    let damaged = damage_first_row(directory.path(), "SignGuard");
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    for slot in [6, 7] {
        let reserved = chain.reserve_slot(slot, &keys).unwrap();
        assert_eq!(reserved.allowed, keys[1..]);
        let [damage] = &reserved.damaged[..] else { panic!("{:?}", reserved.damaged) };
        assert!(damage.to_string().contains("SignGuard, key validator 0"), "{damage}");
    }
    drop(chain);
    assert_eq!(first_row(directory.path(), "SignGuard"), damaged, "left as it was");
}

fn first_row(path: &Path, table: &str) -> RawRow {
    let database = DatabaseView::open(path).unwrap();
    let txn = database.read().unwrap();
    txn.raw_rows(table).unwrap().unwrap().next().unwrap().unwrap()
}

/// Flips one bit of the first row of a table.
fn damage_first_row(path: &Path, table: &'static str) -> RawRow {
    let mut row = first_row(path, table);
    row.stored[3] ^= 1;
    let database = Database::open(path, Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    txn.put_raw(table, &row.key, &row.stored).unwrap();
    txn.commit().unwrap();
    row
}

/// Symptom: a vote took 41 to 111 us instead of 1.4.
/// Mechanism: whoever put it into the pools held the view meanwhile, so both were copied for each vote.
/// Fix: the view is asked, dropped, and changed where it is. Who holds one keeps what it had.
#[test]
fn a_vote_changes_the_view_where_it_is_unless_somebody_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    let place = || Arc::as_ptr(&chain.fork_choice());
    let vote = |slot: u64| {
        let data = AttestationData { slot, ..AttestationData::default() };
        chain.change_pools(|pools| pools.record_signature(&data, 1, [7; 8].into()))
    };
    let first = place();
    (0..100).for_each(|slot| assert_eq!(vote(slot), Recorded::New));
    assert_eq!(place(), first, "no copy");
    let held = chain.fork_choice();
    assert_eq!(vote(100), Recorded::New);
    assert_ne!(place(), Arc::as_ptr(&held), "its holder sees no change");
}

#[test]
fn time_is_the_callers_whatever_intervals_were_missed() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path(), genesis(7, 4, 1), "raw").unwrap();
    chain.tick_interval(1, false, None).unwrap();
    // Three ticks failed, or the machine slept.
    chain.tick_interval(5, false, None).unwrap();
    assert_eq!(chain.fork_choice().time(), 5);
    // The clock was set back.
    chain.tick_interval(3, false, None).unwrap();
    assert_eq!(chain.fork_choice().time(), 3);
    chain.set_time(1);
    assert_eq!(chain.fork_choice().time(), 1);
}

/// Symptom: after a crash in a node's very first start `db verify` had four findings and told people to repair. Mechanism: each row
/// that was not there yet was one. Fix: it says that nothing was stored.
#[test]
fn a_database_without_a_row_is_told_as_not_begun() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap();
    let report = verify(&database, &mut |_| ControlFlow::Continue(())).unwrap();
    let findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let said = "I1: nothing has been stored here yet: the next start of a node begins it";
    assert_eq!(findings, [said]);
    drop(database);
    assert!(open(directory.path(), genesis(7, 4, 1), "raw").is_ok());
}
