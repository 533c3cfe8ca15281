//! One digest over a stretch of the canonical chain: equal on two nodes exactly if they hold the same one.
//!
//! SHA-256 over, for each canonical block in slot order, `slot: u64 LE | block root | state root | body root`. That the
//! blocks are all of the range is proven by their links, each header by its root, each body by its header; states are
//! `lamella db verify`'s.

use std::path::Path;

use lamella_block_store as block_store;
use lamella_tables::DatabaseView;
use lamella_types::Slot;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{InspectError, ends, open_chain, stored, walk};

/// Blocks read in one transaction.
const CHUNK_BLOCKS: usize = 1_024;

/// What `lamella db checksum` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checksum {
    /// First slot.
    pub from_slot: Slot,
    /// Last slot.
    pub to_slot: Slot,
    /// Canonical blocks in between, both included.
    pub blocks: u64,
    /// The digest, `0x` hex.
    pub digest: String,
}

/// Digests the canonical blocks of these slots; up to the finalized one unless told otherwise.
///
/// # Errors
/// A range that is not stored whole, damage, a lost row too, or a chain that switched branches between two chunks.
pub fn compute(
    data_dir: &Path,
    from_slot: Option<Slot>,
    to_slot: Option<Slot>,
) -> Result<Checksum, InspectError> {
    of(open_chain(data_dir)?.database(), from_slot, to_slot)
}

/// As [`compute`], of a database that is open.
///
/// # Errors
/// As [`compute`].
pub fn of(
    database: &DatabaseView,
    from_slot: Option<Slot>,
    to_slot: Option<Slot>,
) -> Result<Checksum, InspectError> {
    let (finalized, oldest) = {
        let txn = database.read()?;
        let servable = ends::servable(&txn)?;
        let oldest = servable.oldest.slot.max(servable.bodies_from);
        (ends::fork_choice_row(&txn)?.finalized.slot, oldest)
    };
    let (from_slot, to_slot) = (from_slot.unwrap_or(oldest), to_slot.unwrap_or(finalized));
    if to_slot < from_slot {
        return Err(InspectError::EmptyRange { from: from_slot, to: to_slot });
    }
    let (mut hasher, mut blocks) = (Sha256::new(), 0);
    let mut walk = walk::Walk::new(from_slot, to_slot);
    while !walk.is_done() {
        let txn = database.read()?;
        if let Some(last) = walk.last()
            && block_store::canonical_root(&txn, last.slot)? != Some(last.root)
        {
            return Err(InspectError::Reorganized { slot: last.slot, finalized });
        }
        for block in walk.next_blocks(&txn, CHUNK_BLOCKS)? {
            stored::body(&txn, &block.key, &block.header)?;
            hasher.update(block.key.slot.to_le_bytes());
            for root in [block.key.root, block.header.state_root, block.header.body_root] {
                hasher.update(root.as_bytes());
            }
            blocks += 1;
        }
    }
    let digest = format!("0x{}", const_hex::encode(hasher.finalize()));
    Ok(Checksum { from_slot, to_slot, blocks, digest })
}
