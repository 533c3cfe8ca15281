//! History put below the block that a directory began with: bottom-up from genesis, until it meets that block.
//!
//! The hard idea: nothing beside the rows says how far it is. The extent names the newest block that history has come to,
//! in the transaction of that block's rows, so a kill between any two leaves what can be gone on from; and the rows are the
//! ones that importing the blocks would have written, since a block's rows follow from the block, its post-state and its
//! parent's row. Whoever brings the blocks proves that they are the chain's; here each must be its parent's child, its state
//! hash to its header, and the last one be the parent of what was there before.
//!
//! The states are rebuilt and encoded before the writer's lock is taken, and a transaction has few blocks: an import that
//! comes meanwhile waits for one of them, not for a segment.

use std::sync::Arc;

use lamella_block_store::{self as block_store, Extent, Hole};
use lamella_state_store::{DiffBase, PreparedState, StateWriteError};
use lamella_tables::{ReadError, SlotRoot, WriteTxn};
use lamella_types::{BlockBody, BlockHeader, State};

use crate::{
    error::PersistError,
    kept::Pruning,
    meta::{ForkChoiceRow, put_block_count},
    open::Chain,
};

/// Blocks of history in one transaction: as many as catch-up puts into one.
pub const HISTORY_BLOCKS_MAX: usize = 64;

/// A block of history with its post-state: held to its parent, encoded, not yet written.
#[derive(Debug, Clone)]
pub struct PastBlock {
    key: SlotRoot,
    header: BlockHeader,
    body: BlockBody,
    state: PreparedState,
}

impl PastBlock {
    /// A child of `base`, or the block that a chain begins with.
    ///
    /// # Errors
    /// [`StateWriteError`] if `post_state` is anything but the post-state of this child of this base.
    pub fn new(
        base: Option<&DiffBase>,
        header: BlockHeader,
        body: BlockBody,
        post_state: Arc<State>,
    ) -> Result<Self, StateWriteError> {
        let root = header.root();
        let state = match base {
            Some(base) => PreparedState::child(base, root, &header, post_state),
            None => PreparedState::bootstrap(root, &header, post_state),
        };
        Ok(Self { key: SlotRoot::new(header.slot, root), header, body, state: state? })
    }

    /// Its slot and root.
    #[must_use]
    pub const fn key(&self) -> SlotRoot {
        self.key
    }

    /// This block as the base of its child.
    #[must_use]
    pub fn base(&self) -> DiffBase {
        self.state.stored().base(self.key.root)
    }

    /// Writes its rows, without a proof. Upholds S1, S2 and C1 for it.
    pub(crate) fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        block_store::put_block(txn, self.key.root, &self.header, &self.body)?;
        block_store::put_canonical(txn, self.key.slot, self.key.root)?;
        self.state.put(txn)?;
        Ok(())
    }
}

impl Chain {
    /// The first stretch of history that is missing; `None` if there is all.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn history_hole(&self) -> Result<Option<Hole>, ReadError> {
        Ok(Extent::read(&self.database.read()?)?.hole())
    }

    /// Puts the next blocks of the first hole, each the parent of the next; says what is missing now.
    ///
    /// # Errors
    /// [`PersistError::NotHistory`] if they do not belong there, [`PersistError::StatesPruned`] where states are pruned or
    /// were; nothing was written.
    ///
    /// # Atomicity
    /// One transaction: rows, and the extent that names the newest.
    pub fn put_history(&self, blocks: &[PastBlock]) -> Result<Extent, PersistError> {
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
            return Ok(Extent::read(&self.database.read()?)?);
        };
        let is_child = |pair: &[PastBlock]| {
            pair[1].header.parent_root == pair[0].key.root && pair[0].key.slot < pair[1].key.slot
        };
        let refused = || PersistError::NotHistory { first: first.key, last: last.key };
        if blocks.len() > HISTORY_BLOCKS_MAX || !blocks.windows(2).all(is_child) {
            return Err(refused());
        }
        let _writer = self.writer.lock();
        let mut txn = self.database.write()?;
        let mut extent = Extent::read(&txn)?;
        if Pruning::read(&txn)? != Pruning::default() {
            return Err(PersistError::StatesPruned);
        }
        let finalized_slot = ForkChoiceRow::read(&txn)?.map_or(0, |row| row.finalized.slot);
        if !extent.fill(first.key, first.header.parent_root, last.key, finalized_slot) {
            return Err(refused());
        }
        for block in blocks {
            block.put(&mut txn)?;
        }
        extent.put(&mut txn)?;
        put_block_count(&mut txn)?;
        txn.commit()?;
        Ok(extent)
    }
}
