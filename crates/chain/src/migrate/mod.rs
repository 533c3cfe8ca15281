//! A database of one schema becomes one of another: beside it, in bounded commits, and then in its place.
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
//! | where a schema keeps its rows | `side` |
//! | which rows become what | `carry`, `diffs`, `live` |
//! | in which order, and how many at once | `steps`, `job` |
//! | what `Meta` says, and whether the other schema can say it | `said` |
//! | which checks end it | `job`, `whole` |
//!
//! There is one step up and one down between any two schemas, made in one go: rows are read as one schema has them and
//! written as the other does. Invariants are checked where a database is of today's schema, the new one or the old one;
//! where neither is, that every block is whole.
//!
//! Nothing is guessed: a damaged row of the old database is named, and ends it. But of databases of older schemas, which no
//! program here repairs, a row of an index or of the live tree follows from headers and is derived on the way to today's
//! schema, a vote that cannot be read is left out, and a key whose guard cannot be read signs no more; the latter two are
//! counted. A row that the other schema cannot say is
//! named, and there is no way.

mod carry;
mod diffs;
mod error;
mod job;
mod live;
mod place;
mod row;
mod said;
mod side;
mod steps;
mod whole;

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use lamella_tables::{
    Database, DatabaseView, FolderLock, LockedView, OpenMode, Options, ReadError, SignGuard, Votes,
};

use crate::{identity::schema_row, invariants::Progress, recover::Recovered};
use job::{Ended, Job};
use row::{MigrationRow, Source};
use said::Said;
use side::{Schema, Side};

pub use error::MigrateError;

/// Rows, or blocks with all their parts, that one commit moves.
const COMMIT_ROWS_MAX: usize = 4_096;

/// A migration to be made.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The schema to reach; `None` for that of the migration that is under way, else today's.
    pub to: Option<u32>,
    /// Milliseconds of a slot of the network, which schemas before 3 do not store.
    pub slot_ms: u64,
    /// Rows moved by one commit.
    pub commit_rows_max: usize,
    /// Whether to go on with what an interrupted run left; otherwise that is deleted first.
    pub resume: bool,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migrated {
    /// The database had this schema already.
    Nothing {
        /// The schema.
        schema: u32,
    },
    /// It has it now.
    Done(Done),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The schema that it had.
    pub from: u32,
    /// The schema that it has now.
    pub to: u32,
    /// Milliseconds of a slot, if the old database said so and the new one does not.
    pub slot_ms_unsaid: Option<u64>,
    /// Rows that this run moved, a block with its parts counted as one.
    pub rows: u64,
    /// Rows that the new tables hold, counted there, a block with its parts counted as one.
    pub rows_in_all: u64,
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

/// What a migration would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The schema that the database has.
    pub from: u32,
    /// The schema that it would have.
    pub to: u32,
    /// Rows of each table that would go along, but those of `Meta`.
    pub rows: Vec<(&'static str, u64)>,
    /// Rows that cannot be read, and would be left out or replaced by what is safe.
    pub replaced: u64,
    /// Bytes of the database. The new one takes about as many.
    pub bytes: u64,
    /// Whether a migration is under way, with which it would go on.
    pub is_under_way: bool,
}

impl Migration {
    /// A migration to today's schema, or to that which one under way has, of a network with slots of this length.
    #[must_use]
    pub const fn new(slot_ms: u64) -> Self {
        Self { to: None, slot_ms, commit_rows_max: COMMIT_ROWS_MAX, resume: true }
    }

    /// A migration to this schema.
    #[must_use]
    pub const fn to(schema: u32, slot_ms: u64) -> Self {
        Self { to: Some(schema), ..Self::new(slot_ms) }
    }

    /// Migrates the database at `path`, or goes on with that. `progress` is called after each commit and may stop it.
    ///
    /// # Errors
    /// [`MigrateError`]; the old database is as it was.
    ///
    /// # Cost
    /// Each row is read twice and written once, and where either schema is today's, each state reconstructed and hashed
    /// once. The new database takes about as much disk as the old one, which stays.
    pub fn run(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Migrated, MigrateError> {
        let new_path = place::new(path);
        if !self.resume {
            give_up(path, &new_path)?;
        }
        let begun = place::under_way(path)?;
        let to = self.target(begun.as_ref(), &new_path)?;
        // Killed between the two renamings: the old database has its new name already.
        let renamed = begun.as_ref().map(|begun| place::old(path, begun.from));
        let renamed = renamed.filter(|old| !path.exists() && old.exists());
        let old = DatabaseView::open_locked(renamed.as_deref().unwrap_or(path))?;
        let from = said::schema(&old.read()?)?;
        if from == to {
            return match begun {
                None => Ok(Migrated::Nothing { schema: to.version() }),
                Some(MigrationRow { to, .. }) => Err(other_target(to, new_path)),
            };
        }
        let old_path = place::old(path, from);
        if renamed.is_none() && old_path.exists() {
            return Err(MigrateError::InTheWay { path: old_path });
        }
        let said = self.read(&old, from, to)?;
        let (new, row, began_again) = self.begin(&old, &said, to, &new_path)?;
        let slot_ms = said.identity.slot_ms;
        let mut job = Job { old: &old, said, new, path: &new_path, row, progress, rows: 0 };
        let mut ended = Ended::default();
        if schema_row(&job.new.read()?).map_err(|error| of_new(error, &new_path))?.is_none() {
            ended = job.run(self.commit_rows_max)?;
        }
        let rows_in_all = job.rows_in_all()?;
        let Job { new, row, rows, .. } = job;
        drop(new);
        place::swap(path, from)?;
        Ok(Migrated::Done(Done {
            from: from.version(),
            to: to.version(),
            slot_ms_unsaid: from.is_today().then_some(slot_ms),
            rows,
            rows_in_all,
            votes_dropped: row.votes_dropped,
            keys_silenced: row.keys_silenced,
            recovered: ended.recovered,
            began_again,
            diverged: ended.diverged,
            old_bytes: place::bytes(&old_path)?,
            old: old_path,
        }))
    }

    /// Says what [`Migration::run`] would do: reads each row, and writes none. `None` if there is nothing to do. Works beside
    /// a running node.
    ///
    /// # Errors
    /// What would end the migration before its last checks: a row that cannot be trusted or that the other schema cannot
    /// say, a slot length that cannot be.
    pub fn look(
        &self,
        path: &Path,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Look>, MigrateError> {
        let begun = place::under_way(path)?;
        let to = self.target(begun.as_ref(), &place::new(path))?;
        let old = DatabaseView::open(path)?;
        let from = said::schema(&old.read()?)?;
        if from == to {
            return Ok(None);
        }
        self.read(&old, from, to)?.check_slot_length(&old)?;
        let mut rows = Vec::new();
        let mut replaced = 0;
        let tables = steps::all(to);
        for (done, tables) in (1..).zip(tables) {
            let looked = (tables.look)(Side { txn: &old.read()?, schema: from }, to)?;
            rows.push((tables.table, looked.rows));
            replaced += looked.replaced;
            let total = steps::all(to).len() as u64;
            if progress(Progress { stage: tables.table, done, total }).is_break() {
                return Err(MigrateError::Stopped);
            }
        }
        let (from, to, is_under_way) = (from.version(), to.version(), begun.is_some());
        Ok(Some(Look { from, to, rows, replaced, bytes: place::bytes(path)?, is_under_way }))
    }

    /// The schema to reach.
    fn target(&self, begun: Option<&MigrationRow>, path: &Path) -> Result<Schema, MigrateError> {
        let begun = begun.map(|begun| begun.to);
        let Some(to) = self.to else { return Ok(begun.unwrap_or(Schema::Three)) };
        let to = Schema::of(to).ok_or(MigrateError::To { to })?;
        match begun {
            Some(begun) if begun != to => Err(other_target(begun, path.to_owned())),
            _ => Ok(to),
        }
    }

    /// What the old database says, if the other schema can say it.
    fn read(&self, old: &DatabaseView, from: Schema, to: Schema) -> Result<Said, MigrateError> {
        let txn = old.read()?;
        let side = Side { txn: &txn, schema: from };
        let said = Said::read(side, self.slot_ms)?;
        said.check_sayable(side, to)?;
        if to < from {
            // Before anything is begun: a node may go on.
            steps::look::<Votes>(side, to)?;
            steps::look::<SignGuard>(side, to)?;
        }
        Ok(said)
    }

    /// Opens the new database, made if there is none; one of another state of the old database is thrown away.
    fn begin(
        &self,
        old: &LockedView,
        said: &Said,
        to: Schema,
        path: &Path,
    ) -> Result<(Database, MigrationRow, bool), MigrateError> {
        let stats = old.stats()?;
        let page_bytes = usize::try_from(stats.page_bytes).ok();
        let options = Options { page_bytes, trees: to.trees(), ..Options::new(OpenMode::Create) };
        let row = MigrationRow {
            source: Source::of(&said.identity, stats.last_transaction),
            from: said::schema(&old.read()?)?,
            to,
            slot_ms: said.identity.slot_ms,
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
            if found.slot_ms != row.slot_ms && to.is_today() && !is_finished {
                let (begun, path) = (found.slot_ms, path.to_owned());
                return Err(MigrateError::OtherSlotLength { begun, path });
            }
            return Ok((new, found, false));
        }
        if to.is_today() {
            said.check_slot_length(old)?;
        }
        let mut txn = new.write()?;
        row.put(&mut txn)?;
        txn.commit()?;
        Ok((new, row, began_again))
    }
}

/// Deletes what an interrupted run left, unless it may be the only database: then the migration is ended.
fn give_up(path: &Path, new_path: &Path) -> Result<(), MigrateError> {
    if !path.exists() || !new_path.exists() {
        return Ok(());
    }
    // Nobody else is at either.
    let _locks = [FolderLock::take(path)?, FolderLock::take(new_path)?];
    place::remove(new_path)
}

fn other_target(begun: Schema, path: PathBuf) -> MigrateError {
    MigrateError::OtherTarget { begun: begun.version(), path }
}

/// What an unreadable row of the new database means: it is not what was written.
fn of_new(error: ReadError, path: &Path) -> MigrateError {
    match error {
        ReadError::Damaged(damage) => MigrateError::Differs {
            table: damage.table,
            key: damage.key_text(),
            path: path.to_owned(),
        },
        ReadError::Engine(error) => MigrateError::Engine(error),
    }
}
