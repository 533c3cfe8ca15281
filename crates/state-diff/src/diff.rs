//! `StateDiff`: what a block changes, beyond what its header and the chain's own roots already say.
//!
//! ```text
//! diff = format: u8 = 2 | validators: varint
//!      | base, anchor: slot distance below the block: varint each
//!      | justified, finalized: 2 x slot distance: varint, or 2 x slot distance + 1: varint | root: 32
//!      | justified slots: bits: varint | set: varint | position gaps
//!      | tally (see `tally`)
//! ```
//!
//! About 12 bytes in a healthy chain. Roots are left out: base, anchor and, as a rule, both checkpoints are blocks of the
//! block's own branch, whose history whoever reads a state puts together anyway. A checkpoint that is not on the branch
//! (before the first justification genesis counts as zero, and votes may name any root), or lies before the anchor, where
//! a directory may have no block, has its root beside it. The justified slots are written whole, as the positions of their set
//! bits: at most one for each justifiable slot since finality (about 2*sqrt of the distance, 1,024 at the
//! slot limit, none in a stall without justification), so a delta would save little and cost a replay.

use lamella_types::{
    BlockHashes, BlockHeader, Checkpoint, Justifications, JustifiedSlots, Root, Slot, State,
    VALIDATOR_REGISTRY_LIMIT,
    limits::HISTORICAL_ROOTS_LIMIT,
    packed::{FormatError, Reader, put_positions, put_varint, read_positions},
};

use crate::{
    base::{BuildError, DiffBase},
    tally::{ROOT_VOTES_BYTES_MIN, TallyDiff},
};

/// Format byte of a diff.
const FORMAT: u8 = 2;

/// The change from a parent's post-state to its child's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDiff {
    /// Slot of the parent.
    pub base_slot: Slot,
    /// Slot of the nearest ancestor whose state is stored whole.
    pub anchor_slot: Slot,
    /// Slot of the block.
    pub slot: Slot,
    /// Validators in the registry.
    pub validator_count: usize,
    /// Latest justified checkpoint.
    pub latest_justified: BranchCheckpoint,
    /// Latest finalized checkpoint.
    pub latest_finalized: BranchCheckpoint,
    /// Justified slots after the finalized one.
    pub justified_slots: JustifiedSlots,
    /// Pending votes.
    pub tally: TallyDiff,
}

/// A checkpoint as a block of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchCheckpoint {
    /// Its slot.
    pub slot: Slot,
    /// Its root, where that is not the branch's block of this slot, or lies before the anchor.
    pub root: Option<Root>,
}

impl BranchCheckpoint {
    fn of(checkpoint: Checkpoint, history: &BlockHashes, anchor_slot: Slot) -> Self {
        let Checkpoint { slot, root } = checkpoint;
        let is_on_branch = slot >= anchor_slot && history.get(slot) == Some(root);
        Self { slot, root: (!is_on_branch).then_some(root) }
    }

    /// The checkpoint, on a branch of this history; `None` if that ends before.
    #[must_use]
    pub fn on(self, history: &BlockHashes) -> Option<Checkpoint> {
        let root = self.root.or_else(|| history.get(self.slot))?;
        Some(Checkpoint { slot: self.slot, root })
    }

    fn write(self, buffer: &mut Vec<u8>, block_slot: Slot) {
        // No valid state has a checkpoint above its slot, the builder has refused it.
        let distance = block_slot.saturating_sub(self.slot);
        put_varint(buffer, distance << 1 | u64::from(self.root.is_some()));
        buffer.extend(self.root.iter().flat_map(|root| *root.as_bytes()));
    }

    fn read(
        reader: &mut Reader<'_>,
        what: &'static str,
        block_slot: Slot,
    ) -> Result<Self, FormatError> {
        let error = reader.error(what);
        let distance = reader.varint(what)?;
        let slot = block_slot.checked_sub(distance >> 1).ok_or(error)?;
        let root = if distance & 1 == 1 { Some(reader.root(what)?) } else { None };
        Ok(Self { slot, root })
    }
}

impl From<Checkpoint> for BranchCheckpoint {
    fn from(Checkpoint { slot, root }: Checkpoint) -> Self {
        Self { slot, root: Some(root) }
    }
}

impl StateDiff {
    /// The diff of `target`, a child of `base`.
    ///
    /// # Errors
    /// [`BuildError`] if `target` is anything but that.
    pub fn build(base: &DiffBase, target: &State) -> Result<Self, BuildError> {
        base.check_extension(target)?;
        let validators = target.validators.len();
        let tally = shorter_tally(base, target);
        let history = &target.historical_block_hashes;
        let anchor_slot = base.anchor().slot;
        Ok(Self {
            base_slot: base.block().slot,
            anchor_slot,
            slot: target.slot,
            validator_count: validators,
            latest_justified: BranchCheckpoint::of(target.latest_justified, history, anchor_slot),
            latest_finalized: BranchCheckpoint::of(target.latest_finalized, history, anchor_slot),
            justified_slots: target.justified_slots.clone(),
            tally,
        })
    }

    /// The bytes of the diff.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = vec![FORMAT];
        put_varint(&mut buffer, self.validator_count as u64);
        for slot in [self.base_slot, self.anchor_slot] {
            put_varint(&mut buffer, self.slot - slot);
        }
        for checkpoint in [self.latest_justified, self.latest_finalized] {
            checkpoint.write(&mut buffer, self.slot);
        }
        put_varint(&mut buffer, self.justified_slots.len() as u64);
        put_varint(&mut buffer, self.justified_slots.count_ones() as u64);
        put_positions(&mut buffer, self.justified_slots.ones());
        self.tally.write(&mut buffer);
        buffer
    }

    /// The diff of the block at `slot`.
    ///
    /// # Errors
    /// [`FormatError`] for bytes that are no diff, among them a base that is not before the block (so no chain of
    /// diffs has a cycle) or an anchor after its base. Votes are read in any of their three forms, though
    /// [`StateDiff::encode`] writes the shortest: what keeps a row as it was written is its checksum.
    pub fn decode(bytes: &[u8], slot: Slot) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.byte("format")? != FORMAT {
            return Err(FormatError { what: "format", position: 0 });
        }
        let validator_count = read_validator_count(&mut reader)?;
        let error = reader.error("base");
        let base_slot = slot.checked_sub(reader.varint("base")?).ok_or(error)?;
        let anchor_slot = slot.checked_sub(reader.varint("anchor")?).ok_or(error)?;
        if base_slot >= slot || anchor_slot > base_slot {
            return Err(error);
        }
        let latest_justified = BranchCheckpoint::read(&mut reader, "justified", slot)?;
        let latest_finalized = BranchCheckpoint::read(&mut reader, "finalized", slot)?;
        let justified_slots = read_justified_slots(&mut reader)?;
        let tally = TallyDiff::read(&mut reader, validator_count)?;
        reader.end()?;
        Ok(Self {
            base_slot,
            anchor_slot,
            slot,
            validator_count,
            latest_justified,
            latest_finalized,
            justified_slots,
            tally,
        })
    }

    /// The post-state, from this diff and what else determines it: configuration and registry of `anchor`, the
    /// block's own header, the branch's history up to it, and its tally. `None` if a checkpoint lies behind the history.
    #[must_use]
    pub fn reconstruct(
        &self,
        anchor: &State,
        header: &BlockHeader,
        history: BlockHashes,
        justifications: Justifications,
    ) -> Option<State> {
        Some(State {
            config: anchor.config,
            slot: self.slot,
            latest_block_header: BlockHeader { state_root: Root::ZERO, ..*header },
            latest_justified: self.latest_justified.on(&history)?,
            latest_finalized: self.latest_finalized.on(&history)?,
            historical_block_hashes: history,
            justified_slots: self.justified_slots.clone(),
            validators: anchor.validators.clone(),
            justifications,
        })
    }
}

/// The tally in full or as a delta. A full one is only written out where it might be the shorter: at 209 pending
/// roots that takes 1.2 ms, a delta 0.1 ms.
fn shorter_tally(base: &DiffBase, target: &State) -> TallyDiff {
    let (after, validators) = (&target.justifications, target.validators.len());
    let full = || TallyDiff::full(after, validators);
    let Some(number) = base.tally_delta_number() else {
        return full();
    };
    let delta = TallyDiff::delta(number, &base.state().justifications, after, validators);
    let delta_bytes = written(&delta);
    if delta_bytes < ROOT_VOTES_BYTES_MIN * after.roots().len() {
        return delta;
    }
    let full = full();
    if written(&full) <= delta_bytes { full } else { delta }
}

fn written(tally: &TallyDiff) -> usize {
    let mut buffer = Vec::new();
    tally.write(&mut buffer);
    buffer.len()
}

fn read_validator_count(reader: &mut Reader<'_>) -> Result<usize, FormatError> {
    let error = reader.error("validators");
    let count = usize::try_from(reader.varint("validators")?).map_err(|_| error)?;
    if count > VALIDATOR_REGISTRY_LIMIT { Err(error) } else { Ok(count) }
}

fn read_justified_slots(reader: &mut Reader<'_>) -> Result<JustifiedSlots, FormatError> {
    let what = "justified slots";
    let error = reader.error(what);
    let length = usize::try_from(reader.varint(what)?).map_err(|_| error)?;
    if length > HISTORICAL_ROOTS_LIMIT {
        return Err(error);
    }
    let count = reader.count(what, 1)?;
    let mut slots = JustifiedSlots::zeros(length);
    for position in read_positions(reader, what, count, length)? {
        slots.set(position, true);
    }
    Ok(slots)
}
