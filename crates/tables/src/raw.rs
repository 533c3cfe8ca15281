//! Rows as bytes, borrowed from the map until they are judged, for tools that inspect a table, and (feature `test-hooks`) for tests that damage one.

use std::borrow::Cow;

use libmdbx::{ObjectLength, RO};

use crate::{
    data_file::judge,
    error::{Damage, EngineError, Operation, ReadError},
    fault::Fault,
    schema::{Headers, Place, TABLES, Table as _, TableInfo},
    stored::{check, check_key},
    transaction::{ReadTxn, WriteTxn, open_tree},
};

/// A row exactly as it is stored, checksum included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Key bytes.
    pub key: Vec<u8>,
    /// Stored bytes.
    pub stored: Vec<u8>,
}

/// A row's key and size. Its value has not been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawKey {
    /// Key bytes.
    pub key: Vec<u8>,
    /// Size of what is stored, checksum included.
    pub stored_bytes: usize,
}

impl ReadTxn<'_> {
    /// Keys and sizes of the rows of the table of this name, from `start` on, in key order; `None` for an unknown
    /// name. Empty start bytes begin at the first row.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn raw_keys(
        &self,
        name: &str,
        start: &[u8],
    ) -> Result<Option<impl Iterator<Item = Result<RawKey, ReadError>>>, EngineError> {
        let Some(info) = TABLES.iter().find(|info| info.name == name) else {
            return Ok(None);
        };
        let failed = |error| EngineError::new(Operation::Scan, info.name, error);
        let mut rows = None;
        if let Some(tree) = open_tree(&self.0, info.place).map_err(failed)? {
            let cursor = self.0.cursor(&tree).map_err(failed)?;
            rows = Some(cursor.into_iter_from::<Cow<'_, [u8]>, ObjectLength>(start));
        }
        let read = move |row| -> Result<Option<RawKey>, ReadError> {
            let (key, ObjectLength(stored_bytes)): (Cow<'_, [u8]>, _) =
                Result::map_err(row, failed)?;
            let damaged = |fault| Damage { table: info.name, key: Vec::new(), fault };
            check_key(&key, *info.key_bytes.end()).map_err(damaged)?;
            Ok(info.place.own_key(&key).map(|key| RawKey { key: key.to_vec(), stored_bytes }))
        };
        Ok(Some(rows.into_iter().flatten().filter_map(move |row| read(row).transpose())))
    }

    /// The rows of a tree of the engine, in key order, unverified, its keys as they lie there: the way to read what
    /// another schema left. `None` if there is no such tree.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn tree_rows(
        &self,
        tree: &str,
    ) -> Result<Option<impl Iterator<Item = Result<RawRow, ReadError>>>, EngineError> {
        let failed = |error| EngineError::new(Operation::Scan, "-", error);
        let tree = match self.0.open_table(Some(tree)) {
            Ok(tree) => tree,
            Err(libmdbx::Error::NotFound) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let cursor = self.0.cursor(&tree).map_err(failed)?;
        let rows = cursor.into_iter_start::<Cow<'_, [u8]>, Cow<'_, [u8]>>();
        let damaged = |fault| Damage { table: "-", key: Vec::new(), fault };
        let longest = |bytes: fn(&TableInfo) -> usize| TABLES.iter().map(bytes).max().unwrap_or(0);
        let key_bytes_max = longest(|info| *info.key_bytes.end());
        let stored_bytes_max = longest(|info| info.stored_bytes_max);
        Ok(Some(rows.map(move |row| {
            let (key, stored) = row.map_err(failed)?;
            check_key(&key, key_bytes_max).map_err(damaged)?;
            check::<RO>(&stored, stored_bytes_max).map_err(damaged)?;
            Ok(RawRow { key: key.into_owned(), stored: stored.into_owned() })
        })))
    }

    /// The rows of the table of this name, in key order, unverified; `None` for an unknown name.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn raw_rows(
        &self,
        name: &str,
    ) -> Result<Option<impl Iterator<Item = Result<RawRow, ReadError>>>, EngineError> {
        let Some(info) = TABLES.iter().find(|info| info.name == name) else {
            return Ok(None);
        };
        let failed = |error| EngineError::new(Operation::Scan, info.name, error);
        let mut rows = None;
        if let Some(tree) = open_tree(&self.0, info.place).map_err(failed)? {
            let cursor = self.0.cursor(&tree).map_err(failed)?;
            rows = Some(cursor.into_iter_start::<Cow<'_, [u8]>, Cow<'_, [u8]>>());
        }
        let read = move |row| -> Result<Option<RawRow>, ReadError> {
            let (place, stored): (Cow<'_, [u8]>, Cow<'_, [u8]>) = Result::map_err(row, failed)?;
            let damaged = |key: &[u8], fault| Damage { table: info.name, key: key.to_vec(), fault };
            check_key(&place, *info.key_bytes.end()).map_err(|fault| damaged(&[], fault))?;
            let Some(key) = info.place.own_key(&place) else { return Ok(None) };
            check::<RO>(&stored, info.stored_bytes_max).map_err(|fault| damaged(key, fault))?;
            Ok(Some(RawRow { key: key.to_vec(), stored: stored.into_owned() }))
        };
        Ok(Some(rows.into_iter().flatten().filter_map(move |row| read(row).transpose())))
    }
}

/// The tree that several tables share.
const BLOCKS: &str = Headers::PLACE.tree;

/// What of the keys of the shared tree was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unowned {
    /// Rows whose whole keys end in no table's number: whose they were does not show.
    pub rows: Vec<Damage>,
    /// Keys looked at.
    pub looked_at: u64,
    /// The last one; `None` at the tree's end.
    pub next: Option<Vec<u8>>,
}

macro_rules! impl_unowned {
    ($txn:ident) => {
        impl $txn<'_> {
            /// Keys of the tree that several tables share which are no table's, behind `after` (empty: from the first on), of up
            /// to `most` keys. What walks over a table passes them over.
            ///
            /// # Errors
            /// When the engine fails, or a key may not be touched.
            pub fn unowned(&self, after: &[u8], most: usize) -> Result<Unowned, ReadError> {
                let failed = |error| EngineError::new(Operation::Scan, BLOCKS, error);
                let place = Place { tree: BLOCKS, part: None };
                let Some(tree) = open_tree(&self.0, place).map_err(failed)? else {
                    return Ok(Unowned::default());
                };
                let tables = || TABLES.iter().filter(|info| info.place.tree == BLOCKS);
                let key_bytes_max = tables().map(|info| *info.key_bytes.end()).max().unwrap_or(0);
                let mut found = Unowned::default();
                let cursor = self.0.cursor(&tree).map_err(failed)?;
                for row in cursor.into_iter_from::<Cow<'_, [u8]>, ObjectLength>(after) {
                    let (key, _) = row.map_err(failed)?;
                    let damaged = |fault| Damage { table: BLOCKS, key: Vec::new(), fault };
                    check_key(&key, key_bytes_max).map_err(damaged)?;
                    if !after.is_empty() && *key == *after {
                        continue;
                    }
                    found.looked_at += 1;
                    if tables().all(|info| info.place.own_key(&key).is_none()) {
                        found.rows.push(Damage {
                            table: BLOCKS,
                            key: key.to_vec(),
                            fault: Fault::Key,
                        });
                    }
                    if found.looked_at >= most as u64 {
                        found.next = Some(key.into_owned());
                        break;
                    }
                }
                Ok(found)
            }
        }
    };
}

impl_unowned!(ReadTxn);
impl_unowned!(WriteTxn);

impl WriteTxn<'_> {
    /// Deletes a row of the shared tree by its whole key, if it is no table's.
    ///
    /// # Errors
    /// When the engine fails; the transaction is then only good for dropping.
    pub fn delete_unowned(&mut self, key: &[u8]) -> Result<bool, EngineError> {
        let mut tables = TABLES.iter().filter(|info| info.place.tree == BLOCKS);
        if tables.any(|info| info.place.own_key(key).is_some()) {
            return Ok(false);
        }
        let failed = |error| judge(self.1, EngineError::new(Operation::Delete, BLOCKS, error));
        let tree = self.0.open_table(Some(BLOCKS)).map_err(failed)?;
        self.note(0);
        self.0.del(&tree, key, None).map_err(failed)
    }
}

#[cfg(feature = "test-hooks")]
impl WriteTxn<'_> {
    /// Stores a row of the shared tree under a whole key: the way to damage a key in a test.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put_unowned(&mut self, key: &[u8], stored: &[u8]) -> Result<(), EngineError> {
        let failed = |error| EngineError::new(Operation::Put, BLOCKS, error);
        let tree = self.0.open_table(Some(BLOCKS)).map_err(failed)?;
        self.0.put(&tree, key, stored, libmdbx::WriteFlags::UPSERT).map_err(failed)
    }

    /// Stores bytes as they are, without a checksum: the way to damage a row in a test. Unknown names are ignored.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put_raw(&mut self, name: &str, key: &[u8], stored: &[u8]) -> Result<(), EngineError> {
        let Some(info) = TABLES.iter().find(|info| info.name == name) else {
            return Ok(());
        };
        let failed = |error| EngineError::new(Operation::Put, info.name, error);
        let table = self.0.open_table(Some(info.place.tree)).map_err(failed)?;
        let place = info.place.key(key.to_vec());
        self.0.put(&table, place, stored, libmdbx::WriteFlags::UPSERT).map_err(failed)
    }

    /// Stores bytes as they are in a tree of this name: the way to damage what another schema left.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put_in_tree(
        &mut self,
        tree: &str,
        key: &[u8],
        stored: &[u8],
    ) -> Result<(), EngineError> {
        let failed = |error| EngineError::new(Operation::Put, "-", error);
        let table = self.0.open_table(Some(tree)).map_err(failed)?;
        self.0.put(&table, key, stored, libmdbx::WriteFlags::UPSERT).map_err(failed)
    }

    /// Deletes a row whatever it holds: the way to lose one in a test. Unknown names are ignored.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn delete_raw(&mut self, name: &str, key: &[u8]) -> Result<bool, EngineError> {
        let Some(info) = TABLES.iter().find(|info| info.name == name) else {
            return Ok(false);
        };
        let failed = |error| EngineError::new(Operation::Delete, info.name, error);
        let table = self.0.open_table(Some(info.place.tree)).map_err(failed)?;
        self.0.del(&table, info.place.key(key.to_vec()), None).map_err(failed)
    }
}
