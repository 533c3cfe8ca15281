//! The running node: one thread that owns the consensus, driven by its clock and by what its peers say.
//!
//! Every interval of the slot clock it ticks fork choice and does the validators' duties of that interval; between
//! two intervals it judges gossip and imports what sync brings. Whatever changes head, checkpoints or votes is
//! committed before the next thing happens, and before anyone hears of it, so being killed is an ordinary way to
//! end: the next start finds exactly what the last log line acknowledged, or something newer.
//!
//! | question | file |
//! |---|---|
//! | from flags and files to a consensus | `config` |
//! | what goes on beside it | `background` |
//! | what wakes it | `inbox` |
//! | the clock, set back, set forward, wrong | `pace`, `wall` |
//! | propose, attest, aggregate | `duties`, `combine` |
//! | what takes processor time, off this thread | `workers` |
//! | that no key signs twice for one slot | `guard` |
//! | that keys can sign when their slots come | `keys` |
//! | what of the gossip is worth a look, and what was seen before | `gate` |
//! | what peers gossip; votes that overtook their blocks | `gossip`, `early` |
//! | catching up; checking what that left unchecked; what was bad | `catch_up`, `audit`, `mend` |
//! | what peers are served, and what they are counted for | `link` |
//! | what a failure of our store means | `failure` |
//! | shipping history into an archive; fetching what is before a checkpoint | `shipper`, `historian` |
//! | reading the whole store, and repairing what rotted | `scrub`, `mend` |
//! | who else holds pages of the database | `readers` |
//! | what the log says | `report` |
//! | the last slot that the protocol allows | `chain_end` |

mod audit;
mod background;
mod catch_up;
pub(crate) mod chain_end;
mod combine;
mod config;
mod duties;
mod early;
mod error;
mod failure;
mod gate;
mod gossip;
mod guard;
#[cfg(feature = "archive")]
mod historian;
mod inbox;
mod keys;
mod link;
mod mend;
mod pace;
mod readers;
mod report;
mod scrub;
#[cfg(feature = "archive")]
mod shipper;
#[cfg(feature = "simulation")]
mod simulated;
mod wall;
mod workers;

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lamella_chain::{Chain, Persisted};
use lamella_fork_choice::ForkChoice;
use lamella_http_api::{ApiServer, Events, NodeFacts};
use lamella_inspect::served::{Change, Served};
use lamella_metrics::Metrics;
use lamella_network::service::{Command, GossipMessage, Network, NetworkEvent};
use lamella_network_dir::ValidatorKeys;
use lamella_types::{Root, SlotClock, Validators, limits::INTERVALS_PER_SLOT};
use lamella_xmss::scheme::ProofScheme;
use tracing::{error, info, warn};

use crate::{heavy::Consensus, import::Importer};

use audit::Audit;
use background::Background;
use catch_up::CatchUp;
use early::Early;
use failure::Pause;
use gate::Gate;
use gossip::{InFlight, Origin};
use guard::Guard;
use inbox::Received;
use keys::Preparer;
use mend::Mend;
use pace::Pace;
use wall::{Reading, monotonic};
use workers::Workers;

pub use error::{GuardCopyError, NodeError, StoreFailure};
pub use inbox::{Inbox, Sender};
#[cfg(feature = "simulation")]
pub use simulated::{Clocks, SimulatedNode};
pub(crate) use wall::{skew_by, unix_ms};

/// Events heard before the clock and sync have their turn again.
const EVENTS_PER_TURN: usize = 64;

/// A node: a chain, its validators, a clock, and peers.
pub struct Node {
    chain: Arc<Chain>,
    importer: Importer,
    scheme: Arc<dyn ProofScheme>,
    /// The registry. It never changes.
    validators: Validators,
    keys: Arc<ValidatorKeys>,
    preparer: Preparer,
    guard: Guard,
    clock: SlotClock,
    facts: Arc<NodeFacts>,
    metrics: Arc<Metrics>,
    events: Events,
    committee_count: u64,
    lost_log_lines: Arc<AtomicU64>,
    catch_up: CatchUp,
    audit: Audit,
    mend: Mend,
    early: Early,
    gate: Arc<Gate>,
    in_flight: InFlight,
    pause: Pause,
    workers: Workers,
    /// Whether proofs are kept while the archive lacks them.
    is_archive_required: bool,
    /// Goes on until the node ends.
    background: Background,
    /// Runs until the node ends.
    network: Network,
    /// Serves until the node ends.
    _server: Option<ApiServer>,
}

impl Node {
    /// Runs until told to stop, or until the store is unusable.
    ///
    /// # Errors
    /// [`NodeError::Store`] if going on would need a store that cannot be trusted.
    pub fn run(&mut self, inbox: &Inbox) -> Result<(), NodeError> {
        let mut pace = self.begin();
        while self.turn(&mut pace, inbox)?.is_continue() {}
        Ok(())
    }

    /// What comes before the first turn.
    fn begin(&self) -> Pace {
        let _here = Consensus::begin();
        self.wait_for_genesis();
        let pace = self.start_pace();
        chain_end::report(&self.clock, None, self.clock.current_slot(unix_ms()));
        pace
    }

    /// What is due of the clock and of sync, and what comes until then. Breaks when told to stop.
    fn turn(&mut self, pace: &mut Pace, inbox: &Inbox) -> Result<ControlFlow<()>, NodeError> {
        let _here = Consensus::begin();
        self.look_at_clock(pace);
        if let Some(current) = pace.due(unix_ms()) {
            self.advance(pace.done(), current, inbox)?;
            pace.lived(current);
        }
        self.catch_up();
        self.audit();
        let mut wait = pace.wait(unix_ms());
        for _ in 0..EVENTS_PER_TURN {
            match inbox.wait(wait) {
                Received::Stop => return Ok(ControlFlow::Break(())),
                Received::Ended(thread) => {
                    error!(thread, "Stopping: a thread that the node needs has ended");
                    return Err(NodeError::ThreadEnded(thread));
                }
                Received::Nothing => break,
                Received::Network(event) => {
                    let outcome = self.hear(event);
                    self.settle(outcome)?;
                }
                Received::Worked(done) => {
                    let outcome = self.worked(done);
                    self.settle(outcome)?;
                }
                Received::StoreFailed(failure) => self.settle(Err(failure))?,
            }
            if pace.due(unix_ms()).is_some() {
                break;
            }
            wait = Duration::ZERO;
        }
        self.check_votes();
        Ok(ControlFlow::Continue(()))
    }

    /// Hears what has arrived, and what workers have in hand of it, for at most an eighth of an interval: a proposer
    /// builds on what is here, an aggregator folds it.
    fn hear_arrived(&mut self, inbox: &Inbox) -> Result<(), NodeError> {
        let ends = monotonic() + Duration::from_millis(self.clock.interval_ms / 8);
        loop {
            self.check_votes();
            let left = ends.saturating_duration_since(monotonic());
            let wait = if self.workers.is_busy() { left } else { Duration::ZERO };
            let outcome = match inbox.wait(wait) {
                Received::Network(event) => self.hear(event),
                Received::Worked(done) => self.worked(done),
                Received::StoreFailed(failure) => Err(failure),
                Received::Ended(thread) => return Err(NodeError::ThreadEnded(thread)),
                Received::Nothing | Received::Stop => return Ok(()),
            };
            self.settle(outcome)?;
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Where the clock says that we are, whatever was stored.
    fn start_pace(&self) -> Pace {
        let now_ms = unix_ms();
        let pace = Pace::start(self.clock, self.chain.fork_choice().time(), now_ms);
        self.chain.set_time(pace.done());
        let (head_slot, slot) =
            (self.chain.fork_choice().head_summary().slot, self.clock.current_slot(now_ms));
        if head_slot > slot {
            error!(
                head_slot,
                clock_slot = slot,
                "The head is ahead of the clock: no duties before the clock is past it. Is the clock right?"
            );
        }
        pace
    }

    /// Follows a clock that was set, and doubts what was known of peers after a sleep.
    fn look_at_clock(&mut self, pace: &mut Pace) {
        let now = Reading { unix_ms: unix_ms(), monotonic: monotonic() };
        let Some(leap) = pace.look(now) else { return };
        leap.report(&self.clock);
        self.metrics.watch.count_clock_leap(leap.direction());
        self.chain.set_time(pace.done());
        self.doubt_peers();
    }

    fn wait_for_genesis(&self) {
        let left_ms = self.clock.genesis_ms.saturating_sub(unix_ms());
        if left_ms > 0 {
            info!(seconds = left_ms.div_ceil(1000), "Waiting for genesis");
        }
    }

    /// Lives through the intervals after `done` up to `current`. Far behind, all but the last slot's are skipped, as
    /// in leanSpec `_tick_to`: their votes are too old to matter, and accepting them late loses nothing.
    fn advance(&mut self, done: u64, current: u64, inbox: &Inbox) -> Result<(), NodeError> {
        let slot_of = |interval| interval / INTERVALS_PER_SLOT;
        chain_end::report(&self.clock, Some(slot_of(done)), slot_of(current));
        let first = (done + 1).max((current + 1).saturating_sub(INTERVALS_PER_SLOT));
        for interval in first..=current {
            self.hear_arrived(inbox)?;
            let is_due = slot_of(interval) == slot_of(current);
            let outcome = self.interval(interval, is_due);
            self.settle(outcome)?;
        }
        if slot_of(current) > slot_of(done) {
            let outcome = self.look_at_readers(slot_of(current));
            self.settle(outcome)?;
            let outcome = self.mend(slot_of(current));
            self.settle(outcome)?;
        }
        self.observe_peers(slot_of(current));
        self.stand(current);
        Ok(())
    }

    /// One interval: tick, then the duties that fall into it. Late is better than never, but not in another slot,
    /// and not while the node is catching up. After the last slot of the chain there are none.
    fn interval(&mut self, interval: u64, is_due: bool) -> Result<(), StoreFailure> {
        let (slot, phase) = (interval / INTERVALS_PER_SLOT, interval % INTERVALS_PER_SLOT);
        let on_duty =
            is_due && self.is_on_duty() && !self.is_paused(slot) && !chain_end::is_over(slot);
        let proposer = if phase == 0 && on_duty { self.own_proposer(slot) } else { None };
        self.catch_up.ticked(&self.metrics);
        self.look_for_early(interval);
        self.tick(interval, proposer.is_some())?;
        self.observe_lateness("tick", interval);
        match phase {
            // A round's block had its time to come, and the aggregator a second turn.
            3 => self.metrics.coverage.report(slot.saturating_sub(1)),
            4 => self.metrics.coverage.accepted(slot),
            _ => {}
        }
        match (phase, proposer) {
            (0, Some(proposer)) => self.propose(slot, proposer),
            (1, _) if on_duty => self.attest(slot),
            (2, _) => {
                self.aggregate(slot, on_duty);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Something that was due at the start of this interval is done.
    fn observe_lateness(&self, what: &str, interval: u64) {
        let late_ms = unix_ms().saturating_sub(self.clock.interval_start_ms(interval));
        self.metrics.validator.observe_lateness(what, Duration::from_millis(late_ms));
    }

    /// Moves fork choice on to an interval. Time is the clock's: intervals that were left out, because the node was far
    /// behind or its store failed, are skipped.
    fn tick(&self, interval: u64, has_proposal: bool) -> Result<(), StoreFailure> {
        let before = self.chain.fork_choice();
        self.chain.tick_interval(interval, has_proposal, None)?;
        self.observe_view(&before);
        Ok(())
    }

    /// Tells the API and the metrics how the node stands after an interval.
    fn stand(&self, interval: u64) {
        let guard_failure = self.guard.failure().map(str::to_owned);
        let slot = interval / INTERVALS_PER_SLOT;
        self.preparer.at(slot);
        let keys = self.preparer.standing(slot);
        let archive_lacks = self.is_archive_required.then(|| {
            let held = self.chain.held_proofs();
            (held.slots, held.lost)
        });
        self.facts.tell(|standing| {
            standing.archive_lacks = archive_lacks;
            standing.ticked = Some((interval, Instant::now()));
            standing.guard_failure = guard_failure;
            standing.silenced_keys = self.guard.silenced();
            standing.keys = keys;
        });
        let watch = &self.metrics.watch;
        if let Some(keys) = keys {
            watch.observe_keys(keys.prepared_end, keys.active_end);
        }
        watch.observe_lost_lines(self.lost_log_lines.load(Ordering::Relaxed));
        watch.observe_guard_copy_failures(self.guard.failures());
    }

    /// Takes what the network has to say.
    fn hear(&mut self, event: NetworkEvent) -> Result<(), StoreFailure> {
        match event {
            NetworkEvent::Gossip { id, message, .. } => {
                self.gossiped(Origin::Gossip(id), message)?;
            }
            NetworkEvent::Status { peer, status } => self.peer_status(peer, status)?,
            NetworkEvent::Gone { peer } => self.peer_gone(peer),
            NetworkEvent::Blocks { request, outcome } if Mend::is_its(request) => {
                self.mend_answered(request, outcome);
            }
            NetworkEvent::Blocks { request, outcome } => self.blocks(request, outcome),
        }
        Ok(())
    }

    /// Gossips something of ours. Only what is committed is published.
    fn publish(&self, message: GossipMessage) {
        self.tell(Command::Publish(message));
    }

    fn tell(&self, command: Command) {
        if !self.network.send(command) {
            warn!("The network cannot keep up: a message is lost");
        }
    }

    /// Tells log, metrics and listeners what a change of the view without a block was.
    fn observe_view(&self, before: &ForkChoice) {
        let after = self.chain.fork_choice();
        report::ticked(before, &after);
        self.metrics.observe_view(before, &after);
        let depth = reorg_depth(before, &after);
        report::reorg(depth, before, &after);
        self.metrics.observe_reorg(depth as u64);
        let slot = self.clock.current_slot(unix_ms());
        self.events.changed(&self.served(), &Change::between(before, &after), slot);
    }

    /// Tells listeners, and who ships, of blocks that are permanent.
    fn announce(&self, persisted: &Persisted) {
        let current = self.clock.current_slot(unix_ms());
        self.events.changed(&self.served(), &Change::of_import(persisted), current);
        self.background.ring();
    }

    /// The chain as listeners see it.
    fn served(&self) -> Served {
        Served::from(Arc::clone(&self.chain))
    }
}

/// Blocks on the old head's chain that are not on the new one's.
fn reorg_depth(before: &ForkChoice, after: &ForkChoice) -> usize {
    let head = after.head();
    let is_left = |root: &Root| !after.is_ancestor(root, &head);
    after.chain(&before.head()).take_while(|block| is_left(&block.root)).count()
}
