//! A disk with room that fails all the same: the node ends by name, and what it acknowledged is there.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    disk::{DyingDisk, Failing},
    node::{BINARY, Node, head_slot, network, verify},
    wait::output,
};

/// Longest time to the node's end: four slots of 400 ms in which it tries again, and what a busy machine adds.
const END_MAX: Duration = Duration::from_secs(30);

/// Symptom: a dying disk was tried again for ever. Mechanism: only a store that the engine had given up ended the node.
/// Fix: what may pass is tried again in four slots at most.
fn ends_by_name_and_keeps_what_it_acknowledged(failing: Failing) {
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), root.path().join("data"));
    network(&network_dir);
    let disk = DyingDisk::make(root.path(), failing);
    let mut command = Node::command(&network_dir, &data, &[]);
    disk.under(&mut command);
    let mut node = Node::spawn(command);
    let mut acknowledged = None;
    node.wait_for(|line| {
        acknowledged = head_slot(line).or(acknowledged);
        acknowledged >= Some(3)
    });
    disk.die();
    let died = Instant::now();
    let mut lines = Vec::new();
    let stopped = node.wait_for(|line| {
        lines.push(line.to_owned());
        acknowledged = head_slot(line).or(acknowledged);
        line.starts_with("error: ")
    });
    assert_eq!(node.process.wait().unwrap().code(), Some(5), "{stopped}");
    assert!(died.elapsed() < END_MAX, "{:?}", died.elapsed());
    assert!(stopped.contains("the store cannot be used"), "{stopped}");
    assert!(!lines.iter().any(|line| line.contains("free some disk space")), "{lines:?}");

    verify(&data);
    let mut again = Node::start(&network_dir, &data);
    let found = again.wait_for(|line| line.contains(" Started "));
    assert!(head_slot(&found) >= acknowledged, "acknowledged {acknowledged:?}, found {found}");
}

#[test]
fn a_disk_that_refuses_writes_ends_the_node_and_takes_nothing_acknowledged() {
    ends_by_name_and_keeps_what_it_acknowledged(Failing::Writes);
}

#[test]
fn a_disk_that_refuses_flushes_ends_the_node_and_takes_nothing_acknowledged() {
    ends_by_name_and_keeps_what_it_acknowledged(Failing::Flushes);
}

/// Symptom: over a file of which a sector could not be read, `db verify` named it to nobody: it was ended by SIGBUS. Mechanism: after
/// the walk, which reads plainly, it went on to the rows, which are read through a map. Fix: then it says so, and looks at no row.
#[test]
fn what_the_disk_cannot_read_is_named_and_no_row_is_read_through_the_map() {
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), root.path().join("data"));
    network(&network_dir);
    let mut node = Node::start(&network_dir, &data);
    node.wait_for(|line| head_slot(line) >= Some(2));
    node.kill();
    let disk = DyingDisk::make(root.path(), Failing::Reads);
    disk.die();
    let mut command = Command::new(BINARY);
    disk.under(command.args(["db", "verify", "--json", "--data-dir"]).arg(&data));
    let out = output(&mut command);
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let findings = said["findings"].as_array().unwrap();
    let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(all.iter().all(|finding| finding.contains("E1")), "{all:?}");
    assert!(all.iter().any(|finding| finding.contains("cannot be read at byte")), "{all:?}");
    assert!(all.iter().any(|finding| finding.contains("rows are not looked at")), "{all:?}");
    verify(&data);
}
