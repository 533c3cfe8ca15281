//! `lamella db` as a user meets it, on a chain with a fork, skipped slots and an anchor, beside its open writer.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use lamella::import::{Imported, Importer};
use lamella_chain::{Bootstrap, Chain, Settings};
use lamella_state_transition::compute_post_state;
use lamella_tables::{Database, Durability, OpenMode, Options};
use lamella_types::{
    Block, Decode, MultiMessageAggregate, ProofBytes, Root, SignedBlock, State, Validator,
    Validators, genesis_state, slot::proposer_for_slot, to_ssz,
};
use lamella_xmss::scheme::Trust;
use serde_json::Value;

/// A chain at slots 0 to 5, 8 (6 and 7 skipped), 1022, 1026 to 1030 and a fork after slot 1, in `data/db`.
pub(crate) struct Fixture {
    _directory: tempfile::TempDir,
    pub(crate) data: PathBuf,
    /// Canonical blocks by slot.
    pub(crate) blocks: BTreeMap<u64, (Root, SignedBlock, State)>,
    fork: Root,
}

pub(crate) fn child(
    parent: &State,
    parent_root: Root,
    slot: u64,
    proof: u8,
) -> (Root, SignedBlock, State) {
    let proposer_index = proposer_for_slot(slot, parent.validators.len() as u64).unwrap();
    let mut block = Block { slot, proposer_index, parent_root, ..Block::default() };
    let (state, root) = compute_post_state(parent, &block).unwrap();
    block.state_root = root;
    let proof = ProofBytes::new(vec![proof; 500]).unwrap();
    let root = block.header().root();
    (root, SignedBlock { block, proof: MultiMessageAggregate { proof } }, state)
}

fn fixture() -> (Fixture, Arc<Chain>) {
    fixture_with(Durability::default())
}

pub(crate) fn fixture_with(durability: Durability) -> (Fixture, Arc<Chain>) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let validators: Vec<_> =
        (0..4).map(|index| Validator { index, ..Validator::default() }).collect();
    let settings = Settings { durability, ..Settings::default() };
    let genesis = genesis_state(7, Validators::new(&validators).unwrap());
    let bootstrap = Bootstrap::genesis(genesis.clone());
    let first = (bootstrap.block.block.header().root(), bootstrap.block.clone(), genesis);
    let (chain, _) = Chain::open(&data.join("db"), bootstrap, "trust", settings).unwrap();
    let chain = Arc::new(chain);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    let mut blocks = BTreeMap::from([(0, first)]);
    for slot in [1, 2, 3, 4, 5, 8, 1022, 1026, 1027, 1028, 1029, 1030] {
        let (_, (parent_root, _, parent)) = blocks.last_key_value().unwrap();
        let block = child(parent, *parent_root, slot, 1);
        assert!(matches!(importer.import(block.1.clone()).unwrap(), Imported::New(_)));
        blocks.insert(slot, block);
    }
    // A sibling of the block at slot 2. Without votes the larger root wins, so it needs a smaller one.
    let (parent_root, _, parent) = &blocks[&1];
    let mut siblings = (3..1000).map(|slot| child(parent, *parent_root, slot, 2));
    let fork = siblings.find(|sibling| sibling.0 < blocks[&2].0).unwrap();
    importer.import(fork.1).unwrap();
    assert_eq!(chain.fork_choice().head(), blocks[&1030].0);
    (Fixture { _directory: directory, data, blocks, fork: fork.0 }, chain)
}

fn db(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lamella"));
    command.arg("db").args(arguments).arg("--data-dir").arg(data).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(data: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&text(&db(data, &[arguments, &["--json"]].concat()))).unwrap()
}

fn refusal(data: &Path, arguments: &[&str]) -> (i32, String) {
    let output = db(data, arguments);
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_state_is_there_and_hashes_to_its_blocks_state_root() {
    let (fixture, _writer) = fixture();
    for (slot, (root, signed, expected)) in &fixture.blocks {
        let slot = slot.to_string();
        let ssz = db(&fixture.data, &["get", "state", &slot, "--ssz", "-"]);
        assert!(ssz.status.success());
        assert_eq!(State::from_ssz(&ssz.stdout).unwrap().root(), signed.block.state_root);
        assert_eq!(ssz.stdout, expected.to_ssz(), "slot {slot}");
        let block = db(&fixture.data, &["get", "block", &root.to_string(), "--ssz", "-"]).stdout;
        assert_eq!(block, to_ssz(&signed.block));
        let whole = db(&fixture.data, &["get", "block", &slot, "--ssz", "-", "--signed"]).stdout;
        assert_eq!(whole, to_ssz(signed));
    }
    let state = json(&fixture.data, &["get", "state", "1026"]);
    assert_eq!(state["slot"], 1026);
    assert_eq!(state["historical_block_hashes"].as_array().unwrap().len(), 1026);
    assert!(text(&db(&fixture.data, &["get", "state", "head"])).contains("the block's own: yes"));
    assert!(text(&db(&fixture.data, &["get", "diff", "5"])).contains("base         slot 4"));
    let fork = text(&db(&fixture.data, &["get", "header", &fixture.fork.to_string()]));
    assert!(fork.contains("on another branch"), "{fork}");
}

#[test]
fn what_is_not_there_is_told_apart() {
    let (fixture, _writer) = fixture();
    let unknown = Root::new([9; 32]).to_string();
    for (which, text) in [
        ("6", "slot 6 was skipped: the chain has no block between slots 5 and 8"),
        ("1031", "slot 1031 is beyond the head, which is at slot 1030"),
        (&*unknown, "no block has root 0x0909"),
    ] {
        let (code, error) = refusal(&fixture.data, &["get", "state", which]);
        assert_eq!(code, 3, "{error}");
        assert!(error.contains(text), "{error}");
    }
    let (code, error) = refusal(&fixture.data, &["get", "diff", "1026"]);
    assert!(code == 3 && error.contains("stored whole"), "{error}");
    for wrong in ["no-such-block", &"11".repeat(32), "+1"] {
        let (code, error) = refusal(&fixture.data, &["get", "state", wrong]);
        assert!(code == 2 && error.contains("0x and 64 hex digits"), "{error}");
    }
    for (range, expected) in [(["5", "4"], 2), (["0", "1031"], 3)] {
        let (code, error) =
            refusal(&fixture.data, &["checksum", "--from", range[0], "--to", range[1]]);
        assert_eq!(code, expected, "{error}");
    }
    let empty = tempfile::tempdir().unwrap();
    for command in [&["info"][..], &["stats"], &["verify"], &["checksum"], &["get", "state", "1"]] {
        let (code, error) = refusal(empty.path(), command);
        assert!(code == 1 && error.contains("no database at"), "{error}");
    }
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "nothing was created");
}

#[test]
fn a_file_is_written_whole_and_not_over_another_one() {
    let (fixture, _writer) = fixture();
    let file = fixture.data.join("state.ssz");
    let path = file.to_str().unwrap();
    text(&db(&fixture.data, &["get", "state", "4", "--ssz", path]));
    assert_eq!(std::fs::read(&file).unwrap(), fixture.blocks[&4].2.to_ssz());
    let (code, error) = refusal(&fixture.data, &["get", "state", "5", "--ssz", path]);
    assert!(code == 1 && error.contains("--force"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), fixture.blocks[&4].2.to_ssz());
    text(&db(&fixture.data, &["get", "state", "5", "--ssz", path, "--force"]));
    assert_eq!(std::fs::read(&file).unwrap(), fixture.blocks[&5].2.to_ssz());
}

#[test]
fn info_stats_checksum_and_inspect_say_what_is_stored() {
    let (fixture, _writer) = fixture();
    let info = json(&fixture.data, &["info"]);
    assert_eq!(info["head"]["slot"], 1030);
    assert_eq!((&info["blocks"], &info["live_blocks"]), (&Value::from(14), &Value::from(14)));
    assert_eq!((&info["validators"], &info["proof_scheme"]), (&4.into(), &"trust".into()));
    assert!(text(&db(&fixture.data, &["info"])).contains("(the engine's figures)"));
    let stats = json(&fixture.data, &["stats"]);
    let rows = |name: &str| {
        let tables = stats["tables"].as_array().unwrap();
        tables.iter().find(|table| table["name"] == name).unwrap()["rows"].as_u64().unwrap()
    };
    assert_eq!((rows("Slots"), rows("Anchors")), (14, 2));
    let checksum = |to: &str| json(&fixture.data, &["checksum", "--to", to]);
    assert_eq!(checksum("1030")["blocks"], 13);
    assert_eq!(checksum("7"), {
        let mut same = checksum("5");
        same["to_slot"] = 7.into();
        same
    });
    assert_ne!(checksum("5")["digest"], checksum("4")["digest"]);
    let rows = json(&fixture.data, &["inspect", "Canonical", "--skip", "6", "--limit", "2"]);
    assert_eq!(rows[0]["key"], "0000000000000008");
    let (code, error) = refusal(&fixture.data, &["inspect", "Blocks"]);
    assert!(code == 2 && error.contains("possible values: Headers, "), "{error}");
}

#[test]
fn verify_is_clean_and_then_finds_what_was_damaged() {
    let (fixture, writer) = fixture();
    let report = json(&fixture.data, &["verify"]);
    assert_eq!(report["finding_count"], 0);
    assert!(report["check_count"].as_u64().unwrap() > 200, "{report}");
    drop(writer);

    let path = fixture.data.join("db");
    let database = Database::open(&path, Options::new(OpenMode::Existing)).unwrap();
    let key = [&5_u64.to_be_bytes()[..], fixture.blocks[&5].0.as_bytes()].concat();
    let mut txn = database.write().unwrap();
    txn.put_raw("Diffs", &key, b"damage").unwrap();
    txn.commit().unwrap();
    drop(database);

    let output = db(&fixture.data, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(found.contains("S2: damaged row in table Diffs, key slot 5"), "{found}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("findings"));
    let (code, error) = refusal(&fixture.data, &["get", "state", "5"]);
    assert!(code == 5 && error.contains("table Diffs"), "{error}");
    assert!(text(&db(&fixture.data, &["get", "state", "4"])).contains("yes"), "the rest is served");
}

/// Symptom: `verify` named a damaged row of an index below the live tree, and nothing could mend it, though headers say
/// what it held: a start looks at the newest blocks only. Fix: `db derive` derives all of it, and the finding says so.
#[test]
fn a_damaged_row_of_an_index_is_derived_when_the_user_says_so() {
    let (fixture, chain) = fixture();
    let (root, _, _) = &fixture.blocks[&3];
    let keys = [("Slots", root.as_bytes().to_vec()), ("Canonical", 4_u64.to_be_bytes().to_vec())];
    let mut txn = chain.database().write_raw().unwrap();
    for (table, key) in &keys {
        txn.put_raw(table, key, &[7; 16]).unwrap();
    }
    txn.commit().unwrap();
    let busy = db(&fixture.data, &["derive"]);
    assert_eq!(busy.status.code(), Some(1), "a node holds it");
    drop(chain);
    let found = db(&fixture.data, &["verify"]);
    assert_eq!(found.status.code(), Some(1));
    let found = String::from_utf8(found.stdout).unwrap();
    for table in ["Slots", "Canonical"] {
        let in_table = format!("in table {table}");
        let is_named =
            |line: &str| line.contains(&in_table) && line.contains("`lamella db derive`");
        assert!(found.lines().any(is_named), "{found}");
    }
    let derived: Value =
        serde_json::from_str(&text(&db(&fixture.data, &["derive", "--json"]))).unwrap();
    assert_eq!((&derived["slots"], &derived["canonical"]), (&1.into(), &1.into()), "{derived}");
    text(&db(&fixture.data, &["verify"]));
    assert!(text(&db(&fixture.data, &["derive"])).contains("as it should be"));
    // What does not follow is named, and nothing is written.
    let database =
        Database::open(&fixture.data.join("db"), Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    let header = [&1030_u64.to_be_bytes(), &fixture.blocks[&1030].0.as_bytes()[..]].concat();
    assert!(txn.delete_raw("Headers", &header).unwrap());
    txn.commit().unwrap();
    drop(database);
    let refused = db(&fixture.data, &["derive"]);
    assert_eq!(refused.status.code(), Some(5), "{}", String::from_utf8_lossy(&refused.stderr));
}
