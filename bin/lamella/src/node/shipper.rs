//! Shipping finalized history into an archive while the node runs.
//!
//! The hard idea: nobody waits for it. One thread of the lowest priority looks now and then whether the finalized chain has
//! a segment more than the archive was confirmed to hold, reads that in short transactions as any reader does, and asks the
//! store while no transaction is open. A store that fails stops the cursor and nothing else: it is counted, said, and tried
//! again, ever less often. History does not go from the database, so nothing is lost by waiting.

use std::{
    io,
    ops::ControlFlow,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use lamella_chain::{Archived, Chain, Progress};
use lamella_interrupt::Interrupt;
use lamella_metrics::Metrics;
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known, Shipment},
    seal::Shipped,
    store::{Access, Store},
};
use lamella_types::limits::SEGMENT_ROOTS;
use tracing::{info, warn};

/// Lowest priority that a thread can have.
const NICE: i32 = 19;

/// How often it looks whether there is a segment to ship: one comes each 68 minutes on the lean network.
const LOOK: Duration = Duration::from_secs(10);

/// Wait after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Longest wait after failures.
const PAUSE_MAX: Duration = Duration::from_secs(600);

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
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let stop = Interrupt::default();
        // It keeps no database open that the node has closed.
        let chain = Arc::downgrade(chain);
        let shipping =
            Shipping { chain, address, metrics: Arc::clone(metrics), stop: stop.clone() };
        thread::Builder::new().name("archiver".to_owned()).spawn(move || shipping.run())?;
        Ok(Self { stop })
    }
}

struct Shipping {
    chain: Weak<Chain>,
    address: String,
    metrics: Arc<Metrics>,
    stop: Interrupt,
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
            drop(chain);
            let wait = match shipped {
                Ok(shipment) => {
                    if let Some(shipment) = shipment {
                        self.shipped(&shipment);
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
    fn look(&self, chain: &Chain, is_first: bool) -> Result<Option<Shipment>, ShippingError> {
        let confirmed = match Archived::read(&chain.read()?)? {
            Some(archived) if archived.address == self.address => archived.segments,
            _ => 0,
        };
        let finalized = chain.fork_choice().latest_finalized().slot;
        let sealable = finalized / SEGMENT_ROOTS as u64;
        self.metrics.archive.observe(sealable, confirmed);
        if sealable <= confirmed && !is_first {
            return Ok(None);
        }
        let store = Store::open(&self.address, Access::Write)?;
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        let mut go_on = |_: Progress| match self.stop.is_triggered() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let mut keep = |segments: u64| {
            let address = self.address.clone();
            chain.put_archived(&Archived { address, segments }).map_err(|error| {
                let what = format!("what was confirmed cannot be kept: {error}");
                ShippingError::NotShippable { what }
            })?;
            self.metrics.archive.observe(sealable, segments);
            Ok(())
        };
        let known = Known { confirmed };
        let shipment = archiver::ship(shipped, store, known, &mut go_on, &mut keep)?.1;
        Ok(Some(shipment))
    }

    fn shipped(&self, shipment: &Shipment) {
        self.metrics.archive.succeeded(shipment.bytes);
        if shipment.put + shipment.verified == 0 {
            return;
        }
        let Shipment { segments, put, verified, bytes, frontier } = *shipment;
        let frontier_slot = frontier.map(|block| block.slot);
        info!(segments, put, verified, bytes, frontier_slot, "Archived and confirmed");
    }
}
