//! Proofs and states that are kept longer than a directory would by itself, because an archive lacks them.
//!
//! The hard idea: whoever ships proofs may be held up for days, and pruning must neither outrun it nor let it fill the
//! disk. So whoever ships says from which slot on it still needs proofs, the window grows back to there, and never by
//! more than [`HELD_SLOTS_MAX`]: what is older is pruned then, and how much that is can be asked. States are held alike.

use std::sync::atomic::{AtomicU64, Ordering};

use lamella_types::{SEGMENT_ROOTS, Slot};

use crate::kept::whole_anchor;

/// Slots of proofs kept beyond the window at most: one more day at 4 s per slot, 5.6 GB at 0.26 MB a proof.
pub const HELD_SLOTS_MAX: u64 = 21_600;

/// Slots that are shipped together.
const SEGMENT_SLOTS: u64 = SEGMENT_ROOTS as u64;

/// The slots from which on proofs and states are needed. Nobody needs any at first.
#[derive(Debug)]
pub(crate) struct Hold {
    proofs: AtomicU64,
    states: AtomicU64,
}

impl Default for Hold {
    fn default() -> Self {
        Self { proofs: AtomicU64::new(Slot::MAX), states: AtomicU64::new(Slot::MAX) }
    }
}

/// What is kept for an archive beyond the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Slots whose proofs would be pruned if nobody needed them.
    pub slots: u64,
    /// Slots whose proofs are needed and pruned all the same, where finality allows it.
    pub lost: u64,
}

impl Hold {
    /// The window as it is while these proofs are needed.
    pub(crate) fn window(&self, window_slots: u64, tip: Slot) -> u64 {
        window_slots.saturating_add(self.held(window_slots, tip).slots)
    }

    /// Keeps proofs from this slot on.
    pub(crate) fn from(&self, slot: Slot) {
        self.proofs.store(slot, Ordering::Relaxed);
    }

    /// Keeps states from this slot on.
    pub(crate) fn states_from(&self, slot: Slot) {
        self.states.store(slot, Ordering::Relaxed);
    }

    /// The floor of states as it is while these are needed; where proofs go with them, while those are too.
    pub(crate) fn states_floor(&self, wanted: Slot, with_proofs: bool) -> Slot {
        let proofs = if with_proofs { self.proofs.load(Ordering::Relaxed) } else { Slot::MAX };
        let needed = wanted.min(self.states.load(Ordering::Relaxed)).min(proofs);
        whole_anchor(needed.max(wanted.saturating_sub(HELD_SLOTS_MAX)))
    }

    /// Whether a whole segment of what is held is finalized, and so could be elsewhere.
    pub(crate) fn is_shippable(&self, finalized: Slot) -> bool {
        finalized / SEGMENT_SLOTS > self.proofs.load(Ordering::Relaxed) / SEGMENT_SLOTS
    }

    pub(crate) fn held(&self, window_slots: u64, tip: Slot) -> Held {
        let needed = tip.saturating_sub(self.proofs.load(Ordering::Relaxed));
        let beyond = needed.saturating_sub(window_slots);
        let slots = beyond.min(HELD_SLOTS_MAX);
        Held { slots, lost: beyond - slots }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_grows_back_to_what_is_needed_and_no_further_than_its_limit() {
        let hold = Hold::default();
        assert_eq!((hold.window(100, 1_000), hold.held(100, 1_000)), (100, Held::default()));
        hold.from(950);
        assert_eq!(hold.window(100, 1_000), 100, "it has them anyway");
        hold.from(700);
        assert_eq!((hold.window(100, 1_000), hold.held(100, 1_000).slots), (300, 200));
        assert_eq!((hold.states_floor(4_096, false), hold.states_floor(4_096, true)), (4_096, 0));
        hold.states_from(2_047);
        assert_eq!(
            (hold.states_floor(1_024, false), hold.states_floor(4_096, false)),
            (1_024, 1_024)
        );
        let floor = whole_anchor(4 * HELD_SLOTS_MAX);
        assert_eq!(hold.states_floor(floor, false), whole_anchor(floor - HELD_SLOTS_MAX));
        let tip = 1_000 + 2 * HELD_SLOTS_MAX;
        let held = Held { slots: HELD_SLOTS_MAX, lost: 200 + HELD_SLOTS_MAX };
        assert_eq!((hold.window(100, tip), hold.held(100, tip)), (100 + HELD_SLOTS_MAX, held));
    }
}
