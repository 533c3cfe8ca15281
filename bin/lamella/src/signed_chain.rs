//! For tests: a chain whose every vote and block is signed, with keys that are quick to make.

use lamella_chain::Bootstrap;
use lamella_state_transition::compute_post_state;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint,
    MultiMessageAggregate, ProofBytes, PublicKeyBytes, Root, SignedBlock, State, Validator,
    Validators, genesis_state, hash_tree_root, slot::proposer_for_slot,
};
use lamella_xmss::{
    KeyPair, TEST, generate,
    scheme::{ProofScheme as _, Raw},
};

/// The scheme that checks it.
pub(crate) const RAW: Raw = Raw { parameters: &TEST, verified: None };

/// A chain with a block in each slot from 1 on.
pub(crate) struct SignedChain {
    pub(crate) genesis: State,
    pub(crate) blocks: Vec<SignedBlock>,
    pub(crate) roots: Vec<Root>,
}

impl SignedChain {
    /// A chain of this many blocks, each with a vote of the first `voters` validators for its parent.
    pub(crate) fn of(validators: u8, voters: u64, blocks: usize) -> Self {
        let key = |seed: u8| generate(&TEST, &[seed; 32], 0, 256, &|_| ()).unwrap();
        let mut keys: Vec<(KeyPair, KeyPair)> =
            (0..validators).map(|index| (key(2 * index), key(2 * index + 1))).collect();
        let entry = |(index, (votes, proposals)): (u64, &(KeyPair, KeyPair))| Validator {
            attestation_public_key: PublicKeyBytes(votes.public_key.encode()),
            proposal_public_key: PublicKeyBytes(proposals.public_key.encode()),
            index,
        };
        let registry: Vec<Validator> = (0..).zip(&keys).map(entry).collect();
        let genesis = genesis_state(7, Validators::new(&registry).unwrap());
        let mut chain = Self { genesis: genesis.clone(), blocks: Vec::new(), roots: Vec::new() };
        let mut state = genesis;
        for slot in 1..=blocks as u64 {
            for key in keys.iter_mut().flat_map(|(votes, proposals)| [votes, proposals]) {
                while !key.secret_key.prepared_slots().contains(&slot) {
                    assert!(key.secret_key.advance_preparation(&|_| ()), "keys for 256 slots");
                }
            }
            let block = next_block(&mut state, slot, u64::from(validators), voters);
            chain.roots.push(block.header().root());
            chain.blocks.push(signed(&keys, block));
        }
        chain
    }

    pub(crate) fn bootstrap(&self) -> Bootstrap {
        Bootstrap::genesis(self.genesis.clone())
    }

    pub(crate) fn run(&self) -> Vec<(Root, &SignedBlock)> {
        self.roots.iter().copied().zip(&self.blocks).collect()
    }

    /// Makes the proof of a block bad; its root stays.
    pub(crate) fn spoil(&mut self, index: usize) {
        let mut proof = self.blocks[index].proof.proof.as_bytes().to_vec();
        proof[100] ^= 1;
        self.blocks[index].proof.proof = ProofBytes::new(proof).unwrap();
    }
}

fn next_block(state: &mut State, slot: u64, validators: u64, voters: u64) -> Block {
    let mut header = state.latest_block_header;
    if header.state_root == Root::ZERO {
        header.state_root = state.root();
    }
    let parent = Checkpoint { root: header.root(), slot: header.slot };
    let source = match state.latest_justified {
        // Genesis is justified before its root is known.
        Checkpoint { slot: 0, .. } if parent.slot == 0 => parent,
        justified => justified,
    };
    let data = AttestationData { slot: slot - 1, head: parent, target: parent, source };
    let vote = AggregatedAttestation {
        aggregation_bits: AggregationBits::from_indices(0..voters).unwrap(),
        data,
    };
    let body = if slot == 1 { Vec::new() } else { vec![vote] };
    let mut block = Block {
        slot,
        proposer_index: proposer_for_slot(slot, validators).unwrap(),
        parent_root: parent.root,
        body: BlockBody::new(body).unwrap(),
        ..Block::default()
    };
    (*state, block.state_root) = compute_post_state(state, &block).unwrap();
    block
}

fn signed(keys: &[(KeyPair, KeyPair)], block: Block) -> SignedBlock {
    let sign = |key: &KeyPair, slot, message: Root| {
        key.secret_key.sign(slot, message.as_bytes()).unwrap().encode()
    };
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for vote in block.attestations() {
        let voters = vote.aggregation_bits.ones();
        let of = |voter: usize| sign(&keys[voter].0, vote.data.slot, hash_tree_root(&vote.data));
        parts.push(voters.flat_map(of).collect());
    }
    let proposer = &keys[usize::try_from(block.proposer_index).unwrap()].1;
    parts.push(sign(proposer, block.slot, hash_tree_root(&block)));
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let proof = ProofBytes::new(RAW.merge(&parts).unwrap()).unwrap();
    SignedBlock { block, proof: MultiMessageAggregate { proof } }
}
