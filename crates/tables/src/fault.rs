//! What is wrong with a stored row.

use lamella_types::{DecodeError, Root, packed::FormatError};

/// What is wrong with a stored row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The checksum over table, key and value does not match.
    #[error("checksum mismatch")]
    Checksum,
    /// The value is too short to hold its checksum.
    #[error("{got} bytes are too few to hold a checksum")]
    Short {
        /// Bytes found.
        got: usize,
    },
    /// The page says a length that no row has. No byte of the row was read.
    #[error("its page says that it has {got} bytes, more than the {max} that there can be")]
    TooLong {
        /// Bytes by the page.
        got: usize,
        /// Most that there can be.
        max: usize,
    },
    /// The page says a length that reaches beyond it. No byte of the row was read.
    #[error("its page says that it has {got} bytes, which reach beyond the page")]
    LeavesPage {
        /// Bytes by the page.
        got: usize,
    },
    /// The value does not hash to its key.
    #[error("the value hashes to {computed}")]
    Hash {
        /// What it hashes to (zero if its key and value already disagree in plain sight).
        computed: Root,
    },
    /// The bytes are not a value of the table.
    #[error("{0}")]
    Decode(DecodeError),
    /// The bytes do not fit the table's packed format.
    #[error("{0}")]
    Format(FormatError),
    /// The key's bytes are not a key of the table.
    #[error("not a key of this table")]
    Key,
    /// The row proves itself, but what it says cannot be: its reader's words.
    #[error("{0}")]
    Content(String),
}
