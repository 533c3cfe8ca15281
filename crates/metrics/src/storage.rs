//! `lean_table_bytes`, and the storage metrics that leanMetrics does not have: `lean_storage_*`.

use std::time::Duration;

use lamella_chain::{Chain, Persisted, Timings, states_floor};
use lamella_state_store::CacheStats;
use lamella_tables::{DatabaseStats, EngineError, Read as _, TableStats, trees};
use lamella_types::Slot;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::register::{Register, STORAGE, gauge};

/// Steps of a commit: label `phase`.
const PHASES: [&str; 3] = ["fork_choice", "write", "commit"];

/// Sizes that cost more than a scrape may: read every few seconds.
#[derive(Debug, Clone)]
pub struct StorageSample {
    tables: Vec<TableStats>,
    database: DatabaseStats,
    cache: CacheStats,
    /// `None` if the row that says it is damaged.
    states_floor: Option<Slot>,
}

impl StorageSample {
    /// Reads them from a chain.
    ///
    /// # Errors
    /// When the engine fails.
    ///
    /// # Cost
    /// One page a table in one short transaction, and the whole free list.
    pub fn read(chain: &Chain) -> Result<Self, EngineError> {
        // First the readers, of which this sample is one afterwards.
        let database = chain.database().stats()?;
        let txn = chain.read()?;
        let (tables, states_floor) = (txn.table_stats()?, states_floor(&txn).ok());
        Ok(Self { tables, database, cache: chain.states().cache_stats(), states_floor })
    }
}

/// What the store does and holds.
#[derive(Debug)]
pub struct StorageMetrics {
    table_bytes: IntGaugeVec,
    table_rows: IntGaugeVec,
    file_bytes: IntGauge,
    used_bytes: IntGauge,
    page_bytes: IntGauge,
    free_pages: IntGauge,
    last_transaction: IntGauge,
    open_readers: IntGauge,
    oldest_reader_age: IntGauge,
    cache_states: IntGauge,
    cache_bytes: IntGauge,
    cache_segments: IntGauge,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
    cold_reads: IntCounter,
    cold_read_rows: IntCounter,
    commit_seconds: HistogramVec,
    pruned_rows: IntCounterVec,
    signature_floor: IntGauge,
    state_floor: IntGauge,
    pub(super) chain_slots_left: IntGauge,
    read_seconds: Histogram,
    corrupt_reads: IntCounter,
    refused_reads: IntCounter,
}

impl StorageMetrics {
    pub(super) fn new(r: &Register<'_>) -> Self {
        let gauge = |tail: &str, help: &str| r.gauge(&format!("lean_storage_{tail}"), help);
        let counter =
            |tail: &str, help: &str| r.counter(&format!("lean_storage_{tail}_total"), help);
        let (table_bytes, table_rows) = tables(r);
        Self {
            table_bytes,
            table_rows,
            file_bytes: gauge("file_bytes", "Bytes of the database file."),
            used_bytes: gauge("used_bytes", "Bytes up to the last page in use."),
            page_bytes: gauge("page_bytes", "Bytes of a page."),
            free_pages: gauge("free_pages", "Pages on the free list, to be used again."),
            last_transaction: gauge("last_transaction", "Number of the last commit."),
            open_readers: gauge("open_readers", "Read transactions of this process now open."),
            oldest_reader_age: gauge(
                "oldest_reader_age_milliseconds",
                "Age of the oldest open read transaction; no page that it sees is reused.",
            ),
            cache_states: gauge("cache_states", "States in the cache."),
            cache_bytes: gauge("cache_bytes", "Bytes of cached states that are not shared."),
            cache_segments: gauge("cache_segments", "History segments of 32 KiB in the cache."),
            cache_hits: counter("cache_hits", "States read from the cache."),
            cache_misses: counter("cache_misses", "States not found in the cache."),
            cold_reads: counter("cold_reads", "States put together from a diff."),
            cold_read_rows: counter(
                "cold_read_rows",
                "Rows replayed for cold reads: earlier diffs and canonical roots.",
            ),
            commit_seconds: r.histograms(
                "lean_storage_commit_seconds",
                "Time of an import's transaction: fork choice on a copy, writing rows, commit.",
                STORAGE,
                "phase",
                &PHASES,
            ),
            pruned_rows: r.counters(
                "lean_storage_pruned_rows_total",
                "Rows pruned by imports.",
                "table",
                &["Signatures", "live tree", "states"],
            ),
            signature_floor: gauge("signature_floor_slot", "Proofs below this slot may be pruned."),
            state_floor: gauge(
                "state_floor_slot",
                "States below this slot are pruned; 0 if all are kept.",
            ),
            chain_slots_left: gauge(
                "chain_slots_left",
                "Slots until no block can follow: states hold 2^18 slots of history.",
            ),
            read_seconds: r.histogram(
                "lean_storage_read_seconds",
                "Time that an HTTP request's read took, its transaction included.",
                STORAGE,
            ),
            corrupt_reads: counter("corrupt_reads", "HTTP requests that met damage."),
            refused_reads: counter("refused_reads", "HTTP requests refused: too many at once."),
        }
    }

    pub(super) fn observe_commit(&self, persisted: &Persisted) {
        let Timings { fork_choice, write, commit } = persisted.timings;
        for (phase, time) in PHASES.into_iter().zip([fork_choice, write, commit]) {
            self.commit_seconds.with_label_values(&[phase]).observe(time.as_secs_f64());
        }
        let rows = |table| self.pruned_rows.with_label_values(&[table]);
        rows("live tree").inc_by(persisted.pruned_nodes as u64);
        if let Ok(step) = &persisted.pruned_signatures {
            rows("Signatures").inc_by(step.deleted as u64);
            self.signature_floor.set(gauge(step.floor.key.slot));
        }
        if let Ok(step) = &persisted.pruned_states {
            rows("states").inc_by(step.deleted);
        }
    }

    /// A read of the HTTP API is over.
    pub fn observe_read(&self, time: Duration) {
        self.read_seconds.observe(time.as_secs_f64());
    }

    /// A read of the HTTP API met damage.
    pub fn count_corrupt_read(&self) {
        self.corrupt_reads.inc();
    }

    /// A read of the HTTP API was refused.
    pub fn count_refused_read(&self) {
        self.refused_reads.inc();
    }

    pub(super) fn observe_sample(&self, sample: &StorageSample) {
        for table in &sample.tables {
            self.table_bytes.with_label_values(&[table.name]).set(gauge(table.bytes));
            self.table_rows.with_label_values(&[table.name]).set(gauge(table.rows));
        }
        let StorageSample { database, cache, .. } = sample;
        if let Some(floor) = sample.states_floor {
            self.state_floor.set(gauge(floor));
        }
        let age_ms = u64::try_from(database.oldest_read.as_millis()).unwrap_or(u64::MAX);
        for (metric, value) in [
            (&self.file_bytes, database.file_bytes),
            (&self.used_bytes, database.used_bytes),
            (&self.page_bytes, database.page_bytes),
            (&self.free_pages, database.free_pages),
            (&self.last_transaction, database.last_transaction),
            (&self.open_readers, database.open_reads),
            (&self.oldest_reader_age, age_ms),
            (&self.cache_states, cache.states as u64),
            (&self.cache_bytes, cache.state_bytes as u64),
            (&self.cache_segments, cache.segments as u64),
        ] {
            metric.set(gauge(value));
        }
        for (metric, total) in [
            (&self.cache_hits, cache.hits),
            (&self.cache_misses, cache.misses),
            (&self.cold_reads, cache.replays),
            (&self.cold_read_rows, cache.replayed_rows),
        ] {
            // The store counts; the metric catches up. Only one task samples.
            metric.inc_by(total.saturating_sub(metric.get()));
        }
    }
}

/// Bytes and rows, at zero for every table.
fn tables(r: &Register<'_>) -> (IntGaugeVec, IntGaugeVec) {
    let bytes = r.gauges("lean_table_bytes", "Bytes of a table's pages.", &["table"]);
    let rows = r.gauges("lean_storage_table_rows", "Rows of a table.", &["table"]);
    for tree in trees() {
        bytes.with_label_values(&[tree]);
        rows.with_label_values(&[tree]);
    }
    (bytes, rows)
}
