//! Each project's command line, run by the real binary; what a flag beats, and what a wrong one says.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use lamella_network_dir::{
    NetworkDir,
    genesis::{GenesisOptions, create},
};

use crate::{
    node::{BINARY, Node, field, get, network},
    wait::output,
};

/// A network of two nodes and three validators: `lamella_0` has 0 and 2.
fn two_nodes(out: &Path) -> NetworkDir {
    crate::small_network(out);
    NetworkDir::new(out)
}

fn node(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("node").args(args).env("NO_COLOR", "1").env_remove("RUST_LOG");
    command
}

fn run(args: &[&str]) -> Output {
    output(node(args).arg("--exit-with-parent"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Names of a process' threads.
fn threads(id: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap().map(Result::unwrap);
    // One that has just ended has no name.
    tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok()).collect()
}

/// The two lines that say what was decided: `Started`, `HTTP API listening`.
fn decided(args: &[&str]) -> (Node, String, String) {
    let mut node = Node::spawn(node(args));
    let started = node.wait_for(|line| line.contains(" Started "));
    let listening = node.wait_for(|line| line.contains("HTTP API listening"));
    (node, started, listening)
}

/// Puts a file where only its flag finds it.
fn scatter(file: &Path, name: &str) -> PathBuf {
    let folder = file.parent().unwrap().join(format!("for-{name}"));
    fs::create_dir(&folder).unwrap();
    let moved = folder.join(name);
    fs::rename(file, &moved).unwrap();
    moved
}

#[test]
fn ethlambdas_whole_line_as_quickstart_passes_it() {
    let dir = tempfile::tempdir().unwrap();
    let paths = two_nodes(&dir.path().join("net"));
    let node_key = scatter(&paths.node_key("lamella_0"), "id.key");
    let (genesis, validators) =
        (scatter(&paths.config, "genesis"), scatter(&paths.annotated_validators, "validators"));
    fs::remove_file(&paths.validators).unwrap();
    let bootnodes = scatter(&paths.nodes, "bootnodes");
    let validator_config = scatter(&paths.validator_config, "ports");
    let keys_dir = scatter(&paths.keys_dir, "keys");
    let data = dir.path().join("data");
    // Given what else writes into a node's folder.
    fs::create_dir(&data).unwrap();
    for stranger in ["stdout.log", "stderr.log", "core.17"] {
        fs::write(data.join(stranger), "a stranger's").unwrap();
    }

    let (_node, started, listening) = decided(&[
        "--genesis",
        text(&genesis),
        "--validators",
        text(&validators),
        "--bootnodes",
        text(&bootnodes),
        "--validator-config",
        text(&validator_config),
        "--hash-sig-keys-dir",
        text(&keys_dir),
        "--data-dir",
        text(&data),
        "--gossipsub-port",
        "0",
        "--node-id",
        "lamella_0",
        "--node-key",
        text(&node_key),
        "--http-address",
        "0.0.0.0",
        "--api-port",
        "0",
        "--metrics-port",
        "0",
        "--is-aggregator",
        "--attestation-committee-count",
        "4",
        "--aggregate-subnet-ids",
        "1,2",
        "--checkpoint-sync-url",
        "",
        "--slot-ms",
        "4000",
    ]);

    assert_eq!(field(&started, "validators"), Some("2"));
    assert_eq!(field(&started, "is_aggregator"), Some("true"));
    assert_eq!(field(&started, "bootnodes"), Some("1"), "itself is left out: {started}");
    // Validators 0 and 2 vote on subnets 0 and 2, the aggregator adds 1.
    assert!(started.contains("subnets=[0, 1, 2] subnet_count=4"), "{started}");
    assert!(started.contains(&format!("node_key={}", text(&node_key))), "{started}");
    assert!(field(&listening, "api").unwrap().starts_with("0.0.0.0:"), "{listening}");
    assert_ne!(field(&listening, "api"), field(&listening, "metrics"));
    for stranger in ["stdout.log", "stderr.log", "core.17"] {
        assert_eq!(fs::read_to_string(data.join(stranger)).unwrap(), "a stranger's");
    }
    assert!(!data.join("node.key").exists(), "a key was given");
}

#[test]
fn the_short_line_and_the_other_spellings() {
    let dir = tempfile::tempdir().unwrap();
    let (net, data) = (dir.path().join("net"), dir.path().join("data"));
    two_nodes(&net);
    let (node, started, listening) = decided(&[
        "--custom-network-config-dir",
        text(&net),
        "--node",
        "lamella_1",
        "--datadir",
        text(&data),
        "--socket-port",
        "0",
        "--socket-address",
        "127.0.0.1",
        "--http-port",
        "0",
        "--metrics-port",
        "0",
        "--aggregator",
        "--metrics",
        "true",
    ]);
    assert_eq!(field(&started, "validators"), Some("1"));
    assert_eq!(field(&started, "is_aggregator"), Some("true"));
    assert!(started.contains("subnets=[0] subnet_count=1"), "{started}");
    assert!(started.contains("validator-config.yaml (privkey)"), "{started}");
    let (api, metrics) = (field(&listening, "api").unwrap(), field(&listening, "metrics").unwrap());
    assert_eq!(get(metrics, "/metrics").0, "HTTP/1.1 200 OK");
    assert_eq!(get(api, "/v0/health").0, "HTTP/1.1 200 OK");
    drop(node);
}

#[test]
fn one_port_serves_api_and_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let (net, data) = (dir.path().join("net"), dir.path().join("data"));
    two_nodes(&net);
    // Below the range from which the system gives other tests theirs.
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut ports = start..32_768;
    let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
    let port = port.to_string();
    let (_node, _, listening) = decided(&[
        "--network-dir",
        text(&net),
        "--node-id",
        "lamella_0",
        "--data-dir",
        text(&data),
        "--gossipsub-port",
        "0",
        "--api-port",
        &port,
        "--metrics-port",
        &port,
    ]);
    let address = format!("127.0.0.1:{port}");
    assert_eq!(field(&listening, "api"), Some(&*address));
    assert_eq!(field(&listening, "metrics"), Some(&*address));
    assert_eq!(get(&address, "/metrics").0, "HTTP/1.1 200 OK");
    assert_eq!(get(&address, "/lean/v0/health").0, "HTTP/1.1 200 OK");
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    two_nodes(&net);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().port().to_string();
    for (flag, free) in [("--api-port", "--metrics-port"), ("--metrics-port", "--api-port")] {
        let data = dir.path().join(flag);
        let failed = run(&[
            "--network-dir",
            text(&net),
            "--node-id",
            "lamella_0",
            "--data-dir",
            text(&data),
            "--gossipsub-port",
            "0",
            flag,
            &taken,
            free,
            "0",
        ]);
        let log = String::from_utf8(failed.stderr).unwrap();
        let error = log.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert_eq!(failed.status.code(), Some(1), "{error}");
        assert!(error.contains(&format!("127.0.0.1:{taken}")), "{error}");
        assert!(error.contains(&format!("choose another {flag},")), "{error}");
    }
}

/// Symptom: `cannot listen on UDP 0.0.0.0:9001: ; choose another --gossipsub-port`. Mechanism: the error of the transport
/// stands behind one whose text is empty. Fix: every cause is told.
#[test]
fn a_gossip_port_in_use_is_named_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    two_nodes(&net);
    let other = UdpSocket::bind("0.0.0.0:0").unwrap();
    let taken = other.local_addr().unwrap().port().to_string();
    let data = dir.path().join("data");
    let failed = run(&[
        "--network-dir",
        text(&net),
        "--node-id",
        "lamella_0",
        "--data-dir",
        text(&data),
        "--gossipsub-port",
        &taken,
        "--api-port",
        "0",
    ]);
    let log = String::from_utf8(failed.stderr).unwrap();
    let error = log.lines().find(|line| line.starts_with("error: ")).unwrap();
    let reason = format!("0.0.0.0:{taken}: Address already in use");
    assert!(
        error.contains(&reason) && error.contains("choose another --gossipsub-port"),
        "{error}"
    );
}

#[test]
fn a_follower_without_validators_keeps_an_identity_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (net, data) = (dir.path().join("net"), dir.path().join("data"));
    network(&net);
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (mut node, started, _) = decided(&[
            "--network-dir",
            text(&net),
            "--node-id",
            "follower",
            "--data-dir",
            text(&data),
            "--gossipsub-port",
            "0",
            "--api-port",
            "0",
            "--metrics-port",
            "0",
        ]);
        assert_eq!(field(&started, "validators"), Some("0"));
        assert_eq!(field(&started, "is_aggregator"), Some("false"));
        assert!(started.contains("subnets=[] "), "{started}");
        node.kill();
        keys.push(fs::read_to_string(data.join("node.key")).unwrap());
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[0].trim().len(), 64);
}

#[test]
fn a_refused_directory_gets_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (dir.path().join("ours"), dir.path().join("other"));
    let data = dir.path().join("data");
    for (time, out) in [(2_000_000_000, &ours), (2_000_000_001, &other)] {
        let genesis_time = Some(time);
        let options = GenesisOptions {
            nodes: 1,
            validators: 1,
            out: out.clone(),
            genesis_time,
            lead_s: 0,
            ports: None,
            key_slots: 2,
            slot_ms: 4_000,
        };
        create(&options, &|_| {}).unwrap();
    }
    let args = |net| {
        ["--network-dir", net, "--node-id", "x", "--data-dir", text(&data), "--no-api"].to_vec()
    };
    let mut first = Node::spawn(node(&args(text(&ours))));
    first.wait_for(|line| line.contains(" Started "));
    first.kill();
    fs::remove_file(data.join("node.key")).unwrap();
    let refused = run(&args(text(&other)));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("another network"));
    assert!(!data.join("node.key").exists());
}

#[test]
fn flags_without_effect_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let (net, data) = (dir.path().join("net"), dir.path().join("data"));
    two_nodes(&net);
    let mut node = Node::spawn(node(&[
        "--network-dir",
        text(&net),
        "--node-id",
        "lamella_0",
        "--data-dir",
        text(&data),
        "--gossipsub-port",
        "0",
        "--no-api",
        "--discovery.enable",
        "--discovery.port",
        "9000",
        "--max-attestations-per-block",
        "3",
        "--enable-proposer-aggregation",
        "--disable-duty-sync-gate",
    ]));
    let mut warned = Vec::new();
    node.wait_for(|line| {
        if line.contains("Flag without effect") {
            warned.push(field(line, "flag").unwrap().trim_matches('"').to_owned());
        }
        line.contains(" Started ")
    });
    assert_eq!(
        warned,
        [
            "--discovery.enable",
            "--discovery.port",
            "--enable-proposer-aggregation",
            "--max-attestations-per-block"
        ]
    );
}

#[test]
fn a_wrong_flag_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (net, data) = (dir.path().join("net"), dir.path().join("data"));
    two_nodes(&net);
    let missing = dir.path().join("absent.yaml");
    let cases: [(i32, &[&str], &str); 8] = [
        (2, &["--aggregate-subnet-ids", "0"], "add --is-aggregator"),
        (2, &["--is-aggregator", "--aggregate-subnet-ids", "1"], "there is no subnet 1"),
        (2, &["--attestation-committee-count", "0"], "--attestation-committee-count"),
        (2, &["--checkpoint-sync-url", "node:5052"], "begin with http://"),
        (2, &["--bootnodes", "enr:-IW4Q"], "copy the whole"),
        (1, &["--bootnodes", text(&missing)], "absent.yaml: no such file"),
        (1, &["--validators", text(&missing)], "absent.yaml: no such file"),
        (1, &["--node-key", text(&missing)], "absent.yaml: no such file"),
    ];
    for (code, flags, wanted) in cases {
        let base =
            ["--network-dir", text(&net), "--node-id", "lamella_1", "--data-dir", text(&data)];
        let failed = run(&[&base[..], flags].concat());
        let error = String::from_utf8(failed.stderr).unwrap();
        assert_eq!(failed.status.code(), Some(code), "{flags:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(wanted), "{flags:?}: {error}");
        assert!(!data.exists(), "{flags:?}");
    }
    let failed = run(&["--node-id", "x"]);
    assert_eq!(failed.status.code(), Some(2));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("--network-dir"));
}

#[test]
fn a_node_scrubs_unless_the_hours_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    network(&net);
    for (flags, scrubs) in [(&[][..], true), (&["--scrub-hours", "0"], false)] {
        let mut node = Node::start_with(&net, &dir.path().join("data"), flags);
        // Threads name themselves; by then all that begin with the node have.
        node.wait_for(|line| line.contains("Block imported"));
        let threads = threads(node.process.id());
        assert_eq!(threads.iter().any(|name| name.trim() == "scrubber"), scrubs, "{threads:?}");
        node.kill();
    }
}
