//! How far this directory has been shipped, and to where.
//!
//! The row `archived` of `Meta`:
//!
//! ```text
//! format: u8 = 1 | segments confirmed: u64 BE | address of the archive: length u16 BE, UTF-8
//! | segments whose proofs are confirmed: u64 BE; 0 without, as an earlier version wrote it
//! ```
//!
//! Every segment below the number was put there and read back, or found there and verified. It is a claim about another
//! place, so no invariant of this directory rests on it; but an archive that has less has lost something, and whoever ships
//! next says so instead of shipping all again. It only grows, but for another address. A later version may append to it.

use lamella_block_store as block_store;
use lamella_tables::{Bytes, Canonical, Meta, MetaName, Read, ReadError};
use lamella_types::{SEGMENT_ROOTS, Slot};

use crate::{error::PersistError, hold::Hold, identity::bad_row, meta::ForkChoiceRow, open::Chain};

const FORMAT: u8 = 1;

/// Longest address that is kept: a path or a bucket's name is far shorter.
pub const ADDRESS_BYTES_MAX: usize = 4_096;

/// What an archive is known to hold of this directory's chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archived {
    /// Its address.
    pub address: String,
    /// Segments confirmed there, from the first on.
    pub segments: u64,
    /// Segments, from the first on, of which the archive has every block proof that it can get here.
    pub proofs: u64,
}

impl Archived {
    /// Name of the row.
    pub(crate) const NAME: &str = "archived";

    /// What was confirmed last; `None` if this directory was never shipped.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn read(txn: &impl Read) -> Result<Option<Self>, ReadError> {
        let name = MetaName::new(Self::NAME);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(None) };
        Self::decode(&bytes).map(Some).ok_or_else(|| bad_row(&name))
    }

    fn encode(&self) -> Vec<u8> {
        let address = self.address.as_bytes();
        let address = &address[..address.len().min(ADDRESS_BYTES_MAX)];
        let length = u16::try_from(address.len()).unwrap_or(u16::MAX);
        let head = [&[FORMAT][..], &self.segments.to_be_bytes(), &length.to_be_bytes()];
        [&head.concat(), address, &self.proofs.to_be_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (segments, rest) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (address, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let proofs = match rest {
            [] => 0,
            rest => u64::from_be_bytes(*rest.first_chunk()?),
        };
        Some(Self {
            address: String::from_utf8(address.to_vec()).ok()?,
            segments: u64::from_be_bytes(*segments),
            proofs,
        })
    }
}

/// The slot of the block whose state the segment of this index begins with: the last one before its own blocks, which may be
/// of an earlier segment than the last. 0 where no block before them is here.
///
/// # Errors
/// A damaged row, or the engine.
pub fn entry_slot(txn: &impl Read, index: u64) -> Result<Slot, ReadError> {
    let first_slot = index.saturating_mul(SEGMENT_ROOTS as u64);
    let before = match txn.scan::<Canonical>(first_slot)?.next() {
        Some(row) => block_store::header(txn, &row?.1)?.map(|after| after.parent_root),
        // Whatever comes has the head for its parent.
        None => ForkChoiceRow::read(txn)?.map(|row| row.head),
    };
    let Some(root) = before else { return Ok(0) };
    Ok(block_store::slot(txn, &root)?.unwrap_or(0))
}

/// What the archive lacks that this directory ships to, to be held by who prunes it without a node. Proofs are, where it was
/// confirmed to have some: whether the next node is to require them is not written down.
///
/// # Errors
/// A damaged row, or the engine.
pub(crate) fn hold(txn: &impl Read) -> Result<(Hold, Option<Archived>), ReadError> {
    let (hold, archived) = (Hold::default(), Archived::read(txn)?);
    if let Some(archived) = &archived {
        hold.states_from(entry_slot(txn, archived.segments)?);
        if archived.proofs > 0 {
            hold.from(archived.proofs.saturating_mul(SEGMENT_ROOTS as u64));
        }
    }
    Ok((hold, archived))
}

impl Chain {
    /// Keeps what an archive was confirmed to hold.
    ///
    /// # Errors
    /// [`PersistError`]; what was kept before stands.
    pub fn put_archived(&self, archived: &Archived) -> Result<(), PersistError> {
        let _writer = self.writer.lock();
        let mut txn = self.database.write()?;
        txn.put::<Meta>(&MetaName::new(Archived::NAME), &Bytes(archived.encode()))?;
        Ok(txn.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_these_bytes_and_comes_back_longer_too_and_cut_never() {
        let archived = Archived { address: "s3://b/p".to_owned(), segments: 258, proofs: 3 };
        let bytes = archived.encode();
        let expected =
            [&[1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 8][..], b"s3://b/p", &[0; 7], &[3]].concat();
        assert_eq!(bytes, expected);
        // As an earlier version wrote it.
        let old = Archived { proofs: 0, ..archived.clone() };
        assert_eq!(Archived::decode(&bytes[..19]), Some(old));
        assert_eq!(Archived::decode(&bytes).as_ref(), Some(&archived));
        assert_eq!(Archived::decode(&[&bytes[..], &[1, 2]].concat()), Some(archived));
        for length in (0..bytes.len()).filter(|length| *length != 19) {
            assert_eq!(Archived::decode(&bytes[..length]), None);
        }
    }
}
