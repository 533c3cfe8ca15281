//! `lamella db prune`: the mode is written, and the steps are done at once, with no node running.
//!
//! The row with the mode is the first commit's, so a job that was killed is a mode that is kept to: the same command goes on,
//! and so does a node. Such a directory opens as a chain all the while: the floor moved before the first row went, and each
//! commit leaves all that a block that stays rests on. The check at the end looks for what none of that says.
//!
//! Where `swept` and the tables differ, the tables are believed: the sweep begins again at the first row that it passed and
//! that is there. What an archive lacks that the directory ships to is kept, as a node keeps it.

use std::{ops::ControlFlow, path::Path};

use lamella_block_store::Extent;
use lamella_tables::{
    Anchors, Bodies, Consequence, Database, DatabaseView, Diffs, Headers, OpenError, OpenMode,
    Options, Read, ReadError, ReadTxn, Signatures, SlotRoot,
};
use lamella_types::Slot;

use super::{
    forks,
    left::{Left, count, rows_in_all},
};
use crate::{
    Identity, archived,
    archived::Archived,
    beside,
    error::ChainOpenError,
    hold::Hold,
    invariants::{self, Finding, Progress},
    kept::{self, Floor, PruneMode, Pruning, StatesStep},
    meta::ForkChoiceRow,
    open::{Found, ReadOnlyChain},
    recover,
};

/// Blocks whose rows one commit deletes: about a megabyte of pages.
const COMMIT_BLOCKS_MAX: usize = 1_024;

/// Where a commit of so few finds no room on a full disk, none does.
const COMMIT_BLOCKS_MIN: usize = 8;

/// A directory to be brought to a mode.
#[derive(Debug, Clone, Copy)]
pub struct PruneJob {
    /// The mode; `None` goes on with that which the directory has.
    pub mode: Option<PruneMode>,
    /// Also drop orphaned forks: blocks off the canonical chain this many slots and more below the finalized one.
    pub drop_forks: Option<u64>,
    /// Blocks whose rows one commit deletes.
    pub commit_blocks_max: usize,
}

/// What was done, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The mode before.
    pub mode_before: PruneMode,
    /// The mode now.
    pub mode: PruneMode,
    /// The slot below which states were pruned before; 0 where none was.
    pub floor_before: Slot,
    /// The slot below which they are now.
    pub floor: Slot,
    /// Slots below which states would be pruned, and are kept since an archive lacks them.
    pub held: u64,
    /// That archive.
    pub archive: Option<String>,
    /// How far the row said that rows are gone, if some of those are there. The tables were believed.
    pub diverged: Option<SlotRoot>,
    /// Rows of states, bodies and proofs deleted, but for those of dropped forks.
    pub rows: u64,
    /// Blocks of forks that were dropped.
    pub forks: u64,
    /// Their rows.
    pub fork_rows: u64,
    /// What is left, counted in the tables.
    pub left: Left,
    /// Whether every invariant was checked at the end, and not only what pruning states can break.
    pub checked_all: bool,
    /// Commits.
    pub commits: u64,
    /// Bytes of the file, which keeps what was freed for what comes.
    pub file_bytes: u64,
    /// Bytes of it that were free before.
    pub free_bytes_before: u64,
    /// Bytes of it that are free now.
    pub free_bytes: u64,
}

/// Why a directory was not pruned, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The directory cannot be used.
    #[error(transparent)]
    Chain(#[from] ChainOpenError),
    /// A row of Meta is damaged, or the engine failed.
    #[error("{0}; what was pruned before is kept, and the same command goes on")]
    Read(#[from] ReadError),
    /// Whoever asked for it stopped it.
    #[error("stopped before the end; what was pruned is kept, and the same command goes on")]
    Stopped,
    /// What is left is not as it should be.
    #[error("{count} findings in what is left, the first: {first}; run `lamella db verify`")]
    Findings {
        /// How many.
        count: u64,
        /// The first.
        first: Finding,
    },
}

impl From<lamella_tables::EngineError> for PruneError {
    fn from(error: lamella_tables::EngineError) -> Self {
        Self::Read(error.into())
    }
}

impl From<OpenError> for PruneError {
    fn from(error: OpenError) -> Self {
        Self::Chain(error.into())
    }
}

impl PruneJob {
    /// To this mode, or to that which the directory has.
    #[must_use]
    pub const fn new(mode: Option<PruneMode>) -> Self {
        Self { mode, drop_forks: None, commit_blocks_max: COMMIT_BLOCKS_MAX }
    }

    /// Says what would be done, beside a node too.
    ///
    /// # Errors
    /// [`PruneError`].
    ///
    /// # Cost
    /// The keys below the floor.
    pub fn look(&self, path: &Path) -> Result<Pruned, PruneError> {
        let chain = ReadOnlyChain::open(path)?;
        let (database, txn) = (chain.database(), chain.database().read()?);
        let row = ForkChoiceRow::read(&txn)?.ok_or(NO_HEAD)?;
        let Begun { mut pruned, pruning, hold } = self.begin(database, &txn)?;
        let target =
            pruned.hold(&hold, pruned.mode.floor_at(row.tree_root.slot, row.finalized.slot));
        pruned.floor = pruned.floor_before.max(target);
        let (swept, end) = (pruning.swept, SlotRoot::first_of(pruned.floor));
        pruned.rows = count::<Diffs>(&txn, swept, end)? + count::<Anchors>(&txn, swept, end)?;
        let bodies_floor = Extent::read(&txn)?.bodies_floor();
        let bodies = if pruned.mode == PruneMode::Light { target } else { 0 };
        let end = SlotRoot::first_of(bodies.max(bodies_floor));
        let from = swept.min(SlotRoot::first_of(bodies_floor));
        pruned.rows += count::<Bodies>(&txn, from, end)? + count::<Signatures>(&txn, from, end)?;
        if let Some(age) = self.drop_forks {
            let limit = row.finalized.slot.saturating_sub(age).min(row.tree_root.slot);
            pruned.forks = forks::orphans(&txn, limit)?.len() as u64;
        }
        pruned.left = Left::count(&txn)?;
        Ok(pruned)
    }

    /// Writes the mode, prunes, and checks what is left. `progress` is called after each commit and may stop the job.
    ///
    /// # Errors
    /// [`PruneError`]; what was committed is kept, and the same job goes on.
    ///
    /// # Atomicity
    /// One transaction for each step: floor, rows, and how far they are.
    pub fn run(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Pruned, PruneError> {
        beside::check_none(path)?;
        let explain = |error| beside::explain(path, error);
        let opened = Database::open(path, Options::new(OpenMode::Existing));
        let database = opened.map_err(|error| explain(error.into()))?;
        if Found::in_database(&database).map_err(explain)? == Found::Nothing {
            return Err(OpenError::Missing { path: path.to_owned() }.into());
        }
        database.create_missing_tables()?;
        let (view, _) = recover::open(&database)?;
        let Begun { mut pruned, mut pruning, hold } = self.begin(&database, &database.read()?)?;
        let target = pruned.hold(&hold, pruned.mode.floor(&view));
        let floor = Floor { slot: target, finalized: view.latest_finalized().slot };
        let total = self.blocks_below(&database, pruning.swept, pruned.floor_before.max(target))?;
        let before = rows_in_all(&database)?;
        let mut steps = Steps { blocks_max: self.commit_blocks_max, done: 0, total, progress };
        while steps.next("states", |blocks_max| {
            let step = commit(&database, pruned.mode, &mut pruning, floor, blocks_max)?;
            (pruned.commits, pruned.floor) = (pruned.commits + 1, step.floor);
            Ok((step.blocks, step.more))
        })? {}
        pruned.rows = before - rows_in_all(&database)?;
        if let Some(age) = self.drop_forks {
            let limit = view.latest_finalized().slot.saturating_sub(age);
            let limit = limit.min(view.tree_root().slot);
            drop_forks(&database, limit, &mut steps, &mut pruned)?;
        }
        check(&database, self.drop_forks.is_some(), steps.progress, &mut pruned)?;
        (pruned.left, pruned.free_bytes) =
            (Left::count(&database.read()?)?, free_bytes(&database)?);
        Ok(pruned)
    }

    fn begin(&self, database: &DatabaseView, txn: &impl Read) -> Result<Begun, PruneError> {
        let extent = Extent::read(txn)?;
        let mut pruning = match (Pruning::read(txn), self.mode) {
            // A mode that is said anew needs no old one; rows that went already are passed once more.
            (Err(ReadError::Damaged(_)), Some(_)) => Pruning::default(),
            (pruning, _) => pruning?,
        };
        let said = pruning.swept;
        // Upholds P3: what the row says is gone is gone, and it says no more than the floor.
        let left = kept::left_before(txn, said, extent.bodies_floor())?;
        pruning.swept =
            left.unwrap_or(said).min(said).min(SlotRoot::first_of(extent.states_floor()));
        let (hold, archived) = archived::hold(txn)?;
        let free_bytes = free_bytes(database)?;
        let pruned = Pruned {
            mode_before: pruning.mode,
            mode: self.mode.unwrap_or(pruning.mode),
            floor_before: extent.states_floor(),
            floor: extent.states_floor(),
            archive: archived.map(|Archived { address, .. }| address),
            diverged: (pruning.swept != said).then_some(said),
            file_bytes: database.stats()?.file_bytes,
            free_bytes_before: free_bytes,
            free_bytes,
            ..Pruned::default()
        };
        Ok(Begun { pruned, pruning, hold })
    }

    fn blocks_below(
        &self,
        database: &DatabaseView,
        from: SlotRoot,
        floor: Slot,
    ) -> Result<u64, PruneError> {
        Ok(count::<Headers>(&database.read()?, from, SlotRoot::first_of(floor))?)
    }
}

/// A job that begins, or goes on.
struct Begun {
    pruned: Pruned,
    pruning: Pruning,
    hold: Hold,
}

impl Pruned {
    /// The floor as it is while an archive lacks states, and the proofs that go with them.
    fn hold(&mut self, hold: &Hold, wanted: Slot) -> Slot {
        let floor = hold.states_floor(wanted, self.mode == PruneMode::Light);
        self.held = wanted - floor;
        floor
    }
}

/// Drops the orphans below this slot, and counts in the tables what that was.
fn drop_forks(
    database: &Database,
    limit: Slot,
    steps: &mut Steps<'_>,
    pruned: &mut Pruned,
) -> Result<(), PruneError> {
    let orphans = forks::orphans(&database.read()?, limit)?;
    let all =
        || Ok::<_, PruneError>((Left::count(&database.read()?)?.blocks, rows_in_all(database)?));
    let (blocks, rows) = all()?;
    let mut left = &orphans[..];
    (steps.done, steps.total) = (0, left.len() as u64);
    while !left.is_empty() {
        steps.next("forks", |blocks_max| {
            let (now, rest) = left.split_at(blocks_max.min(left.len()));
            let mut txn = database.write()?;
            forks::drop_blocks(&mut txn, now)?;
            txn.commit()?;
            (left, pruned.commits) = (rest, pruned.commits + 1);
            Ok((now.len() as u64, !rest.is_empty()))
        })?;
    }
    let (blocks_after, rows_after) = all()?;
    (pruned.forks, pruned.fork_rows) = (blocks - blocks_after, rows - rows_after);
    Ok(())
}

/// What pruning states could have broken; where blocks went too, everything.
fn check(
    database: &Database,
    everything: bool,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    pruned: &mut Pruned,
) -> Result<(), PruneError> {
    let report = match everything {
        true => {
            let identity = |txn: &ReadTxn<'_>| Identity::read(txn);
            invariants::check(database, identity, invariants::all_lanes(), progress)?
        }
        false => invariants::check_kept(database, pruned.floor, progress)?,
    };
    pruned.checked_all = everything;
    match report.findings.into_iter().next() {
        Some(first) => Err(PruneError::Findings { count: report.finding_count, first }),
        None if report.stopped => Err(PruneError::Stopped),
        None => Ok(()),
    }
}

/// Commits of a job, told one by one.
struct Steps<'a> {
    blocks_max: usize,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

impl Steps<'_> {
    /// Commits a step, which says how many blocks that were and whether there are more. Says so too.
    fn next(
        &mut self,
        stage: &'static str,
        step: impl FnOnce(usize) -> Result<(u64, bool), ReadError>,
    ) -> Result<bool, PruneError> {
        match step(self.blocks_max) {
            Ok((blocks, has_more)) => {
                self.done += blocks;
                let (done, total) = (self.done, self.total.max(self.done));
                match (self.progress)(Progress { stage, done, total }) {
                    ControlFlow::Continue(()) => Ok(has_more),
                    ControlFlow::Break(()) => Err(PruneError::Stopped),
                }
            }
            // Fewer rows rewrite fewer pages, and what they free the next commit has.
            Err(ReadError::Engine(error))
                if error.consequence == Consequence::NoSpace
                    && self.blocks_max > COMMIT_BLOCKS_MIN =>
            {
                self.blocks_max = (self.blocks_max / 2).max(COMMIT_BLOCKS_MIN);
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A chain without a head is none.
const NO_HEAD: ChainOpenError = ChainOpenError::NoIdentity("it has no fork choice row");

/// One step, and the mode with it.
fn commit(
    database: &Database,
    mode: PruneMode,
    pruning: &mut Pruning,
    floor: Floor,
    blocks_max: usize,
) -> Result<StatesStep, ReadError> {
    let mut txn = database.write()?;
    let mut next = Pruning { mode, ..*pruning };
    if next != Pruning::read(&txn).unwrap_or_default() {
        next.put(&mut txn)?;
    }
    let step = kept::step(&mut txn, &mut next, floor, blocks_max)?;
    txn.commit()?;
    *pruning = next;
    Ok(step)
}

fn free_bytes(database: &DatabaseView) -> Result<u64, PruneError> {
    let stats = database.stats()?;
    Ok(stats.free_pages * stats.page_bytes)
}
