//! What the first bytes of a gossiped message say, read where they lie.
//!
//! Slot, proposer and voter stand at fixed places in the SSZ of every message, so most rubbish is recognised before
//! anything is decoded, hashed or kept for it. A glance proves nothing: whoever looks on decodes and checks the whole.

use lamella_types::{Root, Slot, ValidatorIndex};

use crate::wire::topic::TopicKind;

/// Where the parts of a signed block begin: two offsets, then the block.
const BLOCK_START: usize = 8;

/// Where the votes of a block begin, counted from the block: its fixed part and the body's offset.
const VOTES_START: usize = 84 + 4;

/// What a message claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// A block.
    Block {
        /// Its slot.
        slot: Slot,
        /// Its proposer.
        proposer_index: ValidatorIndex,
        /// Its parent.
        parent_root: Root,
        /// Votes in its body.
        votes: usize,
    },
    /// A validator's vote.
    Vote {
        /// Its slot.
        slot: Slot,
        /// The voter.
        validator_index: ValidatorIndex,
        /// The subnet that it came on.
        subnet: u64,
    },
    /// An aggregate of votes.
    Aggregate {
        /// Their slot.
        slot: Slot,
    },
}

/// Whether a message is worth its decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It is.
    Reading,
    /// Not here and now: too early, too late, or nothing new. Nobody's fault.
    Nothing,
    /// It is valid for nobody, and this is why.
    Never(&'static str),
}

impl Glance {
    /// What this SSZ claims to be; `None` if it is too short for it.
    #[must_use]
    pub fn at(kind: TopicKind, ssz: &[u8]) -> Option<Self> {
        match kind {
            TopicKind::Block => {
                let block = ssz.get(BLOCK_START..)?;
                let proof_start = usize::try_from(word::<4>(ssz, 4)?).ok()?;
                // The offset of the first vote says how many there are.
                let has_votes = proof_start > BLOCK_START + VOTES_START;
                let votes = if has_votes { word::<4>(block, VOTES_START)? / 4 } else { 0 };
                Some(Self::Block {
                    slot: word::<8>(block, 0)?,
                    proposer_index: word::<8>(block, 8)?,
                    parent_root: Root::from_slice(block.get(16..48)?)?,
                    votes: usize::try_from(votes).ok()?,
                })
            }
            TopicKind::Attestation { subnet } => {
                let (validator_index, slot) = (word::<8>(ssz, 0)?, word::<8>(ssz, 8)?);
                Some(Self::Vote { slot, validator_index, subnet })
            }
            TopicKind::Aggregation => Some(Self::Aggregate { slot: word::<8>(ssz, 0)? }),
        }
    }
}

/// The little-endian number of `N` bytes, at most eight, at this place.
fn word<const N: usize>(bytes: &[u8], start: usize) -> Option<u64> {
    let bytes = bytes.get(start..)?.first_chunk::<N>()?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use lamella_types::{
        AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody,
        SignedAggregatedAttestation, SignedAttestation, SignedBlock, to_ssz,
    };

    use super::*;

    #[test]
    fn a_glance_reads_what_decoding_would_and_survives_every_cut() {
        let vote = AggregatedAttestation {
            aggregation_bits: AggregationBits::from_indices([3]).unwrap(),
            data: AttestationData::default(),
        };
        for votes in [0, 1, 9] {
            let (parent_root, body) =
                (Root::new([7; 32]), BlockBody::new(vec![vote.clone(); votes]).unwrap());
            let block =
                Block { slot: 300, proposer_index: 5, parent_root, body, ..Block::default() };
            let ssz = to_ssz(&SignedBlock { block, ..SignedBlock::default() });
            let seen = Glance::Block { slot: 300, proposer_index: 5, parent_root, votes };
            assert_eq!(Glance::at(TopicKind::Block, &ssz), Some(seen));
            for end in 0..ssz.len() {
                let _ = Glance::at(TopicKind::Block, &ssz[..end]);
            }
        }
        let data = AttestationData { slot: u64::MAX, ..AttestationData::default() };
        let vote = SignedAttestation { validator_index: 9, data, signature: vec![1; 8] };
        assert_eq!(
            Glance::at(TopicKind::Attestation { subnet: 2 }, &vote.to_ssz()),
            Some(Glance::Vote { slot: u64::MAX, validator_index: 9, subnet: 2 })
        );
        let aggregate = SignedAggregatedAttestation { data, ..Default::default() };
        assert_eq!(
            Glance::at(TopicKind::Aggregation, &to_ssz(&aggregate)),
            Some(Glance::Aggregate { slot: u64::MAX })
        );
        assert_eq!(Glance::at(TopicKind::Aggregation, &[1; 7]), None);
    }
}
