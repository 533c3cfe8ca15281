//! The follower's own chain: blocks of another's tail, through the import that every block takes.
//!
//! Time is the newest block's slot and not a clock's: what the followed node took in time is not late here. So votes of
//! earlier slots count, and head and finality follow from blocks alone.

use std::collections::HashSet;

use lamella_chain::{Chain, Persisted, TailPosition};
use lamella_shipping::follower::{Replica, Taken};
use lamella_types::{Block, Root, SignedBlock, Slot, hash_tree_root, limits::INTERVALS_PER_SLOT};

use crate::import::{BATCH_BLOCKS_MAX, ImportError, Importer};

/// Hears of each commit.
pub type Told = Box<dyn Fn(&Persisted) + Send + Sync>;

/// A chain that another's tail is imported into.
pub struct ImportingReplica {
    importer: Importer,
    told: Told,
}

impl ImportingReplica {
    /// Imports into the importer's chain, and tells of each commit.
    #[must_use]
    pub fn new(importer: Importer, told: Told) -> Self {
        Self { importer, told }
    }

    /// Time is never before the newest block.
    fn live_until(&self, newest: Option<Slot>) {
        let time = newest.unwrap_or_default().saturating_mul(INTERVALS_PER_SLOT);
        if self.chain().fork_choice().time() < time {
            self.chain().set_time(time);
        }
    }

    /// The blocks that can be imported: not here, and with a parent that is here or goes before.
    fn new_blocks(&self, blocks: Vec<SignedBlock>) -> Vec<(Root, SignedBlock)> {
        let view = self.chain().fork_choice();
        let mut taken = HashSet::new();
        let mut new = Vec::with_capacity(blocks.len());
        for signed in blocks {
            let (root, parent) = (hash_tree_root(&signed.block), signed.block.parent_root);
            if !view.contains(&root) && (view.contains(&parent) || taken.contains(&parent)) {
                taken.insert(root);
                new.push((root, signed));
            }
        }
        new
    }
}

impl Replica for ImportingReplica {
    type Error = ImportError;

    fn chain(&self) -> &Chain {
        self.importer.chain()
    }

    fn take(
        &self,
        blocks: Vec<SignedBlock>,
        position: &TailPosition,
    ) -> Result<Taken, ImportError> {
        let new = self.new_blocks(blocks);
        self.live_until(new.iter().map(|(_, signed)| signed.block.slot).max());
        let count = new.len() as u64;
        let mut runs: Vec<Vec<SignedBlock>> = Vec::new();
        let is_run = |one: &(Root, SignedBlock), next: &(Root, SignedBlock)| {
            next.1.block.parent_root == one.0
        };
        for run in new.chunk_by(is_run) {
            let run: Vec<SignedBlock> = run.iter().map(|(_, signed)| signed.clone()).collect();
            runs.extend(run.chunks(BATCH_BLOCKS_MAX).map(<[SignedBlock]>::to_vec));
        }
        let last = runs.pop().unwrap_or_default();
        let taken = || {
            for run in runs {
                if let Some(persisted) = self.importer.import_batch(run)? {
                    (self.told)(&persisted);
                }
            }
            // The position goes with the last of the rows: it never stands for blocks that are not here.
            let prepared = self.importer.prepare_batch(last)?;
            let persisted = self.importer.finish_followed(prepared, position)?;
            (self.told)(&persisted);
            Ok(Taken::Imported(count))
        };
        refused(taken())
    }

    fn take_proven(&self, blocks: Vec<Block>) -> Result<Taken, ImportError> {
        let count = blocks.len() as u64;
        self.live_until(blocks.iter().map(|block| block.slot).max());
        refused(self.importer.import_proven(blocks).map(|persisted| {
            if let Some(persisted) = persisted {
                (self.told)(&persisted);
            }
            Taken::Imported(count)
        }))
    }
}

/// An invalid block is the source's fault, all else is ours.
fn refused(taken: Result<Taken, ImportError>) -> Result<Taken, ImportError> {
    match taken {
        Err(ImportError::Rejected { root, reason }) => {
            Ok(Taken::Refused { root, reason: reason.to_string() })
        }
        other => other,
    }
}
