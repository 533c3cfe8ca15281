//! `Chain`: opening a directory, creating one, and what can be read from it.

use std::{path::Path, sync::Arc};

use lamella_block_store::{self as block_store, Extent, UncheckedProofs};
use lamella_fork_choice::{BlockSummary, ForkChoice};
use lamella_state_store::{DiffBase, PreparedState, StateReadError, StateStore};
use lamella_tables::{
    Database, DatabaseView, Durability, EngineError, Headers, OpenError, OpenMode, Options,
    PageCheck, Read as _, ReadTxn, SlotRoot,
};
use lamella_types::{Root, SignedBlock, State, hash_tree_root, limits::SLOT_MS};
use parking_lot::{Mutex, RwLock};

use crate::{
    beside,
    error::ChainOpenError,
    hold::Hold,
    identity::Identity,
    kept::{self, PruneMode, Pruning},
    meta::ForkChoiceRow,
    recover::{self, Recovered},
};

/// How a chain is kept.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// When a commit returns.
    pub durability: Durability,
    /// Slots of proofs kept below the tip.
    pub signature_window_slots: u64,
    /// Milliseconds of a slot, part of the chain's identity.
    pub slot_ms: u64,
    /// Proofs deleted by one import.
    pub prune_rows_max: usize,
    /// Largest size of the database file.
    pub size_bytes_max: Option<usize>,
    /// Page size of a new database file.
    pub page_bytes: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Durable,
            signature_window_slots: block_store::SIGNATURE_PRUNING_RANGE_SLOTS,
            slot_ms: SLOT_MS,
            prune_rows_max: block_store::PRUNE_ROWS_MAX,
            size_bytes_max: None,
            page_bytes: None,
        }
    }
}

/// The block and state that a new directory begins with: genesis, or a trusted checkpoint.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The block, with its proof (empty at genesis).
    pub block: SignedBlock,
    /// Its post-state.
    pub state: Arc<State>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No chain: nothing, or a database whose first transaction never happened.
    Nothing,
    /// A chain.
    Chain(Identity),
}

impl Found {
    pub(crate) fn in_database(database: &DatabaseView) -> Result<Self, ChainOpenError> {
        let txn = database.read()?;
        if let Some(identity) = Identity::read(&txn)? {
            return Ok(Self::Chain(identity));
        }
        match txn.scan_keys::<Headers>(SlotRoot::first_of(0))?.next() {
            None => Ok(Self::Nothing),
            Some(_) => Err(ChainOpenError::NoIdentity("it has blocks but no schema")),
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Whether the directory is new.
    pub created: bool,
    /// Head, checkpoints and time.
    pub fork_choice: ForkChoiceRow,
    /// Slot of the head.
    pub head_slot: u64,
    /// Blocks in the live tree.
    pub live_blocks: usize,
    /// Distinct votes in the pools.
    pub votes: usize,
    /// The walk over the pages of the file.
    pub page_check: PageCheck,
    /// What had to be derived again.
    pub recovered: Recovered,
}

/// What only the holder of the chain's lock knows and changes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// Commits with proofs that nobody has checked, since this chain was opened.
    pub(crate) unchecked_commits: u64,
    /// What is kept of states. Nobody else changes it while the chain is open.
    pub(crate) pruning: Pruning,
}

/// The chain of one directory: its tables, its states, and the published view of fork choice.
pub struct Chain {
    pub(crate) database: Database,
    pub(crate) states: StateStore,
    pub(crate) settings: Settings,
    pub(crate) view: RwLock<Arc<ForkChoice>>,
    /// Held by whoever changes the view, from its copy to its publication.
    pub(crate) writer: Mutex<Writer>,
    /// Proofs that somebody still needs.
    pub(crate) hold: Hold,
    identity: Identity,
}

impl Chain {
    /// Says what is at `path`, without changing a row of it.
    ///
    /// # Errors
    /// A database that this program cannot use.
    pub fn find(path: &Path) -> Result<Found, ChainOpenError> {
        let opened = DatabaseView::open(path).map_err(ChainOpenError::from);
        let found = opened.and_then(|database| Found::in_database(&database));
        match found.map_err(|error| beside::explain(path, error)) {
            Err(ChainOpenError::Open(OpenError::Missing { .. } | OpenError::Empty { .. })) => {
                Ok(Found::Nothing)
            }
            found => found,
        }
    }

    /// Goes on with the chain at `path`.
    ///
    /// # Errors
    /// [`ChainOpenError`]: before anything is written, the directory's schema, layout and identity are compared
    /// with ours; then fork choice is rebuilt, and what follows from headers, states and votes is derived again where
    /// it disagrees with them. Damage that nothing derives is named.
    pub fn resume(
        path: &Path,
        configured: &Identity,
        settings: Settings,
    ) -> Result<(Self, Opened), ChainOpenError> {
        // What is written now would be lost, or the migration in vain.
        beside::check_none(path)?;
        let database = Database::open(path, options(OpenMode::Existing, &settings))?;
        match Found::in_database(&database)? {
            Found::Nothing => return Err(OpenError::Missing { path: path.to_owned() }.into()),
            Found::Chain(identity) => identity.check(configured)?,
        }
        database.create_missing_tables()?;
        let (view, recovered) = recover::open(&database)?;
        let pruning = Pruning::read(&database.read()?)?;
        let (mut chain, mut opened) =
            Self::assemble(database, view, configured.clone(), settings, false);
        chain.writer.get_mut().pruning = pruning;
        opened.recovered = recovered;
        Ok((chain, opened))
    }

    /// Derives everything at `path` again that follows from headers, states and votes, and says what was not as it should
    /// be. A start does so where it sees a reason, and it looks at the live tree's range only.
    ///
    /// # Errors
    /// A database that this program cannot use, or damage that nothing derives.
    ///
    /// # Atomicity
    /// One transaction.
    pub fn derive(path: &Path) -> Result<Recovered, ChainOpenError> {
        let explain = |error| beside::explain(path, error);
        let opened = Database::open(path, Options::new(OpenMode::Existing));
        let database = opened.map_err(|error| explain(error.into()))?;
        if Found::in_database(&database).map_err(explain)? == Found::Nothing {
            return Err(OpenError::Missing { path: path.to_owned() }.into());
        }
        database.create_missing_tables()?;
        Ok(recover::derive(&database)?.1)
    }

    /// Begins a chain at `path`.
    ///
    /// # Errors
    /// [`ChainOpenError::Exists`] if there is one; it is not touched.
    ///
    /// # Atomicity
    /// One transaction. Killed before it, the directory holds no chain, and the next start creates it.
    pub fn create(
        path: &Path,
        bootstrap: Bootstrap,
        proof_scheme: &str,
        settings: Settings,
    ) -> Result<(Self, Opened), ChainOpenError> {
        let identity = Identity::of(&bootstrap.state, proof_scheme, settings.slot_ms);
        let header = bootstrap.block.block.header();
        let root = header.root();
        let prepared = PreparedState::bootstrap(root, &header, Arc::clone(&bootstrap.state))?;
        let view = ForkChoice::from_anchor(BlockSummary {
            root,
            parent_root: header.parent_root,
            slot: header.slot,
            proposer_index: header.proposer_index,
            justified: bootstrap.state.latest_justified,
            finalized: bootstrap.state.latest_finalized,
            validator_count: bootstrap.state.validators.len() as u64,
        });

        beside::check_none(path)?;
        let database = Database::open(path, options(OpenMode::Create, &settings))?;
        if Found::in_database(&database)? != Found::Nothing {
            return Err(ChainOpenError::Exists);
        }
        let mut txn = database.write()?;
        let key = SlotRoot::new(header.slot, root);
        identity.put(&mut txn)?;
        Extent::begin(key, header.parent_root).put(&mut txn)?;
        block_store::put_block(&mut txn, root, &header, &bootstrap.block.block.body)?;
        block_store::put_signature(&mut txn, &key, &bootstrap.block.proof)?;
        // Upholds P2: a checkpoint may come without its proof; genesis needs none.
        if bootstrap.block.proof.proof.as_bytes().is_empty() && header.slot > 0 {
            UncheckedProofs::of(key).put(&mut txn)?;
        }
        block_store::put_canonical(&mut txn, header.slot, root)?;
        prepared.put(&mut txn)?;
        ForkChoiceRow::of(&view).put(&mut txn)?;
        txn.commit()?;
        let (chain, opened) = Self::assemble(database, view, identity, settings, true);
        chain.states.publish(root, prepared.stored().clone());
        Ok((chain, opened))
    }

    /// Goes on with the chain at `path` if there is one, else begins one: disk beats checkpoint beats genesis.
    ///
    /// # Errors
    /// As [`Chain::resume`] and [`Chain::create`].
    pub fn open(
        path: &Path,
        bootstrap: Bootstrap,
        proof_scheme: &str,
        settings: Settings,
    ) -> Result<(Self, Opened), ChainOpenError> {
        match Self::find(path)? {
            Found::Nothing => Self::create(path, bootstrap, proof_scheme, settings),
            Found::Chain(_) => {
                let identity = Identity::of(&bootstrap.state, proof_scheme, settings.slot_ms);
                Self::resume(path, &identity, settings)
            }
        }
    }

    fn assemble(
        database: Database,
        view: ForkChoice,
        identity: Identity,
        settings: Settings,
        created: bool,
    ) -> (Self, Opened) {
        let opened = Opened {
            created,
            fork_choice: ForkChoiceRow::of(&view),
            head_slot: view.head_summary().slot,
            live_blocks: view.block_count(),
            votes: view.known_pool().len() + view.pending_pool().len(),
            page_check: database.page_check(),
            recovered: Recovered::default(),
        };
        let chain = Self {
            database,
            states: StateStore::default(),
            settings,
            view: RwLock::new(Arc::new(view)),
            writer: Mutex::default(),
            hold: Hold::default(),
            identity,
        };
        (chain, opened)
    }

    /// The published view: what the last commit and the votes since then say.
    #[must_use]
    pub fn fork_choice(&self) -> Arc<ForkChoice> {
        Arc::clone(&self.view.read())
    }

    /// A snapshot of the tables, for one request.
    ///
    /// # Errors
    /// When the engine has no reader slot left.
    #[track_caller]
    pub fn read(&self) -> Result<ReadTxn<'_>, EngineError> {
        self.database.read()
    }

    /// The post-state of a block, proved; `None` if the block is unknown, or its state pruned.
    ///
    /// # Errors
    /// [`StateReadError`].
    pub fn state(&self, root: &Root) -> Result<Option<Arc<State>>, StateReadError> {
        let txn = self.database.read()?;
        unless_pruned(&txn, root, self.states.state(&txn, root))
    }

    /// Captures a block as the base of a child's diff; `None` if it is unknown, or its state pruned: then nothing can follow
    /// it any more.
    ///
    /// # Errors
    /// [`StateReadError`].
    pub fn diff_base(&self, root: &Root) -> Result<Option<DiffBase>, StateReadError> {
        let txn = self.database.read()?;
        unless_pruned(&txn, root, self.states.base(&txn, root))
    }

    /// Whether history may be put before the block that the directory began with: not where states are pruned, or were.
    #[must_use]
    pub fn takes_history(&self) -> bool {
        self.writer.lock().pruning == Pruning::default()
    }

    /// What is kept of states.
    #[must_use]
    pub fn prune_mode(&self) -> PruneMode {
        self.writer.lock().pruning.mode
    }

    /// The stores behind the chain, for statistics and benchmarks.
    #[must_use]
    pub const fn states(&self) -> &StateStore {
        &self.states
    }

    /// The database behind the chain, to read.
    #[must_use]
    pub fn database(&self) -> &DatabaseView {
        &self.database
    }

    /// Which chain this is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// A chain opened beside its writer, or without one: it reads and verifies, and changes no row.
pub struct ReadOnlyChain {
    database: DatabaseView,
    states: StateStore,
    identity: Identity,
}

impl ReadOnlyChain {
    /// Opens the chain at `path` for reading.
    ///
    /// # Errors
    /// [`ChainOpenError`].
    pub fn open(path: &Path) -> Result<Self, ChainOpenError> {
        Self::open_finished(path).map_err(|error| beside::explain(path, error))
    }

    fn open_finished(path: &Path) -> Result<Self, ChainOpenError> {
        let database = DatabaseView::open(path)?;
        let identity = Identity::read(&database.read()?)?;
        let identity = identity.ok_or(ChainOpenError::NoIdentity("it has no schema"))?;
        Ok(Self { database, states: StateStore::default(), identity })
    }

    /// The tables.
    #[must_use]
    pub const fn database(&self) -> &DatabaseView {
        &self.database
    }

    /// The states.
    #[must_use]
    pub const fn states(&self) -> &StateStore {
        &self.states
    }

    /// Which chain this is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// A failure to read a state that was pruned is none.
fn unless_pruned<T>(
    txn: &ReadTxn<'_>,
    root: &Root,
    read: Result<Option<T>, StateReadError>,
) -> Result<Option<T>, StateReadError> {
    let Err(error) = read else { return read };
    match block_store::slot(txn, root)? {
        Some(slot) if kept::is_pruned(txn, slot)? => Ok(None),
        _ => Err(error),
    }
}

fn options(mode: OpenMode, settings: &Settings) -> Options {
    let defaults = Options::new(mode);
    Options {
        durability: settings.durability,
        size_bytes_max: settings.size_bytes_max,
        page_bytes: settings.page_bytes,
        ..defaults
    }
}

/// The genesis bootstrap of a chain: the state of slot 0 and its block without proof.
impl Bootstrap {
    /// Begins at genesis.
    #[must_use]
    pub fn genesis(state: State) -> Self {
        let block = lamella_types::genesis_block(&state);
        debug_assert_eq!(hash_tree_root(&block), block.header().root(), "one root, two ways");
        let block = SignedBlock { block, proof: lamella_types::MultiMessageAggregate::default() };
        Self { block, state: Arc::new(state) }
    }
}
