//! Justification tracking of a state: which slots are justified, and the tally of votes for those that are not yet.

use std::sync::{Arc, OnceLock};

use crate::{
    bits::BitList,
    limits::{HISTORICAL_ROOTS_DEPTH, HISTORICAL_ROOTS_LIMIT, JUSTIFICATION_VALIDATORS_LIMIT},
    merkle::{merkleize_roots, mix_in_length},
    rejection::RejectionReason,
    root::Root,
    slot::{Slot, justified_index_after},
};

/// `justified_slots`: bit `i` stands for the slot `i + 1` after the finalized one.
pub type JustifiedSlots = BitList<HISTORICAL_ROOTS_LIMIT>;

/// `justifications_validators`: one run of registry-many bits for each tracked root.
pub type JustificationValidators = BitList<JUSTIFICATION_VALIDATORS_LIMIT>;

impl JustifiedSlots {
    /// Whether `slot` is justified; every slot up to the finalized one is.
    ///
    /// # Errors
    /// `JUSTIFIED_SLOT_OUT_OF_RANGE` past the tracked window.
    pub fn is_slot_justified(
        &self,
        finalized_slot: Slot,
        slot: Slot,
    ) -> Result<bool, RejectionReason> {
        if slot <= finalized_slot {
            return Ok(true);
        }
        justified_index_after(slot, finalized_slot)
            .and_then(|index| self.get(index))
            .ok_or(RejectionReason::JustifiedSlotOutOfRange)
    }

    /// Makes room for `slot`, with zeros. Slots beyond the history limit are left out; the history refuses them.
    pub fn extend_to_slot(&mut self, finalized_slot: Slot, slot: Slot) {
        if let Some(index) = justified_index_after(slot, finalized_slot) {
            let length = index.saturating_add(1).min(HISTORICAL_ROOTS_LIMIT);
            if length > self.len() {
                self.resize(length);
            }
        }
    }
}

/// The two fields `justifications_roots` and `justifications_validators` as one shared value with cached roots.
/// Most blocks leave it alone, so a clone is a pointer.
#[derive(Clone, Default)]
pub struct Justifications(Arc<Tally>);

#[derive(Default)]
struct Tally {
    roots: Vec<Root>,
    votes: JustificationValidators,
    field_roots: OnceLock<(Root, Root)>,
}

impl Justifications {
    /// The tally of these fields. They need not agree in length: a decoded state is kept as it is, and the
    /// state transition refuses it.
    #[must_use]
    pub fn new(roots: Vec<Root>, votes: JustificationValidators) -> Self {
        Self(Arc::new(Tally { roots, votes, field_roots: OnceLock::new() }))
    }

    /// `justifications_roots`: blocks with votes but no justification yet, ascending.
    #[must_use]
    pub fn roots(&self) -> &[Root] {
        &self.0.roots
    }

    /// `justifications_validators`: the votes for each root, concatenated.
    #[must_use]
    pub fn votes(&self) -> &JustificationValidators {
        &self.0.votes
    }

    /// The packed votes for the root at `index` of a registry of `validator_count`; `None` if the bitlist is
    /// too short for it.
    #[must_use]
    pub fn votes_of(&self, index: usize, validator_count: usize) -> Option<Vec<u8>> {
        let start = index.checked_mul(validator_count)?;
        (start.checked_add(validator_count)? <= self.0.votes.len())
            .then(|| self.0.votes.slice(start, validator_count))
    }

    /// `hash_tree_root` of `justifications_roots` and of `justifications_validators`.
    #[must_use]
    pub fn field_roots(&self) -> (Root, Root) {
        *self.0.field_roots.get_or_init(|| {
            let data = merkleize_roots(&self.0.roots, HISTORICAL_ROOTS_DEPTH);
            (mix_in_length(&data, self.0.roots.len()), self.0.votes.root())
        })
    }

    /// Whether both handles point at one allocation.
    #[must_use]
    pub fn shares_memory_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for Justifications {
    fn eq(&self, other: &Self) -> bool {
        self.shares_memory_with(other)
            || (self.roots() == other.roots() && self.votes() == other.votes())
    }
}

impl Eq for Justifications {}

impl std::fmt::Debug for Justifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Justifications({:?}, {:?})", self.roots(), self.votes())
    }
}
