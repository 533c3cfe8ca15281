//! Rows as bytes, borrowed from the map until they are judged, for tools that inspect a table, and (feature `test-hooks`) for tests that damage one.

use std::borrow::Cow;

use libmdbx::{ObjectLength, RO};

use crate::{
    error::{Damage, EngineError, Operation, ReadError},
    schema::{TABLES, TableInfo},
    stored::{check, check_key},
    transaction::{ReadTxn, open_tree},
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

#[cfg(feature = "test-hooks")]
impl crate::WriteTxn<'_> {
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
