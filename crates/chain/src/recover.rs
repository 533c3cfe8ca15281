//! Fork choice from disk: the live tree, which is its root and all stored blocks that descend from it; the votes; and
//! one row of checkpoints.

use std::collections::HashSet;

use lamella_fork_choice::{BlockSummary, ForkChoice, Snapshot};
use lamella_state_store::StateStore;
use lamella_tables::{EngineError, Headers, Read as _, ReadError, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Checkpoint};

use crate::{error::ChainOpenError, meta::ForkChoiceRow, vote_rows};

/// Rebuilds fork choice from the tables alone.
///
/// # Errors
/// Damage, or a tree and votes that do not give the stored head. Upholds F1.
///
/// # Cost
/// One header and one state row for each live block, about 1,030 while finality is healthy.
pub(crate) fn fork_choice(txn: &ReadTxn<'_>) -> Result<ForkChoice, ChainOpenError> {
    let Some(stored) = ForkChoiceRow::read(txn)? else {
        return Err(ChainOpenError::NoIdentity("it has no fork choice row"));
    };
    let restored = restore(txn, &stored)?;
    if restored.head() == stored.head {
        Ok(restored)
    } else {
        Err(ChainOpenError::HeadMismatch { stored: stored.head, computed: restored.head() })
    }
}

/// Fork choice as blocks, votes and checkpoints give it, whatever head was stored.
pub(crate) fn restore(
    txn: &ReadTxn<'_>,
    stored: &ForkChoiceRow,
) -> Result<ForkChoice, ChainOpenError> {
    let mut blocks = Vec::new();
    for row in live_blocks(txn, stored.tree_root)? {
        let (key, header) = row?;
        blocks.push(summary(txn, key, &header)?);
    }
    Ok(ForkChoice::restore(Snapshot {
        blocks,
        latest_justified: stored.justified,
        latest_finalized: stored.finalized,
        safe_target: stored.safe_target,
        time: stored.time,
        votes: vote_rows::read_all(txn)?,
    })?)
}

/// The live tree (L1): its root, and every stored block that descends from it, parents before children. A damaged
/// header is an error; nothing that descends from it is live.
///
/// # Errors
/// When the engine fails.
///
/// # Cost
/// One scan of the headers from the root's slot on.
pub(crate) fn live_blocks(
    txn: &ReadTxn<'_>,
    root: Checkpoint,
) -> Result<impl Iterator<Item = Result<(SlotRoot, BlockHeader), ReadError>>, EngineError> {
    let mut live = HashSet::new();
    let rows = txn.scan::<Headers>(SlotRoot::new(root.slot, root.root))?;
    Ok(rows.filter(move |row| {
        let Ok((key, header)) = row else { return true };
        let is_live = key.root == root.root || live.contains(&header.parent_root);
        if is_live {
            live.insert(key.root);
        }
        is_live
    }))
}

/// Blocks of the live tree.
///
/// # Errors
/// A damaged header, or the engine.
pub fn live_block_count(txn: &ReadTxn<'_>, row: &ForkChoiceRow) -> Result<u64, ReadError> {
    live_blocks(txn, row.tree_root)?.try_fold(0, |count, block| block.map(|_| count + 1))
}

/// What fork choice keeps of a stored block.
fn summary(
    txn: &ReadTxn<'_>,
    key: SlotRoot,
    header: &BlockHeader,
) -> Result<BlockSummary, ChainOpenError> {
    let state = StateStore::checkpoints(txn, key)?;
    Ok(BlockSummary {
        root: key.root,
        parent_root: header.parent_root,
        slot: key.slot,
        proposer_index: header.proposer_index,
        justified: state.justified,
        finalized: state.finalized,
        validator_count: state.validator_count,
    })
}
