//! Rows as bytes, for tools that inspect a table, and (feature `test-hooks`) for tests that damage one.

use std::borrow::Cow;

use libmdbx::ObjectLength;

use crate::{
    error::{EngineError, Operation},
    schema::TABLES,
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
    ) -> Result<Option<impl Iterator<Item = Result<RawKey, EngineError>>>, EngineError> {
        let Some(info) = TABLES.iter().find(|info| info.name == name) else {
            return Ok(None);
        };
        let failed = |error| EngineError::new(Operation::Scan, info.name, error);
        let mut rows = None;
        if let Some(tree) = open_tree(&self.0, info.place).map_err(failed)? {
            let cursor = self.0.cursor(&tree).map_err(failed)?;
            rows = Some(cursor.into_iter_from::<Cow<'_, [u8]>, ObjectLength>(start));
        }
        Ok(Some(rows.into_iter().flatten().filter_map(move |row| match row {
            Ok((place, ObjectLength(stored_bytes))) => {
                let key = info.place.own_key(&place)?.to_vec();
                Some(Ok(RawKey { key, stored_bytes }))
            }
            Err(error) => Some(Err(failed(error))),
        })))
    }

    /// The rows of a tree of the engine, in key order, unverified, its keys as they lie there: the way to read what
    /// another schema left. `None` if there is no such tree.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn tree_rows(
        &self,
        tree: &str,
    ) -> Result<Option<impl Iterator<Item = Result<RawRow, EngineError>>>, EngineError> {
        let failed = |error| EngineError::new(Operation::Scan, "-", error);
        let tree = match self.0.open_table(Some(tree)) {
            Ok(tree) => tree,
            Err(libmdbx::Error::NotFound) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let rows = self.0.cursor(&tree).map_err(failed)?.into_iter_start::<Vec<u8>, Vec<u8>>();
        Ok(Some(
            rows.map(move |row| row.map(|(key, stored)| RawRow { key, stored }).map_err(failed)),
        ))
    }

    /// The rows of the table of this name, in key order, unverified; `None` for an unknown name.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn raw_rows(
        &self,
        name: &str,
    ) -> Result<Option<impl Iterator<Item = Result<RawRow, EngineError>>>, EngineError> {
        let Some(info) = TABLES.iter().find(|info| info.name == name) else {
            return Ok(None);
        };
        let failed = |error| EngineError::new(Operation::Scan, info.name, error);
        let mut rows = None;
        if let Some(tree) = open_tree(&self.0, info.place).map_err(failed)? {
            let cursor = self.0.cursor(&tree).map_err(failed)?;
            rows = Some(cursor.into_iter_start::<Cow<'_, [u8]>, Cow<'_, [u8]>>());
        }
        Ok(Some(rows.into_iter().flatten().filter_map(move |row| match row {
            Ok((place, stored)) => {
                let key = info.place.own_key(&place)?.to_vec();
                Some(Ok(RawRow { key, stored: stored.into_owned() }))
            }
            Err(error) => Some(Err(failed(error))),
        })))
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
