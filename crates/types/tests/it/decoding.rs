//! Decoders on bytes that nobody would write.

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, BlocksByRootRequest,
    Decode, MultiMessageAggregate, ProofBytes, SignedAggregatedAttestation, SignedBlock,
    SingleMessageAggregate, State, to_ssz,
};
use proptest::{collection::vec, prelude::*};

fn signed_block() -> SignedBlock {
    let vote = |voters: &[u64]| AggregatedAttestation {
        aggregation_bits: AggregationBits::from_indices(voters.iter().copied()).unwrap(),
        data: AttestationData::default(),
    };
    let body = BlockBody::new(vec![vote(&[0, 9]), vote(&[3]), vote(&[4095])]).unwrap();
    let proof = MultiMessageAggregate { proof: ProofBytes::new(vec![7; 300]).unwrap() };
    SignedBlock { block: Block { slot: 3, body, ..Block::default() }, proof }
}

#[test]
fn every_changed_byte_is_refused_or_gives_another_value() {
    let bytes = to_ssz(&signed_block());
    assert_eq!(SignedBlock::from_ssz(&bytes).unwrap(), signed_block());
    for position in 0..bytes.len() {
        assert!(
            SignedBlock::from_ssz(&bytes[..position]).is_ok_and(|cut| cut != signed_block())
                || SignedBlock::from_ssz(&bytes[..position]).is_err()
        );
        for flip in 0..8 {
            let mut changed = bytes.clone();
            changed[position] ^= 1 << flip;
            if let Ok(decoded) = SignedBlock::from_ssz(&changed) {
                assert_eq!(to_ssz(&decoded), changed, "byte {position}, bit {flip}");
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_reencode_if_accepted(bytes in vec(any::<u8>(), 0..700)) {
        macro_rules! check {
            ($($type:ty),+) => {$(
                if let Ok(value) = <$type>::from_ssz(&bytes) {
                    prop_assert_eq!(&to_ssz(&value), &bytes);
                }
            )+};
        }
        check!(SignedBlock, Block, BlockBody, AggregatedAttestation, SingleMessageAggregate,
            SignedAggregatedAttestation, BlocksByRootRequest, AggregationBits, AttestationData);
        if let Ok(state) = State::from_ssz(&bytes) {
            prop_assert_eq!(state.to_ssz(), bytes);
        }
    }
}

#[test]
fn an_offset_of_zero_is_not_an_empty_list() {
    // ssz_rs 0.9 reads this body as empty and drops the bytes.
    let mut bytes = 4_u32.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0; 40]);
    assert!(BlockBody::from_ssz(&bytes).is_err());
}
