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

use crate::{heavy, proofs::attestation_keys};

/// Combines by a proof scheme, with keys from one registry.
pub(super) struct Prover {
    pub(super) scheme: Arc<dyn ProofScheme>,
    pub(super) validators: Validators,
    pub(super) metrics: Arc<Metrics>,
}

impl Combine for Prover {
    fn combine(&mut self, task: &AggregationTask) -> Option<SingleMessageAggregate> {
        heavy::begins("folding votes");
        self.fold(&task.data, &task.children, &task.raw)
    }
}

impl Prover {
    /// One proof of those in `children` whom `wanted` names; `None` (with a warning) if the scheme cannot make it.
    pub(super) fn select(
        &self,
        data: &AttestationData,
        children: &[Arc<SingleMessageAggregate>],
        wanted: &AggregationBits,
    ) -> Option<SingleMessageAggregate> {
        let keys = self.keys_of(children)?;
        let participants = participants_of(children);
        let wanted: Vec<u64> = wanted.ones().map(|index| index as u64).collect();
        match self.scheme.select(&parts(children, &keys, &participants), &wanted) {
            Ok((participants, proof)) => as_aggregate(participants, proof),
            Err(error) => {
                warn!(slot = data.slot, %error, "Could not take a proof apart");
                None
            }
        }
    }

    /// One proof over everyone in `children` and `raw` whom it can hold; `None` (with a warning) if the scheme cannot
    /// make it.
    pub(super) fn fold(
        &self,
        data: &AttestationData,
        children: &[Arc<SingleMessageAggregate>],
        raw: &[(ValidatorIndex, Arc<[u8]>)],
    ) -> Option<SingleMessageAggregate> {
        let keys = self.keys_of(children)?;
        let participants = participants_of(children);
        let parts = parts(children, &keys, &participants);
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
                as_aggregate(participants, proof)
            }
            Err(error) => {
                warn!(slot = data.slot, %error, "Could not aggregate");
                None
            }
        }
    }

    fn keys_of(&self, children: &[Arc<SingleMessageAggregate>]) -> Option<Vec<Keys<'_>>> {
        let keys =
            children.iter().map(|child| attestation_keys(&self.validators, &child.participants));
        keys.collect::<Result<_, _>>().ok()
    }
}

/// Public keys of a child's participants.
type Keys<'a> = Vec<&'a [u8; PUBLIC_KEY_BYTES]>;

fn participants_of(children: &[Arc<SingleMessageAggregate>]) -> Vec<Vec<u64>> {
    let indices = |child: &Arc<SingleMessageAggregate>| {
        child.participants.ones().map(|index| index as u64).collect()
    };
    children.iter().map(indices).collect()
}

fn parts<'a>(
    children: &'a [Arc<SingleMessageAggregate>],
    keys: &'a [Keys<'_>],
    participants: &'a [Vec<u64>],
) -> Vec<Child<'a>> {
    let parts = children.iter().zip(keys).zip(participants);
    parts
        .map(|((child, public_keys), participants)| Child {
            participants,
            public_keys,
            proof: child.proof.as_bytes(),
        })
        .collect()
}

fn as_aggregate(participants: Vec<u64>, proof: Vec<u8>) -> Option<SingleMessageAggregate> {
    Some(SingleMessageAggregate {
        participants: AggregationBits::from_indices(participants)?,
        proof: ProofBytes::new(proof).ok()?,
    })
}
