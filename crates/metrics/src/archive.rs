//! What a node has archived. Ours: `lean_archive_*` names that leanMetrics does not have.

use prometheus::{IntCounter, IntGauge};

use super::register::{Register, gauge};

/// Segments that could be, and that are in the archive.
#[derive(Debug)]
pub struct ArchiveMetrics {
    sealed: IntGauge,
    shipped: IntGauge,
    lag: IntGauge,
    failures: IntCounter,
    is_failing: IntGauge,
    bytes: IntCounter,
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
            lag: r.gauge("lean_archive_lag_segments", "Segments that wait to be shipped."),
            failures: r.counter(
                "lean_archive_failures_total",
                "Times that shipping failed, and was put off.",
            ),
            is_failing: r.gauge(
                "lean_archive_failing",
                "1 from a failure until everything that waited has been shipped.",
            ),
            bytes: r.counter("lean_archive_bytes_total", "Bytes of segments put."),
        }
    }

    /// How far the finalized chain is, and the archive.
    pub fn observe(&self, sealed: u64, shipped: u64) {
        self.sealed.set(gauge(sealed));
        self.shipped.set(gauge(shipped));
        self.lag.set(gauge(sealed.saturating_sub(shipped)));
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
