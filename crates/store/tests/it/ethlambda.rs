//! What ethlambda asks of a storage backend: its nine laws, in our words, and what this engine adds.

use lamella_tables::DatabaseView;
use tempfile::TempDir;

use crate::ethlambda::{
    backend::LamellaBackend,
    run,
    traits::{StorageBackend as _, StorageWriteBatch, Table},
};

fn new() -> (TempDir, LamellaBackend) {
    let folder = tempfile::tempdir().unwrap();
    let backend = LamellaBackend::open(folder.path()).unwrap();
    (folder, backend)
}

/// Commits one batch.
fn commit(backend: &LamellaBackend, fill: impl FnOnce(&mut dyn StorageWriteBatch)) {
    let mut batch = backend.begin_write().unwrap();
    fill(&mut *batch);
    batch.commit().unwrap();
}

fn put(batch: &mut dyn StorageWriteBatch, table: Table, key: &str, value: &str) {
    batch.put_batch(table, vec![(key.as_bytes().to_vec(), value.as_bytes().to_vec())]).unwrap();
}

fn get(backend: &LamellaBackend, table: Table, key: &str) -> Option<String> {
    let value = backend.begin_read().unwrap().get(table, key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

fn keys(backend: &LamellaBackend, table: Table, prefix: &str) -> Vec<String> {
    let view = backend.begin_read().unwrap();
    let rows = view.prefix_iterator(table, prefix.as_bytes()).unwrap();
    rows.map(|row| String::from_utf8(row.unwrap().0.into_vec()).unwrap()).collect()
}

#[test]
fn what_was_put_is_read() {
    let (_folder, backend) = new();
    commit(&backend, |batch| put(batch, Table::BlockHeaders, "key", "value"));
    assert_eq!(get(&backend, Table::BlockHeaders, "key").as_deref(), Some("value"));
}

#[test]
fn a_value_is_shown_to_a_function_once_and_its_error_is_handed_on() {
    let (_folder, backend) = new();
    commit(&backend, |batch| put(batch, Table::BlockHeaders, "key", "value"));
    let view = backend.begin_read().unwrap();
    let mut seen = Vec::new();
    let mut keep = |value: &[u8]| {
        seen.push(value.to_vec());
        Ok(())
    };
    assert!(view.read(Table::BlockHeaders, b"key", &mut keep).unwrap());
    assert!(!view.read(Table::BlockHeaders, b"none", &mut keep).unwrap());
    assert_eq!(seen, [b"value"]);
    let refused = view.read(Table::BlockHeaders, b"key", &mut |_| Err("not that".into()));
    assert_eq!(refused.unwrap_err().to_string(), "not that");
    let has = [&b"key"[..], b"none"].map(|key| view.contains(Table::BlockHeaders, key).unwrap());
    assert_eq!(has, [true, false]);
}

#[test]
fn what_was_deleted_is_gone() {
    let (_folder, backend) = new();
    commit(&backend, |batch| put(batch, Table::BlockHeaders, "key", "value"));
    commit(&backend, |batch| {
        // Deleting what is not there is no fault.
        let keys = ["key", "none"].map(|key| key.as_bytes().to_vec());
        batch.delete_batch(Table::BlockHeaders, keys.to_vec()).unwrap();
    });
    assert_eq!(get(&backend, Table::BlockHeaders, "key"), None);
}

#[test]
fn a_prefix_gives_its_keys_alone_and_in_order() {
    let (_folder, backend) = new();
    commit(&backend, |batch| {
        for key in ["p:b", "o:x", "p:a", "q", "p", "p;"] {
            put(batch, Table::Metadata, key, "1");
        }
    });
    assert_eq!(keys(&backend, Table::Metadata, "p:"), ["p:a", "p:b"]);
    assert_eq!(keys(&backend, Table::Metadata, ""), ["o:x", "p", "p:a", "p:b", "p;", "q"]);
    assert_eq!(keys(&backend, Table::Metadata, "z"), [""; 0]);
}

#[test]
fn a_key_that_was_never_put_is_none() {
    let (_folder, backend) = new();
    assert_eq!(get(&backend, Table::BlockHeaders, "never"), None);
}

#[test]
fn a_put_behind_a_delete_wins() {
    let (_folder, backend) = new();
    commit(&backend, |batch| put(batch, Table::BlockHeaders, "key", "old"));
    commit(&backend, |batch| {
        batch.delete_batch(Table::BlockHeaders, vec![b"key".to_vec()]).unwrap();
        put(batch, Table::BlockHeaders, "key", "new");
    });
    assert_eq!(get(&backend, Table::BlockHeaders, "key").as_deref(), Some("new"));
}

#[test]
fn a_delete_behind_a_put_wins() {
    let (_folder, backend) = new();
    commit(&backend, |batch| {
        put(batch, Table::BlockHeaders, "key", "value");
        batch.delete_batch(Table::BlockHeaders, vec![b"key".to_vec()]).unwrap();
    });
    assert_eq!(get(&backend, Table::BlockHeaders, "key"), None);
}

#[test]
fn a_range_is_deleted_without_its_end() {
    let (_folder, backend) = new();
    commit(&backend, |batch| {
        for key in ["a", "b", "bb", "c", "d", "e"] {
            put(batch, Table::LiveChain, key, "1");
        }
    });
    commit(&backend, |batch| batch.delete_range(Table::LiveChain, b"b", b"d").unwrap());
    assert_eq!(keys(&backend, Table::LiveChain, ""), ["a", "d", "e"]);
    // More than one pass of it, in a table beside another of the same keys.
    commit(&backend, |batch| {
        for key in 0..10_000 {
            put(batch, Table::BlockProof, &format!("{key:05}"), "1");
            put(batch, Table::BlockRoots, &format!("{key:05}"), "1");
        }
    });
    commit(&backend, |batch| batch.delete_range(Table::BlockProof, b"00001", b"09999").unwrap());
    assert_eq!(keys(&backend, Table::BlockProof, ""), ["00000", "09999"]);
    assert_eq!(keys(&backend, Table::BlockRoots, "").len(), 10_000);
}

#[test]
fn a_put_behind_the_deletion_of_its_range_wins() {
    let (_folder, backend) = new();
    commit(&backend, |batch| put(batch, Table::LiveChain, "b", "old"));
    commit(&backend, |batch| {
        batch.delete_range(Table::LiveChain, b"a", b"z").unwrap();
        put(batch, Table::LiveChain, "b", "new");
    });
    assert_eq!(get(&backend, Table::LiveChain, "b").as_deref(), Some("new"));
}

#[test]
fn tables_are_apart() {
    let (_folder, backend) = new();
    commit(&backend, |batch| {
        for table in Table::ALL {
            put(batch, table, "key", &format!("of {table:?}"));
            put(batch, table, &format!("{table:?}"), "alone");
        }
    });
    for table in Table::ALL {
        assert_eq!(get(&backend, table, "key"), Some(format!("of {table:?}")));
        assert_eq!(keys(&backend, table, "").len(), 2);
        assert!(backend.estimate_table_bytes(table) > 0);
    }
}

#[test]
fn a_batch_that_was_not_committed_leaves_nothing_and_a_view_sees_no_later_one() {
    let (_folder, backend) = new();
    let mut dropped = backend.begin_write().unwrap();
    put(&mut *dropped, Table::States, "key", "1");
    drop(dropped);
    let view = backend.begin_read().unwrap();
    commit(&backend, |batch| put(batch, Table::States, "later", "2"));
    assert_eq!(view.get(Table::States, b"later").unwrap(), None);
    drop(view);
    assert_eq!(keys(&backend, Table::States, ""), ["later"]);
}

#[test]
fn the_longest_state_goes_in_and_a_longer_key_does_not() {
    let (_folder, backend) = new();
    let state = vec![7; 9 << 20];
    commit(&backend, |batch| {
        batch.put_batch(Table::States, vec![(vec![1; 32], state.clone())]).unwrap();
        let refused = batch.put_batch(Table::States, vec![(vec![1; 65], Vec::new())]);
        assert!(refused.unwrap_err().to_string().contains("64 at most"));
    });
    assert!(backend.estimate_table_bytes(Table::States) > 9 << 20);
    let view = backend.begin_read().unwrap();
    assert!(view.get(Table::States, &[1; 32]).unwrap() == Some(state));
}

#[test]
fn the_example_runs_and_a_flipped_bit_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path()).unwrap(), "a header of 15 bytes, and 1 block of slot 9\n");
    let path = folder.path().join("mdbx.dat");
    let mut file = std::fs::read(&path).unwrap();
    let at = file.windows(15).position(|bytes| bytes == b"a header as SSZ").unwrap();
    file[at] ^= 1;
    std::fs::write(&path, file).unwrap();
    let backend = LamellaBackend::open(folder.path()).unwrap();
    let error = backend.begin_read().unwrap().get(Table::BlockHeaders, &[7; 32]).unwrap_err();
    assert!(error.to_string().contains("BlockHeaders"), "{error}");
    // No table of ours was made in it.
    drop(backend);
    let database = DatabaseView::open(folder.path()).unwrap();
    assert!(database.read().unwrap().tree_rows("Blocks").unwrap().is_none());
}
