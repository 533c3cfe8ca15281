//! The row `migration` of `Meta`: what the rows beside it were moved from, and how far that is.
//!
//! ```text
//! format: u8 = 1 | genesis time: u64 BE | registry root: 32 | transaction of the old database: u64 BE
//! | slot length in ms: u64 BE | votes dropped: u64 BE | keys silenced: u64 BE
//! | table: length u8, ASCII | key of its last row: length u8, bytes
//! | schema of the old database: u32 BE | schema of the new one: u32 BE; without both they are 2 and 3
//! ```
//!
//! It stays when the migration is over, and says where the rows came from; a later version may append to it.

use std::fmt;

use lamella_tables::{Bytes, Meta, MetaName, Read, ReadError, WriteTxn};
use lamella_types::Root;

use super::side::Schema;
use crate::{Identity, identity::bad_row};

/// Name of the row.
pub(super) const MIGRATION: &str = "migration";

const FORMAT: u8 = 1;

/// Which database, at which of its commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) genesis_time: u64,
    pub(super) registry_root: Root,
    /// Number of its last transaction: with another one, it has changed.
    pub(super) transaction: u64,
}

impl Source {
    pub(super) const fn of(identity: &Identity, transaction: u64) -> Self {
        let Identity { genesis_time, registry_root, .. } = *identity;
        Self { genesis_time, registry_root, transaction }
    }
}

/// The last row that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frontier {
    /// Its table; `Meta` once every row of the others was.
    pub(super) table: String,
    pub(super) key: Vec<u8>,
}

impl fmt::Display for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: String = self.key.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "table {}, key {key}", self.table)
    }
}

/// How far a migration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MigrationRow {
    pub(super) source: Source,
    pub(super) from: Schema,
    pub(super) to: Schema,
    pub(super) slot_ms: u64,
    /// Votes that could not be read.
    pub(super) votes_dropped: u64,
    /// Rows of the sign guard that could not be read: their keys sign no more.
    pub(super) keys_silenced: u64,
    /// `None` before the first row.
    pub(super) frontier: Option<Frontier>,
}

impl MigrationRow {
    pub(super) fn read(txn: &impl Read) -> Result<Option<Self>, ReadError> {
        let name = MetaName::new(MIGRATION);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(None) };
        Self::decode(&bytes).map(Some).ok_or_else(|| bad_row(&name))
    }

    pub(super) fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        Ok(txn.put::<Meta>(&MetaName::new(MIGRATION), &Bytes(self.encode()))?)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.source.genesis_time.to_be_bytes());
        bytes.extend_from_slice(self.source.registry_root.as_bytes());
        bytes.extend_from_slice(&self.source.transaction.to_be_bytes());
        for number in [self.slot_ms, self.votes_dropped, self.keys_silenced] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let frontier = self.frontier.as_ref();
        let table = frontier.map_or(&[][..], |frontier| frontier.table.as_bytes());
        let key = frontier.map_or(&[][..], |frontier| &frontier.key);
        for text in [table, key] {
            debug_assert!(u8::try_from(text.len()).is_ok(), "names and keys are short");
            bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            bytes.extend(text.iter().take(usize::from(u8::MAX)));
        }
        for schema in [self.from, self.to] {
            bytes.extend_from_slice(&schema.version().to_be_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (genesis_time, rest) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk()?;
        let (registry_root, rest) = rest.split_first_chunk()?;
        let (transaction, rest) = rest.split_first_chunk()?;
        let (slot_ms, rest) = rest.split_first_chunk()?;
        let (votes_dropped, rest) = rest.split_first_chunk()?;
        let (keys_silenced, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (table, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first()?;
        let (key, rest) = rest.split_at_checked(usize::from(*length))?;
        let key = key.to_vec();
        let (from, to) = match rest.split_first_chunk() {
            None if rest.is_empty() => (Schema::Two, Schema::Three),
            versions => {
                let (from, rest) = versions?;
                let (to, _) = rest.split_first_chunk()?;
                (Schema::of(u32::from_be_bytes(*from))?, Schema::of(u32::from_be_bytes(*to))?)
            }
        };
        let source = Source {
            genesis_time: u64::from_be_bytes(*genesis_time),
            registry_root: Root::new(*registry_root),
            transaction: u64::from_be_bytes(*transaction),
        };
        let table = String::from_utf8(table.to_vec()).ok()?;
        let frontier = (!table.is_empty()).then_some(Frontier { table, key });
        Some(Self {
            source,
            from,
            to,
            slot_ms: u64::from_be_bytes(*slot_ms),
            votes_dropped: u64::from_be_bytes(*votes_dropped),
            keys_silenced: u64::from_be_bytes(*keys_silenced),
            frontier,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(frontier: Option<Frontier>) -> MigrationRow {
        let (genesis_time, registry_root) = (7, Root::new([9; 32]));
        let source = Source { genesis_time, registry_root, transaction: 258 };
        let (from, to) = (Schema::Three, Schema::One);
        MigrationRow {
            source,
            from,
            to,
            slot_ms: 4000,
            votes_dropped: 3,
            keys_silenced: 1,
            frontier,
        }
    }

    #[test]
    fn a_row_has_these_bytes() {
        let frontier = Frontier { table: "Votes".to_owned(), key: vec![1, 2] };
        let expected = [
            &[1, 0, 0, 0, 0, 0, 0, 0, 7][..],
            &[9; 32],
            &[0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 15, 160],
            &[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1],
            &[5],
            b"Votes",
            &[2, 1, 2],
            &[0, 0, 0, 3, 0, 0, 0, 1],
        ];
        assert_eq!(row(Some(frontier)).encode(), expected.concat());
    }

    #[test]
    fn rows_come_back_longer_ones_too_and_no_cut_row_does() {
        let frontier = Frontier { table: "Slots".to_owned(), key: vec![3; 32] };
        for row in [row(None), row(Some(frontier))] {
            let bytes = row.encode();
            assert_eq!(MigrationRow::decode(&bytes).as_ref(), Some(&row));
            let bare = bytes.len() - 8;
            for length in (0..bytes.len()).filter(|length| *length != bare) {
                assert_eq!(MigrationRow::decode(&bytes[..length]), None);
            }
            // As builds wrote it that knew one way.
            let (from, to) = (Schema::Two, Schema::Three);
            let before = MigrationRow { from, to, ..row.clone() };
            assert_eq!(MigrationRow::decode(&bytes[..bare]), Some(before));
            assert_eq!(MigrationRow::decode(&[&bytes[..], &[8; 3]].concat()), Some(row));
        }
    }
}
