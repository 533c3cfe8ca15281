//! What a node has archived. Ours: `lean_archive_*` names that leanMetrics does not have.

use prometheus::{IntCounter, IntGauge};

use super::register::{Register, gauge};

/// Segments that could be, and that are in the archive.
#[derive(Debug)]
pub struct ArchiveMetrics {
    sealed: IntGauge,
    shipped: IntGauge,
    proofs: IntGauge,
    held: IntGauge,
    lag: IntGauge,
    failures: IntCounter,
    is_failing: IntGauge,
    bytes: IntCounter,
    tail_next: IntGauge,
    tail_blocks: IntCounter,
    tail_bytes: IntCounter,
}

impl ArchiveMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        Self {
            sealed: r.gauge(
                "lean_archive_segments_sealed",
                "Segments of 1,024 slots that the finalized chain has; 0 if the node ships nowhere.",
            ),
            shipped: r.gauge(
                "lean_archive_segments_shipped",
                "Segments that the archive was confirmed to hold, from the first on.",
            ),
            proofs: r.gauge(
                "lean_archive_proofs_shipped",
                "Segments, from the first on, of which the archive has every block proof that this node could give it.",
            ),
            held: r.gauge(
                "lean_archive_held_slots",
                "Slots of block proofs kept beyond their window, because a required archive lacks them.",
            ),
            lag: r.gauge("lean_archive_lag_segments", "Segments that wait to be shipped."),
            failures: r.counter(
                "lean_archive_failures_total",
                "Times that shipping failed, and was put off.",
            ),
            is_failing: r.gauge(
                "lean_archive_failing",
                "1 from a failure until everything that waited has been shipped.",
            ),
            bytes: r.counter("lean_archive_bytes_total", "Bytes of segments and of proofs put."),
            tail_next: r.gauge(
                "lean_archive_tail_sequence",
                "Number of the tail object that comes next; all before it were confirmed.",
            ),
            tail_blocks: r.counter(
                "lean_archive_tail_blocks_total",
                "Blocks in tail objects put, those that were told again after a start too.",
            ),
            tail_bytes: r.counter("lean_archive_tail_bytes_total", "Bytes of tail objects put."),
        }
    }

    /// How far the finalized chain is, and the archive: with segments, and with the proofs of their blocks.
    pub fn observe(&self, sealed: u64, shipped: u64, proofs: u64) {
        self.proofs.set(gauge(proofs));
        self.sealed.set(gauge(sealed));
        self.shipped.set(gauge(shipped));
        self.lag.set(gauge(sealed.saturating_sub(shipped)));
    }

    /// An object of the tail was confirmed.
    pub fn tail_shipped(&self, next: u64, blocks: u64, bytes: u64) {
        self.tail_next.set(gauge(next));
        self.tail_blocks.inc_by(blocks);
        self.tail_bytes.inc_by(bytes);
    }

    /// What is kept beyond the window.
    pub fn observe_held(&self, slots: u64) {
        self.held.set(gauge(slots));
    }

    /// Shipping failed.
    pub fn failed(&self) {
        self.failures.inc();
        self.is_failing.set(1);
    }

    /// Everything that waited has been shipped, with so many bytes.
    pub fn succeeded(&self, bytes: u64) {
        self.is_failing.set(0);
        self.bytes.inc_by(bytes);
    }
}
