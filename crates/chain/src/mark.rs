//! The row `backup` of `Meta`: this database was copied while its keys went on to sign, so its guard is older than their
//! past.
//!
//! ```text
//! format: u8 = 1 | taken: unix seconds u64 BE | silent until slot: u64 BE, 0 before a node with keys began with it
//! ```
//!
//! What the original signed after the backup is not in it. Whatever that was, it was signed by the original's clock, and for
//! slots up to it. So the first start with keys reserves, for every key of the registry, a number of slots beyond its own clock, in the
//! same commit that says so in this row; before that commit no slot can be reserved at all. What this covers: an original that has ended
//! before that start, and whose clock was no further ahead of this one than those slots. What nothing here can cover: an
//! original that goes on.

use lamella_tables::{Bytes, Meta, MetaName, Read, ReadError, WriteTxn};
use lamella_types::Slot;

use crate::identity::bad_row;

/// Name of the row.
pub(crate) const NAME: &str = "backup";

const FORMAT: u8 = 1;

/// Slots beyond the clock in which no key of a restored backup signs: 256 s at 4 s a slot. Clocks that a time service keeps are
/// less than a second apart; one without may be minutes off.
pub const BACKUP_SILENT_SLOTS: u64 = 64;

/// What a backup says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupMark {
    /// When it was taken, unix seconds.
    pub taken_unix_s: u64,
    /// Slot up to which its keys do not sign; 0 before a node with keys began with it.
    pub silent_until: Slot,
}

impl BackupMark {
    /// The row; `None` in a database that is no backup.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn read(txn: &impl Read) -> Result<Option<Self>, ReadError> {
        let name = MetaName::new(NAME);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(None) };
        Self::decode(&bytes).map(Some).ok_or_else(|| bad_row(&name))
    }

    /// Whether no node with keys has begun with it: nothing may be signed.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.silent_until == 0
    }

    pub(crate) fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        Ok(txn.put::<Meta>(&MetaName::new(NAME), &Bytes(self.encode()))?)
    }

    fn encode(&self) -> Vec<u8> {
        let numbers = [self.taken_unix_s, self.silent_until].map(u64::to_be_bytes).concat();
        [&[FORMAT], &numbers[..]].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (taken, rest) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk()?;
        let (silent_until, _) = rest.split_first_chunk()?;
        let taken_unix_s = u64::from_be_bytes(*taken);
        Some(Self { taken_unix_s, silent_until: u64::from_be_bytes(*silent_until) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_has_these_bytes_and_a_longer_one_is_read_too() {
        let mark = BackupMark { taken_unix_s: 258, silent_until: 3 };
        let bytes = mark.encode();
        assert_eq!(bytes, [1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(BackupMark::decode(&[&bytes[..], &[8; 3]].concat()), Some(mark));
        for length in 0..bytes.len() {
            assert_eq!(BackupMark::decode(&bytes[..length]), None);
        }
    }
}
