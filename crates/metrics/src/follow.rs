//! How a follower of another's archive stands. Ours: `lean_follow_*` names; a node shows zeros.

use prometheus::{IntCounter, IntGauge};

use super::register::{Register, gauge};

/// How far a follower is, and what kept it.
#[derive(Debug)]
pub struct FollowMetrics {
    state: IntGauge,
    sequence: IntGauge,
    lag: IntGauge,
    troubles: IntGauge,
    blocks: IntCounter,
}

impl FollowMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        Self {
            state: r.gauge(
                "lean_follow_state",
                "2 catching up, 3 at the tail, 4 stale, 5 diverged; 0 if it is a node.",
            ),
            sequence: r.gauge("lean_follow_sequence", "Number of the tail object that comes next."),
            lag: r.gauge("lean_follow_lag_slots", "Slots that the head is behind the clock."),
            troubles: r.gauge(
                "lean_follow_troubles",
                "Times since the start that objects were missing, damaged or of another chain.",
            ),
            blocks: r.counter("lean_follow_blocks_total", "Blocks imported."),
        }
    }

    /// Blocks were imported.
    pub fn took(&self, blocks: u64) {
        self.blocks.inc_by(blocks);
    }

    /// How it stands.
    pub fn observe(&self, state: u64, sequence: u64, lag_slots: u64, troubles: u64) {
        self.state.set(gauge(state));
        self.sequence.set(gauge(sequence));
        self.lag.set(gauge(lag_slots));
        self.troubles.set(gauge(troubles));
    }
}
