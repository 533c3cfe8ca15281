//! Every stored block of a stretch of slots, forks included, with its parent: the fork tree of any past slot.
//!
//! The hard idea: one damaged row must not hide the rest. So a row that cannot be read is listed as damage beside the
//! blocks that can; and a canonical row that is lost is found by the links that lead over it, as every [`Walk`] finds it.

use lamella_tables::{Canonical, Headers, Read as _, ReadError, ReadTxn, SlotRoot};
use lamella_types::{Root, Slot, ValidatorIndex};
use serde::Serialize;

use super::{
    ends::{Ends, fork_choice_row, servable},
    error::{LookupError, contradiction},
    json,
    walk::Walk,
};

/// Rows that one look reads at most; it says where the next one goes on. 2 MB as JSON.
pub const TREE_BLOCKS_MAX: usize = 10_240;

/// Damaged rows that one look lists at most.
const DAMAGE_MAX: usize = 64;

/// The stored blocks of a stretch of slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredTree {
    /// First slot.
    pub from: Slot,
    /// Last slot: less than was asked for where there were too many blocks.
    pub to: Slot,
    /// Blocks are served from this slot on.
    pub first_slot: Slot,
    /// Signed blocks are served from this slot on.
    pub proofs_from_slot: Slot,
    /// Slot of the head.
    pub head_slot: Slot,
    /// The finalized slot.
    pub finalized_slot: Slot,
    /// The blocks, by slot and root.
    pub blocks: Vec<StoredBlock>,
    /// What of it cannot be trusted or is lost.
    pub damage: Vec<TreeDamage>,
}

/// A stored block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StoredBlock {
    /// Its slot.
    pub slot: Slot,
    /// Its root.
    #[serde(serialize_with = "json::field")]
    pub root: Root,
    /// Its parent's.
    #[serde(serialize_with = "json::field")]
    pub parent_root: Root,
    /// Its proposer.
    pub proposer_index: ValidatorIndex,
    /// Whether it is on the head's chain.
    pub is_canonical: bool,
}

/// A row that is no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeDamage {
    /// Its slot, where the row says one.
    pub slot: Option<Slot>,
    /// Table, key and fault.
    pub error: String,
}

/// The stored blocks of `slots` slots from `from` on.
///
/// # Errors
/// A damaged row that says where the chain begins or ends, or the engine. Other damage is listed.
///
/// # Cost
/// Two headers and a canonical row for each block, at most [`TREE_BLOCKS_MAX`] of them.
pub fn stored_tree(txn: &ReadTxn<'_>, from: Slot, slots: u64) -> Result<StoredTree, LookupError> {
    let (ends, served) = (Ends::read(txn)?, servable(txn)?);
    let asked = from.saturating_add(slots.saturating_sub(1));
    let mut damage = Vec::new();
    let (mut blocks, to) = headers(txn, from, asked, &mut damage)?;
    mark_canonical(txn, from, to, &mut blocks, &mut damage)?;
    let (begin, end) = (from.max(served.oldest.slot), to.min(ends.head.slot));
    // What was found already would be found again.
    if damage.is_empty() && begin <= end {
        let walked = Walk::new(begin, end).step(txn, &ends.newest(), TREE_BLOCKS_MAX);
        if let Err(error) = walked {
            note(error, None, &mut damage)?;
        }
    }
    Ok(StoredTree {
        from,
        to,
        first_slot: served.oldest.slot,
        proofs_from_slot: served.proofs_from,
        head_slot: ends.head.slot,
        finalized_slot: fork_choice_row(txn)?.finalized.slot,
        blocks,
        damage,
    })
}

/// The headers of a stretch, and its last slot that was read as a whole.
fn headers(
    txn: &ReadTxn<'_>,
    from: Slot,
    asked: Slot,
    damage: &mut Vec<TreeDamage>,
) -> Result<(Vec<StoredBlock>, Slot), LookupError> {
    let mut blocks: Vec<StoredBlock> = Vec::new();
    // Keys first: what a damaged row was, its key says.
    for key in txn.scan_keys::<Headers>(SlotRoot::first_of(from))? {
        let key = match key {
            Ok(key) if key.slot > asked => break,
            Ok(key) => key,
            Err(error) => {
                note(error.into(), None, damage)?;
                if damage.len() == DAMAGE_MAX {
                    break;
                }
                continue;
            }
        };
        if blocks.len() + damage.len() >= TREE_BLOCKS_MAX {
            // The slot is left out, so that the next look begins with the whole of it; unless it has them all.
            let whole = blocks.partition_point(|block| block.slot < key.slot);
            let to = if whole == 0 { key.slot } else { key.slot.saturating_sub(1) };
            blocks.truncate(if whole == 0 { blocks.len() } else { whole });
            return Ok((blocks, to));
        }
        match txn.get::<Headers>(&key) {
            Ok(Some(header)) => blocks.push(StoredBlock {
                slot: key.slot,
                root: key.root,
                parent_root: header.parent_root,
                proposer_index: header.proposer_index,
                is_canonical: false,
            }),
            Ok(None) => {}
            Err(error) => note(error.into(), Some(key.slot), damage)?,
        }
    }
    Ok((blocks, asked))
}

/// Marks the blocks of the head's chain; one that is not stored is damage.
fn mark_canonical(
    txn: &ReadTxn<'_>,
    from: Slot,
    to: Slot,
    blocks: &mut [StoredBlock],
    damage: &mut Vec<TreeDamage>,
) -> Result<(), LookupError> {
    for row in txn.scan::<Canonical>(from)?.take(TREE_BLOCKS_MAX) {
        let (slot, root) = match row {
            Ok((slot, _)) if slot > to => break,
            Ok(row) => row,
            Err(error) => {
                note(error.into(), None, damage)?;
                continue;
            }
        };
        let key = |block: &StoredBlock| SlotRoot::new(block.slot, block.root);
        match blocks.binary_search_by_key(&SlotRoot::new(slot, root), key) {
            Ok(at) => blocks[at].is_canonical = true,
            // Its header was damaged, and said so.
            Err(_) if damage.iter().any(|damage| damage.slot == Some(slot)) => {}
            Err(_) => {
                let what = format!("block {root} is not stored at this slot");
                note(contradiction::<Canonical>(&slot, what).into(), Some(slot), damage)?;
            }
        }
    }
    Ok(())
}

/// Lists damage; an engine that fails is no damage of a row.
fn note(
    error: LookupError,
    slot: Option<Slot>,
    damage: &mut Vec<TreeDamage>,
) -> Result<(), LookupError> {
    if matches!(error, LookupError::Read(ReadError::Engine(_))) {
        return Err(error);
    }
    if damage.len() < DAMAGE_MAX {
        damage.push(TreeDamage { slot, error: error.to_string() });
    }
    Ok(())
}
