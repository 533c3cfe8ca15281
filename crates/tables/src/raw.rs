//! Rows as bytes, for tools that inspect a table, and (feature `test-hooks`) for tests that damage one.

use libmdbx::{ObjectLength, RO};

use crate::{
    error::{Damage, EngineError, Fault, Operation, ReadError},
    schema::TABLES,
    stored::{StoredKey, StoredValue},
    transaction::ReadTxn,
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
        let table = self.0.open_table(Some(info.name)).map_err(failed)?;
        let cursor = self.0.cursor(&table).map_err(failed)?;
        let rows = cursor.into_iter_from::<StoredKey, ObjectLength>(start);
        let damaged = |key, fault| Damage { table: info.name, key, fault };
        Ok(Some(rows.map(move |row| {
            let (key, ObjectLength(stored_bytes)) = row.map_err(failed)?;
            let key = key.bytes().map_err(|fault| damaged(Vec::new(), fault))?;
            Ok(RawKey { key, stored_bytes })
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
        let table = self.0.open_table(Some(info.name)).map_err(failed)?;
        let cursor = self.0.cursor(&table).map_err(failed)?;
        let rows = cursor.into_iter_start::<StoredKey, StoredValue<RO>>();
        let damaged =
            |key: &[u8], fault: Fault| Damage { table: info.name, key: key.to_vec(), fault };
        Ok(Some(rows.map(move |row| {
            let (key, stored) = row.map_err(failed)?;
            let key = key.bytes().map_err(|fault| damaged(&[], fault))?;
            let stored = stored.bytes().map_err(|fault| damaged(&key, fault))?;
            Ok(RawRow { key, stored })
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
        let table = self.0.open_table(Some(info.name)).map_err(failed)?;
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
        let table = self.0.open_table(Some(info.name)).map_err(failed)?;
        self.0.del(&table, key, None).map_err(failed)
    }
}
