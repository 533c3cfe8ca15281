//! `head`, `justified`, `finalized`, `genesis`, a `0x` root, a slot: which block is meant.

use std::str::FromStr;

use lamella_block_store::{self as block_store, Extent};
use lamella_chain::Chain;
use lamella_tables::{Canonical, EngineError, Read as _, ReadError, ReadTxn};
use lamella_types::{Root, Slot};

/// The name of a block, or of its post-state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockId {
    /// The head.
    Head,
    /// The latest justified block.
    Justified,
    /// The latest finalized block.
    Finalized,
    /// The block of slot 0.
    Genesis,
    /// Any block ever imported.
    Root(Root),
    /// The block of the head's chain.
    Slot(Slot),
}

/// The text is no block id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid block id {0:?}: a slot in decimal, a 0x block root, head, justified, finalized or genesis"
)]
pub struct BlockIdError(String);

/// Why an id names no block.
#[derive(Debug, thiserror::Error)]
pub enum UnresolvedId {
    /// The head's chain has no block at this slot.
    #[error("slot {0} is empty on the head's chain")]
    SkippedSlot(Slot),
    /// The slot lies after the head.
    #[error("slot {slot} is beyond the head at slot {head}")]
    BeyondHead {
        /// The slot asked for.
        slot: Slot,
        /// The head's.
        head: Slot,
    },
    /// This node began later, at a trusted checkpoint.
    #[error("this node began at slot {first}, slot {slot} was never here")]
    BeforeBootstrap {
        /// The slot asked for.
        slot: Slot,
        /// The first slot here.
        first: Slot,
    },
    /// A row on the way is damaged, or the engine failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<EngineError> for UnresolvedId {
    fn from(error: EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl FromStr for BlockId {
    type Err = BlockIdError;

    fn from_str(text: &str) -> Result<Self, BlockIdError> {
        let invalid = || BlockIdError(text.chars().take(80).collect());
        Ok(match text {
            "head" => Self::Head,
            "justified" => Self::Justified,
            "finalized" => Self::Finalized,
            "genesis" => Self::Genesis,
            _ if text.starts_with("0x") => Self::Root(text.parse().map_err(|_| invalid())?),
            // `u64::from_str` takes a sign; a slot has none.
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Self::Slot(text.parse().map_err(|_| invalid())?)
            }
            _ => return Err(invalid()),
        })
    }
}

impl BlockId {
    /// The block's root, in the snapshot of a transaction that was opened here.
    ///
    /// # Errors
    /// A slot without a canonical block, or damage. A root may still turn out to be unknown.
    pub fn resolve<'a>(self, chain: &'a Chain) -> Result<(Root, ReadTxn<'a>), UnresolvedId> {
        // First the view, so that the snapshot has every block that the view names.
        let view = chain.fork_choice();
        let txn = chain.read()?;
        let root = match self {
            Self::Head => view.head(),
            Self::Justified => view.latest_justified().root,
            Self::Finalized => view.latest_finalized().root,
            Self::Root(root) => root,
            Self::Genesis => canonical_root(&txn, 0)?,
            Self::Slot(slot) => canonical_root(&txn, slot)?,
        };
        Ok((root, txn))
    }
}

/// The canonical block of a slot, or why there is none.
fn canonical_root(txn: &ReadTxn<'_>, slot: Slot) -> Result<Root, UnresolvedId> {
    if let Some(root) = block_store::canonical_root(txn, slot)? {
        return Ok(root);
    }
    let head = txn.last::<Canonical>()?.transpose()?.map_or(0, |(slot, _)| slot);
    if slot > head {
        return Err(UnresolvedId::BeyondHead { slot, head });
    }
    let first = first_slot(txn)?;
    if slot < first {
        return Err(UnresolvedId::BeforeBootstrap { slot, first });
    }
    Err(UnresolvedId::SkippedSlot(slot))
}

/// The slot from which on this node has every block.
///
/// # Errors
/// Damage, or the engine fails.
pub fn first_slot(txn: &ReadTxn<'_>) -> Result<Slot, ReadError> {
    Ok(Extent::read(txn)?.oldest().slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_slots_and_roots_and_nothing_else() {
        let root = Root::new([0xab; 32]);
        assert_eq!(BlockId::from_str("head").unwrap(), BlockId::Head);
        assert_eq!(BlockId::from_str("17").unwrap(), BlockId::Slot(17));
        assert_eq!(BlockId::from_str(&root.to_string()).unwrap(), BlockId::Root(root));
        let upper = root.to_string().replace("ab", "AB");
        assert_eq!(BlockId::from_str(&upper).unwrap(), BlockId::Root(root));
        let bare = "ab".repeat(32);
        for wrong in
            ["", "+1", "-1", "0x", "0xab", "Head", "18446744073709551616", "1.0", bare.as_str()]
        {
            assert!(BlockId::from_str(wrong).is_err(), "{wrong}");
        }
    }
}
