//! Blocks and their states, kept whole: everything ever built, imported or not.

use std::collections::{BTreeMap, BTreeSet};

use lamella_chain::Bootstrap;
use lamella_fork_choice::BlockSummary;
use lamella_state_transition::compute_post_state;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint, Decode,
    MultiMessageAggregate, ProofBytes, PublicKeyBytes, RejectionReason, Root, SignedBlock, Slot,
    State, Validator, Validators, genesis_state, slot::is_justifiable_after,
};

use crate::random::Random;

/// A block, and the SSZ bytes of its post-state.
#[derive(Clone)]
pub struct Built {
    pub signed: SignedBlock,
    pub state: Vec<u8>,
    pub summary: BlockSummary,
}

/// How a block's votes are made.
#[derive(Debug, Clone, Copy)]
pub struct Voting {
    /// Chance in percent that a validator takes part in a vote.
    pub participation: u64,
    /// Most votes in a body.
    pub votes_max: u64,
}

#[derive(Clone)]
pub struct Blocks {
    built: BTreeMap<Root, Built>,
    pub bootstrap: Root,
}

pub fn registry(random: &mut Random, count: u64) -> Validators {
    let mut key = || PublicKeyBytes(random.bytes(52).try_into().unwrap());
    let validators = (0..count).map(|index| {
        let (attestation_public_key, proposal_public_key) = (key(), key());
        Validator { attestation_public_key, proposal_public_key, index }
    });
    Validators::new(&validators.collect::<Vec<_>>()).unwrap()
}

impl Blocks {
    /// Begins at genesis.
    pub fn genesis(random: &mut Random, validators: u64) -> Self {
        let registry = registry(random, validators);
        let bootstrap = Bootstrap::genesis(genesis_state(random.below(1 << 40), registry));
        let mut blocks = Self { built: BTreeMap::new(), bootstrap: Root::ZERO };
        blocks.bootstrap = blocks.insert(bootstrap.block, &bootstrap.state);
        blocks
    }

    /// Begins at this block, as if from a trusted checkpoint: all other blocks are forgotten.
    pub fn begin_at(mut self, bootstrap: Root) -> Self {
        self.built.retain(|root, _| *root == bootstrap);
        Self { bootstrap, ..self }
    }

    /// Adds what another one has. Returns the roots of that.
    pub fn add(&mut self, other: Self) -> Vec<Root> {
        let roots = other.built.keys().copied().collect();
        self.built.extend(other.built);
        roots
    }

    fn insert(&mut self, signed: SignedBlock, state: &State) -> Root {
        let header = signed.block.header();
        let root = header.root();
        let summary = BlockSummary {
            root,
            parent_root: header.parent_root,
            slot: header.slot,
            proposer_index: header.proposer_index,
            justified: state.latest_justified,
            finalized: state.latest_finalized,
            validator_count: state.validators.len() as u64,
        };
        // The same block may be built twice; the first one's proof is the one that counts.
        self.built.entry(root).or_insert(Built { signed, state: state.to_ssz(), summary });
        root
    }

    pub fn get(&self, root: &Root) -> &Built {
        &self.built[root]
    }

    /// The state, from bytes: it shares nothing with any other.
    pub fn state(&self, root: &Root) -> State {
        State::from_ssz(&self.built[root].state).unwrap()
    }

    /// The votes of a block's body, and who cast them.
    pub fn votes(&self, root: &Root) -> Vec<(AttestationData, BTreeSet<u64>)> {
        let votes = self.built[root].signed.block.attestations().iter();
        let voters = |bits: &AggregationBits| bits.ones().map(|index| index as u64).collect();
        votes.map(|vote| (vote.data, voters(&vote.aggregation_bits))).collect()
    }

    /// The block and its ancestors, down to the bootstrap block.
    pub fn chain(&self, root: Root) -> Vec<BlockSummary> {
        let next = |block: &BlockSummary| self.built.get(&block.parent_root).map(|b| b.summary);
        std::iter::successors(self.built.get(&root).map(|b| b.summary), next).collect()
    }

    /// A valid child of `parent` at `slot` with random votes.
    pub fn build(&mut self, random: &mut Random, parent: Root, slot: Slot, voting: Voting) -> Root {
        let parent_state = self.state(&parent);
        let votes = random_votes(random, &parent_state, parent, voting);
        let sealed = sealed(&parent_state, parent, slot, votes);
        let sealed = sealed.or_else(|_| self::sealed(&parent_state, parent, slot, Vec::new()));
        let (block, post_state) = sealed.unwrap();
        let signed = sign(random, block);
        self.insert(signed, &post_state)
    }

    /// A slot for a child of `parent`, `skip` slots later or where votes for it can justify it.
    pub fn child_slot(&self, random: &mut Random, parent: &Root, skip: u64) -> Slot {
        let parent = self.built[parent].summary;
        let mut slot = parent.slot + 1 + skip;
        if random.percent(80) {
            while !is_justifiable_after(slot, parent.finalized.slot) {
                slot += 1;
            }
        }
        slot
    }
}

pub fn sign(random: &mut Random, block: Block) -> SignedBlock {
    let length = random.below(200);
    let proof = ProofBytes::new(random.bytes(length)).unwrap();
    SignedBlock { block, proof: MultiMessageAggregate { proof } }
}

/// The block with these votes and its post-state, with the state root filled in; the reason if it has none.
pub fn sealed(
    parent_state: &State,
    parent: Root,
    slot: Slot,
    votes: Vec<AggregatedAttestation>,
) -> Result<(Block, State), RejectionReason> {
    let mut block = Block {
        slot,
        proposer_index: slot % parent_state.validators.len() as u64,
        parent_root: parent,
        state_root: Root::ZERO,
        body: BlockBody::new(votes).unwrap(),
    };
    let (post_state, state_root) = compute_post_state(parent_state, &block)?;
    block.state_root = state_root;
    Ok((block, post_state))
}

/// The blocks of a child's chain, as its state's history will have them: ascending.
fn history(parent_state: &State, parent: Root) -> Vec<Checkpoint> {
    let hashes = &parent_state.historical_block_hashes;
    let of_slot = |slot| Checkpoint { slot, root: hashes.get(slot).unwrap() };
    let recorded = (0..hashes.len() as u64).map(of_slot).filter(|block| !block.root.is_zero());
    recorded.chain([Checkpoint { slot: parent_state.slot, root: parent }]).collect()
}

fn random_votes(
    random: &mut Random,
    parent_state: &State,
    parent: Root,
    voting: Voting,
) -> Vec<AggregatedAttestation> {
    let history = history(parent_state, parent);
    let finalized_slot = parent_state.latest_finalized.slot;
    let mut source = parent_state.latest_justified;
    if source.root.is_zero() {
        source = history[0];
    }
    let mut distinct = BTreeSet::new();
    let mut votes = Vec::new();
    for _ in 0..random.below(voting.votes_max + 1) {
        let mut target = random.recent(&history, 10);
        let useful = |block: &&Checkpoint| {
            block.slot > source.slot && is_justifiable_after(block.slot, finalized_slot)
        };
        if random.percent(75)
            && let Some(best) = history.iter().rev().find(useful)
        {
            target = *best;
        }
        let source = if random.percent(6) { random.recent(&history, 10) } else { source };
        let heads: Vec<_> = history.iter().filter(|b| b.slot >= target.slot).copied().collect();
        let head = random.recent(&heads, 3);
        let data = AttestationData { slot: head.slot + random.below(3), head, target, source };
        if distinct.insert(data) {
            let count = parent_state.validators.len() as u64;
            votes.push(AggregatedAttestation {
                aggregation_bits: bits(random, count, voting.participation),
                data,
            });
        }
    }
    votes
}

/// Some of `count` validators, at least one, in a list that may end at the last or later.
pub fn bits(random: &mut Random, count: u64, participation: u64) -> AggregationBits {
    let certain = random.below(count);
    let voters = (0..count).filter(|index| *index == certain || random.percent(participation));
    let mut bits = AggregationBits::from_indices(voters.collect::<Vec<_>>()).unwrap();
    if random.percent(50) {
        bits.resize(bits.len().max(count as usize) + random.below(9) as usize);
    }
    bits
}
