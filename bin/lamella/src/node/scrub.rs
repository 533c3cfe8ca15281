//! Scrubbing: the whole store read cold while the node runs, so that rot is found while others still have what rotted.
//!
//! The hard idea: nobody waits for it. It is what `lamella db verify` does, on one thread of the lowest priority that
//! rests for most of the time, and rests only while it holds no snapshot, so no page is kept from being reused for longer
//! than any tool does. What it finds is told and counted. Rows whose bytes rotted are repaired, if they can be proven: from
//! the directory's other rows, from the archive that the node ships into, and blocks and proofs from peers, whom `mend`
//! asks. Everything else is left for `lamella db repair`, which knows that no node runs.

use std::{
    io,
    ops::ControlFlow,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use lamella_chain::{Chain, Report, invariants::PAGES_STAGE, repair::RepairReport, verify};
use lamella_interrupt::Interrupt;
use lamella_metrics::Metrics;
use lamella_tables::{Bodies, Headers, Key as _, SlotRoot, Table as _};
use parking_lot::Mutex;
use tracing::{error, info, warn};

use super::unix_ms;
use crate::{config::ScrubConfig, source};

/// Lowest priority that a thread can have.
const NICE: i32 = 19;

/// One part in so many of a core's time is used.
const SHARE: u32 = 10;

/// Longest rest between two chunks, which take four seconds at most.
const REST_MAX: Duration = Duration::from_secs(60);

/// The first reading begins after one part in so many of the time between two.
const FIRST_PART: u32 = 24;

/// Blocks that peers are asked for at most, until the next reading.
const WANTED_MAX: usize = 64;

/// Findings that are logged one by one.
const LOGGED_MAX: usize = 20;

/// Blocks whose header or body rotted, and that nobody here has: `mend` asks peers for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted(Arc<Mutex<Vec<SlotRoot>>>);

impl Wanted {
    /// The blocks.
    pub(super) fn all(&self) -> Vec<SlotRoot> {
        self.0.lock().clone()
    }

    /// This one is here, or will not come.
    pub(super) fn forget(&self, key: &SlotRoot) {
        self.0.lock().retain(|wanted| wanted != key);
    }

    fn set(&self, report: &RepairReport) {
        let is_block = |table| [Headers::NAME, Bodies::NAME].contains(&table);
        let rows = report.unrepaired.iter().filter(|row| is_block(row.table));
        let mut keys: Vec<_> = rows.filter_map(|row| SlotRoot::decode(&row.key)).collect();
        keys.dedup();
        keys.truncate(WANTED_MAX);
        *self.0.lock() = keys;
    }
}

/// The thread, until this is dropped: then it ends before its next transaction.
pub(super) struct Scrubber {
    stop: Interrupt,
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        self.stop.trigger();
    }
}

impl Scrubber {
    /// Starts to scrub.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        chain: &Arc<Chain>,
        config: ScrubConfig,
        archive: Option<String>,
        wanted: Wanted,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let stop = Interrupt::default();
        // It keeps no database open that the node has closed.
        let chain = Arc::downgrade(chain);
        let metrics = Arc::clone(metrics);
        let scrubbing = Scrubbing { chain, config, archive, wanted, metrics, stop: stop.clone() };
        thread::Builder::new().name("scrubber".to_owned()).spawn(move || scrubbing.run())?;
        Ok(Self { stop })
    }
}

struct Scrubbing {
    chain: Weak<Chain>,
    config: ScrubConfig,
    archive: Option<String>,
    wanted: Wanted,
    metrics: Arc<Metrics>,
    stop: Interrupt,
}

impl Scrubbing {
    fn run(&self) {
        if let Err(error) = rustix::process::nice(NICE) {
            warn!(%error, "Scrubbing goes on at the priority of the node");
        }
        let mut wait = self.config.every / FIRST_PART;
        while !self.stop.pause(wait) {
            let Some(chain) = self.chain.upgrade() else { return };
            self.metrics.scrub.began();
            self.scrub(&chain);
            self.metrics.scrub.ended();
            wait = self.config.every;
        }
    }

    fn scrub(&self, chain: &Chain) {
        let (began, mut worked_from) = (Instant::now(), Instant::now());
        let read = verify(chain.database(), &mut |progress| {
            // The walk over the pages holds a snapshot, between two calls too.
            let rest = match progress.stage {
                PAGES_STAGE => Duration::ZERO,
                _ => worked_from.elapsed().saturating_mul(SHARE - 1).min(REST_MAX),
            };
            let is_over = self.stop.pause(rest);
            worked_from = Instant::now();
            match is_over {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let report = match read {
            Ok(report) if report.stopped => return,
            Ok(report) => report,
            Err(error) => {
                return warn!(%error, "The store was not read whole; this is tried again");
            }
        };
        let time = began.elapsed();
        self.metrics.scrub.observe(&report, time, unix_ms() / 1000);
        let (checks, seconds) = (report.check_count(), time.as_secs());
        if report.finding_count == 0 {
            return info!(checks, seconds, "Read the whole store: nothing is wrong");
        }
        for finding in report.findings.iter().take(LOGGED_MAX) {
            error!(%finding, "Scrubbing found damage");
        }
        let findings = report.finding_count;
        error!(
            findings,
            checks, seconds, "Not all of the store is as it was written: is the disk dying?"
        );
        if self.config.repairs && !report.damaged.is_empty() {
            self.repair(chain, &report);
        }
    }

    /// Makes again what can be proven. Upholds A3: the chain commits.
    fn repair(&self, chain: &Chain, report: &Report) {
        let repaired = source::with(self.archive.as_deref(), |source| {
            chain.repair_rows(&report.damaged, source)
        });
        let repaired = match repaired {
            Ok((Ok(repaired), failures)) => {
                for error in failures {
                    warn!(error, "The archive did not give what was lost");
                }
                repaired
            }
            Ok((Err(error), _)) => return error!(%error, "Damaged rows were not repaired"),
            Err(error) => return warn!(%error, "No archive to repair from; this is tried again"),
        };
        self.metrics.scrub.repaired(&repaired);
        for row in repaired.repairs.iter().take(LOGGED_MAX) {
            warn!(%row, "Repaired");
        }
        for row in repaired.unrepaired.iter().take(LOGGED_MAX) {
            error!(%row, "Not repaired");
        }
        self.wanted.set(&repaired);
    }
}
