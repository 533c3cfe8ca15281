//! What the node's validators do: propose at interval 0, attest at interval 1, aggregate at interval 2.
//!
//! Before a key signs, the slot is reserved for it on disk (G1), here; then workers build, sign and fold, and what they
//! bring back is committed and published here. A duty that fails is logged and missed; only a store that cannot be used
//! stops the node.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_chain::{Chain, PreparedBlock, Reserved};
use lamella_fork_choice::{Aggregation, Combine as _, ForkChoice, Recorded};
use lamella_metrics::Metrics;
use lamella_network::service::GossipMessage;
use lamella_network_dir::ValidatorKeys;
use lamella_state_store::StateWriteError;
use lamella_state_transition::{BlockRequest, BuiltBlock, Candidate, build_block};
use lamella_tables::{Damage, DutyKey, KeyKind};
use lamella_types::{
    AttestationData, Block, MultiMessageAggregate, ProofBytes, RejectionReason, SignedAttestation,
    SignedBlock, SingleMessageAggregate, Slot, ValidatorIndex, hash_tree_root,
    limits::INTERVALS_PER_SLOT, slot::proposer_for_slot,
};
use lamella_xmss::{SecretKey, SignError, scheme::ProofError};
use rayon::prelude::*;
use tracing::{debug, error, info, warn};

use super::{Node, StoreFailure, combine::Prover, report, workers::Urgency};
use crate::{
    heavy,
    import::{Effort, ImportError, Imported, NewBlock},
};

/// Why a block was not proposed.
#[derive(Debug, thiserror::Error)]
enum ProposalError {
    #[error(transparent)]
    Store(#[from] StoreFailure),
    #[error("cannot build: {0}")]
    Build(RejectionReason),
    #[error("not signing: {0}")]
    Guard(#[from] Damage),
    #[error("{0}")]
    GuardCopy(String),
    #[error("the proposal key of validator {0} has already signed at or after this slot")]
    AlreadySigned(ValidatorIndex),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("too much to do already")]
    Busy,
    #[error("our own block is rejected: {0}")]
    Rejected(RejectionReason),
    #[error(transparent)]
    Prepare(StateWriteError),
}

impl From<ImportError> for ProposalError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Rejected { reason, .. } => Self::Rejected(reason),
            ImportError::ParentState(failure) => Self::Store(failure.into()),
            ImportError::Persist(failure) => Self::Store(failure.into()),
            ImportError::Prepare(fault) => Self::Prepare(fault),
        }
    }
}

impl Node {
    /// The validator that proposes at `slot`, if it is one of ours.
    pub(super) fn own_proposer(&self, slot: Slot) -> Option<ValidatorIndex> {
        let view = self.chain.fork_choice();
        let proposer = proposer_for_slot(slot, view.head_summary().validator_count)?;
        // A slot that already has our head is over: proposing for it would only fork it.
        (self.keys.get(proposer).is_some() && view.head_summary().slot < slot).then_some(proposer)
    }

    /// Has the votes folded that this node aggregates, if it does.
    pub(super) fn aggregate(&mut self, slot: Slot, on_duty: bool) {
        let skipped = if !self.facts.is_aggregator() {
            Some("not_aggregator")
        } else if !self.scheme.can_sign_duties() {
            Some("cannot_prove")
        } else if !on_duty {
            Some("off_duty")
        } else {
            None
        };
        let skip = |node: &Self, reason| {
            node.metrics.validator.aggregator_skipped.with_label_values(&[reason]).inc();
        };
        if let Some(reason) = skipped {
            return skip(self, reason);
        }
        let (mut prover, started) = (self.prover(), Instant::now());
        let view = self.chain.fork_choice();
        self.metrics.observe_aggregation(slot, &view);
        let aggregation = view.start_aggregation();
        let fold = move || {
            let made: Vec<_> = aggregation.tasks.iter().map(|task| prover.combine(task)).collect();
            (aggregation, made)
        };
        let is_taken = self.later(Urgency::Duty, fold, move |node, (aggregation, made)| {
            node.folded(slot, &aggregation, made, started)
        });
        if !is_taken {
            skip(self, "busy");
            error!(slot, "Missed an aggregation: too much to do");
        }
    }

    /// Votes were folded: keeps and publishes the aggregates.
    fn folded(
        &mut self,
        slot: Slot,
        aggregation: &Aggregation,
        made: Vec<Option<SingleMessageAggregate>>,
        started: Instant,
    ) -> Result<(), StoreFailure> {
        let before = self.chain.fork_choice();
        let aggregates = self.chain.change(|view| view.finish_aggregation(aggregation, made))?;
        let elapsed = started.elapsed().as_secs_f64();
        self.metrics.fork_choice.committee_aggregation.observe(elapsed);
        self.observe_view(&before);
        for aggregate in aggregates {
            self.events.aggregate(&aggregate);
            self.metrics.coverage.aggregate(aggregate.data.slot, &aggregate.proof.participants);
            self.publish(GossipMessage::Aggregate(Arc::new(aggregate)));
        }
        self.observe_lateness("aggregate", slot * INTERVALS_PER_SLOT + 2);
        Ok(())
    }

    fn prover(&self) -> Prover {
        Prover {
            scheme: Arc::clone(&self.scheme),
            validators: self.validators.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }

    /// Has a block built, signed, and checked as anyone's is.
    ///
    /// # Errors
    /// A failure of our store.
    pub(super) fn propose(
        &mut self,
        slot: Slot,
        proposer: ValidatorIndex,
    ) -> Result<(), StoreFailure> {
        match self.start_proposal(slot, proposer) {
            Ok(()) => Ok(()),
            Err(error) => self.proposal_missed(slot, proposer, error),
        }
    }

    fn start_proposal(
        &mut self,
        slot: Slot,
        proposer: ValidatorIndex,
    ) -> Result<(), ProposalError> {
        let key = DutyKey { validator_index: proposer, kind: KeyKind::Proposal };
        // Upholds G1: durable before the signature exists.
        let reserved = self.guard.reserve(slot, &[key])?;
        if let Some(damage) = reserved.damaged.into_iter().next() {
            return Err(damage.into());
        }
        if reserved.allowed.is_empty() {
            let failure = self.guard.failure().map(|failure| failure.to_owned());
            return Err(
                failure.map_or(ProposalError::AlreadySigned(proposer), ProposalError::GuardCopy)
            );
        }
        let view = self.chain.fork_choice();
        self.metrics.observe_proposal(slot, &view);
        let proposal = Proposal {
            slot,
            proposer,
            view,
            chain: Arc::clone(&self.chain),
            keys: Arc::clone(&self.keys),
            prover: self.prover(),
        };
        let (importer, started) = (self.importer.clone(), Instant::now());
        let make = move || {
            let block = proposal.make()?;
            let building = started.elapsed();
            let root = hash_tree_root(&block.block);
            let (prepared, effort) = importer.prepare(&root, block.clone())?;
            Ok((block, prepared, building, effort))
        };
        let is_taken = self.later(Urgency::Duty, make, move |node, made| {
            node.proposed(made).or_else(|error| node.proposal_missed(slot, proposer, error))
        });
        if is_taken { Ok(()) } else { Err(ProposalError::Busy) }
    }

    /// Imports a block of ours.
    fn proposed(
        &mut self,
        made: Result<(SignedBlock, PreparedBlock, Duration, Effort), ProposalError>,
    ) -> Result<(), ProposalError> {
        let (block, prepared, building, effort) = made?;
        let slot = block.block.slot;
        self.metrics.validator.block_building.observe(building.as_secs_f64());
        match self.importer.finish(prepared, effort)? {
            Imported::New(new) => {
                self.observe_import(&block.block, &new);
                self.gate.block_signed(slot, &new.root);
                // Upholds A2: peers hear of it after its commit.
                self.publish(GossipMessage::Block(Arc::new(block)));
                self.metrics.validator.block_building_success.inc();
                self.observe_lateness("propose", slot * INTERVALS_PER_SLOT);
            }
            Imported::Known(root) => debug!(slot, block_root = %root, "Proposed a known block"),
        }
        Ok(())
    }

    fn proposal_missed(
        &self,
        slot: Slot,
        proposer: ValidatorIndex,
        error: ProposalError,
    ) -> Result<(), StoreFailure> {
        self.metrics.validator.block_building_failures.inc();
        error!(slot, proposer, %error, "Missed a proposal");
        if let ProposalError::Store(failure) = error { Err(failure) } else { Ok(()) }
    }

    /// Tells log, metrics and listeners of a block that was imported on its own.
    pub(super) fn observe_import(&mut self, block: &Block, new: &NewBlock) {
        self.pause.succeeded();
        report::imported(block.slot, block.proposer_index, block.attestations().len(), new);
        let (Effort { proof, transition }, persisted) = (new.effort, &new.persisted);
        self.metrics.observe_import(proof, transition, persisted);
        self.metrics.observe_block(&new.root, block, &persisted.after);
        self.announce(persisted);
    }

    /// Votes with every validator of ours that has not voted at this slot.
    pub(super) fn attest(&mut self, slot: Slot) -> Result<(), StoreFailure> {
        if self.keys.validators.is_empty() {
            return Ok(());
        }
        let before = self.chain.fork_choice();
        self.chain.change(|view| view.update_head())?;
        self.observe_view(&before);
        let head_slot = self.chain.fork_choice().head_summary().slot;
        if head_slot > slot {
            // A signature for it would be lost: nobody takes a vote for a head after its slot.
            warn!(slot, head_slot, "Not attesting: the head is ahead of the clock");
            return Ok(());
        }
        let Some(data) = self.chain.fork_choice().attestation_data(slot) else {
            warn!(slot, "Not attesting: the head's justified block is after the target");
            return Ok(());
        };
        let keys = self.keys.indices();
        let keys: Vec<_> = keys
            .map(|validator_index| DutyKey { validator_index, kind: KeyKind::Attestation })
            .collect();
        // Upholds G1: one durable reservation for all of them, before any signature exists.
        let started = Instant::now();
        let Reserved { allowed, damaged } = self.guard.reserve(slot, &keys)?;
        let reserve = started.elapsed();
        self.pause.succeeded();
        for damage in &damaged {
            error!(slot, %damage, "Missed an attestation");
        }
        let (keys, metrics) = (Arc::clone(&self.keys), Arc::clone(&self.metrics));
        let sign = move || sign_votes(&keys, &data, &allowed, &metrics);
        let is_taken = self.later(Urgency::Duty, sign, move |node, votes| {
            node.cast_votes(&data, votes, reserve);
            Ok(())
        });
        if !is_taken {
            error!(slot, "Missed an attestation: too much to do");
        }
        Ok(())
    }

    fn cast_votes(&self, data: &AttestationData, votes: Vec<Signed>, reserve: Duration) {
        let mut signed = 0;
        for (validator, signature) in votes {
            match signature {
                Ok(signature) => {
                    signed += 1;
                    self.cast(data, validator, signature);
                }
                Err(error) => error!(slot = data.slot, validator, %error, "Missed an attestation"),
            }
        }
        self.observe_lateness("attest", data.slot * INTERVALS_PER_SLOT + 1);
        info!(
            slot = data.slot,
            validators = signed,
            target = data.target.slot,
            source = data.source.slot,
            reserve_us = report::micros(reserve),
            "Attested"
        );
    }

    /// Our own votes take the checks that everyone's do; only an aggregator keeps them.
    fn cast(&self, data: &AttestationData, validator: ValidatorIndex, signature: Vec<u8>) {
        let checked = self.chain.fork_choice().check_attestation(data, validator);
        if let Err(reason) = checked {
            warn!(slot = data.slot, validator, %reason, "Our own vote is not acceptable");
            return;
        }
        self.events.attestation(validator, data);
        let signature: Arc<[u8]> = signature.into();
        self.publish(GossipMessage::Attestation {
            subnet: validator % self.committee_count,
            attestation: Arc::new(SignedAttestation {
                validator_index: validator,
                data: *data,
                signature: signature.to_vec(),
            }),
        });
        if self.facts.is_aggregator() {
            let recorded =
                self.chain.change_pools(|pools| pools.record_signature(data, validator, signature));
            if recorded == Recorded::Full {
                warn!(slot = data.slot, validator, "The signature pool is full: vote not kept");
            }
        }
    }
}

/// A block of ours to be made, with all that a worker needs for it.
struct Proposal {
    slot: Slot,
    proposer: ValidatorIndex,
    view: Arc<ForkChoice>,
    chain: Arc<Chain>,
    keys: Arc<ValidatorKeys>,
    prover: Prover,
}

impl Proposal {
    /// Builds and signs it. Its slot is reserved.
    fn make(self) -> Result<SignedBlock, ProposalError> {
        heavy::begins("building a block");
        let built = self.build()?;
        let keys = self.keys.get(self.proposer);
        let keys = keys.ok_or(ProposalError::AlreadySigned(self.proposer))?;
        let block = built.block;
        let signature = sign(&keys.proposer, block.slot, hash_tree_root(&block).as_bytes())?;
        let mut parts: Vec<&[u8]> = built.proofs.iter().map(|p| p.proof.as_bytes()).collect();
        parts.push(&signature);
        let merged = self.prover.scheme.merge(&parts)?;
        let too_large = ProofError::TooLarge { bytes: merged.len() };
        let proof = ProofBytes::new(merged).map_err(|_| too_large)?;
        Ok(SignedBlock { block, proof: MultiMessageAggregate { proof } })
    }

    fn build(&self) -> Result<BuiltBlock, ProposalError> {
        let view = &self.view;
        let parent_root = view.head();
        let parent = self.chain.state(&parent_root).map_err(StoreFailure::from)?;
        let parent = parent.ok_or(StoreFailure::NoHeadState(parent_root))?;
        let candidates = view.block_candidates().into_iter();
        let candidates: Vec<_> =
            candidates.map(|(data, proofs)| Candidate { data, proofs }).collect();
        let known_block = |root: &_| view.contains(root);
        let request = BlockRequest {
            slot: self.slot,
            proposer_index: self.proposer,
            parent_root,
            known_block: &known_block,
            // The proposer's signature is in the proof too.
            participants_max: self.prover.scheme.signers_max() - 1,
        };
        let mut folding = Duration::ZERO;
        let mut combine = |data: &_, proofs: &[_], voters: &_| {
            let started = Instant::now();
            let combined = self.prover.select(data, proofs, voters).map(Arc::new);
            folding += started.elapsed();
            combined
        };
        let built = build_block(&parent, &request, &candidates, &mut combine)
            .map_err(ProposalError::Build)?;
        let metrics = &self.prover.metrics.validator;
        metrics.payload_aggregation.observe(folding.as_secs_f64());
        Ok(built)
    }
}

/// A validator's signature of a vote, or why there is none.
type Signed = (ValidatorIndex, Result<Vec<u8>, SignError>);

/// Signs one vote with many keys, on all cores.
fn sign_votes(
    keys: &ValidatorKeys,
    data: &AttestationData,
    allowed: &[DutyKey],
    metrics: &Metrics,
) -> Vec<Signed> {
    heavy::begins("signing votes");
    let _production = metrics.validator.attestations_production.start_timer();
    let message = *hash_tree_root(data).as_bytes();
    let sign_one = |key: &DutyKey| {
        let validator = key.validator_index;
        let keys = keys.get(validator)?;
        let signing = metrics.signatures.signing.start_timer();
        let signature = sign(&keys.attester, data.slot, &message);
        signing.observe_duration();
        if signature.is_ok() {
            metrics.signatures.signed.inc();
        }
        Some((validator, signature))
    };
    allowed.par_iter().filter_map(sign_one).collect()
}

fn sign(key: &SecretKey, slot: Slot, message: &[u8; 32]) -> Result<Vec<u8>, SignError> {
    key.sign(slot, message).map(|signature| signature.encode())
}
