//! Opening: what is created, what is refused, and who may write.

use lamella_tables::{
    Canonical, Database, DatabaseView, OpenError, OpenMode, Options, Read, TABLES,
};
use lamella_types::Root;

use crate::new_database;

#[test]
fn a_missing_database_is_refused_and_nothing_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let written = Database::open(&path, Options::new(OpenMode::Existing)).map(|_| ());
    for error in [DatabaseView::open(&path).unwrap_err(), written.unwrap_err()] {
        assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    }
    assert!(!path.exists());
}

#[test]
fn strangers_in_the_directory_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("stdout.log"), "hello").unwrap();
    drop(Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap());
    assert_eq!(std::fs::read_to_string(directory.path().join("stdout.log")).unwrap(), "hello");
}

#[test]
fn a_second_writer_is_told_who_holds_the_lock() {
    let (directory, database) = new_database();
    let error = Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap_err();
    let pid = std::process::id().to_string();
    assert!(matches!(&error, OpenError::InUse { holder, .. } if *holder == pid), "{error}");
    drop(database);
    Database::open(directory.path(), Options::new(OpenMode::Existing)).unwrap();
}

#[test]
fn a_read_only_database_reads_and_never_writes() {
    let (directory, database) = new_database();
    let mut txn = database.write().unwrap();
    txn.put::<Canonical>(&1, &Root::new([1; 32])).unwrap();
    txn.commit().unwrap();
    drop(database);
    let reader = DatabaseView::open(directory.path()).unwrap();
    let txn = reader.read().unwrap();
    assert_eq!(txn.get::<Canonical>(&1).unwrap(), Some(Root::new([1; 32])));
    assert_eq!(txn.table_stats().unwrap().len(), TABLES.len());
    assert!(reader.write_raw().is_err());
}

#[test]
fn garbage_for_a_data_file_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("mdbx.dat"), vec![0x5a; 65_536]).unwrap();
    let write = |mode| Database::open(directory.path(), Options::new(mode)).unwrap_err();
    let refused = [
        DatabaseView::open(directory.path()).unwrap_err(),
        write(OpenMode::Existing),
        write(OpenMode::Create),
    ];
    for error in refused {
        assert!(matches!(error, OpenError::Engine { .. }), "{error}");
    }
    let after = std::fs::read(directory.path().join("mdbx.dat")).unwrap();
    assert_eq!(after, vec![0x5a; 65_536], "left exactly as it was");
}
