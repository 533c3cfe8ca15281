//! `lamella db backup` and `compact` as a user meets them: beside a node that goes on, and restored with its keys.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lamella::import::{Imported, Importer};
use lamella_chain::{
    BACKUP_SILENT_SLOTS,
    copy::{CopyJob, SNAPSHOT_STAGE},
};
use lamella_tables::{Database, OpenMode, Options, RawRow, TABLES};
use lamella_xmss::scheme::Trust;
use serde_json::Value;

use crate::{
    db::{child, fixture_with},
    guard::Signed,
    node::{BINARY, Node, configure, copy_folder, field, network, verify},
    wait::kill_again_and_again,
};

fn db(data: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("db").args(arguments).arg("--data-dir").arg(data).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every row of a database but the mark of a backup.
fn rows(txn: &lamella_tables::ReadTxn<'_>) -> Vec<(&'static str, RawRow)> {
    let of = |name: &'static str| {
        let rows = txn.raw_rows(name).unwrap().unwrap().map(Result::unwrap);
        rows.map(move |row| (name, row)).filter(|(_, row)| row.key != b"backup").collect::<Vec<_>>()
    };
    TABLES.iter().flat_map(|table| of(table.name)).collect()
}

/// Blocks arrive all the while, on a branch too and below what was carried already; the backup is what one commit left.
#[test]
fn a_backup_beside_a_writer_is_what_one_of_its_commits_left() {
    let (fixture, chain) = fixture_with(Default::default());
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    let to = fixture.data.with_file_name("backup").join("db");
    let mut blocks = fixture.blocks.clone();
    let (mut imported, mut expected) = (0, None);
    let job = CopyJob { commit_rows_max: 2, ..CopyJob::default() };
    let next = |blocks: &mut BTreeMap<u64, _>, imported: &mut u64| {
        // Two on the head's chain, then one beside an old block.
        let (parent_slot, slot) = match *imported % 3 {
            2 => (4, 1035 + *imported),
            _ => (*blocks.last_key_value().unwrap().0, 1035 + *imported),
        };
        let (parent_root, _, parent): &(_, _, lamella_types::State) = &blocks[&parent_slot];
        let block = child(parent, *parent_root, slot, 3);
        assert!(matches!(importer.import(block.1.clone()).unwrap(), Imported::New(_)));
        if *imported % 3 != 2 {
            blocks.insert(slot, block);
        }
        *imported += 1;
    };
    let done = job.backup_from(chain.database(), &to, 8, &mut |at| {
        if at.stage == SNAPSHOT_STAGE && expected.is_none() {
            expected = Some(rows(&chain.read().unwrap()));
        }
        if imported < 60 {
            next(&mut blocks, &mut imported);
        }
        ControlFlow::Continue(())
    });
    let done = done.unwrap();
    assert!(imported > 30 && done.blocks > 14, "{imported} {done:?}");
    let backup = Database::open(&to, Options::new(OpenMode::Existing)).unwrap();
    assert!(rows(&backup.read().unwrap()) == expected.unwrap());
    drop(backup);
    verify(to.parent().unwrap());
}

#[test]
fn a_backup_and_a_compaction_say_what_they_did_and_refuse_what_is_in_the_way() {
    let (fixture, chain) = fixture_with(Default::default());
    let data = &fixture.data;
    let to = data.with_file_name("backup");
    let to_text = to.to_str().unwrap();
    let said = json(&db(data, &["backup", "--to", to_text, "--json"]));
    assert_eq!((&said["blocks"], &said["head_slot"]), (&14.into(), &1030.into()), "{said}");
    assert_eq!(said["silent_slots"], BACKUP_SILENT_SLOTS);
    let info = String::from_utf8(db(&to, &["info"]).stdout).unwrap();
    assert!(info.contains("backup       taken at") && info.contains("no node with keys"), "{info}");
    let again = db(data, &["backup", "--to", to_text]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    let held = db(data, &["compact"]);
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    assert!(String::from_utf8_lossy(&held.stderr).contains("in use by process"), "{held:?}");
    drop(chain);
    let checksum = |data: &Path| json(&db(data, &["checksum", "--to", "1030", "--json"]));
    let before = checksum(data);
    let said = json(&db(data, &["compact", "--json"]));
    assert_eq!(said["tables"].as_array().unwrap().len(), 10, "{said}");
    assert_eq!((checksum(data), checksum(&to)), (before.clone(), before));
    let text = String::from_utf8(db(&to, &["compact"]).stdout).unwrap();
    assert!(text.contains("Blocks") && text.contains("every invariant checked"), "{text}");
    verify(&to);
}

#[test]
fn killed_again_and_again_a_backup_and_a_compaction_end_with_the_same_rows() {
    let (fixture, chain) = fixture_with(Default::default());
    drop(chain);
    let (data, to) = (&fixture.data, fixture.data.with_file_name("backup"));
    let rows_of = |data: &Path| {
        let database = Database::open(&data.join("db"), Options::new(OpenMode::Existing)).unwrap();
        rows(&database.read().unwrap())
    };
    let expected = rows_of(data);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.arg("db").args(arguments).arg("--data-dir").arg(data);
        command
    };
    // Killed when it was whole and had not said so, it is in the way of the next run.
    let judge = || {
        assert!(rows_of(&to) == expected);
        fs::remove_dir_all(&to).unwrap();
    };
    let mut backup = command(&["backup", "--to", to.to_str().unwrap()]);
    kill_again_and_again(&mut backup, |status| {
        assert!([Some(0), Some(2)].contains(&status.code()), "{status}");
        judge();
    });
    if to.join("db").exists() {
        judge();
    }
    assert!(backup.status().unwrap().success());
    judge();
    let mut compact = command(&["compact"]);
    kill_again_and_again(&mut compact, |status| {
        assert!(status.success(), "{status}");
        assert!(rows_of(data) == expected);
    });
    assert!(compact.status().unwrap().success());
    assert!(rows_of(data) == expected);
    assert_eq!(fs::read_dir(data).unwrap().count(), 1, "nothing is left");
    verify(data);
}

/// At which anything was signed.
fn slots(signed: &Signed) -> impl Iterator<Item = u64> {
    let voted = signed.votes.iter().filter(|(_, votes)| **votes > 0).map(|(slot, _)| *slot);
    voted.chain(signed.blocks.keys().copied())
}

/// Milliseconds of a slot of the test below.
const SLOT_MS: u64 = 250;

/// The slot of a network's clock.
fn clock_slot(net: &Path) -> u64 {
    let config = fs::read_to_string(net.join("config.yaml")).unwrap();
    let time = config.lines().find_map(|line| line.strip_prefix("GENESIS_TIME: ")).unwrap();
    let genesis = UNIX_EPOCH + Duration::from_secs(time.parse().unwrap());
    let since = SystemTime::now().duration_since(genesis).unwrap().as_millis();
    u64::try_from(since).unwrap() / SLOT_MS
}

/// A node with the same keys begins with the backup while the original still signs, which then ends: no slot is signed twice,
/// for as long as is promised, and then it takes part. Nothing else could know: it has keys without the guard beside them.
#[test]
fn a_restored_backup_of_a_running_validator_signs_no_slot_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let (net, keys_only, data, restored) =
        (path("net"), path("keys-only"), path("data"), path("restored"));
    network(&net);
    configure(&net, "MILLISECONDS_PER_SLOT", SLOT_MS);
    copy_folder(&net, &keys_only);
    let mut signed = Signed::default();
    let mut original = Node::start(&net, &data);
    original.wait_for(|line| signed.count(line).is_some());
    let to = restored.to_str().unwrap();
    let said = json(&db(&data, &["backup", "--to", to, "--json"]));
    assert!(said["blocks"].as_u64().unwrap() >= 1, "{said}");
    original.wait_for(|line| signed.count(line).is_some());

    let before = clock_slot(&net);
    let mut node = Node::start(&keys_only, &restored);
    let line = node.wait_for(|line| line.contains("is a restored backup"));
    let begun = before..=clock_slot(&net);
    let silent_until: u64 = field(&line, "silent_until").unwrap().parse().unwrap();
    original.wait_for(|line| signed.count(line).is_some());
    signed.count_all(&original.kill());
    let last = *signed.votes.last_key_value().unwrap().0;
    assert!(last < silent_until, "{last}: {line}");
    assert!(begun.contains(&(silent_until - BACKUP_SILENT_SLOTS)), "{begun:?}: {line}");
    // Killed and started again within its silence, it keeps it.
    signed.count_all(&node.kill());
    let mut node = Node::start(&keys_only, &restored);
    let mut first = None;
    node.wait_for(|line| {
        first = signed.count(line);
        first.is_some()
    });
    assert!(first.unwrap() > silent_until, "{first:?} {silent_until}");
    signed.count_all(&node.kill());
    assert!(slots(&signed).all(|slot| slot <= last || slot > silent_until), "{last}");
    let guard = fs::read_dir(keys_only.join("hash-sig-keys")).unwrap();
    assert!(
        guard.flatten().any(|file| file.file_name().to_string_lossy().starts_with("sign-guard"))
    );
    verify(&restored);
}

/// One whose commands are seen from outside: what differs, by table and key, and what can go of what was left.
#[test]
fn a_diff_names_the_rows_and_a_clean_deletes_leftovers_when_told() {
    let (fixture, chain) = fixture_with(Default::default());
    let data = &fixture.data;
    let to = data.with_file_name("backup");
    let diff = |flags: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["db", "diff"]).args([data, &to]).args(flags).output().unwrap()
    };
    let clean = |flags: &[&str]| json(&db(&to, &[&["clean", "--json"], flags].concat()));
    json(&db(data, &["backup", "--to", to.to_str().unwrap(), "--json"]));
    // A backup differs in its mark, beside the running writer too.
    let marked = diff(&["--json"]);
    assert_eq!(marked.status.code(), Some(1), "{marked:?}");
    let said: Value = serde_json::from_slice(&marked.stdout).unwrap();
    assert_eq!(
        (&said["differing"], &said["tables"]["Meta"]["only_second"]),
        (&1.into(), &1.into())
    );
    assert_eq!(said["tables"]["Meta"]["rows"][0]["key"], "backup", "{said}");
    drop(chain);
    let change = |change: &dyn Fn(&mut lamella_tables::WriteTxn<'_>)| {
        let database = Database::open(&to.join("db"), Options::new(OpenMode::Existing)).unwrap();
        let mut txn = database.write().unwrap();
        change(&mut txn);
        txn.commit().unwrap();
    };
    change(&|txn| {
        for slot in 1..=5_u64 {
            assert!(txn.delete_raw("Canonical", &slot.to_be_bytes()).unwrap());
        }
        txn.put_raw("Canonical", &8_u64.to_be_bytes(), b"other").unwrap();
        assert!(txn.delete_raw("Meta", b"backup").unwrap());
    });
    let text = String::from_utf8(diff(&["--limit", "2"]).stdout).unwrap();
    for line in [
        "Canonical: 5 only in the first, 0 only in the second, 1 other",
        "Canonical, key 1: only_first",
        "6 of them different",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("Canonical, key 3"), "{text}");
    let same = Command::new(BINARY).args(["db", "diff"]).args([data, data]).output().unwrap();
    assert!(same.status.success(), "{same:?}");

    // Leftovers: of a job that ended, of one under way, and a database that has only such a name.
    let names = |said: &Value, of: &str| {
        let found = said["leftovers"].as_array().unwrap().iter().filter(|left| left[of] == true);
        found
            .map(|left| left["path"].as_str().unwrap().rsplit_once("db").unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    for name in ["db.restoring", "db.schema-2", "db.compacting"] {
        copy_folder(&to.join("db"), &to.join(name));
    }
    let held = Database::open(&to.join("db.compacting"), Options::new(OpenMode::Existing)).unwrap();
    assert_eq!(names(&clean(&[]), "can_go"), [".schema-2", ".restoring"]);
    assert!(to.join("db.restoring").exists(), "a dry run");
    fs::rename(to.join("db"), to.join("db.before-compact")).unwrap();
    assert_eq!(names(&clean(&["--delete"]), "deleted"), [".restoring"]);
    fs::rename(to.join("db.before-compact"), to.join("db")).unwrap();
    assert_eq!(names(&clean(&["--delete"]), "deleted"), [".schema-2"]);
    drop(held);
    assert_eq!(names(&clean(&["--delete"]), "deleted"), [".compacting"]);
    // What a follower left: a database in a folder of its own.
    for folder in ["rebuilding", "restoring-0011223344556677-000000000007"] {
        fs::create_dir(to.join(folder)).unwrap();
        copy_folder(&to.join("db"), &to.join(folder).join("db"));
    }
    let inner = to.join("rebuilding").join("db");
    let held = Database::open(&inner, Options::new(OpenMode::Existing)).unwrap();
    let said = clean(&["--delete"]);
    let is_left = |left: &&Value| left["deleted"] == false;
    let left: Vec<_> = said["leftovers"].as_array().unwrap().iter().filter(is_left).collect();
    assert!(left.len() == 1 && left[0]["verdict"] == "in use", "{said}");
    drop(held);
    assert_eq!(clean(&["--delete"])["leftovers"][0]["deleted"], true);
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
}
