//! What of the gossip is worth a look, and what was seen before: read from a message's first bytes, before anything is
//! decoded, hashed or verified for it.
//!
//! The hard idea: only what is *proven* to come from a validator may shut out what comes later. A block is first seen
//! once its proposer's signature holds, a vote once its own does; else a stranger's copy would silence the honest one.
//! A proposer that signs a second block has given evidence against itself: the first stays, the second is remembered
//! by its root alone, and no further one is looked at. Sync brings any of them where votes or children ask for it. Under a
//! scheme that proves nothing, no block is seen.
//!
//! Shared by the network's task, which asks, and the node's thread, which tells.

use std::{collections::BTreeMap, sync::Arc};

use lamella_fork_choice::ForkChoice;
use lamella_network::service::{Glance, Worth};
use lamella_types::{
    Root, Slot, ValidatorIndex, limits::MAX_ATTESTATIONS_DATA, slot::proposer_for_slot,
};
use parking_lot::Mutex;

/// Slots that a message may be ahead of our clock: clocks differ by less than one.
pub(super) const FUTURE_SLOTS_MAX: u64 = 1;

/// Slots ahead of our clock from which on no clock is to blame.
const FAR_FUTURE_SLOTS: u64 = 64;

/// Slots that a gossiped block may be behind our clock. What is older comes by root or with a range, if it is wanted.
const BLOCK_AGE_SLOTS_MAX: u64 = 64;

/// Slots that a gossiped vote may be behind our clock: a validator that lives has voted again since, and anyone can
/// replay old votes.
pub(super) const VOTE_AGE_SLOTS_MAX: u64 = 32;

/// Slots of which first blocks and votes are remembered: all that a message may have. 4,096 votes of a slot are 512
/// bytes.
const SEEN_SLOTS_MAX: u64 = BLOCK_AGE_SLOTS_MAX + 1 + FUTURE_SLOTS_MAX;

/// Further messages looked at for the proposal of a slot once it is imported: copies of the block whose proof was
/// altered, and blocks that its proposer did not sign, look like evidence before they are decoded.
const SECOND_LOOKS_MAX: u8 = 16;

/// What a block is among those of its slot. Its proposer follows from the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The first, or a copy of it.
    First,
    /// Another one than the first.
    Second,
    /// One more, after two of them are known; or known to be invalid.
    More,
}

/// What was seen of a slot.
#[derive(Debug, Default)]
struct SlotSeen {
    first: Option<Root>,
    second: Option<Root>,
    /// The first is invalid, by its proposer's fault.
    is_bad: bool,
    looks: u8,
    /// A bit for each validator.
    voters: Vec<u8>,
}

/// The gate.
#[derive(Debug)]
pub(super) struct Gate {
    validators: u64,
    /// Whether a block that passes its checks is its proposer's.
    is_proven: bool,
    slots: Mutex<BTreeMap<Slot, SlotSeen>>,
}

impl Gate {
    /// A gate that has seen nothing, for a registry of so many validators.
    pub(super) const fn new(validators: u64, is_proven: bool) -> Self {
        Self { validators, is_proven, slots: Mutex::new(BTreeMap::new()) }
    }

    /// Whether a message is worth its decoding in the slot that it is now. The view is asked for where a block is.
    pub(super) fn worth(
        &self,
        glance: &Glance,
        current: Slot,
        view: impl FnOnce() -> Arc<ForkChoice>,
    ) -> Worth {
        match *glance {
            Glance::Block { votes, .. } if votes > MAX_ATTESTATIONS_DATA => {
                Worth::Never("more votes than a block may carry")
            }
            Glance::Block { slot, proposer_index, .. }
                if proposer_for_slot(slot, self.validators) != Some(proposer_index) =>
            {
                Worth::Never("a block that is not its proposer's")
            }
            Glance::Block { slot, .. } => match timely(current, slot, BLOCK_AGE_SLOTS_MAX) {
                Worth::Reading => self.worth_of_block(slot, &view()),
                worthless => worthless,
            },
            Glance::Vote { validator_index, .. } if validator_index >= self.validators => {
                Worth::Never("a vote of a validator that does not exist")
            }
            Glance::Vote { slot, validator_index, .. } => {
                match timely(current, slot, VOTE_AGE_SLOTS_MAX) {
                    Worth::Reading if self.has_voted(slot, validator_index) => Worth::Nothing,
                    timely => timely,
                }
            }
            Glance::Aggregate { slot } => timely(current, slot, VOTE_AGE_SLOTS_MAX),
        }
    }

    fn worth_of_block(&self, slot: Slot, view: &ForkChoice) -> Worth {
        if slot <= view.latest_finalized().slot {
            return Worth::Nothing;
        }
        let mut slots = self.slots.lock();
        let Some(seen) = slots.get_mut(&slot) else { return Worth::Reading };
        let is_done = |first: Root| seen.is_bad || view.contains(&first);
        // Until the first is imported, a better copy of it must get through.
        if !seen.first.is_some_and(is_done) {
            return Worth::Reading;
        }
        if seen.second.is_some() || seen.looks == SECOND_LOOKS_MAX {
            return Worth::Nothing;
        }
        seen.looks += 1;
        Worth::Reading
    }

    /// Which block of its slot this is, if its proposer's signature holds.
    pub(super) fn place(&self, slot: Slot, root: &Root) -> Seen {
        let slots = self.slots.lock();
        let Some(SlotSeen { first: Some(first), second, is_bad, .. }) = slots.get(&slot) else {
            return Seen::First;
        };
        match second {
            _ if first == root => {
                if *is_bad {
                    Seen::More
                } else {
                    Seen::First
                }
            }
            Some(second) if second != root => Seen::More,
            _ => Seen::Second,
        }
    }

    /// A block's proposer has signed it; `true` if it is evidence that was not there before.
    pub(super) fn block_signed(&self, slot: Slot, root: &Root) -> bool {
        self.is_proven
            && self.with(slot, |seen| match (seen.first, seen.second) {
                (None, _) => {
                    seen.first = Some(*root);
                    false
                }
                (Some(first), None) if first != *root => {
                    seen.second = Some(*root);
                    true
                }
                _ => false,
            })
    }

    /// A block whose proposer signed it is invalid all the same: no copy of it is any better.
    pub(super) fn block_invalid(&self, slot: Slot, root: &Root) {
        self.with(slot, |seen| seen.is_bad |= seen.first == Some(*root));
    }

    /// A vote's signature holds.
    pub(super) fn voted(&self, slot: Slot, validator: ValidatorIndex) {
        let Some((byte, bit)) = self.bit_of(validator) else { return };
        let bytes = usize::try_from(self.validators.div_ceil(8)).unwrap_or_default();
        self.with(slot, |seen| {
            seen.voters.resize(bytes, 0);
            if let Some(voters) = seen.voters.get_mut(byte) {
                *voters |= bit;
            }
        });
    }

    /// Whether a vote of this validator for this slot was taken.
    pub(super) fn has_voted(&self, slot: Slot, validator: ValidatorIndex) -> bool {
        let slots = self.slots.lock();
        let Some((byte, bit)) = self.bit_of(validator) else { return false };
        slots
            .get(&slot)
            .and_then(|seen| seen.voters.get(byte))
            .is_some_and(|voters| voters & bit != 0)
    }

    fn bit_of(&self, validator: ValidatorIndex) -> Option<(usize, u8)> {
        let is_registered = validator < self.validators;
        let byte = usize::try_from(validator / 8).ok().filter(|_| is_registered)?;
        Some((byte, 1 << (validator % 8)))
    }

    /// Changes what was seen of a slot. The oldest slot makes room.
    fn with<T>(&self, slot: Slot, change: impl FnOnce(&mut SlotSeen) -> T) -> T {
        let mut slots = self.slots.lock();
        let changed = change(slots.entry(slot).or_default());
        while slots.len() as u64 > SEEN_SLOTS_MAX {
            slots.pop_first();
        }
        changed
    }
}

/// Whether a slot is one that is talked about now.
fn timely(current: Slot, slot: Slot, age_max: u64) -> Worth {
    if slot > current.saturating_add(FAR_FUTURE_SLOTS) {
        return Worth::Never("a slot of the far future");
    }
    let is_of_now = slot <= current + FUTURE_SLOTS_MAX && slot.saturating_add(age_max) >= current;
    if is_of_now { Worth::Reading } else { Worth::Nothing }
}

#[cfg(test)]
mod tests {
    use lamella_fork_choice::BlockSummary;
    use lamella_types::Checkpoint;

    use super::*;

    const VALIDATORS: u64 = 10;

    fn summary(slot: Slot, root: Root, parent_root: Root) -> BlockSummary {
        let finalized = Checkpoint { root: Root::new([1; 32]), slot: 100 };
        BlockSummary {
            root,
            parent_root,
            slot,
            proposer_index: slot % VALIDATORS,
            justified: finalized,
            finalized,
            validator_count: VALIDATORS,
        }
    }

    /// A gate, and a chain that begins with a block of slot 100.
    fn fresh() -> (Gate, ForkChoice) {
        let anchor = summary(100, Root::new([1; 32]), Root::ZERO);
        (Gate::new(VALIDATORS, true), ForkChoice::from_anchor(anchor))
    }

    fn worth(gate: &Gate, view: &ForkChoice, glance: Glance, current: Slot) -> Worth {
        gate.worth(&glance, current, || Arc::new(view.clone()))
    }

    fn block(slot: Slot) -> Glance {
        let proposer_index = slot % VALIDATORS;
        Glance::Block { slot, proposer_index, parent_root: Root::ZERO, votes: 8 }
    }

    fn vote(slot: Slot, validator_index: ValidatorIndex) -> Glance {
        Glance::Vote { slot, validator_index, subnet: 0 }
    }

    #[test]
    fn only_slots_of_now_are_read_and_nothing_ahead_by_more_than_clocks_differ() {
        let (gate, view) = fresh();
        let worth_now = |glance| worth(&gate, &view, glance, 150);
        let never = Worth::Never("a slot of the far future");
        for (slot, of_block, of_vote) in [
            (u64::MAX, never, never),
            (215, never, never),
            (214, Worth::Nothing, Worth::Nothing),
            (152, Worth::Nothing, Worth::Nothing),
            (151, Worth::Reading, Worth::Reading),
            (118, Worth::Reading, Worth::Reading),
            (117, Worth::Reading, Worth::Nothing),
            (101, Worth::Reading, Worth::Nothing),
            (100, Worth::Nothing, Worth::Nothing),
        ] {
            assert_eq!(worth_now(block(slot)), of_block, "block of slot {slot}");
            assert_eq!(worth_now(vote(slot, 0)), of_vote, "vote of slot {slot}");
            assert_eq!(worth_now(Glance::Aggregate { slot }), of_vote, "aggregate of slot {slot}");
        }
        assert_eq!(worth(&gate, &view, block(101), 166), Worth::Nothing, "an old block");
    }

    #[test]
    fn what_no_validator_can_have_made_is_refused_at_a_glance() {
        let (gate, view) = fresh();
        let Glance::Block { slot, parent_root, .. } = block(151) else { unreachable!() };
        for (proposer_index, votes) in [(2, 8), (VALIDATORS + 1, 8), (1, 9)] {
            let glance = Glance::Block { slot, proposer_index, parent_root, votes };
            assert!(matches!(worth(&gate, &view, glance, 150), Worth::Never(_)));
        }
        assert!(matches!(worth(&gate, &view, vote(150, VALIDATORS), 150), Worth::Never(_)));
        assert!(matches!(worth(&gate, &view, vote(150, u64::MAX), 150), Worth::Never(_)));
    }

    #[test]
    fn the_first_block_of_a_slot_stays_the_first_and_a_third_is_not_looked_at() {
        let (gate, mut view) = fresh();
        let [first, second, third] = [2, 3, 4].map(|byte| Root::new([byte; 32]));
        assert_eq!(gate.place(150, &first), Seen::First);
        assert!(!gate.block_signed(150, &first));
        assert_eq!(
            (gate.place(150, &first), gate.place(150, &second)),
            (Seen::First, Seen::Second)
        );
        // Not imported yet: the copy that came may be one whose proof was altered.
        (0..100).for_each(|_| assert_eq!(worth(&gate, &view, block(150), 150), Worth::Reading));
        view.on_block(summary(150, first, Root::new([1; 32])), []).unwrap();
        // Imported: a few more looks, for evidence.
        let looks = (0..100).filter(|_| worth(&gate, &view, block(150), 150) == Worth::Reading);
        assert_eq!(looks.count(), usize::from(SECOND_LOOKS_MAX));
        assert!(gate.block_signed(150, &second), "evidence");
        assert!(!gate.block_signed(150, &second) && !gate.block_signed(150, &third), "once");
        assert_eq!((gate.place(150, &second), gate.place(150, &third)), (Seen::Second, Seen::More));
        assert_eq!(worth(&gate, &view, block(150), 150), Worth::Nothing);
        assert_eq!(worth(&gate, &view, block(151), 150), Worth::Reading, "another slot");
    }

    #[test]
    fn where_nothing_is_proven_a_forged_block_shuts_nothing_out() {
        let gate = Gate::new(VALIDATORS, false);
        assert!(!gate.block_signed(150, &Root::new([2; 32])));
        assert_eq!(gate.place(150, &Root::new([3; 32])), Seen::First);
    }

    #[test]
    fn a_block_that_is_invalid_whoever_copies_it_is_judged_once() {
        let (gate, root) = (fresh().0, Root::new([2; 32]));
        gate.block_signed(150, &root);
        gate.block_invalid(150, &Root::new([3; 32]));
        assert_eq!(gate.place(150, &root), Seen::First);
        gate.block_invalid(150, &root);
        assert_eq!(gate.place(150, &root), Seen::More);
    }

    #[test]
    fn a_validator_votes_once_a_slot_and_memory_is_bounded() {
        let (gate, view) = fresh();
        gate.voted(150, 9);
        gate.voted(150, VALIDATORS);
        assert_eq!(worth(&gate, &view, vote(150, 9), 150), Worth::Nothing);
        assert_eq!(worth(&gate, &view, vote(150, 8), 150), Worth::Reading);
        assert_eq!(worth(&gate, &view, vote(149, 9), 150), Worth::Reading);
        for slot in 0..1_000 {
            gate.voted(slot, 0);
            gate.block_signed(slot, &Root::ZERO);
        }
        assert_eq!(gate.slots.lock().len() as u64, SEEN_SLOTS_MAX);
        assert!(gate.has_voted(999, 0) && !gate.has_voted(150, 9));
    }
}
