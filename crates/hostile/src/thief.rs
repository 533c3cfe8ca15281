//! Validators that sign what they should not: whoever has their keys.

use lamella_network_dir::{
    GenesisConfig, NetworkDir, NetworkFileError, ValidatorKey, ValidatorKeyError, ValidatorKeys,
};
use lamella_state_transition::compute_post_state;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, BlockHeader,
    Checkpoint, MultiMessageAggregate, ProofBytes, Root, SignedAttestation, SignedBlock, Slot,
    State, genesis_state, hash_tree_root, slot::proposer_for_slot,
};
use lamella_xmss::{SecretKey, SignError};

use crate::rubbish::root;

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyTheftError {
    /// The network's files.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
    /// The keys themselves.
    #[error(transparent)]
    Keys(#[from] ValidatorKeyError),
}

/// Keys of validators, and the chain that they sign on.
#[derive(Debug)]
pub struct Thief {
    keys: ValidatorKeys,
    parent: State,
    parent_root: Root,
}

impl Thief {
    /// Has the keys of the last `count` validators of a node, of every one where it has fewer. Signs on genesis until told
    /// otherwise.
    ///
    /// # Errors
    /// [`KeyTheftError`].
    pub fn of(paths: &NetworkDir, node_id: &str, count: usize) -> Result<Self, KeyTheftError> {
        let config = GenesisConfig::load(&paths.config)?;
        let assigned = match paths.assignments()? {
            Some(assignments) => assignments.of(node_id)?.unwrap_or_default(),
            None => Vec::new(),
        };
        let assigned = &assigned[assigned.len().saturating_sub(count)..];
        let parameters = &lamella_xmss::PRODUCTION;
        let keys = ValidatorKeys::load(&config.validators, assigned, &paths.keys_dir, parameters)?;
        let parent = genesis_state(config.genesis_time, config.validators);
        Ok(Self { keys, parent_root: block_root(&parent), parent })
    }

    /// Goes on from the block of this state.
    pub fn follow(&mut self, state: State) {
        self.parent_root = block_root(&state);
        self.parent = state;
    }

    /// The validators.
    #[must_use]
    pub fn validators(&self) -> &[ValidatorKey] {
        &self.keys.validators
    }

    /// Whether it can propose at this slot.
    #[must_use]
    pub fn proposes(&self, slot: Slot) -> bool {
        self.proposer(slot).is_some() && slot > self.parent.latest_block_header.slot
    }

    fn proposer(&self, slot: Slot) -> Option<&ValidatorKey> {
        let proposer = proposer_for_slot(slot, self.parent.validators.len() as u64)?;
        self.keys.get(proposer)
    }

    /// A block that is valid in every way, one of many for its slot by the vote inside. `None` if it cannot propose then.
    ///
    /// # Errors
    /// The keys do not sign for that slot.
    pub fn block(&self, slot: Slot, number: u64) -> Result<Option<SignedBlock>, SignError> {
        let Some(keys) = self.proposer(slot) else { return Ok(None) };
        let proposer_index = keys.index;
        let data = self.data(slot, root(number));
        let Some(aggregation_bits) = AggregationBits::from_indices([proposer_index]) else {
            return Ok(None);
        };
        let body = BlockBody::new(vec![AggregatedAttestation { aggregation_bits, data }]);
        let body = body.unwrap_or_default();
        let parent_root = self.parent_root;
        let mut block = Block { slot, proposer_index, parent_root, body, ..Block::default() };
        // A slot that is over has no child.
        let Ok((_, state_root)) = compute_post_state(&self.parent, &block) else { return Ok(None) };
        block.state_root = state_root;
        let sign = |key: &SecretKey, message: Root| key.sign(slot, message.as_bytes());
        let vote = sign(&keys.attester, hash_tree_root(&data))?;
        let proposal = sign(&keys.proposer, hash_tree_root(&block))?;
        let proof = ProofBytes::new([vote.encode(), proposal.encode()].concat());
        let proof = MultiMessageAggregate { proof: proof.unwrap_or_default() };
        Ok(Some(SignedBlock { block, proof }))
    }

    /// A vote, one of many for its slot by a head that is not there.
    ///
    /// # Errors
    /// The keys do not sign for that slot.
    pub fn vote(
        &self,
        keys: &ValidatorKey,
        slot: Slot,
        number: u64,
    ) -> Result<SignedAttestation, SignError> {
        let data = self.data(slot, root(number));
        let signature = keys.attester.sign(slot, hash_tree_root(&data).as_bytes())?;
        let signature = signature.encode();
        Ok(SignedAttestation { validator_index: keys.index, data, signature })
    }

    fn data(&self, slot: Slot, head: Root) -> AttestationData {
        let justified = self.parent.latest_justified;
        // Before anything is justified genesis is, which its own state cannot name.
        let is_genesis = justified.root == Root::ZERO;
        let source =
            if is_genesis { Checkpoint { root: self.parent_root, slot: 0 } } else { justified };
        AttestationData { slot, head: Checkpoint { root: head, slot }, target: source, source }
    }
}

/// The block that a state is the outcome of.
fn block_root(state: &State) -> Root {
    let header = BlockHeader { state_root: state.root(), ..state.latest_block_header };
    hash_tree_root(&header)
}
