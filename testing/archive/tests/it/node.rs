//! A node that ships while it runs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use lamella::{
    config::{GossipConfig, IdentityKey, NodeConfig},
    node::{Inbox, Node},
};
use lamella_chain::Archived;
use lamella_network_dir::GenesisConfig;
use lamella_shipping::{
    restorer::Target,
    store::{Access, Store},
    verifier::verify,
};
use lamella_types::limits::SLOT_MS;
use lamella_xmss::scheme::SchemeName;
use tempfile::TempDir;

use crate::grown::{SMALL_CHAIN, SMALL_SEGMENTS, go_on, restore, settings, ship, small};

/// Longer than any shipment here; nothing waits for it unless it is broken.
const FOREVER: Duration = Duration::from_secs(300);

fn open(data: &TempDir, archive: Option<&TempDir>, inbox: &Inbox) -> Node {
    let genesis = &SMALL_CHAIN.genesis;
    let config = NodeConfig {
        node_id: "archiver".to_owned(),
        data_dir: data.path().to_owned(),
        genesis: GenesisConfig {
            genesis_time: genesis.config.genesis_time,
            validators: genesis.validators.clone(),
            attestation_committee_count: 1,
            slot_ms: None,
        },
        assigned: None,
        keys_dir: data.path().to_owned(),
        slot_ms: SLOT_MS,
        is_aggregator: false,
        duty_sync_gate: true,
        proof_scheme: SchemeName::Trust,
        settings: settings(),
        gossip: GossipConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            identity: IdentityKey::of_data_dir(data.path()).unwrap(),
            dial: Vec::new(),
            committee_count: 1,
            subnets: Vec::new(),
        },
        api: None,
        checkpoint_urls: Vec::new(),
        checkpoint_root: None,
        archive: archive.map(|folder| folder.path().to_str().unwrap().to_owned()),
        lost_log_lines: Default::default(),
    };
    Node::open(&config, None, inbox).unwrap()
}

/// How many segments the directory has confirmed.
fn confirmed(node: &Node) -> u64 {
    Archived::read(&node.chain().read().unwrap()).unwrap().map_or(0, |archived| archived.segments)
}

#[test]
fn a_node_ships_what_is_finalized_and_keeps_how_far_it_is() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    SMALL_CHAIN.copy_to(&data.path().join("db"));
    let inbox = Inbox::default();
    let node = open(&data, Some(&folder), &inbox);
    let begun = Instant::now();
    while confirmed(&node) < SMALL_SEGMENTS {
        assert!(begun.elapsed() < FOREVER, "{} segments", confirmed(&node));
        thread::sleep(Duration::from_millis(20));
    }
    drop(node);
    // The frontier comes after the segments, and is there once the thread has ended: a shipment by hand adds what is missing.
    let store = Store::open(folder.path().to_str().unwrap(), Access::Write);
    let (remote, shipment) = ship(&SMALL_CHAIN.chain, store.unwrap()).unwrap();
    assert_eq!((shipment.put, shipment.verified), (0, SMALL_SEGMENTS));
    let verified = verify(&remote, None, true, &mut go_on).unwrap();
    assert_eq!(verified.segments, SMALL_SEGMENTS);
}

#[test]
fn a_restored_directory_starts_as_a_node() {
    let (_folder, remote, _) = small();
    let data = tempfile::tempdir().unwrap();
    let restored = restore(&remote, &data.path().join("db"), Target::Finalized).unwrap();
    let inbox = Inbox::default();
    let node = open(&data, None, &inbox);
    assert_eq!(node.chain().fork_choice().head(), restored.target.root);
    drop(node);
    assert!(fs::exists(data.path().join("node.key")).unwrap());
}
