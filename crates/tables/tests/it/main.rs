//! Tables against a real database directory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod damage;
mod golden;
mod opening;
mod pages;
mod rows;
mod signals;

use lamella_tables::{Database, OpenMode, Options};

/// A new database in a directory that lives as long as the test.
pub fn new_database() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap();
    (directory, database)
}
