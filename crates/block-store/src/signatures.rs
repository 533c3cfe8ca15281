//! Block proofs and their pruning.
//!
//! Proofs are needed by peers that catch up, within a window below the tip. Older ones go, a bounded number to a
//! transaction, and only where finality has settled which branch won. The floor says below which key proofs
//! may be missing; it moves in the transaction that deletes.

use std::ops::Range;

use lamella_tables::{Bytes, EngineError, Read, ReadError, Signatures, SlotRoot, WriteTxn};
use lamella_types::{
    BlockHeader, DecodeError, MultiMessageAggregate, ProofBytes, Root, SignedBlock, Slot,
};

use crate::{
    blocks, contradiction,
    extent::{Extent, SignatureFloor},
    unchecked::UncheckedProofs,
};

/// Slots of signatures kept below the tip: one day at 4 s per slot (86 400 / 4).
pub const SIGNATURE_PRUNING_RANGE_SLOTS: u64 = 21_600;

/// Proofs deleted in one transaction. At 3 KB each about 1 MB of pages is touched: 0.2 ms, and its commit.
pub const PRUNE_ROWS_MAX: usize = 256;

/// Slots whose proofs go together: a commit rewrites the pages of what it deletes up to the root of their tree, so 32
/// slots at a time cost little more than one. A step is at most a 64th of the window.
const PRUNE_STEP_SLOTS_MAX: u64 = 32;

/// What became of a request for a signed block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBlockRead {
    /// No such block.
    Unknown,
    /// The block is here, its proof was pruned, perhaps with its body.
    Pruned(BlockHeader),
    /// The block is here, and so is a proof that nobody has checked.
    Unchecked(BlockHeader),
    /// The whole block.
    Found(Box<SignedBlock>),
}

impl SignedBlockRead {
    /// The whole block, if it was found.
    #[must_use]
    pub fn found(self) -> Option<SignedBlock> {
        match self {
            Self::Found(block) => Some(*block),
            Self::Unknown | Self::Pruned(_) | Self::Unchecked(_) => None,
        }
    }
}

/// Writes a block's proof.
///
/// # Errors
/// When the engine fails.
pub fn put_signature(
    txn: &mut WriteTxn<'_>,
    key: &SlotRoot,
    proof: &MultiMessageAggregate,
) -> Result<(), EngineError> {
    txn.put_slice::<Signatures>(key, proof.proof.as_bytes())
}

/// The signed block of this root.
///
/// # Errors
/// A damaged row, or the engine. A proof that is missing at or above the floor counts as damage: nobody
/// may have pruned it (P1).
pub fn signed_block(txn: &impl Read, root: &Root) -> Result<SignedBlockRead, ReadError> {
    let Some(header) = blocks::header(txn, root)? else {
        return Ok(SignedBlockRead::Unknown);
    };
    let key = SlotRoot::new(header.slot, *root);
    if Extent::find(txn)?.is_some_and(|extent| header.slot < extent.bodies_floor()) {
        return Ok(SignedBlockRead::Pruned(header));
    }
    let Some(Bytes(proof)) = txn.get::<Signatures>(&key)? else {
        let floor = signature_floor(txn)?.key;
        if key < floor {
            return Ok(SignedBlockRead::Pruned(header));
        }
        let what = format!("no proof, yet proofs are pruned only below {floor}");
        return Err(contradiction::<Signatures>(&key, what));
    };
    if UncheckedProofs::read(txn)?.contains(&key) {
        return Ok(SignedBlockRead::Unchecked(header));
    }
    Ok(SignedBlockRead::Found(Box::new(whole(txn, &key, &header, proof)?)))
}

/// The proof of a stored block; `None` if it was pruned, or is one of those that nobody has checked.
///
/// # Errors
/// A damaged row, or the engine; a proof that is missing at or above the floor is damage (P1).
pub fn checked_proof(
    txn: &impl Read,
    unchecked: &UncheckedProofs,
    key: &SlotRoot,
) -> Result<Option<Vec<u8>>, ReadError> {
    if let Some(Bytes(proof)) = txn.get::<Signatures>(key)? {
        return Ok((!unchecked.contains(key)).then_some(proof));
    }
    let floor = signature_floor(txn)?.key;
    if *key < floor {
        return Ok(None);
    }
    let what = format!("no proof, yet proofs are pruned only below {floor}");
    Err(contradiction::<Signatures>(key, what))
}

/// Signed blocks at these slots, of every branch and whatever is known of their proofs, in order: `blocks_max` or, at the
/// last slot, some more. With the slot below which these are all.
///
/// # Errors
/// A damaged row, or the engine.
pub fn signed_blocks_in(
    txn: &impl Read,
    slots: Range<Slot>,
    blocks_max: usize,
) -> Result<(Vec<(SlotRoot, SignedBlock)>, Slot), ReadError> {
    let mut blocks: Vec<(SlotRoot, SignedBlock)> = Vec::new();
    for row in txn.scan::<Signatures>(SlotRoot::first_of(slots.start))? {
        let (key, Bytes(proof)) = row?;
        let is_new_slot = blocks.last().is_some_and(|(last, _)| last.slot < key.slot);
        if key.slot >= slots.end {
            break;
        }
        if is_new_slot && blocks.len() >= blocks_max {
            return Ok((blocks, key.slot));
        }
        let lost = || contradiction::<Signatures>(&key, "a proof without its block".to_owned());
        let header = blocks::header(txn, &key.root)?.ok_or_else(lost)?;
        blocks.push((key, whole(txn, &key, &header, proof)?));
    }
    Ok((blocks, slots.end))
}

/// The block of this key with its proof as it is stored, checked or not, and with an empty one where it was pruned; `None`
/// if there is no such block.
///
/// # Errors
/// A damaged row, or the engine.
pub fn block_as_stored(txn: &impl Read, key: &SlotRoot) -> Result<Option<SignedBlock>, ReadError> {
    let Some(header) = blocks::header_at(txn, key)? else { return Ok(None) };
    let proof = txn.get::<Signatures>(key)?.map(|Bytes(proof)| proof).unwrap_or_default();
    whole(txn, key, &header, proof).map(Some)
}

fn whole(
    txn: &impl Read,
    key: &SlotRoot,
    header: &BlockHeader,
    proof: Vec<u8>,
) -> Result<SignedBlock, ReadError> {
    let too_long = |error: DecodeError| contradiction::<Signatures>(key, error.to_string());
    let proof = MultiMessageAggregate { proof: ProofBytes::new(proof).map_err(too_long)? };
    let block = lamella_types::Block::from_parts(header, blocks::body(txn, key, header)?);
    Ok(SignedBlock { block, proof })
}

/// How far proofs have been pruned.
///
/// # Errors
/// A damaged row, or the engine.
pub fn signature_floor(txn: &impl Read) -> Result<SignatureFloor, ReadError> {
    Ok(Extent::read(txn)?.newest().proofs)
}

/// What one bounded pruning step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneStep {
    /// Proofs deleted.
    pub deleted: usize,
    /// The floor afterwards.
    pub floor: SignatureFloor,
    /// Whether proofs below the cutoff are left for another step.
    pub more: bool,
}

/// Deletes up to `rows_max` of the oldest proofs below `tip_slot - window`, if that is finalized. In long windows they
/// go 32 slots at a time.
///
/// # Errors
/// A damaged row, or the engine.
///
/// # Cost
/// Starts at the stored floor; touches only the rows it deletes and the one after them.
pub fn prune_signatures(
    txn: &mut WriteTxn<'_>,
    tip_slot: Slot,
    finalized_slot: Slot,
    window: u64,
    rows_max: usize,
) -> Result<PruneStep, ReadError> {
    let mut extent = Extent::read(txn)?;
    let floor = extent.newest().proofs;
    let cutoff = tip_slot.saturating_sub(window);
    let cutoff = cutoff - cutoff % (window / 64).clamp(1, PRUNE_STEP_SLOTS_MAX);
    // Upholds P1: in deep non-finality nothing is pruned, so the floor never passes the finalized slot.
    if cutoff > finalized_slot || cutoff <= floor.key.slot {
        return Ok(PruneStep { deleted: 0, floor, more: false });
    }
    let keys = txn.scan_keys::<Signatures>(floor.key)?;
    let below = keys.take_while(|key| key.as_ref().map_or(true, |key| key.slot < cutoff));
    let mut keys: Vec<SlotRoot> = below.take(rows_max + 1).collect::<Result<_, _>>()?;
    let next = keys.get(rows_max).copied();
    keys.truncate(rows_max);
    for key in &keys {
        txn.delete::<Signatures>(key)?;
    }
    let key = next.unwrap_or(SlotRoot::first_of(cutoff));
    let floor = SignatureFloor { key, finalized_slot };
    extent.set_floor(floor);
    extent.put(txn)?;
    Ok(PruneStep { deleted: keys.len(), floor, more: next.is_some() })
}
