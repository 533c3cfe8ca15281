//! RocksDB, with its defaults and a column family for each table.

use std::path::Path;

use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};

use crate::engine::{Engine, Flush, Row, Table};

pub struct Rocks {
    database: DB,
    flush: Flush,
}

impl Rocks {
    fn family(&self, table: Table) -> &ColumnFamily {
        self.database.cf_handle(table.name()).unwrap()
    }

    fn write(&self, batch: WriteBatch) {
        let mut options = WriteOptions::default();
        options.set_sync(self.flush == Flush::Durable);
        self.database.write_opt(batch, &options).unwrap();
    }
}

impl Engine for Rocks {
    const NAME: &'static str = "RocksDB";

    fn open(directory: &Path, flush: Flush) -> Self {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let families = Table::ALL.map(Table::name);
        let database = DB::open_cf(&options, directory, families).unwrap();
        Self { database, flush }
    }

    fn commit(&mut self, rows: &[Row]) {
        let mut batch = WriteBatch::default();
        for row in rows {
            batch.put_cf(self.family(row.table), &row.key, &row.value);
        }
        self.write(batch);
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.database.get_cf(self.family(table), key).unwrap()
    }

    fn scan(&self, table: Table, start: &[u8], count: usize) -> usize {
        let mode = IteratorMode::From(start, Direction::Forward);
        let rows = self.database.iterator_cf(self.family(table), mode).take(count);
        rows.map(|row| row.unwrap().1.len()).sum()
    }

    fn first_key(&self, table: Table) -> Option<Vec<u8>> {
        let mut rows = self.database.iterator_cf(self.family(table), IteratorMode::Start);
        rows.next().map(|row| row.unwrap().0.to_vec())
    }

    fn delete_range(&mut self, table: Table, start: &[u8], end: &[u8]) {
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(self.family(table), start, end);
        self.write(batch);
    }
}
