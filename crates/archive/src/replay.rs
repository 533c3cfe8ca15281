//! The states of a segment, one after the other: rebuilt from the entry state and each block's change, hashed, and compared
//! with what the block says. No state transition is needed for it, and no other segment's content.

use lamella_types::{
    BlockHashes, BlockHeader, Config, HistoryRoot, Root, Slot, State, merkle::merkleize_roots,
    root::ROOT_BYTES,
};

use crate::{
    archived_block::ArchivedBlock,
    body_root::{checkpoint_root, number_root},
    error::{ArchiveError, Fault},
    limits::SEGMENT_SLOTS,
    network::Network,
    segment_file::SegmentFile,
    state_change::SmallState,
};

/// Depth of a state's Merkle tree: ten fields.
pub(crate) const STATE_DEPTH: usize = 4;

/// Walks a segment's blocks; between two steps it stands at one state, which is proven.
#[derive(Debug)]
pub struct Replay<'a> {
    segment: &'a SegmentFile,
    next: usize,
    header: Option<&'a BlockHeader>,
    state: Option<SmallState>,
    /// Root of `state`'s justified slots: they rarely change.
    justified_slots_root: Root,
    /// Of all slots before `history.len()`.
    history: HistoryRoot,
}

impl SegmentFile {
    /// Begins to rebuild its states. `segments_before` are the roots of the segments before it, as a frontier has them;
    /// further ones are ignored.
    ///
    /// # Errors
    /// If there are fewer than its index, or the entry state is not the one that the entry's header commits to.
    pub fn replay(&self, segments_before: &[Root]) -> Result<Replay<'_>, ArchiveError> {
        Replay::new(self, segments_before).map_err(|fault| self.refuse_states(fault))
    }

    /// Rebuilds and hashes every state, its entry's included, and says how many.
    ///
    /// # Errors
    /// The first state that is not the one its block commits to.
    ///
    /// # Cost
    /// About 60 hashes a block, and one state in memory at a time.
    pub fn verify_states(&self, segments_before: &[Root]) -> Result<u64, ArchiveError> {
        let mut replay = self.replay(segments_before)?;
        let mut count = u64::from(self.entry().is_some());
        while replay.advance()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

impl<'a> Replay<'a> {
    fn new(segment: &'a SegmentFile, segments_before: &[Root]) -> Result<Self, Fault> {
        let expected = segment.index() as usize;
        let missing = Fault::SegmentsBefore { got: segments_before.len(), expected };
        let before = segments_before.get(..expected).ok_or(missing)?;
        let full = |_| Fault::SegmentsBefore { got: before.len(), expected };
        let history = HistoryRoot::of_segments(before.iter().copied()).map_err(full)?;
        let entry = segment.entry_state();
        let justified_slots_root =
            entry.map_or(Root::ZERO, |entry| entry.state.justified_slots.root());
        if let Some(entry) = entry {
            let (header, root) = (&entry.header, entry.history_root);
            check(segment.network(), header, root, justified_slots_root, &entry.state)?;
        }
        let (header, state) = (segment.entry(), entry.map(|entry| entry.state.clone()));
        Ok(Self { segment, next: 0, header, state, justified_slots_root, history })
    }

    /// Goes on to the next block, its state rebuilt, hashed, and the one that its header commits to. `None` after the last.
    ///
    /// # Errors
    /// If it is another state. The replay stays where it is.
    pub fn advance(&mut self) -> Result<Option<&'a ArchivedBlock>, ArchiveError> {
        let Some(block) = self.segment.blocks().get(self.next) else { return Ok(None) };
        self.step(block).map_err(|fault| self.segment.refuse_states(fault))?;
        Ok(Some(block))
    }

    /// The state that it stands at, whole: the entry's at first, then that of the block last given. `None` for a segment
    /// without blocks.
    ///
    /// `history` has to be that state's `historical_block_hashes`, which whoever wants whole states carries along
    /// ([`BlockHashes::push_parent`] for each block).
    #[must_use]
    pub fn state(&self, history: &BlockHashes) -> Option<State> {
        let (network, header, state) = (self.segment.network(), self.header?, self.state.as_ref()?);
        Some(State {
            config: Config { genesis_time: network.genesis_time() },
            slot: header.slot,
            latest_block_header: BlockHeader { state_root: Root::ZERO, ..*header },
            latest_justified: state.latest_justified,
            latest_finalized: state.latest_finalized,
            historical_block_hashes: history.clone(),
            justified_slots: state.justified_slots.clone(),
            validators: network.validators().clone(),
            justifications: state.justifications.clone(),
        })
    }

    fn step(&mut self, block: &'a ArchivedBlock) -> Result<(), Fault> {
        let (network, slot) = (self.segment.network(), block.header.slot);
        let Some(before) = &self.state else { return Ok(()) };
        let state = before
            .after(&block.change, network.validators().len())
            .map_err(|source| Fault::Tally { slot, source })?;
        let is_same_window = state.justified_slots == before.justified_slots;
        let justified_slots_root =
            if is_same_window { self.justified_slots_root } else { state.justified_slots.root() };
        let history = self.history_at(slot)?;
        check(network, &block.header, history.root(), justified_slots_root, &state)?;
        (self.history, self.header, self.state) = (history, Some(&block.header), Some(state));
        self.justified_slots_root = justified_slots_root;
        self.next += 1;
        Ok(())
    }

    /// The history of a state at `slot`, which has the root of each slot before.
    fn history_at(&self, slot: Slot) -> Result<HistoryRoot, Fault> {
        let mut history = self.history.clone();
        let first_slot = u64::from(self.segment.index()) * SEGMENT_SLOTS;
        let place =
            |slot: u64| ROOT_BYTES * usize::try_from(slot - first_slot).unwrap_or(usize::MAX);
        let range = place(history.len() as u64)..place(slot);
        let roots = self.segment.roots().as_bytes().get(range).unwrap_or_default();
        for root in roots.chunks_exact(ROOT_BYTES).filter_map(Root::from_slice) {
            let full = |_| Fault::Range { what: "slot", got: slot, low: 0, high: slot };
            history.push(root).map_err(full)?;
        }
        Ok(history)
    }
}

/// Whether the state of these parts is the one that `header` commits to.
fn check(
    network: &Network,
    header: &BlockHeader,
    history_root: Root,
    justified_slots_root: Root,
    state: &SmallState,
) -> Result<(), Fault> {
    let (justifications_roots, justifications_validators) = state.justifications.field_roots();
    let fields = [
        number_root(network.genesis_time()),
        number_root(header.slot),
        BlockHeader { state_root: Root::ZERO, ..*header }.root(),
        checkpoint_root(&state.latest_justified),
        checkpoint_root(&state.latest_finalized),
        history_root,
        justified_slots_root,
        network.registry_root(),
        justifications_roots,
        justifications_validators,
    ];
    let (computed, expected) = (merkleize_roots(&fields, STATE_DEPTH), header.state_root);
    if computed == expected {
        return Ok(());
    }
    Err(Fault::State { slot: header.slot, computed, expected })
}
