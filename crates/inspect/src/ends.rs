//! What a snapshot says of itself: its head and checkpoints, which slots of its chain it has, what of it can be served.

use lamella_block_store::{self as block_store, Extent, Range};
use lamella_chain::ForkChoiceRow;
use lamella_tables::{Meta, MetaName, ReadError, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Checkpoint, Root, Slot};

use super::{
    error::{LookupError, NotStored, contradiction},
    held::HeldSlots,
};

/// What can be served of the chain, by what the directory says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Servable {
    /// The oldest block from which on none is missing up to the head.
    pub oldest: Checkpoint,
    /// Slot from which on every block has its state.
    pub states_from: Slot,
    /// Slot from which on every block has its body.
    pub bodies_from: Slot,
    /// Slot from which on every block has its proof.
    pub proofs_from: Slot,
}

/// What can be served of the chain.
///
/// # Errors
/// A damaged or missing extent row.
pub fn servable(txn: &ReadTxn<'_>) -> Result<Servable, ReadError> {
    let extent = Extent::read(txn)?;
    let Range { oldest, states_from, proofs, .. } = *extent.newest();
    // Within the slot of the floor the proofs of lesser roots may be gone.
    let floor = proofs.key;
    let whole_from = floor.slot + u64::from(floor != SlotRoot::first_of(floor.slot));
    Ok(Servable {
        oldest: Checkpoint { slot: oldest.slot, root: oldest.root },
        states_from,
        bodies_from: extent.bodies_floor().max(oldest.slot),
        // A directory that began at a checkpoint has none before it, pruned or not.
        proofs_from: whole_from.max(oldest.slot),
    })
}

/// The head and checkpoints of the last commit.
///
/// # Errors
/// A damaged or missing row.
pub fn fork_choice_row(txn: &ReadTxn<'_>) -> Result<ForkChoiceRow, ReadError> {
    let missing = || contradiction::<Meta>(&MetaName::new("fork_choice"), "no row".to_owned());
    ForkChoiceRow::read(txn)?.ok_or_else(missing)
}

/// The block that the fork choice row names. It must exist (F1).
///
/// # Errors
/// Damage.
pub fn named(txn: &ReadTxn<'_>, what: &str, root: Root) -> Result<BlockHeader, ReadError> {
    block_store::header(txn, &root)?.ok_or_else(|| not_there(what, root))
}

/// The fork choice row names a block that is not stored.
fn not_there(what: &str, root: Root) -> ReadError {
    let name = MetaName::new("fork_choice");
    contradiction::<Meta>(&name, format!("the {what} block {root} is not stored"))
}

/// Which slots of the head's chain are stored, ascending.
///
/// # Errors
/// A damaged or missing row.
pub fn held_slots(txn: &ReadTxn<'_>) -> Result<Vec<HeldSlots>, ReadError> {
    Ok(Ends::read(txn)?.held())
}

/// Which slots of the head's chain are stored with their states, ascending.
///
/// # Errors
/// A damaged or missing row.
pub fn held_states(txn: &ReadTxn<'_>) -> Result<Vec<HeldSlots>, ReadError> {
    let ends = Ends::read(txn)?;
    let floor = ends.extent.states_floor();
    let mut held = ends.held();
    held.retain(|held| floor <= held.to_slot);
    for held in &mut held {
        held.from_slot = held.from_slot.max(floor);
    }
    Ok(held)
}

/// Where the head's chain begins and ends, as one snapshot has it, and what of it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    extent: Extent,
    /// The head.
    pub(crate) head: SlotRoot,
}

/// A stretch of the head's chain without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Its oldest block.
    pub(crate) oldest: SlotRoot,
    /// Parent of that one.
    pub(crate) parent_root: Root,
    /// Its newest block.
    pub(crate) newest: SlotRoot,
    /// Whether that is the head.
    pub(crate) is_open: bool,
}

impl Ends {
    /// # Errors
    /// A damaged or missing row.
    pub(crate) fn read(txn: &ReadTxn<'_>) -> Result<Self, ReadError> {
        let stored = fork_choice_row(txn)?;
        let head = block_store::slot(txn, &stored.head)?;
        let head = head.ok_or_else(|| not_there("head", stored.head))?;
        let head = SlotRoot::new(head, stored.head);
        Ok(Self { extent: Extent::read(txn)?, head })
    }

    /// The stretch that ends at the head.
    pub(crate) fn newest(&self) -> Stretch {
        self.stretch(self.extent.newest())
    }

    fn stretch(&self, range: &Range) -> Stretch {
        let Range { oldest, parent_root, newest, .. } = *range;
        let is_open = newest.is_none();
        Stretch { oldest, parent_root, newest: newest.unwrap_or(self.head), is_open }
    }

    pub(crate) fn held(&self) -> Vec<HeldSlots> {
        let stretches = self.extent.ranges().iter().map(|range| self.stretch(range));
        let slots = |stretch: Stretch| HeldSlots {
            from_slot: stretch.oldest.slot,
            to_slot: stretch.newest.slot,
        };
        stretches.map(slots).collect()
    }

    /// That a slot is in none of the stretches.
    pub(crate) fn not_held(&self, slot: Slot) -> NotStored {
        NotStored::BeforeOldest { slot, oldest: self.extent.oldest().slot, held: self.held() }
    }
}

/// The stored stretch of the head's chain that the slot lies in.
pub(crate) fn within(txn: &ReadTxn<'_>, slot: Slot, ends: &Ends) -> Result<Stretch, LookupError> {
    let head_slot = ends.head.slot;
    if slot > head_slot {
        let forks = block_store::roots_at(txn, slot)?;
        return Err(NotStored::BeyondHead { slot, head_slot, forks }.into());
    }
    let range = ends.extent.at(slot).ok_or_else(|| ends.not_held(slot))?;
    Ok(ends.stretch(range))
}
