//! Transactions: verified reads, sealed writes, and commit as the only thing that keeps them.

use std::{marker::PhantomData, path::Path};

use libmdbx::{NoWriteMap, ObjectLength, RO, RW, TransactionKind, WriteFlags};

use crate::{
    data_file::{FileIdentity, check_place, judge},
    error::{Damage, EngineError, Fault, Operation, ReadError},
    key::Key,
    readers::Reader,
    schema::{TABLES, Table, TableStats, seal, seal_of, unseal},
    stored::{StoredKey, StoredValue, Where},
    value::Bytes,
};

/// A read transaction: one snapshot.
#[derive(Debug)]
pub struct ReadTxn<'db>(
    pub(crate) libmdbx::Transaction<'db, RO, NoWriteMap>,
    /// Counts it while it is open.
    #[expect(dead_code, reason = "held for its drop")]
    Reader,
);

/// The write transaction. It reads its own writes; dropping it undoes them.
#[derive(Debug)]
pub struct WriteTxn<'db>(
    pub(crate) libmdbx::Transaction<'db, RW, NoWriteMap>,
    /// The directory, and which data file was opened in it.
    &'db Path,
    FileIdentity,
);

/// Reads, the same in both transactions.
pub trait Read {
    /// The value at `key`, verified.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] for a row that is there but cannot be trusted.
    fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, ReadError>;

    /// Whether there is a row at `key`. Its value is not looked at.
    ///
    /// # Errors
    /// When the engine fails.
    fn has<T: Table>(&self, key: &T::Key) -> Result<bool, EngineError>;

    /// Rows from `start` on, in key order.
    ///
    /// # Errors
    /// When the engine fails.
    fn scan<T: Table>(&self, start: T::Key) -> Result<impl Iterator<Item = Row<T>>, EngineError>;

    /// Keys from `start` on, in order, without reading values.
    ///
    /// # Errors
    /// When the engine fails.
    fn scan_keys<T: Table>(
        &self,
        start: T::Key,
    ) -> Result<impl Iterator<Item = Result<T::Key, ReadError>>, EngineError>;

    /// The last row, `None` for an empty table.
    ///
    /// # Errors
    /// When the engine fails.
    fn last<T: Table>(&self) -> Result<Option<Row<T>>, EngineError>;

    /// Sizes of every table.
    ///
    /// # Errors
    /// When the engine fails.
    fn table_stats(&self) -> Result<Vec<TableStats>, EngineError>;
}

/// A row of a scan.
pub type Row<T> = Result<(<T as Table>::Key, <T as Table>::Value), ReadError>;

impl<'db> ReadTxn<'db> {
    pub(crate) const fn new(
        txn: libmdbx::Transaction<'db, RO, NoWriteMap>,
        reader: Reader,
    ) -> Self {
        Self(txn, reader)
    }
}

impl<'db> WriteTxn<'db> {
    pub(crate) const fn new(
        txn: libmdbx::Transaction<'db, RW, NoWriteMap>,
        path: &'db Path,
        file: FileIdentity,
    ) -> Self {
        Self(txn, path, file)
    }

    /// Writes a row, replacing the one at its key.
    ///
    /// # Errors
    /// When the engine fails; the transaction is then only good for dropping.
    pub fn put<T: Table>(&mut self, key: &T::Key, value: &T::Value) -> Result<(), EngineError> {
        let encoded = key.encode();
        let stored = seal::<T>(&encoded, value);
        self.put_bytes(T::NAME, &encoded, &stored).map_err(|error| error.at(key))
    }

    /// Writes a row of opaque bytes that somebody else owns: they are copied once, into their page.
    ///
    /// # Errors
    /// When the engine fails; the transaction is then only good for dropping.
    pub fn put_slice<T>(&mut self, key: &T::Key, value: &[u8]) -> Result<(), EngineError>
    where
        T: Table<Value = Bytes>,
    {
        let failed = |error| EngineError::new(Operation::Put, T::NAME, error).at(key);
        let encoded = key.encode();
        let seal = seal_of::<T>(&encoded, value);
        let seal = seal.as_ref().map_or(&[][..], |seal| seal);
        let table = self.0.open_table(Some(T::NAME)).map_err(failed)?;
        let stored_bytes = value.len() + seal.len();
        let fill = |row: &mut [u8]| {
            let (stored, stored_seal) = row.split_at_mut(value.len());
            stored.copy_from_slice(value);
            stored_seal.copy_from_slice(seal);
        };
        let written = self.0.put_with(&table, &encoded, stored_bytes, WriteFlags::UPSERT, fill);
        written.map_err(|error| judge(self.1, failed(error)))
    }

    pub(crate) fn put_bytes(
        &mut self,
        name: &'static str,
        key: &[u8],
        stored: &[u8],
    ) -> Result<(), EngineError> {
        let failed = |error| EngineError::new(Operation::Put, name, error);
        let table = self.0.open_table(Some(name)).map_err(failed)?;
        let written = self.0.put(&table, key, stored, WriteFlags::UPSERT);
        written.map_err(|error| judge(self.1, failed(error)))
    }

    /// Deletes a row; says whether there was one.
    ///
    /// # Errors
    /// When the engine fails; the transaction is then only good for dropping.
    pub fn delete<T: Table>(&mut self, key: &T::Key) -> Result<bool, EngineError> {
        let failed = |error| EngineError::new(Operation::Delete, T::NAME, error).at(key);
        let table = self.0.open_table(Some(T::NAME)).map_err(failed)?;
        self.0.del(&table, key.encode(), None).map_err(failed)
    }

    /// Makes every write of this transaction permanent at once, as durably as the database was opened.
    ///
    /// # Errors
    /// When the engine fails; nothing of the transaction has happened then.
    pub fn commit(self) -> Result<(), EngineError> {
        let Self(txn, path, file) = self;
        check_place(path, file)?;
        let failed = |error| judge(path, EngineError::new(Operation::Commit, "-", error));
        // `true` is no success: a call failed in this transaction, and the engine has undone it.
        if txn.commit().map_err(failed)? {
            return Err(failed(libmdbx::Error::BadTxn));
        }
        check_place(path, file)
    }
}

/// Rows of a table from a start key on.
struct Scan<'txn, K: TransactionKind + Where, T> {
    rows: libmdbx::IntoIter<'txn, K, StoredKey, StoredValue<K>>,
    table: PhantomData<T>,
}

impl<K: TransactionKind + Where, T: Table> Iterator for Scan<'_, K, T> {
    type Item = Row<T>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next().map(|row| {
            let (key, stored) =
                row.map_err(|error| EngineError::new(Operation::Scan, T::NAME, error))?;
            decode_row::<T>(key, stored)
        })
    }
}

/// The bytes of a key that may be touched.
fn key_bytes<T: Table>(key: StoredKey) -> Result<Vec<u8>, ReadError> {
    key.bytes().map_err(|fault| Damage::new::<T>([], fault).into())
}

fn decode_key<T: Table>(bytes: &[u8]) -> Result<T::Key, ReadError> {
    T::Key::decode(bytes).ok_or_else(|| Damage::new::<T>(bytes, Fault::Key).into())
}

fn decode_row<T: Table>(key: StoredKey, stored: StoredValue<impl Where>) -> Row<T> {
    let bytes = key_bytes::<T>(key)?;
    let key = decode_key::<T>(&bytes)?;
    match stored.bytes().and_then(|stored| unseal::<T>(&bytes, stored)) {
        Ok(value) => Ok((key, value)),
        Err(fault) => Err(Damage::new::<T>(bytes, fault).into()),
    }
}

macro_rules! impl_read {
    ($txn:ident, $kind:ty) => {
        impl Read for $txn<'_> {
            fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, ReadError> {
                let failed = |error| EngineError::new(Operation::Get, T::NAME, error).at(key);
                let encoded = key.encode();
                let table = self.0.open_table(Some(T::NAME)).map_err(failed)?;
                let stored: Option<StoredValue<$kind>> =
                    self.0.get(&table, &encoded).map_err(failed)?;
                let Some(stored) = stored else {
                    return Ok(None);
                };
                match stored.bytes().and_then(|stored| unseal::<T>(&encoded, stored)) {
                    Ok(value) => Ok(Some(value)),
                    Err(fault) => Err(Damage::new::<T>(encoded, fault).into()),
                }
            }

            fn has<T: Table>(&self, key: &T::Key) -> Result<bool, EngineError> {
                let failed = |error| EngineError::new(Operation::Get, T::NAME, error).at(key);
                let table = self.0.open_table(Some(T::NAME)).map_err(failed)?;
                let found: Option<ObjectLength> =
                    self.0.get(&table, key.encode()).map_err(failed)?;
                Ok(found.is_some())
            }

            fn scan<T: Table>(
                &self,
                start: T::Key,
            ) -> Result<impl Iterator<Item = Row<T>>, EngineError> {
                let failed = |error| EngineError::new(Operation::Scan, T::NAME, error);
                let table = self.0.open_table(Some(T::NAME)).map_err(failed)?;
                let cursor = self.0.cursor(&table).map_err(failed)?;
                let rows = cursor.into_iter_from(&start.encode());
                Ok(Scan::<'_, $kind, T> { rows, table: PhantomData })
            }

            fn scan_keys<T: Table>(
                &self,
                start: T::Key,
            ) -> Result<impl Iterator<Item = Result<T::Key, ReadError>>, EngineError> {
                let failed = |error| EngineError::new(Operation::Scan, T::NAME, error);
                let table = self.0.open_table(Some(T::NAME)).map_err(failed)?;
                let cursor = self.0.cursor(&table).map_err(failed)?;
                let rows = cursor.into_iter_from::<StoredKey, ObjectLength>(&start.encode());
                Ok(rows.map(move |row| {
                    let (key, _) = row.map_err(failed)?;
                    decode_key::<T>(&key_bytes::<T>(key)?)
                }))
            }

            fn last<T: Table>(&self) -> Result<Option<Row<T>>, EngineError> {
                let failed = |error| EngineError::new(Operation::Scan, T::NAME, error);
                let table = self.0.open_table(Some(T::NAME)).map_err(failed)?;
                let mut cursor = self.0.cursor(&table).map_err(failed)?;
                let row: Option<(StoredKey, StoredValue<$kind>)> = cursor.last().map_err(failed)?;
                Ok(row.map(|(key, stored)| decode_row::<T>(key, stored)))
            }

            fn table_stats(&self) -> Result<Vec<TableStats>, EngineError> {
                let stats = TABLES.iter().map(|info| {
                    let failed = |error| EngineError::new(Operation::Stat, info.name, error);
                    let table = self.0.open_table(Some(info.name)).map_err(failed)?;
                    let stat = self.0.table_stat(&table).map_err(failed)?;
                    Ok(TableStats {
                        name: info.name,
                        rows: stat.entries() as u64,
                        bytes: stat.total_size(),
                        depth: stat.depth(),
                    })
                });
                stats.collect()
            }
        }
    };
}

impl_read!(ReadTxn, RO);
impl_read!(WriteTxn, RW);
