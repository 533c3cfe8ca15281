//! A database of schema 2 becomes one of schema 3: beside it, in bounded commits, and then in its place.
//!
//! The old database is only read, under the writer's lock, so that no node runs; what is made of it is no database until it
//! is whole. Each commit moves rows and the frontier with them (`row`), so it may be killed at any instant: run again,
//! it looks how far the new tables are, believes them, and goes on. When every row has been moved, both databases are
//! compared row by row, what follows from headers and votes is derived where it disagrees, every invariant is checked,
//! and only then the schema row is written, which makes it a chain. Two renamings end it (`place`). The old database is
//! kept.
//!
//! | | |
//! |---|---|
//! | which rows become what | `steps`, `diffs` |
//! | what `Meta` said and says now | `old` |
//!
//! Nothing is guessed: a damaged row of the old database is named, and ends it. But a row of an index or of the old live
//! tree follows from headers and is derived, a vote that cannot be read is left out, and a key whose guard cannot be read
//! signs no more; the latter two are counted.

mod diffs;
mod error;
mod old;
mod place;
mod row;
mod steps;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use lamella_tables::{
    Database, DatabaseView, LockedView, OpenMode, Options, ReadTxn, SignGuard, Table as _, Votes,
};

use crate::{
    Identity,
    identity::{put_schema, schema_row},
    invariants::{self, Progress},
    meta::ForkChoiceRow,
    recover::{self, Recovered},
};
use old::Old;
use row::{Frontier, MigrationRow, Source};
use steps::{COMPARE, Chunk, STEPS, Step, damaged_indexes, is_derived, of_new};

pub use error::MigrateError;

/// Rows, or blocks with all their parts, that one commit moves.
const COMMIT_ROWS_MAX: usize = 4_096;

/// The frontier's table once every row of the other tables has been moved and compared.
const COMPARED: &str = "Meta";

/// A migration to be made.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Milliseconds of a slot of the network, which schema 2 did not store.
    pub slot_ms: u64,
    /// Rows moved by one commit.
    pub commit_rows_max: usize,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migrated {
    /// The database had this schema already.
    Nothing,
    /// It has it now.
    Done(Done),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Rows that this run moved, a block with its parts counted as one.
    pub rows: u64,
    /// Votes that could not be read and were left out.
    pub votes_dropped: u64,
    /// Rows of the sign guard that could not be read: their keys sign no more.
    pub keys_silenced: u64,
    /// What did not follow from headers, states and votes, and was derived again.
    pub recovered: Recovered,
    /// Whether an earlier migration was thrown away: the old database had changed since.
    pub began_again: bool,
    /// Table and key that the frontier named, if the tables were not that far or farther. They were believed.
    pub diverged: Option<String>,
    /// Where the old database is kept.
    pub old: PathBuf,
    /// Its bytes.
    pub old_bytes: u64,
}

impl Migration {
    /// A migration of a network with slots of this length.
    #[must_use]
    pub const fn new(slot_ms: u64) -> Self {
        Self { slot_ms, commit_rows_max: COMMIT_ROWS_MAX }
    }

    /// Migrates the database at `path`, or goes on with that. `progress` is called after each commit and may stop it.
    ///
    /// # Errors
    /// [`MigrateError`]; the old database is as it was.
    ///
    /// # Cost
    /// Each row is read twice and written once, each state reconstructed and hashed once. The new database takes about
    /// as much disk as the old one, which stays.
    pub fn run(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Migrated, MigrateError> {
        let (new_path, old_path) = (place::new(path), place::old(path));
        // Killed between the two renamings: the old database has its new name already.
        let is_renamed = !path.exists() && new_path.exists() && old_path.exists();
        let at = if is_renamed { &old_path } else { path };
        let old = DatabaseView::open_locked(at)?;
        if old::is_new(&old.read()?)? {
            return Ok(Migrated::Nothing);
        }
        if !is_renamed && old_path.exists() {
            return Err(MigrateError::InTheWay { path: old_path });
        }
        let meta = Old::read(&old.read()?)?;
        let (new, row, began_again) = self.begin(&old, &meta, &new_path)?;
        let mut job = Job { old: &old, meta, new, path: &new_path, row, progress, rows: 0 };
        let mut ended = Ended::default();
        if schema_row(&job.new.read()?).map_err(|error| of_new(error, &new_path))?.is_none() {
            ended = job.run(self.commit_rows_max)?;
        }
        let Job { new, row, rows, .. } = job;
        drop(new);
        place::swap(path)?;
        Ok(Migrated::Done(Done {
            rows,
            votes_dropped: row.votes_dropped,
            keys_silenced: row.keys_silenced,
            recovered: ended.recovered,
            began_again,
            diverged: ended.diverged,
            old_bytes: place::bytes(&old_path)?,
            old: old_path,
        }))
    }

    /// Opens the new database, made if there is none; one of another state of the old database is thrown away.
    fn begin(
        &self,
        old: &LockedView,
        meta: &Old,
        path: &Path,
    ) -> Result<(Database, MigrationRow, bool), MigrateError> {
        let stats = old.stats()?;
        let page_bytes = usize::try_from(stats.page_bytes).ok();
        let options = Options { page_bytes, ..Options::new(OpenMode::Create) };
        let row = MigrationRow {
            source: Source::of(&meta.identity, stats.last_transaction),
            slot_ms: self.slot_ms,
            votes_dropped: 0,
            keys_silenced: 0,
            frontier: None,
        };
        let mut new = Database::open(path, options)?;
        let found = MigrationRow::read(&new.read()?).map_err(|error| of_new(error, path))?;
        let began_again = found.as_ref().is_some_and(|found| found.source != row.source);
        if began_again {
            drop(new);
            place::remove(path)?;
            new = Database::open(path, options)?;
        }
        if let Some(found) = found.filter(|_| !began_again) {
            let is_finished = schema_row(&new.read()?)?.is_some();
            if found.slot_ms != self.slot_ms && !is_finished {
                let (begun, path) = (found.slot_ms, path.to_owned());
                return Err(MigrateError::OtherSlotLength { begun, path });
            }
            return Ok((new, found, false));
        }
        meta.check_slot_length(old, self.slot_ms)?;
        let mut txn = new.write()?;
        row.put(&mut txn)?;
        txn.commit()?;
        Ok((new, row, began_again))
    }
}

/// What moving the rows found.
#[derive(Default)]
struct Ended {
    recovered: Recovered,
    diverged: Option<String>,
}

/// A migration under way.
struct Job<'a> {
    old: &'a LockedView,
    meta: Old,
    new: Database,
    /// Of the new database.
    path: &'a Path,
    row: MigrationRow,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    rows: u64,
}

impl Job<'_> {
    fn run(&mut self, commit_rows_max: usize) -> Result<Ended, MigrateError> {
        let mut diverged = None;
        if !self.is_compared()? {
            let found = self.last_row()?;
            if found != self.row.frontier {
                let said = self.row.frontier.as_ref();
                diverged = Some(said.map_or_else(|| "no row".to_owned(), Frontier::to_string));
            }
            self.copy(found, commit_rows_max)?;
            self.compare()?;
            self.put_meta()?;
        }
        let recovered = self.derive()?;
        self.check()?;
        let mut txn = self.new.write()?;
        put_schema(&mut txn)?;
        txn.commit()?;
        Ok(Ended { recovered, diverged })
    }

    /// What follows from headers, states and votes: all of it where the old indexes had rows that could not be read.
    fn derive(&self) -> Result<Recovered, MigrateError> {
        let damaged = damaged_indexes(&self.old.read()?)?;
        if damaged.is_empty() {
            return Ok(recover::open(&self.new)?.1);
        }
        let (_, recovered) = recover::derive(&self.new)?;
        let txn = self.new.read()?;
        for damage in damaged {
            if !is_derived(&txn, &damage)? {
                return Err(MigrateError::Damaged(damage));
            }
        }
        Ok(recovered)
    }

    /// Whether everything has been moved and compared: the rows of `Meta` come after that.
    fn is_compared(&self) -> Result<bool, MigrateError> {
        let row = ForkChoiceRow::read(&self.new.read()?);
        Ok(row.map_err(|error| of_new(error, self.path))?.is_some())
    }

    /// The last row that the new tables hold.
    fn last_row(&self) -> Result<Option<Frontier>, MigrateError> {
        let txn = self.new.read()?;
        for step in STEPS.iter().rev() {
            let last = (step.last)(&txn).map_err(|error| of_new(error, self.path))?;
            if let Some(key) = last {
                return Ok(Some(Frontier { table: step.table.to_owned(), key }));
            }
        }
        Ok(None)
    }

    fn copy(&mut self, from: Option<Frontier>, rows_max: usize) -> Result<(), MigrateError> {
        let first =
            from.as_ref().and_then(|from| STEPS.iter().position(|step| step.table == from.table));
        let mut after = from.map(|from| from.key).unwrap_or_default();
        for step in &STEPS[first.unwrap_or_default()..] {
            let (total, mut done) = (step.counts)(&self.old.read()?, &self.new.read()?)?;
            loop {
                let chunk = self.copy_chunk(step, &after, rows_max)?;
                if let Some(key) = chunk.last {
                    after = key;
                }
                self.rows += chunk.rows;
                done += chunk.rows;
                self.tell(step.table, done, total)?;
                if chunk.is_end {
                    break;
                }
            }
            after.clear();
        }
        Ok(())
    }

    /// One commit: rows, and the frontier behind them.
    fn copy_chunk(
        &mut self,
        step: &Step,
        after: &[u8],
        rows_max: usize,
    ) -> Result<Chunk, MigrateError> {
        let mut txn = self.new.write()?;
        let chunk = (step.copy)(&self.old.read()?, &mut txn, after, rows_max)?;
        if let Some(key) = &chunk.last {
            let (table, key) = (step.table.to_owned(), key.clone());
            self.row.frontier = Some(Frontier { table, key });
            self.row.put(&mut txn)?;
            txn.commit()?;
        }
        Ok(chunk)
    }

    /// Every row of the old database is in the new one, and no other.
    fn compare(&mut self) -> Result<(), MigrateError> {
        let total = COMPARE.len() as u64;
        for (done, (table, compare)) in (1..).zip(COMPARE) {
            let compared = compare(&self.old.read()?, &self.new.read()?, self.path)?;
            match table {
                Votes::NAME => self.row.votes_dropped = compared.replaced,
                SignGuard::NAME => self.row.keys_silenced = compared.replaced,
                _ => {}
            }
            self.tell("comparing tables", done, total)?;
        }
        self.meta.compare_live_tree(&self.old.read()?, &self.new.read()?)
    }

    fn put_meta(&mut self) -> Result<(), MigrateError> {
        let mut txn = self.new.write()?;
        self.meta.identity(self.row.slot_ms).put_row(&mut txn)?;
        self.meta.extent().put(&mut txn)?;
        self.meta.fork_choice().put(&mut txn)?;
        self.row.frontier = Some(Frontier { table: COMPARED.to_owned(), key: Vec::new() });
        self.row.put(&mut txn)?;
        txn.commit()?;
        self.tell("head and checkpoints", 1, 1)
    }

    /// Every invariant, of a database that does not say its schema yet.
    fn check(&mut self) -> Result<(), MigrateError> {
        let identity = |txn: &ReadTxn<'_>| Identity::read_row(txn).map(Some);
        let report =
            invariants::check(&self.new, identity, invariants::all_lanes(), self.progress)?;
        match report.findings.into_iter().next() {
            None if report.stopped => Err(MigrateError::Stopped),
            None => Ok(()),
            Some(first) => Err(MigrateError::Findings { count: report.finding_count, first }),
        }
    }

    fn tell(&mut self, stage: &'static str, done: u64, total: u64) -> Result<(), MigrateError> {
        match (self.progress)(Progress { stage, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(MigrateError::Stopped),
        }
    }
}
