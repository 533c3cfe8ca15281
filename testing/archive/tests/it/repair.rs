//! What a directory lost and its archive has comes back, and an archive that lies gives nothing.

use std::{collections::BTreeMap, fs, ops::ControlFlow, process::Command};

use lamella_chain::{
    repair::{Mode, RepairReport, Source, To, repair},
    verify,
};
use lamella_shipping::{parts::Parts, remote::Remote};
use lamella_state_transition::compute_post_state;
use lamella_tables::{
    Bytes, Database, DatabaseView, Key as _, Meta, MetaName, OpenMode, Options, Read as _,
    SegmentKey, SlotRoot, TABLES,
};
use lamella_types::{
    Block, BlockBody, BlockHeader, MultiMessageAggregate, Root, Segment, State, Validators,
};

use crate::{
    backfill::BEGAN,
    grown::{SMALL_CHAIN, SMALL_SEGMENTS, from_checkpoint, go_on, small},
    http::serving,
    proofs::ship,
};

/// The transition, and the archive.
struct Archive<'a>(Parts<'a>);

impl Source for Archive<'_> {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        compute_post_state(parent, block).ok().map(|(state, _)| state)
    }

    fn block(&mut self, key: &SlotRoot) -> Option<(BlockHeader, BlockBody)> {
        self.0.block(key)
    }

    fn segment(&mut self, key: &SegmentKey) -> Option<Segment> {
        self.0.segment(key)
    }

    fn registry(&mut self, root: &Root) -> Option<Validators> {
        self.0.registry(root)
    }

    /// Under `trust` every proof is good.
    fn proof(&mut self, key: &SlotRoot, _: &Block, scheme: &str) -> Option<MultiMessageAggregate> {
        assert_eq!(scheme, "trust");
        self.0.proof(key)
    }
}

type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

fn rows(path: &std::path::Path) -> Rows {
    let view = DatabaseView::open(path).unwrap();
    let txn = view.read().unwrap();
    let of = |name: &'static str| {
        let rows = txn.raw_rows(name).unwrap().unwrap().map(Result::unwrap);
        rows.map(|row| ((name, row.key), row.stored)).collect::<Vec<_>>()
    };
    TABLES.iter().flat_map(|table| of(table.name)).collect()
}

/// Deletes rows.
fn lose(path: &std::path::Path, places: &[(&'static str, Vec<u8>)]) {
    let database = Database::open(path, Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    for (table, key) in places {
        assert!(txn.delete_raw(table, key).unwrap());
    }
    txn.commit().unwrap();
}

fn repaired(path: &std::path::Path, remote: &Remote) -> RepairReport {
    let mut archive = Archive(Parts::of(remote).unwrap());
    repair(path, &mut archive, Mode::Apply, &mut go_on).unwrap()
}

/// Bodies, headers, states, segments and the registry of what is sealed, all gone at once.
#[test]
fn a_directory_that_lost_what_is_sealed_is_the_one_it_was_after_a_repair_from_its_archive() {
    let (_folder, remote, _) = small();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    SMALL_CHAIN.copy_to(&path);
    let before = rows(&path);
    let sealed = |(table, key): &&(&'static str, Vec<u8>)| {
        let of_slot = |key: &[u8]| u64::from_be_bytes(key[..8].try_into().unwrap());
        match *table {
            // Forks are in no archive: their blocks have brothers at other slots.
            "Bodies" => (1..2_000).contains(&of_slot(key)) && of_slot(key) % 3 == 0,
            "Registries" | "History" => true,
            _ => false,
        }
    };
    let lost: Vec<_> = before.keys().filter(sealed).cloned().collect();
    assert!(lost.len() > 50, "{}", lost.len());
    lose(&path, &lost);

    let done = repaired(&path, &remote);
    assert_eq!(done.unrepaired, []);
    assert!(rows(&path) == before, "{:?}", done.derived);
    let view = DatabaseView::open(&path).unwrap();
    let report = verify(&view, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// A segment of the archive rotted too: what it held is left, and named.
#[test]
fn what_the_archive_lost_as_well_is_left() {
    let (folder, remote, _) = small();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    SMALL_CHAIN.copy_to(&path);
    let before = rows(&path);
    let body = before.keys().find(|(table, _)| *table == "Bodies").unwrap().clone();
    lose(&path, std::slice::from_ref(&body));
    let network = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    for file in fs::read_dir(network.join("segments")).unwrap() {
        let file = file.unwrap().path();
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, &bytes).unwrap();
    }
    let mut archive = Archive(Parts::of(&remote).unwrap());
    let done = repair(&path, &mut archive, Mode::Apply, &mut go_on).unwrap();
    assert!(done.unrepaired.iter().any(|row| (row.table, &row.key) == (body.0, &body.1)));
    assert_eq!(archive.0.failures().count(), 1);
    assert!(!rows(&path).contains_key(&body));
}

/// Proofs come from the sidecar, if it is the block's; else they are marked.
#[test]
fn a_lost_proof_comes_from_the_sidecar() {
    let (_folder, remote, _) = small();
    ship(&SMALL_CHAIN.chain, &remote, SMALL_SEGMENTS);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    SMALL_CHAIN.copy_to(&path);
    let before = rows(&path);
    let block = |(table, key): &&(&'static str, Vec<u8>)| {
        let key = SlotRoot::decode(key).filter(|_| *table == "Signatures");
        key.filter(|key| (1..1_100).contains(&key.slot))
    };
    let is_canonical = |key: SlotRoot| SMALL_CHAIN.root_at(key.slot) == Some(key.root);
    let sealed = before.keys().filter(|place| block(place).is_some_and(is_canonical));
    let fork = before.keys().find(|place| block(place).is_some_and(|key| !is_canonical(key)));
    let (sealed, fork) = (sealed.take(5).cloned().collect::<Vec<_>>(), fork.unwrap().clone());
    lose(&path, &sealed);
    assert_eq!(repaired(&path, &remote).repair_count, 5);
    assert!(rows(&path) == before);
    lose(&path, std::slice::from_ref(&fork));
    let done = repaired(&path, &remote);
    assert_eq!((done.repairs[0].to, &done.repairs[0].key), (To::Mark, &fork.1));
}

/// The program itself, with proofs in the archive that prove nothing: enough for a directory that says `trust`, and not for one
/// that says `raw`, where the row is marked as not served and no sidecar's proof is put.
#[test]
fn the_program_takes_no_proof_from_a_sidecar_that_does_not_prove_its_block() {
    let (folder, remote, _) = small();
    ship(&SMALL_CHAIN.chain, &remote, SMALL_SEGMENTS);
    for scheme in ["trust", "raw"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        SMALL_CHAIN.copy_to(&path);
        let before = rows(&path);
        let is_sealed = |key: SlotRoot| {
            (1..1_100).contains(&key.slot) && SMALL_CHAIN.root_at(key.slot) == Some(key.root)
        };
        let mut proofs = before.keys().filter(|(table, _)| *table == "Signatures");
        let lost = proofs.find(|(_, key)| SlotRoot::decode(key).is_some_and(is_sealed)).unwrap();
        let database = Database::open(&path, Options::new(OpenMode::Existing)).unwrap();
        let mut txn = database.write().unwrap();
        txn.delete_raw(lost.0, &lost.1).unwrap();
        // The scheme's name, behind its length, is the last thing in the row.
        let identity = MetaName::new("identity");
        let Bytes(row) = txn.get::<Meta>(&identity).unwrap().unwrap();
        let others = row.strip_suffix(b"\x05trust").unwrap();
        let row = [others, &[scheme.len() as u8], scheme.as_bytes()].concat();
        txn.put::<Meta>(&identity, &Bytes(row)).unwrap();
        txn.commit().unwrap();
        drop(database);
        let said = Command::new(env!("CARGO_BIN_EXE_lamella-under-archive"))
            .args(["db", "repair", "--apply", "--from"])
            .arg(folder.path())
            .arg("--data-dir")
            .arg(directory.path())
            .output()
            .unwrap();
        let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        let after = rows(&path);
        assert_eq!(after.get(lost) == before.get(lost), scheme == "trust", "{scheme}: {text}");
        assert!(after.contains_key(lost), "{scheme}: {text}");
        assert_eq!(text.contains("marked"), scheme == "raw", "{scheme}: {text}");
    }
}

/// Symptom: a directory that began at a checkpoint never got its first state back, and no directory a body of the newest
/// thousand blocks. Mechanism: a repair asked for what sealed segments hold, of a node too, and nobody for states. Fix: a
/// node is asked for blocks and states by root; they must hash to what the directory says.
#[test]
fn the_newest_blocks_and_the_state_that_a_directory_began_with_come_from_a_node() {
    let source = tempfile::tempdir().unwrap();
    SMALL_CHAIN.copy_to(&source.path().join("db"));
    let (node, api) = serving(&source);
    // A copy, since this process has the original under lazy commits.
    let (made, directory) = (from_checkpoint(&SMALL_CHAIN, BEGAN), tempfile::tempdir().unwrap());
    let path = directory.path().join("db");
    fs::create_dir(&path).unwrap();
    fs::copy(made.path().join("db/mdbx.dat"), path.join("mdbx.dat")).unwrap();
    let before = rows(&path);
    let of = |name: &str| {
        let name = name.to_owned();
        move |(table, key): &&(&'static str, Vec<u8>)| {
            *table == name && SlotRoot::decode(key).is_some_and(|key| key.slot >= BEGAN)
        }
    };
    let anchor = before.keys().find(of("Anchors")).unwrap();
    assert_eq!(SlotRoot::decode(&anchor.1).unwrap().slot, BEGAN);
    let bodies = before.keys().filter(of("Bodies")).skip(40).take(3);
    let proofs = before.keys().filter(of("Signatures")).skip(60).take(3);
    let registry = before.keys().find(|(table, _)| *table == "Registries").unwrap();
    let lost = [anchor, registry].into_iter().chain(bodies).chain(proofs);
    let lost: Vec<_> = lost.cloned().collect();
    assert_eq!(lost.len(), 8);
    lose(&path, &lost);

    let repair = |from: &str| {
        let said = Command::new(env!("CARGO_BIN_EXE_lamella-under-archive"))
            .args(["db", "repair", "--apply", "--from", from, "--data-dir"])
            .arg(directory.path())
            .output()
            .unwrap();
        let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        (said.status.code(), text)
    };
    let (code, text) = repair(&format!("http://{api}/"));
    assert!(code == Some(0) && text.contains("checks: clean"), "{text}");
    assert!(rows(&path) == before, "the rows that they were: {text}");
    drop(node);
}
