//! What peers gossip: checked, kept, and judged.
//!
//! A message goes on to others only after its verdict, so garbage travels one hop. What another view of the chain
//! could make valid (an unknown block, a slot of the future) is nobody's fault and goes nowhere.

use std::{sync::Arc, time::Instant};

use lamella_chain::PersistError;
use lamella_fork_choice::Recorded;
use lamella_network::{
    PeerId,
    service::{GossipMessage, Verdict},
};
use lamella_types::{
    RejectionReason, Root, SignedAggregatedAttestation, SignedAttestation, SignedBlock,
    hash_tree_root,
};
use lamella_xmss::PRODUCTION;
use tracing::{debug, error, warn};

use super::{Node, unix_ms};
use crate::{
    import::{ImportError, Imported},
    proofs::verify_aggregate,
};

/// Slots that a block may be ahead of our clock: clocks differ by less than one.
const FUTURE_SLOTS_MAX: u64 = 1;

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
}

impl Judged {
    /// What the network is told.
    pub(super) const fn verdict(&self) -> Verdict {
        match self {
            Self::Accepted => Verdict::Accept,
            Self::Rejected => Verdict::Reject,
            Self::Ignored | Self::Orphan(..) => Verdict::Ignore,
        }
    }

    /// Whose fault a refused vote is: nobody's, if more blocks or a later clock could make it good.
    const fn refused_vote(reason: RejectionReason) -> Self {
        match reason {
            RejectionReason::UnknownSourceBlock
            | RejectionReason::UnknownTargetBlock
            | RejectionReason::UnknownHeadBlock
            | RejectionReason::AttestationTooFarInFuture => Self::Ignored,
            _ => Self::Rejected,
        }
    }
}

impl Node {
    /// Judges a message, and takes what is good.
    ///
    /// # Errors
    /// A failure of our store.
    pub(super) fn gossiped(
        &self,
        peer: PeerId,
        message: GossipMessage,
    ) -> Result<Judged, PersistError> {
        match message {
            GossipMessage::Block(block) => self.gossiped_block(peer, block),
            GossipMessage::Attestation { subnet, attestation } => {
                Ok(self.gossiped_attestation(subnet, &attestation))
            }
            GossipMessage::Aggregate(aggregate) => Ok(self.gossiped_aggregate(&aggregate)),
        }
    }

    fn gossiped_block(
        &self,
        peer: PeerId,
        signed: Arc<SignedBlock>,
    ) -> Result<Judged, PersistError> {
        let (slot, root) = (signed.block.slot, hash_tree_root(&signed.block));
        self.events.block_gossip(slot, &root);
        let view = self.chain.fork_choice();
        if view.contains(&root) {
            return Ok(Judged::Accepted);
        }
        let current = self.clock.current_slot(unix_ms());
        if slot > current + FUTURE_SLOTS_MAX || slot <= view.latest_finalized().slot {
            debug!(slot, block_root = %root, %peer, current, "Block ignored: not of this time");
            return Ok(Judged::Ignored);
        }
        match self.importer.import(SignedBlock::clone(&signed)) {
            Ok(Imported::Known(_)) => Ok(Judged::Accepted),
            Ok(Imported::New(new)) => {
                self.observe_import(&signed.block, &new);
                Ok(Judged::Accepted)
            }
            Err(ImportError::Rejected { reason: RejectionReason::UnknownParentBlock, .. }) => {
                Ok(Judged::Orphan(root, signed))
            }
            Err(ImportError::Rejected { root, reason }) => {
                warn!(slot, block_root = %root, %peer, %reason, "Block rejected");
                Ok(Judged::Rejected)
            }
            Err(ImportError::Persist(failure)) => Err(failure),
            Err(failure @ (ImportError::ParentState(_) | ImportError::Prepare(_))) => {
                error!(slot, block_root = %root, error = %failure, "Block not imported: our store");
                Ok(Judged::Ignored)
            }
        }
    }

    fn gossiped_attestation(&self, subnet: u64, signed: &SignedAttestation) -> Judged {
        let SignedAttestation { validator_index, data, signature } = signed;
        if validator_index % self.committee_count != subnet {
            return Judged::Rejected;
        }
        let started = Instant::now();
        let checked = self.chain.fork_choice().check_attestation(data, *validator_index);
        let checked = checked.and_then(|()| self.check_signature(signed));
        self.metrics.observe_vote("gossip", checked.is_ok(), started.elapsed());
        if let Err(reason) = checked {
            debug!(slot = data.slot, validator = validator_index, %reason, "Vote not taken");
            return Judged::refused_vote(reason);
        }
        self.events.attestation(*validator_index, data);
        if self.facts.is_aggregator() {
            let (validator, signature) = (*validator_index, signature.as_slice().into());
            let record = |view: &mut lamella_fork_choice::ForkChoice| {
                view.record_signature(data, validator, signature)
            };
            if self.chain.change_pools(record) == Recorded::Full {
                warn!(slot = data.slot, validator, "The signature pool is full: vote not kept");
            }
        }
        Judged::Accepted
    }

    fn check_signature(&self, signed: &SignedAttestation) -> Result<(), RejectionReason> {
        let key = self.validators.attestation_public_key(signed.validator_index);
        let key = key.ok_or(RejectionReason::ValidatorNotInState)?;
        let message = hash_tree_root(&signed.data);
        let metrics = &self.metrics.signatures;
        let timer = metrics.verification.start_timer();
        let verified = lamella_xmss::verify(
            &PRODUCTION,
            key,
            signed.data.slot,
            message.as_bytes(),
            &signed.signature,
        );
        timer.observe_duration();
        let count = if verified.is_ok() { &metrics.valid } else { &metrics.invalid };
        count.inc();
        verified.map_err(|_| RejectionReason::InvalidSignature)
    }

    fn gossiped_aggregate(&self, aggregate: &SignedAggregatedAttestation) -> Judged {
        let SignedAggregatedAttestation { data, proof } = aggregate;
        let started = Instant::now();
        let checked = self.chain.fork_choice().check_aggregate(data, &proof.participants);
        let checked = checked.and_then(|()| self.check_proof(aggregate));
        self.metrics.observe_vote("gossip", checked.is_ok(), started.elapsed());
        if let Err(reason) = checked {
            debug!(slot = data.slot, %reason, "Aggregate not taken");
            return Judged::refused_vote(reason);
        }
        self.events.aggregate(aggregate);
        let proof = Arc::new(proof.clone());
        if self.chain.change_pools(|view| view.record_aggregate(data, proof)) == Recorded::Full {
            warn!(slot = data.slot, "The pool of votes is full: an aggregate's proof is not kept");
        }
        Judged::Accepted
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
