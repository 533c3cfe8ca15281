//! From what a user writes to a stored block: a slot, a root, or a name.

use std::str::FromStr;

use lamella_block_store::{self as block_store, Extent};
use lamella_chain::{ChainOpenError, ForkChoiceRow};
use lamella_tables::{Canonical, Meta, MetaName, Read as _, ReadError, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Root, Slot};

use super::{InspectError, NotStored, error::contradiction};

/// A block, as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The block of this slot on the head's chain.
    Slot(Slot),
    /// The block of this root, on any branch.
    Root(Root),
    /// The head.
    Head,
    /// The latest justified block.
    Justified,
    /// The latest finalized block.
    Finalized,
    /// The block of slot 0.
    Genesis,
}

/// The text names no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want a slot, a root (0x and 64 hex digits), head, justified, finalized or genesis")]
pub struct WhichParseError;

impl FromStr for Which {
    type Err = WhichParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "head" => Ok(Self::Head),
            "justified" => Ok(Self::Justified),
            "finalized" => Ok(Self::Finalized),
            "genesis" => Ok(Self::Genesis),
            _ => {
                let slot = text.parse().map(Self::Slot).ok();
                slot.or_else(|| text.parse().map(Self::Root).ok()).ok_or(WhichParseError)
            }
        }
    }
}

/// A block that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Its slot and root.
    pub key: SlotRoot,
    /// Its header.
    pub header: BlockHeader,
    /// Whether it is on the head's chain.
    pub canonical: bool,
    /// Whether it is on the head's chain and not after the finalized block.
    pub finalized: bool,
}

/// Finds the block in the snapshot.
///
/// # Errors
/// [`NotStored`], or damage: what the database itself names and does not hold is never taken for absent.
pub fn locate(txn: &ReadTxn<'_>, which: Which) -> Result<Located, InspectError> {
    let stored = fork_choice_row(txn)?;
    let header = match which {
        Which::Root(root) => {
            block_store::header(txn, &root)?.ok_or(NotStored::UnknownRoot { root })?
        }
        Which::Head => named(txn, "head", stored.head)?,
        Which::Justified => named(txn, "justified", stored.justified.root)?,
        Which::Finalized => named(txn, "finalized", stored.finalized.root)?,
        Which::Slot(slot) => at_slot(txn, slot, &stored)?,
        Which::Genesis => at_slot(txn, 0, &stored)?,
    };
    let root = header.root();
    let canonical = block_store::canonical_root(txn, header.slot)? == Some(root);
    let finalized = canonical && header.slot <= stored.finalized.slot;
    Ok(Located { key: SlotRoot::new(header.slot, root), header, canonical, finalized })
}

/// The head and checkpoints of the last commit.
///
/// # Errors
/// A damaged or missing row.
pub fn fork_choice_row(txn: &ReadTxn<'_>) -> Result<ForkChoiceRow, InspectError> {
    let row = ForkChoiceRow::read(txn)?;
    let missing = ChainOpenError::NoIdentity("it has no fork choice row");
    Ok(row.ok_or(missing)?)
}

/// The block that the fork choice row names. It must exist (F1).
///
/// # Errors
/// Damage.
pub fn named(txn: &ReadTxn<'_>, what: &str, root: Root) -> Result<BlockHeader, ReadError> {
    block_store::header(txn, &root)?.ok_or_else(|| {
        let name = MetaName::new("fork_choice");
        contradiction::<Meta>(&name, format!("the {what} block {root} is not stored"))
    })
}

/// The key of the first stored block: genesis, or the checkpoint that the database began with.
///
/// # Errors
/// Damage; a missing row is.
pub fn oldest_block(txn: &ReadTxn<'_>) -> Result<SlotRoot, ReadError> {
    Ok(Extent::read(txn)?.oldest())
}

/// The canonical block of a slot; a slot without one is told apart from a lost row by its neighbours (C1).
fn at_slot(
    txn: &ReadTxn<'_>,
    slot: Slot,
    stored: &ForkChoiceRow,
) -> Result<BlockHeader, InspectError> {
    if let Some(root) = block_store::canonical_root(txn, slot)? {
        return Ok(canonical_header(txn, slot, root)?);
    }
    let head_slot = named(txn, "head", stored.head)?.slot;
    if slot > head_slot {
        let forks = block_store::roots_at(txn, slot)?;
        return Err(NotStored::BeyondHead { slot, head_slot, forks }.into());
    }
    let oldest = oldest_block(txn)?.slot;
    if slot < oldest {
        return Err(NotStored::BeforeOldest { slot, oldest }.into());
    }
    let lost = |what: String| contradiction::<Canonical>(&slot, format!("no row, yet {what}"));
    let Some(next) = txn.scan::<Canonical>(slot)?.next().transpose()? else {
        return Err(lost(format!("the head is at slot {head_slot}")).into());
    };
    let (after, root) = next;
    let parent_root = canonical_header(txn, after, root)?.parent_root;
    match block_store::slot(txn, &parent_root)? {
        Some(before) if before < slot => {
            let forks = block_store::roots_at(txn, slot)?;
            Err(NotStored::Skipped { slot, before, after, forks }.into())
        }
        parent => Err(lost(format!(
            "the parent {parent_root} of the next block, at slot {after}, is at {parent:?}"
        ))
        .into()),
    }
}

/// The header that a canonical row names. It must exist, at that slot.
pub(super) fn canonical_header(
    txn: &ReadTxn<'_>,
    slot: Slot,
    root: Root,
) -> Result<BlockHeader, ReadError> {
    let header = block_store::header(txn, &root)?;
    header.filter(|header| header.slot == slot).ok_or_else(|| {
        contradiction::<Canonical>(&slot, format!("block {root} is not stored at this slot"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_roots_and_names_are_told_apart() {
        let digits = "11".repeat(32);
        let root = Root::new([0x11; 32]);
        assert_eq!("17".parse(), Ok(Which::Slot(17)));
        assert_eq!(digits.parse(), Ok(Which::Root(root)));
        assert_eq!(format!("0x{digits}").parse(), Ok(Which::Root(root)));
        assert_eq!("finalized".parse(), Ok(Which::Finalized));
        for bad in ["", "-1", "Head", "0x11", "18446744073709551616"] {
            assert_eq!(bad.parse::<Which>(), Err(WhichParseError), "{bad}");
        }
    }
}
