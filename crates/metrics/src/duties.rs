//! leanMetrics: the state transition, and what this node's validators do.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::register::{AGGREGATION, BUILDING, LATENESS, PAYLOADS, Register, SHORT, TRANSITION};

/// Why an aggregation was not done: label `reason`.
const SKIPPED_REASONS: [&str; 4] = ["not_aggregator", "cannot_prove", "off_duty", "busy"];

/// What is due at the start of an interval: label `duty`. A tick is done when fork choice has moved on, a duty when its
/// messages were published.
const DUTIES: [&str; 4] = ["tick", "propose", "attest", "aggregate"];

/// The state transition.
#[derive(Debug)]
pub struct TransitionMetrics {
    pub(super) time: Histogram,
    pub(super) slots: IntCounter,
    pub(super) attestations: IntCounter,
}

impl TransitionMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        let counter = |tail: &str, help: &str| {
            r.counter(&format!("lean_state_transition_{tail}_processed_total"), help)
        };
        Self {
            time: r.histogram(
                "lean_state_transition_time_seconds",
                "Time to process a block's state transition.",
                TRANSITION,
            ),
            slots: counter("slots", "Slots between imported blocks and their parents."),
            attestations: counter("attestations", "Attestations in imported blocks."),
        }
    }
}

/// What this node's validators do.
#[derive(Debug)]
pub struct ValidatorMetrics {
    pub(super) count: IntGauge,
    pub(super) is_aggregator: IntGauge,
    pub(super) aggregated_payloads: Histogram,
    lateness: HistogramVec,
    /// Making the votes of a slot.
    pub attestations_production: Histogram,
    /// Building a block.
    pub block_building: Histogram,
    /// Choosing and folding the votes of a block.
    pub payload_aggregation: Histogram,
    /// Blocks built.
    pub block_building_success: IntCounter,
    /// Proposals missed.
    pub block_building_failures: IntCounter,
    /// Aggregations not done, by `reason`.
    pub aggregator_skipped: IntCounterVec,
}

impl ValidatorMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        let building = |tail: &str| format!("lean_block_building_{tail}");
        Self {
            count: r.gauge("lean_validators_count", "Validators managed by this node."),
            is_aggregator: r.gauge("lean_is_aggregator", "Whether this node aggregates."),
            aggregated_payloads: r.histogram(
                "lean_block_aggregated_payloads",
                "Aggregates in an imported block.",
                PAYLOADS,
            ),
            lateness: r.histograms(
                "lean_duty_lateness_seconds",
                "Time from the start of an interval to the end of what was due then.",
                LATENESS,
                "duty",
                &DUTIES,
            ),
            attestations_production: r.histogram(
                "lean_attestations_production_time_seconds",
                "Time taken to make a slot's attestations.",
                SHORT,
            ),
            block_building: r.histogram(
                &building("time_seconds"),
                "Time taken to build a block.",
                BUILDING,
            ),
            payload_aggregation: r.histogram(
                &building("payload_aggregation_time_seconds"),
                "Time taken to fold the votes of a block.",
                AGGREGATION,
            ),
            block_building_success: r.counter(&building("success_total"), "Blocks built."),
            block_building_failures: r.counter(&building("failures_total"), "Blocks not built."),
            aggregator_skipped: r.counters(
                "lean_aggregator_skipped_total",
                "Aggregations not done.",
                "reason",
                &SKIPPED_REASONS,
            ),
        }
    }

    /// A duty, one of the names of this module, is done this long after the start of its interval.
    pub fn observe_lateness(&self, duty: &str, late: Duration) {
        debug_assert!(DUTIES.contains(&duty), "{duty} is no duty");
        self.lateness.with_label_values(&[duty]).observe(late.as_secs_f64());
    }
}
