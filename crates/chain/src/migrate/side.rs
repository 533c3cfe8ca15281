//! The schemas that there are ways between, and one of the two databases: its rows, wherever its schema keeps them.
//!
//! The hard idea: a row's key and value say the same in each schema; what differs is the tree that it lies in, and for
//! bodies, diffs, votes and `Meta` its bytes. So whoever moves rows asks a side for those of a table of today, and only the
//! tables whose bytes differ know which schema it is.

use lamella_tables::{
    Bodies, Bytes, EngineError, Read as _, ReadError, ReadTxn, Row, SlotRoot, Table, WriteTxn,
};
use lamella_types::BlockBody;

use crate::{
    SCHEMA_VERSION,
    schema1::{self, SszBodies, SszBody},
    schema2::{self, Alone},
};

/// A schema whose directories can be read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Schema {
    /// Bodies as SSZ.
    One,
    /// A tree for each table, roots in diffs, a table of the live tree.
    Two,
    /// Today's.
    Three,
}

impl Schema {
    pub(super) const fn of(version: u32) -> Option<Self> {
        match version {
            schema1::VERSION => Some(Self::One),
            schema2::VERSION => Some(Self::Two),
            SCHEMA_VERSION => Some(Self::Three),
            _ => None,
        }
    }

    pub(super) const fn version(self) -> u32 {
        match self {
            Self::One => schema1::VERSION,
            Self::Two => schema2::VERSION,
            Self::Three => SCHEMA_VERSION,
        }
    }

    /// Trees of its databases, if they are not today's.
    pub(super) fn trees(self) -> Option<&'static [&'static str]> {
        (!self.is_today()).then_some(&schema2::TREES)
    }

    pub(super) fn is_today(self) -> bool {
        self == Self::Three
    }

    /// Writes a row of a table.
    pub(super) fn put<T: Table>(
        self,
        new: &mut WriteTxn<'_>,
        key: &T::Key,
        value: &T::Value,
    ) -> Result<(), EngineError> {
        if self.is_today() { new.put::<T>(key, value) } else { new.put::<Alone<T>>(key, value) }
    }

    /// Writes a row of opaque bytes.
    pub(super) fn put_slice<T: Table<Value = Bytes>>(
        self,
        new: &mut WriteTxn<'_>,
        key: &T::Key,
        bytes: &[u8],
    ) -> Result<(), EngineError> {
        if self.is_today() {
            new.put_slice::<T>(key, bytes)
        } else {
            new.put_slice::<Alone<T>>(key, bytes)
        }
    }

    pub(super) fn put_body(
        self,
        new: &mut WriteTxn<'_>,
        key: &SlotRoot,
        body: &BlockBody,
    ) -> Result<(), EngineError> {
        match self {
            Self::One => new.put::<SszBodies>(key, &SszBody(body.clone())),
            _ => self.put::<Bodies>(new, key, body),
        }
    }
}

/// Rows of a table of a side, in key order.
pub(super) type Rows<'t, T> = Box<dyn Iterator<Item = Row<T>> + 't>;

/// Their keys alone.
type Keys<'t, T> = Box<dyn Iterator<Item = Result<<T as Table>::Key, ReadError>> + 't>;

/// A snapshot of one of the databases.
#[derive(Clone, Copy)]
pub(super) struct Side<'t, 'db> {
    pub(super) txn: &'t ReadTxn<'db>,
    pub(super) schema: Schema,
}

impl<'t> Side<'t, '_> {
    pub(super) fn get<T: Table>(self, key: &T::Key) -> Result<Option<T::Value>, ReadError> {
        if self.schema.is_today() { self.txn.get::<T>(key) } else { self.txn.get::<Alone<T>>(key) }
    }

    pub(super) fn has<T: Table>(self, key: &T::Key) -> Result<bool, EngineError> {
        if self.schema.is_today() { self.txn.has::<T>(key) } else { self.txn.has::<Alone<T>>(key) }
    }

    pub(super) fn scan<T: Table + 't>(self, start: T::Key) -> Result<Rows<'t, T>, EngineError> {
        Ok(if self.schema.is_today() {
            Box::new(self.txn.scan::<T>(start)?)
        } else {
            Box::new(self.txn.scan::<Alone<T>>(start)?)
        })
    }

    pub(super) fn scan_keys<T: Table + 't>(
        self,
        start: T::Key,
    ) -> Result<Keys<'t, T>, EngineError> {
        Ok(if self.schema.is_today() {
            Box::new(self.txn.scan_keys::<T>(start)?)
        } else {
            Box::new(self.txn.scan_keys::<Alone<T>>(start)?)
        })
    }

    pub(super) fn last<T: Table>(self) -> Result<Option<Row<T>>, EngineError> {
        if self.schema.is_today() { self.txn.last::<T>() } else { self.txn.last::<Alone<T>>() }
    }

    pub(super) fn body(self, key: &SlotRoot) -> Result<Option<BlockBody>, ReadError> {
        match self.schema {
            Schema::One => Ok(self.txn.get::<SszBodies>(key)?.map(|SszBody(body)| body)),
            _ => self.get::<Bodies>(key),
        }
    }

    pub(super) fn bodies(self, start: SlotRoot) -> Result<Rows<'t, Bodies>, EngineError> {
        match self.schema {
            Schema::One => {
                let rows = self.txn.scan::<SszBodies>(start)?;
                Ok(Box::new(rows.map(|row| row.map(|(key, SszBody(body))| (key, body)))))
            }
            _ => self.scan::<Bodies>(start),
        }
    }
}
