//! A copy of a database, made elsewhere while its node runs on it.
//!
//! What is kept of blocks is carried in short snapshots, which the node outruns; then what came meanwhile, again in short
//! snapshots, until that is little; and in the end what is still missing, with head, votes, guard and single values, of one
//! snapshot: then the copy is that snapshot, pruned proofs and mended rows included. It is held for a walk over the keys, and for
//! the rows of the blocks since the walk before.
//!
//! Its guard is older than its keys' past from the first slot on that the node signs after it. See `crate::mark`.

use std::{ops::ControlFlow, path::Path};

use lamella_tables::{DatabaseView, Read as _, SlotRoot, Slots, Table as _};
use lamella_types::{Root, Slot};

use super::{Copy, CopyError, CopyJob, Sizes, is_there};
use crate::{
    beside::{self, BACKING_UP, BESIDE, beside},
    identity::SCHEMA,
    invariants::Progress,
    mark::{self, BackupMark},
    meta::ForkChoiceRow,
};

/// What was backed up, as its tables say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Rows that this run carried.
    pub rows: u64,
    /// Rows that an earlier run had carried.
    pub kept: u64,
    /// Blocks, on all branches.
    pub blocks: u64,
    /// The head.
    pub head: SlotRoot,
    /// The finalized slot.
    pub finalized_slot: Slot,
    /// Sizes of the database, and of the copy.
    pub source: Sizes,
    /// Sizes of the copy.
    pub copy: Sizes,
}

/// Opens the database at `path` for [`CopyJob::backup_from`].
///
/// # Errors
/// [`CopyError`], with what an unfinished job says of itself.
pub fn open(path: &Path) -> Result<DatabaseView, CopyError> {
    let opened = DatabaseView::open(path);
    Ok(opened.map_err(|error| beside::explain(path, error.into()))?)
}

impl CopyJob {
    /// As [`CopyJob::backup_from`], of the database at `path`, which another process may write to.
    ///
    /// # Errors
    /// [`CopyError`]; the database is as it was.
    pub fn backup(
        &self,
        path: &Path,
        to: &Path,
        taken_unix_s: u64,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<BackedUp, CopyError> {
        self.backup_from(&open(path)?, to, taken_unix_s, progress)
    }

    /// Copies a database to a new one at `to`, or goes on with that. `progress` is called after each
    /// commit and may stop it, or wait, but in [`SNAPSHOT_STAGE`](super::SNAPSHOT_STAGE).
    ///
    /// # Errors
    /// [`CopyError`]; the database is as it was.
    ///
    /// # Cost
    /// Each row is read once, its key three times, or more often where much comes meanwhile; each state of the copy is reconstructed and hashed once, on this thread.
    pub fn backup_from(
        &self,
        source: &DatabaseView,
        to: &Path,
        taken_unix_s: u64,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<BackedUp, CopyError> {
        let others = BESIDE.iter().filter(|suffix| **suffix != BACKING_UP);
        for path in others.map(|suffix| beside(to, suffix)).chain([to.to_owned()]) {
            if is_there(&path) {
                return Err(CopyError::InTheWay { path });
            }
        }
        let unfinished = beside(to, BACKING_UP);
        let mut copy = Copy::begin(source, &unfinished, &[SCHEMA, mark::NAME], *self, progress)?;
        copy.carry_in_walks()?;
        copy.carry_snapshot(self.snapshot_time_max)?;
        copy.check(1)?;
        let (rows, kept) = copy.finish(Some(BackupMark { taken_unix_s, silent_until: 0 }))?;
        let made = DatabaseView::open(&unfinished)?;
        let (source, copy) = (Sizes::of(source)?, Sizes::of(&made)?);
        let txn = made.read()?;
        let row = ForkChoiceRow::read(&txn)?;
        let (head, finalized) = row.map_or((Root::ZERO, 0), |row| (row.head, row.finalized.slot));
        let head = SlotRoot::new(txn.get::<Slots>(&head)?.unwrap_or_default(), head);
        let slots = copy.trees.iter().find(|tree| tree.name == Slots::NAME);
        let blocks = slots.map_or(0, |tree| tree.rows);
        drop(txn);
        drop(made);
        beside::rename(&unfinished, to).map_err(|error| CopyError::io(&unfinished, error))?;
        Ok(BackedUp { rows, kept, blocks, head, finalized_slot: finalized, source, copy })
    }
}
