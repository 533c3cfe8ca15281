//! `Root`: a 32-byte SSZ hash tree root, or the zero hash.

use std::fmt;

use ethereum_types::H256;

/// Bytes of a root.
pub const ROOT_BYTES: usize = 32;

/// A hash tree root. Which object it names follows from the field or key that holds it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root(pub H256);

impl Root {
    /// The zero hash: "no block" in `historical_block_hashes`, "not yet filled in" in a header.
    pub const ZERO: Self = Self(H256([0; ROOT_BYTES]));

    /// The root of these 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; ROOT_BYTES]) -> Self {
        Self(H256(bytes))
    }

    /// The root's bytes, in hash order.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ROOT_BYTES] {
        &self.0.0
    }

    /// A root from a slice, if it has 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::new)
    }

    /// Whether this is the zero hash.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Root {
    type Err = RootParseError;

    /// Parses 64 hex digits, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.len() != 2 * ROOT_BYTES {
            return Err(RootParseError);
        }
        digits.parse::<H256>().map(Self).map_err(|_| RootParseError)
    }
}

/// The text is not a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a root is 64 hex digits, with or without 0x")]
pub struct RootParseError;
