//! Between the protocol's containers and the proof scheme: which keys signed which message.

use lamella_types::{
    AggregationBits, AttestationData, RejectionReason, SignedBlock, SingleMessageAggregate,
    Validators, bytes::PublicKeyBytes, hash_tree_root,
};
use lamella_xmss::scheme::{Component, ProofScheme};

/// Checks a block's proof over its votes and its proposer's signature: leanSpec `verify_signatures`.
///
/// # Errors
/// `EMPTY_AGGREGATION_BITS`, `VALIDATOR_INDEX_OUT_OF_RANGE`, `PROPOSER_INDEX_OUT_OF_RANGE`,
/// `INVALID_BLOCK_PROOF`, in this order.
pub fn verify_block(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    signed: &SignedBlock,
) -> Result<(), RejectionReason> {
    let block = &signed.block;
    let mut keys = Vec::with_capacity(block.attestations().len() + 1);
    for attestation in block.attestations() {
        let voters = attestation_keys(validators, &attestation.aggregation_bits)?;
        let message = *hash_tree_root(&attestation.data).as_bytes();
        keys.push((voters, message, attestation.data.slot));
    }
    let proposer = validators.get(block.proposer_index);
    let proposer = proposer.ok_or(RejectionReason::ProposerIndexOutOfRange)?.proposal_public_key;
    keys.push((vec![proposer], *hash_tree_root(block).as_bytes(), block.slot));
    let components: Vec<_> = keys.iter().map(component).collect();
    scheme
        .verify_block(&components, signed.proof.proof.as_bytes())
        .map_err(|_| RejectionReason::InvalidBlockProof)
}

/// Checks a gossiped aggregate against the registry of its target's state.
///
/// # Errors
/// `EMPTY_AGGREGATION_BITS`, `VALIDATOR_NOT_IN_STATE`, `INVALID_SIGNATURE`, in this order.
pub fn verify_aggregate(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    data: &AttestationData,
    aggregate: &SingleMessageAggregate,
) -> Result<(), RejectionReason> {
    let voters = attestation_keys(validators, &aggregate.participants);
    let voters = voters.map_err(|reason| match reason {
        RejectionReason::ValidatorIndexOutOfRange => RejectionReason::ValidatorNotInState,
        other => other,
    })?;
    let parts = (voters, *hash_tree_root(data).as_bytes(), data.slot);
    scheme
        .verify_single(&component(&parts), aggregate.proof.as_bytes())
        .map_err(|_| RejectionReason::InvalidSignature)
}

/// The attestation keys of a set of validators, ascending.
pub(crate) fn attestation_keys(
    validators: &Validators,
    bits: &AggregationBits,
) -> Result<Vec<PublicKeyBytes>, RejectionReason> {
    let mut keys = Vec::with_capacity(bits.count_ones());
    for index in bits.ones() {
        let key = validators.attestation_public_key(index as u64);
        keys.push(key.ok_or(RejectionReason::ValidatorIndexOutOfRange)?);
    }
    if keys.is_empty() { Err(RejectionReason::EmptyAggregationBits) } else { Ok(keys) }
}

fn component(parts: &(Vec<PublicKeyBytes>, [u8; 32], u64)) -> Component<'_> {
    let (keys, message, slot) = parts;
    Component {
        public_keys: keys.iter().map(|key| &key.0).collect(),
        message: *message,
        slot: *slot,
    }
}
