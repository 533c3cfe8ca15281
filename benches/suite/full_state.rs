//! The baseline of the store: every post-state written whole, into the same kind of database.

use std::{path::Path, sync::Arc};

use lamella_benches::{
    BenchChain,
    parts::{get_parts, put_parts},
    threads::decode_state,
};
use lamella_tables::{Database, Durability, OpenMode, Options, SlotRoot};
use lamella_types::{Root, Slot, State};
use tempfile::TempDir;

/// Full states kept before the directory is begun anew, so that disks do not fill up.
const ROWS_MAX: usize = 32;

/// A database of full states, in parts.
pub struct FullStates {
    database: Database,
    rows: usize,
    directory: Option<TempDir>,
}

impl FullStates {
    pub fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut states = Self::open(directory.path());
        states.directory = Some(directory);
        states
    }

    /// What an earlier one left in this directory, which stays.
    pub fn open(path: &Path) -> Self {
        let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Create) };
        let database = Database::open(path, options).unwrap();
        Self { database, rows: 0, directory: None }
    }

    /// Closes the database; its directory stays until the handle goes.
    pub fn close(mut self) -> TempDir {
        self.directory.take().unwrap()
    }

    /// Begins anew if there are too many rows for another one.
    pub fn make_room(&mut self) {
        if self.rows >= ROWS_MAX {
            *self = Self::begin();
        }
    }

    pub fn write(&mut self, root: Root, state: &State) {
        self.rows += 1;
        let mut txn = self.database.write().unwrap();
        put_parts(&mut txn, SlotRoot::new(state.slot, root), &state.to_ssz());
        txn.commit().unwrap();
    }

    /// Reads a state and proves it, as our own store does, its history hashed on this many threads.
    pub fn read(&self, slot: Slot, root: Root, state_root: &Root, threads: usize) -> State {
        let txn = self.database.read().unwrap();
        let bytes = get_parts(&txn, SlotRoot::new(slot, root));
        let state = decode_state(&bytes, threads);
        assert_eq!(state.root(), *state_root, "a state that proves itself");
        state
    }
}

/// The head's root, slot and state.
pub fn head(chain: &BenchChain) -> (Root, Slot, Arc<State>) {
    let head = *chain.chain.fork_choice().head_summary();
    (head.root, head.slot, chain.chain.state(&head.root).unwrap().unwrap())
}
