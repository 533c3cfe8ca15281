//! The prover of an aggregating node: folds signatures and child proofs into one proof for each vote.

use std::sync::Arc;

use lamella_fork_choice::{AggregationTask, Combine};
use lamella_metrics::Metrics;
use lamella_types::{
    AggregationBits, AttestationData, ProofBytes, SingleMessageAggregate, ValidatorIndex,
    Validators, bytes::PUBLIC_KEY_BYTES, hash_tree_root,
};
use lamella_xmss::scheme::{Child, ProofScheme, RawSignature};
use tracing::warn;

use crate::proofs::attestation_keys;

/// Combines by a proof scheme, with keys from one registry.
pub(super) struct Prover {
    pub(super) scheme: Arc<dyn ProofScheme>,
    pub(super) validators: Validators,
    pub(super) metrics: Arc<Metrics>,
}

impl Combine for Prover {
    fn combine(&mut self, task: &AggregationTask) -> Option<SingleMessageAggregate> {
        self.fold(&task.data, &task.children, &task.raw)
    }
}

impl Prover {
    /// One proof over everyone in `children` and `raw`; `None` (with a warning) if the scheme cannot make it.
    pub(super) fn fold(
        &self,
        data: &AttestationData,
        children: &[Arc<SingleMessageAggregate>],
        raw: &[(ValidatorIndex, Arc<[u8]>)],
    ) -> Option<SingleMessageAggregate> {
        let child_keys: Vec<Vec<&[u8; PUBLIC_KEY_BYTES]>> = children
            .iter()
            .map(|child| attestation_keys(&self.validators, &child.participants))
            .collect::<Result<_, _>>()
            .ok()?;
        let participants: Vec<Vec<u64>> = children
            .iter()
            .map(|child| child.participants.ones().map(|index| index as u64).collect())
            .collect();
        let parts = children.iter().zip(&child_keys).zip(&participants);
        let parts: Vec<_> = parts
            .map(|((child, public_keys), participants)| Child {
                participants,
                public_keys,
                proof: child.proof.as_bytes(),
            })
            .collect();
        let raw_keys = raw.iter().map(|(index, _)| self.validators.get(*index));
        let raw_keys: Vec<_> = raw_keys.collect::<Option<Vec<_>>>()?;
        let raw: Vec<_> = raw
            .iter()
            .zip(&raw_keys)
            .map(|((validator_index, signature), validator)| RawSignature {
                validator_index: *validator_index,
                public_key: &validator.attestation_public_key.0,
                signature,
            })
            .collect();
        let message = hash_tree_root(data);
        let metrics = &self.metrics.signatures;
        let building = metrics.aggregated_building.start_timer();
        let made = self.scheme.aggregate(&parts, &raw, message.as_bytes(), data.slot);
        building.observe_duration();
        match made {
            Ok((participants, proof)) => {
                metrics.aggregated.inc();
                metrics.aggregated_attestations.inc_by(participants.len() as u64);
                Some(SingleMessageAggregate {
                    participants: AggregationBits::from_indices(participants)?,
                    proof: ProofBytes::new(proof).ok()?,
                })
            }
            Err(error) => {
                warn!(slot = data.slot, %error, "Could not aggregate");
                None
            }
        }
    }
}
