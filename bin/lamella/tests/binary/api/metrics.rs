//! The metrics: names, formats, ports, and that they count.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use lamella_http_api::{Limits, ServerConfig, serve};
use lamella_network::standing::{Peer, SyncStatus};
use lamella_tables::trees;

use super::support::{Answer, Node, any_port, get, wait_until};

/// leanSpec `REQUIRED_METRIC_NAMES`: what every client must expose.
const REQUIRED: [&str; 19] = [
    "lean_node_info",
    "lean_node_start_time_seconds",
    "lean_head_slot",
    "lean_current_slot",
    "lean_safe_target_slot",
    "lean_fork_choice_block_processing_time_seconds",
    "lean_attestations_valid_total",
    "lean_attestations_invalid_total",
    "lean_attestation_validation_time_seconds",
    "lean_fork_choice_reorgs_total",
    "lean_fork_choice_reorg_depth",
    "lean_attestation_aggregate_coverage_validators",
    "lean_attestation_aggregate_coverage_subnets",
    "lean_attestation_aggregate_coverage_diff_validators",
    "lean_latest_justified_slot",
    "lean_latest_finalized_slot",
    "lean_state_transition_time_seconds",
    "lean_validators_count",
    "lean_connected_peers",
];

/// Values by series.
fn series(answer: &Answer) -> BTreeMap<String, f64> {
    let lines = answer.text().lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    pairs.collect()
}

#[test]
fn every_name_is_there_before_its_first_use_and_once() {
    let server = Node::new(4).serve();
    let answer = get(server.api_address(), "/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.content_type(), "text/plain; version=0.0.4; charset=utf-8");
    let types = answer.text().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: Vec<_> = types.map(|line| line.split(' ').next().unwrap()).collect();
    let distinct: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(names.len(), distinct.len());
    for name in REQUIRED {
        assert!(distinct.contains(name), "{name}");
    }
    assert!(distinct.iter().all(|name| name.starts_with("lean_")), "{distinct:?}");
    let series = series(&answer);
    assert_eq!(series.iter().filter(|(name, _)| name.starts_with("lean_node_info{")).count(), 1);
    assert_eq!(series["lean_validators_count"], 2.0);
    for tree in trees() {
        assert!(series.contains_key(&format!("lean_table_bytes{{table=\"{tree}\"}}")));
    }
}

#[test]
fn imports_votes_peers_and_the_view_are_in_the_next_scrape() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let peer = |client: Option<&str>| Peer {
        peer_id: String::new(),
        address: String::new(),
        direction: "outbound",
        client: client.map(str::to_owned),
        head_slot: None,
        finalized_slot: None,
        is_in_mesh: true,
    };
    node.facts.set_peers(vec![peer(Some("zeam")), peer(Some("zeam")), peer(None)]);
    node.facts.set_sync_status(SyncStatus::Synced);
    node.metrics.coverage.report(7);
    let first = series(&get(server.api_address(), "/metrics"));
    for (name, value) in [
        ("lean_head_slot", 8.0),
        ("lean_latest_finalized_slot", 6.0),
        ("lean_latest_justified_slot", 7.0),
        ("lean_justified_slot", 7.0),
        ("lean_finalized_slot", 6.0),
        ("lean_fork_choice_block_processing_time_seconds_count", 8.0),
        ("lean_state_transition_time_seconds_count", 8.0),
        ("lean_state_transition_slots_processed_total", 9.0),
        ("lean_state_transition_attestations_processed_total", 7.0),
        ("lean_attestations_valid_total{source=\"block\"}", 7.0),
        ("lean_block_aggregated_payloads_count", 8.0),
        ("lean_storage_commit_seconds_count{phase=\"commit\"}", 8.0),
        ("lean_storage_pruned_rows_total{table=\"Signatures\"}", 4.0),
        ("lean_storage_signature_floor_slot", 5.0),
        (
            "lean_attestation_aggregate_coverage_validators{section=\"block\",subnet=\"combined\"}",
            4.0,
        ),
        ("lean_connected_peers{client=\"zeam\"}", 2.0),
        ("lean_connected_peers{client=\"unknown\"}", 1.0),
        ("lean_node_sync_status{status=\"synced\"}", 1.0),
        ("lean_node_sync_status{status=\"idle\"}", 0.0),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    let slots_left = f64::from(1 << 18) - first["lean_current_slot"];
    assert!(slots_left > 0.0);
    assert_eq!(first["lean_storage_chain_slots_left"], slots_left);
    let finalizations = first["lean_finalizations_total{result=\"success\"}"];
    assert!(finalizations >= 3.0, "{finalizations}");
    node.facts.set_peers(vec![peer(None)]);
    let second = series(&get(server.api_address(), "/metrics"));
    assert!(!second.contains_key("lean_connected_peers{client=\"zeam\"}"));
}

#[test]
fn sizes_cache_reads_and_cold_reads_are_sampled() {
    let (node, _) = Node::with_chain();
    // Another part of the node reads, and is slow.
    let reading = node.chain.read().unwrap();
    std::thread::sleep(Duration::from_millis(2));
    node.chain.states().clear();
    node.chain.state(&node.canonical(8)).unwrap().unwrap();
    let server = node.serve();
    let scrape = || series(&get(server.api_address(), "/metrics"));
    // The last one that a sample sets. A scrape meanwhile has some of it.
    wait_until("the first sample", || scrape()["lean_storage_cold_read_rows_total"] > 0.0);
    let last = scrape();
    assert!(last["lean_storage_file_bytes"] >= last["lean_storage_used_bytes"]);
    assert_eq!(last["lean_storage_table_rows{table=\"Slots\"}"], 9.0);
    assert!(last["lean_table_bytes{table=\"Slots\"}"] >= 4096.0);
    assert_eq!(last["lean_storage_cold_reads_total"], 1.0);
    assert_eq!(last["lean_storage_open_readers"], 1.0);
    assert!(last["lean_storage_oldest_reader_age_milliseconds"] >= 2.0, "{last:?}");
    drop(reading);
    // The roots of slots 0 to 6 from the canonical index; the parent's is in the diff.
    assert!(last["lean_storage_cold_read_rows_total"] >= 6.0, "{last:?}");
    assert!(last["lean_storage_cache_hits_total"] > 0.0 && last["lean_storage_cache_states"] > 0.0);
}

#[test]
fn a_chain_past_its_first_segment_has_it_in_the_cache() {
    let mut node = Node::new(4);
    for slot in [1, 1_100, 1_101] {
        node.extend(slot);
    }
    let server = node.serve();
    wait_until("the first sample", || {
        let scraped = series(&get(server.api_address(), "/metrics"));
        scraped["lean_storage_cache_segments"] > 0.0
    });
}

#[test]
fn metrics_have_a_port_of_their_own_if_it_is_another_one() {
    let node = Node::new(4);
    let server = serve(&any_port(Some(0)), node.context(Limits::default())).unwrap();
    let own = server.metrics_address().unwrap();
    assert_ne!(own, server.api_address());
    assert_eq!(get(own, "/metrics").status, 200);
    assert_eq!(get(own, "/health").status, 200);
    assert_eq!(get(own, "/lean/v0/states/head").status, 404, "no chain on the metrics port");
    assert_eq!(get(server.api_address(), "/metrics").status, 200, "as in leanSpec");
    let port = server.api_address().port();
    server.stop();
    let same = ServerConfig { api_port: port, ..any_port(Some(port)) };
    let server = serve(&same, node.context(Limits::default())).unwrap();
    assert_eq!(server.metrics_address(), None);
    assert_eq!(get(server.api_address(), "/metrics").status, 200);
}
