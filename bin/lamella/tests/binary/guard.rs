//! Old copies of a data directory, and what is left of the sign guard when one of its two places is gone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    node::{BINARY, Node, configure, copy_folder, field, get, network},
    wait::until,
};

/// What the logs of one network say was signed: attestations by slot, and proposals.
#[derive(Default)]
pub(crate) struct Signed {
    pub(crate) votes: BTreeMap<u64, u64>,
    pub(crate) blocks: BTreeMap<u64, u64>,
}

impl Signed {
    /// Counts what a line says; no slot may have more than one vote a validator, and one block.
    pub(crate) fn count(&mut self, line: &str) -> Option<u64> {
        let number = |name| field(line, name)?.parse::<u64>().ok();
        let slot = number("slot")?;
        let (signed, by, most) = if line.contains(" Attested ") {
            (&mut self.votes, number("validators")?, 4)
        } else if line.contains("Block imported") {
            (&mut self.blocks, 1, 1)
        } else {
            return None;
        };
        let all = signed.entry(slot).or_default();
        *all += by;
        assert!(*all <= most, "slot {slot} signed twice: {line}");
        (by == 4).then_some(slot)
    }
}

impl Signed {
    pub(crate) fn count_all(&mut self, lines: &[String]) {
        for line in lines {
            self.count(line);
        }
    }
}

/// A node with slots long enough for it to be killed, its directory replaced, and started again within one.
fn start(net: &Path, data: &Path) -> Node {
    configure(net, "MILLISECONDS_PER_SLOT", 3_000);
    let mut command = Command::new(BINARY);
    command
        .args(["node", "--node-id", "lamella_0", "--no-api"])
        .args(["--gossipsub-port", "0", "--network-dir"])
        .arg(net)
        .arg("--data-dir")
        .arg(data);
    Node::spawn(command)
}

/// The guard beside the keys with every key at this slot, as a node writes it.
fn guard_at(guard: &Path, slot: u64) -> String {
    let name = guard.file_stem().unwrap().to_string_lossy().into_owned();
    let genesis_time = name.rsplit('-').next().unwrap();
    let keys = (0..4).flat_map(|index| ["attestation", "proposal"].map(|kind| (index, kind)));
    let said = keys.map(|(index, kind)| format!("{index} {kind} {slot}"));
    let lines = said.chain(["end 8".to_owned()]).map(|said| {
        let sum = xxh3_64(format!("lamella sign guard {genesis_time} {said}").as_bytes());
        format!("{said} {sum:016x}\n")
    });
    lines.collect()
}

fn guard_file(net: &Path) -> PathBuf {
    let is_guard = |path: &PathBuf| path.to_string_lossy().contains("sign-guard");
    let mut files =
        fs::read_dir(net.join("hash-sig-keys")).unwrap().map(|file| file.unwrap().path());
    files.find(is_guard).unwrap()
}

#[test]
fn an_old_copy_of_the_directory_signs_no_slot_again() {
    // Symptom: a copy of a data directory, restored within the slot, and four validators signed the slot a second time.
    // Mechanism: the guard of the copy was older than what the keys had signed, and only keys that it had never heard of
    // waited for the next slot. Fix: every start reserves the slot that it falls into, and a second guard lies beside the
    // keys.
    for keep_second_guard in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let (net, data, old) = (path("net"), path("data"), path("old"));
        network(&net);
        let mut signed = Signed::default();
        // Given a directory, a copy of it, and a node that signed on after the copy was made.
        let mut node = start(&net, &data);
        node.wait_for(|line| signed.count(line).is_some());
        signed.count_all(&node.kill());
        copy_folder(&data, &old);
        let mut node = start(&net, &data);
        node.wait_for(|line| signed.count(line).is_some());
        signed.count_all(&node.kill());

        // When the copy takes its place within the slot, with the second guard or without it.
        fs::remove_dir_all(&data).unwrap();
        fs::rename(&old, &data).unwrap();
        if !keep_second_guard {
            fs::remove_file(guard_file(&net)).unwrap();
        }
        let mut node = start(&net, &data);
        let mut said_so = false;
        // Then no slot is signed twice, and it takes part again.
        let mut more = 0;
        node.wait_for(|line| {
            said_so |= line.contains("signed more than this data directory knows");
            more += u32::from(signed.count(line).is_some());
            more == 2
        });
        signed.count_all(&node.kill());
        assert_eq!(said_so, keep_second_guard);
        assert!(signed.votes.len() >= 4, "{:?}", signed.votes);
    }
}

#[test]
fn what_the_guard_beside_the_keys_has_is_not_signed_again_and_damage_in_it_silences_keys() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = Node::start(&net, &data);
    let attested =
        node.wait_for(|line| line.contains("Attested") && field(line, "validators") == Some("4"));
    let first: u64 = field(&attested, "slot").unwrap().parse().unwrap();
    node.kill();

    // Given keys that signed ahead of this clock: it was set back, and the directory is new besides.
    let guard = guard_file(&net);
    let ahead = first + 40;
    fs::remove_dir_all(&data).unwrap();
    fs::write(&guard, guard_at(&guard, ahead)).unwrap();
    let mut node = Node::start(&net, &data);
    let mut silent = 0;
    let attested = node.wait_for(|line| {
        let is_attested = line.contains("Attested");
        silent += u32::from(is_attested && field(line, "validators") == Some("0"));
        is_attested && field(line, "validators") != Some("0")
    });
    let slot: u64 = field(&attested, "slot").unwrap().parse().unwrap();
    assert!(slot > ahead, "{attested}");
    assert!(silent > 0, "the clock was past the guard's slot already");
    node.kill();

    // And a line that cannot be read silences its key, and no other.
    let text = fs::read_to_string(&guard).unwrap();
    fs::write(&guard, text.replacen("0 attestation ", "0 attestation 1", 1)).unwrap();
    let mut node = Node::start(&net, &data);
    let refused = node.wait_for(|line| line.contains("A key that will not sign"));
    assert!(
        refused.contains("validator 0 Attestation key") && refused.contains("sign-guard"),
        "{refused}"
    );
    let attested =
        node.wait_for(|line| line.contains("Attested") && field(line, "validators") != Some("0"));
    assert_eq!(field(&attested, "validators"), Some("3"), "{attested}");
}

/// Symptom: a guard beside the keys that could not be written made a node silent. Each missed vote was a line of the log;
/// a missed block said that its key had signed already, and health and metrics said that all was well.
/// Mechanism: nobody but the log was told. Fix: readiness and a metric say so, until a later duty can write it again.
#[test]
fn a_guard_that_cannot_be_written_is_told_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = Node::start(&net, &data);
    let line = node.wait_for(|line| line.contains("HTTP API listening"));
    let address = field(&line, "api").unwrap().to_owned();
    let metric = |name: &str| {
        let (_, metrics) = get(&address, "/metrics");
        let metrics = String::from_utf8(metrics).unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse::<u64>().unwrap()
    };
    let keys = || {
        let (_, body) = get(&address, "/lean/v0/node/ready");
        let body: Value = serde_json::from_slice(&body).unwrap();
        let reason = body["keys"]["reason"].as_str().unwrap().to_owned();
        (body["keys"]["is_ok"].as_bool().unwrap(), reason)
    };
    let votes = |line: &str| line.contains(" Attested ") && field(line, "validators") == Some("4");
    node.wait_for(votes);
    assert!(keys().0);

    // When a folder stands where the file was.
    let guard = guard_file(&net);
    fs::remove_file(&guard).unwrap();
    fs::create_dir_all(guard.join("in the way")).unwrap();
    let line = node.wait_for(|line| line.contains("Not signing, until the guard"));
    assert!(line.contains("sign-guard"), "{line}");
    let missed = node.wait_for(|line| line.contains("Missed a proposal"));
    assert!(missed.contains("cannot keep the sign guard"), "{missed}");
    until("readiness says so", || (!keys().0).then_some(()));
    assert!(keys().1.contains("nothing is signed: cannot keep the sign guard"), "{}", keys().1);
    assert!(metric("lean_sign_guard_copy_failures_total") > 0);

    // When it can be written again, it is, and the validators go on.
    fs::remove_dir_all(&guard).unwrap();
    node.wait_for(|line| line.contains("The guard beside the keys can be written again"));
    node.wait_for(votes);
    until("readiness says so", || keys().0.then_some(()));
    assert!(guard.is_file());
}
