//! Whole keys, of a scheme whose trees are short: nodes sign past what the keys were prepared for.

use std::fs;

use lamella_network_dir::{NetworkDir, Role};
use lamella_testing_devnet::{Network, NetworkPlan, log};
use lamella_types::Slot;
use lamella_xmss::{TEST, generate};

use crate::TWO;

/// Two nodes with two validators each: neither has the votes that finality takes. The keys that the network is made with
/// are replaced.
const PLAN: NetworkPlan =
    NetworkPlan { key_slots: 1, flags: &["--proof-scheme", "raw-test"], ..TWO };

/// Slots that each key is prepared for when it is made: two trees of sixteen.
const PREPARED: Slot = 32;

/// Keys of a node.
const KEYS: usize = 4;

/// Gives the network's validators whole keys of the test scheme: 256 slots, the first 32 prepared.
fn give_whole_keys(paths: &NetworkDir) {
    let mut config = fs::read_to_string(&paths.config).unwrap();
    for index in 0..PLAN.validators {
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

/// The last slot that both have finalized.
fn wait_finalized(network: &mut Network, slot: Slot) {
    network.wait("both finalize", |views| {
        views.len() == 2 && views.iter().all(|view| view.finalized_slot > slot)
    });
}

/// Nothing was left unsigned for a key, and a slot that was signed for was signed for with all keys.
fn all_signed(log: &str) {
    assert!(!log.contains("Missed an attestation"), "{log}");
    let votes = log.lines().filter(|line| line.contains(" Attested "));
    // In the slot that it is started in a node signs nothing.
    let votes = votes.skip_while(|line| log::field(line, "validators") == Some("0"));
    let few = votes.filter(|line| log::field(line, "validators") != Some("2"));
    assert_eq!(few.collect::<Vec<_>>(), [""; 0]);
}

/// Symptom: whole keys would have stopped signing at slot 131,072, while the log promised slot 2^18.
/// Mechanism: keys are prepared for two trees of slots, and nothing outside of tests built the next one.
/// Fix: a thread builds it when the second of them is begun; log, metrics and readiness say what can be signed.
#[test]
fn nodes_sign_on_past_the_slots_that_their_keys_were_prepared_for() {
    // Given two nodes with keys of which two trees are prepared,
    let mut network = Network::make(PLAN);
    let paths = network.paths();
    give_whole_keys(&paths);
    network.start_all();
    let logged = network.logged(1);
    let loaded = logged.lines().find(|line| line.contains("Loaded validator keys")).unwrap();
    assert!(loaded.contains("prepared_last_slot=31 last_slot=255"), "{loaded}");

    // when the slots of these are over, then finality, for which both must vote, goes on,
    wait_finalized(&mut network, PREPARED + 2);
    for node in [0, 1] {
        // since each of its keys got two more trees.
        let end = |network: &Network| {
            let metrics = network.client(node).metrics().unwrap();
            metrics.value("lean_validator_keys_prepared_end_slot")
        };
        let logged = network.until("two more trees of each key", |network| {
            let logged = network.logged(node);
            let prepared = logged.lines().filter(|line| line.contains("Key prepared")).count();
            (prepared >= 2 * KEYS && end(network) >= Some(64.0)).then_some(logged)
        });
        all_signed(&logged);
        let metrics = network.client(node).metrics().unwrap();
        let value = |series| metrics.value(series).unwrap();
        assert!((value("lean_validator_keys_end_slot") - 256.0).abs() < 0.5);
    }

    // What was built is kept, so a node that is killed signs at once when it is back.
    let unprepared = "These keys cannot sign yet";
    network.kill(1);
    network.start(1);
    let back = network.slot();
    wait_finalized(&mut network, back);
    assert!(!network.logged(1).contains(unprepared));
    all_signed(&network.logged(1));

    // Without it a node says that its keys are prepared for other slots, and builds what it needs first.
    network.kill(1);
    for file in fs::read_dir(&paths.keys_dir).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "prepared") {
            fs::remove_file(path).unwrap();
        }
    }
    network.start(1);
    let logged = network.logged(1);
    let line = logged.lines().find(|line| line.contains(unprepared)).unwrap();
    assert_eq!(log::field(line, "keys"), Some("4"), "{line}");
    let back = network.slot();
    wait_finalized(&mut network, back);
    network.stop_and_verify_all();
}
