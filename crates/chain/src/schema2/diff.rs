//! Diffs of schema 2.
//!
//! ```text
//! diff = format: u8 = 1 | validators: varint
//!      | base, anchor, justified, finalized: each slot distance below the block: varint | root 32
//!      | justified slots | tally: as they are today
//! ```

use lamella_types::{
    Checkpoint, Slot,
    packed::{FormatError, Reader},
};

/// A diff whose justified slots and tally are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldDiff<'a> {
    /// Validators in the registry.
    pub validator_count: u64,
    /// The parent.
    pub base: Checkpoint,
    /// The nearest ancestor whose state is stored whole.
    pub anchor: Checkpoint,
    /// Latest justified checkpoint.
    pub justified: Checkpoint,
    /// Latest finalized checkpoint.
    pub finalized: Checkpoint,
    /// Justified slots and tally, the end of a diff of either schema.
    pub rest: &'a [u8],
}

impl<'a> OldDiff<'a> {
    /// First byte of a diff.
    pub const FORMAT: u8 = 1;

    /// The diff of the block at `slot`.
    ///
    /// # Errors
    /// Bytes that do not begin as a diff does.
    pub fn decode(bytes: &'a [u8], slot: Slot) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.byte("format")? != Self::FORMAT {
            return Err(FormatError { what: "format", position: 0 });
        }
        let validator_count = reader.varint("validators")?;
        let base = reader.checkpoint_below("base", slot)?;
        let anchor = reader.checkpoint_below("anchor", slot)?;
        let justified = reader.checkpoint_below("justified", slot)?;
        let finalized = reader.checkpoint_below("finalized", slot)?;
        let end = reader.error("justified slots");
        let rest = bytes.get(end.position..).ok_or(end)?;
        Ok(Self { validator_count, base, anchor, justified, finalized, rest })
    }
}
