//! Segments of a chain in a directory, read and encoded.
//!
//! The hard idea: a segment of a finalized chain does not change, so it needs no snapshot of its own. It is read in short
//! transactions, and the links between the blocks prove that nothing between two of them was lost or moved.

use std::{fmt, ops::ControlFlow, sync::Arc};

use lamella_archive::{BuildError, Frontier, Network, PostState, SealedSegment, SegmentBuilder};
use lamella_block_store as block_store;
use lamella_chain::Identity;
use lamella_state_diff::StateDiff;
use lamella_state_store::{StateReadError, StateStore};
use lamella_tables::{
    Bytes, DatabaseView, Diffs, EngineError, Read as _, ReadError, ReadTxn, Registries, SlotRoot,
};
use lamella_types::{
    BlockHeader, Checkpoint, Root, Slot, State,
    limits::{CHAIN_LAST_SLOT, SEGMENT_ROOTS},
};

pub use lamella_chain::entry_slot;

use super::{
    InspectError, LookupError, ends,
    held::{HeldSlots, HeldText},
    stored,
    walk::Walk,
};

/// Slots of a segment.
pub const SEGMENT_SLOTS: u64 = SEGMENT_ROOTS as u64;

/// Blocks read in one transaction.
const CHUNK_BLOCKS: usize = 64;

/// Why a segment was not made of a chain.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A block is not given.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A state is not given.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// What is stored does not make a segment.
    #[error("segment {index} cannot be sealed: {source}; run `lamella db verify`")]
    Build {
        /// Its index.
        index: u64,
        /// What is wrong.
        source: BuildError,
    },
    /// A diff cannot be read.
    #[error("the diff of block {block} cannot be read: {what}; run `lamella db verify`")]
    Diff {
        /// The block.
        block: SlotRoot,
        /// What is wrong.
        what: String,
    },
    /// A row is lost, or the chain is not finalized so far.
    #[error("{0}")]
    NotSealable(String),
    /// Whoever asked for it stopped it.
    #[error("stopped")]
    Stopped,
}

impl From<EngineError> for SealError {
    fn from(error: EngineError) -> Self {
        InspectError::from(error).into()
    }
}

impl From<ReadError> for SealError {
    fn from(error: ReadError) -> Self {
        InspectError::from(error).into()
    }
}

impl From<LookupError> for SealError {
    fn from(error: LookupError) -> Self {
        InspectError::from(error).into()
    }
}

/// A directory's chain, to be shipped.
#[derive(Clone, Copy)]
pub struct Shipped<'a> {
    database: &'a DatabaseView,
    states: &'a StateStore,
    identity: &'a Identity,
    /// The block that it ends at, if not at the finalized one.
    end: Option<Root>,
}

/// What of a chain is finalized.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The finalized block's header.
    pub header: BlockHeader,
    /// Its post-state.
    pub state: Arc<State>,
}

impl Settled {
    /// The finalized block.
    #[must_use]
    pub fn block(&self) -> Checkpoint {
        Checkpoint { root: self.header.root(), slot: self.header.slot }
    }

    /// Roots of the segments before it: those that can be sealed.
    #[must_use]
    pub fn segment_roots(&self) -> Vec<Root> {
        let segments = self.state.historical_block_hashes.segments();
        segments.iter().map(|segment| segment.root()).collect()
    }

    /// The proof of everything before it.
    ///
    /// # Errors
    /// The state is not the block's.
    pub fn frontier(&self) -> Result<Frontier, SealError> {
        let index = self.header.slot / SEGMENT_SLOTS;
        Frontier::of(&self.header, &self.state).map_err(|source| SealError::Build { index, source })
    }
}

impl<'a> Shipped<'a> {
    /// The chain of these tables.
    #[must_use]
    pub const fn new(
        database: &'a DatabaseView,
        states: &'a StateStore,
        identity: &'a Identity,
    ) -> Self {
        Self { database, states, identity, end: None }
    }

    /// The same, up to this block of it instead of the finalized one: an older one, or the last that a chain can have,
    /// which nothing finalizes and which alone proves the last segment.
    #[must_use]
    pub const fn ending_at(self, root: Option<Root>) -> Self {
        Self { end: root, ..self }
    }

    /// Its network.
    ///
    /// # Errors
    /// The registry is lost or damaged, or the engine fails.
    pub fn network(&self) -> Result<Network, SealError> {
        let root = self.identity.registry_root;
        let validators = self.database.read()?.get::<Registries>(&root)?;
        let lost = || {
            SealError::NotSealable(format!("the registry {root} is lost; run `lamella db verify`"))
        };
        Ok(Network::new(self.identity.genesis_time, validators.ok_or_else(lost)?))
    }

    /// The newest finalized block, on the head's chain, or the block that was named.
    ///
    /// # Errors
    /// Damage, or a block that is not canonical, not finalized or not here.
    pub fn settled(&self) -> Result<Settled, SealError> {
        let not = |what| Err(SealError::NotSealable(what));
        let txn = self.database.read()?;
        let finalized = ends::fork_choice_row(&txn)?.finalized;
        let root = self.end.unwrap_or(finalized.root);
        let header = match self.end {
            None => Some(ends::named(&txn, "finalized", root)?),
            Some(named) => block_store::header(&txn, &named)?,
        };
        let Some(header) = header else {
            return not(format!("block {root} is not in this directory"));
        };
        let slot = header.slot;
        if block_store::canonical_root(&txn, slot)? != Some(root) {
            return not(format!("block {root} at slot {slot} is not canonical"));
        }
        if slot > finalized.slot && slot != CHAIN_LAST_SLOT {
            return not(format!(
                "block {root} at slot {slot} is not finalized, slot {} is; only the last block that a chain can have, at slot {CHAIN_LAST_SLOT}, may be named before it is",
                finalized.slot
            ));
        }
        Ok(Settled { header, state: self.state(&txn, SlotRoot::new(slot, root))? })
    }

    /// What of the chain is here with its states, which says what of it can be sealed.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn held(&self) -> Result<Held, SealError> {
        Ok(Held(ends::held_states(&self.database.read()?)?))
    }

    /// Reads and encodes a segment below the finalized block. `go_on` is asked between transactions.
    ///
    /// # Errors
    /// [`SealError`]. The caller compares the root with the one that the finalized state says.
    pub fn seal(
        &self,
        network: &Network,
        index: u32,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<SealedSegment, SealError> {
        let failed = |source| SealError::Build { index: index.into(), source };
        let first = first_slot(index.into());
        let mut walk = Walk::new(first, first + SEGMENT_SLOTS - 1);
        let mut builder = None;
        while !walk.is_done() {
            if go_on().is_break() {
                return Err(SealError::Stopped);
            }
            let txn = self.database.read()?;
            self.check_still_there(&txn, &walk)?;
            for block in walk.next_blocks(&txn, CHUNK_BLOCKS)? {
                let builder = match &mut builder {
                    Some(builder) => builder,
                    none => none.insert(self.begin(&txn, network, index, &block.header)?),
                };
                if block.key.slot == 0 {
                    continue;
                }
                let body = stored::body(&txn, &block.key, &block.header)?;
                match diff(&txn, block.key)? {
                    Some(diff) => builder.push(&block.header, &body, PostState::Diff(&diff)),
                    None => {
                        let state = self.state(&txn, block.key)?;
                        builder.push(&block.header, &body, PostState::State(&state))
                    }
                }
                .map_err(failed)?;
            }
        }
        let builder = match builder {
            Some(builder) => builder,
            None => SegmentBuilder::new(network, index, None).map_err(failed)?,
        };
        builder.finish().map_err(failed)
    }

    /// The builder of the segment whose first block this is.
    fn begin<'n>(
        &self,
        txn: &ReadTxn<'_>,
        network: &'n Network,
        index: u32,
        first: &BlockHeader,
    ) -> Result<SegmentBuilder<'n>, SealError> {
        let failed = |source| SealError::Build { index: index.into(), source };
        // Genesis is the entry of its own segment.
        let root = if first.slot == 0 { first.root() } else { first.parent_root };
        let header = ends::named(txn, "entry", root)?;
        let state = self.state(txn, SlotRoot::new(header.slot, root))?;
        SegmentBuilder::new(network, index, Some((&header, &state))).map_err(failed)
    }

    /// What is finalized stays; if it does not, nothing of this walk counts.
    fn check_still_there(&self, txn: &ReadTxn<'_>, walk: &Walk) -> Result<(), SealError> {
        let Some(last) = walk.last() else { return Ok(()) };
        if block_store::canonical_root(txn, last.slot)? == Some(last.root) {
            return Ok(());
        }
        let finalized = ends::fork_choice_row(txn)?.finalized.slot;
        Err(InspectError::Reorganized { slot: last.slot, finalized }.into())
    }

    fn state(&self, txn: &ReadTxn<'_>, key: SlotRoot) -> Result<Arc<State>, SealError> {
        stored::check_state(txn, &key)?;
        let root = key.root;
        let lost = || {
            SealError::NotSealable(format!(
                "the state of block {root} is lost; run `lamella db verify`"
            ))
        };
        self.states.state(txn, &root)?.ok_or_else(lost)
    }
}

/// The diff of a block; `None` where its state is stored whole.
fn diff(txn: &ReadTxn<'_>, block: SlotRoot) -> Result<Option<StateDiff>, SealError> {
    let Some(Bytes(bytes)) = txn.get::<Diffs>(&block)? else { return Ok(None) };
    let diff = StateDiff::decode(&bytes, block.slot);
    diff.map(Some).map_err(|error| SealError::Diff { block, what: error.to_string() })
}

/// What of a chain is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held(Vec<HeldSlots>);

impl Held {
    /// Whether the segment can be sealed, once it is finalized: all its blocks and the one before are here.
    #[must_use]
    pub fn can_seal(&self, index: u64) -> bool {
        let (first, last) = (first_slot(index), first_slot(index + 1) - 1);
        let has = |held: &HeldSlots| {
            let has_entry = held.from_slot == 0 || held.from_slot < first;
            has_entry && last <= held.to_slot
        };
        self.0.iter().any(has)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slots {}", HeldText(&self.0))
    }
}

/// First slot of a segment.
#[must_use]
pub const fn first_slot(index: u64) -> Slot {
    index * SEGMENT_SLOTS
}
