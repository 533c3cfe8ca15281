//! A database made of blocks and states that somebody else kept: beside its place, one segment to a commit, and then in
//! its place.
//!
//! The hard idea: nothing here is new. A segment's rows are the ones that importing its blocks would have written, since a
//! block's rows follow from the block, its post-state and its parent's row; so the restored directory is the lost one, row
//! by row, but for forks, votes and the guard, which no archive holds, and proofs, which it may. The cursor is one of those rows' own commit,
//! so a kill at any instant leaves whole segments and the truth about them. When the target is reached, the slot index, whose keys
//! are in no order, is written at once, head and checkpoints are derived, every invariant is checked, and only then the schema row
//! makes it a chain and a renaming gives it its name.
//!
//! | `db` | `db.restoring` | |
//! |---|---|---|
//! | | | nothing has happened |
//! | | without schema row | segments are being written: nodes and tools refuse |
//! | | with it | killed before the renaming |
//! | there | | done |
//!
//! That the blocks are the chain's is for whoever brings them to prove; here each must be its parent's child and its state
//! hash to its header, and in the end all must be exactly up to the target.

mod error;
mod row;

use std::{
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    sync::Arc,
};

use lamella_block_store::{self as block_store, Extent, SignatureFloor, UncheckedProofs};
use lamella_state_store::{DiffBase, PreparedState, StateRow, StateStore};
use lamella_tables::{
    Canonical, Database, Durability, Headers, OpenMode, Options, Read as _, Signatures, SlotRoot,
    Slots, WriteTxn,
};
use lamella_types::{BlockBody, BlockHeader, MultiMessageAggregate, Root, Slot, State};

use crate::{
    beside::{self, RESTORING, beside},
    identity::{Identity, SCHEMA_VERSION, put_schema},
    invariants::{self, Progress},
    meta::ForkChoiceRow,
    recover,
};
use row::RestorationRow;

pub use error::RestoreError;

/// Bytes that are written between two flushes: some six segments, which a power cut makes be written again.
const UNFLUSHED_BYTES_MAX: u64 = 64 << 20;

/// A row of the slot index on its page: root, slot, seal, and what the engine adds.
const SLOTS_ROW_BYTES: u64 = 64;

/// A block to be restored.
#[derive(Debug, Clone)]
pub struct RestoredBlock {
    /// Its header.
    pub header: BlockHeader,
    /// Its body.
    pub body: BlockBody,
    /// Its post-state.
    pub state: Arc<State>,
}

/// What goes through the blocks before their rows are written: what costs time and needs no transaction.
#[derive(Debug)]
pub struct Preparer {
    /// The newest block; `None` before the first.
    newest: Option<SlotRoot>,
    base: Option<DiffBase>,
}

/// A block whose rows are ready: the child of the one that was prepared before it, whose state hashes to its header.
#[derive(Debug)]
pub struct PreparedBlock {
    key: SlotRoot,
    header: BlockHeader,
    body: BlockBody,
    state: StateRow,
}

impl PreparedBlock {
    /// Bytes of the values of its body and its state, at most.
    fn value_bytes(&self) -> u64 {
        (self.body.votes_bytes() + self.state.value_bytes()) as u64
    }
}

/// How far a restoration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Segments whose rows are here: the next one has this index.
    pub segments: u64,
    /// Blocks whose rows are here.
    pub blocks: u64,
    /// The newest of them.
    pub newest: Option<SlotRoot>,
}

/// What is at a path.
#[derive(Debug)]
pub enum Begun {
    /// A database under way.
    Unfinished(Box<Restoration>),
    /// All was done but the renaming, which is done now.
    Finished,
}

/// A database under way.
pub struct Restoration {
    database: Database,
    /// Where it is to be.
    path: PathBuf,
    /// Where it is.
    unfinished: PathBuf,
    row: RestorationRow,
    /// The newest block when this was opened; `None` before the first.
    base: Option<DiffBase>,
}

impl std::fmt::Debug for Restoration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restoration").field("path", &self.path).field("row", &self.row).finish()
    }
}

impl Restoration {
    /// Begins a restoration of this chain up to `target`, or goes on with it. The newest state that is there is read back
    /// and proven.
    ///
    /// # Errors
    /// [`RestoreError`]; what is there is as it was.
    pub fn begin(
        path: &Path,
        identity: &Identity,
        target: SlotRoot,
    ) -> Result<Begun, RestoreError> {
        if path.exists() {
            return Err(RestoreError::InTheWay { path: path.to_owned() });
        }
        beside::check_none(path).or_else(unless_restoring)?;
        let unfinished = beside(path, RESTORING);
        // Whatever a power cut takes, rows and cursor go together; the end is flushed.
        let options = Options {
            durability: Durability::Lazy,
            unflushed_bytes_max: UNFLUSHED_BYTES_MAX,
            ..Options::new(OpenMode::Create)
        };
        let database = Database::open(&unfinished, options)?;
        let row = Self::row(&database, identity, target, &unfinished)?;
        let Some(row) = row else {
            drop(database);
            give_name(&unfinished, path)?;
            return Ok(Begun::Finished);
        };
        let base = match row.newest {
            None => None,
            Some(newest) => StateStore::default().base(&database.read()?, &newest.root)?,
        };
        let path = path.to_owned();
        Ok(Begun::Unfinished(Box::new(Self { database, path, unfinished, row, base })))
    }

    /// The row of the restoration, written if there is none; `None` if all is written.
    fn row(
        database: &Database,
        identity: &Identity,
        target: SlotRoot,
        unfinished: &Path,
    ) -> Result<Option<RestorationRow>, RestoreError> {
        let txn = database.read()?;
        let other = |begun| {
            let path = unfinished.to_owned();
            RestoreError::OtherTarget { begun, asked: target, path }
        };
        if let Some(found) = Identity::read(&txn)? {
            found.check(identity)?;
            let head = ForkChoiceRow::read(&txn)?.map(|row| row.head);
            let last = txn.last::<Headers>()?.transpose()?.map(|(key, _)| key);
            return match last {
                Some(last) if head == Some(target.root) && last == target => Ok(None),
                last => Err(other(last.unwrap_or(SlotRoot::new(0, Root::ZERO)))),
            };
        }
        if let Some(row) = RestorationRow::read(&txn)? {
            Identity::read_row(&txn)?.check(identity)?;
            return if row.target == target { Ok(Some(row)) } else { Err(other(row.target)) };
        }
        drop(txn);
        let row = RestorationRow { target, segments: 0, blocks: 0, newest: None };
        let mut txn = database.write()?;
        identity.put_row(&mut txn)?;
        row.put(&mut txn)?;
        txn.commit()?;
        Ok(Some(row))
    }

    /// How far it is.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        let RestorationRow { segments, blocks, newest, .. } = self.row;
        Cursor { segments, blocks, newest }
    }

    /// Prepares what comes after the blocks that were here when this was opened. Those before it must have been put.
    #[must_use]
    pub fn preparer(&self) -> Preparer {
        Preparer { newest: self.row.newest, base: self.base.clone() }
    }

    /// The state of the newest block when this was opened; `None` before the first.
    #[must_use]
    pub fn newest_state(&self) -> Option<&Arc<State>> {
        self.base.as_ref().map(DiffBase::state)
    }

    /// Writes the blocks of the next segment, as they were prepared; none for a segment without blocks.
    ///
    /// # Errors
    /// [`RestoreError`]; nothing of the segment was written.
    ///
    /// # Atomicity
    /// One transaction: rows and cursor.
    pub fn put_segment(
        &mut self,
        index: u64,
        blocks: &[PreparedBlock],
    ) -> Result<(), RestoreError> {
        if index != self.row.segments {
            return Err(RestoreError::NotNext { got: index, expected: self.row.segments });
        }
        let mut txn =
            self.database.write_values(blocks.iter().map(PreparedBlock::value_bytes).sum())?;
        let mut row = RestorationRow { segments: index + 1, ..self.row };
        for PreparedBlock { key, header, body, state } in blocks {
            check_follows(row.newest, *key, header)?;
            block_store::put_unindexed(&mut txn, key, header, body)?;
            block_store::put_canonical(&mut txn, key.slot, key.root)?;
            state.put(&mut txn)?;
            row.newest = Some(*key);
            row.blocks += 1;
        }
        // Whoever goes on finds the newest state by its root; the others are indexed in the end.
        if let Some(newest) = row.newest {
            txn.put::<Slots>(&newest.root, &newest.slot)?;
        }
        row.put(&mut txn)?;
        txn.commit()?;
        self.row = row;
        Ok(())
    }

    /// Blocks that are here, at these slots, ascending.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn canonical(&self, slots: Range<Slot>) -> Result<Vec<SlotRoot>, RestoreError> {
        let txn = self.database.read()?;
        let rows = txn.scan::<Canonical>(slots.start)?;
        let rows = rows.take_while(|row| !row.as_ref().is_ok_and(|(slot, _)| *slot >= slots.end));
        let blocks = rows.map(|row| row.map(|(slot, root)| SlotRoot::new(slot, root)));
        Ok(blocks.collect::<Result<_, _>>()?)
    }

    /// The oldest block that has its proof: all after it have, up to the target. `None` before the target's own.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn proofs_from(&self) -> Result<Option<SlotRoot>, RestoreError> {
        let txn = self.database.read()?;
        // An end that was broken off had put none for the target; whoever puts a proof takes its place.
        if UncheckedProofs::read(&txn)?.bad().contains(&self.row.target) {
            return Ok(None);
        }
        let first = txn.scan_keys::<Signatures>(SlotRoot::first_of(1))?.next().transpose()?;
        Ok(first)
    }

    /// Writes proofs of blocks that are here, ascending: of the target and those right before it, or right before those
    /// whose proofs are here already. They count as unchecked.
    ///
    /// # Errors
    /// [`RestoreError::ProofsApart`] for others; nothing was written.
    ///
    /// # Atomicity
    /// One transaction. Which proofs are here is their rows' own word, so it needs no cursor.
    pub fn put_proofs(
        &mut self,
        proofs: Vec<(Slot, MultiMessageAggregate)>,
    ) -> Result<(), RestoreError> {
        let Some((first, _)) = proofs.first() else { return Ok(()) };
        let from = self.proofs_from()?;
        let end = from.map_or(self.row.target.slot + 1, |from| from.slot);
        let blocks = self.canonical(*first..end)?;
        let slots = proofs.iter().map(|(slot, _)| *slot);
        // Upholds P1: from the floor on every block has its proof.
        if !blocks.iter().map(|block| block.slot).eq(slots) {
            return Err(RestoreError::ProofsApart { first: *first, end });
        }
        let bytes = proofs.iter().map(|(_, proof)| proof.proof.as_bytes().len() as u64);
        let mut txn = self.database.write_values(bytes.sum())?;
        if from.is_none() {
            UncheckedProofs::default().put(&mut txn)?;
        }
        for (block, (_, proof)) in blocks.iter().zip(&proofs) {
            block_store::put_signature(&mut txn, block, proof)?;
        }
        Ok(txn.commit()?)
    }

    /// Makes it a chain that ends at its target, and gives it its name. `progress` is called while the invariants are
    /// checked, and may stop that.
    ///
    /// # Errors
    /// [`RestoreError`]; it has no name then, and the same call may be made again.
    ///
    /// # Cost
    /// Every row is read once more, every state reconstructed and hashed.
    pub fn finish(
        self,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), RestoreError> {
        let proofs_from = self.proofs_from()?;
        let Self { database, path, unfinished, row, base: _ } = self;
        if row.newest != Some(row.target) {
            return Err(RestoreError::NotAtTarget { reached: row.newest, target: row.target });
        }
        let txn = database.write_values(row.blocks * SLOTS_ROW_BYTES)?;
        put_ends(txn, row.target, proofs_from)?;
        let identity = |txn: &lamella_tables::ReadTxn<'_>| Identity::read_row(txn).map(Some);
        let report = invariants::check(&database, identity, invariants::all_lanes(), progress)?;
        match report.findings.into_iter().next() {
            None if report.stopped => return Err(RestoreError::Stopped),
            None => {}
            Some(first) => {
                let count = report.finding_count;
                return Err(RestoreError::Findings { count, first, path: unfinished });
            }
        }
        let head = ForkChoiceRow::read(&database.read()?)?.map(|row| row.head);
        if head != Some(row.target.root) {
            return Err(RestoreError::NotAtTarget { reached: None, target: row.target });
        }
        database.flush()?;
        let mut txn = database.write()?;
        RestorationRow::delete(&mut txn)?;
        put_schema(&mut txn, SCHEMA_VERSION)?;
        txn.commit()?;
        database.flush()?;
        drop(database);
        give_name(&unfinished, &path)
    }
}

impl Preparer {
    /// The rows of the next block. Upholds S1 and S2 for it.
    ///
    /// # Errors
    /// [`RestoreError`], for a block that is not the child of the one before, or whose state does not hash to its header.
    pub fn prepare(&mut self, block: RestoredBlock) -> Result<PreparedBlock, RestoreError> {
        let RestoredBlock { header, body, state } = block;
        let key = SlotRoot::new(header.slot, header.root());
        check_follows(self.newest, key, &header)?;
        let prepared = match &self.base {
            None => PreparedState::bootstrap(key.root, &header, state),
            Some(base) => PreparedState::child(base, key.root, &header, state),
        };
        let state = prepared
            .map_err(|source| RestoreError::Block { block: key, source: Box::new(source) })?;
        (self.newest, self.base) = (Some(key), Some(state.stored().base(key.root)));
        Ok(PreparedBlock { key, header, body, state: state.into_row() })
    }
}

fn check_follows(
    after: Option<SlotRoot>,
    block: SlotRoot,
    header: &BlockHeader,
) -> Result<(), RestoreError> {
    let follows = after.map_or(block.slot == 0, |after| {
        header.parent_root == after.root && after.slot < block.slot
    });
    if follows { Ok(()) } else { Err(RestoreError::Gap { block, after }) }
}

/// Where the chain begins and ends, from where on it has proofs, its slot index and its fork choice. Upholds P1 and P2: the target is
/// finalized, and its proof counts as one that nobody has checked, as a checkpoint's does, and so do those before it.
fn put_ends(
    mut txn: WriteTxn<'_>,
    target: SlotRoot,
    proofs_from: Option<SlotRoot>,
) -> Result<(), RestoreError> {
    let first = txn.scan::<Canonical>(0)?.next().transpose()?;
    let Some((slot, root)) = first else {
        return Err(RestoreError::NotAtTarget { reached: None, target });
    };
    let oldest = SlotRoot::new(slot, root);
    let header = block_store::header_at(&txn, &oldest)?;
    let parent_root = header.map(|header| header.parent_root).unwrap_or_default();
    let mut extent = Extent::begin(oldest, parent_root);
    let floor = proofs_from.map_or(target, |from| SlotRoot::first_of(from.slot));
    extent.set_floor(SignatureFloor { key: floor, finalized_slot: target.slot });
    let unchecked = match proofs_from {
        None => {
            block_store::put_signature(&mut txn, &target, &MultiMessageAggregate::default())?;
            UncheckedProofs::of(target)
        }
        Some(from) => {
            let mut unchecked = UncheckedProofs::default();
            unchecked.add(from.slot..target.slot + 1);
            // All but genesis, which has none and needs none: as in a directory that nothing was pruned from.
            if oldest.slot == 0
                && txn.scan_keys::<Canonical>(1)?.next().transpose()? == Some(from.slot)
            {
                block_store::put_signature(&mut txn, &oldest, &MultiMessageAggregate::default())?;
                extent.set_floor(SignatureFloor::START);
            }
            unchecked
        }
    };
    extent.put(&mut txn)?;
    unchecked.put(&mut txn)?;
    recover::rebuild_slots(&mut txn)?;
    recover::put_fork_choice(&mut txn)?;
    Ok(txn.commit()?)
}

fn give_name(unfinished: &Path, path: &Path) -> Result<(), RestoreError> {
    let io = |source| RestoreError::Io { path: unfinished.to_owned(), source };
    beside::rename(unfinished, path).map_err(io)
}

/// A restoration under way is what we go on with.
fn unless_restoring(error: crate::ChainOpenError) -> Result<(), RestoreError> {
    match error {
        crate::ChainOpenError::Restoring { .. } => Ok(()),
        other => Err(other.into()),
    }
}
