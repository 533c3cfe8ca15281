//! From a name to a stored block: which one is meant, for a tool, a client and a peer alike.
//!
//! Names are resolved in the snapshot itself, so all that an answer holds is of one commit. A slot without a row is
//! skipped only if its neighbours prove it; otherwise the row was lost, which is damage. A *root* without a row in Slots
//! is taken for unknown: nothing short of a look at every header could tell; `lamella db verify` takes that look.

use lamella_block_store as block_store;
use lamella_tables::{Canonical, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Checkpoint, Slot};

use super::{
    block_id::BlockId,
    ends::{Ends, fork_choice_row, named, within},
    error::{LookupError, NotStored, contradiction},
    walk::Walk,
};

/// A block that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Its slot and root.
    pub key: SlotRoot,
    /// Its header.
    pub header: BlockHeader,
}

/// Where a block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On the head's chain and not after the finalized block.
    Finalized,
    /// On the head's chain.
    Canonical,
    /// On another branch.
    Fork,
}

/// Finds the block in the snapshot.
///
/// # Errors
/// [`NotStored`], or damage: what the database itself names and does not hold is never taken for absent.
pub fn locate(txn: &ReadTxn<'_>, id: BlockId) -> Result<Located, LookupError> {
    let header = match id {
        BlockId::Root(root) => {
            block_store::header(txn, &root)?.ok_or(NotStored::UnknownRoot { root })?
        }
        BlockId::Slot(slot) => at_slot(txn, slot)?,
        BlockId::Genesis => at_slot(txn, 0)?,
        BlockId::Head => named(txn, "head", fork_choice_row(txn)?.head)?,
        BlockId::Justified => named(txn, "justified", fork_choice_row(txn)?.justified.root)?,
        BlockId::Finalized => named(txn, "finalized", fork_choice_row(txn)?.finalized.root)?,
    };
    Ok(Located { key: SlotRoot::new(header.slot, header.root()), header })
}

/// Where a located block stands.
///
/// # Errors
/// Damage, also where the canonical row of its slot is missing.
pub fn standing(txn: &ReadTxn<'_>, block: &Located) -> Result<Standing, LookupError> {
    let on_chain = match at_slot(txn, block.key.slot) {
        Ok(canonical) => canonical == block.header,
        Err(LookupError::NotStored(_)) => false,
        Err(error) => return Err(error),
    };
    let finalized = fork_choice_row(txn)?.finalized.slot;
    Ok(match on_chain {
        true if block.key.slot <= finalized => Standing::Finalized,
        true => Standing::Canonical,
        false => Standing::Fork,
    })
}

/// Whether the chain provably lacks this block: it has another one at the slot, or skipped it. What is not stored
/// contradicts nothing.
///
/// # Errors
/// Damage: a lost row is no proof against anybody.
pub fn contradicts(txn: &ReadTxn<'_>, block: &Checkpoint) -> Result<bool, LookupError> {
    match at_slot(txn, block.slot) {
        Ok(header) => Ok(header.root() != block.root),
        Err(LookupError::NotStored(NotStored::Skipped { .. })) => Ok(true),
        Err(LookupError::NotStored(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The canonical block of a slot. Where there is no row, the next block has to prove that the slot was skipped (C1).
fn at_slot(txn: &ReadTxn<'_>, slot: Slot) -> Result<BlockHeader, LookupError> {
    let ends = Ends::read(txn)?;
    let stretch = within(txn, slot, &ends)?;
    if let Some(root) = block_store::canonical_root(txn, slot)? {
        let header = block_store::header(txn, &root)?.filter(|header| header.slot == slot);
        let absent = || format!("block {root} is not stored at this slot");
        return Ok(header.ok_or_else(|| contradiction::<Canonical>(&slot, absent()))?);
    }
    let mut walk = Walk::new(slot, slot);
    walk.step(txn, &stretch, 1)?;
    let lost =
        || contradiction::<Canonical>(&slot, "no row, and no block proves the gap".to_owned());
    let (before, after) = walk.neighbours().ok_or_else(lost)?;
    let forks = block_store::roots_at(txn, slot)?;
    Err(NotStored::Skipped { slot, before, after, forks }.into())
}
