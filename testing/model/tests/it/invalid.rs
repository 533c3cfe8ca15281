//! Blocks that must be refused, each with leanSpec's reason.

use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, RejectionReason,
    Root, SignedBlock, limits::HISTORICAL_ROOTS_LIMIT,
};

use crate::{
    blocks::{Blocks, sealed, sign},
    random::Random,
};

/// The kinds of [`invalid_block`].
pub const KINDS: u64 = 10;

/// An invalid child of a known block, and what it must be refused for.
pub fn invalid_block(
    random: &mut Random,
    blocks: &Blocks,
    parent: Root,
    kind: u64,
) -> (SignedBlock, RejectionReason) {
    use RejectionReason as Reason;
    let state = blocks.state(&parent);
    let validators = state.validators.len() as u64;
    let (mut block, _) = sealed(&state, parent, state.slot + 1, Vec::new()).unwrap();
    let reason = match kind {
        0 => {
            block.state_root = Root::new(random.bytes(32).try_into().unwrap());
            Reason::StateRootMismatch
        }
        1 if validators > 1 => {
            block.proposer_index = (block.proposer_index + 1) % validators;
            Reason::WrongProposer
        }
        2 => {
            block.slot = state.slot - random.below(2).min(state.slot);
            Reason::BlockSlotNotInFuture
        }
        3 => {
            block.slot = HISTORICAL_ROOTS_LIMIT as u64 + 1;
            block.proposer_index = block.slot % validators;
            Reason::HistoryLimitReached
        }
        4 => {
            let past = validators + random.below(4000 - validators);
            put_votes(&mut block, [(1, Some(past))]);
            Reason::ValidatorIndexOutOfRange
        }
        5 => {
            put_votes(&mut block, [(1, None)]);
            Reason::EmptyAggregationBits
        }
        6 => {
            put_votes(&mut block, (0..9).map(|slot| (slot, Some(0))));
            Reason::TooManyAttestationData
        }
        7 => return (duplicate_votes(random, blocks, parent), Reason::DuplicateAttestationData),
        8 => {
            block.proposer_index = validators + random.below(9);
            Reason::ProposerIndexOutOfRange
        }
        _ => {
            block.parent_root = Root::new(random.bytes(32).try_into().unwrap());
            Reason::UnknownParentBlock
        }
    };
    (sign(random, block), reason)
}

/// Votes that the transition would ignore, at these slots by these voters.
fn put_votes(block: &mut Block, votes: impl IntoIterator<Item = (u64, Option<u64>)>) {
    let vote = |(slot, voter): (u64, Option<u64>)| AggregatedAttestation {
        aggregation_bits: AggregationBits::from_indices(voter).unwrap(),
        data: AttestationData { slot, ..AttestationData::default() },
    };
    block.body = BlockBody::new(votes.into_iter().map(vote).collect()).unwrap();
}

/// A block in which everything is right, its state root too, but that one vote comes twice.
pub fn duplicate_votes(random: &mut Random, blocks: &Blocks, parent: Root) -> SignedBlock {
    let state = blocks.state(&parent);
    let slot = state.slot + 1;
    let vote = AggregatedAttestation {
        aggregation_bits: AggregationBits::from_indices([0]).unwrap(),
        data: AttestationData { slot: 7, ..AttestationData::default() },
    };
    let (block, _) = sealed(&state, parent, slot, vec![vote.clone(), vote]).unwrap();
    sign(random, block)
}
