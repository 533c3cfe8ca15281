//! History as files, made by four real nodes: one ships to a folder and one to a bucket over HTTP; both archives verify under a
//! root of a node that did not ship, by the command and by the reader in Python; and a node that lost its directory goes on
//! from what another one shipped.
//!
//! A segment is 1,024 slots. They need not pass: genesis lies in the past, and the chain begins with a thousand empty slots.

use std::{fs, path::Path, process::Command};

use lamella_inspect::database_path;
use lamella_testing_devnet::{Network, NetworkPlan};
use lamella_types::{Root, Slot};

use crate::{
    FOUR, reader,
    rows::rows,
    s3_server::{BUCKET, access, serve, settings},
};

/// Slots of the first segment. It is sealed once this one is finalized, which is one that may be justified after genesis.
const SEGMENT_SLOTS: Slot = 1_024;

/// The nodes have the last slots of the segment to start in.
const PLAN: NetworkPlan = NetworkPlan { past_slots: SEGMENT_SLOTS - 16, key_slots: 1_500, ..FOUR };

// The nodes.
const TO_FOLDER: usize = 0;
const TO_BUCKET: usize = 1;
const WITNESS: usize = 2;
const LOST: usize = 3;

/// `lamella archive` with an environment; its exit code and what it said.
struct Archive {
    environment: Vec<(String, String)>,
}

impl Archive {
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(PLAN.program);
        command.arg("archive").args(arguments).env("NO_COLOR", "1").env_remove("RUST_LOG");
        let output = command.envs(self.environment.clone()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (code, said) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    /// Slot and root of the newest frontier that it lists.
    fn frontier(&self, url: &str) -> (Slot, Root) {
        let listed = self.done(&["ls", url]);
        let newest = listed.lines().filter_map(|line| line.split_once("  frontier/")).next_back();
        let (slot, root) =
            newest.unwrap().1.strip_suffix(".lfrt").unwrap().split_once('-').unwrap();
        (slot.parse().unwrap(), format!("0x{root}").parse().unwrap())
    }

    /// Verified with every state under this root: blocks of the one segment that it has.
    fn verify(&self, url: &str, slot: Slot, root: &str) -> u64 {
        let said = self.done(&["verify", url, "--deep", "--root", root]);
        let blocks = number(&said, "slots, ");
        let whole = format!(
            "verified: 1 segments, 1024 slots, {blocks} blocks, {blocks} states; \
             root {root} at slot {slot} (the root you gave); not proven: "
        );
        assert!(said.starts_with(&whole), "{said}");
        blocks
    }
}

/// The number after these words.
fn number(said: &str, words: &str) -> u64 {
    let (_, rest) = said.split_once(words).unwrap_or_else(|| panic!("{words:?} is not in {said}"));
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

/// What the second reader says of an archive's folder: so many blocks, and proofs of so many.
fn read_again(folder: &Path, root: &str, blocks: u64) -> Option<u64> {
    let output = reader::read(reader::python()?, folder, root);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let whole = format!(
        "verified: 1 segments, 1024 slots, {blocks} blocks, {blocks} states; root {root}; not proven: "
    );
    assert!(output.status.success() && said.starts_with(&whole), "{said}");
    Some(number(&said, "proofs of "))
}

#[test]
fn four_nodes_ship_to_a_folder_and_a_bucket_and_a_lost_one_goes_on_from_what_was_shipped() {
    let outside = tempfile::tempdir().unwrap();
    let served = tempfile::tempdir().unwrap();
    let (endpoint, _runtime) = serve(served.path(), Some(access()));
    let environment = settings(endpoint).map(|(name, value)| (name.to_uppercase(), value));
    let archive = Archive { environment: environment.to_vec() };
    let folder = outside.path().join("archive");
    let (bucket, folder_url) = (format!("s3://{BUCKET}/drill"), folder.to_str().unwrap());

    // Given four nodes, two of which ship.
    let mut network = Network::make(PLAN);
    network.set_environment(environment);
    network.spawn(TO_FOLDER, &["--archive", folder_url]);
    network.spawn(TO_BUCKET, &["--archive", &bucket, "--archive-proofs"]);
    network.spawn(WITNESS, &[]);
    network.spawn(LOST, &[]);
    network.until("every node answers", |network| network.views().map(drop));
    network.wait("the segment's slots are over", |views| {
        views.iter().all(|view| view.head_slot >= SEGMENT_SLOTS)
    });
    network.wait("the segment is finalized", |views| {
        views.iter().all(|view| view.finalized_slot >= SEGMENT_SLOTS)
    });
    for (node, line) in
        [(TO_FOLDER, " Archived and confirmed "), (TO_BUCKET, " Proofs archived and compared ")]
    {
        network.until(line, |network| network.logged(node).contains(line).then_some(()));
    }

    // Then each archive verifies under the root that a node says which did not ship, by either reader.
    let mut verified = Vec::new();
    for (url, folder) in [(folder_url, folder.clone()), (&bucket, served.path().join(BUCKET))] {
        let (slot, shipped) = archive.frontier(url);
        let views = network.wait("the witness finalizes it", |views| {
            views.iter().all(|view| view.finalized_slot >= slot)
        });
        assert_eq!(views.len(), 4);
        let (root, _) = network.client(WITNESS).header(slot).unwrap().unwrap();
        assert_eq!(root, shipped);
        let root = root.to_string();
        let blocks = archive.verify(url, slot, &root);
        let proofs = read_again(&folder, &root, blocks);
        assert!(proofs.is_none_or(|proofs| (proofs > 0) == (url == bucket)), "{proofs:?} at {url}");
        let (code, said) = archive.run(&["verify", url, "--root", &Root::new([7; 32]).to_string()]);
        assert_eq!(code, Some(3), "{said}");
        verified.push((blocks, slot, root));
    }
    let [(to_folder, ..), (to_bucket, slot, root)] = &verified[..] else { panic!("{verified:?}") };
    assert_eq!(to_folder, to_bucket);

    // When a validator's node loses its database, and it is made again from the bucket.
    network.kill(LOST);
    let (database, lost) = (database_path(network.data_dir(LOST)), outside.path().join("lost"));
    fs::rename(&database, &lost).unwrap();
    let data_dir = network.data_dir(LOST).to_str().unwrap().to_owned();
    let slot_ms = PLAN.slot_ms.to_string();
    let to = ["--slot-ms", &slot_ms, "--data-dir", &data_dir];
    let from = ["restore", "--from", &bucket, "--finalized", "--trusted", root];
    let said = archive.done(&[&from[..], &to].concat());
    assert!(said.contains(&format!("proven under root {root} at slot {slot} (the root")), "{said}");
    let end = number(&said, " at slot ");
    assert!((SEGMENT_SLOTS - 16..SEGMENT_SLOTS).contains(&end), "{said}");

    // Then it has the rows that were lost, and goes on as the node that it was, which signs.
    assert!(rows(&database, Slot::MAX) == rows(&lost, end), "{end}");
    network.verify(LOST);
    let finalized = network.view(WITNESS).unwrap().finalized_slot;
    network.start(LOST);
    assert_eq!(network.resumed_at(LOST), end);
    let votes = |network: &Network| {
        let metrics = network.client(LOST).metrics().unwrap();
        metrics.count("lean_pq_sig_attestation_signatures_total")
    };
    network.until("it is where the others are, votes, and all finalize on", |network| {
        let views = network.views()?;
        let are_on = views.iter().all(|view| view.finalized_slot > finalized);
        (are_on && views[LOST].head == views[WITNESS].head && votes(network) > 0).then_some(())
    });
    let finalized = network.view(LOST).unwrap().finalized_slot;
    network.stop_and_verify_all();
    network.same_chain(WITNESS, LOST, 0, finalized);
}
