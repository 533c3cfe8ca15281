//! Every metric of a node: what is counted when it happens, and what a scrape reads.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lamella_chain::Persisted;
use lamella_fork_choice::ForkChoice;
use lamella_network::standing::{Peer, SyncStatus};
use lamella_types::{AggregationBits, AttestationData, Block, Root, Slot, SlotClock};
use parking_lot::Mutex;
use prometheus::{Registry, TextEncoder};

use super::{
    archive::ArchiveMetrics,
    coverage::CoverageMetrics,
    duties::{TransitionMetrics, ValidatorMetrics},
    follow::FollowMetrics,
    fork_choice::ForkChoiceMetrics,
    history::HistoryMetrics,
    network::{NetworkMetrics, SignatureMetrics},
    register::{Register, gauge},
    scrub::ScrubMetrics,
    storage::{StorageMetrics, StorageSample},
    watch::WatchMetrics,
};

/// Every metric of a node. Shared by whoever has something to count.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Held by a scrape, so that two do not count peers into each other.
    scraping: Mutex<()>,
    /// Fork choice.
    pub fork_choice: ForkChoiceMetrics,
    /// Who voted.
    pub coverage: CoverageMetrics,
    /// The state transition.
    pub transition: TransitionMetrics,
    /// This node's validators.
    pub validator: ValidatorMetrics,
    /// Peers and gossip.
    pub network: NetworkMetrics,
    /// Signatures and proofs.
    pub signatures: SignatureMetrics,
    /// The store.
    pub storage: StorageMetrics,
    /// What is archived.
    pub archive: ArchiveMetrics,
    /// What is fetched of the history before a checkpoint.
    pub history: HistoryMetrics,
    /// What is followed.
    pub follow: FollowMetrics,
    /// Whole readings of the store.
    pub scrub: ScrubMetrics,
    /// What goes wrong quietly.
    pub watch: WatchMetrics,
}

/// What a scrape reads instead of being told.
#[derive(Debug)]
pub struct Scraped<'a> {
    /// The published view.
    pub view: &'a ForkChoice,
    /// The slot of the wall clock.
    pub current_slot: Slot,
    /// Whether the node aggregates.
    pub is_aggregator: bool,
    /// Whether it is catching up.
    pub sync_status: SyncStatus,
    /// Its peers.
    pub peers: &'a [Peer],
}

impl Metrics {
    /// The metrics of a node that starts now, with this many validators of its own.
    #[must_use]
    pub fn new(name: &str, version: &str, validators: usize) -> Self {
        let registry = Registry::new();
        let r = Register(&registry);
        let info = r.gauges("lean_node_info", "Node information, always 1.", &["name", "version"]);
        info.with_label_values(&[name, version]).set(1);
        let start = r.gauge("lean_node_start_time_seconds", "Unix time of the node's start.");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        start.set(gauge(now.as_secs()));
        let metrics = Self {
            fork_choice: ForkChoiceMetrics::new(&r),
            coverage: CoverageMetrics::new(&r),
            transition: TransitionMetrics::new(&r),
            validator: ValidatorMetrics::new(&r),
            network: NetworkMetrics::new(&r),
            signatures: SignatureMetrics::new(&r),
            storage: StorageMetrics::new(&r),
            archive: ArchiveMetrics::new(&r),
            history: HistoryMetrics::new(&r),
            follow: FollowMetrics::new(&r),
            scrub: ScrubMetrics::new(&r),
            watch: WatchMetrics::new(&r),
            registry,
            scraping: Mutex::new(()),
        };
        metrics.validator.count.set(gauge(validators as u64));
        metrics
    }

    /// The subnets of the network, and those that this node listens to.
    pub fn observe_subnets(&self, committee_count: u64, subnets: &[u64]) {
        self.coverage.set_committee_count(committee_count);
        self.network.committee_count.set(gauge(committee_count));
        self.network.committee_subnet.set(gauge(subnets.first().copied().unwrap_or(0)));
    }

    /// A block was imported on its own, by anyone; the check of its proof and its transition took these times. A batch
    /// has [`Metrics::observe_commit`].
    pub fn observe_import(&self, proof: Duration, transition: Duration, persisted: &Persisted) {
        let timings = &persisted.timings;
        let commit = timings.fork_choice + timings.write + timings.commit;
        self.signatures.aggregated_verification.observe(proof.as_secs_f64());
        self.signatures.aggregated_valid.inc();
        self.transition.time.observe(transition.as_secs_f64());
        self.fork_choice.block_processing.observe((proof + transition + commit).as_secs_f64());
        self.observe_commit(persisted);
    }

    /// One transaction brought blocks. [`Metrics::observe_import`] calls it.
    pub fn observe_commit(&self, persisted: &Persisted) {
        self.storage.observe_commit(persisted);
        for root in &persisted.imported {
            let block = persisted.after.get(root);
            let parent = block.and_then(|block| persisted.after.get(&block.parent_root));
            let slots = block.zip(parent).map_or(1, |(block, parent)| block.slot - parent.slot);
            self.transition.slots.inc_by(slots);
        }
        self.observe_reorg(persisted.reorg_depth as u64);
        self.observe_view(&persisted.before, &persisted.after);
    }

    /// The votes of a block that was imported, into this view.
    pub fn observe_block(&self, root: &Root, block: &Block, after: &ForkChoice) {
        let votes = block.attestations();
        let count = u32::try_from(votes.len()).unwrap_or(u32::MAX);
        self.validator.aggregated_payloads.observe(f64::from(count));
        self.transition.attestations.inc_by(count.into());
        let valid = &self.fork_choice.attestations_valid;
        valid.with_label_values(&["block"]).inc_by(count.into());
        if after.is_ancestor(root, &after.head()) {
            self.coverage.block(block);
        }
    }

    /// What a proposer of `slot` can choose from of the round before, and what it has of it besides.
    pub fn observe_proposal(&self, slot: Slot, view: &ForkChoice) {
        let is_of_round = |data: &AttestationData| data.slot + 1 == slot;
        let known = view.known_pool().iter().filter(|entry| is_of_round(&entry.data));
        let known: Vec<_> = known.map(|entry| &entry.participants).collect();
        let signed = view.signature_pool().iter().filter(|(data, _)| is_of_round(data));
        let signed = signed.flat_map(|(_, signatures)| signatures.keys().copied());
        let signed = AggregationBits::from_indices(signed).unwrap_or_default();
        self.coverage.observe("proposal_payloads", known.iter().copied());
        self.coverage.observe("proposal_gossip", [&signed]);
        self.coverage.observe("proposal_combined", known.into_iter().chain([&signed]));
    }

    /// What waits for its acceptance when this node begins to aggregate at `slot`.
    pub fn observe_aggregation(&self, slot: Slot, view: &ForkChoice) {
        let pending = view.pending_pool().iter().filter(|entry| entry.data.slot == slot);
        self.coverage.observe("aggregate_start_new", pending.map(|entry| &entry.participants));
    }

    /// An interval or accepted votes changed the view.
    pub fn observe_view(&self, before: &ForkChoice, after: &ForkChoice) {
        let (before, after) = (before.latest_finalized(), after.latest_finalized());
        let count = |result| self.fork_choice.finalizations.with_label_values(&[result]).inc();
        if after.slot > before.slot {
            count("success");
        } else if after != before && before.slot > 0 {
            count("error");
        }
    }

    /// A change of head left this many blocks behind; 0 is no reorg.
    pub fn observe_reorg(&self, depth: u64) {
        if depth > 0 {
            self.fork_choice.reorgs.inc();
            let depth = u32::try_from(depth).unwrap_or(u32::MAX);
            self.fork_choice.reorg_depth.observe(f64::from(depth));
        }
    }

    /// A gossiped vote was found to be valid or not in this time. What is too early, too late or nothing new is neither.
    pub fn observe_vote(&self, is_valid: bool, time: Duration) {
        let metrics = &self.fork_choice;
        metrics.attestation_validation.observe(time.as_secs_f64());
        let count =
            if is_valid { &metrics.attestations_valid } else { &metrics.attestations_invalid };
        count.with_label_values(&["gossip"]).inc();
    }

    /// Sizes of the store, as last read.
    pub fn observe_storage(&self, sample: &StorageSample) {
        self.storage.observe_sample(sample);
    }

    /// The text of a scrape.
    #[must_use]
    pub fn scrape(&self, now: &Scraped<'_>) -> String {
        let _scraping = self.scraping.lock();
        self.refresh(now);
        // Writing to a string does not fail.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    fn refresh(&self, now: &Scraped<'_>) {
        let (metrics, view) = (&self.fork_choice, now.view);
        let head = view.head_summary();
        let safe_target = view.get(&view.safe_target()).map_or(0, |block| block.slot);
        for (metric, value) in [
            (&metrics.head_slot, head.slot),
            (&metrics.current_slot, now.current_slot),
            (&metrics.safe_target_slot, safe_target),
            (&metrics.latest_justified_slot, view.latest_justified().slot),
            (&metrics.latest_finalized_slot, view.latest_finalized().slot),
            (&metrics.justified_slot, head.justified.slot),
            (&metrics.finalized_slot, head.finalized.slot),
            (&metrics.gossip_signatures, view.signature_pool().count() as u64),
            (&metrics.new_payloads, view.pending_pool().len() as u64),
            (&metrics.known_payloads, view.known_pool().len() as u64),
            (&self.validator.is_aggregator, u64::from(now.is_aggregator)),
            (&self.storage.chain_slots_left, SlotClock::slots_left(now.current_slot)),
        ] {
            metric.set(gauge(value));
        }
        for status in SyncStatus::ALL {
            let metric = self.network.sync_status.with_label_values(&[status.name()]);
            metric.set(i64::from(status == now.sync_status));
        }
        let (connected, mesh) = (&self.network.connected_peers, &self.network.mesh_peers);
        for gauges in [connected, mesh] {
            // A client whose last peer has left must not keep its old number.
            gauges.reset();
            gauges.with_label_values(&["unknown"]);
        }
        for peer in now.peers {
            let client = [peer.client.as_deref().unwrap_or("unknown")];
            connected.with_label_values(&client).inc();
            mesh.with_label_values(&client).add(i64::from(peer.is_in_mesh));
        }
    }
}
