//! Rows as bytes, for tools that inspect a table and for tests that damage one.

use libmdbx::WriteFlags;

use crate::{
    error::{EngineError, Operation},
    schema::TABLES,
    transaction::{ReadTxn, WriteTxn},
};

/// A row exactly as it is stored, checksum included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Key bytes.
    pub key: Vec<u8>,
    /// Stored bytes.
    pub stored: Vec<u8>,
}

impl ReadTxn<'_> {
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
        let table = self.0.open_table(Some(info.name)).map_err(failed)?;
        let cursor = self.0.cursor(&table).map_err(failed)?;
        let rows = cursor.into_iter_start::<Vec<u8>, Vec<u8>>();
        Ok(Some(
            rows.map(move |row| row.map(|(key, stored)| RawRow { key, stored }).map_err(failed)),
        ))
    }
}

impl WriteTxn<'_> {
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
        self.0.put(&table, key, stored, WriteFlags::UPSERT).map_err(failed)
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
