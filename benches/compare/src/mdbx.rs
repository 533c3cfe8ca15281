//! MDBX through the project's tables. Bodies and headers stand in tables of bytes, since these ones are random.

use std::path::Path;

use lamella_tables::{
    Anchors, Bytes, Canonical, Database, Diffs, Durability, Key as _, OpenMode, Options, Read as _,
    Signatures, SlotRoot, Slots, Votes,
};
use lamella_types::{Root, Slot};

use crate::engine::{Engine, Flush, Row, Table};

pub struct Mdbx(Database);

fn slot_root(key: &[u8]) -> SlotRoot {
    SlotRoot::decode(key).unwrap()
}

fn slot(bytes: &[u8]) -> Slot {
    Slot::from_be_bytes(bytes.try_into().unwrap())
}

impl Engine for Mdbx {
    const NAME: &'static str = "MDBX";

    fn open(directory: &Path, flush: Flush) -> Self {
        let durability = match flush {
            Flush::Durable => Durability::Durable,
            Flush::Lazy => Durability::Lazy,
        };
        let options = Options { durability, ..Options::new(OpenMode::Create) };
        Self(Database::open(directory, options).unwrap())
    }

    fn commit(&mut self, rows: &[Row]) {
        let mut txn = self.0.write().unwrap();
        for Row { table, key, value } in rows {
            let bytes = || Bytes(value.clone());
            match table {
                Table::Headers => txn.put::<Votes>(&slot_root(key), &bytes()),
                Table::Bodies => txn.put::<Anchors>(&slot_root(key), &bytes()),
                Table::Proofs => txn.put::<Signatures>(&slot_root(key), &bytes()),
                Table::Diffs => txn.put::<Diffs>(&slot_root(key), &bytes()),
                Table::Slots => txn.put::<Slots>(&Root::from_slice(key).unwrap(), &slot(value)),
                Table::Canonical => {
                    txn.put::<Canonical>(&slot(key), &Root::from_slice(value).unwrap())
                }
            }
            .unwrap();
        }
        txn.commit().unwrap();
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        let txn = self.0.read().unwrap();
        let bytes = |found: Option<Bytes>| found.map(|bytes| bytes.0);
        match table {
            Table::Headers => bytes(txn.get::<Votes>(&slot_root(key)).unwrap()),
            Table::Bodies => bytes(txn.get::<Anchors>(&slot_root(key)).unwrap()),
            Table::Proofs => bytes(txn.get::<Signatures>(&slot_root(key)).unwrap()),
            Table::Diffs => bytes(txn.get::<Diffs>(&slot_root(key)).unwrap()),
            Table::Slots => {
                let found = txn.get::<Slots>(&Root::from_slice(key).unwrap()).unwrap();
                found.map(|slot| slot.to_be_bytes().to_vec())
            }
            Table::Canonical => {
                let found = txn.get::<Canonical>(&slot(key)).unwrap();
                found.map(|root| root.as_bytes().to_vec())
            }
        }
    }

    fn scan(&self, table: Table, start: &[u8], count: usize) -> usize {
        assert_eq!(table, Table::Canonical, "the one table that is scanned");
        let txn = self.0.read().unwrap();
        let rows = txn.scan::<Canonical>(slot(start)).unwrap().take(count);
        rows.map(|row| row.unwrap().1.as_bytes().len()).sum()
    }

    fn first_key(&self, table: Table) -> Option<Vec<u8>> {
        assert_eq!(table, Table::Proofs, "the one table that is pruned");
        let txn = self.0.read().unwrap();
        let first = txn.scan_keys::<Signatures>(SlotRoot::first_of(0)).unwrap().next();
        first.map(|key| key.unwrap().encode())
    }

    fn delete_range(&mut self, table: Table, start: &[u8], end: &[u8]) {
        assert_eq!(table, Table::Proofs, "the one table that is pruned");
        let mut txn = self.0.write().unwrap();
        let end = slot_root(end);
        let keys = txn.scan_keys::<Signatures>(slot_root(start)).unwrap();
        let keys: Vec<_> = keys.map(Result::unwrap).take_while(|key| *key < end).collect();
        for key in keys {
            txn.delete::<Signatures>(&key).unwrap();
        }
        txn.commit().unwrap();
    }
}
