//! A node that ships while it runs.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use lamella::{
    config::{GossipConfig, IdentityKey, NodeConfig},
    import::Importer,
    node::{Inbox, Node},
};
use lamella_chain::{Archived, Settings};
use lamella_http_api::ServerConfig;
use lamella_network_dir::GenesisConfig;
use lamella_shipping::{
    remote::Remote,
    restorer::Target,
    store::{Access, Store},
    verifier::verify,
};
use lamella_types::limits::SLOT_MS;
use lamella_xmss::scheme::{SchemeName, Trust};
use tempfile::TempDir;

use crate::{
    grown::{SMALL_CHAIN, SMALL_SEGMENTS, go_on, import, restore, settings, ship, small},
    world::{Writer, live_until},
};

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
    Node::open(&shipping(data, archive, api), None, inbox).unwrap()
}

/// A node that ships everything there is, where it ships.
fn shipping(data: &TempDir, archive: Option<&Path>, api: Option<ServerConfig>) -> NodeConfig {
    let archive = archive.map(|folder| folder.to_str().unwrap().to_owned());
    let is_shipping = archive.is_some();
    NodeConfig {
        archive,
        archive_proofs: is_shipping,
        archive_required: is_shipping,
        api,
        ..config(data)
    }
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

/// An address to serve at that nobody has.
fn free_api() -> (ServerConfig, SocketAddr) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = ServerConfig::new(Ipv4Addr::LOCALHOST.into(), port, None);
    (config, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Waits until a node serves metrics that are so.
fn wait_for(what: &str, is_so: &dyn Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < FOREVER, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Symptom: a segment stayed unproven for 68 minutes, with a lag of 0. Mechanism: the cursor moved before the frontier was
/// put; when that failed nothing waited to be shipped, so the next look called it success. Fix: the cursor passes the last
/// segment after the frontier, and after a failure the archive is looked at in any case.
#[test]
fn a_frontier_that_was_not_put_is_a_failure_until_it_is() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    fs::create_dir(data.path().join("db")).unwrap();
    fs::write(data.path().join("db/mdbx.dat"), writer.copy().0).unwrap();
    let (config, api) = free_api();
    let inbox = Inbox::default();
    let node = open_serving(&data, Some(folder.path()), Some(config), &inbox);
    wait_for("its first look", &|| metric(api, "lean_archive_tail_sequence") > 0);
    // A store that takes everything but frontiers.
    let frontiers = folder.path().join(SMALL_CHAIN.network().to_string()).join("frontier");
    let aside = folder.path().join("aside");
    fs::rename(&frontiers, &aside).unwrap();
    fs::write(&frontiers, "").unwrap();
    live_until(node.chain(), &SMALL_CHAIN.blocks);
    let importer = Importer::new(Arc::clone(node.chain()), Arc::new(Trust));
    import(&importer, &SMALL_CHAIN.blocks[5..]);
    // The last one is not proven.
    wait_for("the failure", &|| {
        metric(api, "lean_archive_failing") == 1 && confirmed(&node) == SMALL_SEGMENTS - 1
    });
    assert!(metric(api, "lean_archive_lag_segments") > 0);
    fs::remove_file(&frontiers).unwrap();
    fs::rename(&aside, &frontiers).unwrap();
    wait_for("its repair", &|| metric(api, "lean_archive_failing") == 0);
    assert_eq!(metric(api, "lean_archive_lag_segments"), 0);
    assert_eq!(confirmed(&node), SMALL_SEGMENTS);
    let store = Store::open(folder.path().to_str().unwrap(), Access::Read).unwrap();
    let verified = verify(&Remote::find(store, None).unwrap(), None, true, &mut go_on).unwrap();
    assert_eq!(verified.segments, SMALL_SEGMENTS);
}

#[test]
fn a_node_that_is_fenced_off_says_so_until_it_is_a_new_writer() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = || Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, 5);
    writer.ship(&open).unwrap();
    // Both go on, and have another object of the same number to tell.
    let mut copy = writer.clone_directory(&SMALL_CHAIN);
    copy.import(&SMALL_CHAIN, 2);
    fs::create_dir(data.path().join("db")).unwrap();
    fs::write(data.path().join("db/mdbx.dat"), copy.copy().0).unwrap();
    writer.import(&SMALL_CHAIN, 1);
    writer.ship(&open).unwrap();
    let run = |archive_new_writer: bool, is_failing: u64| {
        let (config, api) = free_api();
        let inbox = Inbox::default();
        let shipping = shipping(&data, Some(folder.path()), Some(config));
        let node =
            Node::open(&NodeConfig { archive_new_writer, ..shipping }, None, &inbox).unwrap();
        let tail = || metric(api, "lean_archive_tail_sequence");
        wait_for("its tail", &|| tail() > 0 || metric(api, "lean_archive_failures_total") > 0);
        assert_eq!(metric(api, "lean_archive_failing"), is_failing);
        assert_eq!(metric(api, "lean_archive_failures_total"), is_failing);
        assert_eq!(tail() == 0, is_failing == 1);
        drop(node);
    };
    run(false, 1);
    // A start changes nothing.
    run(false, 1);
    run(true, 0);
    let tails = folder.path().join(SMALL_CHAIN.network().to_string()).join("tail");
    assert_eq!(fs::read_dir(tails).unwrap().count(), 2, "writers");
    writer.import(&SMALL_CHAIN, 1);
    writer.ship(&open).unwrap();
}

/// Each metric of archiving moves: of a store that fails, and of one that takes everything.
#[test]
fn what_a_shipping_node_counts_is_what_it_shipped() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    SMALL_CHAIN.copy_to(&data.path().join("db"));
    let (config, api) = free_api();
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
