//! A client as small as can be: it builds the blocks of a healthy chain, executes them itself, and speaks SSZ.

use lamella_state_transition::compute_post_state;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, Checkpoint,
    MultiMessageAggregate, ProofBytes, PublicKeyBytes, Root, SignedBlock, Slot, State, Validator,
    Validators, genesis_state, latest_block_root, slot::is_justifiable_after, to_ssz,
};

/// The client, at the block that it built last.
#[derive(Clone)]
pub struct Client(pub State);

impl Client {
    /// At genesis, with so many validators.
    pub fn genesis(validators: u8) -> Self {
        let validators: Vec<_> = (0..validators)
            .map(|index| Validator {
                attestation_public_key: PublicKeyBytes([index; 52]),
                proposal_public_key: PublicKeyBytes([index | 0x80; 52]),
                index: index.into(),
            })
            .collect();
        Self(genesis_state(1_700_000_000, Validators::new(&validators).unwrap()))
    }

    /// The next block, `skipped` empty slots after the last one, with everybody's vote for that: `SignedBlock` in SSZ.
    pub fn next(&mut self, skipped: u64) -> Vec<u8> {
        let slot = self.0.slot + 1 + skipped;
        let mut block = Block {
            slot,
            proposer_index: slot % self.0.validators.len() as u64,
            parent_root: latest_block_root(&self.0),
            state_root: Root::ZERO,
            body: BlockBody::new(self.votes()).unwrap(),
        };
        let (state, state_root) = compute_post_state(&self.0, &block).unwrap();
        block.state_root = state_root;
        self.0 = state;
        let proof = ProofBytes::new(slot.to_le_bytes().repeat(40)).unwrap();
        to_ssz(&SignedBlock { block, proof: MultiMessageAggregate { proof } })
    }

    /// Its state, in SSZ.
    pub fn state(&self) -> Vec<u8> {
        self.0.to_ssz()
    }

    /// Root of its last block.
    pub fn root(&self) -> [u8; 32] {
        *latest_block_root(&self.0).as_bytes()
    }

    fn votes(&self) -> Vec<AggregatedAttestation> {
        let (slot, finalized) = (self.0.slot, self.0.latest_finalized.slot);
        if slot == 0 {
            return Vec::new();
        }
        let may_be_target = |slot: &Slot| {
            let has_block = *slot == self.0.slot || !self.recorded(*slot).is_zero();
            has_block && (*slot <= finalized || is_justifiable_after(*slot, finalized))
        };
        let target = (0..=slot).rev().find(may_be_target).unwrap();
        let data = AttestationData {
            slot,
            head: self.checkpoint(slot),
            target: self.checkpoint(target),
            source: self.0.latest_justified,
        };
        let everybody = (0..self.0.validators.len() as u64).collect::<Vec<_>>();
        let aggregation_bits = AggregationBits::from_indices(everybody).unwrap();
        vec![AggregatedAttestation { aggregation_bits, data }]
    }

    fn recorded(&self, slot: Slot) -> Root {
        self.0.historical_block_hashes.get(slot).unwrap_or(Root::ZERO)
    }

    fn checkpoint(&self, slot: Slot) -> Checkpoint {
        let root = match slot == self.0.slot {
            true => latest_block_root(&self.0),
            false => self.recorded(slot),
        };
        Checkpoint { root, slot }
    }
}
