//! What makes a checkpoint ours without trust in whoever sent it: two thirds of `config.yaml`'s keys signed for it.
//!
//! A block that was finalized was the target, and then the source, of votes of two thirds of the validators, and the
//! blocks after it carry those votes with their signatures. Each names the checkpoint by its root, so a block that brings
//! them proves them alone: which chain it is of does not matter. A source can withhold such blocks, and is then refused;
//! it cannot make them.

use std::collections::BTreeSet;

use lamella_types::{
    AggregatedAttestation, Checkpoint as SlotAndRoot, SignedBlock, Validators, hash_tree_root,
};
use lamella_xmss::scheme::ProofScheme;
use tracing::debug;

use super::{
    Refusal, SourceError,
    client::{At, Client},
};
use crate::proofs::{quorum, verify_block};

/// Slots after the checkpoint in which its votes are looked for. They are in the next few blocks of a healthy chain; after
/// a pause of D slots targets lie about √D apart, so this is enough for pauses of a week of 4-second slots.
const VOTE_SLOTS_MAX: u64 = 512;

/// Asks the source for the blocks after the checkpoint until two thirds of the registry are seen to have signed for it.
///
/// # Errors
/// [`Refusal::NotVoted`] if they are not; what the source fails at.
///
/// # Cost
/// A block's proof for each block with votes that name the checkpoint: three in a healthy chain.
pub(super) fn look_for(
    client: &Client,
    base_url: &str,
    checkpoint: SlotAndRoot,
    validators: &Validators,
    scheme: &dyn ProofScheme,
) -> Result<(), SourceError> {
    let mut votes = Votes::of(checkpoint, validators.len());
    for slot in checkpoint.slot + 1..=checkpoint.slot + VOTE_SLOTS_MAX {
        match client.block_at(base_url, slot)? {
            At::Block(block) => votes.count(scheme, validators, &block),
            At::None => {}
        }
        if votes.are_enough() {
            return Ok(());
        }
    }
    Err(votes.refusal().into())
}

/// Who signed for a checkpoint.
pub(super) struct Votes {
    checkpoint: SlotAndRoot,
    validators: usize,
    voters: BTreeSet<usize>,
}

impl Votes {
    pub(super) const fn of(checkpoint: SlotAndRoot, validators: usize) -> Self {
        Self { checkpoint, validators, voters: BTreeSet::new() }
    }

    /// Counts the votes of a block that name the checkpoint as their target or source, if the block's proof holds.
    pub(super) fn count(
        &mut self,
        scheme: &dyn ProofScheme,
        validators: &Validators,
        block: &SignedBlock,
    ) {
        let names_it = |vote: &&AggregatedAttestation| {
            vote.data.target == self.checkpoint || vote.data.source == self.checkpoint
        };
        let votes: Vec<_> = block.block.attestations().iter().filter(names_it).collect();
        let ones = votes.iter().flat_map(|vote| vote.aggregation_bits.ones());
        let new: Vec<usize> = ones.filter(|voter| !self.voters.contains(voter)).collect();
        if new.is_empty() {
            return;
        }
        let root = hash_tree_root(&block.block);
        match verify_block(scheme, validators, block, root) {
            Ok(()) => self.voters.extend(new),
            Err(reason) => {
                debug!(slot = block.block.slot, block_root = %root, %reason, "A block whose votes do not count");
            }
        }
    }

    pub(super) fn are_enough(&self) -> bool {
        self.voters.len() >= quorum(self.validators)
    }

    fn refusal(&self) -> Refusal {
        Refusal::NotVoted {
            checkpoint: self.checkpoint.root,
            slot: self.checkpoint.slot,
            voters: self.voters.len(),
            needed: quorum(self.validators),
            validators: self.validators,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed_chain::{RAW, SignedChain};

    /// Slot of the checkpoint.
    const SLOT: usize = 5;

    fn votes_of(chain: &SignedChain, blocks: &[SignedBlock]) -> usize {
        let root = chain.roots[SLOT - 1];
        let validators = &chain.genesis.validators;
        let mut votes = Votes::of(SlotAndRoot { slot: SLOT as u64, root }, validators.len());
        blocks.iter().for_each(|block| votes.count(&RAW, validators, block));
        assert_eq!(votes.are_enough(), votes.voters.len() >= 4);
        votes.voters.len()
    }

    #[test]
    fn blocks_after_a_checkpoint_bring_its_votes_and_those_before_it_do_not() {
        let chain = SignedChain::of(6, 4, 10);
        assert_eq!(votes_of(&chain, &chain.blocks[..SLOT]), 0);
        // The next block's votes have it as their target, the one after's as their source.
        assert_eq!(votes_of(&chain, &chain.blocks[SLOT..=SLOT]), 4);
        assert_eq!(votes_of(&chain, &chain.blocks[SLOT + 1..SLOT + 2]), 4);
        assert_eq!(votes_of(&chain, &chain.blocks[SLOT + 2..]), 0);
    }

    #[test]
    fn too_few_votes_are_not_enough_however_often_they_come() {
        let chain = SignedChain::of(6, 3, 10);
        let twice = [&chain.blocks[SLOT..], &chain.blocks[SLOT..]].concat();
        assert_eq!(votes_of(&chain, &twice), 3);
    }

    #[test]
    fn votes_that_nobody_signed_do_not_count() {
        let mut chain = SignedChain::of(6, 4, 10);
        chain.spoil(SLOT);
        chain.spoil(SLOT + 1);
        assert_eq!(votes_of(&chain, &chain.blocks), 0);
    }
}
