//! Damaged and lost rows, made again from what is left: `lamella db repair`, and what a running node does with what its
//! scrubbing found.
//!
//! The hard idea: nothing is believed but by a proof that was there before the damage. A header must hash to its key, a body
//! to its header, a segment and a registry to their keys; a state follows from its parent's and its block's body by the
//! transition, and must hash to its header. Whoever gives such a row, this directory's other rows or a [`Source`], need not
//! be trusted. What has no proof is not replaced: a vote is dropped, since it comes again; a block's proof that is gone is
//! marked as bad, and a running node asks its peers for it; a row of the sign guard is never touched.
//!
//! | row | made from | believed by |
//! |---|---|---|
//! | Headers | the body, the parent's state and the transition; the anchor; a source | its key |
//! | Bodies | a source | its header |
//! | Diffs, Anchors | the body, the parent's state and the transition; genesis; where no parent has a state, a source | the header's state root |
//! | Slots, Canonical, `fork_choice`, `blocks` | headers, states and votes | that they follow |
//! | History | the branch's blocks; a source | its key |
//! | Registries | a source | its key |
//! | Signatures | a source that checked it; else marked as bad | its scheme |
//! | `extent` | the oldest block and the oldest proof | that blocks bear it out |
//! | `unchecked_proofs` | all that may be unchecked is | that they are checked again |
//!
//! Each row that is put is one [`Repair`]. A repair of a whole directory walks all blocks, oldest first, since a state rests
//! on those before it, until nothing more can be made; it commits at most [`ROWS_PER_COMMIT`] rows at once, and run again
//! after a kill it finds less to do. A dry run does the same in one transaction that it drops.

mod block;
mod report;
mod shared;

use std::{collections::BTreeSet, ops::ControlFlow, path::Path};

use lamella_state_store::StateStore;
use lamella_tables::{
    Anchors, Bodies, Canonical, Damage, Database, Diffs, EngineError, Headers, History, Key as _,
    OpenMode, Options, Read as _, ReadError, Registries, SegmentKey, Signatures, SlotRoot, Slots,
    Table, WriteTxn,
};
use lamella_types::{
    Block, BlockBody, BlockHeader, MultiMessageAggregate, Root, Segment, Slot, State, Validators,
};

use crate::{
    beside,
    error::{ChainOpenError, PersistError},
    identity::Identity,
    invariants::Progress,
    open::Chain,
    recover,
};

pub use report::{Repair, RepairReport, To, Unrepaired};

/// Rows that one commit puts: a few megabytes of bodies, or of pages of other rows.
pub const ROWS_PER_COMMIT: u64 = 1_024;

/// Walks over all blocks. The second makes what rested on what the first made; damage that takes more is deep.
const WALKS_MAX: usize = 4;

/// What a repair may ask, besides the directory. Nothing that it says is believed without its proof; `None` is "not here".
pub trait Source {
    /// The post-state of this block on its parent's, whatever state root the block names.
    fn transition(&self, parent: &State, block: &Block) -> Option<State>;

    /// Header and body of a block.
    fn block(&mut self, _key: &SlotRoot) -> Option<(BlockHeader, BlockBody)> {
        None
    }

    /// The post-state of the block that a directory or what follows a hole begins with, or of the first one that pruning kept.
    fn state(&mut self, _key: &SlotRoot) -> Option<State> {
        None
    }

    /// A run of 1,024 block roots.
    fn segment(&mut self, _key: &SegmentKey) -> Option<Segment> {
        None
    }

    /// A registry.
    fn registry(&mut self, _root: &Root) -> Option<Validators> {
        None
    }

    /// A block's proof under this scheme. It is believed: who gives it has checked it.
    fn proof(
        &mut self,
        _key: &SlotRoot,
        _block: &Block,
        _scheme: &str,
    ) -> Option<MultiMessageAggregate> {
        None
    }
}

/// Whether repairs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are told.
    DryRun,
    /// They are committed.
    Apply,
}

/// Why a directory cannot be repaired row by row, or not now.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It cannot be opened: damaged pages, another program's files, no schema or identity, a node that runs on it.
    #[error(
        "{0}; repairing makes single rows again and needs sound pages, schema and identity: else put a backup in its place, or make it again with `lamella archive restore`"
    )]
    Open(#[from] ChainOpenError),
    /// The engine failed. What was committed before is kept; the same command goes on.
    #[error("{0}; what was repaired before is kept, and the same command goes on")]
    Engine(#[from] EngineError),
}

/// Repairs the database at `path`, which no node may have open.
///
/// # Errors
/// [`RepairError`].
///
/// # Cost
/// Every state is reconstructed and hashed, twice where there is something to repair.
pub fn repair(
    path: &Path,
    source: &mut dyn Source,
    mode: Mode,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<RepairReport, RepairError> {
    let opened = Database::open(path, Options::new(OpenMode::Existing));
    let database = opened.map_err(|error| beside::explain(path, error.into()))?;
    repair_in(&database, source, mode, progress)
}

/// As [`repair`], in a database that is open.
///
/// # Errors
/// [`RepairError`].
pub fn repair_in(
    database: &Database,
    source: &mut dyn Source,
    mode: Mode,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<RepairReport, RepairError> {
    let identity = Identity::read(&database.read()?)?;
    let identity = identity.ok_or(ChainOpenError::NoIdentity("it has no schema"))?;
    database.create_missing_tables().map_err(ChainOpenError::from)?;
    let mut shared = Shared { states: StateStore::default(), source, identity };
    let mut work = Work::begin(database, &mut shared, mode)?;
    for _ in 0..WALKS_MAX {
        let before = work.report.row_count();
        work.report.unrepaired.clear();
        work.report.unrepaired_count = 0;
        work.meta()?;
        work.derive()?;
        work.registries()?;
        work.segments()?;
        let keys = work.block_keys()?;
        let total = keys.len() as u64;
        work.loose_slots(&keys)?;
        for (done, key) in (0..).zip(keys) {
            if progress(Progress { stage: "rows of blocks", done, total }).is_break() {
                work.report.stopped = true;
                return Ok(work.finish()?);
            }
            work.block(key)?;
            work = work.kept()?;
        }
        let derived = work.derive()?;
        work.sign_guard()?;
        work.unknown_meta()?;
        work = work.unowned(derived.is_none())?;
        let is_done = work.report.unrepaired_count == 0 && derived.is_none();
        if is_done || work.report.row_count() == before {
            if let Some(why) = derived {
                work.report.cannot("Canonical", Vec::new(), why);
            }
            break;
        }
    }
    Ok(work.finish()?)
}

impl Chain {
    /// Repairs rows that a reader found damaged, while the chain goes on. Votes, the guard, head and checkpoints are left:
    /// they are in memory, and a start derives them.
    ///
    /// # Errors
    /// [`PersistError`]; nothing has changed.
    ///
    /// # Atomicity
    /// One transaction; imports wait for it. A row takes the reading of its parent's state and a transition.
    pub fn repair_rows(
        &self,
        rows: &[Damage],
        source: &mut dyn Source,
    ) -> Result<RepairReport, PersistError> {
        let places: Vec<_> = {
            let txn = self.database.read()?;
            rows.iter().map(|row| Place::of(row, &txn)).collect::<Result<_, EngineError>>()?
        };
        self.repair_places(places, source)
    }

    /// As [`Chain::repair_rows`], all rows of a block.
    ///
    /// # Errors
    /// [`PersistError`]; nothing has changed.
    pub fn repair_block(
        &self,
        key: SlotRoot,
        source: &mut dyn Source,
    ) -> Result<RepairReport, PersistError> {
        self.repair_places(vec![Place::Block(key)], source)
    }

    fn repair_places(
        &self,
        places: Vec<Place>,
        source: &mut dyn Source,
    ) -> Result<RepairReport, PersistError> {
        let _writer = self.writer.lock();
        let states = StateStore::default();
        let mut shared = Shared { states, source, identity: self.identity().clone() };
        let mut work = Work::begin(&self.database, &mut shared, Mode::Apply)?;
        for place in places {
            match place {
                Place::Block(key) => work.block(key)?,
                Place::Canonical(slot) => work.canonical_row(slot)?,
                Place::Shared => {
                    work.registries()?;
                    work.segments()?;
                }
                Place::Other(table, key) => {
                    let why = "left as it is while the node runs; `lamella db repair` says more";
                    work.report.cannot(table, key, why.to_owned());
                }
            }
        }
        Ok(work.finish()?)
    }
}

/// What a damaged row is about.
enum Place {
    Block(SlotRoot),
    Canonical(Slot),
    Shared,
    Other(&'static str, Vec<u8>),
}

impl Place {
    fn of(row: &Damage, txn: &lamella_tables::ReadTxn<'_>) -> Result<Self, EngineError> {
        let of_block = [Headers::NAME, Bodies::NAME, Diffs::NAME, Anchors::NAME, Signatures::NAME];
        let other = || Self::Other(row.table, row.key.clone());
        let block = |key: Option<SlotRoot>| key.map_or_else(other, Self::Block);
        Ok(match row.table {
            table if of_block.contains(&table) => block(SlotRoot::decode(&row.key)),
            Canonical::NAME => Slot::decode(&row.key).map_or_else(other, Self::Canonical),
            History::NAME | Registries::NAME => Self::Shared,
            Slots::NAME => {
                let root = Root::decode(&row.key);
                let mut keys =
                    txn.scan_keys::<Headers>(SlotRoot::first_of(0))?.map_while(Result::ok);
                block(keys.find(|key| Some(key.root) == root))
            }
            _ => other(),
        })
    }
}

/// What all transactions of a repair share.
struct Shared<'a> {
    /// Holds what this repair has proven, committed or not: nobody else sees it.
    states: StateStore,
    source: &'a mut dyn Source,
    identity: Identity,
}

/// A repair under way: it reads its own writes.
struct Work<'a, 's> {
    database: &'a Database,
    txn: WriteTxn<'a>,
    shared: &'a mut Shared<'s>,
    mode: Mode,
    /// Rows put since the last commit.
    pending: u64,
    report: RepairReport,
}

impl<'a, 's> Work<'a, 's> {
    fn begin(
        database: &'a Database,
        shared: &'a mut Shared<'s>,
        mode: Mode,
    ) -> Result<Self, EngineError> {
        let report = RepairReport::default();
        Ok(Self { database, txn: database.write()?, shared, mode, pending: 0, report })
    }

    /// Commits if there is enough to commit.
    fn kept(self) -> Result<Self, EngineError> {
        if self.mode == Mode::DryRun || self.pending < ROWS_PER_COMMIT {
            return Ok(self);
        }
        let Self { database, txn, shared, mode, pending: _, mut report } = self;
        txn.commit()?;
        report.commits += 1;
        Ok(Self { database, txn: database.write()?, shared, mode, pending: 0, report })
    }

    fn finish(self) -> Result<RepairReport, EngineError> {
        let Self { txn, mode, pending, mut report, .. } = self;
        if mode == Mode::Apply && pending > 0 {
            txn.commit()?;
            report.commits += 1;
        }
        Ok(report)
    }

    /// Derives what follows; the reason if something that it follows from is damaged.
    fn derive(&mut self) -> Result<Option<String>, EngineError> {
        match recover::rebuild(&mut self.txn) {
            Ok((_, recovered)) => {
                self.pending += recovered.row_count();
                self.report.derive(recovered);
                Ok(None)
            }
            Err(ChainOpenError::Read(ReadError::Engine(error))) => Err(error),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    /// Every block that some row names, in order.
    fn block_keys(&self) -> Result<BTreeSet<SlotRoot>, EngineError> {
        let mut keys = BTreeSet::new();
        let first = SlotRoot::first_of(0);
        keys.extend(self.keys::<Headers>(first)?);
        keys.extend(self.keys::<Bodies>(first)?);
        keys.extend(self.keys::<Diffs>(first)?);
        keys.extend(self.keys::<Anchors>(first)?);
        keys.extend(self.keys::<Signatures>(first)?);
        for row in self.txn.scan::<Slots>(Root::ZERO)? {
            keys.extend(look(row.map(Some))?.sound().map(|(root, slot)| SlotRoot::new(slot, root)));
        }
        for row in self.txn.scan::<Canonical>(0)? {
            keys.extend(look(row.map(Some))?.sound().map(|(slot, root)| SlotRoot::new(slot, root)));
        }
        Ok(keys)
    }

    /// The keys of a table that are keys.
    fn keys<T: Table>(&self, first: T::Key) -> Result<Vec<T::Key>, EngineError> {
        let mut keys = Vec::new();
        for key in self.txn.scan_keys::<T>(first)? {
            keys.extend(look(key.map(Some))?.sound());
        }
        Ok(keys)
    }

    /// Puts a row and tells of it.
    fn put<T: Table>(
        &mut self,
        key: &T::Key,
        value: &T::Value,
        from: String,
        proof: &'static str,
    ) -> Result<(), EngineError> {
        self.txn.put::<T>(key, value)?;
        self.told::<T>(key, from, To::Row, proof);
        Ok(())
    }

    /// Tells of a row that was put or deleted.
    fn told<T: Table>(&mut self, key: &T::Key, from: String, to: To, proof: &'static str) {
        self.pending += 1;
        self.report.repaired(Repair { table: T::NAME, key: key.encode(), from, to, proof });
    }

    fn cannot<T: Table>(&mut self, key: &T::Key, why: String) {
        self.report.cannot(T::NAME, key.encode(), why);
    }
}

/// A row as a repair sees it.
enum Look<T> {
    Sound(T),
    /// Lost or damaged: in what way.
    Bad(String),
}

/// # Errors
/// The engine's.
fn look<T>(read: Result<Option<T>, ReadError>) -> Result<Look<T>, EngineError> {
    match read {
        Ok(Some(value)) => Ok(Look::Sound(value)),
        Ok(None) => Ok(Look::Bad("lost".to_owned())),
        Err(ReadError::Damaged(damage)) => Ok(Look::Bad(damage.fault.to_string())),
        Err(ReadError::Engine(error)) => Err(error),
    }
}

impl<T> Look<T> {
    fn sound(self) -> Option<T> {
        match self {
            Self::Sound(value) => Some(value),
            Self::Bad(_) => None,
        }
    }
}
