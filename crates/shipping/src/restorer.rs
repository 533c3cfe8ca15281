//! The restorer: a directory made of an archive, up to a block, or none.
//!
//! The hard idea: everything is proven before it is written, and checked again after. The target is a block that the
//! frontier proves; each segment is held to its root and each state to its header while the rows are made; the database
//! grows beside its place with a cursor in every commit, and gets its name when all of its invariants hold and its head is
//! the target. So what is there in the end is whole, and what is there before is nobody's directory.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
};

use lamella_archive::{ObjectName, SegmentFile};
use lamella_chain::{
    Identity, Progress,
    restore::{Begun, Cursor, PreparedBlock, Preparer, Restoration, RestoreError, RestoredBlock},
};
use lamella_tables::SlotRoot;
use lamella_types::{BlockBody, BlockHashes, Root, Slot};

use crate::{
    error::ShippingError,
    proven::Proven,
    remote::{Remote, SEGMENT_SLOTS, first_slot},
    sidecar::Sidecar,
};

/// Segments that wait between two threads: with the three that are in hand, and written ones that are to be dropped, eight at most
/// are in memory.
const SEGMENTS_AHEAD: usize = 1;

/// Where the restored chain is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The block at this slot.
    Slot(Slot),
    /// The block of this root.
    Root(Root),
    /// The newest block of the sealed segments, all of which are finalized.
    Finalized,
}

/// How a directory is to be made.
#[derive(Debug, Clone)]
pub struct Restore<'a> {
    /// Where the database is to be.
    pub database: &'a Path,
    /// Its last block.
    pub target: Target,
    /// The root under which everything is proven, if the caller has one.
    pub trusted: Option<Root>,
    /// Milliseconds of a slot, which no archive holds.
    pub slot_ms: u64,
    /// Name of the proof scheme, which no archive holds.
    pub proof_scheme: &'a str,
}

/// What was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The last block: the target.
    pub target: SlotRoot,
    /// The block whose root everything was proven under.
    pub frontier: SlotRoot,
    /// Segments read by this run.
    pub segments: u64,
    /// Blocks in the directory.
    pub blocks: u64,
    /// Whether an earlier run had begun it.
    pub resumed: bool,
    /// The oldest block from which on up to the target every block has its proof; `None` if proofs were not asked for, or
    /// the archive has none for the target.
    pub proofs_from: Option<SlotRoot>,
}

impl Restore<'_> {
    /// Makes the directory, or goes on with making it. `progress` is called for each segment, and may stop it.
    ///
    /// # Errors
    /// [`ShippingError`]; there is no directory then, and the same call goes on.
    pub fn run(
        &self,
        remote: &Remote,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Restored, ShippingError> {
        self.make(remote, false, progress)
    }

    /// As [`Restore::run`], with the proofs that the archive has of the target and, without a gap, of the blocks before it:
    /// a directory has proofs from some block on. They are kept as unchecked, since nothing but their scheme says what
    /// they prove: the node checks them before it serves them.
    ///
    /// # Errors
    /// As [`Restore::run`].
    pub fn run_with_proofs(
        &self,
        remote: &Remote,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Restored, ShippingError> {
        self.make(remote, true, progress)
    }

    fn make(
        &self,
        remote: &Remote,
        with_proofs: bool,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Restored, ShippingError> {
        if self.database.exists() {
            // Before anything is fetched.
            return Err(RestoreError::InTheWay { path: self.database.to_owned() }.into());
        }
        let proven = Proven::find(remote, self.trusted)?;
        let target = match self.target {
            Target::Slot(slot) => proven.block_at(slot)?,
            Target::Root(root) => proven.block_of(root)?,
            Target::Finalized => proven.newest()?,
        };
        let block = proven.block();
        if let Some(trusted) = self.trusted.filter(|trusted| *trusted != block.root) {
            self.check_trusted(&proven, trusted, target)?;
        }
        let identity = Identity {
            genesis_time: proven.network().genesis_time(),
            registry_root: proven.network().registry_root(),
            slot_ms: self.slot_ms,
            proof_scheme: self.proof_scheme.to_owned(),
        };
        let begun = Restoration::begin(self.database, &identity, target)?;
        let frontier = SlotRoot::new(block.slot, block.root);
        let Begun::Unfinished(mut restoration) = begun else {
            let (segments, blocks, proofs_from) = (0, 0, None);
            return Ok(Restored { target, frontier, segments, blocks, resumed: true, proofs_from });
        };
        let resumed = restoration.cursor().segments > 0;
        let segments = put_segments(&mut restoration, &proven, target, progress)?;
        if with_proofs {
            put_proofs(&mut restoration, &proven, target, progress)?;
        }
        let (blocks, proofs_from) = (restoration.cursor().blocks, restoration.proofs_from()?);
        restoration.finish(progress)?;
        Ok(Restored { target, frontier, segments, blocks, resumed, proofs_from })
    }

    /// A trusted root within the segments proves what is before it, if its own state says so: the state's history is what
    /// the restorer rebuilds and hashes. So it must be at the target or after it, where it is rebuilt.
    fn check_trusted(
        &self,
        proven: &Proven<'_>,
        trusted: Root,
        target: SlotRoot,
    ) -> Result<(), ShippingError> {
        let block = proven.block_of(trusted)?;
        if block == target {
            return Ok(());
        }
        let what = format!(
            "the trusted root is block {block}: it proves what is before it if it is the target itself; give --root {trusted} alone, or the root of a frontier"
        );
        Err(ShippingError::NoTarget { url: proven.remote.url(), what })
    }
}

/// The rows of all segments that are not here, up to the target; how many those were. One thread fetches and proves the
/// segments, one rebuilds and prepares their blocks, and this one writes: none waits for another as long as it has work.
fn put_segments(
    restoration: &mut Restoration,
    proven: &Proven<'_>,
    target: SlotRoot,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<u64, ShippingError> {
    let total = target.slot / SEGMENT_SLOTS + 1;
    let history = restoration.newest_state().map(|state| state.historical_block_hashes.clone());
    let Cursor { segments: from, newest, .. } = restoration.cursor();
    let (history, preparer) = (history.unwrap_or_default(), restoration.preparer());
    let mut reader = Reader { proven, target, history, newest, preparer };
    std::thread::scope(|scope| {
        let (fetched, to_read) = mpsc::sync_channel(SEGMENTS_AHEAD);
        scope.spawn(move || send_all(&fetched, (from..total).map(|index| fetch(proven, index))));
        // At up to 32 KiB of history a state, a segment is 32 MiB.
        let (read, to_write) = mpsc::sync_channel(SEGMENTS_AHEAD);
        // Whoever made blocks drops them: where another thread gives memory back, both wait for each other from then on. There
        // is room for all that there are.
        let (written, to_drop) = mpsc::sync_channel(SEGMENTS_AHEAD + 2);
        scope.spawn(move || {
            let blocks = to_read.into_iter().map(|segment| {
                to_drop.try_iter().for_each(drop);
                reader.read(&segment?)
            });
            send_all(&read, blocks);
        });
        let mut segments = 0;
        for (index, blocks) in (from..).zip(to_write) {
            if progress(Progress { stage: "segments", done: index, total }).is_break() {
                return Err(ShippingError::Stopped);
            }
            let blocks = blocks?;
            restoration.put_segment(index, &blocks)?;
            // Nobody takes the last ones.
            drop(written.try_send(blocks));
            segments += 1;
        }
        Ok(segments)
    })
}

/// Up to the first error, or until nobody takes them any more.
fn send_all<T>(
    to: &SyncSender<Result<T, ShippingError>>,
    items: impl Iterator<Item = Result<T, ShippingError>>,
) {
    for item in items {
        let is_over = item.is_err();
        if to.send(item).is_err() || is_over {
            return;
        }
    }
}

fn fetch(proven: &Proven<'_>, index: u64) -> Result<SegmentFile, ShippingError> {
    let none = |_| ShippingError::Zero { url: proven.remote.url(), what: "no such segment".into() };
    proven.segment(u32::try_from(index).map_err(none)?)
}

/// Reads one segment after the other.
struct Reader<'a> {
    proven: &'a Proven<'a>,
    target: SlotRoot,
    /// That of the newest block's state.
    history: BlockHashes,
    newest: Option<SlotRoot>,
    preparer: Preparer,
}

impl Reader<'_> {
    /// The blocks of a segment up to the target, with their states, all proven, and ready to be written.
    fn read(&mut self, segment: &SegmentFile) -> Result<Vec<PreparedBlock>, ShippingError> {
        let (proven, index) = (self.proven, segment.index());
        let damaged = |error| proven.remote.damaged(error);
        let mut blocks = Vec::new();
        if index == 0 {
            let (header, state) = proven.network().genesis();
            self.newest = Some(SlotRoot::new(0, header.root()));
            let (body, state) = (BlockBody::default(), Arc::new(state));
            blocks.push(self.preparer.prepare(RestoredBlock { header, body, state })?);
        }
        if segment.block_count() == 0 {
            return Ok(blocks);
        }
        let mut replay = segment.replay(proven.before(index)).map_err(damaged)?;
        while let Some(block) = replay.advance().map_err(damaged)? {
            let (header, body) = (block.header, block.body.clone());
            if header.slot > self.target.slot {
                break;
            }
            let key = SlotRoot::new(header.slot, block.root);
            let gap = || RestoreError::Gap { block: key, after: self.newest };
            let parent_slot = self.newest.map_or(0, |newest| newest.slot);
            let skipped = header.slot.checked_sub(parent_slot + 1).ok_or_else(gap)?;
            self.history.push_parent(header.parent_root, skipped).map_err(|_| gap())?;
            let state = Arc::new(replay.state(&self.history).ok_or_else(gap)?);
            blocks.push(self.preparer.prepare(RestoredBlock { header, body, state })?);
            self.newest = Some(key);
        }
        Ok(blocks)
    }
}

/// The proofs of the target and of the blocks before it, newest first, up to the first that the archive does not have.
fn put_proofs(
    restoration: &mut Restoration,
    proven: &Proven<'_>,
    target: SlotRoot,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), ShippingError> {
    let total = target.slot / SEGMENT_SLOTS + 1;
    for done in 0..total {
        if progress(Progress { stage: "proofs", done, total }).is_break() {
            return Err(ShippingError::Stopped);
        }
        let index = total - 1 - done;
        let (first, end) = (first_slot(index), first_slot(index + 1));
        let end = restoration.proofs_from()?.map_or(target.slot + 1, |from| from.slot).min(end);
        // Genesis has none and needs none.
        let blocks = restoration.canonical(first.max(1)..end)?;
        let none =
            |_| ShippingError::Zero { url: proven.remote.url(), what: "no such segment".into() };
        if blocks.is_empty() {
            continue;
        }
        let index = u32::try_from(index).map_err(none)?;
        let Some(root) = proven.frontier.segment_roots().get(index as usize) else { return Ok(()) };
        let name = ObjectName::Proofs { index, root: *root };
        let Some(sidecar) = Sidecar::open(proven.remote, &name)? else { return Ok(()) };
        let held: BTreeSet<Slot> = sidecar.index().slots().collect();
        let missing = blocks.iter().rposition(|block| !held.contains(&block.slot));
        let wanted = &blocks[missing.map_or(0, |missing| missing + 1)..];
        let slots: Vec<Slot> = wanted.iter().map(|block| block.slot).collect();
        for run in sidecar.runs(&slots).into_iter().rev() {
            restoration.put_proofs(sidecar.proofs(run)?)?;
        }
        if missing.is_some() {
            return Ok(());
        }
    }
    Ok(())
}
