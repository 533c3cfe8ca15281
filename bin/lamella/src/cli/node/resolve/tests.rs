//! What beats what.

use std::fs;

use clap::Parser;
use lamella_network_dir::genesis::{GenesisOptions, create};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    node: NodeArgs,
}

/// A network of two nodes and three validators, and a data directory that is not there yet.
struct Fixture {
    dir: tempfile::TempDir,
    paths: NetworkDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("net");
        let options = GenesisOptions {
            nodes: 2,
            validators: 3,
            out,
            genesis_time: None,
            lead_s: 15,
            ports: None,
            key_slots: 1,
            slot_ms: 4_000,
        };
        create(&options, &|_| {}).unwrap();
        Self { paths: NetworkDir::new(&options.out), dir }
    }

    fn resolve(&self, flags: &[&str]) -> Result<NodeConfig, FlagError> {
        let (net, data) = (self.paths.root.to_str().unwrap(), self.dir.path().join("data"));
        let base = ["node", "--network-dir", net, "--data-dir", data.to_str().unwrap()];
        Line::try_parse_from([&base[..], flags].concat()).unwrap().node.resolve()
    }

    fn edit(&self, path: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{from:?} not in {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

fn ports(config: &NodeConfig) -> (u16, u16, Option<u16>) {
    let api = config.api.as_ref().unwrap();
    (config.gossip.listen.port(), api.api_port, api.metrics_port)
}

#[test]
fn a_port_is_the_flags_else_the_files_else_ethlambdas() {
    let network = Fixture::new();
    let own = ["--gossipsub-port", "1", "--api-port", "0", "--metrics-port", "3"];
    let flags = [&["--node-id", "lamella_1"], &own[..]].concat();
    assert_eq!(ports(&network.resolve(&flags).unwrap()), (1, 0, Some(3)));
    let listed = network.resolve(&["--node-id", "lamella_1"]).unwrap();
    assert_eq!(ports(&listed), (9002, 5053, Some(8082)));
    let unlisted = network.resolve(&["--node-id", "x"]).unwrap();
    assert_eq!(ports(&unlisted), (9000, 5052, Some(5054)));
    assert!(unlisted.gossip.listen.ip().is_unspecified());
    assert!(unlisted.api.unwrap().address.is_loopback());
    assert!(network.resolve(&["--node-id", "x", "--no-api"]).unwrap().api.is_none());
}

#[test]
fn the_identity_is_the_key_files_else_the_networks_else_a_new_one() {
    let network = Fixture::new();
    let (first, second) =
        (network.paths.node_key("lamella_0"), network.paths.node_key("lamella_1"));
    let flag = ["--node-id", "lamella_1", "--node-key", first.to_str().unwrap()];
    let given = network.resolve(&flag).unwrap().gossip;
    assert_eq!(given.identity.key, NodeKey::load(&first).unwrap());
    let listed = network.resolve(&["--node-id", "lamella_1"]).unwrap().gossip;
    assert_eq!(listed.identity.key, NodeKey::load(&second).unwrap());
    let unlisted = network.resolve(&["--node-id", "x"]).unwrap().gossip;
    assert!(matches!(unlisted.identity.source, KeySource::Made(_)), "{:?}", unlisted.identity);

    // Whoever has a node's key does not dial it.
    let dialled = |gossip: &GossipConfig| {
        gossip.dial.iter().map(|node| node.address.port()).collect::<Vec<_>>()
    };
    assert_eq!(dialled(&given), [9002]);
    assert_eq!(dialled(&listed), [9001]);
    assert_eq!(dialled(&unlisted), [9001, 9002]);
    let public = unlisted.dial.iter().map(|node| node.public_key);
    let expected = [&first, &second].map(|path| NodeKey::load(path).unwrap().public_key());
    assert_eq!(public.collect::<Vec<_>>(), expected);
}

#[test]
fn the_committee_count_is_the_flags_else_the_nodes_files_else_the_chains() {
    let network = Fixture::new();
    let subnets = |flags: &[&str]| {
        let gossip =
            network.resolve(&[&["--node-id", "lamella_0"], flags].concat()).unwrap().gossip;
        (gossip.committee_count, gossip.subnets)
    };
    network.edit(
        &network.paths.config,
        "ATTESTATION_COMMITTEE_COUNT: 1",
        "ATTESTATION_COMMITTEE_COUNT: 3",
    );
    let named = "attestation_committee_count: 1";
    let text = fs::read_to_string(&network.paths.validator_config).unwrap();
    if text.contains(named) {
        network.edit(&network.paths.validator_config, named, "other: 1");
    }
    // Validators 0 and 2; by the file, this node aggregates.
    assert_eq!(subnets(&[]), (3, vec![0, 2]));
    network.edit(
        &network.paths.validator_config,
        "config:\n",
        "config:\n  attestation_committee_count: 2\n",
    );
    assert_eq!(subnets(&[]), (2, vec![0]));
    assert_eq!(subnets(&["--attestation-committee-count", "7"]), (7, vec![0, 2]));
}

#[test]
fn an_aggregator_without_validators_listens_to_its_subnets_else_to_the_first() {
    let network = Fixture::new();
    let subnets = |flags: &[&str]| {
        let base = ["--node-id", "x", "--attestation-committee-count", "4"];
        network.resolve(&[&base[..], flags].concat()).map(|config| config.gossip.subnets)
    };
    assert_eq!(subnets(&[]).unwrap(), [0_u64; 0]);
    assert_eq!(subnets(&["--is-aggregator"]).unwrap(), [0]);
    let chosen = ["--is-aggregator", "--aggregate-subnet-ids", "3,1,3"];
    assert_eq!(subnets(&chosen).unwrap(), [1, 3]);
    let beyond = subnets(&["--is-aggregator", "--aggregate-subnet-ids", "4"]);
    assert!(matches!(beyond, Err(FlagError::NoSubnet { subnet: 4, committee_count: 4 })));
    let role = subnets(&["--aggregate-subnet-ids", "1"]);
    assert!(matches!(role, Err(FlagError::NotAggregator)));
}

#[test]
fn the_role_is_the_flags_else_the_files() {
    let network = Fixture::new();
    let role = |flags: &[&str]| network.resolve(flags).unwrap().is_aggregator;
    assert!(role(&["--node-id", "lamella_0"]), "the first node of a made network aggregates");
    assert!(!role(&["--node-id", "lamella_0", "--is-aggregator=false"]));
    assert!(!role(&["--node-id", "lamella_1"]));
    assert!(role(&["--node-id", "lamella_1", "--is-aggregator"]));
}

#[test]
fn checkpoint_urls_are_a_list_without_slashes_and_without_the_old_path() {
    let network = Fixture::new();
    let urls = |flags: &[&str]| {
        let config = network.resolve(&[&["--node-id", "x"], flags].concat());
        config.map(|config| config.checkpoint_urls)
    };
    let flags = [
        "--checkpoint-sync-url",
        "http://a:1/, https://b/lean/v0/states/finalized/",
        "--checkpoint-sync-url",
        "http://c:1/lean/v0/states/finalized",
    ];
    assert_eq!(urls(&flags).unwrap(), ["http://a:1", "https://b", "http://c:1"]);
    assert_eq!(urls(&["--checkpoint-sync-url", ""]).unwrap(), [""; 0]);
    let error = urls(&["--checkpoint-sync-url", "ftp://a"]).unwrap_err();
    assert!(matches!(error, FlagError::CheckpointUrl { .. }), "{error}");
}

#[test]
fn bootnodes_are_a_file_records_or_none() {
    let network = Fixture::new();
    let dialled = |flags: &[&str]| {
        let base = ["--node-id", "x"];
        network.resolve(&[&base[..], flags].concat()).unwrap().gossip.dial.len()
    };
    let nodes = Bootnode::load_all(&network.paths.nodes).unwrap();
    let records = nodes.iter().map(|node| node.enr.as_str()).collect::<Vec<_>>().join(",");
    assert_eq!(dialled(&["--bootnodes", &records]), 2);
    assert_eq!(dialled(&["--bootnodes", "none"]), 0);
    assert_eq!(dialled(&["--bootnodes", network.paths.nodes.to_str().unwrap()]), 2);
    fs::remove_file(&network.paths.nodes).unwrap();
    assert_eq!(dialled(&[]), 0);
    assert_eq!(dialled(&["--bootnodes", &nodes[0].enr, "--bootnodes", &nodes[1].enr]), 2);
}
