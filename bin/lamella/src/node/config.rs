//! From a [`NodeConfig`] to a node that can run: keys, database, servers.

use std::{sync::Arc, time::Duration};

use lamella_chain::{Bootstrap, Chain, ChainOpenError, GuardError};
use lamella_http_api::{ApiContext, Events, Limits, NodeFacts, ServeError, serve, version};
use lamella_metrics::Metrics;
use lamella_network::service::{Network, NetworkConfig, NetworkError};
use lamella_network_dir::{ValidatorKeyError, ValidatorKeys};
use lamella_tables::EngineError;
use lamella_types::{SlotClock, genesis_state};
use lamella_xmss::{
    PRODUCTION,
    scheme::{ProofScheme, Raw, Trust},
};
use tracing::{info, warn};

use super::{
    Inbox, Node, StoreFailure,
    catch_up::CatchUp,
    early::Early,
    failure::Pause,
    guard::{Guard, GuardCopyError},
    link::{ChainSource, Ear},
    report, unix_ms,
};
use crate::{config::IdentityKeyError, import::Importer};

pub use crate::config::NodeConfig;

/// Slots between two attempts to dial: 12 s on the lean network.
const REDIAL_SLOTS: u64 = 3;

/// Exit code of a node whose store cannot be used any more.
const EXIT_STORE_UNUSABLE: u8 = 5;

/// What the node calls itself in metrics.
const NAME: &str = "lamella";

/// How the proofs of this chain are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProofSchemeName {
    /// Concatenated signatures, every one verified. For own networks: at most 206 signatures a block.
    Raw,
    /// Proofs are stored and served unverified. For following a foreign network; no duties.
    Trust,
}

impl ProofSchemeName {
    /// Its name on the command line and in the data directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.scheme().name()
    }

    pub(crate) fn scheme(self) -> Arc<dyn ProofScheme> {
        match self {
            Self::Raw => Arc::new(Raw { parameters: &PRODUCTION }),
            Self::Trust => Arc::new(Trust),
        }
    }
}

/// Why a node cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A validator key.
    #[error(transparent)]
    Keys(#[from] ValidatorKeyError),
    /// The data directory.
    #[error(transparent)]
    Open(#[from] ChainOpenError),
    /// The node's key cannot be kept.
    #[error(transparent)]
    Identity(#[from] IdentityKeyError),
    /// The guard of the validators' keys cannot be read or written.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The second copy of that guard cannot be read or written.
    #[error(transparent)]
    GuardCopy(#[from] GuardCopyError),
    /// The store gave up while running.
    #[error("the store cannot be used: {0}")]
    Store(StoreFailure),
    /// There is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The HTTP API cannot be served.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// The log has no thread.
    #[error("cannot write a log: {0}")]
    Log(std::io::Error),
    /// The signal handler cannot be installed.
    #[error("cannot catch SIGINT and SIGTERM: {0}")]
    Signals(#[from] ctrlc::Error),
    /// The end of the parent cannot be watched for.
    #[error("cannot watch standard input: {0}")]
    Parent(std::io::Error),
}

impl NodeError {
    /// The exit code of a node that ends with it: 5, as the database tools have it for damage, if the store gave up.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Store(_) => EXIT_STORE_UNUSABLE,
            _ => 1,
        }
    }
}

impl Node {
    /// Loads the validators' keys, opens or creates the data directory, recovers fork choice from it, and takes its
    /// place among its peers. An empty directory begins at `bootstrap`, or at genesis without one.
    ///
    /// # Errors
    /// [`NodeError`]; a directory of another network is left untouched.
    pub fn open(
        config: &NodeConfig,
        bootstrap: Option<Bootstrap>,
        inbox: &Inbox,
    ) -> Result<Self, NodeError> {
        let genesis = &config.genesis;
        let scheme = config.proof_scheme.scheme();
        let keys = load_keys(config, &*scheme)?;
        let clock = SlotClock::new(genesis.genesis_time, config.slot_ms);
        let bootstrap = bootstrap.unwrap_or_else(|| {
            Bootstrap::genesis(genesis_state(genesis.genesis_time, genesis.validators.clone()))
        });
        let (chain, opened) =
            Chain::open(&config.database(), bootstrap, scheme.name(), config.settings)?;
        config.gossip.identity.keep()?;
        let chain = Arc::new(chain);
        let guard = Guard::open(Arc::clone(&chain), &keys, clock, config)?;
        report::opened(config, &opened, &keys);
        let importer = Importer::new(Arc::clone(&chain), Arc::clone(&scheme));
        let metrics = Arc::new(Metrics::new(NAME, &version(), keys.validators.len()));
        let network = start_network(config, &chain, &metrics, inbox)?;
        let peer_id = Some(network.peer_id().to_string());
        let facts = NodeFacts::new(&config.node_id, peer_id, clock, config.is_aggregator);
        let facts = Arc::new(facts);
        let events = Events::new();
        let server = config
            .api
            .map(|api| {
                let (chain, facts) = (Arc::clone(&chain), Arc::clone(&facts));
                let (metrics, events) = (Arc::clone(&metrics), events.clone());
                let node = inbox.sender();
                let store_failed =
                    Arc::new(move |error: EngineError| node.store_failed(error.into()));
                let context =
                    ApiContext::new(chain, facts, metrics, events, Limits::default(), store_failed);
                serve(&api, Arc::new(context))
            })
            .transpose()?;
        Ok(Self {
            catch_up: CatchUp::new(config, &chain, &clock),
            early: Early::default(),
            pause: Pause::default(),
            chain,
            importer,
            scheme,
            validators: genesis.validators.clone(),
            keys,
            guard,
            clock,
            facts,
            metrics,
            events,
            committee_count: config.gossip.committee_count,
            network,
            _server: server,
        })
    }

    /// The chain it runs.
    #[must_use]
    pub const fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }
}

fn start_network(
    config: &NodeConfig,
    chain: &Arc<Chain>,
    metrics: &Arc<Metrics>,
    inbox: &Inbox,
) -> Result<Network, NetworkError> {
    let gossip = &config.gossip;
    metrics.observe_subnets(gossip.committee_count, &gossip.subnets);
    let network = Network::start(
        &NetworkConfig {
            listen: gossip.listen,
            secret_key: *gossip.identity.key.as_bytes(),
            dial: gossip.dial.clone(),
            redial: Duration::from_millis(config.slot_ms.saturating_mul(REDIAL_SLOTS)),
            committee_count: gossip.committee_count,
            subnets: gossip.subnets.clone(),
            signature_bytes: PRODUCTION.signature_bytes(),
            agent: version(),
        },
        Arc::new(ChainSource { chain: Arc::clone(chain), node: inbox.sender() }),
        Arc::new(Ear { node: inbox.sender(), metrics: Arc::clone(metrics) }),
    )?;
    info!(peer_id = %network.peer_id(), address = %network.address(), "Listening to peers");
    Ok(network)
}

/// The keys of the node's validators; none makes a follower.
fn load_keys(config: &NodeConfig, scheme: &dyn ProofScheme) -> Result<ValidatorKeys, NodeError> {
    let genesis = &config.genesis;
    let Some(assigned) = &config.assigned else {
        warn!(node_id = config.node_id, "Not listed in the network's validators: following only");
        return Ok(ValidatorKeys::default());
    };
    if !scheme.can_sign_duties() && !assigned.is_empty() {
        warn!(scheme = scheme.name(), "This proof scheme cannot sign: the validators stay idle");
        return Ok(ValidatorKeys::default());
    }
    let keys = ValidatorKeys::load(&genesis.validators, assigned, &config.keys_dir)?;
    if let Some(end) = keys.last_slot_end() {
        let (validators, last_slot) = (assigned.len(), end.saturating_sub(1));
        info!(validators, last_slot, "Loaded validator keys");
        let slot = SlotClock::new(genesis.genesis_time, config.slot_ms).current_slot(unix_ms());
        if slot >= end {
            warn!(slot, "The validator keys are used up: no more duties; make a new network");
        }
    }
    Ok(keys)
}
