//! A directory restored to an object of a tail: exactly there, or none.

use std::{fs, ops::ControlFlow, path::Path, process::Command};

use lamella::follow::{FollowError, ReplicaConfig, restore_exactly};
use lamella_archive::ObjectName;
use lamella_chain::{Progress, Settings};
use lamella_inspect::checksum;
use lamella_shipping::{
    remote::Remote,
    store::{Access, Store},
};
use lamella_types::{Root, Slot, limits::SLOT_MS};
use lamella_xmss::scheme::SchemeName;
use tempfile::TempDir;

use crate::{
    grown::SMALL_CHAIN,
    processes::BINARY,
    world::{Writer, digest},
};

/// The writer after each object of its tail: its head, and the digest of all before.
struct Told(Vec<(Slot, Root, String)>);

/// A tail in pieces, the last ones with a sealed segment before them.
fn tell(writer: &mut Writer, folder: &Path) -> Told {
    let open = || Store::open(folder.to_str().unwrap(), Access::Write).unwrap();
    let mut told = Vec::new();
    for blocks in [10, 30, 40, 40, 20, 5] {
        writer.import(&SMALL_CHAIN, blocks);
        assert_eq!(writer.ship(&open).unwrap(), 1);
        let view = writer.chain().fork_choice();
        let head = view.head_summary();
        told.push((head.slot, head.root, digest(writer.chain(), head.slot)));
    }
    assert!(writer.chain().fork_choice().latest_finalized().slot > 1_024);
    Told(told)
}

fn restore(from: &Path, data: &TempDir, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    let command = command
        .args(["archive", "restore", "--proof-scheme", "trust", "--from"])
        .arg(from)
        .arg("--data-dir")
        .arg(data.path())
        .args(flags);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn assert_at(data: &TempDir, (slot, root, expected): &(Slot, Root, String)) {
    let restored = checksum::compute(data.path(), Some(0), Some(*slot)).unwrap();
    assert_eq!(&restored.digest, expected);
    let chain = lamella_inspect::open_chain(data.path()).unwrap();
    let row = lamella_inspect::ends::fork_choice_row(&chain.database().read().unwrap()).unwrap();
    assert_eq!(row.head, *root, "none after it");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1, "nothing beside it");
}

#[test]
fn a_directory_ends_with_the_object_that_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    let Told(told) = tell(&mut writer, folder.path());
    for (sequence, told) in told.iter().enumerate() {
        let data = tempfile::tempdir().unwrap();
        let (code, said) = restore(folder.path(), &data, &["--seq", &sequence.to_string()]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&told.1.to_string()), "{said}");
        assert_at(&data, told);
        let (code, said) = restore(folder.path(), &data, &["--seq", "0"]);
        assert!(code == Some(2), "there is a database: {said}");
    }
}

/// Restore short of its target is an error, and so is a gap.
#[test]
fn what_cannot_end_there_is_said_and_leaves_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    let Told(told) = tell(&mut writer, folder.path());
    let data = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str], says: &str| {
        let (code, said) = restore(folder.path(), &data, flags);
        assert!(code == Some(3) && said.contains(says), "{code:?} {said}");
        assert!(!data.path().join("db").exists(), "{said}");
    };
    refused(&["--seq", "6"], "000000000006.ltal is not there");
    refused(&["--seq", "5", "--writer", "0202020202020202"], "there are: 0101010101010101");
    let object = |sequence| {
        let store = Store::open(folder.path().to_str().unwrap(), Access::Read).unwrap();
        let remote = Remote::of(store, SMALL_CHAIN.network());
        folder.path().join(remote.path(&ObjectName::Tail { writer: writer.id, sequence }))
    };
    let whole = fs::read(object(4)).unwrap();
    fs::remove_file(object(4)).unwrap();
    refused(&["--seq", "5"], "000000000004.ltal is not there");
    // As if it had been expired before the segments reach: its blocks are nowhere.
    for sequence in 0..4 {
        fs::remove_file(object(sequence)).unwrap();
    }
    let other = tempfile::tempdir().unwrap();
    let (code, said) = restore(folder.path(), &other, &["--seq", "5"]);
    assert!(code == Some(3) && said.contains("blocks before it are in no object"), "{said}");
    assert!(!other.path().join("db").exists(), "{said}");
    drop((whole, told));
}

/// Stopped at each step and called again, it comes to the same end.
#[test]
fn a_restoration_to_an_object_goes_on_wherever_it_was_stopped() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Told(told) = tell(&mut Writer::new(&SMALL_CHAIN, 1), folder.path());
    let config = ReplicaConfig {
        source: folder.path().to_str().unwrap().to_owned(),
        network: None,
        trusted: None,
        data_dir: data.path().to_owned(),
        slot_ms: SLOT_MS,
        proof_scheme: SchemeName::Trust,
        settings: Settings::default(),
    };
    let last = told.len() as u64 - 1;
    let mut stops = 0;
    for allowed in 0_u32.. {
        let mut steps = 0;
        let mut go_on = |_: Progress| {
            steps += 1;
            if steps > allowed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match restore_exactly(&config, None, last, &mut go_on) {
            Err(FollowError::Source(error)) if error.to_string().starts_with("stopped") => {
                stops += 1;
            }
            Err(error) => panic!("{error}"),
            Ok(restored) => {
                assert_eq!(restored.head.root, told[told.len() - 1].1);
                break;
            }
        }
        assert!(!data.path().join("db").exists());
    }
    assert!(stops > 3, "{stops}");
    assert_at(&data, &told[told.len() - 1]);
}
