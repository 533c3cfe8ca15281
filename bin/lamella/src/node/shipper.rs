//! Shipping finalized history and the blocks since into an archive while the node runs.
//!
//! The hard idea: nobody waits for it. One thread of the lowest priority looks now and then whether the finalized chain has
//! a segment more than the archive was confirmed to hold, reads that in short transactions as any reader does, and asks the
//! store while no transaction is open. After each commit a bell is rung, and what no segment holds yet goes into the next
//! object of the tail, one a slot at most unless there is a whole object's worth. The database is the queue of both. A store
//! that fails stops the cursor and nothing else: it is counted, said, and tried again, ever less often. Blocks do not go
//! from the database, so nothing is lost by waiting; states may (`lamella db prune`), and block proofs do: the states that the
//! archive lacks are held, and its proofs can be, up to a limit.

use std::{
    io,
    ops::ControlFlow,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use lamella_archive::{NetworkId, WriterId};
use lamella_chain::{Archived, Chain, Held, Progress};
use lamella_interrupt::{Bell, Interrupt};
use lamella_metrics::{Metrics, ShippingJob};
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known, Shipment},
    proofs::{ProofShipment, ship_proofs},
    remote::Remote,
    seal::{self, Shipped},
    store::{Access, Store},
    tails::{TailShipped, TailShipper},
};
use lamella_tables::{ReadError, ReadTxn};
use lamella_types::limits::SEGMENT_ROOTS;
use tracing::{debug, error, info, warn};

use crate::config::NodeConfig;

/// Lowest priority that a thread can have.
const NICE: i32 = 19;

/// How often it looks whether there is a segment to ship: one comes each 68 minutes on the lean network.
const LOOK: Duration = Duration::from_secs(10);

/// Wait after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Longest wait after failures.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// What is shipped besides segments, and as whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ships {
    /// Block proofs.
    proofs: bool,
    /// They are held in the database until the archive has them.
    is_required: bool,
    /// The tail begins anew under another writer id: this directory is a copy, or an older copy of itself.
    as_new_writer: bool,
}

impl Ships {
    pub(super) const fn of(config: &NodeConfig) -> Self {
        Self {
            proofs: config.archive_proofs,
            is_required: config.archive_required,
            as_new_writer: config.archive_new_writer,
        }
    }
}

/// The thread, until this is dropped: then it ends before its next transaction, or when the store has answered.
pub(super) struct Shipper {
    stop: Interrupt,
    bell: Bell,
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.stop.trigger();
        self.bell.ring();
    }
}

impl Shipper {
    /// Starts shipping.
    ///
    /// # Errors
    /// The system gives no thread, or no random number.
    pub(super) fn start(
        chain: &Arc<Chain>,
        address: String,
        ships: Ships,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let (stop, bell) = (Interrupt::default(), Bell::default());
        let mut writer = WriterId([0; 8]);
        getrandom::fill(&mut writer.0).map_err(io::Error::other)?;
        // Before the first import prunes; what the archive has is asked for later.
        let known = chain.read().ok().and_then(|txn| confirmed(&txn, &address).ok());
        let known = known.unwrap_or_default();
        hold_states(chain, &known);
        if ships.is_required {
            hold(chain, &known);
        }
        // It keeps no database open that the node has closed.
        let chain = Arc::downgrade(chain);
        let shipping = Shipping {
            chain,
            address,
            ships,
            metrics: Arc::clone(metrics),
            stop: stop.clone(),
            writer,
            tail: None,
        };
        let heard = bell.clone();
        thread::Builder::new().name("archiver".to_owned()).spawn(move || shipping.run(&heard))?;
        Ok(Self { stop, bell })
    }

    /// There is something new to ship. Never waits.
    pub(super) fn ring(&self) {
        self.bell.ring();
    }
}

/// When a job is due again: regularly, and ever later while it fails.
struct Pacer {
    due: Instant,
    pause: Duration,
}

impl Pacer {
    fn new() -> Self {
        Self { due: Instant::now(), pause: FIRST_PAUSE }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    fn succeeded(&mut self, next: Duration) {
        *self = Self { due: Instant::now() + next, pause: FIRST_PAUSE };
    }

    /// Says how long it waits now.
    fn failed(&mut self) -> Duration {
        let wait = self.pause;
        *self = Self { due: Instant::now() + wait, pause: (wait * 2).min(PAUSE_MAX) };
        wait
    }
}

struct Shipping {
    chain: Weak<Chain>,
    address: String,
    ships: Ships,
    metrics: Arc<Metrics>,
    stop: Interrupt,
    /// Whose tail it is, unless this directory has shipped one there before.
    writer: WriterId,
    tail: Option<TailShipper>,
}

/// What the archive at this address was confirmed to hold.
fn confirmed(txn: &ReadTxn<'_>, address: &str) -> Result<Archived, ReadError> {
    let none = Archived { address: address.to_owned(), ..Archived::default() };
    let found = Archived::read(txn)?;
    Ok(found.filter(|archived| archived.address == address).unwrap_or(none))
}

/// Holds the states that the archive's next segment is made of: its own, and the one that it begins with.
fn hold_states(chain: &Chain, archived: &Archived) {
    let entry = chain.read().ok().and_then(|txn| seal::entry_slot(&txn, archived.segments).ok());
    // What cannot be read is damage, which is told where the segment is sealed; until then nothing goes.
    chain.hold_states_from(entry.unwrap_or(0));
}

/// Holds the proofs that the archive lacks.
fn hold(chain: &Chain, archived: &Archived) {
    chain.hold_proofs_from(archived.proofs * SEGMENT_ROOTS as u64);
}

impl Shipping {
    fn run(mut self, bell: &Bell) {
        if let Err(error) = rustix::process::nice(NICE) {
            warn!(%error, "Archiving goes on at the priority of the node");
        }
        let (mut segments, mut tail) = (Pacer::new(), Pacer::new());
        // The tail waits until the archive has what a follower begins with.
        let mut has_begun = false;
        // Whether the archive was compared with what was confirmed since the last failure.
        let mut is_compared = false;
        // What was not shipped when the last process ended.
        let mut has_news = true;
        while !self.stop.is_triggered() {
            let Some(chain) = self.chain.upgrade() else { return };
            if segments.is_due() {
                match self.look(&chain, is_compared) {
                    Ok(shipment) => {
                        if let Some((shipment, proofs)) = shipment {
                            self.shipped(&shipment, &proofs);
                        }
                        self.metrics.archive.succeeded(ShippingJob::Segments);
                        segments.succeeded(LOOK);
                        (has_begun, is_compared) = (true, true);
                    }
                    Err(ShippingError::Stopped) => return,
                    Err(error) => {
                        is_compared = false;
                        self.failed(ShippingJob::Segments, &error, segments.failed());
                    }
                }
                self.say_held(&chain);
            }
            if has_news && has_begun && tail.is_due() {
                match self.ship_tail(&chain) {
                    Ok(next) => {
                        self.metrics.archive.succeeded(ShippingJob::Tail);
                        has_news = next.is_some_and(|shipped| shipped.has_more);
                        let slot = Duration::from_millis(chain.identity().slot_ms);
                        tail.succeeded(if has_news { Duration::ZERO } else { slot });
                    }
                    Err(error) => self.failed(ShippingJob::Tail, &error, tail.failed()),
                }
            }
            drop(chain);
            let next =
                if has_news && has_begun { segments.due.min(tail.due) } else { segments.due };
            has_news |= bell.wait(next.saturating_duration_since(Instant::now()));
        }
    }

    fn failed(&self, job: ShippingJob, error: &ShippingError, wait: Duration) {
        self.metrics.archive.failed(job);
        let seconds = wait.as_secs();
        warn!(?job, %error, seconds, "Not archived; the node goes on, and this is tried again");
    }

    /// Ships what there is to ship. Unless it `is_compared` already, the archive is compared with what was confirmed in any
    /// case: nothing that failed is reported as done because nothing new waits.
    fn look(
        &self,
        chain: &Chain,
        is_compared: bool,
    ) -> Result<Option<(Shipment, ProofShipment)>, ShippingError> {
        let mut archived = confirmed(&chain.read()?, &self.address)?;
        let finalized = chain.fork_choice().latest_finalized().slot;
        let sealable = finalized / SEGMENT_ROOTS as u64;
        self.metrics.archive.observe(sealable, archived.segments, archived.proofs);
        let is_behind = |confirmed| sealable > confirmed;
        let lacks_proofs = self.ships.proofs && is_behind(archived.proofs);
        if !is_behind(archived.segments) && !lacks_proofs && is_compared {
            return Ok(None);
        }
        let store = Store::open(&self.address, Access::Write)?;
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        let mut go_on = |_: Progress| match self.stop.is_triggered() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let keep = |archived: &Archived| {
            chain.put_archived(archived).map_err(|error| {
                let what = format!("what was confirmed cannot be kept: {error}");
                ShippingError::NotShippable { what }
            })?;
            hold_states(chain, archived);
            self.metrics.archive.observe(sealable, archived.segments, archived.proofs);
            Ok(())
        };
        let known = Known { confirmed: archived.segments, ..Known::default() };
        let mut keep_segments = |segments: u64| {
            archived.segments = segments;
            keep(&archived)
        };
        let (remote, shipment) =
            archiver::ship(shipped, store, known, &mut go_on, &mut keep_segments)?;
        if !self.ships.proofs {
            return Ok(Some((shipment, ProofShipment::default())));
        }
        let (done, segments) = (archived.proofs, shipment.segments);
        let mut keep_proofs = |proofs: u64| {
            archived.proofs = proofs;
            keep(&archived)?;
            if self.ships.is_required {
                hold(chain, &archived);
            }
            Ok(())
        };
        let database = chain.database();
        let proofs =
            ship_proofs(database, shipped, &remote, done, segments, &mut go_on, &mut keep_proofs)?;
        Ok(Some((shipment, proofs)))
    }

    /// Ships the next object of the tail.
    fn ship_tail(&mut self, chain: &Chain) -> Result<Option<TailShipped>, ShippingError> {
        let tail = match &mut self.tail {
            Some(tail) => tail,
            none => {
                let store = Store::open(&self.address, Access::Write)?;
                let identity = chain.identity();
                let network = NetworkId::of(identity.genesis_time, &identity.registry_root);
                let remote = Remote::of(store, network);
                none.insert(match self.ships.as_new_writer {
                    true => TailShipper::begin(remote, chain, self.writer),
                    false => TailShipper::resume(remote, chain, self.writer)?,
                })
            }
        };
        let shipped = tail.ship_next(chain)?;
        if let Some(TailShipped { sequence, blocks, bytes, .. }) = shipped {
            self.metrics.archive.tail_shipped(sequence + 1, blocks as u64, bytes);
            debug!(sequence, blocks, bytes, "Tail archived and confirmed");
        }
        Ok(shipped)
    }

    fn shipped(&self, shipment: &Shipment, proofs: &ProofShipment) {
        self.metrics.archive.shipped(shipment.bytes + proofs.bytes);
        if let Some(segment) = proofs.waits {
            info!(segment, "Proofs are not archived yet: some of this segment wait to be checked");
        }
        if shipment.put + shipment.verified > 0 {
            let Shipment { segments, put, verified, bytes, frontier } = *shipment;
            let frontier_slot = frontier.map(|block| block.slot);
            info!(segments, put, verified, bytes, frontier_slot, "Archived and confirmed");
        }
        if proofs.put + proofs.there > 0 {
            let ProofShipment { segments, put, there, proofs, absent, bytes, .. } = *proofs;
            info!(segments, put, there, proofs, absent, bytes, "Proofs archived and compared");
        }
    }

    /// Says what is held for the archive beyond the window, and what is lost of it.
    fn say_held(&self, chain: &Chain) {
        let states = chain.held_states();
        if states > 0 {
            warn!(states, "States beyond their mode are kept until the archive has them");
        }
        let held = chain.held_proofs();
        self.metrics.archive.observe_held(held.slots);
        match held {
            Held { slots: 0, .. } => {}
            Held { slots, lost: 0 } => {
                warn!(slots, "Proofs beyond their window are kept until the archive has them");
            }
            Held { lost, .. } => {
                error!(lost, "Proofs that the archive lacks are pruned: it was away for too long");
            }
        }
    }
}
