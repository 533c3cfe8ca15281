//! A database copied row by row, beside the place that the copy is to have: compacted, or backed up while its node runs.
//!
//! The hard idea: a copy keeps no note of how far it is. Each step walks a tree of both databases side by side, and carries
//! the rows that the copy lacks, has otherwise, or has beyond the source. So the copy's own rows are the frontier, there is
//! nothing beside them that could say something else, and a job that was killed at any instant goes on by doing the same again:
//! what is there is passed over by its proof. A row proves itself before it is written; one that does not is named and ends
//! the job.
//!
//! A copy has an identity and no schema row, so nodes and tools refuse it. That comes when every row is there and every
//! invariant was checked, and then a renaming gives it its name.
//!
//! | | |
//! |---|---|
//! | in the source's place, no node running | `compact` |
//! | elsewhere, beside a running node | `backup` |
//! | what a backup says of itself, and why it does not sign | `crate::mark` |

mod backup;
mod compact;
mod error;

use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use lamella_tables::{
    Database, DatabaseView, EngineError, FolderLock, Look, Meta, MetaName, OpenMode, Options,
    Read as _, ReadTxn, RowPlace, Side, StoredRow, Table as _, TableStats, TookTooLong, trees,
};

use crate::{
    beside,
    error::ChainOpenError,
    identity::{Identity, SCHEMA, SCHEMA_VERSION, put_schema, schema_row},
    invariants::{self, Progress},
    mark::BackupMark,
};

pub use backup::{BackedUp, open};
pub use compact::Compacted;
pub use error::CopyError;

/// Rows that one commit carries.
const COMMIT_ROWS_MAX: usize = 4_096;

/// Bytes that one commit carries.
const COMMIT_BYTES_MAX: usize = 4 << 20;

/// Rows that one step passes over without finding one to carry: some milliseconds of a snapshot.
const STEP_ROWS_MAX: u64 = 16_384;

/// Longest that a backup holds its last snapshot, which it does for 0.1 s of a file of 2 GB: at 0.2 MB a slot of 4 s the node's
/// file grows by 30 MB meanwhile. Run again, there is less that came meanwhile.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(600);

/// Walks in short snapshots at most. Each takes what came during the one before, which is less each time, or more comes than
/// the disk takes.
const WALKS_MAX: usize = 8;

/// What is told while the copy takes what came meanwhile, of one snapshot: whoever is told should not wait then.
pub const SNAPSHOT_STAGE: &str = "what came meanwhile";

/// Whether a copy writes in this stage: it is told by the name of the tree that is carried.
#[must_use]
pub fn writes(stage: &str) -> bool {
    trees().any(|tree| tree == stage)
}

/// A copy to be made.
#[derive(Debug, Clone, Copy)]
pub struct CopyJob {
    /// Rows carried by one commit.
    pub commit_rows_max: usize,
    /// Bytes carried by one commit, and a row more: a kill costs no more than that to be carried again.
    pub commit_bytes_max: usize,
    /// Whether to go on with what an earlier run left; else that is deleted first.
    pub resume: bool,
    /// Longest that a backup holds one snapshot of a database that a node may write to.
    pub snapshot_time_max: Duration,
}

impl Default for CopyJob {
    fn default() -> Self {
        Self {
            commit_rows_max: COMMIT_ROWS_MAX,
            commit_bytes_max: COMMIT_BYTES_MAX,
            resume: true,
            snapshot_time_max: SNAPSHOT_TIME_MAX,
        }
    }
}

/// Sizes of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Of each tree.
    pub trees: Vec<TableStats>,
    /// Of the file.
    pub file_bytes: u64,
}

impl Sizes {
    fn of(database: &DatabaseView) -> Result<Self, CopyError> {
        let file_bytes = database.stats()?.file_bytes;
        Ok(Self { trees: database.read()?.table_stats()?, file_bytes })
    }
}

/// Told after each step, may stop the job.
type Tell<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// A copy under way.
struct Copy<'a> {
    source: &'a DatabaseView,
    target: Database,
    /// Where it is.
    unfinished: &'a Path,
    /// Names in Meta that are the copy's own.
    own: &'static [&'static str],
    rows_max: usize,
    bytes_max: usize,
    tell: Tell<'a>,
    /// Rows that this run wrote.
    rows: u64,
    /// Rows that an earlier run left.
    kept: u64,
}

impl<'a> Copy<'a> {
    /// Opens the copy, made if there is none.
    fn begin(
        source: &'a DatabaseView,
        unfinished: &'a Path,
        own: &'static [&'static str],
        job: CopyJob,
        tell: Tell<'a>,
    ) -> Result<Self, CopyError> {
        let identity = Identity::read(&source.read()?)?;
        let identity = identity.ok_or(ChainOpenError::NoIdentity("it has no schema"))?;
        if !job.resume && is_there(unfinished) {
            // Nobody else is at it.
            let _lock = FolderLock::take(unfinished)?;
            beside::remove(unfinished).map_err(|error| CopyError::io(unfinished, error))?;
        }
        let page_bytes = usize::try_from(source.stats()?.page_bytes).ok();
        let options = Options { page_bytes, ..Options::new(OpenMode::Create) };
        let target = Database::open(unfinished, options)?;
        let kept = prepare(&target, &identity, unfinished)?;
        let (rows_max, bytes_max) = (job.commit_rows_max, job.commit_bytes_max);
        Ok(Self { source, target, unfinished, own, rows_max, bytes_max, tell, rows: 0, kept })
    }

    /// Carries what the copy lacks, and what came meanwhile, until that is one commit.
    fn carry_in_walks(&mut self) -> Result<(), CopyError> {
        for _ in 0..WALKS_MAX {
            let before = self.rows;
            self.carry_in_steps()?;
            if self.rows - before <= self.rows_max as u64 {
                break;
            }
        }
        Ok(())
    }

    /// Carries what the copy lacks, each step of it in a snapshot of its own.
    fn carry_in_steps(&mut self) -> Result<(), CopyError> {
        for tree in trees().filter(|tree| *tree != Meta::PLACE.tree) {
            let total = rows_of(self.source, tree)?;
            let (mut after, mut done) = (Vec::new(), 0);
            loop {
                let step = self.step(&self.source.read()?, tree, &after)?;
                done += step.rows;
                self.tell(tree, done, total)?;
                if step.is_end {
                    break;
                }
                after = step.last;
            }
        }
        Ok(())
    }

    /// Carries what the copy lacks of one snapshot, single values too: then it is that snapshot.
    ///
    /// # Cost
    /// A walk over the keys of both, however little is carried: the snapshot is held for so long.
    fn carry_snapshot(&mut self, longest: Duration) -> Result<(), CopyError> {
        let (snapshot, began) = (self.source.read()?, Instant::now());
        let total = trees().count() as u64;
        for (done, tree) in (1..).zip(trees()) {
            let mut after = Vec::new();
            loop {
                let step = self.step(&snapshot, tree, &after)?;
                self.tell(SNAPSHOT_STAGE, done, total)?;
                if began.elapsed() > longest {
                    return Err(EngineError::given_up(TookTooLong(longest)).into());
                }
                if step.is_end {
                    break;
                }
                after = step.last;
            }
        }
        self.require_all(&snapshot)
    }

    /// A page that is out of order hides rows, and no other row may say that they were there: of the guard, of votes.
    fn require_all(&self, snapshot: &ReadTxn<'_>) -> Result<(), CopyError> {
        let ours = self.target.read()?;
        for (theirs, found) in snapshot.table_stats()?.iter().zip(ours.table_stats()?) {
            let tree = theirs.name;
            let counted = theirs.rows.saturating_sub(self.own_rows(snapshot, tree)?);
            let found = found.rows.saturating_sub(self.own_rows(&ours, tree)?);
            if counted != found {
                return Err(CopyError::Hidden { tree, counted, found });
            }
        }
        Ok(())
    }

    /// Rows of a tree that are either's own.
    fn own_rows(&self, txn: &ReadTxn<'_>, tree: &str) -> Result<u64, CopyError> {
        let mut rows = 0;
        for name in self.own.iter().filter(|_| tree == Meta::PLACE.tree) {
            rows += u64::from(txn.has::<Meta>(&MetaName::new(name))?);
        }
        Ok(rows)
    }

    /// One step through a tree, and one commit if it found something to carry.
    fn step(
        &mut self,
        source: &ReadTxn<'_>,
        tree: &'static str,
        after: &[u8],
    ) -> Result<lamella_tables::Walked, CopyError> {
        let (mut put, mut gone, mut bytes) = (Vec::new(), Vec::new(), 0);
        let (own, rows_max, bytes_max) = (self.own, self.rows_max, self.bytes_max);
        // Dropped before the commit, which could not use again the pages that it sees.
        let ours = self.target.read()?;
        let differs = |place: RowPlace, side| -> Result<ControlFlow<()>, CopyError> {
            if is_own(&place, own) {
                return Ok(ControlFlow::Continue(()));
            }
            match (side, source.stored_row(&place)?) {
                (Side::First | Side::Both, Some(row)) => {
                    bytes += row.bytes();
                    put.push(row);
                }
                _ => gone.push(place),
            }
            let is_full = put.len() + gone.len() >= rows_max || bytes >= bytes_max;
            Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let walked = source.compare(&ours, tree, after, STEP_ROWS_MAX, Look::Seals, differs)?;
        drop(ours);
        self.commit(&put, &gone)?;
        Ok(walked)
    }

    fn commit(&mut self, put: &[StoredRow], gone: &[RowPlace]) -> Result<(), CopyError> {
        if put.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let mut txn = self.target.write()?;
        for row in put {
            txn.put_stored(row)?;
        }
        for place in gone {
            txn.delete_stored(place)?;
        }
        txn.commit()?;
        self.rows += put.len() as u64;
        Ok(())
    }

    /// Reads all of both again: every byte of every row is the source's, which nobody writes to.
    fn compare(&mut self) -> Result<(), CopyError> {
        for tree in trees() {
            let total = rows_of(self.source, tree)?;
            let (mut after, mut done) = (Vec::new(), 0);
            loop {
                let (source, ours) = (self.source.read()?, self.target.read()?);
                let differs = |place: RowPlace, _| match is_own(&place, self.own) {
                    true => Ok(ControlFlow::Continue(())),
                    false => Err(CopyError::differs(&place, self.unfinished)),
                };
                let rows_max = self.rows_max as u64;
                let step = source.compare(&ours, tree, &after, rows_max, Look::Bytes, differs)?;
                drop((source, ours));
                done += step.rows;
                self.tell("comparing rows", done, total)?;
                if step.is_end {
                    break;
                }
                after = step.last;
            }
        }
        Ok(())
    }

    /// Every invariant, of a database that does not say its schema yet.
    fn check(&mut self, lanes: usize) -> Result<(), CopyError> {
        let identity = |txn: &ReadTxn<'_>| Identity::read_row(txn).map(Some);
        let report = invariants::check(&self.target, identity, lanes, self.tell)?;
        match report.findings.into_iter().next() {
            None if report.stopped => Err(CopyError::Stopped),
            None => Ok(()),
            Some(first) => Err(CopyError::Findings { count: report.finding_count, first }),
        }
    }

    /// Makes the copy a chain, with this mark if it is a backup.
    fn finish(self, mark: Option<BackupMark>) -> Result<(u64, u64), CopyError> {
        let mut txn = self.target.write()?;
        if let Some(mark) = mark {
            mark.put(&mut txn)?;
        }
        put_schema(&mut txn, SCHEMA_VERSION)?;
        txn.commit()?;
        Ok((self.rows, self.kept))
    }

    fn tell(&mut self, stage: &'static str, done: u64, total: u64) -> Result<(), CopyError> {
        // Rows that came while it was told.
        let total = total.max(done);
        match (self.tell)(Progress { stage, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CopyError::Stopped),
        }
    }
}

/// Takes the schema row from a copy that was finished and not named, and gives a new one its identity. Says how many rows
/// are there.
fn prepare(target: &Database, identity: &Identity, path: &Path) -> Result<u64, CopyError> {
    let kept = target.read()?.table_stats()?.iter().map(|tree| tree.rows).sum();
    if kept > 0 && Identity::read_row(&target.read()?)? != *identity {
        return Err(CopyError::Other { path: path.to_owned() });
    }
    let mut txn = target.write()?;
    if kept == 0 {
        identity.put_row(&mut txn)?;
    } else if schema_row(&txn)?.is_some() {
        txn.delete::<Meta>(&MetaName::new(SCHEMA))?;
    } else {
        return Ok(kept);
    }
    txn.commit()?;
    Ok(kept)
}

fn is_own(place: &RowPlace, own: &[&str]) -> bool {
    place.table() == Meta::NAME && own.iter().any(|name| name.as_bytes() == place.key())
}

fn rows_of(database: &DatabaseView, tree: &str) -> Result<u64, CopyError> {
    let stats = database.read()?.table_stats()?;
    Ok(stats.iter().find(|stats| stats.name == tree).map_or(0, |stats| stats.rows))
}

/// Whether there is something of this name.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
