//! Fork choice from disk: the live tree, the votes, and one row of checkpoints.

use lamella_block_store as block_store;
use lamella_fork_choice::{BlockSummary, ForkChoice, Snapshot};
use lamella_state_store::StateStore;
use lamella_tables::{Headers, LiveChain, Read as _, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Root};

use crate::{
    error::ChainOpenError,
    meta::{ForkChoiceRow, content},
    vote_rows,
};

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
    for row in txn.scan::<LiveChain>(SlotRoot::first_of(0))? {
        let (key, parent) = row?;
        let Some(header) = block_store::header_at(txn, &key)? else {
            return Err(content::<LiveChain>(&key, "its header is not stored").into());
        };
        if header.parent_root != parent {
            return Err(content::<LiveChain>(&key, "its header has another parent").into());
        }
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

/// The block that a directory begins with: the first row of all headers.
pub(crate) fn bootstrap_block(
    txn: &ReadTxn<'_>,
) -> Result<Option<(SlotRoot, Root)>, ChainOpenError> {
    let first = txn.scan::<Headers>(SlotRoot::first_of(0))?.next().transpose()?;
    Ok(first.map(|(key, header)| (key, header.parent_root)))
}
