//! leanSpec's `Store`: a fork choice and the post-states it leaves to others.

use std::{collections::HashMap, sync::Arc};

use lamella_fork_choice::{AggregationTask, BlockStatus, BlockSummary, Combine, ForkChoice};
use lamella_state_transition::state_transition;
use lamella_types::{
    AggregationBits, Block, ProofBytes, RejectionReason, Root, SignedAttestation,
    SingleMessageAggregate, SlotClock, State, hash_tree_root, limits::SLOT_MS,
};
use lamella_xmss::{TEST, verify};

pub(super) struct Store {
    pub(super) choice: ForkChoice,
    states: HashMap<Root, State>,
    /// Blocks that the case gives names to.
    pub(super) labels: HashMap<String, Root>,
}

impl Store {
    pub(super) fn new(state: State, block: &Block) -> Result<Self, RejectionReason> {
        if block.state_root != state.root() {
            return Err(RejectionReason::AnchorStateRootMismatch);
        }
        let anchor = summary(block, &state);
        Ok(Self {
            choice: ForkChoice::from_anchor(anchor),
            states: HashMap::from([(anchor.root, state)]),
            labels: HashMap::from([("genesis".to_owned(), anchor.root)]),
        })
    }

    /// The interval at a Unix time in seconds.
    pub(super) fn interval_at(&self, time_s: u64) -> u64 {
        let genesis_time = self.states[&self.choice.head()].config.genesis_time;
        SlotClock::new(genesis_time, SLOT_MS).total_intervals(time_s * 1000)
    }

    pub(super) fn tick_to(&mut self, interval: u64, has_proposal: bool) {
        while self.choice.time() < interval {
            let proposal_due = has_proposal && self.choice.time() + 1 == interval;
            self.choice.tick_interval(proposal_due, Some(&mut Union));
        }
    }

    /// Imports a block without a proof: the vectors' blocks have none.
    pub(super) fn import(&mut self, block: &Block) -> Result<(), RejectionReason> {
        let root = block.header().root();
        if self.choice.check_block(&root, block)? == BlockStatus::Known {
            return Ok(());
        }
        let state = state_transition(&self.states[&block.parent_root], block)?;
        let body = block.attestations().iter().map(|attestation| &attestation.data);
        self.choice.on_block(summary(block, &state), body)?;
        self.states.insert(root, state);
        Ok(())
    }

    /// What the harness left behind when it built the block. A proof of the same voters that came by gossip is
    /// the one it built from, so no second one appears beside it.
    pub(super) fn count_body_as_known(&mut self, block: &Block) {
        for attestation in block.attestations() {
            let voters = &attestation.aggregation_bits;
            let known = self.choice.known_pool().get(&attestation.data);
            let mut proofs = known.into_iter().flat_map(|entry| &entry.proofs);
            if !proofs.any(|proof| proof.participants == *voters) {
                let proof = Arc::new(placeholder(voters.clone()));
                self.choice.insert_known_aggregate(&attestation.data, proof);
            }
        }
        self.choice.update_head();
    }

    pub(super) fn verify_attestation(
        &self,
        vote: &SignedAttestation,
    ) -> Result<(), RejectionReason> {
        let SignedAttestation { validator_index, data, signature } = vote;
        self.choice.check_attestation(data, *validator_index)?;
        let validators = &self.states[&data.target.root].validators;
        let validator =
            validators.get(*validator_index).ok_or(RejectionReason::ValidatorNotInState)?;
        let public_key = validator.attestation_public_key.0;
        let message = hash_tree_root(data);
        verify(&TEST, &public_key, data.slot, message.as_bytes(), signature)
            .map_err(|_| RejectionReason::InvalidSignature)
    }
}

fn summary(block: &Block, post_state: &State) -> BlockSummary {
    BlockSummary {
        root: block.header().root(),
        parent_root: block.parent_root,
        slot: block.slot,
        proposer_index: block.proposer_index,
        justified: post_state.latest_justified,
        finalized: post_state.latest_finalized,
        validator_count: post_state.validators.len() as u64,
    }
}

/// A prover whose proofs are empty.
struct Union;

impl Combine for Union {
    fn combine(&mut self, task: &AggregationTask) -> Option<SingleMessageAggregate> {
        let children = task.children.iter().flat_map(|child| child.participants.ones());
        let raw = task.raw.iter().map(|(validator, _)| *validator);
        AggregationBits::from_indices(children.map(|index| index as u64).chain(raw))
            .map(placeholder)
    }
}

fn placeholder(participants: AggregationBits) -> SingleMessageAggregate {
    SingleMessageAggregate { participants, proof: ProofBytes::default() }
}
