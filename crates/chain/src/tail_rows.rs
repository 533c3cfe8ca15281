//! Places in a writer's chain of tail objects: how far this directory has shipped its own, or followed another's.
//!
//! Two rows of `Meta`:
//!
//! ```text
//! tail_shipped = format: u8 = 1 | position | digest of the object on its way: 32, zero if none | floor: slot u64 BE
//!              | address of the archive: length u16 BE, UTF-8
//! followed     = format: u8 = 1 | position
//! position     = writer: 8 | sequence that comes next: u64 BE | digest of the object before it: 32, zero before the first
//! ```
//!
//! What is shipped is written down *before* it is put: so a start that finds an object of its own number in the archive
//! knows whether it is its own, whose acknowledgement was lost, or another's with the same writer id, which is a copy of
//! this directory. What was followed stands in the transaction of the rows that it brought. A later version may append to
//! both.

use lamella_tables::{Bytes, Meta, MetaName, Read, ReadError, WriteTxn};
use lamella_types::{Root, Slot};

use crate::{archived::ADDRESS_BYTES_MAX, error::PersistError, identity::bad_row, open::Chain};

/// Names of the rows.
pub(crate) const SHIPPED: &str = "tail_shipped";
pub(crate) const FOLLOWED: &str = "followed";

const FORMAT: u8 = 1;

/// A place in a writer's chain of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailPosition {
    /// The writer's id.
    pub writer: [u8; 8],
    /// Number of the object that comes next.
    pub next: u64,
    /// Digest of the object before it; zero before the first.
    pub digest: Root,
}

/// How far this directory has shipped what is not sealed yet, and to where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedTail {
    /// Everything before it was confirmed.
    pub position: TailPosition,
    /// Digest of the object that is being put; zero if none is.
    pub underway: Root,
    /// Every canonical block up to this slot is in an object before the position, or in a segment.
    pub floor: Slot,
    /// Address of the archive.
    pub address: String,
}

impl TailPosition {
    /// How far this directory has followed another's tail; `None` if it follows nobody.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn followed(txn: &impl Read) -> Result<Option<Self>, ReadError> {
        let name = MetaName::new(FOLLOWED);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(None) };
        let position = bytes.strip_prefix(&[FORMAT]).and_then(Self::decode);
        position.map(|(position, _)| Some(position)).ok_or_else(|| bad_row(&name))
    }

    /// Writes how far this directory has followed.
    pub(crate) fn put_followed(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        let bytes = [&[FORMAT], &self.encode()[..]].concat();
        Ok(txn.put::<Meta>(&MetaName::new(FOLLOWED), &Bytes(bytes))?)
    }

    fn encode(&self) -> Vec<u8> {
        [&self.writer[..], &self.next.to_be_bytes(), self.digest.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (writer, rest) = bytes.split_first_chunk()?;
        let (next, rest) = rest.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let next = u64::from_be_bytes(*next);
        Some((Self { writer: *writer, next, digest: Root::new(*digest) }, rest))
    }
}

impl ShippedTail {
    /// How far this directory has shipped; `None` if it never did.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn read(txn: &impl Read) -> Result<Option<Self>, ReadError> {
        let name = MetaName::new(SHIPPED);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(None) };
        Self::decode(&bytes).map(Some).ok_or_else(|| bad_row(&name))
    }

    fn encode(&self) -> Vec<u8> {
        let address = self.address.as_bytes();
        let address = &address[..address.len().min(ADDRESS_BYTES_MAX)];
        let length = u16::try_from(address.len()).unwrap_or(u16::MAX).to_be_bytes();
        let numbers = [&self.position.encode()[..], self.underway.as_bytes()].concat();
        [&[FORMAT], &numbers[..], &self.floor.to_be_bytes(), &length, address].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (position, rest) = TailPosition::decode(bytes.strip_prefix(&[FORMAT])?)?;
        let (underway, rest) = rest.split_first_chunk()?;
        let (floor, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let address = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        Some(Self {
            position,
            underway: Root::new(*underway),
            floor: u64::from_be_bytes(*floor),
            address: String::from_utf8(address.to_vec()).ok()?,
        })
    }
}

impl Chain {
    /// Keeps how far this directory has shipped, and what is on its way. Durable when this returns, under lazy commits too: a
    /// directory that knows of fewer objects than it has put is an older copy to itself.
    ///
    /// # Errors
    /// [`PersistError`]; what was kept before stands.
    pub fn put_shipped_tail(&self, shipped: &ShippedTail) -> Result<(), PersistError> {
        let _writer = self.writer.lock();
        let mut txn = self.database.write()?;
        txn.put::<Meta>(&MetaName::new(SHIPPED), &Bytes(shipped.encode()))?;
        Ok(self.commit_flushed(txn)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> TailPosition {
        TailPosition { writer: [3; 8], next: 258, digest: Root::new([4; 32]) }
    }

    #[test]
    fn rows_have_these_bytes_and_come_back_longer_too_and_cut_never() {
        let position = position();
        let bytes = [&[3; 8][..], &[0, 0, 0, 0, 0, 0, 1, 2], &[4; 32]].concat();
        assert_eq!(position.encode(), bytes);
        for length in 0..bytes.len() {
            assert_eq!(TailPosition::decode(&bytes[..length]), None);
        }
        let underway = Root::new([5; 32]);
        let shipped = ShippedTail { position, underway, floor: 3, address: "s3://b/p".to_owned() };
        let expected =
            [&[1][..], &bytes, &[5; 32], &[0, 0, 0, 0, 0, 0, 0, 3, 0, 8], b"s3://b/p"].concat();
        assert_eq!(shipped.encode(), expected);
        assert_eq!(ShippedTail::decode(&[&expected[..], &[7]].concat()), Some(shipped));
        for length in 0..expected.len() {
            assert_eq!(ShippedTail::decode(&expected[..length]), None);
        }
    }
}
