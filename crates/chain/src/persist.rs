//! One import, one transaction; then, and only then, publish.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_block_store::{self as block_store, PruneStep};
use lamella_fork_choice::{BlockSummary, BlockVote, ForkChoice};
use lamella_state_store::{DiffBase, PreparedState, StateWriteError, StoredState};
use lamella_tables::{ReadError, SlotRoot, WriteTxn};
use lamella_types::{AttestationData, Block, BlockHeader, Root, SignedBlock, Slot, State};

use crate::{
    error::PersistError,
    hold::Held,
    kept::{Floor, PruneMode, Pruning, StatesStep},
    open::Chain,
    settle::settle,
    tail_rows::TailPosition,
    unchecked,
    view::{self, CanonicalChange},
};

/// Live tree nodes dropped by one import, unless its first step alone drops more. Healthy chains drop one.
pub const PRUNED_NODES_MAX: usize = 256;

/// A block with its post-state: proved against its parent, encoded, not yet written.
#[derive(Debug, Clone)]
pub struct PreparedBlock {
    root: Root,
    header: BlockHeader,
    block: SignedBlock,
    state: PreparedState,
    /// Whether its own proof was checked, and not only what later ones say of the block.
    is_proof_checked: bool,
    votes: Vec<BlockVote>,
}

impl PreparedBlock {
    /// Prepares a child of `base`, whose proof and transition have been checked.
    ///
    /// # Errors
    /// [`StateWriteError`] if `post_state` is anything but the post-state of this child of this base.
    pub fn new(
        base: &DiffBase,
        block: SignedBlock,
        post_state: Arc<State>,
    ) -> Result<Self, StateWriteError> {
        let header = block.block.header();
        let root = header.root();
        let state = PreparedState::child(base, root, &header, post_state)?;
        let votes = Vec::new();
        Ok(Self { root, header, block, state, is_proof_checked: true, votes })
    }

    /// The same block, proven by others, with a proof of its own that nobody has checked.
    #[must_use]
    pub fn with_unchecked_proof(self) -> Self {
        Self { is_proof_checked: false, ..self }
    }

    /// The block, with its votes to be counted by fork choice too: they are proven, or taken on trust.
    #[must_use]
    pub fn with_votes(self, votes: Vec<BlockVote>) -> Self {
        Self { votes, ..self }
    }

    /// Root of the block.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// The block.
    #[must_use]
    pub const fn block(&self) -> &Block {
        &self.block.block
    }

    /// This block as the base of a child that goes into the same transaction.
    #[must_use]
    pub fn base(&self) -> DiffBase {
        self.state.stored().base(self.root)
    }

    /// The slot, if nobody has checked the proof.
    fn unchecked_slot(&self) -> Option<Slot> {
        (!self.is_proof_checked).then_some(self.header.slot)
    }

    const fn key(&self) -> SlotRoot {
        SlotRoot::new(self.header.slot, self.root)
    }

    fn summary(&self) -> BlockSummary {
        let state = &self.state.stored().state;
        BlockSummary {
            root: self.root,
            parent_root: self.header.parent_root,
            slot: self.header.slot,
            proposer_index: self.header.proposer_index,
            justified: state.latest_justified,
            finalized: state.latest_finalized,
            validator_count: state.validators.len() as u64,
        }
    }

    fn attestation_data(&self) -> impl Iterator<Item = &AttestationData> {
        self.block.block.attestations().iter().map(|attestation| &attestation.data)
    }

    fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        let body = &self.block.block.body;
        block_store::put_block(txn, self.root, &self.header, body)?;
        block_store::put_signature(txn, &self.key(), &self.block.proof)?;
        self.state.put(txn)?;
        Ok(())
    }
}

/// Where the time of a commit went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Fork choice on its copy.
    pub fork_choice: Duration,
    /// Writing rows into the transaction.
    pub write: Duration,
    /// The commit, flush included.
    pub commit: Duration,
}

/// What a commit changed, now that it has happened.
#[derive(Debug)]
pub struct Persisted {
    /// Blocks that were new, in order.
    pub imported: Vec<Root>,
    /// The view before.
    pub before: Arc<ForkChoice>,
    /// The view now.
    pub after: Arc<ForkChoice>,
    /// Blocks on the old head's chain that are not on the new one's.
    pub reorg_depth: usize,
    /// Live tree nodes dropped.
    pub pruned_nodes: usize,
    /// The signature pruning step. Damage there costs the step, not the import.
    pub pruned_signatures: Result<PruneStep, ReadError>,
    /// The step of pruning states; nothing in a directory that keeps all. Damage there costs the step, not the import.
    pub pruned_states: Result<StatesStep, ReadError>,
    /// Where the time went.
    pub timings: Timings,
}

impl Chain {
    /// Makes blocks permanent, parents before children, in one transaction, and publishes them. Blocks that the
    /// tree already holds are left out.
    ///
    /// # Errors
    /// [`PersistError`]; disk and memory are exactly as before, for all of the blocks.
    ///
    /// # Atomicity
    /// Upholds A1 and A2: rows, canonical index, votes, head, checkpoints and one bounded pruning step are one
    /// transaction; fork choice and cache follow its commit.
    pub fn persist(&self, blocks: Vec<PreparedBlock>) -> Result<Persisted, PersistError> {
        self.persist_at(blocks, None)
    }

    /// As [`Chain::persist`], with how far another's tail was followed once these blocks are here: rows and position are one
    /// transaction, also where no block of the object is new.
    ///
    /// # Errors
    /// As [`Chain::persist`].
    pub fn persist_followed(
        &self,
        blocks: Vec<PreparedBlock>,
        position: &TailPosition,
    ) -> Result<Persisted, PersistError> {
        self.persist_at(blocks, Some(position))
    }

    fn persist_at(
        &self,
        blocks: Vec<PreparedBlock>,
        followed: Option<&TailPosition>,
    ) -> Result<Persisted, PersistError> {
        let mut writer = self.writer.lock();
        let started = Instant::now();
        let before = self.fork_choice();
        let mut after = ForkChoice::clone(&before);
        let blocks = new_blocks(&mut after, blocks)?;
        let canonical = CanonicalChange::between(&before, &after);
        let pruned = after.prune_tree(PRUNED_NODES_MAX);
        let fork_choice = started.elapsed();

        let proof_bytes =
            blocks.iter().map(|block| block.block.proof.proof.as_bytes().len() as u64);
        let mut txn = self.database.write_values(proof_bytes.sum())?;
        for block in &blocks {
            block.put(&mut txn)?;
        }
        let unchecked = blocks.iter().filter_map(PreparedBlock::unchecked_slot);
        let is_unchecked = unchecked::note(&mut txn, unchecked)?;
        view::put(&mut txn, &canonical, &mut after)?;
        if let Some(position) = followed {
            position.put_followed(&mut txn)?;
        }
        let pruned_signatures = self.prune_signatures(&mut txn, &after)?;
        let mut pruning = writer.pruning;
        let pruned_states = self.prune_states(&mut txn, &mut pruning, &after)?;
        let write = started.elapsed() - fork_choice;
        txn.commit()?;
        writer.pruning = pruning;
        writer.unchecked_commits += u64::from(is_unchecked);
        let commit = started.elapsed() - fork_choice - write;

        let imported = blocks.iter().map(|block| block.root).collect();
        for block in blocks {
            self.states.publish(block.root, StoredState::clone(block.state.stored()));
        }
        let after = self.publish(after);
        Ok(Persisted {
            imported,
            before,
            after,
            reorg_depth: canonical.reorg_depth(),
            pruned_nodes: pruned.len(),
            pruned_signatures,
            pruned_states,
            timings: Timings { fork_choice, write, commit },
        })
    }

    /// Keeps proofs from this slot on, as far as [`HELD_SLOTS_MAX`](crate::HELD_SLOTS_MAX) allows, until another slot is
    /// said.
    pub fn hold_proofs_from(&self, slot: Slot) {
        self.hold.from(slot);
    }

    /// Keeps states from this slot on, and those that they rest on, by [`HELD_SLOTS_MAX`](crate::HELD_SLOTS_MAX) slots more
    /// than the mode at most, until another slot is said.
    pub fn hold_states_from(&self, slot: Slot) {
        self.hold.states_from(slot);
    }

    /// Slots whose states are kept now although the mode would prune them.
    #[must_use]
    pub fn held_states(&self) -> u64 {
        let view = self.fork_choice();
        let mode = self.prune_mode();
        let floor = mode.floor(&view);
        floor - self.hold.states_floor(floor, mode == PruneMode::Light)
    }

    /// What is kept beyond the window now, although a whole segment of it is finalized and could be elsewhere.
    #[must_use]
    pub fn held_proofs(&self) -> Held {
        let view = self.fork_choice();
        if !self.hold.is_shippable(view.latest_finalized().slot) {
            return Held::default();
        }
        self.hold.held(self.settings.signature_window_slots, view.head_summary().slot)
    }

    /// One bounded step. An engine failure fails the import; a damaged row is reported and costs only the step.
    fn prune_signatures(
        &self,
        txn: &mut WriteTxn<'_>,
        view: &ForkChoice,
    ) -> Result<Result<PruneStep, ReadError>, PersistError> {
        let (tip, finalized) = (view.head_summary().slot, view.latest_finalized().slot);
        let window = self.hold.window(self.settings.signature_window_slots, tip);
        let rows_max = self.settings.prune_rows_max;
        match block_store::prune_signatures(txn, tip, finalized, window, rows_max) {
            Err(error @ ReadError::Engine(_)) => Err(error.into()),
            outcome => Ok(outcome),
        }
    }
}

impl Chain {
    /// Keeps to this mode from the next import on. What was pruned stays pruned.
    ///
    /// # Errors
    /// [`PersistError`]; the mode is as before.
    ///
    /// # Atomicity
    /// One transaction.
    pub fn set_prune_mode(&self, mode: PruneMode) -> Result<(), PersistError> {
        let mut writer = self.writer.lock();
        let pruning = Pruning { mode, ..writer.pruning };
        let mut txn = self.database.write()?;
        pruning.put(&mut txn)?;
        txn.commit()?;
        writer.pruning = pruning;
        Ok(())
    }

    /// One bounded step, as [`Self::prune_signatures`]. Upholds P3.
    fn prune_states(
        &self,
        txn: &mut WriteTxn<'_>,
        pruning: &mut Pruning,
        view: &ForkChoice,
    ) -> Result<Result<StatesStep, ReadError>, PersistError> {
        let is_light = pruning.mode == PruneMode::Light;
        let floor = self.hold.states_floor(pruning.mode.floor(view), is_light);
        let before = *pruning;
        let floor = Floor { slot: floor, finalized: view.latest_finalized().slot };
        match pruning.step(txn, floor) {
            Err(error @ ReadError::Engine(_)) => Err(error.into()),
            Err(error) => {
                *pruning = before;
                Ok(Err(error))
            }
            Ok(step) => Ok(Ok(step)),
        }
    }
}

/// Adds the blocks that are new to the view, in order.
fn new_blocks(
    view: &mut ForkChoice,
    blocks: Vec<PreparedBlock>,
) -> Result<Vec<PreparedBlock>, PersistError> {
    let mut new = Vec::with_capacity(blocks.len());
    for mut block in blocks {
        if view.contains(&block.root) {
            continue;
        }
        let change = view
            .on_block(block.summary(), block.attestation_data())
            .map_err(PersistError::Rejected)?;
        let mut finalized_changed = change.finalized_changed;
        if view.record_block_votes(std::mem::take(&mut block.votes)) {
            finalized_changed |= view.update_head().finalized_changed;
        }
        settle(view, finalized_changed);
        new.push(block);
    }
    Ok(new)
}
