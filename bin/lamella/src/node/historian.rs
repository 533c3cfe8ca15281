//! Fetching the history before a checkpoint start, while the node runs.
//!
//! The hard idea: nobody waits for it. One thread of the lowest priority asks a source for a segment, proves it by the
//! node's own finalized state, rebuilds its states and encodes their rows. Another, at the node's own priority, commits them,
//! a few blocks to a transaction: were it of the lowest, it could lose the processor while an import waits for the writer's
//! lock that it holds. After each commit it rests several times as long, so imports find the lock free.
//!
//! A source that fails, has nothing or lies costs a line of the log, a count and a wait, ever longer; what it gave before
//! is proven and stays. How far history has come is in the database, in the transaction of its rows.

use std::{
    io,
    ops::ControlFlow,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use lamella_chain::{Chain, PastBlock, PersistError};
use lamella_http_api::NodeFacts;
use lamella_interrupt::Interrupt;
use lamella_metrics::Metrics;
use lamella_network::standing::SyncStatus;
use lamella_shipping::{
    ShippingError,
    backfill::{Backfill, Left},
};
use tracing::{info, warn};

/// Lowest priority that a thread can have.
const NICE: i32 = 19;

/// How often it looks whether it can go on: a segment is sealed each 68 minutes on the lean network.
const LOOK: Duration = Duration::from_secs(10);

/// Wait after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Longest wait after failures.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Rest after a commit, in times of what it took: the writer's lock is free for three quarters of the time.
const RESTS: u32 = 3;

/// Between two lines of the log that say how far it is.
const TELL: Duration = Duration::from_secs(10);

/// Blocks to be committed, and where to say what became of them.
type Request = (Vec<PastBlock>, SyncSender<Result<(), PersistError>>);

/// The threads, until this is dropped: then they end before their next transaction, or when the source has answered.
pub(super) struct Historian {
    stop: Interrupt,
}

impl Drop for Historian {
    fn drop(&mut self) {
        self.stop.trigger();
    }
}

impl Historian {
    /// Starts fetching from these sources, tried in order.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        chain: &Arc<Chain>,
        sources: Vec<String>,
        facts: &Arc<NodeFacts>,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let stop = Interrupt::default();
        // They keep no database open that the node has closed.
        let chain = Arc::downgrade(chain);
        let (requests, taken) = sync_channel(0);
        let committer =
            Committer { chain: chain.clone(), metrics: Arc::clone(metrics), stop: stop.clone() };
        thread::Builder::new().name("history".to_owned()).spawn(move || committer.run(&taken))?;
        let (facts, metrics) = (Arc::clone(facts), Arc::clone(metrics));
        let fetcher = Fetcher { chain, sources, facts, metrics, requests, stop: stop.clone() };
        thread::Builder::new().name("backfill".to_owned()).spawn(move || fetcher.run())?;
        Ok(Self { stop })
    }
}

struct Committer {
    chain: Weak<Chain>,
    metrics: Arc<Metrics>,
    stop: Interrupt,
}

impl Committer {
    fn run(&self, requests: &Receiver<Request>) {
        let mut told = Instant::now();
        for (blocks, answer) in requests {
            let Some(chain) = self.chain.upgrade() else { return };
            let began = Instant::now();
            let outcome = chain.put_history(&blocks).map(|extent| {
                let missing_slots = extent.missing_slots();
                self.metrics.history.filled(blocks.len(), missing_slots);
                if told.elapsed() > TELL {
                    told = Instant::now();
                    info!(missing_slots, "History is coming in");
                }
            });
            drop(chain);
            let took = began.elapsed();
            if answer.send(outcome).is_err() || self.stop.pause(took * RESTS) {
                return;
            }
        }
    }
}

struct Fetcher {
    chain: Weak<Chain>,
    sources: Vec<String>,
    facts: Arc<NodeFacts>,
    metrics: Arc<Metrics>,
    requests: SyncSender<Request>,
    stop: Interrupt,
}

impl Fetcher {
    fn run(&self) {
        if let Err(error) = rustix::process::nice(NICE) {
            warn!(%error, "History is fetched at the priority of the node");
        }
        let (mut pause, mut said) = (FIRST_PAUSE, None);
        loop {
            // Catching up has the disk and the processor.
            let is_syncing = self.facts.sync_status() == SyncStatus::Syncing;
            let looked = if is_syncing {
                None
            } else {
                let Some(chain) = self.chain.upgrade() else { return };
                Some(self.look(&chain))
            };
            let wait = match looked {
                None => LOOK,
                Some(Ok(Left::Nothing)) => {
                    self.metrics.history.observe_failing(false);
                    info!("All history is here, from genesis on");
                    return;
                }
                Some(Ok(left)) => {
                    self.metrics.history.observe_failing(false);
                    if let Left::Unsealed { until } = left
                        && said.replace(until) != Some(until)
                    {
                        info!(
                            slot = until,
                            "History is here but for the segment that is sealed when this slot is finalized"
                        );
                    }
                    pause = FIRST_PAUSE;
                    LOOK
                }
                Some(Err(ShippingError::Stopped)) => return,
                Some(Err(error)) => {
                    self.metrics.history.observe_failing(true);
                    let seconds = pause.as_secs();
                    warn!(%error, seconds, "No history fetched; the node goes on, and this is tried again");
                    let wait = pause;
                    pause = (pause * 2).min(PAUSE_MAX);
                    wait
                }
            };
            if self.stop.pause(wait) {
                return;
            }
        }
    }

    /// Fetches what can be fetched, from the first source that has it. What one gave before it failed stays.
    fn look(&self, chain: &Chain) -> Result<Left, ShippingError> {
        let job = Backfill::of(chain)?;
        let mut outcome = job.left();
        if !matches!(outcome, Ok(Left::Segment { .. })) {
            return outcome;
        }
        for (index, source) in self.sources.iter().enumerate() {
            outcome = job.fill(source, &mut |blocks| self.put(blocks));
            match &outcome {
                Ok(_) | Err(ShippingError::Stopped) => return outcome,
                Err(_) => self.metrics.history.source_failed(),
            }
            // The last one's is for the caller to tell.
            if let Err(error) = &outcome
                && index + 1 < self.sources.len()
            {
                warn!(%error, "No history from this source; the next one is asked");
            }
        }
        outcome
    }

    /// Has blocks committed.
    fn put(&self, blocks: Vec<PastBlock>) -> Result<ControlFlow<()>, ShippingError> {
        let (answer, answered) = sync_channel(1);
        if self.stop.is_triggered() || self.requests.send((blocks, answer)).is_err() {
            return Ok(ControlFlow::Break(()));
        }
        match answered.recv() {
            Ok(Ok(())) => Ok(ControlFlow::Continue(())),
            Ok(Err(error)) => {
                let what = format!("history cannot be kept: {error}");
                Err(ShippingError::NotShippable { what })
            }
            // The node has closed the database.
            Err(_) => Ok(ControlFlow::Break(())),
        }
    }
}
