//! Slot arithmetic of 3SF-mini: leanSpec `forks/lstar/slot.py`.

use crate::limits::IMMEDIATE_JUSTIFICATION_WINDOW;

/// A slot number.
pub type Slot = u64;

/// A validator's position in the registry.
pub type ValidatorIndex = u64;

/// The bit of `justified_slots` that tracks `slot`; `None` at or before the finalized boundary, where every
/// slot counts as justified.
#[must_use]
pub fn justified_index_after(slot: Slot, finalized_slot: Slot) -> Option<usize> {
    slot.checked_sub(finalized_slot)?.checked_sub(1).and_then(|index| usize::try_from(index).ok())
}

/// Whether `slot` may be justified after `finalized_slot`: their distance is at most 5, a perfect square, or
/// pronic (n(n+1)). A slot before the boundary is not a candidate.
#[must_use]
pub fn is_justifiable_after(slot: Slot, finalized_slot: Slot) -> bool {
    let Some(delta) = slot.checked_sub(finalized_slot) else {
        return false;
    };
    if delta <= IMMEDIATE_JUSTIFICATION_WINDOW {
        return true;
    }
    let root = delta.isqrt();
    // Pronic: n(n+1) lies strictly between n^2 and (n+1)^2, so n is the integer square root.
    u128::from(root) * u128::from(root) == u128::from(delta)
        || u128::from(root) * (u128::from(root) + 1) == u128::from(delta)
}

/// The validator that proposes at `slot`; `None` for an empty registry.
#[must_use]
pub fn proposer_for_slot(slot: Slot, validator_count: u64) -> Option<ValidatorIndex> {
    slot.checked_rem(validator_count)
}
