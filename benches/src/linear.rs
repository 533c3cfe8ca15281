//! The baseline of a cold read: a store of parent-linked diffs whose reader walks parents one by one.
//!
//! As a full snapshot every 1,024 slots and a diff for each block between invite one to build it, and as ethlambda's
//! store is built: the diff repeats the history entries and the whole tally, the reader fetches the block's diff, its
//! parent's, and so on to the snapshot, then goes forward again. Same engine, same tables, same checksums.
//!
//! It is given what a careful author would give it: only the history is taken from the diffs in between, the snapshot
//! is hashed on as many threads as our own segments, and may stay in memory, decoded and with its segments shared.
//!
//! What it does not do: prune, index, choose forks, or store the small fields better than as they are.

use std::cell::OnceCell;

use lamella_block_store::{put_block, put_signature};
use lamella_state_transition::state_transition;
use lamella_tables::{
    Bytes, Database, Diffs, Durability, OpenMode, Options, Read as _, ReadTxn, SlotRoot,
};
use lamella_types::{
    Checkpoint, Decode as _, Root, SignedBlock, State, hash_tree_root, latest_block_root,
};
use tempfile::TempDir;

use crate::{
    linear_diff::{FIXED_BYTES, LinearDiff, roots},
    parts::{get_parts, put_parts},
    plain::PlainState,
    threads::decode_state,
};

/// Slots between snapshots.
const SNAPSHOT_SLOTS: u64 = 1_024;

/// A snapshot and the diffs after it, in a directory of their own.
#[derive(Debug)]
pub struct LinearStore {
    database: Database,
    /// The snapshot, once somebody read it to keep it.
    snapshot: OnceCell<(SlotRoot, State)>,
    _directory: TempDir,
}

impl Default for LinearStore {
    fn default() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Create) };
        let database = Database::open(directory.path(), options).unwrap();
        Self { database, snapshot: OnceCell::new(), _directory: directory }
    }
}

impl LinearStore {
    /// Stores `states`, each the child of the one before: the first as a snapshot, the others as diffs.
    #[must_use]
    pub fn of(states: &[State]) -> Self {
        let store = Self::default();
        let mut txn = store.database.write().unwrap();
        put_parts(&mut txn, key_of(&states[0]), &states[0].to_ssz());
        for pair in states.windows(2) {
            let diff = LinearDiff::between(&pair[0], &pair[1]);
            txn.put::<Diffs>(&key_of(&pair[1]), &Bytes(diff.encode())).unwrap();
        }
        txn.commit().unwrap();
        store
    }

    /// Imports a child of `parent`: transition and root, then block, proof and diff or snapshot in one transaction.
    pub fn import(&self, parent: &State, block: &SignedBlock) -> State {
        let state = state_transition(parent, &block.block).unwrap();
        let key = SlotRoot::new(block.block.slot, hash_tree_root(&block.block));
        let mut txn = self.database.write().unwrap();
        put_block(&mut txn, key.root, &block.block.header(), &block.block.body).unwrap();
        put_signature(&mut txn, &key, &block.proof).unwrap();
        if state.slot.is_multiple_of(SNAPSHOT_SLOTS) {
            put_parts(&mut txn, key, &state.to_ssz());
        } else {
            let diff = LinearDiff::between(parent, &state);
            txn.put::<Diffs>(&key, &Bytes(diff.encode())).unwrap();
        }
        txn.commit().unwrap();
        state
    }

    /// Bytes of each diff on average, without keys.
    #[must_use]
    pub fn diff_bytes(&self) -> usize {
        let txn = self.database.read().unwrap();
        let rows = txn.scan::<Diffs>(SlotRoot::first_of(0)).unwrap();
        let sizes: Vec<usize> = rows.map(|row| row.unwrap().1.0.len()).collect();
        sizes.iter().sum::<usize>() / sizes.len()
    }

    /// Reads and proves a state, the snapshot read, decoded and hashed by this project's own bulk path on this many
    /// threads.
    #[must_use]
    pub fn read_cold(&self, at: SlotRoot, state_root: &Root, threads: usize) -> State {
        let txn = self.database.read().unwrap();
        let (snapshot, diffs) = walk(&txn, at, None);
        let snapshot = decode_state(&get_parts(&txn, snapshot), threads);
        replayed(snapshot, &diffs, state_root)
    }

    /// Reads and proves a state with the snapshot in memory: what the walk costs by itself.
    #[must_use]
    pub fn read_warm(&self, at: SlotRoot, state_root: &Root) -> State {
        let txn = self.database.read().unwrap();
        let (snapshot, kept) = self.snapshot.get_or_init(|| {
            let (snapshot, _) = walk(&txn, at, None);
            let state = State::from_ssz(&get_parts(&txn, snapshot)).unwrap();
            // The registry's root stays with it.
            let _ = state.root();
            (snapshot, state)
        });
        let (_, diffs) = walk(&txn, at, Some(*snapshot));
        replayed(kept.clone(), &diffs, state_root)
    }

    /// As [`Self::read_cold`], as plain `ssz_rs` containers: what one would write first.
    #[must_use]
    pub fn read_plain(&self, at: SlotRoot, state_root: &Root) -> PlainState {
        let txn = self.database.read().unwrap();
        let (snapshot, diffs) = walk(&txn, at, None);
        let mut state = PlainState::decode(&get_parts(&txn, snapshot));
        for diff in diffs.iter().rev() {
            state.apply(&LinearDiff::decode(diff));
        }
        assert_eq!(state.root(), *state_root, "a state that proves itself");
        state
    }
}

/// The snapshot that the block's state goes back to, and the diffs from the block to it, parent by parent.
fn walk(
    txn: &ReadTxn<'_>,
    mut at: SlotRoot,
    snapshot: Option<SlotRoot>,
) -> (SlotRoot, Vec<Vec<u8>>) {
    let mut diffs = Vec::new();
    while Some(at) != snapshot {
        let Some(Bytes(diff)) = txn.get::<Diffs>(&at).unwrap() else { break };
        let base = Checkpoint::from_ssz(&diff[..Checkpoint::SSZ_BYTES]).unwrap();
        at = SlotRoot::new(base.slot, base.root);
        diffs.push(diff);
    }
    (at, diffs)
}

/// The state after these diffs, the newest first: of those before the last, the history is all that is left.
fn replayed(mut state: State, diffs: &[Vec<u8>], state_root: &Root) -> State {
    for diff in diffs.iter().rev() {
        for root in history_of(diff) {
            state.historical_block_hashes.push(root).unwrap();
        }
    }
    if let Some(last) = diffs.first() {
        LinearDiff::decode(last).finish(&mut state);
    }
    assert_eq!(state.root(), *state_root, "a state that proves itself");
    state
}

/// The history entries of a diff, its other fields left alone.
fn history_of(diff: &[u8]) -> Vec<Root> {
    let run = &diff[FIXED_BYTES..];
    let (length, run) = run.split_first_chunk().unwrap();
    roots(&run[..u32::from_le_bytes(*length) as usize])
}

fn key_of(state: &State) -> SlotRoot {
    SlotRoot::new(state.slot, latest_block_root(state))
}
