//! Segments of a chain in a directory, read and encoded.
//!
//! The hard idea: a segment of a finalized chain does not change, so it needs no snapshot of its own. It is read in short
//! transactions, and the links between the blocks prove that nothing between two of them was lost or moved.

use std::ops::ControlFlow;

use lamella_archive::{Frontier, Network, PostState, SealedSegment, SegmentBuilder};
use lamella_block_store::{self as block_store, Extent};
use lamella_chain::Identity;
use lamella_inspect::{InspectError, ends, walk::Walk};
use lamella_state_diff::StateDiff;
use lamella_state_store::StateStore;
use lamella_tables::{Bytes, DatabaseView, Diffs, Read as _, ReadTxn, Registries, SlotRoot};
use lamella_types::{BlockHeader, Checkpoint, Root, State, limits::CHAIN_LAST_SLOT};

use crate::{
    error::ShippingError,
    remote::{SEGMENT_SLOTS, first_slot},
};

use std::sync::Arc;

/// Blocks read in one transaction.
const CHUNK_BLOCKS: usize = 64;

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
pub(crate) struct Settled {
    /// The finalized block's header.
    pub(crate) header: BlockHeader,
    /// Its post-state.
    pub(crate) state: Arc<State>,
}

impl Settled {
    pub(crate) fn block(&self) -> Checkpoint {
        Checkpoint { root: self.header.root(), slot: self.header.slot }
    }

    /// Roots of the segments before it: those that can be sealed.
    pub(crate) fn segment_roots(&self) -> Vec<Root> {
        let segments = self.state.historical_block_hashes.segments();
        segments.iter().map(|segment| segment.root()).collect()
    }

    pub(crate) fn frontier(&self) -> Result<Frontier, ShippingError> {
        let index = self.header.slot / SEGMENT_SLOTS;
        Frontier::of(&self.header, &self.state)
            .map_err(|source| ShippingError::Seal { index, source: Box::new(source) })
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
    pub(crate) fn network(&self) -> Result<Network, ShippingError> {
        let root = self.identity.registry_root;
        let validators = self.database.read()?.get::<Registries>(&root)?;
        let lost = || ShippingError::NotShippable {
            what: format!("the registry {root} is lost; run `lamella db verify`"),
        };
        Ok(Network::new(self.identity.genesis_time, validators.ok_or_else(lost)?))
    }

    /// The newest finalized block, on the head's chain, or the block that was named.
    pub(crate) fn settled(&self) -> Result<Settled, ShippingError> {
        let not = |what| Err(ShippingError::NotShippable { what });
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
        Ok(Settled { header, state: self.state(&txn, root)? })
    }

    /// The first segment that it can seal: all of whose blocks, and the one before, it has.
    pub(crate) fn first_sealable(&self) -> Result<u64, ShippingError> {
        let oldest = Extent::read(&self.database.read()?)?.oldest().slot;
        Ok(if oldest == 0 { 0 } else { oldest / SEGMENT_SLOTS + 1 })
    }

    /// Reads and encodes a segment below the finalized block. `go_on` is asked between transactions.
    pub(crate) fn seal(
        &self,
        network: &Network,
        index: u32,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<SealedSegment, ShippingError> {
        let failed = |source| ShippingError::Seal { index: index.into(), source: Box::new(source) };
        let first = first_slot(index.into());
        let mut walk = Walk::new(first, first + SEGMENT_SLOTS - 1);
        let mut builder = None;
        while !walk.is_done() {
            if go_on().is_break() {
                return Err(ShippingError::Stopped);
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
                let body = block_store::body(&txn, &block.key, &block.header)?;
                match diff(&txn, block.key)? {
                    Some(diff) => builder.push(&block.header, &body, PostState::Diff(&diff)),
                    None => {
                        let state = self.state(&txn, block.key.root)?;
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
    ) -> Result<SegmentBuilder<'n>, ShippingError> {
        let failed = |source| ShippingError::Seal { index: index.into(), source: Box::new(source) };
        // Genesis is the entry of its own segment.
        let root = if first.slot == 0 { first.root() } else { first.parent_root };
        let header = ends::named(txn, "entry", root)?;
        let state = self.state(txn, root)?;
        SegmentBuilder::new(network, index, Some((&header, &state))).map_err(failed)
    }

    /// What is finalized stays; if it does not, nothing of this walk counts.
    fn check_still_there(&self, txn: &ReadTxn<'_>, walk: &Walk) -> Result<(), ShippingError> {
        let Some(last) = walk.last() else { return Ok(()) };
        if block_store::canonical_root(txn, last.slot)? == Some(last.root) {
            return Ok(());
        }
        let finalized = ends::fork_choice_row(txn)?.finalized.slot;
        Err(InspectError::Reorganized { slot: last.slot, finalized }.into())
    }

    fn state(&self, txn: &ReadTxn<'_>, root: Root) -> Result<Arc<State>, ShippingError> {
        let lost = || ShippingError::NotShippable {
            what: format!("the state of block {root} is lost; run `lamella db verify`"),
        };
        self.states.state(txn, &root)?.ok_or_else(lost)
    }
}

/// The diff of a block; `None` where its state is stored whole.
fn diff(txn: &ReadTxn<'_>, block: SlotRoot) -> Result<Option<StateDiff>, ShippingError> {
    let Some(Bytes(bytes)) = txn.get::<Diffs>(&block)? else { return Ok(None) };
    let diff = StateDiff::decode(&bytes, block.slot);
    diff.map(Some).map_err(|error| ShippingError::Diff { block, what: error.to_string() })
}
