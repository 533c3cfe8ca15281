//! States that no chain led to: a registry, a random history, finality near or far.

use std::sync::Arc;

use lamella_chain::Bootstrap;
use lamella_types::{
    Block, BlockHashes, BlockHeader, Checkpoint, JustificationValidators, Justifications,
    JustifiedSlots, MultiMessageAggregate, PublicKeyBytes, Root, SignedBlock, Slot, State,
    Validator, Validators, genesis_state,
    slot::{is_justifiable_after, justified_index_after},
};

use crate::Random;

/// How far finality is behind a chain's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// Every block justifies its parent and finalizes its grandparent.
    Healthy,
    /// Nothing has been justified for this many slots: too few validators vote.
    Stalled(u64),
}

/// Parts of a thousand validators that vote while finality stalls: under two thirds.
pub const ONLINE_PER_MILLE: u64 = 600;

/// Parts of a thousand online validators whose vote reaches the proposer in time.
pub const IN_TIME_PER_MILLE: u64 = 970;

/// Whether a validator is online while finality stalls. The same ones are, all the time.
#[must_use]
pub fn is_online(validator: u64) -> bool {
    Random::new(validator).per_mille(ONLINE_PER_MILLE)
}

/// A registry with random keys.
#[must_use]
pub fn registry(validator_count: u64) -> Validators {
    let mut random = Random::new(1);
    let mut key = || PublicKeyBytes(random.bytes(52).try_into().unwrap());
    let entries = (0..validator_count).map(|index| Validator {
        attestation_public_key: key(),
        proposal_public_key: key(),
        index,
    });
    Validators::new(&entries.collect::<Vec<_>>()).unwrap()
}

/// Block and state of `slot` (at least 2) on a random history, ready to begin a chain of validators with random keys.
///
/// # Cost
/// A hash for each slot and seven for each validator: 50 ms at slot 261,000.
#[must_use]
pub fn anchor(validator_count: u64, slot: Slot, finality: Finality) -> Bootstrap {
    anchor_of(registry(validator_count), slot, finality)
}

/// As [`anchor`], of these validators.
#[must_use]
pub fn anchor_of(registry: Validators, slot: Slot, finality: Finality) -> Bootstrap {
    let validator_count = registry.len() as u64;
    let mut random = Random::new(2);
    let mut history = BlockHashes::default();
    for _ in 0..slot {
        history.push(random.root()).unwrap();
    }
    let at = |slot| Checkpoint { root: history.get(slot).unwrap(), slot };
    let (justified, finalized) = match finality {
        Finality::Healthy => (at(slot - 1), at(slot - 2)),
        Finality::Stalled(slots) => (at(slot - slots), at(slot - slots)),
    };
    let mut justified_slots = JustifiedSlots::default();
    justified_slots.extend_to_slot(finalized.slot, slot - 1);
    if let Some(index) = justified_index_after(justified.slot, finalized.slot) {
        justified_slots.set(index, true);
    }
    let genesis = genesis_state(1_700_000_000, registry);
    let state = State {
        slot,
        latest_block_header: BlockHeader {
            slot,
            proposer_index: slot % validator_count,
            parent_root: history.get(slot - 1).unwrap(),
            ..genesis.latest_block_header
        },
        latest_justified: justified,
        latest_finalized: finalized,
        justified_slots,
        justifications: pending_votes(&history, finalized.slot, validator_count),
        historical_block_hashes: history,
        ..genesis
    };
    bootstrap(state)
}

/// The votes that have piled up since finality: one run for each slot that could have been justified.
fn pending_votes(
    history: &BlockHashes,
    finalized_slot: Slot,
    validator_count: u64,
) -> Justifications {
    let mut random = Random::new(3);
    let end = (history.len() as Slot).saturating_sub(3);
    let targets =
        (finalized_slot + 1..end).filter(|slot| is_justifiable_after(*slot, finalized_slot));
    let mut roots: Vec<Root> = targets.map(|slot| history.get(slot).unwrap()).collect();
    roots.sort_unstable();
    let mut votes = JustificationValidators::default();
    for _ in &roots {
        let start = votes.len();
        votes.resize(start + usize::try_from(validator_count).unwrap());
        for (position, validator) in (start..).zip(0..validator_count) {
            if is_online(validator) && random.per_mille(IN_TIME_PER_MILLE) {
                votes.set(position, true);
            }
        }
    }
    Justifications::new(roots, votes)
}

fn bootstrap(state: State) -> Bootstrap {
    let header = state.latest_block_header;
    let block = Block {
        slot: header.slot,
        proposer_index: header.proposer_index,
        parent_root: header.parent_root,
        state_root: state.root(),
        ..Block::default()
    };
    let block = SignedBlock { block, proof: MultiMessageAggregate::default() };
    Bootstrap { block, state: Arc::new(state) }
}
