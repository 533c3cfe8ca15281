//! Two databases side by side, tree by tree: which rows one of them has and the other has not, or has otherwise. And rows
//! carried from one to the other as they are stored.
//!
//! The hard idea: a row proves itself, so two rows of one key are the same where their proofs are. A value that hashes to its
//! key is told by the key, every other by its length and checksum. So what a copy lacks is found by a walk over keys,
//! without reading values of hundreds of kilobytes, and a copy needs no note of how far it is: its own rows say it.

use std::{borrow::Cow, fmt, ops::ControlFlow};

use libmdbx::RO;

use crate::{
    data_file::judge,
    error::{Damage, EngineError, Operation, ReadError},
    fault::Fault,
    schema::{CHECKSUM_BYTES, Place, Seal, TABLES, TableInfo},
    stored::{check, check_key},
    transaction::{ReadTxn, WriteTxn, open_tree},
};

/// What two rows of one key are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Their proofs: a few bytes of each row are read.
    Seals,
    /// All they hold.
    Bytes,
}

/// Which of two databases has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first alone.
    First,
    /// The second alone.
    Second,
    /// Both, with other bytes.
    Both,
}

/// Where a row lies.
#[derive(Debug, Clone)]
pub struct RowPlace {
    info: &'static TableInfo,
    /// Its key as it lies in the tree.
    stored_key: Vec<u8>,
}

impl RowPlace {
    /// Its table.
    #[must_use]
    pub const fn table(&self) -> &'static str {
        self.info.name
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.info.place.own_key(&self.stored_key).unwrap_or_default()
    }

    /// Its key as its table writes it; hex where the bytes are no key of the table.
    #[must_use]
    pub fn key_text(&self) -> String {
        let hex = || self.key().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.info.key_text)(self.key()).unwrap_or_else(hex)
    }

    fn damaged(&self, fault: Fault) -> ReadError {
        Damage { table: self.info.name, key: self.key().to_vec(), fault }.into()
    }

    fn failed(&self, operation: Operation, error: libmdbx::Error) -> EngineError {
        EngineError::new(operation, self.info.name, error).at(self)
    }
}

/// Table and key in words.
impl fmt::Display for RowPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, key {}", self.info.name, self.key_text())
    }
}

/// A row as it is stored, proven.
#[derive(Debug, Clone)]
pub struct StoredRow {
    /// Where it lies.
    pub place: RowPlace,
    stored: Vec<u8>,
}

impl StoredRow {
    /// Bytes that it takes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.stored.len()
    }
}

/// How far a comparison is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walked {
    /// Rows that were looked at; one of both databases counts once.
    pub rows: u64,
    /// Where the next walk goes on: behind this key, as it lies in the tree.
    pub last: Vec<u8>,
    /// Whether that was the end of the tree.
    pub is_end: bool,
}

/// A row as it lies in the map. Its place has been judged, its bytes have not.
struct FoundRow<'txn> {
    place: RowPlace,
    stored: Cow<'txn, [u8]>,
}

impl FoundRow<'_> {
    fn is_same(&self, other: &Self, look: Look) -> bool {
        let seal = |row: &Self| row.stored.last_chunk::<CHECKSUM_BYTES>().copied();
        match (look, self.place.info.seal) {
            (Look::Bytes, _) => self.stored == other.stored,
            (Look::Seals, Seal::OwnHash) => true,
            (Look::Seals, Seal::Checksum) => {
                self.stored.len() == other.stored.len() && seal(self) == seal(other)
            }
        }
    }
}

impl ReadTxn<'_> {
    /// Compares a tree of two databases from behind a key on, at most so many rows, and tells each row that is not the
    /// same until `differs` has enough.
    ///
    /// # Errors
    /// When an engine fails, a row's place cannot be trusted, or `differs` says so.
    pub fn compare<E: From<ReadError>>(
        &self,
        second: &ReadTxn<'_>,
        tree: &'static str,
        after: &[u8],
        rows_max: u64,
        look: Look,
        mut differs: impl FnMut(RowPlace, Side) -> Result<ControlFlow<()>, E>,
    ) -> Result<Walked, E> {
        let mut walked = Walked { rows: 0, last: after.to_vec(), is_end: false };
        let mut firsts = self.found_rows(tree, after)?;
        let mut seconds = second.found_rows(tree, after)?;
        let (mut first, mut second) = (firsts.next().transpose()?, seconds.next().transpose()?);
        while walked.rows < rows_max {
            let (side, row, is_same) = match (&first, &second) {
                (None, None) => {
                    walked.is_end = true;
                    break;
                }
                (Some(row), None) => (Side::First, row, false),
                (None, Some(row)) => (Side::Second, row, false),
                (Some(row), Some(other)) => {
                    match row.place.stored_key.cmp(&other.place.stored_key) {
                        std::cmp::Ordering::Less => (Side::First, row, false),
                        std::cmp::Ordering::Greater => (Side::Second, other, false),
                        std::cmp::Ordering::Equal => (Side::Both, row, row.is_same(other, look)),
                    }
                }
            };
            walked.rows += 1;
            walked.last.clone_from(&row.place.stored_key);
            let has_enough = !is_same && differs(row.place.clone(), side)?.is_break();
            if side != Side::Second {
                first = firsts.next().transpose()?;
            }
            if side != Side::First {
                second = seconds.next().transpose()?;
            }
            if has_enough {
                break;
            }
        }
        Ok(walked)
    }

    /// A row as it is stored.
    ///
    /// # Errors
    /// A row that does not prove itself, or the engine.
    pub fn stored_row(&self, place: &RowPlace) -> Result<Option<StoredRow>, ReadError> {
        let failed = |error| place.failed(Operation::Get, error);
        let Some(tree) = open_tree(&self.0, place.info.place).map_err(failed)? else {
            return Ok(None);
        };
        let found: Option<Cow<'_, [u8]>> = self.0.get(&tree, &place.stored_key).map_err(failed)?;
        let Some(found) = found else { return Ok(None) };
        let damaged = |fault| place.damaged(fault);
        check::<RO>(&found, place.info.stored_bytes_max).map_err(damaged)?;
        let stored = found.into_owned();
        (place.info.prove)(place.key(), stored.clone()).map_err(damaged)?;
        Ok(Some(StoredRow { place: place.clone(), stored }))
    }

    /// The rows of a tree behind a key, each with the table whose it is.
    fn found_rows(
        &self,
        tree: &'static str,
        after: &[u8],
    ) -> Result<impl Iterator<Item = Result<FoundRow<'_>, ReadError>>, ReadError> {
        let failed = move |error| EngineError::new(Operation::Scan, tree, error);
        let tables = move || TABLES.iter().filter(move |info| info.place.tree == tree);
        let key_bytes_max = tables().map(|info| *info.key_bytes.end()).max().unwrap_or(0);
        let mut rows = None;
        if let Some(found) = open_tree(&self.0, Place { tree, part: None }).map_err(failed)? {
            let cursor = self.0.cursor(&found).map_err(failed)?;
            rows = Some(cursor.into_iter_from::<Cow<'_, [u8]>, Cow<'_, [u8]>>(after));
        }
        let after = after.to_vec();
        let read = move |row| -> Result<Option<FoundRow<'_>>, ReadError> {
            let (key, stored): (Cow<'_, [u8]>, Cow<'_, [u8]>) = Result::map_err(row, failed)?;
            let nobodys = |fault| Damage { table: tree, key: Vec::new(), fault };
            check_key(&key, key_bytes_max).map_err(nobodys)?;
            if *key == *after {
                return Ok(None);
            }
            let info = tables().find(|info| info.place.own_key(&key).is_some());
            let nobodys = || Damage { table: tree, key: key.to_vec(), fault: Fault::Key };
            let info = info.ok_or_else(nobodys)?;
            let place = RowPlace { info, stored_key: key.into_owned() };
            let judged = check::<RO>(&stored, info.stored_bytes_max);
            judged.map_err(|fault| place.damaged(fault))?;
            Ok(Some(FoundRow { place, stored }))
        };
        Ok(rows.into_iter().flatten().filter_map(move |row| read(row).transpose()))
    }
}

impl WriteTxn<'_> {
    /// Writes a row of another database as it is stored there.
    ///
    /// # Errors
    /// When the engine fails; the transaction is then only good for dropping.
    pub fn put_stored(&mut self, row: &StoredRow) -> Result<(), EngineError> {
        let failed = |error| judge(self.1, row.place.failed(Operation::Put, error));
        let tree = self.0.open_table(Some(row.place.info.place.tree)).map_err(failed)?;
        let flags = libmdbx::WriteFlags::UPSERT;
        self.note(row.bytes());
        self.0.put(&tree, &row.place.stored_key, &row.stored, flags).map_err(failed)
    }

    /// Deletes the row that lies there.
    ///
    /// # Errors
    /// As [`WriteTxn::put_stored`].
    pub fn delete_stored(&mut self, place: &RowPlace) -> Result<bool, EngineError> {
        let failed = |error| judge(self.1, place.failed(Operation::Delete, error));
        let tree = self.0.open_table(Some(place.info.place.tree)).map_err(failed)?;
        self.note(0);
        self.0.del(&tree, &place.stored_key, None).map_err(failed)
    }
}
