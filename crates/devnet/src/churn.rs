//! Which nodes come and go, and when: a third of them, all at once, and the last ones, since the first two aggregate.
//!
//! A network of 3, 6 or 9 nodes thus loses a third of its validators again and again, and goes on with just the two thirds
//! that finality needs.

use lamella_types::Slot;

/// Slots that they are here, then away, in turn. A node that comes back catches up in one or two.
const HERE_SLOTS: u64 = 12;
const AWAY_SLOTS: u64 = 6;

/// Last slots of a run in which everybody is here: time for finality to come close again.
pub(super) const LAST_SLOTS: u64 = 16;

/// Nodes that it takes for one of them to go.
pub(super) const NODES_MIN: u64 = 3;

/// A plan of absences.
#[derive(Debug, Clone, Copy)]
pub(super) struct Churn {
    /// The first node that comes and goes.
    first: usize,
    start: Slot,
    end: Slot,
}

impl Churn {
    /// For so many nodes, in a run from and up to these slots.
    pub(super) const fn new(nodes: usize, start: Slot, end: Slot) -> Self {
        Self { first: nodes - nodes / 3, start, end }
    }

    /// Whether this node is never told to go.
    pub(super) const fn stays(&self, node: usize) -> bool {
        node < self.first
    }

    /// Whether the others are away in this slot.
    pub(super) const fn is_away(&self, slot: Slot) -> bool {
        let passed = slot.saturating_sub(self.start);
        slot.saturating_add(LAST_SLOTS) < self.end
            && passed % (HERE_SLOTS + AWAY_SLOTS) >= HERE_SLOTS
    }

    /// Whether it is with a kill that they leave in this slot: every other time.
    pub(super) const fn is_killed(&self, slot: Slot) -> bool {
        (slot.saturating_sub(self.start) / (HERE_SLOTS + AWAY_SLOTS)).is_multiple_of(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_goes_in_order_or_killed_in_turn_and_is_back_at_the_end() {
        let churn = Churn::new(4, 5, 61);
        assert_eq!([2, 3].map(|node| churn.stays(node)), [true, false]);
        assert_eq!([3, 6, 9].map(|nodes| Churn::new(nodes, 0, 0).first), [2, 4, 6]);
        let away: Vec<Slot> = (0..70).filter(|slot| churn.is_away(*slot)).collect();
        assert_eq!(away, [17, 18, 19, 20, 21, 22, 35, 36, 37, 38, 39, 40]);
        assert!(churn.is_killed(17) && !churn.is_killed(35));
    }
}
