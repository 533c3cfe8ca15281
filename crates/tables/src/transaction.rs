//! Transactions: verified reads, sealed writes, and commit as the only thing that keeps them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use libmdbx::{NoWriteMap, ObjectLength, RO, RW, TransactionKind, WriteFlags};

use crate::{
    data_file::{FileIdentity, check_place, judge},
    error::{Damage, EngineError, Operation, ReadError, RowTooLong, TookTooLong},
    fault::Fault,
    key::Key,
    lazy::Flushes,
    readers::Reader,
    schema::{Place, Table, TableStats, seal, seal_of, trees, unseal},
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
    /// From when on its reads are given up.
    Limit,
);

/// The write transaction. It reads its own writes; dropping it undoes them.
#[derive(Debug)]
pub struct WriteTxn<'db>(
    pub(crate) libmdbx::Transaction<'db, RW, NoWriteMap>,
    /// The directory, and which data file was opened in it.
    pub(crate) &'db Path,
    FileIdentity,
    /// Counts what is written under lazy commits.
    Option<&'db Flushes>,
);

/// Reads, the same in both transactions.
pub trait Read {
    /// The value at `key`, verified.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] for a row that is there but cannot be trusted.
    fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, ReadError>;

    /// The values at these keys, in their order, verified: side by side where the transaction allows it.
    ///
    /// # Errors
    /// As [`Read::get`], for the first key that has one.
    fn get_many<T>(&self, keys: &[T::Key]) -> Result<Vec<Option<T::Value>>, ReadError>
    where
        T: Table<Value: Send>,
    {
        keys.iter().map(|key| self.get::<T>(key)).collect()
    }

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

    /// Sizes of every tree. A tree is a table, or several that share it.
    ///
    /// # Errors
    /// When the engine fails.
    fn table_stats(&self) -> Result<Vec<TableStats>, EngineError> {
        trees().map(|name| self.tree_stats(name)).collect()
    }

    /// Sizes of the tree of this name; nothing where there is none.
    ///
    /// # Errors
    /// When the engine fails.
    fn tree_stats(&self, name: &'static str) -> Result<TableStats, EngineError>;
}

/// A row of a scan.
pub type Row<T> = Result<(<T as Table>::Key, <T as Table>::Value), ReadError>;

impl<'db> ReadTxn<'db> {
    pub(crate) const fn new(
        txn: libmdbx::Transaction<'db, RO, NoWriteMap>,
        reader: Reader,
    ) -> Self {
        Self(txn, reader, Limit(None))
    }

    /// Gives up, as [`TookTooLong`], each read that begins or goes on later than this from now: whoever reads for another
    /// keeps pages from being reused for no longer than that and a row.
    #[must_use]
    pub fn within(mut self, longest: Duration) -> Self {
        self.2 = Limit(Instant::now().checked_add(longest).map(|end| (end, longest)));
        self
    }

    pub(crate) const fn limit(&self) -> Limit {
        self.2
    }
}

/// Until when a transaction may read, and for how long that was; none for most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(Option<(Instant, Duration)>);

impl Limit {
    pub(crate) fn check(self) -> Result<(), EngineError> {
        match self.0 {
            Some((end, longest)) if Instant::now() >= end => {
                Err(EngineError::given_up(TookTooLong(longest)))
            }
            _ => Ok(()),
        }
    }
}

/// Rows, as long as their transaction may read.
struct Timed<I> {
    rows: I,
    limit: Limit,
}

impl<I: Iterator<Item = Result<R, ReadError>>, R> Iterator for Timed<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(self.limit.check().map_err(ReadError::from).and(row))
    }
}

impl<'db> WriteTxn<'db> {
    pub(crate) const fn new(
        txn: libmdbx::Transaction<'db, RW, NoWriteMap>,
        path: &'db Path,
        file: FileIdentity,
        flushes: Option<&'db Flushes>,
    ) -> Self {
        Self(txn, path, file, flushes)
    }

    /// A writer is bounded by what it writes.
    #[expect(clippy::unused_self, reason = "as a read transaction has it")]
    const fn limit(&self) -> Limit {
        Limit(None)
    }

    /// Notes a row of so many bytes that is written, or one that is deleted.
    pub(crate) fn note(&self, bytes: usize) {
        if let Some(flushes) = self.3 {
            flushes.note(bytes);
        }
    }

    /// Writes a row, replacing the one at its key.
    ///
    /// # Errors
    /// When the engine fails; the transaction is then only good for dropping. A value longer than the table's longest
    /// ([`RowTooLong`]), of which nothing is written.
    pub fn put<T: Table>(&mut self, key: &T::Key, value: &T::Value) -> Result<(), EngineError> {
        let encoded = key.encode();
        let stored = seal::<T>(&encoded, value);
        check_length::<T>(key, stored.len())?;
        let failed = |error| EngineError::new(Operation::Put, T::NAME, error).at(key);
        let tree = self.0.open_table(Some(T::PLACE.tree)).map_err(failed)?;
        self.note(stored.len());
        let written = self.0.put(&tree, T::PLACE.key(encoded), stored, WriteFlags::UPSERT);
        written.map_err(|error| judge(self.1, failed(error)))
    }

    /// Writes a row of opaque bytes that somebody else owns: they are copied once, into their page.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn put_slice<T>(&mut self, key: &T::Key, value: &[u8]) -> Result<(), EngineError>
    where
        T: Table<Value = Bytes>,
    {
        let failed = |error| EngineError::new(Operation::Put, T::NAME, error).at(key);
        let encoded = key.encode();
        let seal = seal_of::<T>(&encoded, value);
        let seal = seal.as_ref().map_or(&[][..], |seal| seal);
        let stored_bytes = value.len() + seal.len();
        check_length::<T>(key, stored_bytes)?;
        let table = self.0.open_table(Some(T::PLACE.tree)).map_err(failed)?;
        let place = T::PLACE.key(encoded);
        let fill = |row: &mut [u8]| {
            let (stored, stored_seal) = row.split_at_mut(value.len());
            stored.copy_from_slice(value);
            stored_seal.copy_from_slice(seal);
        };
        self.note(stored_bytes);
        let written = self.0.put_with(&table, &place, stored_bytes, WriteFlags::UPSERT, fill);
        written.map_err(|error| judge(self.1, failed(error)))
    }

    /// Deletes a row; says whether there was one.
    ///
    /// # Errors
    /// When the engine fails; the transaction is then only good for dropping.
    pub fn delete<T: Table>(&mut self, key: &T::Key) -> Result<bool, EngineError> {
        let failed = |error| EngineError::new(Operation::Delete, T::NAME, error).at(key);
        let table = self.0.open_table(Some(T::PLACE.tree)).map_err(failed)?;
        self.note(0);
        let deleted = self.0.del(&table, T::PLACE.key(key.encode()), None);
        deleted.map_err(|error| judge(self.1, failed(error)))
    }

    /// Makes every write of this transaction permanent at once, as durably as the database was opened.
    ///
    /// # Errors
    /// When the engine fails. What fails before the last write has changed nothing, and the next transaction may succeed. Of a flush
    /// and of the last write nobody knows whether it reached the disk: then no transaction of this process succeeds any more,
    /// and whoever opens the database next finds it whole, with this transaction or without.
    pub fn commit(self) -> Result<(), EngineError> {
        let Self(txn, path, file, _) = self;
        check_place(path, file)?;
        let failed = |error| judge(path, EngineError::new(Operation::Commit, "-", error));
        // `true` is no success: a call failed in this transaction, and the engine has undone it.
        if txn.commit().map_err(failed)? {
            return Err(failed(libmdbx::Error::BadTxn));
        }
        check_place(path, file)
    }
}

/// Refuses a row that could not be read back.
fn check_length<T: Table>(key: &T::Key, bytes: usize) -> Result<(), EngineError> {
    if bytes <= T::STORED_BYTES_MAX {
        return Ok(());
    }
    let error = RowTooLong { bytes, max: T::STORED_BYTES_MAX };
    Err(EngineError::too_long(T::NAME, error).at(key))
}

/// The tree of a table. None in a directory of another schema, which a tool may look into: all its tables are empty.
pub(crate) fn open_tree<'txn, K: TransactionKind>(
    txn: &'txn libmdbx::Transaction<'_, K, NoWriteMap>,
    place: Place,
) -> Result<Option<libmdbx::Table<'txn>>, libmdbx::Error> {
    match txn.open_table(Some(place.tree)) {
        Ok(tree) => Ok(Some(tree)),
        Err(libmdbx::Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Rows of a table that has a tree of its own.
type TreeRows<'txn, K, T> = libmdbx::IntoIter<'txn, K, StoredKey<T>, StoredValue<K, T>>;

/// Rows of a table from a start key on.
enum Scan<'txn, 'db, K: TransactionKind + Where, T> {
    /// Of a table with a tree of its own; none where there is no tree.
    Alone(Option<TreeRows<'txn, K, T>>),
    /// Of a table in a shared tree. Other tables' values lie between its own, proofs of 512 KiB among them, and must
    /// not be copied on the way: a value is read when its key has shown whose it is.
    Shared {
        keys: libmdbx::IntoIter<'txn, K, StoredKey<T>, ObjectLength>,
        txn: &'txn libmdbx::Transaction<'db, K, NoWriteMap>,
        tree: libmdbx::Table<'txn>,
    },
}

impl<K: TransactionKind + Where, T: Table> Iterator for Scan<'_, '_, K, T> {
    type Item = Row<T>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Alone(rows) => rows.as_mut()?.next().map(|row| {
                let (key, stored) = row.map_err(scan_failed::<T>)?;
                let key = key_bytes::<T>(key)?;
                decode_row::<T>(&key, stored)
            }),
            Self::Shared { keys, txn, tree } => loop {
                let row = keys.next()?.map_err(scan_failed::<T>);
                let place =
                    match row.map_err(ReadError::from).and_then(|(key, _)| key_bytes::<T>(key)) {
                        Ok(place) => place,
                        Err(error) => return Some(Err(error)),
                    };
                let Some(key) = T::PLACE.own_key(&place) else { continue };
                let stored: Result<Option<StoredValue<K, T>>, _> = txn.get(tree, &place);
                match stored.map_err(scan_failed::<T>) {
                    Ok(Some(stored)) => return Some(decode_row::<T>(key, stored)),
                    Ok(None) => {}
                    Err(error) => return Some(Err(error.into())),
                }
            },
        }
    }
}

/// The bytes of a key that may be touched.
fn key_bytes<T: Table>(key: StoredKey<T>) -> Result<Vec<u8>, ReadError> {
    key.bytes().map_err(|fault| Damage::new::<T>([], fault).into())
}

fn decode_key<T: Table>(bytes: &[u8]) -> Result<T::Key, ReadError> {
    T::Key::decode(bytes).ok_or_else(|| Damage::new::<T>(bytes, Fault::Key).into())
}

fn scan_failed<T: Table>(error: libmdbx::Error) -> EngineError {
    EngineError::new(Operation::Scan, T::NAME, error)
}

fn decode_row<T: Table>(bytes: &[u8], stored: StoredValue<impl Where, T>) -> Row<T> {
    let key = decode_key::<T>(bytes)?;
    match stored.bytes().and_then(|stored| unseal::<T>(bytes, stored)) {
        Ok(value) => Ok((key, value)),
        Err(fault) => Err(Damage::new::<T>(bytes, fault).into()),
    }
}

macro_rules! impl_read {
    ($txn:ident, $kind:ty, $($more:tt)*) => {
        impl Read for $txn<'_> {
            $($more)*

            fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, ReadError> {
                self.limit().check()?;
                let failed = |error| EngineError::new(Operation::Get, T::NAME, error).at(key);
                let Some(tree) = open_tree(&self.0, T::PLACE).map_err(failed)? else {
                    return Ok(None);
                };
                let encoded = key.encode();
                let place = T::PLACE.key(encoded.clone());
                let stored: Option<StoredValue<$kind, T>> =
                    self.0.get(&tree, &place).map_err(failed)?;
                let Some(stored) = stored else {
                    return Ok(None);
                };
                match stored.bytes().and_then(|stored| unseal::<T>(&encoded, stored)) {
                    Ok(value) => Ok(Some(value)),
                    Err(fault) => Err(Damage::new::<T>(encoded, fault).into()),
                }
            }

            fn has<T: Table>(&self, key: &T::Key) -> Result<bool, EngineError> {
                self.limit().check()?;
                let failed = |error| EngineError::new(Operation::Get, T::NAME, error).at(key);
                let Some(tree) = open_tree(&self.0, T::PLACE).map_err(failed)? else {
                    return Ok(false);
                };
                let found: Option<ObjectLength> =
                    self.0.get(&tree, T::PLACE.key(key.encode())).map_err(failed)?;
                Ok(found.is_some())
            }

            fn scan<T: Table>(
                &self,
                start: T::Key,
            ) -> Result<impl Iterator<Item = Row<T>>, EngineError> {
                let failed = |error| EngineError::new(Operation::Scan, T::NAME, error);
                let timed = |rows| Timed { rows, limit: self.limit() };
                let Some(tree) = open_tree(&self.0, T::PLACE).map_err(failed)? else {
                    return Ok(timed(Scan::<'_, '_, $kind, T>::Alone(None)));
                };
                let cursor = self.0.cursor(&tree).map_err(failed)?;
                let start = T::PLACE.key(start.encode());
                Ok(timed(match T::PLACE.part {
                    None => Scan::Alone(Some(cursor.into_iter_from(&start))),
                    Some(_) => {
                        Scan::Shared { keys: cursor.into_iter_from(&start), txn: &self.0, tree }
                    }
                }))
            }

            fn scan_keys<T: Table>(
                &self,
                start: T::Key,
            ) -> Result<impl Iterator<Item = Result<T::Key, ReadError>>, EngineError> {
                let failed = |error| EngineError::new(Operation::Scan, T::NAME, error);
                let mut rows = None;
                if let Some(tree) = open_tree(&self.0, T::PLACE).map_err(failed)? {
                    let cursor = self.0.cursor(&tree).map_err(failed)?;
                    let start = T::PLACE.key(start.encode());
                    rows = Some(cursor.into_iter_from::<StoredKey<T>, ObjectLength>(&start));
                }
                let rows = rows.into_iter().flatten().filter_map(move |row| {
                    let place = match row {
                        Ok((key, _)) => key_bytes::<T>(key),
                        Err(error) => Err(failed(error).into()),
                    };
                    match place {
                        Ok(place) => T::PLACE.own_key(&place).map(decode_key::<T>),
                        Err(error) => Some(Err(error)),
                    }
                });
                Ok(Timed { rows, limit: self.limit() })
            }

            fn last<T: Table>(&self) -> Result<Option<Row<T>>, EngineError> {
                let failed = |error| EngineError::new(Operation::Scan, T::NAME, error);
                let Some(tree) = open_tree(&self.0, T::PLACE).map_err(failed)? else {
                    return Ok(None);
                };
                let mut cursor = self.0.cursor(&tree).map_err(failed)?;
                let mut row: Option<(StoredKey<T>, ObjectLength)> =
                    cursor.last().map_err(failed)?;
                while let Some((key, _)) = row {
                    let place = match key_bytes::<T>(key) {
                        Ok(place) => place,
                        Err(error) => return Ok(Some(Err(error))),
                    };
                    if let Some(key) = T::PLACE.own_key(&place) {
                        let stored: Option<StoredValue<$kind, T>> =
                            self.0.get(&tree, &place).map_err(failed)?;
                        return Ok(stored.map(|stored| decode_row::<T>(key, stored)));
                    }
                    row = cursor.prev().map_err(failed)?;
                }
                Ok(None)
            }

            fn tree_stats(&self, name: &'static str) -> Result<TableStats, EngineError> {
                let failed = |error| EngineError::new(Operation::Stat, name, error);
                let place = Place { tree: name, part: None };
                let Some(tree) = open_tree(&self.0, place).map_err(failed)? else {
                    return Ok(TableStats { name, rows: 0, bytes: 0, depth: 0 });
                };
                let stat = self.0.table_stat(&tree).map_err(failed)?;
                Ok(TableStats {
                    name,
                    rows: stat.entries() as u64,
                    bytes: stat.total_size(),
                    depth: stat.depth(),
                })
            }
        }
    };
}

impl_read!(
    ReadTxn,
    RO,
    fn get_many<T>(&self, keys: &[T::Key]) -> Result<Vec<Option<T::Value>>, ReadError>
    where
        T: Table<Value: Send>,
    {
        self.get_side_by_side::<T>(keys)
    }
);
impl_read!(WriteTxn, RW,);
