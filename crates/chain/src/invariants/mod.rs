//! The checker: every numbered invariant that a directory can break, each with a `check_*`.
//!
//! Tables of blocks and states only grow, so they are walked in chunks, each in its own short read transaction, and
//! the check can run for hours beside a node without pinning its pages. Head, canonical index, live tree and votes
//! change with every block, so they are checked against each other in one snapshot, which the length of a chain bounds.
//! So are the engine's pages, and there a writer beside the walk bounds its time.
//!
//! A finding never stops the check and never changes a row.

mod beside;
mod blocks;
mod head;
mod lane;
mod pages;
mod parts;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZero,
    ops::{ControlFlow, Range},
    thread::available_parallelism,
    time::Duration,
};

use lamella_tables::{
    Anchors, Bodies, Canonical, Damage, DatabaseView, Diffs, EngineError, ReadError, ReadTxn,
    SlotRoot, Slots, Table as _,
};
use lamella_types::{SEGMENT_ROOTS, Slot};

use crate::{error::ChainOpenError, identity::Identity};

pub use pages::PAGES_STAGE;

/// Findings kept in a report; further ones are counted.
pub const FINDINGS_MAX: usize = 1_000;

/// Rows looked at in one read transaction: a few hundred milliseconds of full state verification.
const CHUNK_ROWS: usize = 1_024;

/// Slots whose blocks are checked together: each begins with an anchor, so none needs a state of another.
const SHARD_SLOTS: u64 = SEGMENT_ROOTS as u64;

/// Shards that are checked at the same time at most.
const LANES_MAX: usize = 16;

/// States that a lane keeps in memory: a block needs its parent's, and its anchor's.
const LANE_CACHE_BYTES: usize = 8 << 20;

/// Longest that a chunk holds its snapshot, and a row more: on a slow disk it ends at the row that it has reached.
const CHUNK_TIME_MAX: Duration = Duration::from_secs(4);

/// Longest walk over the pages, which needs one snapshot, beside a writer: at 0.2 MB a slot of 4 s the file grows by
/// 30 MB meanwhile.
const PAGE_WALK_TIME_MAX: Duration = Duration::from_secs(600);

/// Something that an invariant forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The invariant, as in the crate's table.
    pub invariant: &'static str,
    /// What is wrong, with table and key.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// What the checker has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Checks made, by invariant.
    pub checks: BTreeMap<&'static str, u64>,
    /// What was found, up to [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings in all.
    pub finding_count: u64,
    /// Rows that cannot be read, each once, up to [`FINDINGS_MAX`].
    pub damaged: Vec<Damage>,
    /// Names in Meta that this version does not know: tolerated, up to [`FINDINGS_MAX`].
    pub unknown_meta: Vec<String>,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

impl Report {
    /// Whether everything was checked and nothing found.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.finding_count == 0 && !self.stopped
    }

    /// Checks made in all.
    #[must_use]
    pub fn check_count(&self) -> u64 {
        self.checks.values().sum()
    }

    /// Counts one check of an invariant.
    pub(crate) fn check(
        &mut self,
        invariant: &'static str,
        holds: bool,
        what: impl FnOnce() -> String,
    ) {
        *self.checks.entry(invariant).or_default() += 1;
        if !holds {
            self.finding_count += 1;
            if self.findings.len() < FINDINGS_MAX {
                self.findings.push(Finding { invariant, what: what() });
            }
        }
    }

    /// Takes what was checked beside this, after it.
    fn join(&mut self, later: Self) {
        for (invariant, checks) in later.checks {
            *self.checks.entry(invariant).or_default() += checks;
        }
        self.finding_count += later.finding_count;
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        self.findings.extend(later.findings.into_iter().take(room));
        later.damaged.iter().for_each(|damage| self.damaged(damage));
    }

    /// Keeps a row that cannot be read, for whoever can repair it.
    pub(crate) fn damaged(&mut self, damage: &Damage) {
        let is_new = |kept: &Damage| (kept.table, &kept.key) != (damage.table, &damage.key);
        if self.damaged.len() < FINDINGS_MAX && self.damaged.iter().all(is_new) {
            self.damaged.push(damage.clone());
        }
    }

    /// Counts checks that were made elsewhere, `found` of them in vain.
    pub(crate) fn add<T: fmt::Display>(
        &mut self,
        invariant: &'static str,
        checks: u64,
        found: u64,
        findings: impl Iterator<Item = T>,
    ) {
        *self.checks.entry(invariant).or_default() += checks;
        self.finding_count += found;
        let room = FINDINGS_MAX.saturating_sub(self.findings.len());
        let findings = findings.map(|what| Finding { invariant, what: what.to_string() });
        self.findings.extend(findings.take(room));
    }

    /// Counts one check that is a read: damage is a finding, an engine failure ends the check.
    pub(crate) fn check_read<T>(
        &mut self,
        invariant: &'static str,
        read: Result<T, ReadError>,
    ) -> Result<Option<T>, EngineError> {
        match read {
            Ok(value) => {
                self.check(invariant, true, String::new);
                Ok(Some(value))
            }
            Err(ReadError::Damaged(damage)) => {
                self.damaged(&damage);
                let is_derivable = [Slots::NAME, Canonical::NAME].contains(&damage.table);
                let remedy = if is_derivable { DERIVABLE } else { "" };
                self.check(invariant, false, || format!("{damage}{remedy}"));
                Ok(None)
            }
            Err(ReadError::Engine(error)) => Err(error),
        }
    }
}

/// Said of a row that follows from headers, which a start compares in the live tree's range only.
const DERIVABLE: &str = "; `lamella db derive` writes it again, if the headers are whole";

/// How far the checker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is walking.
    pub stage: &'static str,
    /// Rows done in this stage.
    pub done: u64,
    /// Rows of the stage, as counted at its start.
    pub total: u64,
}

/// Checks every invariant of the directory. `progress` is called after each chunk and may stop the check.
///
/// # Errors
/// When the engine fails, or the walk over the pages takes longer than ten minutes beside a writer
/// ([`TookTooLong`](lamella_tables::TookTooLong)). Damage is a finding, not an error, and so is another schema, of which
/// nothing but the pages is checked.
///
/// # Cost
/// Every row is read, every state reconstructed and hashed once, on this thread.
pub fn verify(
    database: &DatabaseView,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, EngineError> {
    check(database, |txn| Identity::read(txn), 1, progress)
}

/// As [`verify`], without the engine's pages: what a walk over them that took too long leaves to be read.
///
/// # Errors
/// When the engine fails.
pub fn verify_rows(
    database: &DatabaseView,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, EngineError> {
    Check::new(database, |txn| Identity::read(txn), 1, progress).run_rows()
}

/// As many lanes as there are processors, for a directory that no node has yet.
pub(crate) fn all_lanes() -> usize {
    available_parallelism().map_or(1, NonZero::get).min(LANES_MAX)
}

/// As [`verify`], of a directory whose identity is read so, with blocks checked in so many lanes.
pub(crate) fn check(
    database: &DatabaseView,
    read_identity: ReadIdentity,
    lanes: usize,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, EngineError> {
    let mut check = Check::new(database, read_identity, lanes, progress);
    match check.check_pages()? {
        ControlFlow::Break(()) => check.report.stopped = true,
        ControlFlow::Continue(()) if check.are_rows_read => return check.run_rows(),
        ControlFlow::Continue(()) => {}
    }
    Ok(check.report)
}

/// What pruning states up to a floor could have broken: what the directory says of itself, the states of the first segment
/// that is kept, rows that are left below, the head.
pub(crate) fn check_kept(
    database: &DatabaseView,
    floor: Slot,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, EngineError> {
    let mut check = Check::new(database, |txn| Identity::read(txn), 1, progress);
    check.blocks = floor..floor.saturating_add(SHARD_SLOTS);
    check.run([
        Check::check_meta,
        Check::check_blocks,
        Check::check_loose::<Bodies>,
        Check::check_loose::<Anchors>,
        Check::check_loose::<Diffs>,
        Check::check_content_addressed,
        Check::check_head,
    ])
}

/// How a directory says what it holds.
type ReadIdentity = fn(&ReadTxn<'_>) -> Result<Option<Identity>, ChainOpenError>;

/// A check under way.
pub(crate) struct Check<'a> {
    database: &'a DatabaseView,
    report: Report,
    read_identity: ReadIdentity,
    /// How many threads check blocks.
    lanes: usize,
    /// What the directory says it holds, once `check_meta` has read it.
    identity: Option<Identity>,
    /// Whether it says that another version wrote it, or nobody has yet.
    has_nothing_to_check: bool,
    /// Whether every page can be read.
    are_rows_read: bool,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    chunk_time_max: Duration,
    page_walk_time_max: Duration,
    floors: Floors,
    /// Slots whose blocks are checked: all, as a rule.
    blocks: Range<Slot>,
}

/// What is pruned, as `check_meta` read it. A node beside only deletes more.
#[derive(Debug, Clone, Copy)]
struct Floors {
    /// Below this slot states are pruned, or about to be deleted.
    states: Slot,
    /// Below this key there are no state rows.
    swept: SlotRoot,
    /// Below this key there are no rows of bodies.
    bodies_swept: SlotRoot,
}

impl<'a> Check<'a> {
    fn new(
        database: &'a DatabaseView,
        read_identity: ReadIdentity,
        lanes: usize,
        progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Self {
        let start = SlotRoot::first_of(0);
        Self {
            database,
            report: Report::default(),
            read_identity,
            lanes,
            identity: None,
            has_nothing_to_check: false,
            are_rows_read: true,
            progress,
            chunk_time_max: CHUNK_TIME_MAX,
            page_walk_time_max: PAGE_WALK_TIME_MAX,
            floors: Floors { states: 0, swept: start, bodies_swept: start },
            blocks: 0..Slot::MAX,
        }
    }

    /// Everything but the engine's pages.
    fn run_rows(mut self) -> Result<Report, EngineError> {
        self.go_through([Self::check_meta, Self::check_blocks])?;
        if self.is_over() {
            return Ok(self.report);
        }
        match self.lanes {
            1 => self.go_through(APART),
            _ => self.go_through_in_lanes(APART),
        }?;
        Ok(self.report)
    }

    fn run<const N: usize>(
        mut self,
        stages: [fn(&mut Self) -> Stage; N],
    ) -> Result<Report, EngineError> {
        self.go_through(stages)?;
        Ok(self.report)
    }

    fn go_through<const N: usize>(
        &mut self,
        stages: [fn(&mut Self) -> Stage; N],
    ) -> Result<(), EngineError> {
        for stage in stages {
            self.report.stopped = stage(self)?.is_break();
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Stopped, without a row, or of another version: then its rows are sound, and read as ours they would not seem so.
    const fn is_over(&self) -> bool {
        self.report.stopped || self.has_nothing_to_check
    }
}

/// Stages that have nothing to do with each other, once what the directory says of itself is read; the longest first.
const APART: [fn(&mut Check<'_>) -> Stage; 9] = [
    |check| check.check_head(),
    |check| check.check_slots_index(),
    |check| check.check_unowned(),
    |check| check.check_loose::<Bodies>(),
    |check| check.check_loose::<Diffs>(),
    |check| check.check_loose::<Anchors>(),
    |check| check.check_content_addressed(),
    |check| check.check_signatures(),
    |check| check.check_sign_guard(),
];

/// Whether to go on with the next stage.
type Stage = Result<ControlFlow<()>, EngineError>;
