//! One step: the floor, some rows below it, and how far that is, in the caller's transaction.

use lamella_block_store::{Extent, UncheckedProofs, delete_contents};
use lamella_state_store::delete_state;
use lamella_tables::{
    Anchors, Bodies, Diffs, Headers, Read, ReadError, Signatures, SlotRoot, Table, WriteTxn,
};
use lamella_types::Slot;

use super::{PruneMode, Pruning};

/// Blocks whose state rows one import deletes: at 4,096 validators they stand on some 28 pages. A segment of 1,024 is gone in
/// eight imports of 1,024, so fewer than one import in a hundred does it.
pub const PRUNED_STATES_MAX: usize = 128;

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatesStep {
    /// Rows of states, bodies and proofs deleted.
    pub deleted: u64,
    /// Blocks that were passed.
    pub blocks: u64,
    /// States below this slot are pruned.
    pub floor: Slot,
    /// Whether rows below the floor are left for another step.
    pub more: bool,
}

/// Where a floor is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    /// Of states, and of bodies where the mode lets them go.
    pub(crate) slot: Slot,
    /// The finalized slot, which allows it.
    pub(crate) finalized: Slot,
}

/// Raises the floors and deletes the rows below them of up to `blocks_max` blocks.
///
/// # Errors
/// A damaged row of Meta, or the engine. A damaged state row is no obstacle: it is not read.
///
/// # Cost
/// Begins where the last step ended. Nothing is written where nothing is to be done.
pub(crate) fn step(
    txn: &mut WriteTxn<'_>,
    pruning: &mut Pruning,
    wanted: Floor,
    blocks_max: usize,
) -> Result<StatesStep, ReadError> {
    let mut extent = Extent::read(txn)?;
    let mut is_new = extent.raise_states_floor(wanted.slot);
    let (floor, bodies_before) = (extent.states_floor(), extent.bodies_floor());
    let bodies = if pruning.mode == PruneMode::Light { wanted.slot.min(floor) } else { 0 };
    if extent.raise_bodies_floor(bodies, wanted.finalized) {
        is_new = true;
        // A sweep of states alone may have passed them.
        pruning.swept = pruning.swept.min(SlotRoot::first_of(bodies_before));
        // Upholds P2: what was pruned waits for no check.
        let mut unchecked = UncheckedProofs::read(txn)?;
        unchecked.pruned_below(&extent.newest().proofs.key);
        unchecked.put(txn)?;
    }
    if is_new {
        extent.put(txn)?;
    }
    let mut step = StatesStep { floor, ..StatesStep::default() };
    if pruning.swept.slot >= floor {
        return Ok(step);
    }
    let keys = txn.scan_keys::<Headers>(pruning.swept)?;
    let below = keys.take_while(|key| key.as_ref().map_or(true, |key| key.slot < floor));
    let mut keys: Vec<SlotRoot> = below.take(blocks_max + 1).collect::<Result<_, _>>()?;
    let next = keys.get(blocks_max).copied();
    keys.truncate(blocks_max);
    for key in &keys {
        step.deleted += delete_state(txn, key)?;
        if key.slot < extent.bodies_floor() {
            step.deleted += delete_contents(txn, key)?;
        }
    }
    (step.blocks, step.more) = (keys.len() as u64, next.is_some());
    pruning.swept = next.unwrap_or(SlotRoot::first_of(floor));
    pruning.put(txn)?;
    Ok(step)
}

/// The first row of those that `swept` says are gone, by the tables: a sweep begins again there. P3 is broken where there is
/// one, and a step, which goes on from `swept`, would never come to it.
///
/// # Cost
/// Keys of four tables up to the first row of each.
pub(crate) fn left_before(
    txn: &impl Read,
    swept: SlotRoot,
    bodies_floor: Slot,
) -> Result<Option<SlotRoot>, ReadError> {
    let bodies_end = swept.min(SlotRoot::first_of(bodies_floor));
    let left = [
        first::<Anchors>(txn)?.filter(|key| *key < swept),
        first::<Diffs>(txn)?.filter(|key| *key < swept),
        first::<Bodies>(txn)?.filter(|key| *key < bodies_end),
        first::<Signatures>(txn)?.filter(|key| *key < bodies_end),
    ];
    Ok(left.into_iter().flatten().min())
}

fn first<T: Table<Key = SlotRoot>>(txn: &impl Read) -> Result<Option<SlotRoot>, ReadError> {
    txn.scan_keys::<T>(SlotRoot::first_of(0))?.next().transpose()
}
