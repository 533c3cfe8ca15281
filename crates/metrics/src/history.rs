//! What a node has of the history before the block that it began with. Ours: `lean_history_*` names that leanMetrics does
//! not have.

use prometheus::{IntCounter, IntGauge};

use super::register::{Register, gauge};

/// Slots that are missing, and how fetching them goes.
#[derive(Debug)]
pub struct HistoryMetrics {
    missing: IntGauge,
    blocks: IntCounter,
    failures: IntCounter,
    is_failing: IntGauge,
}

impl HistoryMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        Self {
            missing: r.gauge(
                "lean_history_missing_slots",
                "Slots whose blocks and states are not here, since the node began at a checkpoint; 0 if all are.",
            ),
            blocks: r.counter(
                "lean_history_blocks_total",
                "Blocks of history fetched, proven and made permanent.",
            ),
            failures: r.counter(
                "lean_history_failures_total",
                "Times that a source of history failed, had nothing, or gave what is not the chain's.",
            ),
            is_failing: r.gauge(
                "lean_history_failing",
                "1 from a look in which no source of history could be used until one can.",
            ),
        }
    }

    /// How many slots are missing.
    pub fn observe_missing(&self, slots: u64) {
        self.missing.set(gauge(slots));
    }

    /// Blocks came, and so many slots are missing now.
    pub fn filled(&self, blocks: usize, missing_slots: u64) {
        self.blocks.inc_by(blocks as u64);
        self.observe_missing(missing_slots);
    }

    /// A source failed.
    pub fn source_failed(&self) {
        self.failures.inc();
    }

    /// Whether no source can be used.
    pub fn observe_failing(&self, is_failing: bool) {
        self.is_failing.set(is_failing.into());
    }
}
