//! leanMetrics: fork choice, votes, and what they say of the chain.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::register::{AGGREGATION, BLOCK, DEPTH, Register, SHORT, TICK};

/// Where a vote came from: label `source`.
pub const SOURCES: [&str; 2] = ["gossip", "block"];

/// Sections of a coverage report, leanSpec `ATTESTATION_AGGREGATE_COVERAGE_SECTIONS`: label `section`.
pub const COVERAGE_SECTIONS: [&str; 8] = [
    "timely",
    "late",
    "block",
    "combined",
    "aggregate_start_new",
    "proposal_payloads",
    "proposal_gossip",
    "proposal_combined",
];

/// leanSpec `ATTESTATION_AGGREGATE_COVERAGE_DIFF_DIRECTIONS`: label `direction`.
pub const COVERAGE_DIRECTIONS: [&str; 2] = ["block_only", "timely_only"];

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
    pub(super) coverage_validators: IntGaugeVec,
    pub(super) coverage_subnets: IntGaugeVec,
    /// Validators covered on one side only, by `direction`.
    pub coverage_diff: IntGaugeVec,
}

impl ForkChoiceMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        let gauge = |tail: &str, help: &str| r.gauge(&format!("lean_{tail}"), help);
        let votes = |kind: &str, help: &str| {
            r.counters(&format!("lean_attestations_{kind}_total"), help, "source", &SOURCES)
        };
        let seconds = |tail: &str, help: &str, buckets| {
            r.histogram(&format!("lean_{tail}_seconds"), help, buckets)
        };
        let finality = "Advances of finality.";
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
            attestations_valid: votes("valid", "Valid attestations."),
            attestations_invalid: votes("invalid", "Invalid attestations."),
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
            coverage_validators: coverage(
                r,
                "validators",
                "Validators covered by aggregates, by section and subnet.",
                &["section", "subnet"],
            ),
            coverage_subnets: coverage(
                r,
                "subnets",
                "Subnets covered by aggregates, by section.",
                &["section"],
            ),
            coverage_diff: coverage_diff(r),
        }
    }
}

/// What one side covers and the other does not, at zero for both directions.
fn coverage_diff(r: &Register<'_>) -> IntGaugeVec {
    let gauges = r.gauges(
        "lean_attestation_aggregate_coverage_diff_validators",
        "Validators covered by blocks only or by timely aggregates only.",
        &["direction"],
    );
    for direction in COVERAGE_DIRECTIONS {
        gauges.with_label_values(&[direction]);
    }
    gauges
}

/// A coverage gauge at zero for every section.
fn coverage(r: &Register<'_>, of: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let name = format!("lean_attestation_aggregate_coverage_{of}");
    let gauges = r.gauges(&name, help, labels);
    for section in COVERAGE_SECTIONS {
        gauges.with_label_values(&[section, "combined"][..labels.len()]);
    }
    gauges
}
