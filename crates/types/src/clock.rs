//! Wall-clock time to slots and intervals: leanSpec `node/chain/clock.py`, without the clock.

use crate::{
    limits::{CHAIN_LAST_SLOT, INTERVALS_PER_SLOT},
    slot::Slot,
};

/// Converts Unix milliseconds to slots and intervals. Before genesis everything is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotClock {
    /// Unix milliseconds at which slot 0 began.
    pub genesis_ms: u64,
    /// Milliseconds of one interval, at least 1.
    pub interval_ms: u64,
}

impl SlotClock {
    /// A clock with slots of `slot_ms`, rounded down to whole intervals of at least 1 ms.
    #[must_use]
    pub const fn new(genesis_time_s: u64, slot_ms: u64) -> Self {
        let interval_ms = slot_ms / INTERVALS_PER_SLOT;
        let interval_ms = if interval_ms == 0 { 1 } else { interval_ms };
        Self { genesis_ms: genesis_time_s.saturating_mul(1000), interval_ms }
    }

    /// Milliseconds of one slot.
    #[must_use]
    pub const fn slot_ms(&self) -> u64 {
        self.interval_ms.saturating_mul(INTERVALS_PER_SLOT)
    }

    /// Intervals since genesis.
    #[must_use]
    pub const fn total_intervals(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.genesis_ms) / self.interval_ms
    }

    /// The slot at this time.
    #[must_use]
    pub const fn current_slot(&self, now_ms: u64) -> Slot {
        self.total_intervals(now_ms) / INTERVALS_PER_SLOT
    }

    /// Slots that can still have a block, after this one.
    #[must_use]
    pub const fn slots_left(slot: Slot) -> u64 {
        CHAIN_LAST_SLOT.saturating_sub(slot)
    }

    /// The interval within the slot, 0 to 4.
    #[must_use]
    pub const fn current_interval(&self, now_ms: u64) -> u64 {
        self.total_intervals(now_ms) % INTERVALS_PER_SLOT
    }

    /// Unix milliseconds at which an interval begins.
    #[must_use]
    pub const fn interval_start_ms(&self, total_interval: u64) -> u64 {
        self.genesis_ms.saturating_add(total_interval.saturating_mul(self.interval_ms))
    }
}
