//! One digest over a stretch of the canonical chain: equal on two nodes exactly if they hold the same one.
//!
//! SHA-256 over, for each canonical block in slot order, `slot: u64 LE | block root | state root | body root`. Bodies
//! are read and hashed against their header; states are `lamella db verify`'s.

use std::path::Path;

use lamella_block_store as block_store;
use lamella_tables::{Canonical, Read as _, SlotRoot};
use lamella_types::{Root, Slot};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{InspectError, open_chain, which};

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
/// Damage, or a chain that switched branches between two chunks.
pub fn compute(
    data_dir: &Path,
    from_slot: Option<Slot>,
    to_slot: Option<Slot>,
) -> Result<Checksum, InspectError> {
    let chain = open_chain(data_dir)?;
    let (finalized, oldest) = {
        let txn = chain.database().read()?;
        (which::fork_choice_row(&txn)?.finalized.slot, which::oldest_block(&txn)?.slot)
    };
    let (from_slot, to_slot) = (from_slot.unwrap_or(oldest), to_slot.unwrap_or(finalized));
    let (mut hasher, mut blocks, mut next) = (Sha256::new(), 0, from_slot);
    let mut previous: Option<Root> = None;
    loop {
        let txn = chain.database().read()?;
        let mut rows = 0;
        for row in txn.scan::<Canonical>(next)?.take(CHUNK_BLOCKS) {
            let (slot, root) = row?;
            if slot > to_slot {
                break;
            }
            let header = which::canonical_header(&txn, slot, root)?;
            if previous.is_some_and(|previous| previous != header.parent_root) {
                return Err(InspectError::Reorganized { slot, finalized });
            }
            block_store::body(&txn, &SlotRoot::new(slot, root), &header)?;
            hasher.update(slot.to_le_bytes());
            for root in [root, header.state_root, header.body_root] {
                hasher.update(root.as_bytes());
            }
            (previous, next) = (Some(root), slot + 1);
            rows += 1;
        }
        blocks += rows as u64;
        if rows < CHUNK_BLOCKS {
            break;
        }
    }
    let digest = format!("0x{}", hex::encode(hasher.finalize()));
    Ok(Checksum { from_slot, to_slot, blocks, digest })
}
