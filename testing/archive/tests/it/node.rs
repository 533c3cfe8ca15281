//! A node that ships while it runs.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lamella::{
    config::{GossipConfig, IdentityKey, NodeConfig},
    node::{Inbox, Node},
};
use lamella_chain::{Archived, Settings};
use lamella_http_api::ServerConfig;
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
pub const FOREVER: Duration = Duration::from_secs(300);

/// Slots of proofs that the nodes here keep.
const WINDOW: u64 = 100;

fn open(data: &TempDir, archive: Option<&Path>, inbox: &Inbox) -> Node {
    open_serving(data, archive, None, inbox)
}

pub fn open_serving(
    data: &TempDir,
    archive: Option<&Path>,
    api: Option<ServerConfig>,
    inbox: &Inbox,
) -> Node {
    let archive = archive.map(|folder| folder.to_str().unwrap().to_owned());
    let is_shipping = archive.is_some();
    let config = NodeConfig {
        archive,
        archive_proofs: is_shipping,
        archive_required: is_shipping,
        api,
        ..config(data)
    };
    Node::open(&config, None, inbox).unwrap()
}

/// A node of the small chain's network, without validators, peers or servers.
pub fn config(data: &TempDir) -> NodeConfig {
    let genesis = &SMALL_CHAIN.genesis;
    NodeConfig {
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
        // Short enough for proofs to be beyond it.
        settings: Settings { signature_window_slots: WINDOW, ..settings() },
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
        history: Vec::new(),
        archive: None,
        archive_proofs: false,
        archive_required: false,
        archive_new_writer: false,
        scrub: None,
        lost_log_lines: Default::default(),
    }
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
    let node = open(&data, Some(folder.path()), &inbox);
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

/// The value of a metric that a node serves.
pub fn metric(api: SocketAddr, name: &str) -> u64 {
    let mut stream = TcpStream::connect(api).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

/// Each metric of archiving moves: of a store that fails, and of one that takes everything.
#[test]
fn what_a_shipping_node_counts_is_what_it_shipped() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    SMALL_CHAIN.copy_to(&data.path().join("db"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = ServerConfig::new(Ipv4Addr::LOCALHOST.into(), port, None);
    let api = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let until = |archive: &Path, shipped: u64, is_done: &dyn Fn() -> bool| {
        let inbox = Inbox::default();
        let node = open_serving(&data, Some(archive), Some(config.clone()), &inbox);
        let begun = Instant::now();
        while !is_done() {
            assert!(begun.elapsed() < FOREVER, "{} segments", confirmed(&node));
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(metric(api, "lean_archive_segments_sealed"), SMALL_SEGMENTS);
        assert_eq!(metric(api, "lean_archive_segments_shipped"), shipped);
        assert_eq!(metric(api, "lean_archive_lag_segments"), SMALL_SEGMENTS - shipped);
    };
    let file = folder.path().join("no folder");
    fs::write(&file, "").unwrap();
    until(&file, 0, &|| {
        metric(api, "lean_archive_failures_total") > 0
            && metric(api, "lean_archive_failing") == 1
            && metric(api, "lean_archive_held_slots") == 2_300 - WINDOW
    });
    until(folder.path(), SMALL_SEGMENTS, &|| {
        metric(api, "lean_archive_bytes_total") > 0
            && metric(api, "lean_archive_proofs_shipped") == SMALL_SEGMENTS
            && metric(api, "lean_archive_held_slots") == 0
    });
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
