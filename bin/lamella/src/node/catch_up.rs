//! Catching up: what sync decides, done. The decisions are [`lamella_network::sync`]'s; requests go to the network,
//! blocks go through the importer, many to a transaction.
//!
//! Validators have no duties while the node is behind, or before its first peer has said where the chain is: a vote
//! for an old head helps nobody, and a block on it is a fork.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_chain::{Chain, PreparedBlock};
use lamella_fork_choice::ForkChoice;
use lamella_inspect::{LookupError, which};
use lamella_metrics::Metrics;
use lamella_network::standing::{Peer, SyncStatus};
use lamella_network::{
    PeerId,
    peers::Offence,
    requests::{RequestFailure, RequestId},
    service::{Command, PeerInfo},
    sync::{Action, BatchId, Outcome, State, Syncer, View},
};
use lamella_tables::ReadError;
use lamella_types::{
    Checkpoint, Root, SignedBlock, Slot, SlotClock, Status, Validators, hash_tree_root,
};
use lamella_xmss::scheme::ProofScheme;
use tracing::{debug, error, info, warn};

use super::{
    Node, StoreFailure,
    gate::{FUTURE_SLOTS_MAX, Seen},
    monotonic, report, unix_ms,
    workers::Urgency,
};
use crate::{
    config::NodeConfig,
    import::{BATCH_BLOCKS_MAX, ImportError},
    proofs::verify_proposer,
};

/// Slots that validators wait for a first peer's status after the start, or after the time leapt.
const FIRST_STATUS_SLOTS: u64 = 2;

/// Slots in which sync brought nothing, after which validators do not wait for it: whoever claims to be ahead has
/// nothing to show, and a network that stands still needs its validators. leanSpec's gate opens after as many.
const STALLED_SYNC_SLOTS: u64 = 8;

/// Sync, and what it needs of the node.
pub(super) struct CatchUp {
    pub(super) sync: Syncer<PeerId>,
    started: Instant,
    /// When sync last began, or brought blocks. `None` while the node is not behind.
    progressed: Option<Instant>,
    /// Longest time without any that duties wait for.
    patience: Duration,
    /// Since when validators wait for a peer's word: the start, or a leap of the time. Nobody is waited for where nobody
    /// is dialled.
    waits_since: Option<Instant>,
    /// Whether the time leapt and no peer has said since where it is.
    is_doubting: bool,
    has_gate: bool,
    last_tick: Option<Instant>,
    was: SyncStatus,
}

impl CatchUp {
    pub(super) fn new(config: &NodeConfig, chain: &Chain, clock: &SlotClock) -> Self {
        let is_alone = config.gossip.dial.is_empty();
        Self {
            sync: Syncer::new(view(&chain.fork_choice(), clock), BATCH_BLOCKS_MAX),
            started: monotonic(),
            progressed: None,
            patience: Duration::from_millis(config.slot_ms.saturating_mul(STALLED_SYNC_SLOTS)),
            waits_since: (!is_alone).then(monotonic),
            is_doubting: false,
            has_gate: config.duty_sync_gate,
            last_tick: None,
            was: SyncStatus::default(),
        }
    }

    /// An interval passed.
    pub(super) fn ticked(&mut self, metrics: &Metrics) {
        let now = monotonic();
        if let Some(last) = self.last_tick.replace(now) {
            let between = now.duration_since(last).as_secs_f64();
            metrics.fork_choice.tick_interval.observe(between);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(passed_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Node {
    /// Whether the validators may propose, vote and aggregate now.
    pub(super) fn is_on_duty(&self) -> bool {
        if !self.catch_up.has_gate {
            return true;
        }
        match self.facts.sync_status() {
            SyncStatus::Syncing => {
                let stalled = |since: Instant| passed_since(since) > self.catch_up.patience;
                self.catch_up.progressed.is_some_and(stalled)
            }
            SyncStatus::Synced if !self.catch_up.is_doubting => true,
            SyncStatus::Synced | SyncStatus::Idle => {
                let first_ms = self.clock.slot_ms().saturating_mul(FIRST_STATUS_SLOTS);
                let is_over =
                    |since: Instant| passed_since(since) >= Duration::from_millis(first_ms);
                self.catch_up.waits_since.is_none_or(is_over)
            }
        }
    }

    /// The time leapt: where the peers are now is for them to say before validators vote again.
    pub(super) fn doubt_peers(&mut self) {
        if self.catch_up.waits_since.is_none() {
            return;
        }
        self.catch_up.waits_since = Some(monotonic());
        self.catch_up.is_doubting = true;
        for info in self.network.peers().all() {
            self.tell(Command::AskStatus(info.peer));
        }
    }

    /// Does what sync wants now.
    pub(super) fn catch_up(&mut self) {
        let tree = self.chain.fork_choice();
        let (now_ms, has) = (self.catch_up.now_ms(), |root: &Root| tree.contains(root));
        self.catch_up.sync.chain(view(&tree, &self.clock));
        for peer in self.network.peers().silent() {
            self.catch_up.sync.peer_silent(peer, now_ms);
        }
        while let Some(action) = self.catch_up.sync.poll(now_ms, &has) {
            match action {
                Action::Request { request, peer, blocks } => {
                    debug!(%peer, request, ?blocks, "Asking for blocks");
                    self.tell(Command::Request { request, peer, blocks });
                }
                Action::AskStatus { peer } => self.tell(Command::AskStatus(peer)),
                Action::Penalise { peer, offence, why } => {
                    debug!(%peer, offence = offence.name(), why, "Peer penalised");
                    self.tell(Command::Penalise(peer, offence));
                }
                Action::Report(report) => warn!("Sync is stuck: {report}"),
                Action::Import { batch, blocks, .. } => self.check_run(batch, blocks),
            }
        }
        self.observe_progress();
    }

    /// A block came whose parent is not here.
    pub(super) fn orphan(&mut self, peer: PeerId, root: Root, block: Arc<SignedBlock>) {
        let (slot, tree) = (block.block.slot, self.chain.fork_choice());
        let has = |root: &Root| tree.contains(root);
        let is_kept = self.catch_up.sync.orphan(peer, root, block, &has);
        debug!(slot, block_root = %root, %peer, is_kept, "Block without its parent");
    }

    /// A peer said where it is.
    ///
    /// # Errors
    /// A failure of our store.
    pub(super) fn peer_status(&mut self, peer: PeerId, status: Status) -> Result<(), StoreFailure> {
        if self.is_of_another_chain(&status.finalized)? {
            warn!(%peer, finalized = status.finalized.slot, root = %status.finalized.root, "Peer has finalized another chain");
            self.tell(Command::Penalise(peer, Offence::WrongNetwork));
            return Ok(());
        }
        let now_ms = self.catch_up.now_ms();
        self.catch_up.sync.peer_status(peer, status, now_ms);
        self.catch_up.is_doubting = false;
        Ok(())
    }

    pub(super) fn peer_gone(&mut self, peer: PeerId) {
        let now_ms = self.catch_up.now_ms();
        self.catch_up.sync.peer_gone(peer, now_ms);
    }

    /// A request for blocks was answered, or will not be. Blocks that were asked for by root wait for their parents: only
    /// proposers may fill that memory, so their signatures are checked first, by a worker as those of gossip are.
    pub(super) fn blocks(
        &mut self,
        request: RequestId,
        outcome: Result<Vec<SignedBlock>, RequestFailure>,
    ) {
        let blocks = match outcome {
            Ok(blocks) if self.catch_up.sync.asked_root(request).is_some() => blocks,
            outcome => return self.answered(request, outcome),
        };
        let (scheme, validators) = (Arc::clone(&self.scheme), self.validators.clone());
        let check = move || signed_by_proposer(&*scheme, &validators, blocks);
        let is_taken = self.later(Urgency::Block, check, move |node, outcome| {
            node.answered(request, outcome);
            Ok(())
        });
        if !is_taken {
            // Nobody's fault: it is asked for again.
            let why = "too much to do here already".to_owned();
            self.answered(request, Err(RequestFailure::Refused(why)));
        }
    }

    /// Gives sync what a request brought.
    fn answered(&mut self, request: RequestId, outcome: Result<Vec<SignedBlock>, RequestFailure>) {
        // Of a range nobody has checked who signed it.
        if let Ok([signed]) = outcome.as_deref()
            && self.catch_up.sync.asked_root(request).is_some()
            && self.is_second(signed)
            && self.catch_up.sync.decline_claimed(request)
        {
            let (slot, proposer) = (signed.block.slot, signed.block.proposer_index);
            return debug!(slot, proposer, "Second block of a proposer: not taken on one word");
        }
        let (now_ms, tree) = (self.catch_up.now_ms(), self.chain.fork_choice());
        self.catch_up.sync.response(request, outcome, now_ms, &|root: &Root| tree.contains(root));
    }

    /// Whether the proposer of this block has signed another one for the slot before.
    fn is_second(&self, signed: &SignedBlock) -> bool {
        let (slot, root) = (signed.block.slot, hash_tree_root(&signed.block));
        let is_second = self.gate.place(slot, &root) != Seen::First;
        self.gate.block_signed(slot, &root);
        is_second
    }

    /// Has a run checked by a worker. Until it is imported sync offers no other.
    fn check_run(&mut self, batch: BatchId, blocks: Vec<Arc<SignedBlock>>) {
        let (importer, started) = (self.importer.clone(), Instant::now());
        let run: Vec<Arc<SignedBlock>> = blocks.clone();
        let prepare = move || {
            importer.prepare_batch(run.iter().map(|block| SignedBlock::clone(block)).collect())
        };
        let is_taken = self.later(Urgency::Background, prepare, move |node, prepared| {
            node.import_run(batch, &blocks, prepared, started)
        });
        if !is_taken {
            let now_ms = self.catch_up.now_ms();
            self.catch_up.sync.imported(batch, Outcome::Paused, now_ms);
        }
    }

    fn import_run(
        &mut self,
        batch: BatchId,
        blocks: &[Arc<SignedBlock>],
        prepared: Result<Vec<PreparedBlock>, ImportError>,
        started: Instant,
    ) -> Result<(), StoreFailure> {
        let mut failed = None;
        let imported = prepared.and_then(|prepared| self.importer.finish_batch(prepared));
        let outcome = match imported {
            Ok(None) => Outcome::Known,
            Ok(Some(persisted)) => {
                report::imported_run(&persisted, started.elapsed());
                self.audit = self.audit.more();
                self.catch_up.progressed = Some(monotonic());
                self.pause.succeeded();
                self.metrics.observe_commit(&persisted);
                // What was here already comes first.
                let new = blocks.iter().rev().take(persisted.imported.len()).rev();
                for (block, root) in new.zip(&persisted.imported) {
                    self.metrics.observe_block(root, &block.block, &persisted.after);
                    self.gate.block_signed(block.block.slot, root);
                }
                self.announce(&persisted);
                Outcome::Imported
            }
            Err(ImportError::Rejected { root, reason }) => {
                warn!(block_root = %root, %reason, "Block rejected");
                let is_it = |block: &Arc<SignedBlock>| hash_tree_root(&block.block) == root;
                let index = blocks.iter().position(is_it).unwrap_or(0);
                Outcome::Rejected { index, reason }
            }
            Err(ImportError::Persist(failure)) => {
                failed = Some(failure.into());
                Outcome::Paused
            }
            Err(ImportError::ParentState(failure)) => {
                let parent = blocks.first().map(|block| block.block.parent_root);
                failed = self.parent_failed(parent.unwrap_or_default(), failure).err();
                Outcome::Paused
            }
            Err(ImportError::Prepare(failure)) => {
                error!(error = %failure, "Blocks not imported: a fault of ours");
                Outcome::Paused
            }
        };
        let now_ms = self.catch_up.now_ms();
        self.catch_up.sync.imported(batch, outcome, now_ms);
        failed.map_or(Ok(()), Err)?;
        self.judge_early();
        Ok(())
    }

    /// Whether a peer has finalized what our chain does not have at a slot that we have finalized too.
    fn is_of_another_chain(&self, theirs: &Checkpoint) -> Result<bool, StoreFailure> {
        let ours = self.chain.fork_choice().latest_finalized();
        // Some clients say the zero root before anything is finalized.
        if theirs.slot > ours.slot || theirs.root == Root::default() {
            return Ok(false);
        }
        let read = || which::contradicts(&self.chain.read()?, theirs);
        match read() {
            Err(LookupError::Read(ReadError::Engine(error))) => Err(ReadError::from(error).into()),
            Err(error) => {
                error!(%error, slot = theirs.slot, "Cannot compare a peer's chain with ours");
                Ok(false)
            }
            Ok(contradicts) => Ok(contradicts),
        }
    }

    /// Tells the API and the log how far behind the node is.
    fn observe_progress(&mut self) {
        let (status, behind) = match self.catch_up.sync.state() {
            State::Idle => (SyncStatus::Idle, 0),
            State::Synced => (SyncStatus::Synced, 0),
            State::Syncing { head, target } => (SyncStatus::Syncing, target.saturating_sub(head)),
        };
        let was = std::mem::replace(&mut self.catch_up.was, status);
        if status == SyncStatus::Syncing {
            self.catch_up.progressed.get_or_insert_with(monotonic);
        } else {
            self.catch_up.progressed = None;
        }
        if was != status {
            self.facts.set_sync_status(status);
            info!(from = was.name(), to = status.name(), behind, "Sync");
        }
    }

    /// Tells the API and the metrics who is connected, and the log of peers who say that our clock is wrong.
    pub(super) fn observe_peers(&self, slot: Slot) {
        let peers = self.network.peers().all();
        let is_ahead = |info: &&PeerInfo| {
            info.status
                .is_some_and(|status| status.head.slot > slot.saturating_add(FUTURE_SLOTS_MAX))
        };
        let ahead = peers.iter().filter(is_ahead).count();
        self.metrics.watch.observe_peers_ahead(ahead);
        let before = self.facts.standing().peers_ahead;
        self.facts.tell(|standing| standing.peers_ahead = ahead);
        if ahead > 0 && before == 0 {
            warn!(
                slot,
                peers_ahead = ahead,
                peers = peers.len(),
                "Peers have heads after the slot of our clock: it is behind, or --slot-ms is not theirs, or they lie"
            );
        }
        let peers = peers.into_iter().map(|info| Peer {
            peer_id: info.peer.to_string(),
            address: info.address.to_string(),
            direction: info.direction.name(),
            client: info.agent.as_deref().map(client_name),
            head_slot: info.status.map(|status| status.head.slot),
            finalized_slot: info.status.map(|status| status.finalized.slot),
            is_in_mesh: info.is_in_mesh,
        });
        self.facts.set_peers(peers.collect());
    }
}

fn passed_since(instant: Instant) -> Duration {
    monotonic().saturating_duration_since(instant)
}

/// These blocks, if their proposers signed them.
fn signed_by_proposer(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    blocks: Vec<SignedBlock>,
) -> Result<Vec<SignedBlock>, RequestFailure> {
    let is_signed = |signed: &SignedBlock| {
        let root = hash_tree_root(&signed.block);
        verify_proposer(scheme, validators, signed, root).is_ok()
    };
    if blocks.iter().all(is_signed) {
        Ok(blocks)
    } else {
        let what = "a block that its proposer did not sign";
        Err(RequestFailure::Misbehaved(what.to_owned()))
    }
}

fn view(tree: &ForkChoice, clock: &SlotClock) -> View {
    View {
        head: tree.head_summary().checkpoint(),
        finalized: tree.latest_finalized(),
        current_slot: clock.current_slot(unix_ms()),
    }
}

/// `lamella/v0.1.0/x86_64-linux` is `lamella`.
fn client_name(agent: &str) -> String {
    agent.split(['/', ' ']).next().unwrap_or_default().to_lowercase()
}
