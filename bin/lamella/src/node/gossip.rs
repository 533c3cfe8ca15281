//! What peers gossip: checked, kept, and judged.
//!
//! A message goes on to others only after its verdict, so garbage travels one hop. What another view of the chain
//! could make valid (an unknown block, a slot of the future) is nobody's fault and goes nowhere.
//!
//! Each message is looked at twice on the node's thread. First, what is cheap: whether it is of this time, of known
//! blocks, new. Then workers check its signatures, votes as many at once as came together; and when those hold, the
//! cheap checks are made again, on the view of then, and the message is taken.

use std::{collections::HashMap, sync::Arc, time::Instant};

use lamella_chain::PreparedBlock;
use lamella_fork_choice::{BlockStatus, Pools, Recorded};
use lamella_metrics::{Metrics, float};
use lamella_network::{
    PeerId,
    service::{Command, GossipId, GossipMessage, Verdict},
};
use lamella_types::{
    AttestationData, RejectionReason, Root, SignedAggregatedAttestation, SignedAttestation,
    SignedBlock, Validators, hash_tree_root,
};
use lamella_xmss::scheme::ProofScheme;
use tracing::{debug, error, warn};

use super::{
    Node, StoreFailure,
    gate::{FUTURE_SLOTS_MAX, Seen, VOTE_AGE_SLOTS_MAX},
    unix_ms,
    workers::Urgency,
};
use crate::{
    import::{Effort, ImportError, Imported},
    proofs::{verify_aggregate, verify_proposer, verify_votes},
};

/// Votes that one worker checks together: a few groups of lanes, so that several workers have some of a flood.
const VOTES_TOGETHER: usize = 64;

/// What became of a gossiped message.
pub(super) enum Judged {
    /// Valid, and kept as far as this node needs it.
    Accepted,
    /// Invalid.
    Rejected,
    /// Not to be judged here and now: too early, too late, of blocks unknown here, or our store is paused.
    Ignored,
    /// A block whose parent is not here.
    Orphan(Root, Arc<SignedBlock>),
    /// A vote, signed as it should be, for blocks that are not here.
    Early(GossipMessage),
}

impl Judged {
    /// What the network is told.
    pub(super) const fn verdict(&self) -> Verdict {
        match self {
            Self::Accepted => Verdict::Accept,
            Self::Rejected => Verdict::Reject,
            Self::Ignored | Self::Orphan(..) | Self::Early(_) => Verdict::Ignore,
        }
    }
}

/// A vote that was not taken, and why.
enum Refused {
    /// More blocks may make it good.
    Early,
    /// A later clock may make it good, or it says nothing new: nobody's fault.
    Useless,
    /// It is bad whatever one knows.
    Bad(RejectionReason),
}

impl From<RejectionReason> for Refused {
    fn from(reason: RejectionReason) -> Self {
        match reason {
            RejectionReason::UnknownSourceBlock
            | RejectionReason::UnknownTargetBlock
            | RejectionReason::UnknownHeadBlock => Self::Early,
            RejectionReason::AttestationTooFarInFuture => Self::Useless,
            reason => Self::Bad(reason),
        }
    }
}

/// Where a message came from, and who waits for its verdict.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// A peer; the network waits.
    Gossip(GossipId),
    /// A peer, some time ago: it was not forwarded, and nobody waits. What it is worth to us is what is left.
    Kept(PeerId),
}

impl Origin {
    const fn peer(&self) -> PeerId {
        match self {
            Self::Gossip(id) => id.peer(),
            Self::Kept(peer) => *peer,
        }
    }
}

/// Messages that are being checked.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Single votes that wait for more, to be checked together.
    votes: Vec<Vote>,
    /// Blocks with a worker, by root, each with its children that came meanwhile.
    blocks: HashMap<Root, Vec<(Origin, Arc<SignedBlock>)>>,
}

/// Children kept for a block that is being checked, and copies of it. The rest becomes sync's, as if that were not here.
const WAITING_MAX: usize = 16;

#[derive(Debug)]
struct Vote {
    origin: Origin,
    subnet: u64,
    attestation: Arc<SignedAttestation>,
    arrived: Instant,
}

impl Node {
    /// Looks at a message, and has it checked if it is worth that.
    ///
    /// # Errors
    /// A failure of our store.
    pub(super) fn gossiped(
        &mut self,
        origin: Origin,
        message: GossipMessage,
    ) -> Result<(), StoreFailure> {
        match message {
            GossipMessage::Block(block) => self.gossiped_block(origin, block),
            GossipMessage::Attestation { subnet, attestation } => {
                self.gossiped_attestation(origin, subnet, attestation);
                Ok(())
            }
            GossipMessage::Aggregate(aggregate) => {
                self.gossiped_aggregate(origin, aggregate);
                Ok(())
            }
        }
    }

    /// Tells the network the verdict, and keeps what may become good.
    fn judge(&mut self, origin: &Origin, judged: Judged) {
        if let Origin::Gossip(id) = origin {
            self.tell(Command::Verdict(id.clone(), judged.verdict()));
        }
        match judged {
            Judged::Orphan(root, block) => self.orphan(origin.peer(), root, block),
            Judged::Early(message) => self.keep_early(origin.peer(), message),
            Judged::Accepted | Judged::Rejected | Judged::Ignored => {}
        }
    }

    fn gossiped_block(
        &mut self,
        origin: Origin,
        signed: Arc<SignedBlock>,
    ) -> Result<(), StoreFailure> {
        let (slot, view) = (signed.block.slot, self.chain.fork_choice());
        let current = self.clock.current_slot(unix_ms());
        if slot > current + FUTURE_SLOTS_MAX || slot <= view.latest_finalized().slot {
            debug!(slot, peer = %origin.peer(), current, "Block ignored: not of this time");
            self.judge(&origin, Judged::Ignored);
            return Ok(());
        }
        let root = hash_tree_root(&signed.block);
        self.events.block_gossip(slot, &root);
        let is_more = self.gate.place(slot, &root) == Seen::More;
        // The root does not cover the proof: a copy's was not checked, so it goes no further.
        if view.contains(&root) || is_more {
            self.judge(&origin, Judged::Ignored);
            return Ok(());
        }
        // It waits for its parent, or for another copy of it: that one's proof may be the worse.
        let is_copy = self.in_flight.blocks.contains_key(&root);
        let awaited = if is_copy { root } else { signed.block.parent_root };
        match self.in_flight.blocks.get_mut(&awaited) {
            Some(waiting) if waiting.len() < WAITING_MAX => {
                waiting.push((origin, signed));
                return Ok(());
            }
            _ if is_copy => {
                self.judge(&origin, Judged::Ignored);
                return Ok(());
            }
            _ => {}
        }
        // The proposer's signature first: it costs one of up to 206, and only proposers may fill memory and disk.
        let (scheme, validators) = (Arc::clone(&self.scheme), self.validators.clone());
        let (block, waiting) = (Arc::clone(&signed), origin.clone());
        let check = move || verify_proposer(&*scheme, &validators, &block, root);
        let is_taken = self.later(Urgency::Block, check, move |node, verdict| {
            node.proposer_checked(origin, root, signed, verdict)
        });
        if is_taken {
            self.in_flight.blocks.insert(root, Vec::new());
        } else {
            self.judge(&waiting, Judged::Ignored);
        }
        Ok(())
    }

    fn proposer_checked(
        &mut self,
        origin: Origin,
        root: Root,
        signed: Arc<SignedBlock>,
        verdict: Result<(), RejectionReason>,
    ) -> Result<(), StoreFailure> {
        let (slot, peer) = (signed.block.slot, origin.peer());
        if let Err(reason) = verdict {
            debug!(slot, block_root = %root, %peer, %reason, "Block rejected: not its proposer's");
            return self.block_judged(&origin, root, Ok(Judged::Rejected));
        }
        let seen = self.gate.place(slot, &root);
        if self.gate.block_signed(slot, &root) {
            let proposer = signed.block.proposer_index;
            warn!(slot, proposer, block_root = %root, "A proposer signed a second block");
        }
        if seen != Seen::First {
            return self.block_judged(&origin, root, Ok(Judged::Ignored));
        }
        match self.importer.check(&root, &signed.block) {
            Ok(BlockStatus::Known) => self.block_judged(&origin, root, Ok(Judged::Accepted)),
            Ok(BlockStatus::New) => self.check_block(origin, root, signed),
            Err(refused) => {
                let judged = self.block_refused(&origin, root, signed, refused);
                self.block_judged(&origin, root, judged)
            }
        }
    }

    /// A block is not checked any more: its verdict, and what becomes of its children.
    fn block_judged(
        &mut self,
        origin: &Origin,
        root: Root,
        judged: Result<Judged, StoreFailure>,
    ) -> Result<(), StoreFailure> {
        let waiting = self.in_flight.blocks.remove(&root).unwrap_or_default();
        let (judged, failure) = split(judged);
        self.judge(origin, judged);
        failure?;
        waiting.into_iter().try_for_each(|(origin, block)| self.gossiped_block(origin, block))
    }

    fn check_block(
        &mut self,
        origin: Origin,
        root: Root,
        signed: Arc<SignedBlock>,
    ) -> Result<(), StoreFailure> {
        let (importer, block) = (self.importer.clone(), Arc::clone(&signed));
        let prepare = move || importer.prepare(&root, SignedBlock::clone(&block));
        let waiting = origin.clone();
        let is_taken = self.later(Urgency::Block, prepare, move |node, prepared| {
            node.block_checked(&origin, root, signed, prepared)
        });
        if is_taken { Ok(()) } else { self.block_judged(&waiting, root, Ok(Judged::Ignored)) }
    }

    fn block_checked(
        &mut self,
        origin: &Origin,
        root: Root,
        signed: Arc<SignedBlock>,
        prepared: Result<(PreparedBlock, Effort), ImportError>,
    ) -> Result<(), StoreFailure> {
        let imported =
            prepared.and_then(|(prepared, effort)| self.importer.finish(prepared, effort));
        let judged = match imported {
            Ok(Imported::Known(_)) => Ok(Judged::Accepted),
            Ok(Imported::New(new)) => {
                self.observe_import(&signed.block, &new);
                self.judge_early();
                Ok(Judged::Accepted)
            }
            Err(refused) => self.block_refused(origin, root, signed, refused),
        };
        self.block_judged(origin, root, judged)
    }

    /// What a block that was not imported is.
    fn block_refused(
        &mut self,
        origin: &Origin,
        root: Root,
        signed: Arc<SignedBlock>,
        refused: ImportError,
    ) -> Result<Judged, StoreFailure> {
        let (slot, peer) = (signed.block.slot, origin.peer());
        match refused {
            ImportError::Rejected { reason: RejectionReason::UnknownParentBlock, .. } => {
                Ok(Judged::Orphan(root, signed))
            }
            ImportError::Rejected { root, reason } => {
                warn!(slot, block_root = %root, %peer, %reason, "Block rejected");
                if reason == RejectionReason::InvalidBlockProof {
                    self.metrics.signatures.aggregated_invalid.inc();
                } else {
                    self.gate.block_invalid(slot, &root);
                }
                Ok(Judged::Rejected)
            }
            ImportError::Persist(failure) => {
                // Gossip does not bring it again: sync keeps it, and tries until the store can.
                self.orphan(peer, root, signed);
                Err(failure.into())
            }
            ImportError::ParentState(failure) => {
                let parent = signed.block.parent_root;
                self.parent_failed(parent, failure).map(|()| Judged::Ignored)
            }
            ImportError::Prepare(failure) => {
                error!(slot, block_root = %root, error = %failure, "Block not imported: a fault of ours");
                Ok(Judged::Ignored)
            }
        }
    }

    fn gossiped_attestation(
        &mut self,
        origin: Origin,
        subnet: u64,
        attestation: Arc<SignedAttestation>,
    ) {
        let vote = Vote { origin, subnet, attestation, arrived: Instant::now() };
        if vote.attestation.validator_index % self.committee_count != subnet {
            self.metrics.observe_vote(false, vote.arrived.elapsed());
            self.judge(&vote.origin, Judged::Rejected);
            return;
        }
        let (slot, validator) = (vote.attestation.data.slot, vote.attestation.validator_index);
        if self.gate.has_voted(slot, validator) {
            self.vote_refused(vote, Refused::Useless);
            return;
        }
        // Of votes that wait for blocks the signature is checked too: only validators may fill memory.
        match self.check_attestation(&vote.attestation) {
            Ok(()) | Err(Refused::Early) => {
                self.in_flight.votes.push(vote);
                if self.in_flight.votes.len() >= VOTES_TOGETHER {
                    self.check_votes();
                }
            }
            Err(refused) => self.vote_refused(vote, refused),
        }
    }

    /// Has the votes checked that came together.
    pub(super) fn check_votes(&mut self) {
        if self.in_flight.votes.is_empty() {
            return;
        }
        let votes = std::mem::take(&mut self.in_flight.votes);
        let origins: Vec<Origin> = votes.iter().map(|vote| vote.origin.clone()).collect();
        let (scheme, validators) = (Arc::clone(&self.scheme), self.validators.clone());
        let metrics = Arc::clone(&self.metrics);
        let check = move || {
            let attestations: Vec<_> = votes.iter().map(|vote| &*vote.attestation).collect();
            let verdicts = check_signatures(&*scheme, &validators, &attestations, &metrics);
            (votes, verdicts)
        };
        let is_taken = self.later(Urgency::Vote, check, |node, (votes, verdicts)| {
            for (vote, verdict) in votes.into_iter().zip(verdicts) {
                node.vote_checked(vote, verdict);
            }
            Ok(())
        });
        if !is_taken {
            origins.iter().for_each(|origin| self.judge(origin, Judged::Ignored));
        }
    }

    fn vote_checked(&mut self, vote: Vote, verdict: Result<(), RejectionReason>) {
        let (slot, validator) = (vote.attestation.data.slot, vote.attestation.validator_index);
        match verdict {
            // Another one came first, while this was being checked.
            Ok(()) if self.gate.has_voted(slot, validator) => {
                self.vote_refused(vote, Refused::Useless);
            }
            Ok(()) => {
                self.gate.voted(slot, validator);
                self.take_attestation(vote);
            }
            Err(reason) => self.vote_refused(vote, Refused::Bad(reason)),
        }
    }

    /// Takes a vote whose signature is good, if it is good on the view of now.
    fn take_attestation(&mut self, vote: Vote) {
        let SignedAttestation { validator_index, data, signature } = &*vote.attestation;
        if let Err(refused) = self.check_attestation(&vote.attestation) {
            self.vote_refused(vote, refused);
            return;
        }
        self.metrics.observe_vote(true, vote.arrived.elapsed());
        self.events.attestation(*validator_index, data);
        if self.facts.is_aggregator() {
            let (validator, signature) = (*validator_index, signature.as_slice().into());
            let record = |pools: &mut Pools<'_>| pools.record_signature(data, validator, signature);
            if self.chain.change_pools(record) == Recorded::Full {
                warn!(slot = data.slot, validator, "The signature pool is full: vote not kept");
            }
        }
        self.judge(&vote.origin, Judged::Accepted);
    }

    fn vote_refused(&mut self, vote: Vote, refused: Refused) {
        self.observe_refused(&refused, vote.arrived);
        let Vote { origin, subnet, attestation, .. } = vote;
        let judged = refused.judged(GossipMessage::Attestation { subnet, attestation });
        self.judge(&origin, judged);
    }

    /// Only what is bad is invalid; what may become good is counted when it is judged again.
    fn observe_refused(&self, refused: &Refused, arrived: Instant) {
        match refused {
            Refused::Bad(_) => self.metrics.observe_vote(false, arrived.elapsed()),
            Refused::Useless => self.metrics.network.gossip_ignored(),
            Refused::Early => {}
        }
    }

    /// What costs next to nothing.
    fn check_attestation(&self, signed: &SignedAttestation) -> Result<(), Refused> {
        self.check_age(&signed.data)?;
        let view = self.chain.fork_choice();
        Ok(view.check_attestation(&signed.data, signed.validator_index)?)
    }

    fn gossiped_aggregate(&mut self, origin: Origin, aggregate: Arc<SignedAggregatedAttestation>) {
        let arrived = Instant::now();
        if let Err(refused @ (Refused::Useless | Refused::Bad(_))) =
            self.check_aggregate(&aggregate)
        {
            self.aggregate_refused(&origin, aggregate, refused, arrived);
            return;
        }
        let (scheme, validators) = (Arc::clone(&self.scheme), self.validators.clone());
        let (checked, metrics) = (Arc::clone(&aggregate), Arc::clone(&self.metrics));
        let waiting = origin.clone();
        let check = move || check_proof(&*scheme, &validators, &checked, &metrics);
        let is_taken = self.later(Urgency::Vote, check, move |node, verdict| {
            match verdict {
                Ok(()) => node.take_aggregate(&origin, aggregate, arrived),
                Err(reason) => {
                    node.aggregate_refused(&origin, aggregate, Refused::Bad(reason), arrived);
                }
            }
            Ok(())
        });
        if !is_taken {
            self.judge(&waiting, Judged::Ignored);
        }
    }

    /// Takes an aggregate whose proof is good, if it is good on the view of now.
    fn take_aggregate(
        &mut self,
        origin: &Origin,
        aggregate: Arc<SignedAggregatedAttestation>,
        arrived: Instant,
    ) {
        if let Err(refused) = self.check_aggregate(&aggregate) {
            self.aggregate_refused(origin, aggregate, refused, arrived);
            return;
        }
        self.metrics.observe_vote(true, arrived.elapsed());
        self.events.aggregate(&aggregate);
        let SignedAggregatedAttestation { data, proof } = &*aggregate;
        self.metrics.coverage.aggregate(data.slot, &proof.participants);
        let kept = Arc::new(proof.clone());
        if self.chain.change_pools(|pools| pools.record_aggregate(data, kept)) == Recorded::Full {
            warn!(slot = data.slot, "The pool of votes is full: an aggregate's proof is not kept");
        }
        self.judge(origin, Judged::Accepted);
    }

    fn aggregate_refused(
        &mut self,
        origin: &Origin,
        aggregate: Arc<SignedAggregatedAttestation>,
        refused: Refused,
        arrived: Instant,
    ) {
        self.observe_refused(&refused, arrived);
        let judged = refused.judged(GossipMessage::Aggregate(aggregate));
        self.judge(origin, judged);
    }

    /// What costs next to nothing. One signature makes many valid aggregates: those that add nobody are not worth more.
    fn check_aggregate(&self, aggregate: &SignedAggregatedAttestation) -> Result<(), Refused> {
        let SignedAggregatedAttestation { data, proof } = aggregate;
        self.check_age(data)?;
        let view = self.chain.fork_choice();
        let checked = view.check_aggregate(data, &proof.participants).map_err(Refused::from);
        let pools = [view.pending_pool(), view.known_pool()];
        let adds_nobody = pools.iter().any(|pool| pool.has_all(data, &proof.participants));
        if adds_nobody { checked.and(Err(Refused::Useless)) } else { checked }
    }

    /// A vote for a head that is finalized carries no weight any more, whoever signed it; and what is old was said
    /// again since, while anyone can replay it.
    fn check_age(&self, data: &AttestationData) -> Result<(), Refused> {
        let finalized = self.chain.fork_choice().latest_finalized();
        let is_old =
            data.slot.saturating_add(VOTE_AGE_SLOTS_MAX) < self.clock.current_slot(unix_ms());
        if is_old || (data.head.slot <= finalized.slot && finalized.slot > 0) {
            Err(Refused::Useless)
        } else {
            Ok(())
        }
    }

    /// Judges again a vote that waited for blocks. Its signature was checked when it came.
    pub(super) fn judge_kept(&mut self, peer: PeerId, message: GossipMessage) {
        let (origin, arrived) = (Origin::Kept(peer), Instant::now());
        match message {
            GossipMessage::Attestation { subnet, attestation } => {
                self.take_attestation(Vote { origin, subnet, attestation, arrived });
            }
            GossipMessage::Aggregate(aggregate) => self.take_aggregate(&origin, aggregate, arrived),
            GossipMessage::Block(_) => {}
        }
    }
}

/// A failure of our store is nobody's fault.
fn split(judged: Result<Judged, StoreFailure>) -> (Judged, Result<(), StoreFailure>) {
    match judged {
        Ok(judged) => (judged, Ok(())),
        Err(failure) => (Judged::Ignored, Err(failure)),
    }
}

/// Checks the signatures of single votes, together.
fn check_signatures(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    votes: &[&SignedAttestation],
    metrics: &Metrics,
) -> Vec<Result<(), RejectionReason>> {
    let started = Instant::now();
    let verdicts = verify_votes(scheme, validators, votes);
    let each = started.elapsed().as_secs_f64() / float(votes.len().max(1));
    for verdict in &verdicts {
        metrics.signatures.verification.observe(each);
        let count =
            if verdict.is_ok() { &metrics.signatures.valid } else { &metrics.signatures.invalid };
        count.inc();
    }
    verdicts
}

fn check_proof(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    aggregate: &SignedAggregatedAttestation,
    metrics: &Metrics,
) -> Result<(), RejectionReason> {
    let metrics = &metrics.signatures;
    let timer = metrics.aggregated_verification.start_timer();
    let SignedAggregatedAttestation { data, proof } = aggregate;
    let verified = verify_aggregate(scheme, validators, data, proof);
    timer.observe_duration();
    let is_valid = verified.is_ok();
    let count = if is_valid { &metrics.aggregated_valid } else { &metrics.aggregated_invalid };
    count.inc();
    verified
}

impl Refused {
    fn judged(self, message: GossipMessage) -> Judged {
        match self {
            Self::Early => Judged::Early(message),
            Self::Useless => Judged::Ignored,
            Self::Bad(reason) => {
                let slot = message.data().map(|data| data.slot);
                debug!(slot, %reason, "Vote rejected");
                Judged::Rejected
            }
        }
    }
}
