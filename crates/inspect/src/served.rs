//! The chain of a running node, as whoever serves it to others sees it: snapshots, the published view, and what a change of
//! that was. It hands out values, so a server names neither tables nor engine.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lamella_chain::{Chain, Persisted, PruneMode, SCHEMA_VERSION};
use lamella_fork_choice::ForkChoice;
use lamella_tables::{DatabaseStats, Read as _, ReadTxn, TableStats};
use lamella_types::{Block, Checkpoint, Root, SignedBlock, Slot, State, ValidatorIndex};

use super::{
    block_id::BlockId,
    change::StateChange,
    ends::{Servable, held_slots, servable},
    error::LookupError,
    held::HeldSlots,
    objects::Objects,
    participation::{Participation, participation},
    proof::{self, HistoryProof},
    served_tail::ServedTail,
    stored,
    tree::{StoredTree, stored_tree},
    which::{Located, locate},
};

/// Longest that a snapshot is read for one answer, which takes milliseconds: at 0.2 MB a slot of 4 s the file grows by 0.5 MB
/// meanwhile, and on a disk on which a cold state takes longer, nobody waits for it.
pub const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The chain of a running node. Clones are of the same chain.
#[derive(Clone)]
pub struct Served(Arc<Chain>, Arc<ServedTail>, Duration);

impl From<Arc<Chain>> for Served {
    fn from(chain: Arc<Chain>) -> Self {
        Self(chain, Arc::default(), ANSWER_TIME_MAX)
    }
}

impl From<Chain> for Served {
    fn from(chain: Chain) -> Self {
        Self::from(Arc::new(chain))
    }
}

/// What one commit left, for one answer: it keeps pages from being reused while it is held.
pub struct Snapshot<'a> {
    chain: &'a Chain,
    txn: ReadTxn<'a>,
}

impl Snapshot<'_> {
    /// The block of a name.
    ///
    /// # Errors
    /// As [`locate`].
    pub fn locate(&self, id: BlockId) -> Result<Located, LookupError> {
        locate(&self.txn, id)
    }

    /// The block: header and votes.
    ///
    /// # Errors
    /// Damage.
    pub fn block(&self, located: &Located) -> Result<Block, LookupError> {
        stored::block(&self.txn, located)
    }

    /// The block with its proof.
    ///
    /// # Errors
    /// [`LookupError::Pruned`], or damage.
    pub fn signed_block(&self, located: &Located) -> Result<SignedBlock, LookupError> {
        stored::signed_block(&self.txn, located)
    }

    /// What the chain before a block has at a slot, proven; `None` for a slot after it.
    ///
    /// # Errors
    /// Damage.
    pub fn prove(
        &self,
        trusted: &Located,
        slot: Slot,
    ) -> Result<Option<HistoryProof>, LookupError> {
        proof::prove(self.chain.states(), &self.txn, trusted, slot)
    }

    /// Every stored block of a stretch of slots, forks included.
    ///
    /// # Errors
    /// As [`stored_tree`].
    pub fn tree(&self, from: Slot, slots: u64) -> Result<StoredTree, LookupError> {
        stored_tree(&self.txn, from, slots)
    }

    /// Who voted in a stretch of slots.
    ///
    /// # Errors
    /// As [`participation`].
    pub fn participation(&self, from: Slot, slots: u64) -> Result<Participation, LookupError> {
        let validators = self.chain.fork_choice().head_summary().validator_count;
        participation(&self.txn, validators, from, slots)
    }

    /// What the block changed in its parent's state.
    ///
    /// # Errors
    /// Damage.
    pub fn change(&self, located: &Located) -> Result<StateChange, LookupError> {
        StateChange::read(self.chain.states(), &self.txn, located)
    }

    /// The block's post-state.
    ///
    /// # Errors
    /// Damage.
    pub fn state(&self, located: &Located) -> Result<Arc<State>, LookupError> {
        stored::state(self.chain.states(), &self.txn, located)
    }
}

/// The published view in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Validators in the registry.
    pub validator_count: u64,
    /// Slot of the head.
    pub head_slot: Slot,
    /// Latest justified checkpoint.
    pub justified: Checkpoint,
    /// Latest finalized checkpoint.
    pub finalized: Checkpoint,
}

/// Fork choice from the finalized slot on.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its blocks.
    pub blocks: Vec<TreeBlock>,
    /// The head.
    pub head: Root,
    /// The block that is safe to attest to.
    pub safe_target: Root,
    /// Checkpoints and validators.
    pub summary: Summary,
}

/// A block of the tree.
#[derive(Debug, Clone, Copy)]
pub struct TreeBlock {
    /// Its root.
    pub root: Root,
    /// Its slot.
    pub slot: Slot,
    /// Its parent.
    pub parent_root: Root,
    /// Its proposer.
    pub proposer_index: ValidatorIndex,
    /// Votes for it and what descends from it.
    pub weight: u32,
}

/// The database of a running node.
#[derive(Debug, Clone)]
pub struct DatabaseFacts {
    /// Its schema.
    pub schema_version: u32,
    /// Root of the registry.
    pub registry_root: Root,
    /// Name of the proof scheme.
    pub proof_scheme: String,
    /// What is kept of states.
    pub prune_mode: PruneMode,
    /// What can be served.
    pub servable: Servable,
    /// Slots of which every block is here.
    pub held: Vec<HeldSlots>,
    /// Sizes of the file, before this look at it.
    pub file: DatabaseStats,
    /// Sizes of the trees.
    pub trees: Vec<TableStats>,
    /// States in memory.
    pub cached_states: usize,
    /// Their bytes.
    pub cached_bytes: usize,
}

impl Served {
    /// The same chain, of which a snapshot is read for so long at most.
    #[must_use]
    pub fn within(self, longest: Duration) -> Self {
        Self(self.0, self.1, longest)
    }

    /// What the last commit left, for [`ANSWER_TIME_MAX`]: then each read of it fails as one that was given up.
    ///
    /// # Errors
    /// When the engine has no reader slot left.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, LookupError> {
        Ok(Snapshot { chain: &self.0, txn: self.0.read()?.within(self.2) })
    }

    /// The objects of an archive that the chain can give, and the tail that this one and its clones tell.
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects::of(&self.0, &self.1)
    }

    /// The chain, for who samples its sizes.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.0
    }

    /// The published view in short.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary_of(&self.0.fork_choice())
    }

    fn summary_of(&self, view: &ForkChoice) -> Summary {
        let head = view.head_summary();
        Summary {
            genesis_time: self.0.identity().genesis_time,
            validator_count: head.validator_count,
            head_slot: head.slot,
            justified: view.latest_justified(),
            finalized: view.latest_finalized(),
        }
    }

    /// Fork choice from the finalized slot on, with the weight of each block.
    ///
    /// # Cost
    /// No transaction, but a tree of thousands of blocks takes milliseconds.
    #[must_use]
    pub fn tree(&self) -> Tree {
        let view = self.0.fork_choice();
        let summary = self.summary_of(&view);
        let weights: HashMap<Root, u32> =
            view.block_weights().map(|(block, weight)| (block.root, weight)).collect();
        let blocks = view.nodes().filter(|block| block.slot >= summary.finalized.slot);
        let blocks = blocks.map(|block| TreeBlock {
            root: block.root,
            slot: block.slot,
            parent_root: block.parent_root,
            proposer_index: block.proposer_index,
            weight: weights.get(&block.root).copied().unwrap_or(0),
        });
        let blocks = blocks.collect();
        Tree { blocks, head: view.head(), safe_target: view.safe_target(), summary }
    }

    /// What the database is and how large.
    ///
    /// # Errors
    /// Damage of what it says of itself, or the engine.
    pub fn database(&self) -> Result<DatabaseFacts, LookupError> {
        // First the readers, of which this look is one afterwards.
        let file = self.0.database().stats()?;
        let (identity, cache) = (self.0.identity(), self.0.states().cache_stats());
        let txn = self.0.read()?;
        Ok(DatabaseFacts {
            schema_version: SCHEMA_VERSION,
            registry_root: identity.registry_root,
            proof_scheme: identity.proof_scheme.clone(),
            prune_mode: self.0.prune_mode(),
            servable: servable(&txn)?,
            held: held_slots(&txn)?,
            file,
            trees: txn.table_stats()?,
            cached_states: cache.states,
            cached_bytes: cache.state_bytes,
        })
    }
}

/// What a change of the published view changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Blocks that are new, in order.
    pub imported: Vec<Checkpoint>,
    /// The head, if it is another.
    pub head: Option<Checkpoint>,
    /// The justified checkpoint, if it is another.
    pub justified: Option<Checkpoint>,
    /// The finalized checkpoint, if it is another.
    pub finalized: Option<Checkpoint>,
}

impl Change {
    /// What an import changed.
    #[must_use]
    pub fn of_import(persisted: &Persisted) -> Self {
        let blocks = persisted.imported.iter().filter_map(|root| persisted.after.get(root));
        let imported = blocks.map(|block| block.checkpoint()).collect();
        Self { imported, ..Self::between(&persisted.before, &persisted.after) }
    }

    /// What differs between two views.
    #[must_use]
    pub fn between(before: &ForkChoice, after: &ForkChoice) -> Self {
        let new = |is_other: bool, checkpoint| is_other.then_some(checkpoint);
        let head = after.head_summary().checkpoint();
        let (justified, finalized) = (after.latest_justified(), after.latest_finalized());
        Self {
            imported: Vec::new(),
            head: new(before.head() != head.root, head),
            justified: new(before.latest_justified() != justified, justified),
            finalized: new(before.latest_finalized() != finalized, finalized),
        }
    }
}
