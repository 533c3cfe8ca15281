//! The running node: one thread that owns the consensus, driven by the clock.
//!
//! Every interval of the slot clock it ticks fork choice and does the validators' duties of that interval. Whatever
//! changes head, checkpoints or votes is committed before the next thing happens, so being killed is an ordinary way
//! to end: the next start finds exactly what the last log line acknowledged, or something newer.
//!
//! | question | file |
//! |---|---|
//! | from flags and files to a consensus | `config` |
//! | propose, attest, aggregate | `duties`, `combine` |
//! | what the log says | `report` |
//! | the last slot that the protocol allows | `chain_end` |

pub(crate) mod chain_end;
mod combine;
mod config;
mod duties;
mod report;

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lamella_chain::{Chain, PersistError};
use lamella_fork_choice::ForkChoice;
use lamella_tables::Consequence;
use lamella_types::{SlotClock, limits::INTERVALS_PER_SLOT};
use lamella_xmss::scheme::ProofScheme;
use tracing::{error, info, warn};

use crate::{
    api::{ApiServer, Events, NodeFacts},
    import::Importer,
    metrics::Metrics,
    network_dir::ValidatorKeys,
};

pub use config::{NodeConfig, NodeError, ProofSchemeName};

/// What wakes the node besides its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Finish what is under way and stop.
    Stop,
}

/// A node: a chain, its validators, and a clock.
pub struct Node {
    chain: Arc<Chain>,
    importer: Importer,
    scheme: Arc<dyn ProofScheme>,
    keys: ValidatorKeys,
    clock: SlotClock,
    facts: Arc<NodeFacts>,
    metrics: Arc<Metrics>,
    events: Events,
    /// Serves until the node ends.
    _server: Option<ApiServer>,
}

impl Node {
    /// Runs until told to stop, or until the store is unusable.
    ///
    /// # Errors
    /// [`NodeError::Store`] if going on would need a store that cannot be trusted.
    pub fn run(&self, events: &Receiver<Event>) -> Result<(), NodeError> {
        self.wait_for_genesis();
        let mut done = self.chain.fork_choice().time();
        chain_end::report(&self.clock, None, self.clock.current_slot(unix_ms()));
        loop {
            let now_ms = unix_ms();
            let current = self.clock.total_intervals(now_ms);
            if current > done {
                self.advance(done, current)?;
                done = current;
            }
            let next_ms = self.clock.interval_start_ms(done + 1);
            let wait = Duration::from_millis(next_ms.saturating_sub(unix_ms()));
            match events.recv_timeout(wait) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn wait_for_genesis(&self) {
        let left_ms = self.clock.genesis_ms.saturating_sub(unix_ms());
        if left_ms > 0 {
            info!(seconds = left_ms.div_ceil(1000), "Waiting for genesis");
        }
    }

    /// Lives through the intervals after `done` up to `current`. Far behind, all but the last slot's are skipped, as
    /// in leanSpec `_tick_to`: their votes are too old to matter, and accepting them late loses nothing.
    fn advance(&self, done: u64, current: u64) -> Result<(), NodeError> {
        let slot_of = |interval| interval / INTERVALS_PER_SLOT;
        chain_end::report(&self.clock, Some(slot_of(done)), slot_of(current));
        let first = (done + 1).max((current + 1).saturating_sub(INTERVALS_PER_SLOT));
        if first > done + 1 {
            let outcome = self.chain.change(|view| view.skip_to_interval(first - 1));
            self.settle(outcome)?;
        }
        for interval in first..=current {
            let is_now = interval == current;
            let outcome = self.interval(interval, is_now);
            self.settle(outcome)?;
        }
        Ok(())
    }

    /// One interval: tick, then the duties that fall into it. Late intervals are only ticked: their proposals and
    /// votes are no longer due. Nor are any after the last slot of the chain.
    fn interval(&self, interval: u64, is_now: bool) -> Result<(), PersistError> {
        let (slot, phase) = (interval / INTERVALS_PER_SLOT, interval % INTERVALS_PER_SLOT);
        let has_duties = is_now && !chain_end::is_over(slot);
        let proposer = if phase == 0 && has_duties { self.own_proposer(slot) } else { None };
        let before = self.chain.fork_choice();
        let mut prover = self.prover();
        let aggregator =
            prover.as_mut().map(|prover| prover as &mut dyn lamella_fork_choice::Combine);
        self.chain.tick_interval(proposer.is_some(), aggregator)?;
        self.observe_view(&before);
        if let Some(proposer) = proposer {
            self.propose(slot, proposer);
        }
        if phase == 1 && has_duties {
            self.attest(slot)?;
        }
        Ok(())
    }

    /// Tells log, metrics and listeners what an interval changed.
    fn observe_view(&self, before: &ForkChoice) {
        let after = self.chain.fork_choice();
        report::ticked(before, &after);
        self.metrics.observe_view(before, &after);
        let slot = self.clock.current_slot(unix_ms());
        self.events.view_changed(&self.chain, before, &after, slot);
    }

    /// A change that could not be made permanent pauses the node's progress; only a store that is unusable ends it.
    fn settle(&self, outcome: Result<(), PersistError>) -> Result<(), NodeError> {
        match outcome {
            Ok(()) => Ok(()),
            Err(failure) => match failure.consequence() {
                Some(Consequence::NoSpace | Consequence::Retry) => {
                    warn!(%failure, "Paused: nothing was changed, trying again next interval");
                    Ok(())
                }
                Some(Consequence::Unusable) | None => {
                    error!(%failure, "Stopping: the store cannot be used");
                    Err(NodeError::Store(failure))
                }
            },
        }
    }
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
