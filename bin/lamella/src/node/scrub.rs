//! Scrubbing: the whole store read cold while the node runs, so that rot is found while others still have what rotted.
//!
//! The hard idea: nobody waits for it. It is what `lamella db verify` does, on one thread of the lowest priority that
//! rests for nine tenths of the time: between chunks of rows, when it holds no snapshot, and in the walk over the pages,
//! which holds one, for two minutes in all, so that the file grows little. Where that walk is given up the rows are read
//! all the same, and a reading that fails is counted and tried again soon. What it finds is told and counted. Rows whose
//! bytes rotted are repaired, if they can be proven: from the directory's other rows, from the archive that the node ships
//! into, and blocks and proofs from peers, whom `mend` asks. Everything else is left for `lamella db repair`, which knows that no node runs.

use std::{
    io,
    ops::ControlFlow,
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use lamella_chain::{
    Chain, Progress, Report, invariants::PAGES_STAGE, repair::RepairReport, verify, verify_rows,
};
use lamella_http_api::{Events, Scrubbed};
use lamella_interrupt::Interrupt;
use lamella_metrics::Metrics;
use lamella_tables::{Bodies, EngineError, Headers, Key as _, SlotRoot, Table as _};
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

/// Longest rests in one walk over the pages, which holds a snapshot and is given up after ten minutes: at 0.2 MB a slot of 4 s
/// the file grows by 6 MB meanwhile.
const PAGES_REST_MAX: Duration = Duration::from_secs(120);

/// A reading should have ended after so many times between two, or has not.
const OVERDUE: u32 = 2;

/// The first reading, and the next after one that failed, begins after one part in so many of the time between two.
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
        events: &Events,
    ) -> io::Result<Self> {
        let stop = Interrupt::default();
        // It keeps no database open that the node has closed.
        let chain = Arc::downgrade(chain);
        let (metrics, events, stops) = (Arc::clone(metrics), events.clone(), stop.clone());
        let scrubbing = Scrubbing { chain, config, archive, wanted, metrics, events, stop: stops };
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
    events: Events,
    stop: Interrupt,
}

impl Scrubbing {
    fn run(&self) {
        if let Err(error) = rustix::process::nice(NICE) {
            warn!(%error, "Scrubbing goes on at the priority of the node");
        }
        self.due();
        let mut wait = self.config.every / FIRST_PART;
        while !self.stop.pause(wait) {
            let Some(chain) = self.chain.upgrade() else { return };
            self.metrics.scrub.began();
            let has_ended = self.scrub(&chain);
            self.metrics.scrub.ended();
            wait = if has_ended { self.config.every } else { self.config.every / FIRST_PART };
        }
    }

    fn due(&self) {
        self.metrics.scrub.due(unix_ms() / 1000 + (OVERDUE * self.config.every).as_secs());
    }

    /// Whether every row was read, with the pages or without: what takes too long would take too long again in an hour.
    fn scrub(&self, chain: &Chain) -> bool {
        let began = Instant::now();
        let (report, is_whole) = match self.read(chain) {
            Ok((report, _)) if report.stopped => return false,
            Ok(read) => read,
            Err(error) => {
                self.metrics.scrub.failed();
                warn!(%error, "The store was not read whole; this is tried again");
                return false;
            }
        };
        let time = began.elapsed();
        self.metrics.scrub.observe(&report);
        if is_whole {
            self.metrics.scrub.read_whole(time, unix_ms() / 1000);
            self.due();
        }
        let (checks, seconds, findings) =
            (report.check_count(), time.as_secs(), report.finding_count);
        for finding in report.findings.iter().take(LOGGED_MAX) {
            error!(%finding, "Scrubbing found damage");
        }
        let repaired = match findings {
            0 if is_whole => {
                info!(checks, seconds, "Read the whole store: nothing is wrong");
                None
            }
            0 => None,
            _ => {
                error!(
                    findings,
                    checks,
                    seconds,
                    "Not all of the store is as it was written: is the disk dying?"
                );
                let repairs = self.config.repairs && !report.damaged.is_empty();
                repairs.then(|| self.repair(chain, &report)).flatten()
            }
        };
        let (repaired_rows, unrepaired_rows) = repaired.map_or_else(
            || (0, report.damaged.len() as u64),
            |repaired| (repaired.row_count(), repaired.unrepaired_count),
        );
        let scrubbed = Scrubbed { is_whole, checks, findings, repaired_rows, unrepaired_rows };
        self.events.scrubbed(&scrubbed);
        true
    }

    /// Reads pages and rows, or the rows alone where the pages take too long; whether it was both.
    fn read(&self, chain: &Chain) -> Result<(Report, bool), EngineError> {
        let mut rests = Rests { worked_from: Instant::now(), of_pages: Duration::ZERO };
        let mut go_on = |progress: Progress| match self.stop.pause(rests.due(progress.stage)) {
            true => ControlFlow::Break(()),
            false => {
                rests.worked_from = Instant::now();
                ControlFlow::Continue(())
            }
        };
        match verify(chain.database(), &mut go_on) {
            Err(error) if error.is_given_up() => {
                self.metrics.scrub.failed();
                warn!(%error, "The pages were not all read; the rows are");
                Ok((verify_rows(chain.database(), &mut go_on)?, false))
            }
            read => Ok((read?, true)),
        }
    }

    /// Makes again what can be proven. Upholds A3: the chain commits.
    fn repair(&self, chain: &Chain, report: &Report) -> Option<RepairReport> {
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
            Ok((Err(error), _)) => {
                error!(%error, "Damaged rows were not repaired");
                return None;
            }
            Err(error) => {
                warn!(%error, "No archive to repair from; this is tried again");
                return None;
            }
        };
        self.metrics.scrub.repaired(&repaired);
        for row in repaired.repairs.iter().take(LOGGED_MAX) {
            warn!(%row, "Repaired");
        }
        for row in repaired.unrepaired.iter().take(LOGGED_MAX) {
            error!(%row, "Not repaired");
        }
        self.wanted.set(&repaired);
        Some(repaired)
    }
}

/// Rests that keep a reading to its share of a core.
struct Rests {
    worked_from: Instant,
    /// Rests so far in the walk over the pages.
    of_pages: Duration,
}

impl Rests {
    /// What the work since the last rest has earned.
    fn due(&mut self, stage: &str) -> Duration {
        let rest = self.worked_from.elapsed().saturating_mul(SHARE - 1).min(REST_MAX);
        if stage != PAGES_STAGE {
            return rest;
        }
        let rest = rest.min(PAGES_REST_MAX.saturating_sub(self.of_pages));
        self.of_pages += rest;
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_over_the_pages_rests_nine_tenths_of_the_time_and_two_minutes_in_all() {
        let worked = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let mut rests = Rests { worked_from: worked(2), of_pages: Duration::ZERO };
        let first = rests.due(PAGES_STAGE);
        assert!(first >= Duration::from_secs(18) && first < REST_MAX, "{first:?}");
        let all: Duration = (0..20)
            .map(|_| {
                rests.worked_from = worked(2);
                rests.due(PAGES_STAGE)
            })
            .sum();
        assert_eq!(first + all, PAGES_REST_MAX);
        rests.worked_from = worked(600);
        assert_eq!(rests.due("rows"), REST_MAX, "who holds no snapshot rests on");
    }
}
