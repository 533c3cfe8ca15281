//! A migration under way: rows moved commit by commit, compared, checked, and only then called a chain.

use std::{ops::ControlFlow, path::Path};

use lamella_tables::{
    Database, DatabaseView, LockedView, Meta, MetaName, Read as _, ReadTxn, SignGuard, Table as _,
    Votes,
};

use super::{
    error::MigrateError,
    live, of_new,
    row::{Frontier, MigrationRow},
    said::Said,
    side::{Schema, Side},
    steps::{self, Chunk, Step, damaged_indexes, is_derived},
    whole,
};
use crate::{
    Identity,
    identity::put_schema,
    invariants::{self, Progress},
    meta::FORK_CHOICE,
    recover::{self, Recovered},
};

/// The frontier's table once every row of the other tables has been moved and compared.
const COMPARED: &str = "Meta";

/// What moving the rows found.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) recovered: Recovered,
    pub(super) diverged: Option<String>,
}

/// A migration under way.
pub(super) struct Job<'a> {
    pub(super) old: &'a LockedView,
    pub(super) said: Said,
    pub(super) new: Database,
    /// Of the new database.
    pub(super) path: &'a Path,
    pub(super) row: MigrationRow,
    pub(super) progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    pub(super) rows: u64,
}

impl Job<'_> {
    pub(super) fn run(&mut self, commit_rows_max: usize) -> Result<Ended, MigrateError> {
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
        let recovered = if self.to().is_today() { self.derive()? } else { Recovered::default() };
        self.check()?;
        let mut txn = self.new.write()?;
        put_schema(&mut txn, self.to().version())?;
        txn.commit()?;
        Ok(Ended { recovered, diverged })
    }

    /// Rows of the new tables but `Meta`, counted there.
    pub(super) fn rows_in_all(&self) -> Result<u64, MigrateError> {
        let txn = self.new.read()?;
        let side = Side { txn: &txn, schema: self.to() };
        let count = |step: &Step| (step.count)(side).map_err(|error| of_new(error, self.path));
        steps::steps(self.to()).iter().map(count).sum()
    }

    const fn from(&self) -> Schema {
        self.row.from
    }

    const fn to(&self) -> Schema {
        self.row.to
    }

    /// What follows from headers, states and votes: all of it where the old indexes had rows that could not be read.
    fn derive(&self) -> Result<Recovered, MigrateError> {
        let damaged = damaged_indexes(Side { txn: &self.old.read()?, schema: self.from() })?;
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
        let row = self.new.read()?.get::<Meta>(&MetaName::new(FORK_CHOICE));
        Ok(row.map_err(|error| of_new(error, self.path))?.is_some())
    }

    /// The last row that the new tables hold.
    fn last_row(&self) -> Result<Option<Frontier>, MigrateError> {
        let txn = self.new.read()?;
        for step in steps::steps(self.to()).iter().rev() {
            let last = (step.last)(Side { txn: &txn, schema: self.to() });
            if let Some(key) = last.map_err(|error| of_new(error, self.path))? {
                return Ok(Some(Frontier { table: step.table.to_owned(), key }));
            }
        }
        Ok(None)
    }

    fn copy(&mut self, from: Option<Frontier>, rows_max: usize) -> Result<(), MigrateError> {
        let steps = steps::steps(self.to());
        let first =
            from.as_ref().and_then(|from| steps.iter().position(|step| step.table == from.table));
        let mut after = from.map(|from| from.key).unwrap_or_default();
        for step in &steps[first.unwrap_or_default()..] {
            let total = (step.count)(Side { txn: &self.old.read()?, schema: self.from() })?;
            let mut done = (step.count)(Side { txn: &self.new.read()?, schema: self.to() })?;
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
        let old = self.old.read()?;
        let side = Side { txn: &old, schema: self.from() };
        let chunk = (step.copy)(side, self.to(), &mut txn, after, rows_max)?;
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
        let tables = steps::all(self.to());
        for (done, tables) in (1..).zip(tables) {
            let compared = {
                let (old, new) = (self.old.read()?, self.new.read()?);
                let old = Side { txn: &old, schema: self.from() };
                (tables.compare)(old, Side { txn: &new, schema: self.to() }, self.path)?
            };
            match tables.table {
                Votes::NAME => self.row.votes_dropped = compared.replaced,
                SignGuard::NAME => self.row.keys_silenced = compared.replaced,
                _ => {}
            }
            self.tell("comparing tables", done, steps::all(self.to()).len() as u64)?;
        }
        if self.from().is_today() {
            return Ok(());
        }
        let (old, new) = (self.old.read()?, self.new.read()?);
        let old = Side { txn: &old, schema: self.from() };
        live::compare(old, Side { txn: &new, schema: self.to() })
    }

    fn put_meta(&mut self) -> Result<(), MigrateError> {
        let mut txn = self.new.write()?;
        self.said.put(&mut txn, self.to())?;
        self.row.frontier = Some(Frontier { table: COMPARED.to_owned(), key: Vec::new() });
        self.row.put(&mut txn)?;
        txn.commit()?;
        self.tell("head and checkpoints", 1, 1)
    }

    /// Every invariant, of whichever database is today's. A new one does not say its schema yet.
    fn check(&mut self) -> Result<(), MigrateError> {
        if !self.to().is_today() {
            whole::check(&self.new.read()?, self.to())?;
        }
        let database: &DatabaseView = match (self.from().is_today(), self.to().is_today()) {
            (_, true) => &self.new,
            (true, false) => self.old,
            (false, false) => return self.tell("blocks", 1, 1),
        };
        let identity = |txn: &ReadTxn<'_>| Identity::read_row(txn).map(Some);
        let report = invariants::check(database, identity, invariants::all_lanes(), self.progress)?;
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
