//! From a [`NodeConfig`] to a node that can run: keys, database, servers.

use std::{io, sync::Arc, time::Duration};

use lamella_block_store::Extent;
use lamella_chain::{Bootstrap, Chain, ChainOpenError, Opened};
use lamella_http_api::{
    ApiContext, ApiServer, Events, Limits, NodeFacts, ServeError, ServerConfig, serve, version,
};
use lamella_inspect::StoreError;
use lamella_metrics::Metrics;
use lamella_network::service::{BlockSource, Listener, Network, NetworkConfig, NetworkError};
use lamella_network_dir::ValidatorKeys;
use lamella_types::{SlotClock, genesis_state};
use lamella_xmss::scheme::ProofScheme;
use tracing::{info, warn};

use super::{
    Inbox, Node,
    audit::Audit,
    background::Owner,
    catch_up::CatchUp,
    early::Early,
    error::NodeError,
    failure::Pause,
    gate::Gate,
    gossip::InFlight,
    guard::Guard,
    keys::{self, Preparer},
    link::{ChainSource, Ear},
    mend::Mend,
    report, unix_ms,
    workers::{Employer, Workers},
};
use crate::{config::NodeConfig, import::Importer};

/// Slots between two attempts to dial: 12 s on the lean network.
const REDIAL_SLOTS: u64 = 3;

/// What the node calls itself in metrics.
const NAME: &str = "lamella";

/// What runs beside the node's thread, and how it is started; and who checks proofs.
pub(super) struct Host<'a> {
    pub(super) scheme: Arc<dyn ProofScheme>,
    pub(super) network: &'a mut StartNetwork<'a>,
    pub(super) workers: &'a mut dyn FnMut(&Arc<dyn Employer>) -> io::Result<Workers>,
    pub(super) preparer: &'a mut dyn FnMut(Arc<ValidatorKeys>) -> io::Result<Preparer>,
}

type StartNetwork<'a> = dyn FnMut(&NetworkConfig, Arc<dyn BlockSource>, Arc<dyn Listener>) -> Result<Network, NetworkError>
    + 'a;

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
        let mut host = Host {
            scheme: config.proof_scheme.scheme(),
            network: &mut Network::start,
            workers: &mut Workers::start,
            preparer: &mut Preparer::start,
        };
        Self::open_on(config, bootstrap, inbox, &mut host)
    }

    /// [`Self::open`], with what runs beside it started so.
    pub(super) fn open_on(
        config: &NodeConfig,
        bootstrap: Option<Bootstrap>,
        inbox: &Inbox,
        host: &mut Host<'_>,
    ) -> Result<Self, NodeError> {
        let scheme = Arc::clone(&host.scheme);
        let keys = Arc::new(load_keys(config, &*scheme)?);
        let clock = SlotClock::new(config.genesis.genesis_time, config.slot_ms);
        let (chain, opened) = open_chain(config, bootstrap, scheme.name())?;
        config.gossip.identity.keep()?;
        let guard = Guard::open(Arc::clone(&chain), &keys, clock, config)?;
        report::opened(config, &opened, &keys);

        let missing_slots = missing_slots(&chain)?;
        let metrics = metrics_at_start(&opened, &keys, &guard, missing_slots);
        let validators = config.genesis.validators.clone();
        let gate = Arc::new(Gate::new(validators.len() as u64, scheme.is_proof()));
        let ear = Ear {
            node: inbox.sender(),
            chain: Arc::clone(&chain),
            clock,
            gate: Arc::clone(&gate),
            metrics: Arc::clone(&metrics),
        };
        let network = start_network(config, &chain, ear, inbox, &mut *host.network)?;
        let facts = Arc::new(facts(config, &network, clock));
        let events = Events::new();
        let api = config.api.as_ref();
        let serving = |api| start_server(api, &chain, &facts, &metrics, &events, inbox);
        let server = api.map(serving).transpose()?;
        let employer: Arc<dyn Employer> = Arc::new(inbox.sender());
        let workers = (host.workers)(&employer).map_err(NodeError::Workers)?;
        let mend = Mend::default();
        let owner = Owner {
            config,
            chain: &chain,
            facts: &facts,
            metrics: &metrics,
            events: &events,
            missing_slots,
        };
        Ok(Self {
            background: owner.start(mend.wanted())?,
            is_archive_required: config.is_archive_required(),
            catch_up: CatchUp::new(config, &chain, &clock),
            audit: Audit::default(),
            mend,
            early: Early::default(),
            in_flight: InFlight::default(),
            workers,
            gate,
            pause: Pause::default(),
            importer: Importer::new(Arc::clone(&chain), Arc::clone(&scheme)),
            chain,
            scheme,
            validators,
            preparer: (host.preparer)(Arc::clone(&keys)).map_err(NodeError::Preparer)?,
            keys,
            guard,
            clock,
            facts,
            metrics,
            events,
            committee_count: config.gossip.committee_count,
            lost_log_lines: Arc::clone(&config.lost_log_lines),
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

/// The chain of the data directory. An empty one begins at `bootstrap`, or at genesis without one.
fn open_chain(
    config: &NodeConfig,
    bootstrap: Option<Bootstrap>,
    scheme: &str,
) -> Result<(Arc<Chain>, Opened), ChainOpenError> {
    let genesis = &config.genesis;
    let bootstrap = bootstrap.unwrap_or_else(|| {
        Bootstrap::genesis(genesis_state(genesis.genesis_time, genesis.validators.clone()))
    });
    let (chain, opened) = Chain::open(&config.database(), bootstrap, scheme, config.settings)?;
    Ok((Arc::new(chain), opened))
}

/// Slots of history that the directory lacks.
fn missing_slots(chain: &Chain) -> Result<u64, ChainOpenError> {
    Ok(Extent::read(&chain.read()?)?.missing_slots())
}

/// Metrics that know what the start found.
fn metrics_at_start(
    opened: &Opened,
    keys: &ValidatorKeys,
    guard: &Guard,
    missing_slots: u64,
) -> Arc<Metrics> {
    let metrics = Metrics::new(NAME, &version(), keys.validators.len());
    metrics.history.observe_missing(missing_slots);
    metrics.watch.observe_recovered(&opened.recovered);
    metrics.watch.observe_silenced_keys(guard.silenced());
    Arc::new(metrics)
}

/// What the node says of itself.
fn facts(config: &NodeConfig, network: &Network, clock: SlotClock) -> NodeFacts {
    let peer_id = Some(network.peer_id().to_string());
    let facts = NodeFacts::new(&config.node_id, peer_id, clock, config.is_aggregator);
    let facts = facts.with_now(unix_ms);
    facts.tell(|standing| standing.dials_nobody = config.gossip.dial.is_empty());
    facts
}

fn start_server(
    api: &ServerConfig,
    chain: &Arc<Chain>,
    facts: &Arc<NodeFacts>,
    metrics: &Arc<Metrics>,
    events: &Events,
    inbox: &Inbox,
) -> Result<ApiServer, ServeError> {
    let (node, ended) = (inbox.sender(), inbox.sender());
    let store_failed =
        Arc::new(move |error: StoreError| node.store_failed(error.into_engine().into()));
    let context = ApiContext::new(
        Arc::clone(chain).into(),
        Arc::clone(facts),
        Arc::clone(metrics),
        events.clone(),
        Limits::default(),
        store_failed,
    );
    let context = context.on_end(Arc::new(move || ended.ended("HTTP")));
    serve(api, Arc::new(context))
}

fn start_network(
    config: &NodeConfig,
    chain: &Arc<Chain>,
    ear: Ear,
    inbox: &Inbox,
    start: &mut StartNetwork<'_>,
) -> Result<Network, NetworkError> {
    let gossip = &config.gossip;
    ear.metrics.observe_subnets(gossip.committee_count, &gossip.subnets);
    let network = start(
        &NetworkConfig {
            listen: gossip.listen,
            secret_key: *gossip.identity.key.as_bytes(),
            dial: gossip.dial.clone(),
            redial: Duration::from_millis(config.slot_ms.saturating_mul(REDIAL_SLOTS)),
            committee_count: gossip.committee_count,
            subnets: gossip.subnets.clone(),
            signature_bytes: config.proof_scheme.parameters().signature_bytes(),
            agent: version(),
        },
        Arc::new(ChainSource { chain: Arc::clone(chain), node: inbox.sender() }),
        Arc::new(ear),
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
    let keys = ValidatorKeys::load(
        &genesis.validators,
        assigned,
        &config.keys_dir,
        config.proof_scheme.parameters(),
    )?;
    if let Some(end) = keys.last_slot_end() {
        let (validators, last_slot) = (assigned.len(), end.saturating_sub(1));
        let slot = SlotClock::new(genesis.genesis_time, config.slot_ms).current_slot(unix_ms());
        let standing = keys::standing(&keys, slot);
        let prepared_last_slot = standing.map(|keys| keys.prepared_end.saturating_sub(1));
        info!(validators, prepared_last_slot, last_slot, "Loaded validator keys");
        if slot >= end {
            warn!(slot, "The validator keys are used up: no more duties; make a new network");
        }
        if let Some(keys) = standing.filter(|keys| keys.unprepared > 0) {
            warn!(
                slot,
                keys = keys.unprepared,
                "These keys cannot sign yet: what they need is built now, one after the other"
            );
        }
    }
    Ok(keys)
}
