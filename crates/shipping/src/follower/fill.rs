//! Segments as a way past a hole in a tail.

use lamella_archive::ArchivedBlock;
use lamella_types::{Block, Root};

use super::{FollowError, Replica, Taken};
use crate::{error::ShippingError, proven::Proven, remote::SEGMENT_SLOTS};

/// Blocks of a segment that are imported together.
const FILL_BLOCKS: usize = 64;

/// Imports what the segments have beyond the replica's live tree.
pub(super) fn fill<R: Replica>(
    replica: &R,
    proven: &Proven<'_>,
) -> Result<u64, FollowError<R::Error>> {
    let mut filled = 0;
    let first = replica.chain().fork_choice().tree_root().slot / SEGMENT_SLOTS;
    for index in first..proven.segments() {
        let segment = proven.segment(u32::try_from(index).unwrap_or(u32::MAX))?;
        for chunk in segment.blocks().chunks(FILL_BLOCKS) {
            let view = replica.chain().fork_choice();
            let is_new = |slot, root: &Root| slot > view.tree_root().slot && !view.contains(root);
            let new = chunk.iter().filter(|block| is_new(block.header.slot, &block.root));
            let new: Vec<Block> = new.map(ArchivedBlock::block).collect();
            if new.is_empty() {
                continue;
            }
            match replica.take_proven(new).map_err(FollowError::Replica)? {
                Taken::Imported(blocks) => filled += blocks,
                Taken::Refused { root, reason } => {
                    let what = format!(
                        "block {root} of segment {index} is proven by the frontier and invalid here: {reason}; are this network's rules another version's?"
                    );
                    return Err(ShippingError::NotShippable { what }.into());
                }
            }
        }
    }
    Ok(filled)
}
