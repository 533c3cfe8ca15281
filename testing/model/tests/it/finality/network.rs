//! A network without sockets, clocks or signatures: every node's fork choice, and the blocks that proposers build.
//!
//! Fork choice, block building and transition are the node's own. A proof is only the list of whom it covers, held to
//! the raw scheme's limits, since thousands of real signatures a slot would take minutes. One node aggregates. A block
//! or vote of blocks that a node lacks brings them along, as sync does.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use lamella_fork_choice::{AggregationTask, BlockSummary, BlockVote, Combine, ForkChoice};
use lamella_state_transition::{BlockRequest, Candidate, build_block};
use lamella_types::{
    AggregatedAttestation, AggregationBits, Block, ProofBytes, Root, SignedAggregatedAttestation,
    SingleMessageAggregate, Slot, State, ValidatorIndex, genesis_block, genesis_state,
    limits::INTERVALS_PER_SLOT, slot::proposer_for_slot,
};

use crate::{blocks::registry, random::Random};

/// Signers of one proof under the raw scheme.
const SIGNERS_MAX: usize = 206;

/// The node that folds votes.
const AGGREGATOR: usize = 0;

const NODES: u64 = 4;

/// What goes wrong in a slot.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Validators that do nothing.
    pub is_silent: Option<fn(ValidatorIndex) -> bool>,
    /// Chance in percent that a vote does not reach the aggregator.
    pub votes_lost: u64,
    /// Chance in percent that an aggregate does not reach a node.
    pub aggregates_lost: u64,
    /// Chance in percent that a block comes to a node only when another one needs it.
    pub blocks_lost: u64,
}

impl Weather {
    fn is_awake(&self, validator: ValidatorIndex) -> bool {
        !self.is_silent.is_some_and(|is_silent| is_silent(validator))
    }
}

pub struct Network {
    views: Vec<ForkChoice>,
    blocks: HashMap<Root, (Block, State)>,
    validators: u64,
    random: Random,
    pub slot: Slot,
}

/// Where the network is after a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Highest head.
    pub head: Slot,
    /// Lowest finalized slot.
    pub finalized: Slot,
}

impl Network {
    pub fn new(seed: u64, validators: u64) -> Self {
        let mut random = Random::new(seed);
        let state = genesis_state(0, registry(&mut random, validators));
        let block = genesis_block(&state);
        let mut view = ForkChoice::from_anchor(summary(&block, &state));
        // Slot 0 is over.
        view.skip_to_interval(INTERVALS_PER_SLOT - 1);
        let blocks = HashMap::from([(block.header().root(), (block, state))]);
        let views = (0..NODES).map(|_| view.clone()).collect();
        Self { views, blocks, validators, random, slot: 0 }
    }

    /// Lives through slots.
    pub fn pass(&mut self, slots: u64, weather: Weather) -> Standing {
        (0..slots).for_each(|_| self.pass_slot(weather));
        self.standing()
    }

    /// Lives through slots until this holds; how many it took, `None` if more than `slots_max`.
    pub fn pass_until(&mut self, slots_max: u64, holds: impl Fn(Standing) -> bool) -> Option<u64> {
        (1..=slots_max).find(|_| {
            self.pass_slot(Weather::default());
            holds(self.standing())
        })
    }

    pub fn standing(&self) -> Standing {
        Standing {
            head: self.views.iter().map(|view| view.head_summary().slot).max().unwrap(),
            finalized: self.views.iter().map(|view| view.latest_finalized().slot).min().unwrap(),
        }
    }

    /// Heads of the nodes.
    pub fn heads(&self) -> BTreeSet<Root> {
        self.views.iter().map(ForkChoice::head).collect()
    }

    fn pass_slot(&mut self, weather: Weather) {
        self.slot += 1;
        let proposer = proposer_for_slot(self.slot, self.validators).unwrap();
        let proposing = weather.is_awake(proposer).then(|| self.node_of(proposer));
        self.tick(proposing, false);
        if let Some(node) = proposing {
            self.propose(node, proposer, weather);
        }
        self.tick(None, false);
        self.attest(weather);
        for aggregate in self.tick(None, true) {
            self.gossip(&aggregate, weather);
        }
        self.tick(None, false);
        self.tick(None, false);
        self.check_one_finality();
    }

    /// What one node has finalized is on the chain that any other has.
    fn check_one_finality(&self) {
        let highest = self.views.iter().max_by_key(|view| view.latest_finalized().slot).unwrap();
        for view in &self.views {
            let [low, high] = [view, highest].map(|view| view.latest_finalized().root);
            assert!(
                highest.is_ancestor(&low, &high),
                "slot {}: two chains are finalized",
                self.slot
            );
        }
    }

    const fn node_of(&self, validator: ValidatorIndex) -> usize {
        (validator % self.views.len() as u64) as usize
    }

    fn tick(
        &mut self,
        proposing: Option<usize>,
        aggregates: bool,
    ) -> Vec<SignedAggregatedAttestation> {
        let mut made = Vec::new();
        for (node, view) in self.views.iter_mut().enumerate() {
            let mut prover = Prover;
            let prover: Option<&mut dyn Combine> =
                if aggregates && node == AGGREGATOR { Some(&mut prover) } else { None };
            made.extend(view.tick_interval(proposing == Some(node), prover).aggregates);
        }
        made
    }

    fn propose(&mut self, node: usize, proposer: ValidatorIndex, weather: Weather) {
        let view = &self.views[node];
        let (_, parent) = &self.blocks[&view.head()];
        let candidates = view.block_candidates().into_iter();
        let candidates: Vec<_> =
            candidates.map(|(data, proofs)| Candidate { data, proofs }).collect();
        let request = BlockRequest {
            slot: self.slot,
            proposer_index: proposer,
            parent_root: view.head(),
            known_block: &|root| view.contains(root),
            participants_max: SIGNERS_MAX - 1,
        };
        let mut select =
            |_: &_, proofs: &[Arc<SingleMessageAggregate>], wanted: &AggregationBits| {
                let voters = proofs.iter().flat_map(|proof| proof.participants.ones());
                Some(proof_of(voters.filter(|voter| wanted.get(*voter) == Some(true))))
            };
        let built = build_block(parent, &request, &candidates, &mut select).unwrap();
        let signers = built.proofs.iter().map(|proof| proof.participants.count_ones());
        assert!(signers.sum::<usize>() < SIGNERS_MAX);
        let root = built.block.header().root();
        self.blocks.insert(root, (built.block, built.post_state));
        for receiver in 0..self.views.len() {
            if receiver == node || !self.random.percent(weather.blocks_lost) {
                self.import(receiver, root);
            }
        }
    }

    /// Imports a block and what it lacks.
    fn import(&mut self, node: usize, root: Root) {
        let view = &mut self.views[node];
        let mut missing = vec![root];
        while let Some(root) = missing.last().copied() {
            let (block, state) = &self.blocks[&root];
            if !view.contains(&root) && !view.contains(&block.parent_root) {
                missing.push(block.parent_root);
                continue;
            }
            missing.pop();
            let attestations = block.attestations();
            let data = attestations.iter().map(|attestation| &attestation.data);
            view.on_block(summary(block, state), data).unwrap();
            view.record_block_votes(attestations.iter().map(block_vote));
            view.update_head();
        }
    }

    fn attest(&mut self, weather: Weather) {
        for node in 0..self.views.len() {
            self.views[node].update_head();
            let Some(data) = self.views[node].attestation_data(self.slot) else { continue };
            self.import(AGGREGATOR, data.head.root);
            for validator in 0..self.validators {
                if self.node_of(validator) != node
                    || !weather.is_awake(validator)
                    || self.random.percent(weather.votes_lost)
                {
                    continue;
                }
                let aggregator = &mut self.views[AGGREGATOR];
                aggregator.check_attestation(&data, validator).unwrap();
                aggregator.record_signature(&data, validator, Arc::from([]));
            }
        }
    }

    fn gossip(&mut self, aggregate: &SignedAggregatedAttestation, weather: Weather) {
        let SignedAggregatedAttestation { data, proof } = aggregate;
        for node in 0..self.views.len() {
            if node == AGGREGATOR || self.random.percent(weather.aggregates_lost) {
                continue;
            }
            self.import(node, data.head.root);
            let view = &mut self.views[node];
            view.check_aggregate(data, &proof.participants).unwrap();
            view.record_aggregate(data, Arc::new(proof.clone()));
        }
    }
}

struct Prover;

impl Combine for Prover {
    fn combine(&mut self, task: &AggregationTask) -> Option<SingleMessageAggregate> {
        let raw = task.raw.iter().map(|(validator, _)| *validator as usize);
        let children = task.children.iter().flat_map(|child| child.participants.ones());
        let mut voters = BTreeSet::new();
        for voter in raw.chain(children) {
            if voters.len() < SIGNERS_MAX {
                voters.insert(voter);
            }
        }
        Some(SingleMessageAggregate::clone(&proof_of(voters)))
    }
}

fn proof_of(voters: impl IntoIterator<Item = usize>) -> Arc<SingleMessageAggregate> {
    let voters = voters.into_iter().map(|voter| voter as u64);
    let participants = AggregationBits::from_indices(voters).unwrap();
    Arc::new(SingleMessageAggregate { participants, proof: ProofBytes::default() })
}

fn block_vote(attestation: &AggregatedAttestation) -> BlockVote {
    let voters = &attestation.aggregation_bits;
    BlockVote {
        data: attestation.data,
        voters: voters.clone(),
        proof: Some(proof_of(voters.ones())),
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
