//! Between the protocol's containers and the proof scheme: which keys signed which message.

use std::{collections::HashMap, sync::Arc};

use lamella_fork_choice::BlockVote;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, ProofBytes, RejectionReason, Root,
    SignedAttestation, SignedBlock, SingleMessageAggregate, Slot, Validators,
    bytes::PUBLIC_KEY_BYTES, hash_tree_root,
};
use lamella_xmss::scheme::{Component, ProofScheme};

use crate::heavy;

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
    heavy::begins("checking a block");
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

/// Checks the proofs of a run of blocks, each the child of the one before, from its last block down, until those that are
/// left are proven by what they say; the position from which on each block's own proof was checked.
///
/// The hard idea: a vote names the root of its head, and that root covers every block before it. A validator that keeps
/// the rules votes only for a head whose blocks it has checked. The registry never changes. So blocks below heads that
/// two thirds of the registry signed for were checked by somebody who keeps the rules, as long as fewer than two thirds
/// do not; `docs/sync.md` has the argument.
///
/// # Errors
/// The position of the first block met whose proof does not hold.
///
/// # Cost
/// The proofs of the last few blocks where most validators vote, of all blocks where they do not.
pub fn verify_run(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    run: &[(Root, &SignedBlock)],
) -> Result<usize, (usize, RejectionReason)> {
    let positions: HashMap<Root, usize> =
        run.iter().enumerate().map(|(position, (root, _))| (*root, position)).collect();
    let mut heads = Heads::new(validators.len());
    for (position, (root, block)) in run.iter().enumerate().rev() {
        verify_block(scheme, validators, block, *root).map_err(|reason| (position, reason))?;
        // Under a scheme that shows nothing a vote shows nothing.
        if !scheme.is_proof() {
            continue;
        }
        for AggregatedAttestation { aggregation_bits, data } in block.block.attestations() {
            if let Some(head) = positions.get(&data.head.root) {
                heads.add(aggregation_bits, *head);
            }
        }
        if heads.proven().is_some_and(|proven| proven + 1 >= position) {
            return Ok(position);
        }
    }
    Ok(0)
}

/// The latest head in a run that each validator signed for.
struct Heads(Vec<Option<usize>>);

impl Heads {
    fn new(validators: usize) -> Self {
        Self(vec![None; validators])
    }

    fn add(&mut self, voters: &AggregationBits, head: usize) {
        for voter in voters.ones() {
            if let Some(latest) = self.0.get_mut(voter) {
                *latest = (*latest).max(Some(head));
            }
        }
    }

    /// The last block that two thirds of the registry signed for, itself or by a later one.
    fn proven(&self) -> Option<usize> {
        let mut heads = self.0.clone();
        heads.sort_unstable_by(|one, other| other.cmp(one));
        let quorum = quorum(heads.len());
        heads.get(quorum.checked_sub(1)?).copied().flatten()
    }
}

/// Validators that are two thirds of a registry, as the protocol counts them.
#[must_use]
pub const fn quorum(validators: usize) -> usize {
    (2 * validators).div_ceil(3)
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
    heavy::begins("checking a proposer");
    let proposer = validators.get(signed.block.proposer_index);
    let proposer = proposer.ok_or(RejectionReason::ProposerIndexOutOfRange)?.proposal_public_key;
    let component = component(vec![&proposer.0], block_root, signed.block.slot);
    scheme
        .verify_last(&component, signed.proof.proof.as_bytes())
        .map_err(|_| RejectionReason::InvalidBlockProof)
}

/// Checks the signatures of single votes, together.
///
/// # Errors
/// For each `VALIDATOR_NOT_IN_STATE` or `INVALID_SIGNATURE`.
#[must_use]
pub fn verify_votes(
    scheme: &dyn ProofScheme,
    validators: &Validators,
    votes: &[&SignedAttestation],
) -> Vec<Result<(), RejectionReason>> {
    heavy::begins("checking votes");
    let mut verdicts = vec![Err(RejectionReason::ValidatorNotInState); votes.len()];
    let (mut signatures, mut places) = (Vec::new(), Vec::new());
    for (place, vote) in votes.iter().enumerate() {
        if let Some(key) = validators.attestation_public_key(vote.validator_index) {
            let component = component(vec![key], hash_tree_root(&vote.data), vote.data.slot);
            signatures.push((component, vote.signature.as_slice()));
            places.push(place);
        }
    }
    for (place, verdict) in places.into_iter().zip(scheme.verify_signatures(&signatures)) {
        verdicts[place] = verdict.map_err(|_| RejectionReason::InvalidSignature);
    }
    verdicts
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
    heavy::begins("checking an aggregate");
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

#[cfg(test)]
mod run_tests {
    use super::*;
    use crate::signed_chain::{RAW, SignedChain};

    const BLOCKS: usize = 20;

    #[test]
    fn votes_of_two_thirds_prove_what_is_before_them_and_the_last_proofs_are_checked() {
        for voters in [3, 4] {
            let mut chain = SignedChain::of(4, voters, BLOCKS);
            let validators = chain.genesis.validators.clone();
            // Given a run of which every proof is bad but those of the last two blocks.
            assert_eq!(verify_run(&RAW, &validators, &chain.run()), Ok(BLOCKS - 1));
            (0..BLOCKS - 1).for_each(|index| chain.spoil(index));
            // Then the last block's votes are for the one before, and prove it and all before.
            assert_eq!(verify_run(&RAW, &validators, &chain.run()), Ok(BLOCKS - 1));
            // And where the last one's are bad, it is refused.
            chain.spoil(BLOCKS - 1);
            let refused = Err((BLOCKS - 1, RejectionReason::InvalidBlockProof));
            assert_eq!(verify_run(&RAW, &validators, &chain.run()), refused);
        }
    }

    #[test]
    fn fewer_votes_prove_nothing() {
        let mut chain = SignedChain::of(4, 2, BLOCKS);
        let validators = chain.genesis.validators.clone();
        assert_eq!(verify_run(&RAW, &validators, &chain.run()), Ok(0));
        chain.spoil(3);
        let refused = Err((3, RejectionReason::InvalidBlockProof));
        assert_eq!(verify_run(&RAW, &validators, &chain.run()), refused);
    }

    /// The same votes, repeated or for what is not in the run, are no more votes.
    #[test]
    fn votes_count_once_each_and_for_blocks_of_the_run_only() {
        let chain = SignedChain::of(4, 4, BLOCKS);
        let validators = chain.genesis.validators.clone();
        // A run of one block: its votes are for its parent, which is not in it.
        let run = chain.run();
        assert_eq!(verify_run(&RAW, &validators, &run[BLOCKS - 1..]), Ok(0));
        let few = SignedChain::of(6, 3, BLOCKS);
        let validators = few.genesis.validators.clone();
        assert_eq!(verify_run(&RAW, &validators, &few.run()), Ok(0));
    }

    #[test]
    fn two_thirds_are_rounded_up() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(quorum), [0, 1, 2, 2, 3, 4, 4, 5]);
    }
}
