//! The import of a block: the sequence that every block takes, its own or a peer's. Its dear half, `prepare`, changes
//! nothing and runs on any thread; its other half, `finish`, is the consensus's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_chain::{Chain, PersistError, Persisted, PreparedBlock, TailPosition};
use lamella_fork_choice::{BlockStatus, ForkChoice};
use lamella_state_store::{DiffBase, StateReadError, StateWriteError};
use lamella_state_transition::state_transition;
use lamella_tables::EngineError;
use lamella_types::{
    Block, MultiMessageAggregate, RejectionReason, Root, SignedBlock, hash_tree_root,
};
use lamella_xmss::scheme::ProofScheme;

use crate::{heavy, proofs};

/// Blocks of one catch-up transaction. Together they hold at most 32 MiB of proofs in memory.
pub const BATCH_BLOCKS_MAX: usize = 64;

/// Blocks of a run from which on votes in its last ones may prove the others. Near the head each proof is checked, so that
/// it can be served at once.
pub const PROVEN_RUN_MIN: usize = 16;

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

/// What the preparation of a block took.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Reading its parent's state, and checking its proof.
    pub proof: Duration,
    /// The state transition, and what the store needs of it.
    pub transition: Duration,
}

/// A block that is now permanent.
#[derive(Debug)]
pub struct NewBlock {
    /// Its root.
    pub root: Root,
    /// What its preparation took.
    pub effort: Effort,
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
        if self.check(&root, &block.block)? == BlockStatus::Known {
            return Ok(Imported::Known(root));
        }
        let (prepared, effort) = self.prepare(&root, block)?;
        self.finish(prepared, effort)
    }

    /// Whether the block may be imported on the tree as it is. Cheap.
    ///
    /// # Errors
    /// [`ImportError::Rejected`].
    pub fn check(&self, root: &Root, block: &Block) -> Result<BlockStatus, ImportError> {
        let status = self.chain.fork_choice().check_block(root, block);
        status.map_err(|reason| ImportError::Rejected { root: *root, reason })
    }

    /// What takes long: the parent's state, signatures, the transition. Changes nothing, on any thread.
    ///
    /// # Errors
    /// [`ImportError`], but not `Persist`.
    pub fn prepare(
        &self,
        root: &Root,
        block: SignedBlock,
    ) -> Result<(PreparedBlock, Effort), ImportError> {
        heavy::begins("checking and executing a block");
        let started = Instant::now();
        // 1. The parent, captured before the state transition.
        let base = self.base(root, &block)?;
        // 2. Signatures and transition: no transaction open, nothing written.
        proofs::verify_block(&*self.scheme, &base.state().validators, &block, *root)
            .map_err(|reason| ImportError::Rejected { root: *root, reason })?;
        let proof = started.elapsed();
        let prepared = self.apply(root, &base, block, true)?;
        Ok((prepared, Effort { proof, transition: started.elapsed().saturating_sub(proof) }))
    }

    /// Makes a block permanent that was prepared with this effort, on the tree as it is now.
    ///
    /// # Errors
    /// [`ImportError`]; nothing has changed.
    pub fn finish(&self, prepared: PreparedBlock, effort: Effort) -> Result<Imported, ImportError> {
        let root = prepared.root();
        if self.check(&root, prepared.block())? == BlockStatus::Known {
            return Ok(Imported::Known(root));
        }
        // 3. One write transaction; 4. commit, and only then publish.
        let persisted = self.chain.persist(vec![prepared])?;
        Ok(Imported::New(Box::new(NewBlock { root, effort, persisted })))
    }

    /// Imports a run of blocks, each the child of the one before, in one transaction. Used in catch-up.
    ///
    /// # Errors
    /// [`ImportError`] of the first bad block; none of them has been imported. More than
    /// [`BATCH_BLOCKS_MAX`] are the caller's to split.
    pub fn import_batch(&self, blocks: Vec<SignedBlock>) -> Result<Option<Persisted>, ImportError> {
        let prepared = self.prepare_batch(blocks)?;
        self.finish_batch(prepared)
    }

    /// What takes long of a run: see [`Importer::prepare`]. Without the blocks that the tree has.
    ///
    /// # Errors
    /// [`ImportError`] of the first bad block, but not `Persist`.
    pub fn prepare_batch(
        &self,
        blocks: Vec<SignedBlock>,
    ) -> Result<Vec<PreparedBlock>, ImportError> {
        debug_assert!(blocks.len() <= BATCH_BLOCKS_MAX, "{} blocks in a batch", blocks.len());
        let mut run: Vec<(Root, SignedBlock)> = Vec::with_capacity(blocks.len());
        for block in blocks {
            let root = hash_tree_root(&block.block);
            let follows = run.last().is_some_and(|(last, _)| *last == block.block.parent_root);
            if follows {
                ForkChoice::check_votes_distinct(&block.block)
                    .map_err(|reason| ImportError::Rejected { root, reason })?;
            } else if self.check(&root, &block.block)? == BlockStatus::Known {
                continue;
            }
            run.push((root, block));
        }
        let checked_from = self.check_proofs(&run)?;
        let mut prepared: Vec<PreparedBlock> = Vec::with_capacity(run.len());
        for (position, (root, block)) in run.into_iter().enumerate() {
            let previous = prepared.last().filter(|last| last.root() == block.block.parent_root);
            let base = match previous {
                Some(parent) => parent.base(),
                None => self.base(&root, &block)?,
            };
            prepared.push(self.apply(&root, &base, block, position >= checked_from)?);
        }
        Ok(prepared)
    }

    /// Checks the proofs of a run; from which position on each was checked, and not only proven by later ones.
    fn check_proofs(&self, run: &[(Root, SignedBlock)]) -> Result<usize, ImportError> {
        let Some((root, first)) = run.first() else { return Ok(0) };
        let base = self.base(root, first)?;
        let validators = &base.state().validators;
        let blocks: Vec<(Root, &SignedBlock)> =
            run.iter().map(|(root, block)| (*root, block)).collect();
        let is_linked = blocks.windows(2).all(|pair| pair[1].1.block.parent_root == pair[0].0);
        let rejected = |at: usize, reason| ImportError::Rejected { root: run[at].0, reason };
        if is_linked && run.len() >= PROVEN_RUN_MIN {
            return proofs::verify_run(&*self.scheme, validators, &blocks)
                .map_err(|(at, reason)| rejected(at, reason));
        }
        for (at, (root, block)) in blocks.iter().enumerate() {
            proofs::verify_block(&*self.scheme, validators, block, *root)
                .map_err(|reason| rejected(at, reason))?;
        }
        Ok(0)
    }

    /// Imports a run of blocks that somebody else than their proofs has proven. Their own proofs count as unchecked.
    ///
    /// # Errors
    /// As [`Importer::import_batch`].
    pub fn import_proven(&self, blocks: Vec<Block>) -> Result<Option<Persisted>, ImportError> {
        let mut prepared: Vec<PreparedBlock> = Vec::with_capacity(blocks.len());
        for block in blocks {
            let root = hash_tree_root(&block);
            let signed = SignedBlock { block, proof: MultiMessageAggregate::default() };
            let base = match prepared.last() {
                Some(parent) if parent.root() == signed.block.parent_root => parent.base(),
                _ => self.base(&root, &signed)?,
            };
            prepared.push(self.apply(&root, &base, signed, false)?);
        }
        self.finish_batch(prepared)
    }

    /// Makes a run permanent that was prepared, with how far another's tail was followed then. The run may be empty.
    ///
    /// # Errors
    /// [`ImportError`]; nothing has changed.
    pub fn finish_followed(
        &self,
        prepared: Vec<PreparedBlock>,
        position: &TailPosition,
    ) -> Result<Persisted, ImportError> {
        Ok(self.chain.persist_followed(prepared, position)?)
    }

    /// The chain that it imports into.
    #[must_use]
    pub const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// Makes a run permanent that was prepared, on the tree as it is now. `None` if the tree has all of it.
    ///
    /// # Errors
    /// [`ImportError`]; nothing has changed.
    pub fn finish_batch(
        &self,
        prepared: Vec<PreparedBlock>,
    ) -> Result<Option<Persisted>, ImportError> {
        let tree = self.chain.fork_choice();
        let Some(first) = prepared.iter().find(|block| !tree.contains(&block.root())) else {
            return Ok(None);
        };
        self.check(&first.root(), first.block())?;
        Ok(Some(self.chain.persist(prepared)?))
    }

    fn base(&self, root: &Root, block: &SignedBlock) -> Result<DiffBase, ImportError> {
        let unknown_parent =
            ImportError::Rejected { root: *root, reason: RejectionReason::UnknownParentBlock };
        self.chain.diff_base(&block.block.parent_root)?.ok_or(unknown_parent)
    }

    fn apply(
        &self,
        root: &Root,
        base: &DiffBase,
        block: SignedBlock,
        is_proof_checked: bool,
    ) -> Result<PreparedBlock, ImportError> {
        let rejected = |reason| ImportError::Rejected { root: *root, reason };
        let post_state = state_transition(base.state(), &block.block).map_err(rejected)?;
        let mut votes = proofs::block_votes(&*self.scheme, &block);
        if !is_proof_checked {
            // They count as the transition counts them; their signatures may be rubbish.
            votes.iter_mut().for_each(|vote| vote.proof = None);
        }
        let prepared = PreparedBlock::new(base, block, Arc::new(post_state))?.with_votes(votes);
        Ok(if is_proof_checked { prepared } else { prepared.with_unchecked_proof() })
    }
}
