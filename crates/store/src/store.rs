//! The store: a directory that is created, opened, and grows by one block a transaction.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use lamella_chain::{Bootstrap, Chain, Found, PreparedBlock, Settings, copy::CopyJob};
use lamella_fork_choice::{BlockStatus, BlockVote};
use lamella_inspect::{database_path, served::Served};
use lamella_state_transition::state_transition;
use lamella_types::{
    AggregatedAttestation, Decode, RejectionReason, SignedBlock, State, hash_tree_root,
    limits::INTERVALS_PER_SLOT,
};
use parking_lot::Mutex;

use crate::{
    answer::{Checkpoint, Heads, Root},
    error::{BackupError, ImportError, OpenError, ReadError},
    reader::Reader,
};

/// When an import returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After the flush: what was acknowledged survives a power cut.
    #[default]
    Durable,
    /// Before it: a power cut may take the last imports, each as a whole. The directory opens.
    Lazy,
}

/// How a store is kept. The defaults are safe.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// When an import returns.
    pub durability: Durability,
    /// Slots of block proofs kept below the tip; older ones go once they are final.
    pub signature_window_slots: u64,
    /// Milliseconds of a slot, part of the network's identity. Written by `create`.
    pub slot_ms: u64,
    /// How block proofs are made, at most 255 bytes, part of the network's identity. Written by `create`.
    pub proof_scheme: String,
    /// Largest size of the database file; what the system allows if `None`.
    pub file_bytes_max: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            durability: Durability::default(),
            signature_window_slots: settings.signature_window_slots,
            slot_ms: settings.slot_ms,
            proof_scheme: "raw".to_owned(),
            file_bytes_max: None,
        }
    }
}

impl Options {
    fn settings(&self, slot_ms: u64) -> Settings {
        Settings {
            durability: match self.durability {
                Durability::Durable => lamella_tables::Durability::Durable,
                Durability::Lazy => lamella_tables::Durability::Lazy,
            },
            signature_window_slots: self.signature_window_slots,
            slot_ms,
            size_bytes_max: self.file_bytes_max,
            ..Settings::default()
        }
    }
}

/// What a new store begins with.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// The state of slot 0.
    Genesis {
        /// SSZ of `State`.
        state: &'a [u8],
    },
    /// A block that the client trusts, and its post-state, which has to hash to the block's `state_root`.
    Checkpoint {
        /// SSZ of `SignedBlock`; its proof may be empty.
        block: &'a [u8],
        /// SSZ of `State`.
        state: &'a [u8],
    },
}

/// The state after a block that is imported.
#[derive(Debug, Clone, Copy)]
pub enum PostState<'a> {
    /// The client executed the block: SSZ of `State`.
    Given(&'a [u8]),
    /// The store executes it.
    Execute,
}

/// Which network a store is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Root of the validator registry.
    pub registry_root: Root,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// How block proofs are made.
    pub proof_scheme: String,
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The block's root.
    pub root: Root,
    /// Whether the tree did not have it.
    pub is_new: bool,
    /// Head and checkpoints since.
    pub heads: Heads,
    /// Blocks of the old head's chain that are not on the new one's.
    pub reorg_depth: usize,
}

/// What a check of the whole directory found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Checks that were made.
    pub checks: u64,
    /// What is wrong, each with table and key; the first 1,000.
    pub findings: Vec<String>,
    /// How many there are in all.
    pub finding_count: u64,
    /// Whether it was stopped before its end.
    pub is_stopped: bool,
}

/// What was backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// Blocks, on all branches, as the copy's tables count them.
    pub blocks: u64,
    /// The head.
    pub head: Checkpoint,
    /// The finalized slot.
    pub finalized_slot: u64,
    /// Bytes of its file.
    pub file_bytes: u64,
}

/// A store, open for writing. One process holds it; [`Store::reader`] gives as many readers as are wanted.
pub struct Store {
    chain: Arc<Chain>,
    /// Held by an import from its first look at the tree to its commit.
    importing: Mutex<()>,
}

impl Store {
    /// Begins a store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`OpenError`]; a chain that is there is not touched.
    ///
    /// # Atomicity
    /// Killed at any instant there is a store that opens, or none.
    pub fn create(
        directory: &Path,
        start: Start<'_>,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let bootstrap = bootstrap(start)?;
        let settings = options.settings(options.slot_ms);
        let path = database_path(directory);
        let (chain, _) = Chain::create(&path, bootstrap, &options.proof_scheme, settings)?;
        Ok(Self { chain: Arc::new(chain), importing: Mutex::default() })
    }

    /// Goes on with the store in a directory. Compare [`Store::network`] with the network that your client is on.
    ///
    /// # Errors
    /// [`OpenError`].
    ///
    /// # Cost
    /// A walk over the file's pages, 2 to 3 us each, and the states of the blocks since finality.
    pub fn open(directory: &Path, options: &Options) -> Result<Self, OpenError> {
        let path = database_path(directory);
        let Found::Chain(identity) = Chain::find(&path)? else { return Err(OpenError::Missing) };
        let settings = options.settings(identity.slot_ms);
        let (chain, _) = Chain::resume(&path, &identity, settings)?;
        Ok(Self { chain: Arc::new(chain), importing: Mutex::default() })
    }

    /// Which network the store is of.
    #[must_use]
    pub fn network(&self) -> Network {
        let identity = self.chain.identity();
        Network {
            genesis_time: identity.genesis_time,
            registry_root: identity.registry_root.0.0,
            slot_ms: identity.slot_ms,
            proof_scheme: identity.proof_scheme.clone(),
        }
    }

    /// Imports a child of a block that is in the tree: SSZ of `SignedBlock`, whose signatures the client has checked.
    ///
    /// # Errors
    /// [`ImportError`]; nothing has changed.
    ///
    /// # Atomicity
    /// One transaction: block, proof, post-state, canonical index, votes, head, checkpoints. Readers see it after its commit.
    ///
    /// # Cost
    /// A few pages and, if durable, a flush. A state that is given whole is decoded and hashed whole: executing is cheaper.
    pub fn import(
        &self,
        signed_block: &[u8],
        post_state: PostState<'_>,
    ) -> Result<Imported, ImportError> {
        let block = SignedBlock::from_ssz(signed_block);
        let block = block.map_err(|error| ImportError::malformed("signed block", &error))?;
        let root = hash_tree_root(&block.block);
        let _importing = self.importing.lock();
        let before = self.chain.fork_choice();
        let status = before.check_block(&root, &block.block).map_err(rejected)?;
        if status == BlockStatus::Known {
            let heads = Heads::of(&before);
            return Ok(Imported { root: root.0.0, is_new: false, heads, reorg_depth: 0 });
        }
        let base = self.chain.diff_base(&block.block.parent_root)?;
        let base = base.ok_or_else(|| rejected(RejectionReason::UnknownParentBlock))?;
        let post_state = match post_state {
            PostState::Execute => state_transition(base.state(), &block.block).map_err(rejected)?,
            PostState::Given(bytes) => State::from_ssz(bytes)
                .map_err(|error| ImportError::malformed("post-state", &error))?,
        };
        let votes = votes_of(&block);
        self.advance(block.block.slot);
        let prepared = PreparedBlock::new(&base, block, Arc::new(post_state))?.with_votes(votes);
        let persisted = self.chain.persist(vec![prepared])?;
        Ok(Imported {
            root: root.0.0,
            is_new: true,
            heads: Heads::of(&persisted.after),
            reorg_depth: persisted.reorg_depth,
        })
    }

    /// A block of a slot shows that the slot has begun: votes of earlier ones count.
    fn advance(&self, slot: u64) {
        let begun = slot.saturating_mul(INTERVALS_PER_SLOT);
        if self.chain.fork_choice().time() < begun {
            self.chain.set_time(begun);
        }
    }

    /// A reader of this store.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader(Served::from(Arc::clone(&self.chain)))
    }

    /// Checks every page, row, link, state and index, from disk. `progress` is told what is walked, how many rows of it are
    /// done and how many there are, and may stop it. Imports go on meanwhile.
    ///
    /// # Errors
    /// When the engine fails; what is wrong is in the answer.
    pub fn verify(
        &self,
        progress: &mut dyn FnMut(&'static str, u64, u64) -> ControlFlow<()>,
    ) -> Result<Checked, ReadError> {
        let report = lamella_chain::verify(self.chain.database(), &mut |step| {
            progress(step.stage, step.done, step.total)
        })?;
        Ok(Checked {
            checks: report.check_count(),
            findings: report.findings.iter().map(ToString::to_string).collect(),
            finding_count: report.finding_count,
            is_stopped: report.stopped,
        })
    }

    /// Copies the store into another directory, verified row by row, and checks the copy whole: it is what one import left.
    /// Imports go on meanwhile. `progress` is told as by [`Store::verify`]; stopped or killed, the same call goes on.
    ///
    /// A copy does not know what a client signs after it. A Lamella node that begins with one is silent at first; a client
    /// that keeps what its keys signed elsewhere must not put an older record beside it.
    ///
    /// # Errors
    /// [`BackupError`]; the store is as it was.
    ///
    /// # Cost
    /// Every row is read once and its key three times, in short snapshots but for one walk over the keys; every state of the copy is
    /// hashed, on this thread.
    pub fn backup(
        &self,
        to: &Path,
        progress: &mut dyn FnMut(&'static str, u64, u64) -> ControlFlow<()>,
    ) -> Result<BackedUp, BackupError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (job, to) = (CopyJob::default(), database_path(to));
        let done = job.backup_from(self.chain.database(), &to, now, &mut |step| {
            progress(step.stage, step.done, step.total)
        })?;
        Ok(BackedUp {
            blocks: done.blocks,
            head: Checkpoint { root: done.head.root.0.0, slot: done.head.slot },
            finalized_slot: done.finalized_slot,
            file_bytes: done.copy.file_bytes,
        })
    }
}

fn bootstrap(start: Start<'_>) -> Result<Bootstrap, OpenError> {
    let state = |bytes: &[u8]| {
        State::from_ssz(bytes)
            .map_err(|error| OpenError::Malformed { what: "state", error: error.to_string() })
    };
    Ok(match start {
        Start::Genesis { state: bytes } => Bootstrap::genesis(state(bytes)?),
        Start::Checkpoint { block, state: bytes } => {
            let block = SignedBlock::from_ssz(block).map_err(|error| OpenError::Malformed {
                what: "signed block",
                error: error.to_string(),
            })?;
            Bootstrap { block, state: Arc::new(state(bytes)?) }
        }
    })
}

/// The votes in a block, on the client's word: it has checked the block's proof.
fn votes_of(block: &SignedBlock) -> Vec<BlockVote> {
    let vote = |AggregatedAttestation { aggregation_bits, data }: &AggregatedAttestation| {
        BlockVote { data: *data, voters: aggregation_bits.clone(), proof: None }
    };
    block.block.attestations().iter().map(vote).collect()
}

const fn rejected(reason: RejectionReason) -> ImportError {
    ImportError::Rejected { reason: reason.code() }
}
