//! `head`, `justified`, `finalized`, `genesis`, a `0x` root, a slot: which block is meant.

use std::str::FromStr;

use lamella_block_store as block_store;
use lamella_chain::Chain;
use lamella_tables::{Canonical, Read as _, ReadTxn};
use lamella_types::{Root, Slot};

use super::ApiError;

/// The name of a block, or of its post-state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockId {
    Head,
    Justified,
    Finalized,
    Genesis,
    /// Any block ever imported.
    Root(Root),
    /// The block of the head's chain.
    Slot(Slot),
}

impl FromStr for BlockId {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let invalid = || ApiError::InvalidId(text.chars().take(80).collect());
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
    pub(super) fn resolve<'a>(self, chain: &'a Chain) -> Result<(Root, ReadTxn<'a>), ApiError> {
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
fn canonical_root(txn: &ReadTxn<'_>, slot: Slot) -> Result<Root, ApiError> {
    if let Some(root) = block_store::canonical_root(txn, slot)? {
        return Ok(root);
    }
    let head = txn.last::<Canonical>()?.transpose()?.map_or(0, |(slot, _)| slot);
    if slot > head {
        return Err(ApiError::BeyondHead { slot, head });
    }
    let first = first_slot(txn)?.unwrap_or(0);
    if slot < first {
        return Err(ApiError::BeforeBootstrap { slot, first });
    }
    Err(ApiError::SkippedSlot(slot))
}

/// The slot that this node began at.
pub(super) fn first_slot(txn: &ReadTxn<'_>) -> Result<Option<Slot>, ApiError> {
    Ok(txn.scan_keys::<Canonical>(0)?.next().transpose()?)
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
            let error = BlockId::from_str(wrong).unwrap_err();
            assert!(matches!(error, ApiError::InvalidId(_)), "{wrong}: {error}");
        }
    }
}
