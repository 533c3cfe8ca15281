//! A store that fails under a running node: it stops by name, and signs nothing after.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use crate::node::{Node, field, network};

/// The engine's meta pages, at the begin of the file; whatever follows them can be lost without a crash of its own.
const META_BYTES: u64 = 3 * 4096;

/// Zeros every page of the database but its meta pages, as a failing disk or another program may.
fn wipe(data: &Path) {
    let path = data.join("db/mdbx.dat");
    let bytes = fs::metadata(&path).unwrap().len();
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(META_BYTES)).unwrap();
    file.write_all(&vec![0; usize::try_from(bytes - META_BYTES).unwrap()]).unwrap();
}

fn signed(line: &str) -> bool {
    line.contains(" Attested ") && field(line, "validators") != Some("0")
}

#[test]
fn a_node_whose_duty_meets_an_unusable_store_first_stops_by_name() {
    // Symptom: a node went on for ever with a store that had given up, missing each duty with a line in the log, or
    // voting for a head that could not move any more. Mechanism: duties logged the store's failure and kept it to
    // themselves; only imports and ticks asked what it meant. Fix: every path fails with one type and ends in one place.
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    // Without votes no tick changes anything, so a duty is the first to meet the store.
    let mut node = Node::start_with(&net, &data, &["--is-aggregator=false"]);
    node.wait_for(signed);
    wipe(&data);
    let mut after = Vec::new();
    let stopped = node.wait_for(|line| {
        after.push(line.to_owned());
        line.starts_with("error: ")
    });
    assert!(stopped.contains("the store cannot be used"), "{stopped}");
    assert_eq!(node.process.wait().unwrap().code(), Some(5), "{stopped}");
    assert!(
        after.iter().any(|line| line.contains("Stopping: the store cannot be used")),
        "{after:?}"
    );
    let met = after.iter().filter(|line| line.contains("Missed a proposal")).count();
    assert!(met > 0, "a proposal met it first: {after:?}");
    assert!(!after.iter().any(|line| signed(line)), "{after:?}");
}
