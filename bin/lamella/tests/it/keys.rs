//! Whole keys, of a scheme whose trees are short, on the real binary: a node signs past what they were prepared for.

use std::{fs, path::Path};

use lamella_network_dir::{NetworkDir, Role};
use lamella_xmss::{TEST, generate};

use crate::node::{Node, field, get, network};

/// Validators of the network.
const VALIDATORS: u64 = 4;

/// Slots that each key was prepared for when it was made: two trees of sixteen.
const PREPARED: u64 = 32;

/// Gives the network's validators whole keys of the test scheme: 256 slots, the first 32 prepared.
fn whole_keys(net: &Path) {
    let paths = NetworkDir::new(net);
    let mut config = fs::read_to_string(&paths.config).unwrap();
    for index in 0..VALIDATORS {
        for (role, kind) in [(Role::Attester, 0_u8), (Role::Proposer, 1)] {
            let seed = [u8::try_from(index).unwrap() * 2 + kind; 32];
            let pair = generate(&TEST, &seed, 0, TEST.lifetime_slots(), &|_| ()).unwrap();
            let folder = &paths.keys_dir;
            let public = folder.join(format!("validator_{index}_{role}_key_pk.ssz"));
            let old = hex::encode(fs::read(&public).unwrap());
            let new = hex::encode(pair.public_key.encode());
            assert!(config.contains(&old), "{index} {role}");
            config = config.replace(&old, &new);
            let annotated = fs::read_to_string(&paths.annotated_validators).unwrap();
            fs::write(&paths.annotated_validators, annotated.replace(&old, &new)).unwrap();
            fs::write(folder.join(role.default_key_file(index)), pair.secret_key.encode()).unwrap();
        }
    }
    fs::write(&paths.config, config).unwrap();
}

/// Symptom: whole keys would have stopped signing at slot 131,072, while the log promised slot 2^18.
/// Mechanism: keys are prepared for two trees of slots, and nothing outside of tests built the next one.
/// Fix: a thread builds it when the second of them is begun; log, metrics and readiness say what can be signed.
#[test]
fn a_node_signs_on_past_the_slots_that_its_keys_were_prepared_for() {
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    whole_keys(&net);
    let flags = ["--proof-scheme", "raw-test"];
    let mut node = Node::start_with(&net, &data, &flags);
    let loaded = node.wait_for(|line| line.contains("Loaded validator keys"));
    assert!(loaded.contains("prepared_last_slot=31 last_slot=255"), "{loaded}");
    let listening = node.wait_for(|line| line.contains("HTTP API listening"));
    let address = field(&listening, "api").unwrap().to_owned();

    // Every vote of every slot, over the end of what was prepared.
    let mut prepared = 0;
    let mut last = None;
    let reached = node.wait_for(|line| {
        prepared += u32::from(line.contains("Key prepared"));
        assert!(!line.contains("Missed"), "{line}");
        // In the slot that it is started in it signs nothing.
        let is_vote = line.contains(" Attested ");
        if !is_vote || last.is_none() && field(line, "validators") == Some("0") {
            return false;
        }
        assert_eq!(field(line, "validators"), Some("4"), "{line}");
        let slot: u64 = field(line, "slot").unwrap().parse().unwrap();
        assert!(last.replace(slot).is_none_or(|last| last < slot), "{line}");
        slot > PREPARED + 2
    });
    // Both keys of each validator got the trees of slots 32 and 48.
    assert!(prepared >= 2 * 8, "{prepared} trees: {reached}");
    let metrics = String::from_utf8(get(&address, "/metrics").1).unwrap();
    for value in
        ["lean_validator_keys_prepared_end_slot 64\n", "lean_validator_keys_end_slot 256\n"]
    {
        assert!(metrics.contains(value), "{value}");
    }
    node.wait_for(|line| line.contains(" Finalized ") && finalized(line) > PREPARED);
    node.kill();

    // What was built is kept, so a restart signs at once.
    let mut node = Node::start_with(&net, &data, &flags);
    let mut is_unprepared = false;
    let attested = node.wait_for(|line| {
        is_unprepared |= line.contains("These keys cannot sign yet");
        assert!(!line.contains("Missed"), "{line}");
        line.contains(" Attested ") && field(line, "validators") != Some("0")
    });
    assert!(!is_unprepared && field(&attested, "validators") == Some("4"), "{attested}");
    node.kill();

    // Without it a node says that its keys are prepared for other slots, and builds what it needs first.
    for file in fs::read_dir(NetworkDir::new(&net).keys_dir).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "prepared") {
            fs::remove_file(path).unwrap();
        }
    }
    let mut node = Node::start_with(&net, &data, &flags);
    let unprepared = node.wait_for(|line| line.contains("These keys cannot sign yet"));
    assert_eq!(field(&unprepared, "keys"), Some("8"), "{unprepared}");
    node.wait_for(|line| line.contains(" Attested ") && field(line, "validators") == Some("4"));
    node.kill();
}

fn finalized(line: &str) -> u64 {
    field(line, "slot").unwrap().parse().unwrap()
}
