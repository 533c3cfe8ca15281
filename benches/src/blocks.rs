//! Blocks that the state transition accepts, with the votes that a network would put into them.
//!
//! Every block carries two votes: that of almost everyone for its parent, and that of a few late ones for its
//! grandparent. While finality stalls, fewer vote, for the same head, and their target trails as leanSpec's does.

use lamella_state_transition::compute_post_state;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint,
    MultiMessageAggregate, ProofBytes, Root, SignedBlock, Slot, State, latest_block_root,
    limits::JUSTIFICATION_LOOKBACK_SLOTS, slot::is_justifiable_after,
};

use crate::{
    Random,
    synthetic::{Finality, IN_TIME_PER_MILLE, is_online},
};

/// Bytes of a block proof in a network of 4,096 validators: an aggregate.
pub const AGGREGATE_BYTES: usize = 190 * 1024;

/// Bytes of one XMSS signature.
pub const SIGNATURE_BYTES: usize = 2_536;

/// Produces one chain, block after block, a block in every slot.
#[derive(Debug)]
pub struct BlockSource {
    state: State,
    finality: Finality,
    random: Random,
    proof: MultiMessageAggregate,
}

/// Where the choice of who votes late begins.
const VOTERS_SEED: u64 = 5;

/// A child of a post-state with these votes, and its own post-state.
#[must_use]
pub fn child(parent: &State, slot: Slot, votes: Vec<AggregatedAttestation>) -> (Block, State) {
    let mut block = Block {
        slot,
        proposer_index: slot % parent.validators.len() as u64,
        parent_root: latest_block_root(parent),
        state_root: Root::ZERO,
        body: BlockBody::new(votes).unwrap(),
    };
    let (post_state, state_root) = compute_post_state(parent, &block).unwrap();
    block.state_root = state_root;
    (block, post_state)
}

impl BlockSource {
    /// A source whose first block is a child of the latest block of `state`.
    #[must_use]
    pub fn new(state: &State, finality: Finality) -> Self {
        let validators = state.validators.len();
        // A devnet's proof holds the signatures themselves: one for each vote, and the proposer's.
        let proof_bytes = (validators + 1).saturating_mul(SIGNATURE_BYTES).min(AGGREGATE_BYTES);
        let proof = MultiMessageAggregate::default();
        let random = Random::new(VOTERS_SEED);
        let mut source = Self { state: state.clone(), finality, random, proof };
        source.set_proof_bytes(proof_bytes);
        source
    }

    /// Blocks from now on have proofs of this size.
    pub fn set_proof_bytes(&mut self, proof_bytes: usize) {
        let proof = ProofBytes::new(Random::new(4).bytes(proof_bytes)).unwrap();
        self.proof = MultiMessageAggregate { proof };
    }

    /// Whether enough vote from now on.
    pub fn set_finality(&mut self, finality: Finality) {
        if self.finality != finality {
            (self.finality, self.random) = (finality, Random::new(VOTERS_SEED));
        }
    }

    /// A block without votes at a later slot, which the next ones build on.
    pub fn skip_to(&mut self, slot: Slot) -> Block {
        let (block, post_state) = child(&self.state, slot, Vec::new());
        (self.state, self.random) = (post_state, Random::new(VOTERS_SEED));
        block
    }

    /// Post-state of the latest block.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The next block without its proof, on the post-state that it was built for.
    pub fn next_block(&mut self) -> Block {
        let votes = self.attestations();
        let (block, post_state) = child(&self.state, self.state.slot + 1, votes);
        self.state = post_state;
        block
    }

    /// The next block as it is gossiped.
    pub fn next_signed(&mut self) -> SignedBlock {
        SignedBlock { block: self.next_block(), proof: self.proof.clone() }
    }

    /// The next blocks as they are served to a peer that catches up.
    pub fn take(&mut self, count: usize) -> Vec<SignedBlock> {
        (0..count).map(|_| self.next_signed()).collect()
    }

    /// The post-states of the latest block and of the next `count` ones.
    pub fn take_states(&mut self, count: usize) -> Vec<State> {
        let mut states = vec![self.state.clone()];
        for _ in 0..count {
            self.next_block();
            states.push(self.state.clone());
        }
        states
    }

    fn attestations(&mut self) -> Vec<AggregatedAttestation> {
        let slot = self.state.slot;
        // Nobody votes in the slot of genesis.
        if slot == 0 {
            return Vec::new();
        }
        let (mut in_time, mut late) = (Vec::new(), Vec::new());
        for validator in 0..self.state.validators.len() as u64 {
            if self.finality != Finality::Healthy && !is_online(validator) {
                continue;
            }
            let votes =
                if self.random.per_mille(IN_TIME_PER_MILLE) { &mut in_time } else { &mut late };
            votes.push(validator);
        }
        let votes = [(slot, in_time), (slot - 1, late)];
        let votes = votes.into_iter().filter(|(slot, voters)| *slot > 0 && !voters.is_empty());
        votes
            .map(|(slot, voters)| AggregatedAttestation {
                aggregation_bits: AggregationBits::from_indices(voters).unwrap(),
                data: self.vote(slot),
            })
            .collect()
    }

    /// The vote of `slot` for the block at that slot.
    fn vote(&self, slot: Slot) -> AttestationData {
        let finalized_slot = self.state.latest_finalized.slot;
        let newest = match self.finality {
            Finality::Healthy => slot,
            Finality::Stalled(_) => slot - JUSTIFICATION_LOOKBACK_SLOTS,
        };
        let may_be_target =
            |slot: &Slot| *slot <= finalized_slot || is_justifiable_after(*slot, finalized_slot);
        let target = (0..=newest).rev().find(may_be_target).unwrap();
        AttestationData {
            slot,
            head: self.checkpoint(slot),
            target: self.checkpoint(target),
            source: self.state.latest_justified,
        }
    }

    fn checkpoint(&self, slot: Slot) -> Checkpoint {
        let recorded = self.state.historical_block_hashes.get(slot);
        Checkpoint { root: recorded.unwrap_or_else(|| latest_block_root(&self.state)), slot }
    }
}
