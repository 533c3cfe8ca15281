//! A store that fails under a running node: it stops by name, and signs and acknowledges nothing after.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use serde_json::Value;

use crate::node::{Node, configure, field, get, network};

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

/// Zeros the pages that hold these bytes, and no other.
fn wipe_pages_of(data: &Path, bytes: &[u8]) {
    let path = data.join("db/mdbx.dat");
    let mut file = fs::read(&path).unwrap();
    let mut wiped = 0;
    for page in file[usize::try_from(META_BYTES).unwrap()..].chunks_mut(4096) {
        if page.windows(bytes.len()).any(|window| window == bytes) {
            page.fill(0);
            wiped += 1;
        }
    }
    assert!(wiped > 0, "no page holds them");
    // In place: the node has the file open and mapped.
    OpenOptions::new().write(true).open(path).unwrap().write_all(&file).unwrap();
}

fn signed(line: &str) -> bool {
    line.contains(" Attested ") && field(line, "validators") != Some("0")
}

/// Waits until the node has stopped because of its store, and gives its last lines.
fn stopped_by_name(node: &mut Node) -> Vec<String> {
    let mut after = Vec::new();
    let stopped = node.wait_for(|line| {
        after.push(line.to_owned());
        line.starts_with("error: ")
    });
    assert!(stopped.contains("the store cannot be used"), "{stopped}");
    assert_eq!(node.process.wait().unwrap().code(), Some(5), "{stopped}");
    let is_named = |line: &String| line.contains("Stopping: the store cannot be used");
    assert!(after.iter().any(is_named), "{after:?}");
    after
}

#[test]
fn a_node_whose_duty_meets_an_unusable_store_first_stops_by_name() {
    // Symptom: a node went on for ever with a store that had given up, missing each duty with a line in the log, or
    // voting for a head that could not move any more. Mechanism: duties logged the store's failure and kept it to
    // themselves; only imports and ticks asked what it meant. Fix: every path fails with one type and ends in one place.
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    // Time to wipe between a vote and the next proposal.
    configure(&net, "MILLISECONDS_PER_SLOT", 4_000);
    // Without votes no tick changes anything, so a duty is the first to meet the store.
    let mut node = Node::start_with(&net, &data, &["--is-aggregator=false"]);
    node.wait_for(signed);
    wipe(&data);
    let after = stopped_by_name(&mut node);
    let met = after.iter().filter(|line| line.contains("Missed a proposal")).count();
    // The engine says of a wiped page only that the transaction has failed, which was taken for worth another try.
    assert_eq!(met, 1, "a proposal met it first, and nothing was tried again: {after:?}");
    assert!(!after.iter().any(|line| signed(line)), "{after:?}");
}

#[test]
fn a_node_is_told_of_an_unusable_store_that_a_request_meets_first() {
    // Symptom: each request to the API failed with the engine's error, and the node went on.
    // Mechanism: the API answered its client and told nobody else. Fix: it hands the failure to the node.
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = Node::start(&net, &data);
    node.wait_for(|line| line.contains("Block imported successfully"));
    node.kill();
    // Without validators and peers a node asks nothing of its store.
    let mut node = Node::start_as("follower", &net, &data, &[]);
    let line = node.wait_for(|line| line.contains("HTTP API listening"));
    let address = field(&line, "api").unwrap().to_owned();
    let (status, header) = get(&address, "/lean/v0/headers/0");
    assert_eq!(status, "HTTP/1.1 200 OK");
    // Only where blocks lie: what the node itself looks at each slot, its readers, is as it was.
    let header: Value = serde_json::from_slice(&header).unwrap();
    let body_root = header["body_root"].as_str().unwrap().trim_start_matches("0x").to_owned();
    wipe_pages_of(&data, &hex::decode(body_root).unwrap());
    let (status, body) = get(&address, "/lean/v0/headers/0");
    assert_eq!(status, "HTTP/1.1 500 Internal Server Error");
    assert!(String::from_utf8(body).unwrap().contains(r#""code":"engine""#));
    let after = stopped_by_name(&mut node);
    assert!(after.iter().any(|line| line.contains("HTTP request failed")), "{after:?}");
}

#[test]
fn a_node_whose_file_is_no_longer_at_its_name_acknowledges_nothing_more() {
    // Symptom: a node whose database was removed, renamed or replaced went on importing into a file that ended with the
    // process. Mechanism: an open file needs no name. Fix: each commit looks whether it is still at its own.
    let directory = tempfile::tempdir().unwrap();
    let net = directory.path().join("net");
    network(&net);
    type Lose = fn(&Path);
    let ways: [(&str, Lose); 3] = [
        ("removed", |file| fs::remove_file(file).unwrap()),
        ("renamed", |file| fs::rename(file, file.with_extension("old")).unwrap()),
        ("replaced", |file| {
            let copy = file.with_extension("copy");
            fs::copy(file, &copy).unwrap();
            fs::rename(copy, file).unwrap();
        }),
    ];
    for (way, lose) in ways {
        let data = directory.path().join(way);
        let mut node = Node::start(&net, &data);
        node.wait_for(|line| line.contains("Block imported successfully"));
        lose(&data.join("db/mdbx.dat"));
        let after = stopped_by_name(&mut node);
        let mut lines = after.iter().skip_while(|line| !line.contains("mdbx.dat was"));
        assert!(lines.next().is_some(), "{way}: {after:?}");
        assert!(
            !lines.any(|line| line.contains("Block imported") || signed(line)),
            "{way}: {after:?}"
        );
    }
}
