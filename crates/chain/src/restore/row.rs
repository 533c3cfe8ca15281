//! The row `restoration` of `Meta`: what the rows beside it are being restored to, and how far that is.
//!
//! ```text
//! format: u8 = 1 | target: key 40 | segments done: u64 BE | blocks done: u64 BE | newest block: key 40, zeros before the first
//! key = slot u64 BE | root 32
//! ```
//!
//! It goes in the commit that writes the schema row; a later version may append to it.

use lamella_tables::{Bytes, Key as _, Meta, MetaName, Read, ReadError, SlotRoot, WriteTxn};
use lamella_types::Root;

use crate::identity::bad_row;

/// Name of the row.
const RESTORATION: &str = "restoration";

const FORMAT: u8 = 1;

/// Bytes of a key.
const KEY_BYTES: usize = 40;

/// How far a restoration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RestorationRow {
    /// The block that the chain is to end with.
    pub(super) target: SlotRoot,
    /// Segments whose rows are here: the next one has this index.
    pub(super) segments: u64,
    /// Blocks whose rows are here.
    pub(super) blocks: u64,
    /// The newest of them.
    pub(super) newest: Option<SlotRoot>,
}

impl RestorationRow {
    pub(super) fn read(txn: &impl Read) -> Result<Option<Self>, ReadError> {
        let name = MetaName::new(RESTORATION);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(None) };
        Self::decode(&bytes).map(Some).ok_or_else(|| bad_row(&name))
    }

    pub(super) fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        Ok(txn.put::<Meta>(&MetaName::new(RESTORATION), &Bytes(self.encode()))?)
    }

    pub(super) fn delete(txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        Ok(txn.delete::<Meta>(&MetaName::new(RESTORATION)).map(|_| ())?)
    }

    fn encode(&self) -> Vec<u8> {
        let newest = self.newest.unwrap_or(SlotRoot::new(0, Root::ZERO));
        let numbers = [self.segments, self.blocks].map(u64::to_be_bytes).concat();
        [&[FORMAT][..], &self.target.encode(), &numbers, &newest.encode()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (target, rest) = bytes.strip_prefix(&[FORMAT])?.split_at_checked(KEY_BYTES)?;
        let (segments, rest) = rest.split_first_chunk()?;
        let (blocks, rest) = rest.split_first_chunk()?;
        let newest = SlotRoot::decode(rest.get(..KEY_BYTES)?)?;
        Some(Self {
            target: SlotRoot::decode(target)?,
            segments: u64::from_be_bytes(*segments),
            blocks: u64::from_be_bytes(*blocks),
            newest: (newest.root != Root::ZERO).then_some(newest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(newest: Option<SlotRoot>) -> RestorationRow {
        let target = SlotRoot::new(1023, Root::new([7; 32]));
        RestorationRow { target, segments: 258, blocks: 3, newest }
    }

    #[test]
    fn a_row_has_these_bytes() {
        let expected = [
            &[1, 0, 0, 0, 0, 0, 0, 3, 255][..],
            &[7; 32],
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[0, 0, 0, 0, 0, 0, 0, 3],
            &[0, 0, 0, 0, 0, 0, 0, 9],
            &[8; 32],
        ];
        let newest = SlotRoot::new(9, Root::new([8; 32]));
        assert_eq!(row(Some(newest)).encode(), expected.concat());
    }

    #[test]
    fn rows_come_back_longer_ones_too_and_no_cut_row_does() {
        for row in [row(None), row(Some(SlotRoot::new(0, Root::new([1; 32]))))] {
            let bytes = row.encode();
            assert_eq!(RestorationRow::decode(&bytes), Some(row));
            assert_eq!(RestorationRow::decode(&[&bytes[..], &[8; 3]].concat()), Some(row));
            for length in 0..bytes.len() {
                assert_eq!(RestorationRow::decode(&bytes[..length]), None);
            }
        }
    }
}
