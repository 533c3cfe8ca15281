//! What handlers share, and how they read the chain.

use std::{sync::Arc, time::Instant};

use lamella_inspect::{StoreError, served::Served};
use lamella_metrics::Metrics;
use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
    time::timeout,
};

use super::{
    ApiError, Events, Limits, NodeFacts, clients::Clients, followers::Followers, sealed::Sealed,
};

/// Requests that wait at once. Connections bound them too.
const WAITING_MAX: usize = 128;

/// Hears of a store that cannot be used any more. What else fails is the client's loss: a client may not pause a node.
pub type StoreFailed = Arc<dyn Fn(StoreError) + Send + Sync>;

/// Hears that the server has ended without having been told to.
pub type Ended = Arc<dyn Fn() + Send + Sync>;

/// What every handler works with.
pub struct ApiContext {
    pub(super) chain: Served,
    pub(super) facts: Arc<NodeFacts>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) events: Events,
    pub(super) limits: Limits,
    pub(super) store_failed: StoreFailed,
    pub(super) ended: Option<Ended>,
    pub(super) clients: Clients,
    reads: Arc<Semaphore>,
    /// In KiB, rounded up.
    pub(super) answers: Arc<Semaphore>,
    pub(super) event_streams: Arc<Semaphore>,
    /// Segments being made: one.
    pub(super) seals: Arc<Semaphore>,
    pub(super) sealed: Arc<Sealed>,
    pub(super) followers: Followers,
    /// Requests that wait for the head.
    pub(super) waiting: Arc<Semaphore>,
}

impl ApiContext {
    /// The context of a node's API, which tells the node of a store that it finds unusable.
    #[must_use]
    pub fn new(
        chain: Served,
        facts: Arc<NodeFacts>,
        metrics: Arc<Metrics>,
        events: Events,
        limits: Limits,
        store_failed: StoreFailed,
    ) -> Self {
        Self {
            chain: chain.within(limits.read_time),
            facts,
            metrics,
            events,
            limits,
            store_failed,
            ended: None,
            clients: Clients::new(limits),
            reads: Arc::new(Semaphore::new(limits.reads)),
            answers: Arc::new(Semaphore::new(limits.answer_bytes / 1024)),
            event_streams: Arc::new(Semaphore::new(limits.event_streams)),
            seals: Arc::new(Semaphore::new(1)),
            sealed: Arc::default(),
            followers: Followers::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }

    /// Whom to tell if the server ends by itself.
    #[must_use]
    pub fn on_end(self, ended: Ended) -> Self {
        Self { ended: Some(ended), ..self }
    }

    /// Runs a read of the chain on a blocking thread, when it is its turn.
    ///
    /// A client that goes away does not end it: its turn lasts until the read itself is over, so there are never
    /// more than [`Limits::reads`].
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Served) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = timeout(self.limits.read_wait, Arc::clone(&self.reads).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            self.metrics.storage.count_refused_read();
            return Err(ApiError::Busy);
        };
        let (chain, metrics) = (self.chain.clone(), Arc::clone(&self.metrics));
        let store_failed = Arc::clone(&self.store_failed);
        let outcome = spawn_blocking(move || {
            let started = Instant::now();
            let outcome = read(&chain);
            metrics.storage.observe_read(started.elapsed());
            if matches!(outcome, Err(ApiError::Corrupt(_))) {
                metrics.storage.count_corrupt_read();
            }
            drop(turn);
            match outcome {
                Err(ApiError::Store(error)) if error.is_given_up() => {
                    metrics.storage.count_refused_read();
                    Err(ApiError::ReadTooLong)
                }
                Err(ApiError::Store(error)) if error.is_unusable() => {
                    let said = error.to_string();
                    store_failed(error);
                    Err(ApiError::Unusable(said))
                }
                outcome => outcome,
            }
        });
        outcome.await.map_err(|error: JoinError| ApiError::Internal(error.to_string()))?
    }
}
