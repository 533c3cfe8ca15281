//! A follower as a process, of a node as a process: it keeps up, is killed, resumes, and says when it is late.

use std::{
    ffi::OsStr,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
};

use lamella_chain::ReadOnlyChain;
use lamella_inspect::checksum;
use lamella_tables::{Canonical, Read as _};
use lamella_types::Root;
use serde_json::Value;

use crate::{
    node::{BINARY, Node, answer, field, get, head_slot, network, verify},
    wait::until,
};

/// How often the follower is killed.
const KILLS: usize = 3;

/// Slots of the network below have so many milliseconds.
const SLOT_MS: &str = "400";

pub(crate) fn follower(from: impl AsRef<OsStr>, data: &Path) -> Node {
    follower_with(from, data, &[])
}

fn follower_with(from: impl AsRef<OsStr>, data: &Path, flags: &[&str]) -> Node {
    let mut command = Command::new(BINARY);
    command
        .args(["follow", "--api-port", "0", "--max-lag-slots", "4", "--slot-ms", SLOT_MS])
        .args(flags)
        .stdout(Stdio::piped())
        .arg("--from")
        .arg(from)
        .arg("--data-dir")
        .arg(data);
    Node::spawn(command)
}

/// Stops a follower in order; what it said at its end.
fn ended(mut follower: Node) -> String {
    drop(follower.process.stdin.take());
    let mut said = String::new();
    follower.process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(follower.process.wait().unwrap().code(), Some(0), "{said}");
    said
}

/// Slots of the head of an answer and of its block, which may be newer by what came in between.
fn marked(address: &str, path: &str) -> (u64, u64) {
    let (head, body) = answer(address, path);
    let marked = head.lines().find_map(|line| line.strip_prefix("x-head-slot: "));
    let body: Value = serde_json::from_slice(&body).unwrap();
    (marked.unwrap().parse().unwrap(), body["slot"].as_u64().unwrap())
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
    let (marked_slot, slot) = marked(&address, "/lean/v0/headers/head?min_slot=6");
    assert!(6 <= marked_slot && marked_slot <= slot, "it waits: {marked_slot}, {slot}");
    let (status, header) = get(&address, &format!("/lean/v0/headers/{slot}?min_slot={slot}"));
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
    // An object that comes late makes its head late before it is the last one.
    until("stale", || {
        let (status, ready) = get(&address, "/lean/v0/node/ready");
        let reason = "slots behind the clock, 4 allowed: nothing new for more than 4 slots";
        (status == late && String::from_utf8(ready).unwrap().contains(reason)).then_some(())
    });
    assert_eq!(get(&address, "/lean/v0/health").0, late);
    let (marked_slot, slot) = marked(&address, "/lean/v0/headers/head");
    assert_eq!(marked_slot, slot, "nothing comes any more");
    // Its end says where it is, what this run verified and what it did not.
    let said = ended(following);
    let root = format!("head {} at slot {slot}, ", root_at(&folder("follower"), slot));
    for part in [
        "stopped: stale (nothing new for more than 4 slots), object ",
        " comes next; ",
        &root,
        "; verified in this run: ",
        " objects by transition and signatures; not verified: signatures of blocks of segments, ",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_eq!(said.lines().count(), 1);

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
    let mut early = follower_with(&url, &folder("early"), &["--json"]);
    let mut address = api(&mut early);
    let mut taken = 0;
    early.wait_for(|line| {
        let blocks = field(line, "blocks").filter(|_| line.contains("Blocks imported"));
        taken += blocks.map_or(0, |blocks| blocks.parse().unwrap());
        taken >= 3
    });
    let (marked_slot, slot) = marked(&address, "/lean/v0/headers/head?min_slot=6");
    assert!(6 <= marked_slot && marked_slot <= slot, "it waits: {marked_slot}, {slot}");
    until("healthy", || (get(&address, "/lean/v0/health").0 == ok).then_some(()));
    assert_json(&ended(early));
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

/// What a follower that began with genesis says at its end, each field.
fn assert_json(said: &str) {
    let end: Value = serde_json::from_str(said).unwrap();
    let head_slot = end["head_slot"].as_u64().unwrap();
    assert!(head_slot >= 6 && end["finalized_slot"].as_u64() < Some(head_slot), "{said}");
    for root in ["head_root", "finalized_root"] {
        assert!(end[root].as_str().unwrap().starts_with("0x"), "{said}");
    }
    // Stale, by a word of why, is one of a node that is late itself.
    let is_well = ["tail", "catch_up"].contains(&end["state"].as_str().unwrap());
    assert!(is_well || end["state"] == "stale", "{said}");
    assert_eq!(is_well, end["reason"].is_null(), "{said}");
    assert_eq!(end["writer"].as_str().unwrap().len(), 16);
    // From the first object on, each block once.
    assert_eq!(end["next_object"], end["objects"]);
    assert!(end["blocks_of_objects"].as_u64() >= Some(3), "{said}");
    assert_eq!((&end["blocks_past_holes"], &end["signatures_checked"]), (&0.into(), &true.into()));
    for none in ["blocks_of_segments", "frontier_slot", "frontier_root"] {
        assert_eq!(end[none], Value::Null, "{none}");
    }
    assert_eq!(end["root_is_trusted"], false);
    assert_eq!(end.as_object().unwrap().len(), 16, "{said}");
}

/// A follower that was stopped before there was anything says that, and has verified nothing.
#[test]
fn a_follower_of_nothing_says_that_it_verified_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut following = follower(directory.path(), &directory.path().join("data"));
    following.wait_for(|line| line.contains("no archive is there"));
    let said = ended(following);
    assert_eq!(said, "stopped: there is no chain here yet, and nothing was verified\n");
}

/// The root of a directory's canonical block.
fn root_at(data: &Path, slot: u64) -> Root {
    let chain = ReadOnlyChain::open(&data.join("db")).unwrap();
    let txn = chain.database().read().unwrap();
    txn.get::<Canonical>(&slot).unwrap().unwrap()
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
