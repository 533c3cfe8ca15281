//! `head`, `justified`, `finalized`, `genesis`, a `0x` root, a slot: the one grammar in which a block is named.

use std::str::FromStr;

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
    /// Any block ever imported, on any branch.
    Root(Root),
    /// The block of the head's chain.
    Slot(Slot),
}

/// The text is no block id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid block id {0:?}: want a slot in decimal, a block root (0x and 64 hex digits), head, justified, finalized or genesis"
)]
pub struct BlockIdError(String);

impl FromStr for BlockId {
    type Err = BlockIdError;

    fn from_str(text: &str) -> Result<Self, BlockIdError> {
        let invalid = || BlockIdError(text.chars().take(80).collect());
        Ok(match text {
            "head" => Self::Head,
            "justified" => Self::Justified,
            "finalized" => Self::Finalized,
            "genesis" => Self::Genesis,
            // Without `0x` a root of digits alone would be a slot.
            _ if text.starts_with("0x") => Self::Root(text.parse().map_err(|_| invalid())?),
            // `u64::from_str` takes a sign; a slot has none.
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Self::Slot(text.parse().map_err(|_| invalid())?)
            }
            _ => return Err(invalid()),
        })
    }
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
