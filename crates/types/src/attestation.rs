//! Votes: leanSpec `containers/checkpoint.py` and `containers/attestation.py`.

use ssz_rs::prelude::*;

use crate::{
    bits::BitList,
    bytes::ProofBytes,
    decode::{Decode, DecodeError, Fields},
    glue::fixed_container,
    history::BlockHashes,
    limits::VALIDATOR_REGISTRY_LIMIT,
    root::Root,
    slot::{Slot, ValidatorIndex},
};

/// Which validators of the registry took part.
pub type AggregationBits = BitList<VALIDATOR_REGISTRY_LIMIT>;

/// A block root and its slot. `[root: 32 | slot: u64 LE]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, SimpleSerialize)]
pub struct Checkpoint {
    /// Root of the checkpoint's block.
    pub root: Root,
    /// Slot of the checkpoint's block.
    pub slot: Slot,
}
fixed_container!(Checkpoint, 40);

impl Checkpoint {
    /// The later of two checkpoints, keeping this one on a tie.
    #[must_use]
    pub const fn advance_to(self, candidate: Self) -> Self {
        if candidate.slot > self.slot { candidate } else { self }
    }
}

/// What a validator votes for. `[slot: u64 LE | head: 40 | target: 40 | source: 40]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, SimpleSerialize)]
pub struct AttestationData {
    /// Slot the attestation is made for.
    pub slot: Slot,
    /// Head block as observed by the validator.
    pub head: Checkpoint,
    /// Block to justify.
    pub target: Checkpoint,
    /// Justified block that the vote builds on.
    pub source: Checkpoint,
}
fixed_container!(AttestationData, 128);

impl AttestationData {
    /// Whether source, target and head are non-zero and are `history`'s roots at their slots.
    #[must_use]
    pub fn lies_on_chain(&self, history: &BlockHashes) -> bool {
        [self.source, self.target, self.head].iter().all(|checkpoint| {
            !checkpoint.root.is_zero() && history.get(checkpoint.slot) == Some(checkpoint.root)
        })
    }
}

/// One validator's vote. `[validator_index: u64 LE | data: 128]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, SimpleSerialize)]
pub struct Attestation {
    /// The voter.
    pub validator_index: ValidatorIndex,
    /// The vote.
    pub data: AttestationData,
}
fixed_container!(Attestation, 136);

/// A vote with its signature: `[validator_index: u64 LE | data: 128 | signature]`, 2,536 signature bytes in the
/// production scheme. The signature stays opaque here; its root is the signature scheme's business.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignedAttestation {
    /// The voter.
    pub validator_index: ValidatorIndex,
    /// The vote.
    pub data: AttestationData,
    /// SSZ bytes of the XMSS signature.
    pub signature: Vec<u8>,
}

impl SignedAttestation {
    /// The value that these bytes encode in a scheme with signatures of `signature_bytes`.
    ///
    /// # Errors
    /// Any other length.
    pub fn from_ssz(bytes: &[u8], signature_bytes: usize) -> Result<Self, DecodeError> {
        let fixed = Attestation::SSZ_BYTES;
        let expected = fixed + signature_bytes;
        let bytes = crate::decode::exact("SignedAttestation", bytes, expected)?;
        let Attestation { validator_index, data } = Attestation::from_ssz(&bytes[..fixed])?;
        Ok(Self { validator_index, data, signature: bytes[fixed..].to_vec() })
    }

    /// The SSZ encoding.
    #[must_use]
    pub fn to_ssz(&self) -> Vec<u8> {
        let vote = Attestation { validator_index: self.validator_index, data: self.data };
        let mut bytes = crate::to_ssz(&vote);
        bytes.extend_from_slice(&self.signature);
        bytes
    }
}

/// One vote shared by many validators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, SimpleSerialize)]
pub struct AggregatedAttestation {
    /// The voters.
    pub aggregation_bits: AggregationBits,
    /// Their vote.
    pub data: AttestationData,
}

impl Decode for AggregatedAttestation {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new("AggregatedAttestation", bytes, 132)?;
        fields.offset()?;
        let data = AttestationData::from_ssz(fields.take(AttestationData::SSZ_BYTES))?;
        let [bits] = fields.parts();
        Ok(Self { aggregation_bits: AggregationBits::from_ssz(bits)?, data })
    }
}

/// A proof that each participant signed one vote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, SimpleSerialize)]
pub struct SingleMessageAggregate {
    /// The signers.
    pub participants: AggregationBits,
    /// Bytes that only the proof scheme reads.
    pub proof: ProofBytes,
}

impl Decode for SingleMessageAggregate {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new("SingleMessageAggregate", bytes, 8)?;
        fields.offset()?;
        fields.offset()?;
        let [participants, proof] = fields.parts();
        let participants = AggregationBits::from_ssz(participants)?;
        Ok(Self { participants, proof: ProofBytes::from_ssz(proof)? })
    }
}

/// The block-level proof over every body attestation and the proposer's signature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, SimpleSerialize)]
pub struct MultiMessageAggregate {
    /// Bytes that only the proof scheme reads.
    pub proof: ProofBytes,
}

impl Decode for MultiMessageAggregate {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new("MultiMessageAggregate", bytes, 4)?;
        fields.offset()?;
        let [proof] = fields.parts();
        Ok(Self { proof: ProofBytes::from_ssz(proof)? })
    }
}

/// An aggregate as it is gossiped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, SimpleSerialize)]
pub struct SignedAggregatedAttestation {
    /// The vote.
    pub data: AttestationData,
    /// Its signers and their proof.
    pub proof: SingleMessageAggregate,
}

impl Decode for SignedAggregatedAttestation {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new("SignedAggregatedAttestation", bytes, 132)?;
        let data = AttestationData::from_ssz(fields.take(AttestationData::SSZ_BYTES))?;
        fields.offset()?;
        let [proof] = fields.parts();
        Ok(Self { data, proof: SingleMessageAggregate::from_ssz(proof)? })
    }
}
