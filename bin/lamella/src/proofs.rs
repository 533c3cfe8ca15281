//! Between the protocol's containers and the proof scheme: which keys signed which message.

use std::sync::Arc;

use lamella_fork_choice::BlockVote;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, ProofBytes, RejectionReason, Root,
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

/// The votes of a block whose proof was checked, each with its part of the proof. Where the scheme cannot take a proof
/// apart they have none, and count as what the proposer vouched for: the transition counts them on the same word.
pub fn block_votes(scheme: &dyn ProofScheme, signed: &SignedBlock) -> Vec<BlockVote> {
    let attestations = signed.block.attestations();
    let signers = attestations.iter().map(|attestation| attestation.aggregation_bits.count_ones());
    let signers: Vec<usize> = signers.chain([1]).collect();
    let parts = scheme.split(&signers, signed.proof.proof.as_bytes()).unwrap_or_default();
    let mut parts = parts.into_iter().map(|part| ProofBytes::new(part).ok());
    let vote = |AggregatedAttestation { aggregation_bits, data }: &AggregatedAttestation| {
        let aggregate = parts.next().flatten().map(|proof| {
            let participants = aggregation_bits.clone();
            Arc::new(SingleMessageAggregate { participants, proof })
        });
        BlockVote { data: *data, voters: aggregation_bits.clone(), proof: aggregate }
    };
    attestations.iter().map(vote).collect()
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

#[cfg(test)]
mod tests {
    use lamella_types::{
        Block, BlockBody, MultiMessageAggregate, PublicKeyBytes, Validator, ValidatorIndex,
    };
    use lamella_xmss::{
        KeyPair, TEST, generate,
        scheme::{Raw, Trust},
    };

    use super::*;

    const RAW: Raw = Raw { parameters: &TEST, verified: None };

    /// A block of slot 5 by validator 1 with two votes, and the registry.
    fn block() -> (SignedBlock, Validators) {
        let keys: Vec<KeyPair> =
            (0..4).map(|seed| generate(&TEST, &[seed; 32], 0, 256, &|_| ()).unwrap()).collect();
        let validators = keys.iter().zip(0..).map(|(key, index): (_, ValidatorIndex)| Validator {
            attestation_public_key: PublicKeyBytes(key.public_key.encode()),
            proposal_public_key: PublicKeyBytes(key.public_key.encode()),
            index,
        });
        let validators = Validators::new(&validators.collect::<Vec<_>>()).unwrap();
        let vote = |slot, voters: &[u64]| AggregatedAttestation {
            aggregation_bits: AggregationBits::from_indices(voters.iter().copied()).unwrap(),
            data: AttestationData { slot, ..AttestationData::default() },
        };
        let votes = vec![vote(3, &[0, 2, 3]), vote(4, &[1, 2])];
        let sign = |voter: usize, slot, root: Root| {
            keys[voter].secret_key.sign(slot, root.as_bytes()).unwrap().encode()
        };
        let mut proof: Vec<u8> = Vec::new();
        for vote in &votes {
            let root = hash_tree_root(&vote.data);
            proof.extend(
                vote.aggregation_bits.ones().flat_map(|voter| sign(voter, vote.data.slot, root)),
            );
        }
        let body = BlockBody::new(votes).unwrap();
        let block = Block { slot: 5, proposer_index: 1, body, ..Block::default() };
        proof.extend(sign(1, 5, hash_tree_root(&block)));
        let proof = MultiMessageAggregate { proof: ProofBytes::new(proof).unwrap() };
        (SignedBlock { block, proof }, validators)
    }

    #[test]
    fn each_vote_of_a_block_is_proven_by_its_part_of_the_blocks_proof() {
        let (signed, validators) = block();
        verify_block(&RAW, &validators, &signed, hash_tree_root(&signed.block)).unwrap();
        let votes = block_votes(&RAW, &signed);
        assert_eq!(votes.len(), 2);
        for (vote, attestation) in votes.iter().zip(signed.block.attestations()) {
            assert_eq!(
                (vote.data, &vote.voters),
                (attestation.data, &attestation.aggregation_bits)
            );
            let proof = vote.proof.as_ref().unwrap();
            assert_eq!(proof.participants, vote.voters);
            assert_eq!(verify_aggregate(&RAW, &validators, &vote.data, proof), Ok(()));
        }
    }

    #[test]
    fn votes_of_a_proof_taken_on_trust_count_without_one() {
        let (signed, _) = block();
        let votes = block_votes(&Trust, &signed);
        let voters: Vec<_> = votes.iter().map(|vote| vote.voters.count_ones()).collect();
        assert_eq!(voters, [3, 2]);
        assert!(votes.iter().all(|vote| vote.proof.is_none()));
    }
}
