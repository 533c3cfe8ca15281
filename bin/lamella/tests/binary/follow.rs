//! A follower as a process, of a node as a process: it keeps up, is killed, resumes, and says when it is late.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
};

use lamella_inspect::checksum;

use crate::{
    node::{BINARY, Node, field, get, head_slot, network, verify},
    wait::until,
};

/// How often the follower is killed.
const KILLS: usize = 3;

/// Slots of the network below have so many milliseconds.
const SLOT_MS: &str = "400";

pub(crate) fn follower(from: impl AsRef<OsStr>, data: &Path) -> Node {
    let mut command = Command::new(BINARY);
    command
        .args(["follow", "--api-port", "0", "--max-lag-slots", "4", "--slot-ms", SLOT_MS])
        .arg("--from")
        .arg(from)
        .arg("--data-dir")
        .arg(data);
    Node::spawn(command)
}

/// Where the API of a node or a follower listens.
pub(crate) fn api(process: &mut Node) -> String {
    let line = process.wait_for(|line| line.contains("HTTP API listening"));
    field(&line, "api").unwrap().to_owned()
}

#[test]
fn a_follower_of_a_shipping_node_resumes_after_each_kill_with_equal_rows_and_says_when_it_is_late()
{
    let directory = tempfile::tempdir().unwrap();
    let folder = |name: &str| directory.path().join(name);
    let (net, archive) = (folder("net"), folder("archive"));
    std::fs::create_dir(&archive).unwrap();
    network(&net);
    // It waits for the archive.
    let mut following = follower(&archive, &folder("follower"));
    following.wait_for(|line| line.contains("no archive is there"));
    let to = ["--archive", archive.to_str().unwrap()];
    let mut node = Node::start_with(&net, &folder("data"), &to);
    let mut address = api(&mut following);
    following.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= 3));

    let (ok, late) = ("HTTP/1.1 200 OK", "HTTP/1.1 503 Service Unavailable");
    assert_eq!(get(&address, "/lean/v0/headers/head?min_slot=6").0, ok, "it waits");
    let (status, header) = get(&address, "/lean/v0/headers/6?min_slot=6");
    assert_eq!(status, ok, "{}", String::from_utf8_lossy(&header));
    let (status, refused) = get(&address, "/lean/v0/headers/head?min_slot=9999999");
    assert_eq!(status, late);
    assert!(String::from_utf8(refused).unwrap().contains("\"not_yet\""));
    until("healthy", || (get(&address, "/lean/v0/health").0 == ok).then_some(()));
    let mut head = 6;
    for _ in 0..KILLS {
        following.kill();
        let line = node.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= head + 4));
        let (before, now) = (head, head_slot(&line).unwrap());
        following = follower(&archive, &folder("follower"));
        address = api(&mut following);
        let resumed = following.wait_for(|line| line.contains("position="));
        assert!(head_slot(&resumed).unwrap() >= before, "{resumed}");
        following.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= now));
        head = now;
    }
    node.kill();
    until("late", || (get(&address, "/lean/v0/health").0 == late).then_some(()));
    let (status, ready) = get(&address, "/lean/v0/node/ready");
    assert_eq!(status, late);
    let ready = String::from_utf8(ready).unwrap();
    assert!(ready.contains("slots behind the clock, 4 allowed"), "{ready}");
    following.kill();

    verify(&folder("follower"));
    let of = |name: &str| checksum::compute(&folder(name), Some(0), Some(head)).unwrap();
    assert_eq!(of("follower"), of("data"));
}

/// Followers need no archive: a node tells its tail to whoever asks, also in its next life.
#[test]
fn followers_of_a_node_over_http_have_its_rows_whenever_they_start_and_whoever_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let folder = |name: &str| directory.path().join(name);
    let (net, ok) = (folder("net"), "HTTP/1.1 200 OK");
    network(&net);
    let reach = |process: &mut Node, slot: u64| {
        let line = process.wait_for(|line| head_slot(line).is_some_and(|head| head >= slot));
        head_slot(&line).unwrap()
    };
    let mut node = Node::start(&net, &folder("data"));
    let mut url = format!("http://{}", api(&mut node));
    let mut early = follower(&url, &folder("early"));
    let mut address = api(&mut early);
    reach(&mut early, 3);
    assert_eq!(get(&address, "/lean/v0/headers/6?min_slot=6").0, ok, "it waits");
    until("healthy", || (get(&address, "/lean/v0/health").0 == ok).then_some(()));
    early.kill();
    let mut head = reach(&mut node, 8);

    let mut late = follower(&url, &folder("late"));
    reach(&mut late, head);
    early = follower(&url, &folder("early"));
    address = api(&mut early);
    reach(&mut early, head);
    node.kill();
    until("late", || (get(&address, "/lean/v0/health").0 != ok).then_some(()));
    early.kill();
    // It listens elsewhere now; the other follower has lost its source.
    node = Node::start(&net, &folder("data"));
    url = format!("http://{}", api(&mut node));
    early = follower(&url, &folder("early"));
    address = api(&mut early);
    head = reach(&mut node, head + 3);
    reach(&mut early, head);
    late.kill();
    // A follower tells a tail too.
    late = follower(format!("http://{address}"), &folder("late"));
    reach(&mut late, head);
    for process in [&mut node, &mut early, &mut late] {
        process.kill();
    }
    let of = |name: &str| checksum::compute(&folder(name), Some(0), Some(head)).unwrap();
    for name in ["early", "late"] {
        verify(&folder(name));
        assert_eq!(of(name), of("data"), "{name}");
    }
}

#[test]
fn a_nodes_directory_is_not_followed_into() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("node.key"), "").unwrap();
    let output = Command::new(BINARY)
        .args(["follow", "--from", "/nowhere", "--data-dir"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("a follower has a directory of its own"), "{said}");
}
