//! Makes a segment of canonical blocks and what the store has of their states.

use lamella_state_diff::{BranchCheckpoint, StateDiff};
use lamella_types::{
    BlockBody, BlockHeader, Checkpoint, Root, Segment, Slot, State, limits::HISTORICAL_ROOTS_LIMIT,
    limits::SEGMENT_ROOTS,
};

use crate::{
    body_root::body_root,
    checkpoints::Told,
    content::ContentWriter,
    error::BuildError,
    limits::{BODY_VOTES_MAX, SEGMENT_SLOTS, SEGMENTS_MAX},
    network::Network,
    object_name::ObjectName,
    segment_file::{too_long, write_segment},
    state_change::{Entry, SmallState},
};

/// What the store has of a block's post-state.
#[derive(Debug, Clone, Copy)]
pub enum PostState<'a> {
    /// All of it, as of an anchor.
    State(&'a State),
    /// Its diff, against the state of the block before.
    Diff(&'a StateDiff),
}

/// A segment that grows block by block.
#[derive(Debug)]
pub struct SegmentBuilder<'a> {
    network: &'a Network,
    index: u32,
    /// The entry's header, the columns, and the last block.
    content: Option<(BlockHeader, ContentWriter<'a>, Checkpoint)>,
}

/// A segment as bytes. Decode and verify them before anybody relies on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegment {
    /// Its index.
    pub index: u32,
    /// The root that names it.
    pub root: Root,
    /// The object.
    pub bytes: Vec<u8>,
}

impl SealedSegment {
    /// What the object is called.
    #[must_use]
    pub const fn name(&self) -> ObjectName {
        ObjectName::Segment { index: self.index, root: self.root }
    }
}

impl<'a> SegmentBuilder<'a> {
    /// Begins segment `index`. `entry` is header and post-state of the last canonical block before its first slot; for
    /// segment 0 genesis, which is not pushed again; `None` if the segment has no block at all.
    ///
    /// # Errors
    /// [`BuildError`] if the entry is not that.
    ///
    /// # Cost
    /// The root of the state's history.
    pub fn new(
        network: &'a Network,
        index: u32,
        entry: Option<(&BlockHeader, &State)>,
    ) -> Result<Self, BuildError> {
        check_range("segment", u64::from(index), 0, u64::from(SEGMENTS_MAX) - 1)?;
        let Some((header, state)) = entry else {
            let missing = || BuildError::NoEntry { index };
            return if index > 0 {
                Ok(Self { network, index, content: None })
            } else {
                Err(missing())
            };
        };
        let first_slot = u64::from(index) * SEGMENT_SLOTS;
        check_range("slot of the entry", header.slot, 0, first_slot.saturating_sub(1))?;
        check_state(network, header, state)?;
        let root = header.root();
        let history_root = state.historical_block_hashes.root();
        let entry = Entry { header: *header, root, history_root, state: SmallState::of(state) };
        let writer = ContentWriter::new(network, first_slot, &entry);
        let last = Checkpoint { root, slot: header.slot };
        Ok(Self { network, index, content: Some((*header, writer, last)) })
    }

    /// Appends the next canonical block, with its post-state.
    ///
    /// # Errors
    /// [`BuildError`] if it is not the child of the block before, or body or post-state are not its own as far as that is seen
    /// without hashing states.
    pub fn push(
        &mut self,
        header: &BlockHeader,
        body: &BlockBody,
        post: PostState<'_>,
    ) -> Result<(), BuildError> {
        let index = self.index;
        let Some((_, writer, last)) = &mut self.content else {
            return Err(BuildError::NoEntry { index });
        };
        let (slot, first_slot) = (header.slot, u64::from(index) * SEGMENT_SLOTS);
        check_range("slot", slot, first_slot.max(last.slot + 1), first_slot + SEGMENT_SLOTS - 1)?;
        if header.parent_root != last.root {
            let (parent, before) = (header.parent_root, last.root);
            return Err(BuildError::NotTheChild { slot, parent, before });
        }
        check_range("votes", body.attestations.len() as u64, 0, BODY_VOTES_MAX as u64)?;
        let (computed, expected) = (body_root(body), header.body_root);
        if computed != expected {
            return Err(BuildError::OtherBody { slot, computed, expected });
        }
        let after = match post {
            PostState::State(state) => {
                check_state(self.network, header, state)?;
                SmallState::of(state)
            }
            PostState::Diff(diff) => after_diff(self.network, writer, *last, slot, diff)?,
        };
        let root = header.root();
        writer.put(header, &root, body, after);
        *last = Checkpoint { root, slot };
        Ok(())
    }

    /// The segment of the blocks that were pushed.
    ///
    /// # Errors
    /// [`BuildError`] for an entry without blocks after it, or content beyond a bound.
    ///
    /// # Cost
    /// Compression, and 1,023 hashes.
    pub fn finish(self) -> Result<SealedSegment, BuildError> {
        let Self { network, index, content } = self;
        let (roots, content) = match content {
            None => (vec![0; 32 * SEGMENT_ROOTS], None),
            Some((header, writer, last)) => {
                check_range("last slot", last.slot, u64::from(index) * SEGMENT_SLOTS, u64::MAX)?;
                let (columns, roots) = writer.finish();
                if let Some((what, got, high)) = too_long(&columns) {
                    check_range(what, got as u64, 0, high as u64)?;
                }
                (roots, Some((header, columns)))
            }
        };
        let roots = Segment::new(roots).ok_or(BuildError::NoEntry { index })?;
        let content = content.as_ref().map(|(header, columns)| (header, columns));
        let bytes = write_segment(network.id(), index, &roots, content);
        Ok(SealedSegment { index, root: roots.root(), bytes })
    }
}

/// The changing parts of the state that a diff leads to from the one before.
fn after_diff(
    network: &Network,
    writer: &ContentWriter<'_>,
    last: Checkpoint,
    slot: Slot,
    diff: &StateDiff,
) -> Result<SmallState, BuildError> {
    let other = |what: String| BuildError::OtherDiff { slot, what };
    let validators = network.validators().len();
    if (diff.slot, diff.base_slot, diff.validator_count) != (slot, last.slot, validators) {
        let (of, base) = (diff.slot, diff.base_slot);
        return Err(other(format!(
            "it is of slot {of}, base {base}, {} validators",
            diff.validator_count
        )));
    }
    if diff.justified_slots.len() > HISTORICAL_ROOTS_LIMIT.min(usize::try_from(slot).unwrap_or(0)) {
        return Err(other("its justified slots reach past the block".to_owned()));
    }
    let named = |checkpoint: BranchCheckpoint| named(writer.told(), checkpoint);
    let missing = || other("it names a block of the branch that is not in the segment".to_owned());
    let before = &writer.state().justifications;
    Ok(SmallState {
        latest_justified: named(diff.latest_justified).ok_or_else(missing)?,
        latest_finalized: named(diff.latest_finalized).ok_or_else(missing)?,
        justified_slots: diff.justified_slots.clone(),
        justifications: diff
            .tally
            .apply(before, validators)
            .map_err(|error| other(error.to_string()))?,
    })
}

/// A diff leaves out the roots of its branch's blocks since the anchor, which is the first block of the segment or its entry.
fn named(told: &Told, checkpoint: BranchCheckpoint) -> Option<Checkpoint> {
    let root = checkpoint.root.or_else(|| told.get(checkpoint.slot))?;
    Some(Checkpoint { slot: checkpoint.slot, root })
}

/// Whether a state may be that of a block, before anything is hashed.
fn check_state(network: &Network, header: &BlockHeader, state: &State) -> Result<(), BuildError> {
    let slot = header.slot;
    let own = BlockHeader { state_root: Root::ZERO, ..*header };
    let is_own = state.latest_block_header == own
        && state.slot == slot
        && state.config.genesis_time == network.genesis_time()
        && state.validators == *network.validators()
        && state.historical_block_hashes.len() as u64 == slot
        && state.justified_slots.len() as u64 <= slot;
    if is_own { Ok(()) } else { Err(BuildError::OtherState { slot }) }
}

pub(crate) fn check_range(
    what: &'static str,
    got: u64,
    low: u64,
    high: u64,
) -> Result<(), BuildError> {
    if (low..=high).contains(&got) {
        Ok(())
    } else {
        Err(BuildError::Range { what, got, low, high })
    }
}
