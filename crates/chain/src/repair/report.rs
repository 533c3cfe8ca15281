//! What a repair did, or would do.

use std::fmt;

use lamella_tables::TABLES;

use crate::recover::Recovered;

/// Rows that a report names; further ones are counted.
const NAMED_MAX: usize = 1_000;

/// One row that was, or would be, written or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// Its table.
    pub table: &'static str,
    /// Its key.
    pub key: Vec<u8>,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: To,
    /// Why that can be believed.
    pub proof: &'static str,
}

/// What a row becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// What it was before the damage.
    Row,
    /// Something that says that it is not known.
    Mark,
    /// Nothing.
    Nothing,
}

/// A row that cannot be made again from what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrepaired {
    /// Its table.
    pub table: &'static str,
    /// Its key.
    pub key: Vec<u8>,
    /// Why not, and what helps.
    pub why: String,
}

/// What a repair did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Rows, up to a thousand.
    pub repairs: Vec<Repair>,
    /// Rows in all.
    pub repair_count: u64,
    /// What was derived from headers, states and votes, counted.
    pub derived: Recovered,
    /// Rows that stay as they are, up to a thousand.
    pub unrepaired: Vec<Unrepaired>,
    /// In all.
    pub unrepaired_count: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

impl RepairReport {
    /// Rows written or deleted.
    #[must_use]
    pub const fn row_count(&self) -> u64 {
        self.repair_count + self.derived.row_count()
    }

    /// Whether there was nothing to repair.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.row_count() == 0 && self.unrepaired_count == 0 && !self.stopped
    }

    pub(super) fn repaired(&mut self, repair: Repair) {
        self.repair_count += 1;
        if self.repairs.len() < NAMED_MAX {
            self.repairs.push(repair);
        }
    }

    pub(super) fn cannot(&mut self, table: &'static str, key: Vec<u8>, why: String) {
        self.unrepaired_count += 1;
        if self.unrepaired.len() < NAMED_MAX {
            self.unrepaired.push(Unrepaired { table, key, why });
        }
    }

    pub(super) fn derive(&mut self, more: Recovered) {
        let derived = &mut self.derived;
        derived.votes += more.votes;
        derived.slots += more.slots;
        derived.canonical += more.canonical;
        derived.fork_choice |= more.fork_choice;
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, from, to, proof } = self;
        let to = match to {
            To::Row => "made again",
            To::Mark => "marked",
            To::Nothing => "deleted",
        };
        write!(f, "{table}, key {}: {from}; {to}: {proof}", Key { table, key })
    }
}

impl fmt::Display for Unrepaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, key, why } = self;
        write!(f, "{table}, key {}: {why}", Key { table, key })
    }
}

/// A key in words, or in hex.
struct Key<'a> {
    table: &'a str,
    key: &'a [u8],
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = TABLES.iter().find(|info| info.name == self.table);
        match info.and_then(|info| (info.key_text)(self.key)) {
            Some(text) => f.write_str(&text),
            None => self.key.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}
