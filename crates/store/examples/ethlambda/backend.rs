//! Another client's tables on this engine: each is declared with its longest key and value, and gets what ours have: a
//! checksum over table, key and value at every read, lengths that are judged before a byte is touched, the walk over the
//! pages at every start, one writer, durable commits.
//!
//! A batch only remembers; its commit is one write transaction that does what was asked in that order.

use std::{fmt, ops::RangeInclusive, path::Path, sync::Arc};

use lamella_tables::{
    Bytes, Database, Key, OpenMode, Options, Place, Read as _, ReadTxn, Seal, WriteTxn,
};

use super::traits::{
    Error, PrefixResult, StorageBackend, StorageReadView, StorageWriteBatch, Table,
};

/// Longest key: a slot and a root have 40 bytes, names of metadata a few dozen.
const KEY_BYTES_MAX: usize = 64;

/// Longest value: a whole state has 8.4 MB of history at slot 2^18, and as much again is room for the rest.
const VALUE_BYTES_MAX: usize = 16 << 20;

/// Keys that a range's deletion holds at once.
const RANGE_KEYS_MAX: usize = 4_096;

/// Bytes of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RawKey(Vec<u8>);

impl Key for RawKey {
    const BYTES: RangeInclusive<usize> = 0..=KEY_BYTES_MAX;

    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= KEY_BYTES_MAX).then(|| Self(bytes.to_vec()))
    }
}

impl fmt::Display for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl RawKey {
    fn of(bytes: &[u8]) -> Result<Self, Error> {
        let too_long = || format!("a key has {} bytes, {KEY_BYTES_MAX} at most", bytes.len());
        Ok(Self::decode(bytes).ok_or_else(too_long)?)
    }
}

/// Something to do with one of the tables, whose types are known where it is done.
trait Work {
    type Output;

    fn on<T>(self) -> Self::Output
    where
        T: lamella_tables::Table<Key = RawKey, Value = Bytes> + 'static;
}

macro_rules! tables {
    ($($name:ident in $tree:literal),+ $(,)?) => {
        /// Trees of the database. `Meta` is by what the engine's crate knows its own files.
        const TREES: &[&str] = &["Meta", $($tree),+];

        $(struct $name;

        impl lamella_tables::Table for $name {
            const NAME: &'static str = stringify!($name);
            type Key = RawKey;
            type Value = Bytes;
            const SEAL: Seal = Seal::Checksum;
            const PLACE: Place = Place { tree: $tree, part: None };
            const VALUE_BYTES_MAX: usize = VALUE_BYTES_MAX;
        })+

        impl Table {
            fn dispatch<W: Work>(self, work: W) -> W::Output {
                match self {
                    $(Self::$name => work.on::<$name>(),)+
                }
            }
        }
    };
}

tables! {
    BlockHeaders in "block_headers",
    BlockBodies in "block_bodies",
    BlockProof in "block_proof",
    BlockRoots in "block_roots",
    States in "states",
    StateDiffs in "state_diffs",
    Metadata in "metadata",
    LiveChain in "live_chain",
}

/// ethlambda's storage in one of our database files.
#[derive(Clone)]
pub struct LamellaBackend {
    database: Arc<Database>,
}

impl LamellaBackend {
    /// Opens the database in this folder, made if there is none.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let options = Options { trees: Some(TREES), ..Options::new(OpenMode::Create) };
        Ok(Self { database: Arc::new(Database::open(path, options)?) })
    }
}

impl StorageBackend for LamellaBackend {
    fn begin_read(&self) -> Result<Box<dyn StorageReadView + '_>, Error> {
        Ok(Box::new(ReadView(self.database.read()?)))
    }

    fn begin_write(&self) -> Result<Box<dyn StorageWriteBatch + 'static>, Error> {
        Ok(Box::new(Batch { database: Arc::clone(&self.database), changes: Vec::new() }))
    }

    fn estimate_table_bytes(&self, table: Table) -> u64 {
        let bytes = |txn: ReadTxn<'_>| table.dispatch(Size { txn: &txn });
        self.database.read().map_or(0, bytes)
    }
}

struct ReadView<'db>(ReadTxn<'db>);

impl StorageReadView for ReadView<'_> {
    /// One copy: a value is verified before anybody sees a byte of it, and a map may change under who looks at it.
    fn read(
        &self,
        table: Table,
        key: &[u8],
        read_fn: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let Some(value) = self.get(table, key)? else { return Ok(false) };
        read_fn(&value).map(|()| true)
    }

    fn contains(&self, table: Table, key: &[u8]) -> Result<bool, Error> {
        table.dispatch(Has { txn: &self.0, key: RawKey::of(key)? })
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        table.dispatch(Get { txn: &self.0, key: RawKey::of(key)? })
    }

    fn prefix_iterator(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<Box<dyn Iterator<Item = PrefixResult> + '_>, Error> {
        table.dispatch(Scan { txn: &self.0, prefix: RawKey::of(prefix)? })
    }
}

struct Get<'a, 'db> {
    txn: &'a ReadTxn<'db>,
    key: RawKey,
}

impl Work for Get<'_, '_> {
    type Output = Result<Option<Vec<u8>>, Error>;

    fn on<T>(self) -> Self::Output
    where
        T: lamella_tables::Table<Key = RawKey, Value = Bytes> + 'static,
    {
        Ok(self.txn.get::<T>(&self.key)?.map(|Bytes(value)| value))
    }
}

struct Has<'a, 'db> {
    txn: &'a ReadTxn<'db>,
    key: RawKey,
}

impl Work for Has<'_, '_> {
    type Output = Result<bool, Error>;

    fn on<T>(self) -> Self::Output
    where
        T: lamella_tables::Table<Key = RawKey, Value = Bytes> + 'static,
    {
        Ok(self.txn.has::<T>(&self.key)?)
    }
}

struct Size<'a, 'db> {
    txn: &'a ReadTxn<'db>,
}

impl Work for Size<'_, '_> {
    type Output = u64;

    fn on<T>(self) -> u64
    where
        T: lamella_tables::Table<Key = RawKey, Value = Bytes> + 'static,
    {
        self.txn.tree_stats(T::PLACE.tree).map_or(0, |stats| stats.bytes)
    }
}

struct Scan<'a, 'db> {
    txn: &'a ReadTxn<'db>,
    prefix: RawKey,
}

impl<'a> Work for Scan<'a, '_> {
    type Output = Result<Box<dyn Iterator<Item = PrefixResult> + 'a>, Error>;

    fn on<T>(self) -> Self::Output
    where
        T: lamella_tables::Table<Key = RawKey, Value = Bytes> + 'static,
    {
        let Self { txn, prefix } = self;
        let rows = txn.scan::<T>(prefix.clone())?;
        // An error has no key: it is said, wherever it was.
        let rows = rows.take_while(move |row| match row {
            Ok((RawKey(key), _)) => key.starts_with(&prefix.0),
            Err(_) => true,
        });
        Ok(Box::new(rows.map(|row| {
            let (RawKey(key), Bytes(value)) = row?;
            Ok((key.into_boxed_slice(), value.into_boxed_slice()))
        })))
    }
}

/// What a batch was asked for.
enum Change {
    Put(RawKey, Bytes),
    Delete(RawKey),
    DeleteRange(RawKey, RawKey),
}

struct Batch {
    database: Arc<Database>,
    changes: Vec<(Table, Change)>,
}

impl StorageWriteBatch for Batch {
    fn put_batch(&mut self, table: Table, batch: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), Error> {
        for (key, value) in batch {
            self.changes.push((table, Change::Put(RawKey::of(&key)?, Bytes(value))));
        }
        Ok(())
    }

    fn delete_batch(&mut self, table: Table, keys: Vec<Vec<u8>>) -> Result<(), Error> {
        for key in keys {
            self.changes.push((table, Change::Delete(RawKey::of(&key)?)));
        }
        Ok(())
    }

    fn delete_range(&mut self, table: Table, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let change = Change::DeleteRange(RawKey::of(from)?, RawKey::of(to)?);
        self.changes.push((table, change));
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let Self { database, changes } = *self;
        let mut txn = database.write()?;
        for (table, change) in changes {
            table.dispatch(Apply { txn: &mut txn, change })?;
        }
        Ok(txn.commit()?)
    }
}

struct Apply<'a, 'db> {
    txn: &'a mut WriteTxn<'db>,
    change: Change,
}

impl Work for Apply<'_, '_> {
    type Output = Result<(), Error>;

    fn on<T>(self) -> Self::Output
    where
        T: lamella_tables::Table<Key = RawKey, Value = Bytes> + 'static,
    {
        let Self { txn, change } = self;
        match change {
            Change::Put(key, value) => txn.put::<T>(&key, &value)?,
            Change::Delete(key) => {
                txn.delete::<T>(&key)?;
            }
            Change::DeleteRange(from, to) => loop {
                let keys = txn.scan_keys::<T>(from.clone())?.take(RANGE_KEYS_MAX);
                let inside = |key: &Result<RawKey, _>| key.as_ref().map_or(true, |key| *key < to);
                let keys: Vec<_> = keys.take_while(inside).collect::<Result<_, _>>()?;
                for key in &keys {
                    txn.delete::<T>(key)?;
                }
                if keys.len() < RANGE_KEYS_MAX {
                    break;
                }
            },
        }
        Ok(())
    }
}
