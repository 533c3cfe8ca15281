//! A directory of another network.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lamella_testing_devnet::{Network, wait::until};

use crate::TWO;

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_directory_of_another_network_is_refused_and_left_as_it_is() {
    drill();
}

/// A node of one network is given a directory of another.
pub fn drill() {
    // Given a directory with a chain,
    let mut network = Network::make(TWO);
    network.start_all();
    network.wait("a chain", |views| views.iter().all(|view| view.finalized_slot > 0));
    network.stop_and_verify_all();
    let data_dir = network.data_dir(0).to_owned();
    let before = files(&data_dir);
    assert!(!before.is_empty());

    // and a network with another genesis.
    let other = tempfile::tempdir().unwrap();
    let made = Command::new(TWO.program)
        .args(["genesis", "--validators", "1", "--key-slots", "1", "--out"])
        .arg(other.path())
        .output()
        .unwrap();
    assert!(made.status.success());

    // When a node of that one is given the directory,
    let mut node = Command::new(TWO.program)
        .args([
            "node",
            "--exit-with-parent",
            "--node-id",
            "lamella_0",
            "--gossipsub-port",
            "0",
            "--no-api",
            "--network-dir",
        ])
        .arg(other.path())
        .arg("--data-dir")
        .arg(&data_dir)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // then it says what is wrong, and not a byte has changed. If it runs, it ends with the drill: its input closes.
    let status = until("the node is refused", || node.try_wait().unwrap());
    let mut said = String::new();
    node.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    let error = said.lines().last().unwrap();
    assert!(error.starts_with("error: ") && error.contains("another"), "{error}");
    let after = files(&data_dir);
    assert!(
        before == after,
        "changed: {:?}",
        after
            .iter()
            .filter(|(path, bytes)| before.get(*path) != Some(*bytes))
            .map(|(path, _)| path)
            .collect::<Vec<_>>()
    );
    network.stop_and_verify_all();
}
