//! leanSpec's routes to the byte, and the node's own.

use lamella_network::standing::{Peer, SyncStatus};
use serde_json::json;

use super::support::{Node, get, request};

#[test]
fn health_is_leanspecs_body_on_every_path() {
    let server = Node::new(4).serve();
    for path in ["/lean/v0/health", "/v0/health", "/health"] {
        let answer = get(server.api_address(), path);
        assert_eq!((answer.status, answer.content_type()), (200, "application/json"));
        assert_eq!(answer.text(), r#"{"status":"healthy","service":"lean-rpc-api"}"#);
    }
}

#[test]
fn the_justified_checkpoint_and_the_tree_are_the_published_view() {
    let (node, side) = Node::with_chain();
    let server = node.serve();
    let view = node.chain.fork_choice();
    let (justified, finalized) = (view.latest_justified(), view.latest_finalized());
    assert!(finalized.slot >= 5, "finality is late: {finalized:?}");

    let answer = get(server.api_address(), "/lean/v0/checkpoints/justified");
    let expected = format!(r#"{{"slot":{},"root":"{}"}}"#, justified.slot, justified.root);
    assert_eq!((answer.text(), answer.content_type()), (expected.as_str(), "application/json"));

    let tree = get(server.api_address(), "/lean/v0/fork_choice").json();
    assert_eq!(tree["head"], view.head().to_string());
    assert_eq!(tree["safe_target"], view.safe_target().to_string());
    assert_eq!(tree["validator_count"], 4);
    assert_eq!(tree["finalized"]["slot"], finalized.slot);
    let nodes = tree["nodes"].as_array().unwrap();
    assert!(nodes.iter().all(|node| node["slot"].as_u64() >= Some(finalized.slot)));
    let node_of = |root: String| nodes.iter().find(|node| node["root"] == root).unwrap();
    assert_eq!(node_of(node.canonical(7).to_string())["weight"], 4);
    assert_eq!(node_of(side.to_string())["weight"], 0);
}

#[test]
fn the_aggregator_role_changes_by_a_boolean_only() {
    let node = Node::new(4);
    let server = node.serve();
    let path = "/lean/v0/admin/aggregator";
    let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/json");
    let post = |body: &str| request(server.api_address(), &head, body);
    assert_eq!(get(server.api_address(), path).text(), r#"{"is_aggregator":false}"#);
    assert_eq!(post(r#"{"enabled": true}"#).text(), r#"{"is_aggregator":true,"previous":false}"#);
    assert!(node.facts.is_aggregator());
    for body in ["", "{", "[]", "true", "{}", r#"{"enabled":1}"#, r#"{"enabled":"true"}"#] {
        assert_eq!(post(body).refusal(), (400, "invalid_request".to_owned()), "{body}");
    }
    assert_eq!(post(&" ".repeat(5000)).refusal(), (400, "invalid_request".to_owned()));
    assert!(node.facts.is_aggregator());
    assert_eq!(post(r#"{"enabled":false}"#).text(), r#"{"is_aggregator":false,"previous":true}"#);
}

#[test]
fn the_node_says_who_it_is_and_how_far() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let get = |path: &str| get(server.api_address(), path).json();
    let spec = json!({
        "MILLISECONDS_PER_SLOT": 4000, "INTERVALS_PER_SLOT": 5, "MILLISECONDS_PER_INTERVAL": 800,
        "HISTORICAL_ROOTS_LIMIT": 262_144, "FORK_DIGEST": "12345678",
    });
    assert_eq!(get("/lean/v0/config/spec"), spec);
    let genesis_time = node.chain.identity().genesis_time;
    let genesis = json!({ "genesis_time": genesis_time, "validator_count": 4 });
    assert_eq!(get("/lean/v0/genesis"), genesis);
    let identity = get("/lean/v0/node/identity");
    assert_eq!((&identity["node_id"], &identity["peer_id"]), (&json!("lamella_0"), &json!(null)));
    assert!(identity["version"].as_str().unwrap().starts_with("lamella/v"), "{identity}");

    assert_eq!(get("/lean/v0/node/peers"), json!({ "count": 0, "peers": [] }));
    let peer = Peer {
        peer_id: "16Uiu2HAm".to_owned(),
        address: "/ip4/127.0.0.1/udp/9001/quic-v1".to_owned(),
        direction: "inbound",
        client: Some("ethlambda".to_owned()),
        head_slot: Some(9),
        finalized_slot: None,
        is_in_mesh: true,
    };
    node.facts.set_peers(vec![peer]);
    let peers = get("/lean/v0/node/peers");
    assert_eq!((&peers["count"], &peers["peers"][0]["head_slot"]), (&json!(1), &json!(9)));

    node.facts.set_sync_status(SyncStatus::Syncing);
    let syncing = get("/lean/v0/node/syncing");
    assert_eq!((&syncing["is_syncing"], &syncing["head_slot"]), (&json!(true), &json!(8)));
    let distance = syncing["sync_distance"].as_u64().unwrap();
    assert!((1..20).contains(&distance), "ten slots have passed: {syncing}");
}

#[test]
fn the_database_says_what_it_has_from_where_on() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let database = get(server.api_address(), "/lean/v0/node/database").json();
    assert_eq!(database["schema_version"], lamella_chain::SCHEMA_VERSION);
    assert_eq!(database["proof_scheme"], "trust");
    assert_eq!((&database["first_slot"], &database["head_slot"]), (&json!(0), &json!(8)));
    assert_eq!(database["proofs_from_slot"], 5, "{database}");
    let tables = database["tables"].as_array().unwrap();
    let rows = |name| tables.iter().find(|table| table["name"] == name).unwrap()["rows"].as_u64();
    assert_eq!(rows("Slots"), Some(9), "eight blocks and genesis");
    assert_eq!(rows("Anchors"), Some(1));
    assert_eq!(rows("Canonical"), Some(8), "all but the side block");
}
