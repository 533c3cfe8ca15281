//! What is stored of a located block: its body, its proof, its state, its diff.

use std::sync::Arc;

use lamella_block_store::{self as block_store, Extent, SignedBlockRead};
use lamella_state_diff::StateDiff;
use lamella_state_store::StateStore;
use lamella_tables::{Bytes, Diffs, Read as _, ReadTxn, SlotRoot, Slots};
use lamella_types::{Block, BlockBody, BlockHeader, SignedBlock, State};

use super::{
    ends,
    error::{LookupError, PrunedPart, contradiction},
    which::Located,
};

/// Why a block before the one that the directory began with has no proof.
const CAME_WITHOUT: &str = "did not come with its history";

/// The block: header and votes.
///
/// # Errors
/// [`LookupError::PartPruned`], or damage.
pub fn block(txn: &ReadTxn<'_>, located: &Located) -> Result<Block, LookupError> {
    let body = body(txn, &located.key, &located.header)?;
    Ok(Block::from_parts(&located.header, body))
}

/// The block with its proof.
///
/// # Errors
/// [`LookupError::Pruned`], [`LookupError::Unchecked`], or damage.
pub fn signed_block(txn: &ReadTxn<'_>, located: &Located) -> Result<SignedBlock, LookupError> {
    check_body(txn, &located.key, &located.header)?;
    let root = located.key.root;
    match block_store::signed_block(txn, &root)? {
        SignedBlockRead::Found(signed) => Ok(*signed),
        SignedBlockRead::Pruned(header) => {
            let floor = ends::servable(txn)?.proofs_from;
            let slot = header.slot;
            let how = match slot < Extent::read(txn)?.bootstrap.slot {
                true => CAME_WITHOUT,
                false => "was pruned",
            };
            Err(LookupError::Pruned { root, slot, floor, how })
        }
        SignedBlockRead::Unchecked(header) => {
            Err(LookupError::Unchecked { root, slot: header.slot })
        }
        SignedBlockRead::Unknown => Err(gone(located)),
    }
}

/// The block's post-state.
///
/// # Errors
/// [`LookupError::PartPruned`], or damage.
pub fn state(
    states: &StateStore,
    txn: &ReadTxn<'_>,
    located: &Located,
) -> Result<Arc<State>, LookupError> {
    check_state(txn, &located.key)?;
    states.state(txn, &located.key.root)?.ok_or_else(|| gone(located))
}

/// That the state of a block was not pruned. Asked before its rows are: of those below the floor some may still be there.
///
/// # Errors
/// [`LookupError::PartPruned`], or damage.
pub(crate) fn check_state(txn: &ReadTxn<'_>, key: &SlotRoot) -> Result<(), LookupError> {
    let SlotRoot { slot, root } = *key;
    match Extent::read(txn)?.states_floor() {
        floor if slot < floor => {
            Err(LookupError::PartPruned { part: PrunedPart::State, root, slot, floor })
        }
        _ => Ok(()),
    }
}

/// That the body of a block was not pruned. The empty one is in no row, so it cannot be.
///
/// # Errors
/// [`LookupError::PartPruned`], or damage.
pub(crate) fn check_body(
    txn: &ReadTxn<'_>,
    key: &SlotRoot,
    header: &BlockHeader,
) -> Result<(), LookupError> {
    let SlotRoot { slot, root } = *key;
    match Extent::read(txn)?.bodies_floor() {
        floor if slot < floor && block_store::has_body_row(header) => {
            Err(LookupError::PartPruned { part: PrunedPart::Body, root, slot, floor })
        }
        _ => Ok(()),
    }
}

/// The body of a block.
///
/// # Errors
/// [`LookupError::PartPruned`], or damage.
pub(crate) fn body(
    txn: &ReadTxn<'_>,
    key: &SlotRoot,
    header: &BlockHeader,
) -> Result<BlockBody, LookupError> {
    check_body(txn, key, header)?;
    Ok(block_store::body(txn, key, header)?)
}

/// The block's diff and its bytes as they are stored; `None` if its state is stored whole.
///
/// # Errors
/// [`LookupError::PartPruned`], or damage.
pub fn diff(
    txn: &ReadTxn<'_>,
    located: &Located,
) -> Result<Option<(Vec<u8>, StateDiff)>, LookupError> {
    check_state(txn, &located.key)?;
    let Some(Bytes(bytes)) = txn.get::<Diffs>(&located.key)? else { return Ok(None) };
    let diff = StateDiff::decode(&bytes, located.key.slot)
        .map_err(|error| contradiction::<Diffs>(&located.key, error.to_string()))?;
    Ok(Some((bytes, diff)))
}

/// What was found a moment ago in the same snapshot is not found by its root.
fn gone(located: &Located) -> LookupError {
    let what = format!("no row, yet there is a header of slot {}", located.key.slot);
    contradiction::<Slots>(&located.key.root, what).into()
}
