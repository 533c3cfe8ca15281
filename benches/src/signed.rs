//! Blocks with real signatures, as a network of a few validators makes them: the proof scheme `raw`.
//!
//! More than 206 signatures do not fit the protocol's limit of a proof, so a large registry has none of these.

use lamella_types::{
    Block, MultiMessageAggregate, ProofBytes, PublicKeyBytes, SignedBlock, Slot, State, Validator,
    Validators, hash_tree_root,
};
use lamella_xmss::{
    KeyPair, PRODUCTION, SecretKey, generate_development,
    scheme::{ProofScheme as _, Raw},
};

use rayon::prelude::*;

use crate::{BlockSource, Finality, Random, synthetic::anchor_of};
use lamella_chain::Bootstrap;

/// The scheme that checks them.
pub const SCHEME: Raw = Raw { parameters: &PRODUCTION, verified: None };

/// Slot of the block that the chain begins with.
const BEGIN: Slot = 16;

/// A chain's beginning and the blocks after it, signed by every validator.
#[derive(Debug)]
pub struct SignedChain {
    /// What it begins with.
    pub bootstrap: Bootstrap,
    /// Its blocks, one in each slot.
    pub blocks: Vec<SignedBlock>,
}

impl SignedChain {
    /// A chain of this many blocks.
    ///
    /// # Cost
    /// For each validator and slot two leaves of a key and a signature, on all cores.
    #[must_use]
    pub fn of(validators: u64, block_count: usize) -> Self {
        let slots = BEGIN + block_count as u64 + 1;
        let pairs: Vec<[KeyPair; 2]> =
            (0..validators).into_par_iter().map(|index| pairs(index, slots)).collect();
        let bootstrap = anchor_of(registry(&pairs), BEGIN, Finality::Healthy);
        let keys = pairs.into_iter().map(|pair| pair.map(|keys| keys.secret_key)).collect();
        let blocks = blocks(&bootstrap.state, keys, block_count);
        Self { blocks, bootstrap }
    }
}

/// So many blocks on a state, one in each slot, signed by every validator with its keys for votes and for blocks.
///
/// # Cost
/// A signature for each validator and slot, on all cores.
#[must_use]
pub fn blocks(state: &State, keys: Vec<[SecretKey; 2]>, count: usize) -> Vec<SignedBlock> {
    let mut source = BlockSource::new(state, Finality::Healthy);
    let signed = |block| SignedBlock { proof: proof(&keys, &block), block };
    (0..count).map(|_| signed(source.next_block())).collect()
}

/// The two keys of a validator: for votes, for blocks.
fn pairs(index: u64, slots: u64) -> [KeyPair; 2] {
    let mut random = Random::new(index);
    let mut key = || {
        let seed = random.bytes(32).try_into().unwrap();
        generate_development(&PRODUCTION, &seed, slots, &|_| ()).unwrap()
    };
    [key(), key()]
}

fn registry(keys: &[[KeyPair; 2]]) -> Validators {
    let entry = |(index, [votes, blocks]): (u64, &[KeyPair; 2])| Validator {
        attestation_public_key: PublicKeyBytes(votes.public_key.encode()),
        proposal_public_key: PublicKeyBytes(blocks.public_key.encode()),
        index,
    };
    Validators::new(&(0..).zip(keys).map(entry).collect::<Vec<_>>()).unwrap()
}

/// The voters' signatures, vote by vote, then the proposer's.
fn proof(keys: &[[SecretKey; 2]], block: &Block) -> MultiMessageAggregate {
    let sign =
        |key: &SecretKey, slot, message: &[u8; 32]| key.sign(slot, message).unwrap().encode();
    let of_vote = |vote: &lamella_types::AggregatedAttestation| -> Vec<u8> {
        let message = hash_tree_root(&vote.data);
        let voters: Vec<usize> = vote.aggregation_bits.ones().collect();
        let signed = |voter: &usize| sign(&keys[*voter][0], vote.data.slot, message.as_bytes());
        voters.par_iter().flat_map_iter(signed).collect()
    };
    let mut parts: Vec<Vec<u8>> = block.attestations().iter().map(of_vote).collect();
    let [_, proposer] = &keys[usize::try_from(block.proposer_index).unwrap()];
    parts.push(sign(proposer, block.slot, hash_tree_root(block).as_bytes()));
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    MultiMessageAggregate { proof: ProofBytes::new(SCHEME.merge(&parts).unwrap()).unwrap() }
}
