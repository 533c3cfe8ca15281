//! redb, with its defaults.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use crate::engine::{Engine, Flush, Row, Table};

/// Lazy commits between two that free pages.
const LAZY_COMMITS_MAX: u32 = 64;

pub struct Redb {
    database: Database,
    flush: Flush,
    lazy_commits: u32,
}

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

impl Redb {
    fn durability(&mut self) -> Durability {
        self.lazy_commits = (self.lazy_commits + 1) % LAZY_COMMITS_MAX;
        if self.flush == Flush::Durable || self.lazy_commits == 0 {
            Durability::Immediate
        } else {
            Durability::None
        }
    }
}

impl Engine for Redb {
    const NAME: &'static str = "redb";

    fn open(directory: &Path, flush: Flush) -> Self {
        let database = Database::create(directory.join("redb")).unwrap();
        let txn = database.begin_write().unwrap();
        for table in Table::ALL {
            txn.open_table(definition(table)).unwrap();
        }
        txn.commit().unwrap();
        Self { database, flush, lazy_commits: 0 }
    }

    fn commit(&mut self, rows: &[Row]) {
        let durability = self.durability();
        let mut txn = self.database.begin_write().unwrap();
        txn.set_durability(durability).unwrap();
        for row in rows {
            let mut table = txn.open_table(definition(row.table)).unwrap();
            table.insert(&row.key[..], &row.value[..]).unwrap();
        }
        txn.commit().unwrap();
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        let txn = self.database.begin_read().unwrap();
        let table = txn.open_table(definition(table)).unwrap();
        table.get(key).unwrap().map(|value| value.value().to_vec())
    }

    fn scan(&self, table: Table, start: &[u8], count: usize) -> usize {
        let txn = self.database.begin_read().unwrap();
        let table = txn.open_table(definition(table)).unwrap();
        let rows = table.range(start..).unwrap().take(count);
        rows.map(|row| row.unwrap().1.value().to_vec().len()).sum()
    }

    fn first_key(&self, table: Table) -> Option<Vec<u8>> {
        let txn = self.database.begin_read().unwrap();
        let table = txn.open_table(definition(table)).unwrap();
        table.first().unwrap().map(|(key, _)| key.value().to_vec())
    }

    fn delete_range(&mut self, table: Table, start: &[u8], end: &[u8]) {
        let durability = self.durability();
        let mut txn = self.database.begin_write().unwrap();
        txn.set_durability(durability).unwrap();
        {
            let mut table = txn.open_table(definition(table)).unwrap();
            table.retain_in(start..end, |_, _| false).unwrap();
        }
        txn.commit().unwrap();
    }
}
