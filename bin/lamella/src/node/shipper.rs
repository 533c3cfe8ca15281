//! Shipping finalized history into an archive while the node runs.
//!
//! The hard idea: nobody waits for it. One thread of the lowest priority looks now and then whether the finalized chain has
//! a segment more than the archive was confirmed to hold, reads that in short transactions as any reader does, and asks the
//! store while no transaction is open. A store that fails stops the cursor and nothing else: it is counted, said, and tried
//! again, ever less often. History does not go from the database, so nothing is lost by waiting; block proofs do, and those
//! that the archive lacks can be held there, up to a limit.

use std::{
    io,
    ops::ControlFlow,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use lamella_chain::{Archived, Chain, Held, Progress};
use lamella_interrupt::Interrupt;
use lamella_metrics::Metrics;
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known, Shipment},
    proofs::{ProofShipment, ship_proofs},
    seal::Shipped,
    store::{Access, Store},
};
use lamella_tables::{ReadError, ReadTxn};
use lamella_types::limits::SEGMENT_ROOTS;
use tracing::{error, info, warn};

use crate::config::NodeConfig;

/// Lowest priority that a thread can have.
const NICE: i32 = 19;

/// How often it looks whether there is a segment to ship: one comes each 68 minutes on the lean network.
const LOOK: Duration = Duration::from_secs(10);

/// Wait after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Longest wait after failures.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// What is shipped besides segments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ships {
    /// Block proofs.
    proofs: bool,
    /// They are held in the database until the archive has them.
    is_required: bool,
}

impl Ships {
    pub(super) const fn of(config: &NodeConfig) -> Self {
        Self { proofs: config.archive_proofs, is_required: config.archive_required }
    }
}

/// The thread, until this is dropped: then it ends before its next transaction, or when the store has answered.
pub(super) struct Shipper {
    stop: Interrupt,
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.stop.trigger();
    }
}

impl Shipper {
    /// Starts shipping to this address.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        chain: &Arc<Chain>,
        address: String,
        ships: Ships,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let stop = Interrupt::default();
        if ships.is_required {
            // Before the first import prunes; what the archive has is asked for later.
            let known = chain.read().ok().and_then(|txn| confirmed(&txn, &address).ok());
            hold(chain, &known.unwrap_or_default());
        }
        let (told, metrics) = (stop.clone(), Arc::clone(metrics));
        // It keeps no database open that the node has closed.
        let chain = Arc::downgrade(chain);
        let shipping = Shipping { chain, address, ships, metrics, stop: told };
        thread::Builder::new().name("archiver".to_owned()).spawn(move || shipping.run())?;
        Ok(Self { stop })
    }
}

struct Shipping {
    chain: Weak<Chain>,
    address: String,
    ships: Ships,
    metrics: Arc<Metrics>,
    stop: Interrupt,
}

/// What the archive at this address was confirmed to hold.
fn confirmed(txn: &ReadTxn<'_>, address: &str) -> Result<Archived, ReadError> {
    let none = Archived { address: address.to_owned(), ..Archived::default() };
    let found = Archived::read(txn)?;
    Ok(found.filter(|archived| archived.address == address).unwrap_or(none))
}

/// Holds the proofs that the archive lacks.
fn hold(chain: &Chain, archived: &Archived) {
    chain.hold_proofs_from(archived.proofs * SEGMENT_ROOTS as u64);
}

impl Shipping {
    fn run(&self) {
        if let Err(error) = rustix::process::nice(NICE) {
            warn!(%error, "Archiving goes on at the priority of the node");
        }
        let (mut is_first, mut pause) = (true, FIRST_PAUSE);
        loop {
            let Some(chain) = self.chain.upgrade() else { return };
            let shipped = self.look(&chain, is_first);
            self.say_held(&chain);
            drop(chain);
            let wait = match shipped {
                Ok(shipment) => {
                    if let Some((shipment, proofs)) = shipment {
                        self.shipped(&shipment, &proofs);
                    }
                    (is_first, pause) = (false, FIRST_PAUSE);
                    LOOK
                }
                Err(ShippingError::Stopped) => return,
                Err(error) => {
                    self.metrics.archive.failed();
                    let seconds = pause.as_secs();
                    warn!(%error, seconds, "Not archived; the node goes on, and this is tried again");
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

    /// Ships what there is to ship. At the first look the archive is compared with what was confirmed in any case.
    fn look(
        &self,
        chain: &Chain,
        is_first: bool,
    ) -> Result<Option<(Shipment, ProofShipment)>, ShippingError> {
        let mut archived = confirmed(&chain.read()?, &self.address)?;
        let finalized = chain.fork_choice().latest_finalized().slot;
        let sealable = finalized / SEGMENT_ROOTS as u64;
        self.metrics.archive.observe(sealable, archived.segments, archived.proofs);
        let is_behind = |confirmed| sealable > confirmed;
        let lacks_proofs = self.ships.proofs && is_behind(archived.proofs);
        if !is_behind(archived.segments) && !lacks_proofs && !is_first {
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
            self.metrics.archive.observe(sealable, archived.segments, archived.proofs);
            Ok(())
        };
        let known = Known { confirmed: archived.segments };
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

    fn shipped(&self, shipment: &Shipment, proofs: &ProofShipment) {
        self.metrics.archive.succeeded(shipment.bytes + proofs.bytes);
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
