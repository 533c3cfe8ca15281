//! The baseline of a cold read: a store of parent-linked diffs whose reader walks parents one by one.
//!
//! As a full snapshot every 1,024 slots and a diff for each block between invite one to build it, and as ethlambda's
//! store is built: the diff repeats the history entries and the whole tally, the reader fetches the block's diff, its
//! parent's, and so on to the snapshot, then applies them all forward. Same engine, same tables, same checksums.
//!
//! What it does not do: prune, cache, or store the small fields better than as they are.

use lamella_tables::{
    Anchors, Bytes, Database, Diffs, Durability, OpenMode, Options, Read as _, ReadTxn, SlotRoot,
};
use lamella_types::{
    BlockHeader, Checkpoint, Decode as _, JustificationValidators, Justifications, JustifiedSlots,
    Root, State, latest_block_root, root::ROOT_BYTES, to_ssz,
};
use tempfile::TempDir;

/// What a block changed in its parent's state.
#[derive(Debug, Clone)]
pub struct LinearDiff {
    /// The parent.
    pub base: Checkpoint,
    /// Header of the block, its state root zero.
    pub header: BlockHeader,
    /// Latest justified checkpoint.
    pub justified: Checkpoint,
    /// Latest finalized checkpoint.
    pub finalized: Checkpoint,
    /// History entries that are new.
    pub history: Vec<Root>,
    /// All justified slots.
    pub justified_slots: JustifiedSlots,
    /// The whole tally.
    pub justifications: Justifications,
}

impl LinearDiff {
    /// The change from `base` to its child's post-state.
    #[must_use]
    pub fn between(base: &State, target: &State) -> Self {
        let history = &target.historical_block_hashes;
        let new = base.historical_block_hashes.len() as u64..target.slot;
        Self {
            base: Checkpoint { root: latest_block_root(base), slot: base.slot },
            header: target.latest_block_header,
            justified: target.latest_justified,
            finalized: target.latest_finalized,
            history: new.map(|slot| history.get(slot).unwrap()).collect(),
            justified_slots: target.justified_slots.clone(),
            justifications: target.justifications.clone(),
        }
    }

    /// The bytes of the diff.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = to_ssz(&self.base);
        bytes.extend(to_ssz(&self.header));
        bytes.extend(to_ssz(&self.justified));
        bytes.extend(to_ssz(&self.finalized));
        put_run(&mut bytes, &concatenated(&self.history));
        put_run(&mut bytes, &to_ssz(&self.justified_slots));
        put_run(&mut bytes, &concatenated(self.justifications.roots()));
        put_run(&mut bytes, &to_ssz(self.justifications.votes()));
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Self {
        let mut take = |count: usize| bytes.split_off(..count).unwrap();
        let checkpoint = |bytes| Checkpoint::from_ssz(bytes).unwrap();
        let base = checkpoint(take(Checkpoint::SSZ_BYTES));
        let header = BlockHeader::from_ssz(take(BlockHeader::SSZ_BYTES)).unwrap();
        let justified = checkpoint(take(Checkpoint::SSZ_BYTES));
        let finalized = checkpoint(take(Checkpoint::SSZ_BYTES));
        let mut run = || {
            let length = u32::from_le_bytes(take(4).try_into().unwrap());
            take(length as usize)
        };
        let history = roots(run());
        let justified_slots = JustifiedSlots::from_ssz(run()).unwrap();
        let tracked = roots(run());
        let votes = JustificationValidators::from_ssz(run()).unwrap();
        let justifications = Justifications::new(tracked, votes);
        Self { base, header, justified, finalized, history, justified_slots, justifications }
    }

    /// Turns the base's state into the target's.
    pub fn apply(&self, state: &mut State) {
        state.slot = self.header.slot;
        state.latest_block_header = self.header;
        state.latest_justified = self.justified;
        state.latest_finalized = self.finalized;
        for root in &self.history {
            state.historical_block_hashes.push(*root).unwrap();
        }
        state.justified_slots = self.justified_slots.clone();
        state.justifications = self.justifications.clone();
    }
}

/// A snapshot and the diffs after it, in a directory of their own.
#[derive(Debug)]
pub struct LinearStore {
    database: Database,
    _directory: TempDir,
}

impl LinearStore {
    /// Stores `states`, each the child of the one before: the first as a snapshot, the others as diffs.
    #[must_use]
    pub fn of(states: &[State]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { durability: Durability::Lazy, ..Options::new(OpenMode::Create) };
        let database = Database::open(directory.path(), options).unwrap();
        let mut txn = database.write().unwrap();
        txn.put::<Anchors>(&key_of(&states[0]), &Bytes(states[0].to_ssz())).unwrap();
        for pair in states.windows(2) {
            let diff = LinearDiff::between(&pair[0], &pair[1]);
            txn.put::<Diffs>(&key_of(&pair[1]), &Bytes(diff.encode())).unwrap();
        }
        txn.commit().unwrap();
        Self { database, _directory: directory }
    }

    /// Bytes of the snapshot and of each diff on average, without keys.
    #[must_use]
    pub fn diff_bytes(&self) -> usize {
        let txn = self.database.read().unwrap();
        let rows = txn.scan::<Diffs>(SlotRoot::first_of(0)).unwrap();
        let sizes: Vec<usize> = rows.map(|row| row.unwrap().1.0.len()).collect();
        sizes.iter().sum::<usize>() / sizes.len()
    }

    /// Reads and proves a state, decoded and hashed by this project's own bulk path: what the walk costs by itself.
    #[must_use]
    pub fn read(&self, at: SlotRoot, state_root: &Root) -> State {
        let txn = self.database.read().unwrap();
        let (snapshot, diffs) = walk(&txn, at);
        let mut state = State::from_ssz(&snapshot).unwrap();
        for diff in diffs.iter().rev() {
            diff.apply(&mut state);
        }
        assert_eq!(state.root(), *state_root, "a state that proves itself");
        state
    }

    /// The same as plain `ssz_rs` containers: what one would write first.
    #[must_use]
    pub fn read_plain(&self, at: SlotRoot, state_root: &Root) -> crate::PlainState {
        let txn = self.database.read().unwrap();
        let (snapshot, diffs) = walk(&txn, at);
        let mut state = crate::PlainState::decode(&snapshot);
        for diff in diffs.iter().rev() {
            state.apply(diff);
        }
        assert_eq!(state.root(), *state_root, "a state that proves itself");
        state
    }
}

/// The snapshot's bytes and the diffs from the block asked for back to it, parent by parent.
fn walk(txn: &ReadTxn<'_>, mut at: SlotRoot) -> (Vec<u8>, Vec<LinearDiff>) {
    let mut diffs = Vec::new();
    loop {
        if let Some(Bytes(snapshot)) = txn.get::<Anchors>(&at).unwrap() {
            return (snapshot, diffs);
        }
        let Bytes(bytes) = txn.get::<Diffs>(&at).unwrap().unwrap();
        let diff = LinearDiff::decode(&bytes);
        at = SlotRoot::new(diff.base.slot, diff.base.root);
        diffs.push(diff);
    }
}

fn key_of(state: &State) -> SlotRoot {
    SlotRoot::new(state.slot, latest_block_root(state))
}

fn put_run(bytes: &mut Vec<u8>, run: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(run.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(run);
}

fn concatenated(roots: &[Root]) -> Vec<u8> {
    roots.iter().flat_map(|root| root.as_bytes()).copied().collect()
}

fn roots(bytes: &[u8]) -> Vec<Root> {
    bytes.chunks_exact(ROOT_BYTES).map(|root| Root::from_slice(root).unwrap()).collect()
}
