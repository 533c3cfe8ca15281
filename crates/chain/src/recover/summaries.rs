//! What fork choice keeps of stored blocks.
//!
//! A state row names its checkpoints by slot where they are blocks of its own branch. Their roots are found in the live
//! tree, and below its root by headers: each child names its parent's checkpoint or one a few slots newer, so the walks
//! are short.

use std::collections::HashMap;

use lamella_block_store as block_store;
use lamella_fork_choice::BlockSummary;
use lamella_state_store::{BranchCheckpoint, StateStore};
use lamella_tables::{Diffs, Headers, Read, SlotRoot};
use lamella_types::{BlockHeader, Checkpoint, Root, Slot};

use crate::{error::ChainOpenError, meta::content};

/// Summaries of the live tree's blocks, the root first, parents before children.
pub(super) fn summaries(
    txn: &impl Read,
    live: &[(SlotRoot, BlockHeader)],
) -> Result<Vec<BlockSummary>, ChainOpenError> {
    let mut branches = Branches { txn, live: HashMap::new(), below: Vec::new() };
    let mut summaries = Vec::with_capacity(live.len());
    for (key, header) in live {
        let state = StateStore::checkpoints(txn, *key)?;
        let parent = branches.live.get(&header.parent_root).copied();
        let justified = branches.resolve(
            *key,
            header,
            state.justified,
            parent.map(|parent| parent.justified),
        )?;
        let finalized = branches.resolve(
            *key,
            header,
            state.finalized,
            parent.map(|parent| parent.finalized),
        )?;
        summaries.push(BlockSummary {
            root: key.root,
            parent_root: header.parent_root,
            slot: key.slot,
            proposer_index: header.proposer_index,
            justified,
            finalized,
            validator_count: state.validator_count,
        });
        let block = LiveBlock {
            slot: key.slot,
            parent_root: header.parent_root,
            justified: (state.justified, justified),
            finalized: (state.finalized, finalized),
        };
        branches.live.insert(key.root, block);
    }
    Ok(summaries)
}

/// A checkpoint as its row names it, and what that means.
type Resolved = (BranchCheckpoint, Checkpoint);

#[derive(Clone, Copy)]
struct LiveBlock {
    slot: Slot,
    parent_root: Root,
    justified: Resolved,
    finalized: Resolved,
}

/// Ancestors of live blocks.
struct Branches<'txn, R> {
    txn: &'txn R,
    live: HashMap<Root, LiveBlock>,
    /// Ancestors of the tree's root, newest first, as far as anybody asked.
    below: Vec<SlotRoot>,
}

impl<R: Read> Branches<'_, R> {
    fn resolve(
        &mut self,
        key: SlotRoot,
        header: &BlockHeader,
        named: BranchCheckpoint,
        of_parent: Option<Resolved>,
    ) -> Result<Checkpoint, ChainOpenError> {
        let slot = named.slot;
        if let Some(root) = named.root {
            return Ok(Checkpoint { slot, root });
        }
        if let Some((_, checkpoint)) = of_parent.filter(|(parents, _)| *parents == named) {
            return Ok(checkpoint);
        }
        let root = self.ancestor(header.parent_root, slot)?;
        let root = root.ok_or_else(|| {
            content::<Diffs>(
                &key,
                &format!("its branch has no block at slot {slot}, a checkpoint of it"),
            )
        })?;
        Ok(Checkpoint { slot, root })
    }

    /// The block of this slot on the branch that ends in `tip`.
    fn ancestor(&mut self, tip: Root, slot: Slot) -> Result<Option<Root>, ChainOpenError> {
        let mut at = tip;
        while let Some(block) = self.live.get(&at) {
            if block.slot <= slot {
                return Ok((block.slot == slot).then_some(at));
            }
            at = block.parent_root;
        }
        for index in 0.. {
            if index == self.below.len() {
                let Some(next) = self.parent_of(at)? else { return Ok(None) };
                self.below.push(next);
            }
            let block = self.below[index];
            if block.slot <= slot {
                return Ok((block.slot == slot).then_some(block.root));
            }
            let header = block_store::header_at(self.txn, &block)?;
            let lost = || content::<Headers>(&block, "the header is lost");
            at = header.ok_or_else(lost)?.parent_root;
        }
        Ok(None)
    }

    /// Where the block of this root is, `None` if it is not stored: the directory begins after it.
    fn parent_of(&self, root: Root) -> Result<Option<SlotRoot>, ChainOpenError> {
        Ok(block_store::slot(self.txn, &root)?.map(|slot| SlotRoot::new(slot, root)))
    }
}
