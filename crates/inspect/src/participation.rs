//! Who voted in which slot, by what the head's chain carries.

use std::collections::BTreeMap;

use lamella_tables::ReadTxn;
use lamella_types::{
    AggregationBits, Root, Slot, ValidatorIndex, limits::VALIDATOR_REGISTRY_LIMIT,
    slot::proposer_for_slot,
};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{ends::Ends, error::LookupError, json::Json, stored, walk::Walk};

/// Slots that one look is about at most: 4,096 validators make 270 KB of JSON of them.
pub const PARTICIPATION_SLOTS_MAX: u64 = 256;

/// Slots after the stretch whose blocks may still bring its votes.
const LATE_SLOTS: u64 = 32;

/// Who voted in a stretch of slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participation {
    /// Validators of the registry.
    pub validator_count: u64,
    /// The slots, ascending, up to the head's.
    pub slots: Vec<SlotVotes>,
}

/// A slot, and who voted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotVotes {
    /// The slot.
    pub slot: Slot,
    /// Whose turn it was.
    pub proposer_index: ValidatorIndex,
    /// The canonical block, if the slot has one.
    pub root: Option<Root>,
    /// Whose votes of this slot a block of the head's chain carries, at most 32 slots later.
    pub voters: AggregationBits,
}

/// Who voted in `slots` slots from `from` on, as far as the head.
///
/// # Errors
/// [`NotStored`](super::NotStored) if the stretch begins before the oldest block or after the head; damage.
///
/// # Cost
/// Header and body of each canonical block of the stretch, and of 32 slots more.
pub fn participation(
    txn: &ReadTxn<'_>,
    validator_count: u64,
    from: Slot,
    slots: u64,
) -> Result<Participation, LookupError> {
    let head_slot = Ends::read(txn)?.head.slot;
    let slots = slots.min(PARTICIPATION_SLOTS_MAX);
    let to = from.saturating_add(slots.saturating_sub(1)).min(head_slot.max(from));
    let last = to.saturating_add(LATE_SLOTS).min(head_slot.max(from));
    let validators = usize::try_from(validator_count).unwrap_or(usize::MAX);
    let validators = validators.min(VALIDATOR_REGISTRY_LIMIT);
    let mut rows: BTreeMap<Slot, SlotVotes> = BTreeMap::new();
    for slot in from..=to {
        let proposer_index = proposer_for_slot(slot, validator_count).unwrap_or(0);
        let voters = AggregationBits::zeros(validators);
        rows.insert(slot, SlotVotes { slot, proposer_index, root: None, voters });
    }
    for block in Walk::new(from, last).next_blocks(txn, usize::MAX)? {
        if let Some(row) = rows.get_mut(&block.key.slot) {
            row.root = Some(block.key.root);
        }
        let body = stored::body(txn, &block.key, &block.header)?;
        for vote in body.attestations.iter() {
            let Some(row) = rows.get_mut(&vote.data.slot) else { continue };
            row.voters.add_all(&vote.aggregation_bits);
        }
    }
    Ok(Participation { validator_count, slots: rows.into_values().collect() })
}

impl Serialize for Participation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Participation", 2)?;
        object.serialize_field("validator_count", &self.validator_count)?;
        object.serialize_field("slots", &self.slots)?;
        object.end()
    }
}

impl Serialize for SlotVotes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("SlotVotes", 4)?;
        object.serialize_field("slot", &self.slot)?;
        object.serialize_field("proposer_index", &self.proposer_index)?;
        object.serialize_field("root", &self.root.as_ref().map(Json))?;
        object.serialize_field("voters", &Json(&self.voters))?;
        object.end()
    }
}
