//! The largest valid messages: their bytes on the wire, and in memory.

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody,
    MultiMessageAggregate, ProofBytes, SignedAggregatedAttestation, SignedBlock,
    SingleMessageAggregate,
    limits::{
        MAX_ATTESTATIONS_DATA, PROOF_BYTES_MAX, SIGNED_AGGREGATE_BYTES_MAX, SIGNED_BLOCK_BYTES_MAX,
        VALIDATOR_REGISTRY_LIMIT,
    },
    to_ssz,
};

#[test]
fn the_largest_valid_messages_have_exactly_the_bytes_that_are_let_through() {
    let everybody = AggregationBits::from_indices(0..VALIDATOR_REGISTRY_LIMIT as u64).unwrap();
    let proof = || ProofBytes::new(vec![1; PROOF_BYTES_MAX]).unwrap();
    let data = AttestationData::default();
    let vote = AggregatedAttestation { aggregation_bits: everybody.clone(), data };
    let body = BlockBody::new(vec![vote; MAX_ATTESTATIONS_DATA]).unwrap();
    let block = SignedBlock {
        block: Block { body, ..Block::default() },
        proof: MultiMessageAggregate { proof: proof() },
    };
    assert_eq!(to_ssz(&block).len(), SIGNED_BLOCK_BYTES_MAX);
    let proof = SingleMessageAggregate { participants: everybody, proof: proof() };
    let aggregate = SignedAggregatedAttestation { data, proof };
    assert_eq!(to_ssz(&aggregate).len(), SIGNED_AGGREGATE_BYTES_MAX);
    // In memory a block takes hardly more than on the wire.
    let memory_bytes = block.memory_bytes();
    assert!((SIGNED_BLOCK_BYTES_MAX..SIGNED_BLOCK_BYTES_MAX + 1_024).contains(&memory_bytes));
}
