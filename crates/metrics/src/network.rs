//! leanMetrics: peers, gossip, signatures.

use lamella_network::peers::Offence;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::register::{AGGREGATION, MESSAGE, Register, SHORT};

/// Why a gossiped message came to nothing without being invalid by its content: label `reason`. `not_worth_reading` is
/// too early, too late or nothing new at a glance, `ignored` the same once it was read.
const DROP_REASONS: [&str; 5] = ["garbage", "flood", "busy", "not_worth_reading", "ignored"];

/// Peers and gossip.
#[derive(Debug)]
pub struct NetworkMetrics {
    pub(super) connected_peers: IntGaugeVec,
    pub(super) sync_status: IntGaugeVec,
    pub(super) mesh_peers: IntGaugeVec,
    /// Connections, by `direction` (`inbound`, `outbound`) and `result` (`success`, `timeout`, `error`).
    pub connections: IntCounterVec,
    /// Disconnections, by `direction` and `reason` (`timeout`, `remote_close`, `local_close`, `error`).
    pub disconnections: IntCounterVec,
    pub(super) committee_subnet: IntGauge,
    pub(super) committee_count: IntGauge,
    /// Bytes of gossiped blocks, uncompressed.
    pub block_bytes: Histogram,
    /// Bytes of gossiped votes.
    pub attestation_bytes: Histogram,
    /// Bytes of gossiped aggregates.
    pub aggregation_bytes: Histogram,
    /// Gossiped messages that came to nothing, by `reason`.
    pub gossip_dropped: IntCounterVec,
    /// Blocks that peers answered our requests with.
    pub blocks_received: IntCounter,
    /// Blocks and slots that peers asked for.
    pub blocks_asked: IntCounter,
    /// What peers did wrong, by `offence`.
    pub offences: IntCounterVec,
}

impl NetworkMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        let directions: &[&str] = &["inbound", "outbound"];
        let reasons: &[&str] = &["timeout", "remote_close", "local_close", "error"];
        let connected_peers =
            r.gauges("lean_connected_peers", "Connected peers, by client.", &["client"]);
        // Without a peer it must still be there.
        connected_peers.with_label_values(&["unknown"]);
        let mesh_peers =
            r.gauges("lean_gossip_mesh_peers", "Gossip mesh peers, by client.", &["client"]);
        mesh_peers.with_label_values(&["unknown"]);
        let size = |what: &str| {
            let name = format!("lean_gossip_{what}_size_bytes");
            r.histogram(&name, &format!("Uncompressed bytes of a gossiped {what}."), MESSAGE)
        };
        Self {
            connected_peers,
            sync_status: r.gauges(
                "lean_node_sync_status",
                "1 for the status that the node is in.",
                &["status"],
            ),
            mesh_peers,
            connections: r.counter_pairs(
                "lean_peer_connection_events_total",
                "Connections, by direction and result.",
                [("direction", directions), ("result", &["success", "timeout", "error"])],
            ),
            disconnections: r.counter_pairs(
                "lean_peer_disconnection_events_total",
                "Disconnections, by direction and reason.",
                [("direction", directions), ("reason", reasons)],
            ),
            committee_subnet: r
                .gauge("lean_attestation_committee_subnet", "This node's attestation subnet."),
            committee_count: r
                .gauge("lean_attestation_committee_count", "Attestation subnets of the network."),
            block_bytes: size("block"),
            attestation_bytes: size("attestation"),
            aggregation_bytes: size("aggregation"),
            gossip_dropped: r.counters(
                "lean_gossip_dropped_total",
                "Gossiped messages that came to nothing, and were not found to be invalid.",
                "reason",
                &DROP_REASONS,
            ),
            blocks_received: r.counter(
                "lean_sync_blocks_received_total",
                "Blocks that peers answered our requests with.",
            ),
            blocks_asked: r.counter(
                "lean_sync_blocks_asked_total",
                "Blocks and slots that peers asked us for.",
            ),
            offences: r.counters(
                "lean_peer_offences_total",
                "What peers did wrong.",
                "offence",
                &Offence::ALL.map(Offence::name),
            ),
        }
    }

    /// A gossiped message that was read is of no use: too early, too late, or nothing new.
    pub fn gossip_ignored(&self) {
        self.gossip_dropped.with_label_values(&["ignored"]).inc();
    }
}

/// Signatures and proofs, made and checked.
#[derive(Debug)]
pub struct SignatureMetrics {
    /// Votes signed.
    pub signed: IntCounter,
    /// Signatures of votes that verified.
    pub valid: IntCounter,
    /// Signatures of votes that did not.
    pub invalid: IntCounter,
    /// Signing one vote.
    pub signing: Histogram,
    /// Verifying one vote's signature.
    pub verification: Histogram,
    /// Aggregates made.
    pub aggregated: IntCounter,
    /// Votes in them.
    pub aggregated_attestations: IntCounter,
    /// Aggregates that verified.
    pub aggregated_valid: IntCounter,
    /// Aggregates that did not.
    pub aggregated_invalid: IntCounter,
    /// Making one aggregate.
    pub aggregated_building: Histogram,
    /// Verifying one aggregate.
    pub aggregated_verification: Histogram,
}

impl SignatureMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        let counter =
            |tail: &str, help: &str| r.counter(&format!("lean_pq_sig_{tail}_total"), help);
        let seconds = |tail: &str, help: &str, buckets| {
            r.histogram(&format!("lean_pq_sig_{tail}_time_seconds"), help, buckets)
        };
        Self {
            signed: counter("attestation_signatures", "Attestations signed."),
            valid: counter("attestation_signatures_valid", "Attestation signatures that verified."),
            invalid: counter(
                "attestation_signatures_invalid",
                "Attestation signatures that did not verify.",
            ),
            signing: seconds("attestation_signing", "Time taken to sign an attestation.", SHORT),
            verification: seconds(
                "attestation_verification",
                "Time taken to verify an attestation's signature.",
                SHORT,
            ),
            aggregated: counter("aggregated_signatures", "Aggregates made."),
            aggregated_attestations: counter(
                "attestations_in_aggregated_signatures",
                "Attestations in the aggregates made.",
            ),
            aggregated_valid: counter("aggregated_signatures_valid", "Aggregates that verified."),
            aggregated_invalid: counter(
                "aggregated_signatures_invalid",
                "Aggregates that did not verify.",
            ),
            aggregated_building: seconds(
                "aggregated_signatures_building",
                "Time taken to make an aggregate.",
                AGGREGATION,
            ),
            aggregated_verification: seconds(
                "aggregated_signatures_verification",
                "Time taken to verify an aggregate.",
                AGGREGATION,
            ),
        }
    }
}
