//! Between the protocol's containers and the proof scheme: which keys signed which message.

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, RejectionReason, Root,
    SignedAttestation, SignedBlock, SingleMessageAggregate, Slot, Validators,
    bytes::PUBLIC_KEY_BYTES, hash_tree_root,
};
use lamella_xmss::scheme::{Component, ProofScheme};

/// Checks the proof of the block of this root over its votes and its proposer's signature: leanSpec
/// `verify_signatures`.
///
/// # Errors
/// `EMPTY_AGGREGATION_BITS`, `VALIDATOR_INDEX_OUT_OF_RANGE`, `PROPOSER_INDEX_OUT_OF_RANGE`,
/// `INVALID_BLOCK_PROOF`, in this order.
pub fn verify_block(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    signed: &SignedBlock,
    block_root: Root,
) -> Result<(), RejectionReason> {
    let block = &signed.block;
    let mut components = Vec::with_capacity(block.attestations().len() + 1);
    for AggregatedAttestation { aggregation_bits, data } in block.attestations() {
        let public_keys = attestation_keys(validators, aggregation_bits)?;
        components.push(component(public_keys, hash_tree_root(data), data.slot));
    }
    let proposer = validators.get(block.proposer_index);
    let proposer = proposer.ok_or(RejectionReason::ProposerIndexOutOfRange)?.proposal_public_key;
    components.push(component(vec![&proposer.0], block_root, block.slot));
    scheme
        .verify_block(&components, signed.proof.proof.as_bytes())
        .map_err(|_| RejectionReason::InvalidBlockProof)
}

/// Checks of a block's proof its proposer's signature alone, which says who made the block. Under a scheme that cannot
/// tell the parts of a proof apart it says nothing.
///
/// # Errors
/// `PROPOSER_INDEX_OUT_OF_RANGE`, `INVALID_BLOCK_PROOF`.
pub fn verify_proposer(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    signed: &SignedBlock,
    block_root: Root,
) -> Result<(), RejectionReason> {
    let proposer = validators.get(signed.block.proposer_index);
    let proposer = proposer.ok_or(RejectionReason::ProposerIndexOutOfRange)?.proposal_public_key;
    let component = component(vec![&proposer.0], block_root, signed.block.slot);
    scheme
        .verify_last(&component, signed.proof.proof.as_bytes())
        .map_err(|_| RejectionReason::InvalidBlockProof)
}

/// Checks a vote's signature.
///
/// # Errors
/// `VALIDATOR_NOT_IN_STATE`, `INVALID_SIGNATURE`.
pub fn verify_vote(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    signed: &SignedAttestation,
) -> Result<(), RejectionReason> {
    let key = validators.attestation_public_key(signed.validator_index);
    let key = key.ok_or(RejectionReason::ValidatorNotInState)?;
    let component = component(vec![key], hash_tree_root(&signed.data), signed.data.slot);
    scheme
        .verify_signature(&component, &signed.signature)
        .map_err(|_| RejectionReason::InvalidSignature)
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
    let public_keys = attestation_keys(validators, &aggregate.participants);
    let public_keys = public_keys.map_err(|reason| match reason {
        RejectionReason::ValidatorIndexOutOfRange => RejectionReason::ValidatorNotInState,
        other => other,
    })?;
    scheme
        .verify_single(
            &component(public_keys, hash_tree_root(data), data.slot),
            aggregate.proof.as_bytes(),
        )
        .map_err(|_| RejectionReason::InvalidSignature)
}

/// The attestation keys of a set of validators, ascending.
pub(crate) fn attestation_keys<'a>(
    validators: &'a Validators,
    bits: &AggregationBits,
) -> Result<Vec<&'a [u8; PUBLIC_KEY_BYTES]>, RejectionReason> {
    let mut keys = Vec::with_capacity(bits.count_ones());
    for index in bits.ones() {
        let key = validators.attestation_public_key(index as u64);
        keys.push(key.ok_or(RejectionReason::ValidatorIndexOutOfRange)?);
    }
    if keys.is_empty() { Err(RejectionReason::EmptyAggregationBits) } else { Ok(keys) }
}

const fn component(
    public_keys: Vec<&[u8; PUBLIC_KEY_BYTES]>,
    message: Root,
    slot: Slot,
) -> Component<'_> {
    Component { public_keys, message: *message.as_bytes(), slot }
}
