//! leanMetrics: fork choice and votes.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::register::{AGGREGATION, BLOCK, DEPTH, Register, SHORT, TICK};

/// Fork choice and what it says of the chain.
#[derive(Debug)]
pub struct ForkChoiceMetrics {
    pub(super) head_slot: IntGauge,
    pub(super) current_slot: IntGauge,
    pub(super) safe_target_slot: IntGauge,
    pub(super) latest_justified_slot: IntGauge,
    pub(super) latest_finalized_slot: IntGauge,
    pub(super) justified_slot: IntGauge,
    pub(super) finalized_slot: IntGauge,
    pub(super) gossip_signatures: IntGauge,
    pub(super) new_payloads: IntGauge,
    pub(super) known_payloads: IntGauge,
    pub(super) reorgs: IntCounter,
    pub(super) reorg_depth: Histogram,
    pub(super) finalizations: IntCounterVec,
    pub(super) block_processing: Histogram,
    pub(super) attestations_valid: IntCounterVec,
    pub(super) attestations_invalid: IntCounterVec,
    pub(super) attestation_validation: Histogram,
    /// Making aggregates from the committee's signatures.
    pub committee_aggregation: Histogram,
    /// Time between two intervals of the slot clock.
    pub tick_interval: Histogram,
}

impl ForkChoiceMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        let gauge = |tail: &str, help: &str| r.gauge(&format!("lean_{tail}"), help);
        let votes = |kind: &str, help: &str, sources: &[&str]| {
            r.counters(&format!("lean_attestations_{kind}_total"), help, "source", sources)
        };
        let seconds = |tail: &str, help: &str, buckets| {
            r.histogram(&format!("lean_{tail}_seconds"), help, buckets)
        };
        let finality = "Advances of finality, and errors: it moved back with the head.";
        let results = &["success", "error"];
        Self {
            head_slot: gauge("head_slot", "Latest slot of the lean chain."),
            current_slot: gauge("current_slot", "Current slot of the lean chain."),
            safe_target_slot: gauge("safe_target_slot", "Safe target slot."),
            latest_justified_slot: gauge("latest_justified_slot", "Latest justified slot."),
            latest_finalized_slot: gauge("latest_finalized_slot", "Latest finalized slot."),
            justified_slot: gauge("justified_slot", "Justified slot of the head's post-state."),
            finalized_slot: gauge("finalized_slot", "Finalized slot of the head's post-state."),
            gossip_signatures: gauge("gossip_signatures", "Signatures waiting for aggregation."),
            new_payloads: gauge(
                "latest_new_aggregated_payloads",
                "Votes that count from the next acceptance on.",
            ),
            known_payloads: gauge("latest_known_aggregated_payloads", "Votes that count."),
            reorgs: r.counter("lean_fork_choice_reorgs_total", "Reorgs of the head's chain."),
            reorg_depth: r.histogram(
                "lean_fork_choice_reorg_depth",
                "Blocks that a reorg left behind.",
                DEPTH,
            ),
            finalizations: r.counters("lean_finalizations_total", finality, "result", results),
            block_processing: seconds(
                "fork_choice_block_processing_time",
                "Time taken to import a block: proof, transition, fork choice, commit.",
                BLOCK,
            ),
            attestations_valid: votes("valid", "Valid attestations.", &["gossip", "block"]),
            // A block with an invalid one is invalid itself.
            attestations_invalid: votes("invalid", "Invalid attestations.", &["gossip"]),
            attestation_validation: seconds(
                "attestation_validation_time",
                "Time taken to validate an attestation.",
                SHORT,
            ),
            committee_aggregation: seconds(
                "committee_signatures_aggregation_time",
                "Time taken to aggregate the committee's signatures.",
                AGGREGATION,
            ),
            tick_interval: seconds("tick_interval_duration", "Time between two ticks.", TICK),
        }
    }
}
