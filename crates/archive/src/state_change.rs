//! What a block changes in the state beyond its header and the chain's own roots, and what of a state that is a part.
//!
//! ```text
//! change = justified, finalized: checkpoint each | justified slots: bits varint | set varint | gap list | tally
//! entry  = history root: 32, unless the entry is at slot 0 | change, its tally in full
//! ```
//!
//! The tally is that of a state diff: number 1 for a change, 0 in full. A store begins its deltas anew at will; here each
//! block has its change, so that one history has one form.

use lamella_state_diff::{TallyDiff, TallyError};
use lamella_types::{
    BlockHeader, Checkpoint, Justifications, JustifiedSlots, Root, Slot, State,
    limits::HISTORICAL_ROOTS_LIMIT,
    packed::{FormatError, Reader, put_positions, put_varint, read_positions},
};

use crate::checkpoints::{Foreign, Told, read_checkpoint};

/// Number of a tally that is a change.
const TALLY_NUMBER: u8 = 1;

/// What a block's post-state has other than its parent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// Latest justified checkpoint of the post-state.
    pub latest_justified: Checkpoint,
    /// Its latest finalized checkpoint.
    pub latest_finalized: Checkpoint,
    /// Its justified slots after the finalized one.
    pub justified_slots: JustifiedSlots,
    /// The change of pending votes; in full for the state that a segment begins with.
    pub tally: TallyDiff,
}

/// The parts of a state that blocks change. Header, history, configuration and registry are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SmallState {
    pub latest_justified: Checkpoint,
    pub latest_finalized: Checkpoint,
    pub justified_slots: JustifiedSlots,
    pub justifications: Justifications,
}

impl SmallState {
    pub fn of(state: &State) -> Self {
        Self {
            latest_justified: state.latest_justified,
            latest_finalized: state.latest_finalized,
            justified_slots: state.justified_slots.clone(),
            justifications: state.justifications.clone(),
        }
    }

    /// The state after a change.
    pub fn after(&self, change: &StateChange, validators: usize) -> Result<Self, TallyError> {
        Ok(Self {
            latest_justified: change.latest_justified,
            latest_finalized: change.latest_finalized,
            justified_slots: change.justified_slots.clone(),
            justifications: change.tally.apply(&self.justifications, validators)?,
        })
    }

    /// The change from `base` to this.
    pub fn since(&self, base: &Self, validators: usize) -> StateChange {
        let (before, after) = (&base.justifications, &self.justifications);
        self.with(TallyDiff::delta(TALLY_NUMBER, before, after, validators))
    }

    /// All of it as a change from anything.
    pub fn in_full(&self, validators: usize) -> StateChange {
        self.with(TallyDiff::full(&self.justifications, validators))
    }

    fn with(&self, tally: TallyDiff) -> StateChange {
        StateChange {
            latest_justified: self.latest_justified,
            latest_finalized: self.latest_finalized,
            justified_slots: self.justified_slots.clone(),
            tally,
        }
    }
}

/// The block and state that a segment's first block rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub header: BlockHeader,
    pub root: Root,
    /// Root of the state's history, whose entries are other segments'.
    pub history_root: Root,
    pub state: SmallState,
}

/// Appends a change of the block at `slot`.
pub(crate) fn put_change(
    buffer: &mut Vec<u8>,
    foreign: &mut Foreign,
    told: &Told,
    slot: Slot,
    change: &StateChange,
) {
    foreign.put(buffer, told, slot, &change.latest_justified);
    foreign.put(buffer, told, slot, &change.latest_finalized);
    put_varint(buffer, change.justified_slots.len() as u64);
    put_varint(buffer, change.justified_slots.count_ones() as u64);
    put_positions(buffer, change.justified_slots.ones());
    change.tally.write(buffer);
}

/// Reads what [`put_change`] wrote.
pub(crate) fn read_change(
    reader: &mut Reader<'_>,
    told: &Told,
    foreign: &[Checkpoint],
    slot: Slot,
    validators: usize,
) -> Result<StateChange, FormatError> {
    let latest_justified = read_checkpoint(reader, "justified", told, foreign, slot)?;
    let latest_finalized = read_checkpoint(reader, "finalized", told, foreign, slot)?;
    let justified_slots = read_justified_slots(reader, slot)?;
    let tally = TallyDiff::read(reader, validators)?;
    Ok(StateChange { latest_justified, latest_finalized, justified_slots, tally })
}

/// A window of slots between the finalized one and the block's, so there are at most as many as its number.
fn read_justified_slots(
    reader: &mut Reader<'_>,
    slot: Slot,
) -> Result<JustifiedSlots, FormatError> {
    let what = "justified slots";
    let error = reader.error(what);
    let bits = usize::try_from(reader.varint(what)?).map_err(|_| error)?;
    if bits > HISTORICAL_ROOTS_LIMIT || bits as u64 > slot {
        return Err(error);
    }
    let count = reader.count(what, 1)?;
    let mut slots = JustifiedSlots::zeros(bits);
    for position in read_positions(reader, what, count, bits)? {
        slots.set(position, true);
    }
    Ok(slots)
}
