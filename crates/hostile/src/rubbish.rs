//! Messages that nobody honest makes, each as large as its kind can be.

use lamella_network::wire::snappy::compress_block;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint,
    MultiMessageAggregate, ProofBytes, Root, SignedAggregatedAttestation, SignedBlock,
    SingleMessageAggregate, Slot,
    limits::{MAX_ATTESTATIONS_DATA, PROOF_BYTES_MAX, VALIDATOR_REGISTRY_LIMIT},
    to_ssz,
};

/// Slots ahead of a clock from which on no clock is to blame.
const FAR_FUTURE_SLOTS: Slot = 1 << 40;

/// Bytes that a bomb unpacks to: twenty times what any message has, from half a MB packed.
const BOMB_BYTES: usize = 10 << 20;

/// The root of nothing that there is, one for each number.
#[must_use]
pub fn root(number: u64) -> Root {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Root::new(bytes)
}

/// A block that nobody signed, with so many votes of a whole registry of 4,096 and the largest proof.
#[must_use]
pub fn block(slot: Slot, proposer_index: u64, number: u64, votes: usize) -> SignedBlock {
    let vote = AggregatedAttestation {
        aggregation_bits: AggregationBits::zeros(VALIDATOR_REGISTRY_LIMIT),
        data: AttestationData { slot: number, ..AttestationData::default() },
    };
    // So many fit a body as a registry has validators, and no more are asked for.
    let body = BlockBody::new(vec![vote; votes]).unwrap_or_default();
    let block = Block { slot, proposer_index, parent_root: root(7), body, ..Block::default() };
    SignedBlock { block, proof: MultiMessageAggregate { proof: no_proof() } }
}

/// The SSZ of the block that once took gigabytes: 3.2 MB of votes of a far future, which pack to 157 KB. The number of
/// those sent makes each another one.
#[derive(Debug, Clone)]
pub struct FarFuture(Vec<u8>);

impl Default for FarFuture {
    fn default() -> Self {
        Self(to_ssz(&block(u64::MAX, 0, 0, VALIDATOR_REGISTRY_LIMIT)))
    }
}

impl FarFuture {
    /// One more of them, packed.
    #[must_use]
    pub fn packed(&mut self, number: u64) -> Vec<u8> {
        // The slot stands behind the two offsets of a signed block.
        self.0[8..16].copy_from_slice(&(FAR_FUTURE_SLOTS + number).to_le_bytes());
        compress_block(&self.0).unwrap_or_default()
    }
}

/// A block of now as large as one can be, by a proposer that did not sign it.
#[must_use]
pub fn forged_block(slot: Slot, validators: u64, number: u64) -> Vec<u8> {
    let proposer = slot.checked_rem(validators).unwrap_or_default();
    to_ssz(&block(slot, proposer, number, MAX_ATTESTATIONS_DATA))
}

/// An aggregate of now as large as one can be, that nobody signed.
#[must_use]
pub fn forged_aggregate(slot: Slot, validators: u64, number: u64) -> Vec<u8> {
    let head = Checkpoint { root: root(number), slot };
    let data = AttestationData { slot, head, ..AttestationData::default() };
    let participants = AggregationBits::from_indices(0..validators).unwrap_or_default();
    let proof = SingleMessageAggregate { participants, proof: no_proof() };
    to_ssz(&SignedAggregatedAttestation { data, proof })
}

/// Bytes that are no message: not even snappy, snappy of no SSZ, a message cut, a bomb that announces itself, and one
/// that lies about it.
#[must_use]
pub fn undecodable(number: u64) -> Vec<u8> {
    let text = number.to_le_bytes();
    let packed = || compress_block(&text.repeat(40)).unwrap_or_default();
    match number % 5 {
        0 => [&[0xff; 100], &text[..]].concat(),
        1 => packed(),
        2 => packed()[1..].to_vec(),
        3 => bomb(number),
        _ => {
            let mut bomb = bomb(number);
            // The length in front says a few bytes.
            bomb.splice(..4, [8]);
            bomb
        }
    }
}

fn bomb(number: u64) -> Vec<u8> {
    let mut zeros = vec![0; BOMB_BYTES];
    zeros[..8].copy_from_slice(&number.to_le_bytes());
    compress_block(&zeros).unwrap_or_default()
}

fn no_proof() -> ProofBytes {
    ProofBytes::new(vec![0; PROOF_BYTES_MAX]).unwrap_or_default()
}
