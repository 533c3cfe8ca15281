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
//! | what wakes it | `inbox` |
//! | propose, attest, aggregate | `duties`, `combine` |
//! | that no key signs twice for one slot | `guard` |
//! | what of the gossip is worth a look, and what was seen before | `gate` |
//! | what peers gossip; votes that overtook their blocks | `gossip`, `early` |
//! | catching up | `catch_up` |
//! | what peers are served, and what they are counted for | `link` |
//! | what a failure of our store means | `failure` |
//! | who else holds pages of the database | `readers` |
//! | what the log says | `report` |
//! | the last slot that the protocol allows | `chain_end` |

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
mod inbox;
mod link;
mod readers;
mod report;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lamella_chain::Chain;
use lamella_fork_choice::{Combine, ForkChoice, Tick};
use lamella_http_api::{ApiServer, Events, NodeFacts};
use lamella_inspect::served::{Change, Served};
use lamella_metrics::Metrics;
use lamella_network::service::{Command, GossipMessage, Network, NetworkEvent, Verdict};
use lamella_network_dir::ValidatorKeys;
use lamella_types::{Root, SlotClock, Validators, limits::INTERVALS_PER_SLOT};
use lamella_xmss::scheme::ProofScheme;
use tracing::{info, warn};

use crate::import::Importer;

use catch_up::CatchUp;
use combine::Prover;
use early::Early;
use failure::Pause;
use gate::Gate;
use gossip::Judged;
use guard::Guard;
use inbox::Received;

pub use error::{GuardCopyError, NodeError, StoreFailure};
pub use inbox::{Inbox, Sender};

/// Events heard before the clock and sync have their turn again. A vote takes 0.4 ms to check.
const EVENTS_PER_TURN: usize = 64;

/// A node: a chain, its validators, a clock, and peers.
pub struct Node {
    chain: Arc<Chain>,
    importer: Importer,
    scheme: Arc<dyn ProofScheme>,
    /// The registry. It never changes.
    validators: Validators,
    keys: ValidatorKeys,
    guard: Guard,
    clock: SlotClock,
    facts: Arc<NodeFacts>,
    metrics: Arc<Metrics>,
    events: Events,
    committee_count: u64,
    catch_up: CatchUp,
    early: Early,
    gate: Arc<Gate>,
    pause: Pause,
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
        self.wait_for_genesis();
        let mut done = self.chain.fork_choice().time();
        chain_end::report(&self.clock, None, self.clock.current_slot(unix_ms()));
        loop {
            let current = self.clock.total_intervals(unix_ms());
            if current > done {
                self.advance(done, current, inbox)?;
                done = current;
            }
            let outcome = self.catch_up();
            self.settle(outcome)?;
            let next_ms = self.clock.interval_start_ms(done + 1).saturating_sub(unix_ms());
            let mut wait = Duration::from_millis(next_ms).min(self.catch_up_wait());
            for _ in 0..EVENTS_PER_TURN {
                match inbox.wait(wait) {
                    Received::Stop => return Ok(()),
                    Received::Nothing => break,
                    Received::Network(event) => {
                        let outcome = self.hear(event);
                        self.settle(outcome)?;
                    }
                    Received::StoreFailed(failure) => self.settle(Err(failure))?,
                }
                if self.clock.total_intervals(unix_ms()) > done {
                    break;
                }
                wait = Duration::ZERO;
            }
        }
    }

    /// Hears what has arrived, for at most an eighth of an interval: a proposer builds on what is here, an aggregator
    /// folds it.
    fn hear_arrived(&mut self, inbox: &Inbox) -> Result<(), NodeError> {
        let ends = Instant::now() + Duration::from_millis(self.clock.interval_ms / 8);
        while Instant::now() < ends {
            let outcome = match inbox.wait(Duration::ZERO) {
                Received::Network(event) => self.hear(event),
                Received::StoreFailed(failure) => Err(failure),
                Received::Nothing | Received::Stop => break,
            };
            self.settle(outcome)?;
        }
        Ok(())
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
        }
        self.observe_peers();
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
        let prover = if phase == 2 { self.prover(on_duty) } else { None };
        self.look_for_early(interval);
        self.tick(interval, proposer.is_some(), prover)?;
        if let Some(proposer) = proposer {
            self.propose(slot, proposer)?;
        }
        if phase == 1 && on_duty {
            self.attest(slot)?;
        }
        Ok(())
    }

    /// Moves fork choice on to an interval, and publishes the aggregates that this made. Time is the clock's:
    /// intervals that were left out, because the node was far behind or its store failed, are skipped.
    fn tick(
        &self,
        interval: u64,
        has_proposal: bool,
        mut prover: Option<Prover>,
    ) -> Result<(), StoreFailure> {
        let before = self.chain.fork_choice();
        let started = Instant::now();
        let aggregator = prover.as_mut().map(|prover| prover as &mut dyn Combine);
        let Tick { aggregates, .. } =
            self.chain.tick_interval(interval, has_proposal, aggregator)?;
        if prover.is_some() {
            self.metrics.fork_choice.committee_aggregation.observe(started.elapsed().as_secs_f64());
        }
        self.observe_view(&before);
        for aggregate in aggregates {
            self.events.aggregate(&aggregate);
            self.publish(GossipMessage::Aggregate(Arc::new(aggregate)));
        }
        Ok(())
    }

    /// Takes what the network has to say.
    fn hear(&mut self, event: NetworkEvent) -> Result<(), StoreFailure> {
        match event {
            NetworkEvent::Gossip { id, message, .. } => {
                let peer = id.peer();
                let judged = if self.is_second_vote(&message) {
                    Ok(Judged::Ignored)
                } else {
                    self.gossiped(peer, message)
                };
                let verdict = judged.as_ref().map_or(Verdict::Ignore, |judged| judged.verdict());
                self.tell(Command::Verdict(id, verdict));
                match judged? {
                    Judged::Orphan(root, block) => self.orphan(peer, root, block),
                    Judged::Early(message) => self.keep_early(peer, message),
                    Judged::Accepted | Judged::Rejected | Judged::Ignored => {}
                }
            }
            NetworkEvent::Status { peer, status } => self.peer_status(peer, status)?,
            NetworkEvent::Gone { peer } => self.peer_gone(peer),
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

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
