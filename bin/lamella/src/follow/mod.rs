//! `lamella follow`: a replica of a chain that an archive tells, which serves the whole read API.
//!
//! The hard idea: it is a data directory and a source, and nothing else. It has no keys, no gossip, no guard and no clock
//! that decides anything: none of these types is named here. It begins with what is sealed and proven, goes on with the
//! blocks of a writer's tail through the ordinary import, and says how far it is. A source that fails, leaves holes or lies
//! costs freshness, which `health` tells; never what is served. Only the beginning is the source's word, unless a root is trusted.
//!
//! | state | it serves | it does |
//! |---|---|---|
//! | empty | nothing | waits for an archive |
//! | bootstrap | nothing | makes its directory from the segments |
//! | catch_up | what it has | imports what is there |
//! | tail | what it has | waits for the next object |
//! | stale | what it has | nothing comes, or something is missing: the reason says what |
//! | diverged | what it has | nothing any more |

mod begin;
mod ear;
mod ended;
mod exactly;
mod replica;
mod standing;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use lamella_archive::{NetworkId, WriterId};
use lamella_chain::{
    Chain, ChainOpenError, Found, Identity, Opened, PersistError, Settings, TailPosition,
};
use lamella_http_api::{
    ApiContext, ApiServer, Events, Limits, NodeFacts, ServeError, ServerConfig, serve, version,
};
use lamella_inspect::{
    StoreError, database_path,
    served::{Change, Served},
};
use lamella_interrupt::{Bell, Interrupt};
use lamella_metrics::Metrics;
use lamella_shipping::{
    ShippingError,
    follower::{Divergence, FollowError as StepError, Follower, Step},
    remote::Remote,
    restorer::Restored,
    store::{Access, Store},
};
use lamella_tables::{Consequence, ReadError};
use lamella_types::{Root, SlotClock};
use lamella_xmss::scheme::SchemeName;
use parking_lot::Mutex;
use tracing::{error, info, warn};

use crate::{
    import::{ImportError, Importer},
    node::unix_ms,
};

pub use ended::{Ended, Position};
pub use exactly::{RestoredTail, restore_exactly};
pub use replica::{ImportingReplica, Told};
use standing::{FollowState, Stand};

/// What a follower calls itself in metrics and to clients.
const NAME: &str = "lamella-follower";

/// Looks for the next object in each slot.
const LOOKS_PER_SLOT: u64 = 8;

/// Bounds of the time between two looks.
const LOOK_MS: std::ops::RangeInclusive<u64> = 50..=1_000;

/// What it may still do when it is told to stop: an import takes milliseconds.
const GRACE: Duration = Duration::from_secs(3);

/// Longest wait after the source or the store failed.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A directory that holds another's chain, and where that comes from.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    /// Address of the source.
    pub source: String,
    /// Which of the source's networks, if it has several.
    pub network: Option<NetworkId>,
    /// The root of a frontier that is trusted, for the beginning.
    pub trusted: Option<Root>,
    /// Folder of the data; the database is its `db`.
    pub data_dir: PathBuf,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// How blocks are proven.
    pub proof_scheme: SchemeName,
    /// How the chain is kept.
    pub settings: Settings,
}

/// What a follower is to be.
#[derive(Debug, Clone)]
pub struct FollowConfig {
    /// Its directory and its source.
    pub replica: ReplicaConfig,
    /// Where to serve.
    pub api: ServerConfig,
    /// Slots that the head may be behind the clock before `health` says so.
    pub lag_slots_max: u64,
    /// Whether a directory whose chain has parted from the source's is made anew.
    pub rebuild: bool,
}

/// Why a follower ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The directory.
    #[error(transparent)]
    Open(#[from] ChainOpenError),
    /// It is a node's.
    #[error(
        "{} is a node's directory: it has a node's key; a follower has a directory of its own", path.display()
    )]
    OfANode {
        /// The folder.
        path: PathBuf,
    },
    /// The source can never be followed.
    #[error(transparent)]
    Source(#[from] ShippingError),
    /// The API cannot be served.
    #[error(transparent)]
    Api(#[from] ServeError),
    /// The store gave up.
    #[error("the store cannot be used: {0}")]
    Store(Box<ImportError>),
    /// Somebody who reads for clients found the store unusable.
    #[error("the store cannot be used: {0}")]
    Reading(StoreError),
    /// The server's thread is over.
    #[error("the HTTP thread has ended: a fault of lamella, see the log; start it again")]
    ServerEnded,
    /// Its chain is not the source's.
    #[error("{0}")]
    Diverged(Divergence),
    /// What a rebuilding before this one kept.
    #[error(
        "{} is there, which a rebuilding before this one kept: move it elsewhere, or delete it if nobody needs it", path.display()
    )]
    Kept {
        /// The folder.
        path: PathBuf,
    },
    /// The file system, while a directory was made anew.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Follows until it is told to stop. The bell wakes it when it waits for the next object; who stops it rings it too.
///
/// A source that does not answer holds a thread for minutes, and nothing that was acknowledged hangs on what it says: told
/// to stop, that thread is left behind.
///
/// # Errors
/// [`FollowError`]; that the chains have parted is in what it ends with. What was acknowledged holds; the same call goes on.
pub fn run(config: &FollowConfig, stop: &Interrupt, bell: &Bell) -> Result<Ended, FollowError> {
    let (config, told, bell) = (config.clone(), stop.clone(), bell.clone());
    let known = Known::default();
    let last = Arc::clone(&known);
    stop.race_within(GRACE, move || follow(&config, &told, &bell, &known)).unwrap_or_else(|| {
        warn!("Stopped in the midst of a step, without waiting for the source or for segments");
        Ok(last.lock().clone())
    })
}

/// How far a follower was after its last step, for whoever does not wait for the next one.
type Known = Arc<Mutex<Ended>>;

fn follow(
    config: &FollowConfig,
    stop: &Interrupt,
    bell: &Bell,
    known: &Known,
) -> Result<Ended, FollowError> {
    let replica = &config.replica;
    if replica.data_dir.join("node.key").exists() {
        return Err(FollowError::OfANode { path: replica.data_dir.clone() });
    }
    ear::listen(&replica.source, bell.clone(), stop.clone());
    let mut done = Ended::default();
    loop {
        begin::finish_replacing(&replica.data_dir)?;
        let database = database_path(&replica.data_dir);
        if !begin::directory(replica, &database, stop, &mut done.segments)? {
            return Ok(done);
        }
        let mut following = Following::open(config, done, Arc::clone(known))?;
        match following.run(stop, bell)? {
            End::Stopped => return Ok(following.ended()),
            End::ToBeRebuilt => {
                // The old one is served until the new one is whole.
                done = Ended::default();
                if !following.begin_anew(stop, &mut done.segments)? {
                    return Ok(following.ended());
                }
                drop(following);
                begin::replace(&replica.data_dir)?;
            }
        }
    }
}

/// Opens the chain of a replica.
fn resume(config: &ReplicaConfig, database: &Path) -> Result<(Chain, Opened), FollowError> {
    let Found::Chain(identity) = Chain::find(database)? else {
        return Err(ChainOpenError::NoIdentity("it is not there").into());
    };
    let proof_scheme = config.proof_scheme.name().to_owned();
    let wanted = Identity { slot_ms: config.slot_ms, proof_scheme, ..identity };
    Ok(Chain::resume(database, &wanted, config.settings)?)
}

/// How a run ended.
enum End {
    Stopped,
    ToBeRebuilt,
}

/// What others found out.
#[derive(Default)]
struct Heard {
    store_failed: Mutex<Option<StoreError>>,
    server_ended: AtomicBool,
}

/// A directory that follows, and serves.
struct Following<'a> {
    config: &'a FollowConfig,
    chain: Arc<Chain>,
    replica: ImportingReplica,
    follower: Follower,
    facts: Arc<NodeFacts>,
    metrics: Arc<Metrics>,
    clock: SlotClock,
    stand: Stand,
    heard: Arc<Heard>,
    /// What this run did.
    done: Ended,
    known: Known,
    progressed: Instant,
    pause: Duration,
    /// Serves until this ends.
    _server: ApiServer,
}

impl<'a> Following<'a> {
    fn open(config: &'a FollowConfig, done: Ended, known: Known) -> Result<Self, FollowError> {
        let replica = &config.replica;
        let database = database_path(&replica.data_dir);
        let (chain, opened) = resume(replica, &database)?;
        let chain = Arc::new(chain);
        let (genesis_time, registry_root) =
            (chain.identity().genesis_time, chain.identity().registry_root);
        let network = NetworkId::of(genesis_time, &registry_root);
        let store = Store::open(&replica.source, Access::Read).map_err(ShippingError::from)?;
        let follower = Follower::resume(Remote::of(store, network), &chain)?;
        let clock = SlotClock::new(genesis_time, replica.slot_ms);
        let facts = Arc::new(NodeFacts::new(NAME, None, clock, false).with_now(unix_ms));
        facts.tell(|standing| standing.dials_nobody = true);
        let metrics = Arc::new(Metrics::new(NAME, &version(), 0));
        let (events, heard) = (Events::new(), Arc::new(Heard::default()));
        let server = start_server(config, &chain, &facts, &metrics, &events, &heard)?;
        let importer = Importer::new(Arc::clone(&chain), replica.proof_scheme.scheme());
        let told = tell(&chain, &metrics, events, clock);
        info!(
            source = replica.source,
            network = %network,
            database = %database.display(),
            head_slot = opened.head_slot,
            finalized = opened.fork_choice.finalized.slot,
            position = ?follower.position().map(|position| position.next),
            "Following"
        );
        let following = Self {
            config,
            replica: ImportingReplica::new(importer, told),
            chain,
            follower,
            stand: Stand::new(Arc::clone(&facts), config.lag_slots_max),
            facts,
            metrics,
            clock,
            heard,
            done,
            known,
            progressed: Instant::now(),
            pause: look(replica.slot_ms),
            _server: server,
        };
        following.observe();
        Ok(following)
    }

    fn run(&mut self, stop: &Interrupt, bell: &Bell) -> Result<End, FollowError> {
        while !stop.is_triggered() {
            self.hear()?;
            let is_late = self.is_late();
            let step = self.follower.step(&self.replica, is_late);
            let wait = self.settle(step, is_late)?;
            self.observe();
            if self.stand.state() == FollowState::Diverged && self.config.rebuild {
                return Ok(End::ToBeRebuilt);
            }
            if !wait.is_zero() {
                // Rung or not, it looks again.
                let _ = bell.wait(wait);
            }
        }
        Ok(End::Stopped)
    }

    /// Makes the database anew while this one is served, so nothing that fails there ends this: it is told, and tried again.
    /// `false`: stopped before that.
    fn begin_anew(
        &mut self,
        stop: &Interrupt,
        restored: &mut Option<Restored>,
    ) -> Result<bool, FollowError> {
        while !stop.is_triggered() {
            self.hear()?;
            match begin::anew(&self.config.replica, stop, restored) {
                Ok(made) => return Ok(made),
                Err(error) => self.stand.is(
                    FollowState::Diverged,
                    format!("the chains have parted, and beginning again failed: {error}"),
                ),
            }
            self.observe();
            let _ = stop.pause(PAUSE_MAX);
        }
        Ok(false)
    }

    /// What others found out, which nothing goes on after.
    fn hear(&self) -> Result<(), FollowError> {
        if let Some(failure) = self.heard.store_failed.lock().take() {
            return Err(FollowError::Reading(failure));
        }
        match self.heard.server_ended.load(Relaxed) {
            true => Err(FollowError::ServerEnded),
            false => Ok(()),
        }
    }

    /// Nothing came for longer than it may take, and the head is as far behind.
    fn is_late(&self) -> bool {
        let most = self.config.lag_slots_max.saturating_mul(self.clock.slot_ms());
        self.progressed.elapsed() > Duration::from_millis(most) && self.behind() > 0
    }

    /// Slots that the head is behind the clock.
    fn behind(&self) -> u64 {
        let head_slot = self.chain.fork_choice().head_summary().slot;
        self.clock.current_slot(unix_ms()).saturating_sub(head_slot)
    }

    /// What a step means, and how long to wait before the next one.
    fn settle(
        &mut self,
        step: Result<Step, StepError<ImportError>>,
        is_late: bool,
    ) -> Result<Duration, FollowError> {
        let look = look(self.config.replica.slot_ms);
        match step {
            Ok(Step::Took { writer, sequence, blocks }) => {
                self.progress(blocks);
                self.done.objects += 1;
                self.done.blocks += blocks;
                tracing::debug!(%writer, sequence, blocks, "Followed");
                let is_behind = self.behind() > self.config.lag_slots_max;
                let state = if is_behind { FollowState::CatchUp } else { FollowState::Tail };
                self.stand.is(state, String::new());
                Ok(Duration::ZERO)
            }
            Ok(Step::Filled { blocks }) => {
                self.progress(blocks);
                self.done.filled += blocks;
                info!(blocks, "Went on by the segments");
                self.stand.is(FollowState::CatchUp, String::new());
                Ok(Duration::ZERO)
            }
            Ok(Step::Nothing) if is_late => {
                let slots = self.config.lag_slots_max;
                let reason = format!("nothing new for more than {slots} slots");
                self.stand.is(FollowState::Stale, reason);
                Ok(look)
            }
            Ok(Step::Nothing) => {
                self.stand.is(FollowState::Tail, String::new());
                Ok(look)
            }
            Ok(Step::Waiting(trouble)) => {
                self.stand.is(FollowState::Stale, trouble.to_string());
                Ok(look)
            }
            Ok(Step::Diverged(divergence)) => {
                self.done.diverged = Some(divergence);
                self.stand.is(FollowState::Diverged, divergence.to_string());
                Ok(PAUSE_MAX)
            }
            Err(StepError::Source(failure)) => {
                self.stand.is(FollowState::Stale, failure.to_string());
                Ok(self.failed())
            }
            Err(StepError::Replica(failure)) if is_worth_another_try(&failure) => {
                self.stand.is(FollowState::Stale, failure.to_string());
                Ok(self.failed())
            }
            Err(StepError::Replica(failure)) => {
                error!(%failure, "Stopping: the store cannot be used");
                Err(FollowError::Store(Box::new(failure)))
            }
        }
    }

    fn progress(&mut self, blocks: u64) {
        self.progressed = Instant::now();
        self.pause = look(self.config.replica.slot_ms);
        self.metrics.follow.took(blocks);
    }

    fn failed(&mut self) -> Duration {
        let wait = self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        wait
    }

    /// Tells the API and the metrics how it stands, and whoever stops it.
    fn observe(&self) {
        *self.known.lock() = self.ended();
        let interval = self.clock.total_intervals(unix_ms());
        self.facts.tell(|standing| standing.ticked = Some((interval, Instant::now())));
        let next = self.follower.position().map_or(0, |position| position.next);
        let (state, behind) = (self.stand.state(), self.behind());
        self.metrics.follow.observe(state as u64, next, behind, self.follower.troubles());
    }

    /// What it ends with when it is told to stop.
    fn ended(&self) -> Ended {
        let view = self.chain.fork_choice();
        let next = |position: TailPosition| (WriterId(position.writer), position.next);
        let (state, reason) = self.stand.told();
        let at = Position {
            head: view.head_summary().checkpoint(),
            finalized: view.latest_finalized(),
            next: self.follower.position().map(next),
            state,
            reason: reason.to_owned(),
        };
        Ended { at: Some(at), ..self.done.clone() }
    }
}

/// Time between two looks for the next object.
fn look(slot_ms: u64) -> Duration {
    Duration::from_millis((slot_ms / LOOKS_PER_SLOT).clamp(*LOOK_MS.start(), *LOOK_MS.end()))
}

/// A full disk, or what may pass.
fn is_worth_another_try(failure: &ImportError) -> bool {
    let ImportError::Persist(PersistError::Read(ReadError::Engine(failure))) = failure else {
        return false;
    };
    failure.consequence != Consequence::Unusable
}

/// Tells log, metrics and listeners of each commit.
fn tell(chain: &Arc<Chain>, metrics: &Arc<Metrics>, events: Events, clock: SlotClock) -> Told {
    let (served, metrics) = (Served::from(Arc::clone(chain)), Arc::clone(metrics));
    Box::new(move |persisted| {
        metrics.observe_commit(persisted);
        let change = Change::of_import(persisted);
        events.changed(&served, &change, clock.current_slot(unix_ms()));
        let view = &persisted.after;
        info!(
            blocks = persisted.imported.len(),
            head = %view.head(),
            head_slot = view.head_summary().slot,
            justified = view.latest_justified().slot,
            finalized = view.latest_finalized().slot,
            reorg_depth = persisted.reorg_depth,
            "Blocks imported successfully"
        );
    })
}

fn start_server(
    config: &FollowConfig,
    chain: &Arc<Chain>,
    facts: &Arc<NodeFacts>,
    metrics: &Arc<Metrics>,
    events: &Events,
    heard: &Arc<Heard>,
) -> Result<ApiServer, ServeError> {
    let (failed, ended) = (Arc::clone(heard), Arc::clone(heard));
    let context = ApiContext::new(
        Arc::clone(chain).into(),
        Arc::clone(facts),
        Arc::clone(metrics),
        events.clone(),
        Limits::default(),
        Arc::new(move |error| *failed.store_failed.lock() = Some(error)),
    );
    let context = context.on_end(Arc::new(move || ended.server_ended.store(true, Relaxed)));
    serve(&config.api, Arc::new(context))
}
