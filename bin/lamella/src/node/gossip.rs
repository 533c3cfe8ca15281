//! What peers gossip: checked, kept, and judged.
//!
//! A message goes on to others only after its verdict, so garbage travels one hop. What another view of the chain
//! could make valid (an unknown block, a slot of the future) is nobody's fault and goes nowhere.

use std::{sync::Arc, time::Instant};

use lamella_fork_choice::{Pools, Recorded};
use lamella_network::{
    PeerId,
    service::{GossipMessage, Verdict},
};
use lamella_types::{
    AttestationData, RejectionReason, Root, SignedAggregatedAttestation, SignedAttestation,
    SignedBlock, hash_tree_root,
};
use tracing::{debug, error, warn};

use super::{
    Node, StoreFailure,
    gate::{FUTURE_SLOTS_MAX, Seen, VOTE_AGE_SLOTS_MAX},
    unix_ms,
};
use crate::{
    import::{ImportError, Imported},
    proofs::{verify_aggregate, verify_proposer, verify_vote},
};

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

impl Node {
    /// Judges a message, and takes what is good.
    ///
    /// # Errors
    /// A failure of our store.
    pub(super) fn gossiped(
        &mut self,
        peer: PeerId,
        message: GossipMessage,
    ) -> Result<Judged, StoreFailure> {
        match message {
            GossipMessage::Block(block) => self.gossiped_block(peer, block),
            GossipMessage::Attestation { subnet, attestation } => {
                Ok(self.gossiped_attestation(subnet, attestation))
            }
            GossipMessage::Aggregate(aggregate) => Ok(self.gossiped_aggregate(aggregate)),
        }
    }

    /// Whether a vote's validator has voted at its slot before. What waited for blocks is judged again without asking.
    pub(super) fn is_second_vote(&self, message: &GossipMessage) -> bool {
        let GossipMessage::Attestation { attestation, .. } = message else { return false };
        self.gate.has_voted(attestation.data.slot, attestation.validator_index)
    }

    fn gossiped_block(
        &mut self,
        peer: PeerId,
        signed: Arc<SignedBlock>,
    ) -> Result<Judged, StoreFailure> {
        let (slot, view) = (signed.block.slot, self.chain.fork_choice());
        let current = self.clock.current_slot(unix_ms());
        if slot > current + FUTURE_SLOTS_MAX || slot <= view.latest_finalized().slot {
            debug!(slot, %peer, current, "Block ignored: not of this time");
            return Ok(Judged::Ignored);
        }
        let root = hash_tree_root(&signed.block);
        self.events.block_gossip(slot, &root);
        let seen = self.gate.place(slot, &root);
        // The root does not cover the proof: a copy's was not checked, so it goes no further.
        if view.contains(&root) || seen == Seen::More {
            return Ok(Judged::Ignored);
        }
        // The proposer's signature first: it costs one of up to 206, and only proposers may fill memory and disk.
        if let Err(reason) = verify_proposer(&*self.scheme, &self.validators, &signed, root) {
            debug!(slot, block_root = %root, %peer, %reason, "Block rejected: not its proposer's");
            return Ok(Judged::Rejected);
        }
        if self.gate.block_signed(slot, &root) {
            let proposer = signed.block.proposer_index;
            warn!(slot, proposer, block_root = %root, "A proposer signed a second block");
        }
        if seen == Seen::Second {
            return Ok(Judged::Ignored);
        }
        if !view.contains(&signed.block.parent_root) {
            return Ok(Judged::Orphan(root, signed));
        }
        drop(view);
        match self.importer.import(SignedBlock::clone(&signed)) {
            Ok(Imported::Known(_)) => Ok(Judged::Accepted),
            Ok(Imported::New(new)) => {
                self.observe_import(&signed.block, &new);
                self.judge_early()?;
                Ok(Judged::Accepted)
            }
            Err(ImportError::Rejected { reason: RejectionReason::UnknownParentBlock, .. }) => {
                Ok(Judged::Orphan(root, signed))
            }
            Err(ImportError::Rejected { root, reason }) => {
                warn!(slot, block_root = %root, %peer, %reason, "Block rejected");
                if reason != RejectionReason::InvalidBlockProof {
                    self.gate.block_invalid(slot, &root);
                }
                Ok(Judged::Rejected)
            }
            Err(ImportError::Persist(failure)) => {
                // Gossip does not bring it again: sync keeps it, and tries until the store can.
                self.orphan(peer, root, signed);
                Err(failure.into())
            }
            Err(ImportError::ParentState(failure)) => {
                let parent = signed.block.parent_root;
                self.parent_failed(parent, failure).map(|()| Judged::Ignored)
            }
            Err(ImportError::Prepare(failure)) => {
                error!(slot, block_root = %root, error = %failure, "Block not imported: a fault of ours");
                Ok(Judged::Ignored)
            }
        }
    }

    fn gossiped_attestation(&self, subnet: u64, signed: Arc<SignedAttestation>) -> Judged {
        let SignedAttestation { validator_index, data, .. } = &*signed;
        if validator_index % self.committee_count != subnet {
            return Judged::Rejected;
        }
        let started = Instant::now();
        let view = self.chain.fork_choice();
        let checked = view.check_attestation(data, *validator_index).map_err(Refused::from);
        let checked = self.check_age(data).and(checked);
        let checked = checked_then(checked, || self.check_signature(&signed));
        self.metrics.observe_vote("gossip", checked.is_ok(), started.elapsed());
        if let Err(refused) = checked {
            let message = GossipMessage::Attestation { subnet, attestation: signed };
            return refused.judged(message);
        }
        self.events.attestation(*validator_index, data);
        if self.facts.is_aggregator() {
            let (validator, signature) = (*validator_index, signed.signature.as_slice().into());
            let record = |pools: &mut Pools<'_>| pools.record_signature(data, validator, signature);
            if self.chain.change_pools(record) == Recorded::Full {
                warn!(slot = data.slot, validator, "The signature pool is full: vote not kept");
            }
        }
        Judged::Accepted
    }

    fn check_signature(&self, signed: &SignedAttestation) -> Result<(), RejectionReason> {
        let metrics = &self.metrics.signatures;
        let timer = metrics.verification.start_timer();
        let verified = verify_vote(&*self.scheme, &self.validators, signed);
        timer.observe_duration();
        let count = if verified.is_ok() { &metrics.valid } else { &metrics.invalid };
        count.inc();
        if verified.is_ok() {
            self.gate.voted(signed.data.slot, signed.validator_index);
        }
        verified
    }

    fn gossiped_aggregate(&self, aggregate: Arc<SignedAggregatedAttestation>) -> Judged {
        let SignedAggregatedAttestation { data, proof } = &*aggregate;
        let started = Instant::now();
        let view = self.chain.fork_choice();
        let checked = view.check_aggregate(data, &proof.participants).map_err(Refused::from);
        let checked = self.check_age(data).and(checked);
        let pools = [view.pending_pool(), view.known_pool()];
        // One signature makes many valid aggregates. Those that add nobody are not worth their check.
        let adds_nobody = pools.iter().any(|pool| pool.has_all(data, &proof.participants));
        let checked = if adds_nobody { checked.and(Err(Refused::Useless)) } else { checked };
        let checked = checked_then(checked, || self.check_proof(&aggregate));
        self.metrics.observe_vote("gossip", checked.is_ok(), started.elapsed());
        if let Err(refused) = checked {
            return refused.judged(GossipMessage::Aggregate(aggregate));
        }
        self.events.aggregate(&aggregate);
        let kept = Arc::new(proof.clone());
        if self.chain.change_pools(|pools| pools.record_aggregate(data, kept)) == Recorded::Full {
            warn!(slot = data.slot, "The pool of votes is full: an aggregate's proof is not kept");
        }
        Judged::Accepted
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

    fn check_proof(&self, aggregate: &SignedAggregatedAttestation) -> Result<(), RejectionReason> {
        let metrics = &self.metrics.signatures;
        let timer = metrics.aggregated_verification.start_timer();
        let SignedAggregatedAttestation { data, proof } = aggregate;
        let verified = verify_aggregate(&*self.scheme, &self.validators, data, proof);
        timer.observe_duration();
        let is_valid = verified.is_ok();
        let count = if is_valid { &metrics.aggregated_valid } else { &metrics.aggregated_invalid };
        count.inc();
        verified
    }
}

/// Checks a signature where it is worth it: of votes that are good so far, and of those that wait for blocks, because
/// only validators may fill memory.
fn checked_then(
    checked: Result<(), Refused>,
    check: impl FnOnce() -> Result<(), RejectionReason>,
) -> Result<(), Refused> {
    match checked {
        Ok(()) => check().map_err(Refused::Bad),
        Err(Refused::Early) => check().map_err(Refused::Bad).and(Err(Refused::Early)),
        refused => refused,
    }
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
