//! History fetched below the block that a directory began with, proven by the directory's own finalized state.
//!
//! The hard idea: a node that began at a checkpoint knows the root of every block before it, since its own finalized state
//! holds them; it lacks what hashes to them. So a source is asked for segments by names that the node itself gives, and needs
//! neither trust nor a frontier: what hashes to the name is the chain's, and whatever else comes is an error that names the
//! object. States are rebuilt from genesis up, each from the one before, and hashed.
//!
//! Where it goes on is the newest block that history has come to, so this can be killed at any instant.

use std::ops::ControlFlow;

use lamella_block_store::Hole;
use lamella_chain::{Chain, HISTORY_BLOCKS_MAX, PastBlock};
use lamella_inspect::seal::{SEGMENT_SLOTS, Settled, Shipped};
use lamella_state_store::DiffBase;
use lamella_tables::SlotRoot;
use lamella_types::{BlockBody, BlockHashes, BlockHeader, Root, Slot, State};

use std::sync::Arc;

use crate::{
    error::ShippingError,
    remote::Remote,
    store::{Access, Store},
};

/// Takes blocks that are the next of the hole, [`HISTORY_BLOCKS_MAX`] at most, and makes them permanent; or stops the job.
pub type Put<'a> = &'a mut dyn FnMut(Vec<PastBlock>) -> Result<ControlFlow<()>, ShippingError>;

/// What of a hole can be filled now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing is missing.
    Nothing,
    /// The next block that is missing is in a segment that will be sealed when this slot is finalized.
    Unsealed {
        /// The slot.
        until: Slot,
    },
    /// The next block that is missing is in this segment.
    Segment {
        /// Its index.
        index: u32,
        /// Its root.
        root: Root,
    },
}

/// Fills the first hole of a chain from one source.
pub struct Backfill<'a> {
    chain: &'a Chain,
    settled: Settled,
}

impl<'a> Backfill<'a> {
    /// Of this chain, by what is finalized of it now.
    ///
    /// # Errors
    /// Damage, or the engine.
    pub fn of(chain: &'a Chain) -> Result<Self, ShippingError> {
        Ok(Self { chain, settled: Self::shipped(chain).settled()? })
    }

    fn shipped(chain: &'a Chain) -> Shipped<'a> {
        Shipped::new(chain.database(), chain.states(), chain.identity())
    }

    /// What is to be fetched next.
    ///
    /// # Errors
    /// A directory whose finalized state contradicts its extent, damage, or the engine.
    pub fn left(&self) -> Result<Left, ShippingError> {
        match self.chain.history_hole()? {
            None => Ok(Left::Nothing),
            Some(hole) => self.next(&hole),
        }
    }

    fn next(&self, hole: &Hole) -> Result<Left, ShippingError> {
        let history = &self.settled.state.historical_block_hashes;
        let first = hole.after.map_or(0, |after| after.slot + 1);
        let is_block = |slot: &Slot| history.get(*slot).is_some_and(|root| root != Root::ZERO);
        let Some(slot) = (first..hole.until.slot).find(is_block) else {
            let what = format!(
                "the finalized state has no block from slot {first} on before {}, whose parent is missing; run `lamella db verify`",
                hole.until
            );
            return Err(ShippingError::NotShippable { what });
        };
        let index = slot / SEGMENT_SLOTS;
        let segments = history.segments();
        match usize::try_from(index).ok().and_then(|index| segments.get(index)) {
            None => Ok(Left::Unsealed { until: (index + 1) * SEGMENT_SLOTS }),
            Some(segment) => {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                Ok(Left::Segment { index, root: segment.root() })
            }
        }
    }

    /// Fills the hole from the store at this address, as far as segments are sealed; says what is left. `put` makes blocks
    /// permanent.
    ///
    /// # Errors
    /// [`ShippingError`]: what was put is the chain's, and stays.
    ///
    /// # Cost
    /// One segment in memory; every block of it replayed, also those that an earlier call put.
    pub fn fill(&self, url: &str, put: Put<'_>) -> Result<Left, ShippingError> {
        let network = Self::shipped(self.chain).network()?;
        let remote = Remote::of(Store::open(url, Access::Read)?, network.id());
        loop {
            match self.left()? {
                Left::Segment { index, root } => {
                    self.fill_segment(&remote, &network, index, root, put)?;
                }
                left => return Ok(left),
            }
        }
    }

    fn fill_segment(
        &self,
        remote: &Remote,
        network: &lamella_archive::Network,
        index: u32,
        root: Root,
        put: Put<'_>,
    ) -> Result<(), ShippingError> {
        let Some(hole) = self.chain.history_hole()? else { return Ok(()) };
        let segment = remote.read_segment(network, index, root)?;
        let damaged = |error| remote.damaged(error);
        segment.check_root(&root).map_err(damaged)?;
        let mut filling = Filling::begin(self.chain, &hole, put)?;
        if index == 0 && hole.after.is_none() {
            let (header, state) = network.genesis();
            filling.push(header, BlockBody::default(), state)?;
        }
        let before: Vec<Root> = self.settled.segment_roots();
        let mut replay =
            segment.replay(&before[..before.len().min(index as usize)]).map_err(damaged)?;
        while let Some(block) = replay.advance().map_err(damaged)? {
            let (header, body) = (block.header, block.body.clone());
            if header.slot >= hole.until.slot {
                break;
            }
            if !filling.is_next(&header)? {
                continue;
            }
            let state = replay.state(&filling.history).ok_or_else(|| filling.gap(&header))?;
            filling.push(header, body, state)?;
        }
        filling.flush()
    }
}

/// Blocks of a segment on their way into a hole.
struct Filling<'a> {
    put: Put<'a>,
    base: Option<DiffBase>,
    newest: Option<SlotRoot>,
    /// The history of the next block's state.
    history: BlockHashes,
    blocks: Vec<PastBlock>,
}

impl<'a> Filling<'a> {
    fn begin(chain: &Chain, hole: &Hole, put: Put<'a>) -> Result<Self, ShippingError> {
        let base = match hole.after {
            None => None,
            Some(after) => chain.diff_base(&after.root)?,
        };
        let history = base.as_ref().map(|base| base.state().historical_block_hashes.clone());
        let (newest, history) = (hole.after, history.unwrap_or_default());
        Ok(Self { put, base, newest, history, blocks: Vec::with_capacity(HISTORY_BLOCKS_MAX) })
    }

    /// Whether the block is one that is missing; then `history` becomes that of its state.
    fn is_next(&mut self, header: &BlockHeader) -> Result<bool, ShippingError> {
        let gap = || ShippingError::NotShippable {
            what: format!("block at slot {} does not follow what is here", header.slot),
        };
        let newest = self.newest.ok_or_else(gap)?;
        if header.slot <= newest.slot {
            return Ok(false);
        }
        let skipped = header.slot - newest.slot - 1;
        self.history.push_parent(header.parent_root, skipped).map_err(|_| gap())?;
        Ok(true)
    }

    fn gap(&self, header: &BlockHeader) -> ShippingError {
        let what = format!("the state of slot {} is not in its segment", header.slot);
        ShippingError::NotShippable { what }
    }

    fn push(
        &mut self,
        header: BlockHeader,
        body: BlockBody,
        state: State,
    ) -> Result<(), ShippingError> {
        let slot = header.slot;
        let block = PastBlock::new(self.base.as_ref(), header, body, Arc::new(state));
        let block = block.map_err(|error| ShippingError::NotShippable {
            what: format!("the block at slot {slot} does not extend what is here: {error}"),
        })?;
        (self.base, self.newest) = (Some(block.base()), Some(block.key()));
        self.blocks.push(block);
        if self.blocks.len() == HISTORY_BLOCKS_MAX { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ShippingError> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        match (self.put)(std::mem::take(&mut self.blocks))? {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ShippingError::Stopped),
        }
    }
}
