//! What goes wrong quietly: clocks, logs, readers, guards and keys. Ours: `lean_*` names that leanMetrics does not have.

use lamella_chain::Recovered;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::register::{Register, gauge};

/// Ways of the time to leap: label `direction`.
const DIRECTIONS: [&str; 2] = ["back", "forward"];

/// What a start derives again: label `table`.
const DERIVED: [&str; 4] = ["Votes", "Slots", "Canonical", "fork_choice"];

/// What an operator would not see otherwise.
#[derive(Debug)]
pub struct WatchMetrics {
    clock_leaps: IntCounterVec,
    clock_peers_ahead: IntGauge,
    lost_lines: IntCounter,
    held_bytes: IntGauge,
    derived_rows: IntCounterVec,
    silenced_keys: IntGauge,
    guard_copy_failures: IntCounter,
    keys_prepared_end: IntGauge,
    keys_active_end: IntGauge,
}

impl WatchMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        Self {
            clock_leaps: r.counters(
                "lean_clock_leaps_total",
                "Times that the clock was set, or slots passed unlived.",
                "direction",
                &DIRECTIONS,
            ),
            clock_peers_ahead: r.gauge(
                "lean_clock_peers_ahead",
                "Peers whose head is after the slot of our clock.",
            ),
            lost_lines: r.counter(
                "lean_log_lost_lines_total",
                "Lines of the log that were lost: nobody read them, or they could not be written.",
            ),
            held_bytes: r.gauge(
                "lean_storage_held_bytes",
                "Bytes of the database file that wait for readers of other processes.",
            ),
            derived_rows: r.counters(
                "lean_storage_derived_rows_total",
                "Rows that the start derived again or dropped, since they were damaged, lost or disagreed.",
                "table",
                &DERIVED,
            ),
            silenced_keys: r.gauge(
                "lean_validator_silenced_keys",
                "Keys that sign nothing, since what they have signed cannot be read.",
            ),
            guard_copy_failures: r.counter(
                "lean_sign_guard_copy_failures_total",
                "Times that the guard beside the keys could not be written, and nothing was signed.",
            ),
            keys_prepared_end: r.gauge(
                "lean_validator_keys_prepared_end_slot",
                "The first slot that not every key of this node can sign as prepared now; 0 without keys.",
            ),
            keys_active_end: r.gauge(
                "lean_validator_keys_end_slot",
                "The first slot that not every key of this node can ever sign; 0 without keys.",
            ),
        }
    }

    /// The time leapt.
    pub fn count_clock_leap(&self, direction: &str) {
        debug_assert!(DIRECTIONS.contains(&direction), "{direction} is no direction");
        self.clock_leaps.with_label_values(&[direction]).inc();
    }

    /// How many peers are ahead of the clock.
    pub fn observe_peers_ahead(&self, peers: usize) {
        self.clock_peers_ahead.set(gauge(peers as u64));
    }

    /// How many lines the log has lost since the start.
    pub fn observe_lost_lines(&self, total: u64) {
        // The log counts; the metric catches up. Only the node's thread tells it.
        self.lost_lines.inc_by(total.saturating_sub(self.lost_lines.get()));
    }

    /// What other processes' readers hold back.
    pub fn observe_held_bytes(&self, bytes: u64) {
        self.held_bytes.set(gauge(bytes));
    }

    /// What the start derived again.
    pub fn observe_recovered(&self, recovered: &Recovered) {
        let Recovered { votes, slots, canonical, fork_choice } = *recovered;
        for (table, rows) in DERIVED.into_iter().zip([votes, slots, canonical, fork_choice.into()])
        {
            self.derived_rows.with_label_values(&[table]).inc_by(rows);
        }
    }

    /// How many keys sign nothing.
    pub fn observe_silenced_keys(&self, keys: usize) {
        self.silenced_keys.set(gauge(keys as u64));
    }

    /// How often the guard beside the keys could not be written since the start.
    pub fn observe_guard_copy_failures(&self, total: u64) {
        self.guard_copy_failures.inc_by(total.saturating_sub(self.guard_copy_failures.get()));
    }

    /// The first slots that not all keys can sign, as prepared now and ever.
    pub fn observe_keys(&self, prepared_end: u64, active_end: u64) {
        self.keys_prepared_end.set(gauge(prepared_end));
        self.keys_active_end.set(gauge(active_end));
    }
}
