//! What the scrubbing of the store has seen. Ours: `lean_scrub_*` names that leanMetrics does not have.

use std::time::Duration;

use lamella_chain::{Report, repair::RepairReport};
use prometheus::{IntCounter, IntGauge};

use super::register::{Register, gauge};

/// Walks over the whole store, and what came of them.
#[derive(Debug)]
pub struct ScrubMetrics {
    is_running: IntGauge,
    runs: IntCounter,
    failures: IntCounter,
    checks: IntCounter,
    findings: IntGauge,
    findings_total: IntCounter,
    repaired: IntCounter,
    unrepaired: IntGauge,
    last_end: IntGauge,
    last_seconds: IntGauge,
    due: IntGauge,
}

impl ScrubMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        Self {
            is_running: r.gauge("lean_scrub_running", "1 while the whole store is being read."),
            runs: r.counter("lean_scrub_runs_total", "Times that the whole store was read."),
            failures: r.counter(
                "lean_scrub_failures_total",
                "Readings of the whole store that failed, or read its rows and not all of its pages.",
            ),
            checks: r.counter("lean_scrub_checks_total", "Checks made while reading it."),
            findings: r.gauge("lean_scrub_findings", "What the last whole reading found wrong."),
            findings_total: r.counter("lean_scrub_findings_total", "What all readings found wrong."),
            repaired: r.counter(
                "lean_scrub_repaired_rows_total",
                "Damaged rows that were made again, or marked to be fetched from peers.",
            ),
            unrepaired: r.gauge(
                "lean_scrub_unrepaired_rows",
                "Damaged rows of the last reading that are not repaired while the node runs.",
            ),
            last_end: r.gauge(
                "lean_scrub_last_end_time_seconds",
                "Unix time at which the store had last been read whole; 0 if it has not since the start.",
            ),
            last_seconds: r.gauge("lean_scrub_last_duration_seconds", "How long that took."),
            due: r.gauge(
                "lean_scrub_due_time_seconds",
                "Unix time by which the next whole reading should have ended; 0 where nothing is scrubbed.",
            ),
        }
    }

    /// A reading begins.
    pub fn began(&self) {
        self.is_running.set(1);
    }

    /// A reading has ended, whole or not.
    pub fn ended(&self) {
        self.is_running.set(0);
    }

    /// The next whole reading should have ended by this Unix time.
    pub fn due(&self, unix_seconds: u64) {
        self.due.set(gauge(unix_seconds));
    }

    /// A reading failed, or left pages out.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// The store was read whole, in this time, at this Unix time.
    pub fn read_whole(&self, time: Duration, unix_seconds: u64) {
        self.runs.inc();
        self.last_end.set(gauge(unix_seconds));
        self.last_seconds.set(gauge(time.as_secs()));
    }

    /// What was read, and what was found.
    pub fn observe(&self, report: &Report) {
        self.checks.inc_by(report.check_count());
        self.findings.set(gauge(report.finding_count));
        self.findings_total.inc_by(report.finding_count);
        self.unrepaired.set(0);
    }

    /// What could be done about damaged rows was done.
    pub fn repaired(&self, report: &RepairReport) {
        self.repaired.inc_by(report.row_count());
        self.unrepaired.set(gauge(report.unrepaired_count));
    }
}
