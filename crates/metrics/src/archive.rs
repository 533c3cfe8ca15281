//! What a node has archived. Ours: `lean_archive_*` names that leanMetrics does not have.

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::{IntCounter, IntGauge};

use super::register::{Register, gauge};

/// What is shipped by itself, and fails by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShippingJob {
    /// Segments, and the proofs beside them.
    Segments,
    /// What no segment holds yet.
    Tail,
}

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
    /// By [`ShippingJob`]: a success of one says nothing of the other.
    failing: [AtomicBool; 2],
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
                "1 from a failure until what failed has been shipped: segments and proofs, or the tail.",
            ),
            failing: Default::default(),
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

    /// So many bytes of segments and proofs were put.
    pub fn shipped(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    /// A job failed.
    pub fn failed(&self, job: ShippingJob) {
        self.failures.inc();
        self.set_failing(job, true);
    }

    /// A job has shipped everything of its own that waited.
    pub fn succeeded(&self, job: ShippingJob) {
        self.set_failing(job, false);
    }

    fn set_failing(&self, job: ShippingJob, is_failing: bool) {
        self.failing[job as usize].store(is_failing, Ordering::Relaxed);
        let any = self.failing.iter().any(|failing| failing.load(Ordering::Relaxed));
        self.is_failing.set(any.into());
    }
}

#[cfg(test)]
mod tests {
    use super::{ArchiveMetrics, ShippingJob};
    use crate::register::Register;

    /// Symptom: a node whose tail was fenced off showed no failure. Mechanism: one flag, which the next segment cleared; and
    /// nothing cleared it after a tail that had failed and went on. Fix: a flag for each of the two.
    #[test]
    fn shipping_fails_while_one_of_its_jobs_does_whatever_the_other_comes_to() {
        let registry = prometheus::Registry::new();
        let metrics = ArchiveMetrics::new(&Register(&registry));
        for (one, other) in
            [(ShippingJob::Segments, ShippingJob::Tail), (ShippingJob::Tail, ShippingJob::Segments)]
        {
            metrics.failed(one);
            metrics.succeeded(other);
            assert_eq!(metrics.is_failing.get(), 1, "{one:?} fails");
            metrics.failed(other);
            metrics.succeeded(one);
            assert_eq!(metrics.is_failing.get(), 1, "{other:?} fails");
            metrics.succeeded(other);
            assert_eq!(metrics.is_failing.get(), 0);
        }
        assert_eq!(metrics.failures.get(), 4);
    }
}
