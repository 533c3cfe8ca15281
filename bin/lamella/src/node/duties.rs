//! What the node's validators do: propose at interval 0, attest at interval 1, aggregate at interval 2.
//!
//! Before a key signs, the slot is reserved for it on disk (G1). A duty that fails is logged and missed; only a store
//! that cannot be used stops the node.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lamella_chain::Reserved;
use lamella_fork_choice::Recorded;
use lamella_inspect::served::Change;
use lamella_network::service::GossipMessage;
use lamella_state_store::StateWriteError;
use lamella_state_transition::{BlockRequest, Candidate, build_block};
use lamella_tables::{Damage, DutyKey, KeyKind};
use lamella_types::{
    AttestationData, Block, MultiMessageAggregate, ProofBytes, RejectionReason, SignedAttestation,
    SignedBlock, SingleMessageAggregate, Slot, ValidatorIndex, hash_tree_root,
    slot::proposer_for_slot,
};
use lamella_xmss::{SecretKey, SignError, scheme::ProofError};
use tracing::{debug, error, info, warn};

use super::{Node, StoreFailure, combine::Prover, report, unix_ms};
use crate::import::{ImportError, Imported, NewBlock};

/// Why a block was not proposed.
#[derive(Debug, thiserror::Error)]
enum ProposalError {
    #[error(transparent)]
    Store(#[from] StoreFailure),
    #[error("cannot build: {0}")]
    Build(RejectionReason),
    #[error("not signing: {0}")]
    Guard(#[from] Damage),
    #[error("the proposal key of validator {0} has already signed at or after this slot")]
    AlreadySigned(ValidatorIndex),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error(transparent)]
    Proof(#[from] ProofError),
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

    /// The prover for interval 2, if this node aggregates.
    pub(super) fn prover(&self, on_duty: bool) -> Option<Prover> {
        let skipped = |reason| {
            self.metrics.validator.aggregator_skipped.with_label_values(&[reason]).inc();
            None
        };
        if !self.facts.is_aggregator() {
            return skipped("not_aggregator");
        }
        if !self.scheme.can_sign_duties() {
            return skipped("cannot_prove");
        }
        if !on_duty {
            return skipped("off_duty");
        }
        Some(self.any_prover())
    }

    fn any_prover(&self) -> Prover {
        Prover {
            scheme: Arc::clone(&self.scheme),
            validators: self.validators.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }

    /// Builds, signs and imports a block, through the same path as anyone's.
    ///
    /// # Errors
    /// A failure of our store.
    pub(super) fn propose(
        &mut self,
        slot: Slot,
        proposer: ValidatorIndex,
    ) -> Result<(), StoreFailure> {
        let timer = self.metrics.validator.block_building.start_timer();
        let built = self.signed_proposal(slot, proposer);
        timer.observe_duration();
        let outcome = built.and_then(|block| {
            let block = Arc::new(block);
            let imported = self.importer.import(SignedBlock::clone(&block))?;
            Ok((block, imported))
        });
        match outcome {
            Ok((block, Imported::New(new))) => {
                self.observe_import(&block.block, &new);
                self.gate.block_signed(slot, &new.root);
                // Upholds A2: peers hear of it after its commit.
                self.publish(GossipMessage::Block(block));
                self.metrics.validator.block_building_success.inc();
            }
            Ok((_, Imported::Known(root))) => {
                debug!(slot, block_root = %root, "Proposed a known block")
            }
            Err(error) => {
                self.metrics.validator.block_building_failures.inc();
                error!(slot, proposer, %error, "Missed a proposal");
                if let ProposalError::Store(failure) = error {
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// Tells log, metrics and listeners of a block that was imported on its own.
    pub(super) fn observe_import(&mut self, block: &Block, new: &NewBlock) {
        self.pause.succeeded();
        report::imported(block.slot, block.proposer_index, block.attestations().len(), new);
        self.metrics.observe_import(new.transition, &new.persisted);
        self.metrics.observe_block(block);
        let current = self.clock.current_slot(unix_ms());
        self.events.changed(&self.served(), &Change::of_import(&new.persisted), current);
    }

    fn signed_proposal(
        &mut self,
        slot: Slot,
        proposer: ValidatorIndex,
    ) -> Result<SignedBlock, ProposalError> {
        let view = self.chain.fork_choice();
        let parent_root = view.head();
        let parent = self.chain.state(&parent_root).map_err(StoreFailure::from)?;
        let parent = parent.ok_or(StoreFailure::NoHeadState(parent_root))?;
        let candidates = view.block_candidates().into_iter();
        let candidates: Vec<_> =
            candidates.map(|(data, proofs)| Candidate { data, proofs }).collect();
        let known_block = |root: &_| view.contains(root);
        let request = BlockRequest {
            slot,
            proposer_index: proposer,
            parent_root,
            known_block: &known_block,
            // The proposer's signature is in the proof too.
            participants_max: self.scheme.signers_max() - 1,
        };
        let prover = self.any_prover();
        let mut folding = Duration::ZERO;
        let mut combine = |data: &_, proofs: &[_], voters: &_| {
            let started = Instant::now();
            let combined = prover.select(data, proofs, voters).map(Arc::new);
            folding += started.elapsed();
            combined
        };
        let built = build_block(&parent, &request, &candidates, &mut combine)
            .map_err(ProposalError::Build)?;
        self.metrics.validator.payload_aggregation.observe(folding.as_secs_f64());
        self.sign_block(built.block, proposer, &built.proofs)
    }

    fn sign_block(
        &mut self,
        block: Block,
        proposer: ValidatorIndex,
        proofs: &[Arc<SingleMessageAggregate>],
    ) -> Result<SignedBlock, ProposalError> {
        let key = DutyKey { validator_index: proposer, kind: KeyKind::Proposal };
        // Upholds G1: durable before the signature exists.
        let reserved = self.guard.reserve(block.slot, &[key])?;
        if let Some(damage) = reserved.damaged.into_iter().next() {
            return Err(damage.into());
        }
        let (Some(keys), false) = (self.keys.get(proposer), reserved.allowed.is_empty()) else {
            return Err(ProposalError::AlreadySigned(proposer));
        };
        let signature = sign(&keys.proposer, block.slot, hash_tree_root(&block).as_bytes())?;
        let mut parts: Vec<&[u8]> = proofs.iter().map(|proof| proof.proof.as_bytes()).collect();
        parts.push(&signature);
        let merged = self.scheme.merge(&parts)?;
        let too_large = ProofError::TooLarge { bytes: merged.len() };
        let proof = ProofBytes::new(merged).map_err(|_| too_large)?;
        Ok(SignedBlock { block, proof: MultiMessageAggregate { proof } })
    }

    /// Votes with every validator of ours that has not voted at this slot.
    pub(super) fn attest(&mut self, slot: Slot) -> Result<(), StoreFailure> {
        if self.keys.validators.is_empty() {
            return Ok(());
        }
        let before = self.chain.fork_choice();
        self.chain.change(|view| view.update_head())?;
        self.observe_view(&before);
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
        self.sign_votes(&data, &allowed, reserve);
        Ok(())
    }

    fn sign_votes(&self, data: &AttestationData, allowed: &[DutyKey], reserve: Duration) {
        let metrics = &self.metrics.signatures;
        let _production = self.metrics.validator.attestations_production.start_timer();
        let message = *hash_tree_root(data).as_bytes();
        let mut signed = 0;
        for DutyKey { validator_index, .. } in allowed {
            let Some(keys) = self.keys.get(*validator_index) else { continue };
            let signing = metrics.signing.start_timer();
            let signature = sign(&keys.attester, data.slot, &message);
            signing.observe_duration();
            match signature {
                Ok(signature) => {
                    signed += 1;
                    metrics.signed.inc();
                    self.cast(data, *validator_index, signature);
                }
                Err(error) => {
                    error!(slot = data.slot, validator = validator_index, %error, "Missed an attestation");
                }
            }
        }
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

fn sign(key: &SecretKey, slot: Slot, message: &[u8; 32]) -> Result<Vec<u8>, SignError> {
    key.sign(slot, message).map(|signature| signature.encode())
}
