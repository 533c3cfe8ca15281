//! The import of a block: the sequence that every block takes, its own or a peer's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_chain::{Chain, PersistError, Persisted, PreparedBlock};
use lamella_fork_choice::{BlockStatus, ForkChoice};
use lamella_state_store::{DiffBase, StateReadError, StateWriteError};
use lamella_state_transition::state_transition;
use lamella_tables::EngineError;
use lamella_types::{RejectionReason, Root, SignedBlock, hash_tree_root};
use lamella_xmss::scheme::ProofScheme;

use crate::proofs;

/// Blocks of one catch-up transaction. Together they hold at most 32 MiB of proofs in memory.
pub const BATCH_BLOCKS_MAX: usize = 64;

/// Why a block was not imported. Nothing has changed, on disk or in memory.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The block is invalid, or its parent is not here: the sender's fault.
    #[error("block {root} rejected: {reason}")]
    Rejected {
        /// The block.
        root: Root,
        /// leanSpec's reason.
        reason: RejectionReason,
    },
    /// The parent's state cannot be read.
    #[error(transparent)]
    ParentState(#[from] StateReadError),
    /// The post-state is not what a child of its parent can have: a fault of ours.
    #[error(transparent)]
    Prepare(#[from] StateWriteError),
    /// It could not be made permanent.
    #[error(transparent)]
    Persist(#[from] PersistError),
}

impl From<EngineError> for ImportError {
    fn from(error: EngineError) -> Self {
        Self::Persist(error.into())
    }
}

/// What an import did.
#[derive(Debug)]
pub enum Imported {
    /// The tree held the block already.
    Known(Root),
    /// It is permanent and published.
    New(Box<NewBlock>),
}

/// A block that is now permanent.
#[derive(Debug)]
pub struct NewBlock {
    /// Its root.
    pub root: Root,
    /// Signature check and state transition.
    pub transition: Duration,
    /// What its commit changed.
    pub persisted: Persisted,
}

/// Imports blocks into a chain.
#[derive(Clone)]
pub struct Importer {
    chain: Arc<Chain>,
    scheme: Arc<dyn ProofScheme>,
}

impl Importer {
    /// An importer that checks proofs by this scheme.
    #[must_use]
    pub fn new(chain: Arc<Chain>, scheme: Arc<dyn ProofScheme>) -> Self {
        Self { chain, scheme }
    }

    /// Imports one block.
    ///
    /// # Errors
    /// [`ImportError`]; nothing has changed.
    pub fn import(&self, block: SignedBlock) -> Result<Imported, ImportError> {
        let root = hash_tree_root(&block.block);
        let started = Instant::now();
        if self.is_known(&root, &block)? {
            return Ok(Imported::Known(root));
        }
        // 1. The parent, captured before the state transition.
        let base = self.base(&root, &block)?;
        // 2. Signatures and transition: no transaction open, nothing written.
        let prepared = self.prepare(&root, &base, block)?;
        let transition = started.elapsed();
        // 3. One write transaction; 4. commit, and only then publish.
        let persisted = self.chain.persist(vec![prepared])?;
        Ok(Imported::New(Box::new(NewBlock { root, transition, persisted })))
    }

    /// Imports a run of blocks, each the child of the one before, in one transaction. Used in catch-up.
    ///
    /// # Errors
    /// [`ImportError`] of the first bad block; none of them has been imported. More than
    /// [`BATCH_BLOCKS_MAX`] are the caller's to split.
    pub fn import_batch(&self, blocks: Vec<SignedBlock>) -> Result<Option<Persisted>, ImportError> {
        debug_assert!(blocks.len() <= BATCH_BLOCKS_MAX, "{} blocks in a batch", blocks.len());
        let mut prepared: Vec<PreparedBlock> = Vec::with_capacity(blocks.len());
        for block in blocks {
            let root = hash_tree_root(&block.block);
            let previous = prepared.last().filter(|last| last.root() == block.block.parent_root);
            let base = match previous {
                Some(parent) => {
                    ForkChoice::check_votes_distinct(&block.block)
                        .map_err(|reason| ImportError::Rejected { root, reason })?;
                    parent.base()
                }
                None if self.is_known(&root, &block)? => continue,
                None => self.base(&root, &block)?,
            };
            prepared.push(self.prepare(&root, &base, block)?);
        }
        if prepared.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.chain.persist(prepared)?))
    }

    fn is_known(&self, root: &Root, block: &SignedBlock) -> Result<bool, ImportError> {
        let status = self.chain.fork_choice().check_block(root, &block.block);
        let status = status.map_err(|reason| ImportError::Rejected { root: *root, reason })?;
        Ok(status == BlockStatus::Known)
    }

    fn base(&self, root: &Root, block: &SignedBlock) -> Result<DiffBase, ImportError> {
        let unknown_parent =
            ImportError::Rejected { root: *root, reason: RejectionReason::UnknownParentBlock };
        self.chain.diff_base(&block.block.parent_root)?.ok_or(unknown_parent)
    }

    fn prepare(
        &self,
        root: &Root,
        base: &DiffBase,
        block: SignedBlock,
    ) -> Result<PreparedBlock, ImportError> {
        let rejected = |reason| ImportError::Rejected { root: *root, reason };
        let validators = &base.state().validators;
        proofs::verify_block(&*self.scheme, validators, &block, *root).map_err(rejected)?;
        let post_state = state_transition(base.state(), &block.block).map_err(rejected)?;
        let votes = proofs::block_votes(&*self.scheme, &block);
        Ok(PreparedBlock::new(base, block, Arc::new(post_state))?.with_votes(votes))
    }
}
