//! What makes a block and a state a checkpoint of this network. Cheap checks first; the first that fails is the answer.

use std::sync::Arc;

use lamella_chain::Bootstrap;
use lamella_network_dir::GenesisConfig;
use lamella_types::{
    Checkpoint as SlotAndRoot, RejectionReason, Root, SignedBlock, Slot, State, Validators,
};
use lamella_xmss::scheme::ProofScheme;

use crate::proofs;

/// A block and its post-state, found to be of this network.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The block's root.
    pub root: Root,
    /// What a directory can begin with.
    pub bootstrap: Bootstrap,
}

/// Which check failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another network, by its time.
    #[error("another network: its genesis time is {found}, config.yaml says {configured}")]
    GenesisTime {
        /// The source's.
        found: u64,
        /// Ours.
        configured: u64,
    },
    /// Another network, by the size of its registry.
    #[error("another network: it has {found} validators, config.yaml lists {configured}")]
    ValidatorCount {
        /// The source's.
        found: usize,
        /// Ours.
        configured: usize,
    },
    /// Another network, by a validator.
    #[error("another network: validator {index} has another {what} than in config.yaml")]
    Validator {
        /// Position in the registry.
        index: u64,
        /// What differs.
        what: &'static str,
    },
    /// Block and state are not of one another.
    #[error(
        "its block (slot {block_slot}) and its state (of the block at slot {state_slot}) do not belong together"
    )]
    Unpaired {
        /// The block's slot.
        block_slot: Slot,
        /// The slot of the block that the state is of.
        state_slot: Slot,
    },
    /// Nothing to begin at.
    #[error("it has finalized nothing after genesis yet")]
    Genesis,
    /// The block commits to another state.
    #[error("its state hashes to {computed}, its block says {expected}")]
    StateRoot {
        /// Hash of the state.
        computed: Root,
        /// The block's `state_root`.
        expected: Root,
    },
    /// A state that is not of its block's slot.
    #[error("its state is at slot {found}, its block at {expected}")]
    StateSlot {
        /// The state's slot.
        found: Slot,
        /// The block's slot.
        expected: Slot,
    },
    /// Checkpoints in an impossible order.
    #[error(
        "its checkpoints are out of order: finalized {finalized}, justified {justified}, block {slot}"
    )]
    Order {
        /// Slot finalized.
        finalized: Slot,
        /// Slot justified.
        justified: Slot,
        /// The block's slot.
        slot: Slot,
    },
    /// Two blocks at one slot of one chain.
    #[error("its {what} checkpoint at slot {slot} is {found}, its chain has {expected} there")]
    Root {
        /// Which checkpoint.
        what: &'static str,
        /// Its slot.
        slot: Slot,
        /// Its root.
        found: Root,
        /// The root in the chain.
        expected: Root,
    },
    /// A history of another length than the chain's.
    #[error("its history has {found} slots, a block at slot {expected} has {expected} before it")]
    History {
        /// Entries.
        found: usize,
        /// The block's slot.
        expected: Slot,
    },
    /// Nobody says that it is a block of this network's chain.
    #[error(
        "two thirds of config.yaml's keys are not seen to have voted for block {checkpoint} at slot {slot}: {voters} of {validators} are, {needed} are needed; if you know from elsewhere that it is the chain's, give --checkpoint-root {checkpoint}"
    )]
    NotVoted {
        /// The block.
        checkpoint: Root,
        /// Its slot.
        slot: Slot,
        /// Validators who voted for it, as far as the source shows.
        voters: usize,
        /// Validators who must.
        needed: usize,
        /// Validators of the network.
        validators: usize,
    },
    /// Not the block that was asked for.
    #[error("its block is {found}, --checkpoint-root says {expected}")]
    OtherRoot {
        /// The source's.
        found: Root,
        /// The one asked for.
        expected: Root,
    },
    /// Signatures that are not the validators'.
    #[error("its block's proof is not valid: {0}; is it a chain of this --proof-scheme?")]
    Proof(RejectionReason),
}

impl Refusal {
    /// Whether the source finalized another block between the two requests.
    #[must_use]
    pub const fn is_unpaired(&self) -> bool {
        matches!(self, Self::Unpaired { .. })
    }

    /// Whether the source follows another network.
    #[must_use]
    pub const fn is_other_network(&self) -> bool {
        matches!(
            self,
            Self::GenesisTime { .. } | Self::ValidatorCount { .. } | Self::Validator { .. }
        )
    }
}

/// Checks a block and a state against each other and against the local genesis. That the block is the chain's is another
/// matter: its proof shows its proposer's hand and its votes' at most, and may be missing, as leanSpec's nodes serve it.
///
/// The header in the state may carry its `state_root`, as some servers send it; it is zeroed, as the transition
/// leaves it, before the state is hashed.
///
/// # Errors
/// The first check that failed.
///
/// # Cost
/// One hash of the whole state and one verification of the block's proof.
pub fn verify(
    block: SignedBlock,
    mut state: State,
    genesis: &GenesisConfig,
    scheme: &dyn ProofScheme,
) -> Result<Checkpoint, Refusal> {
    check_network(&state, genesis)?;
    let header = block.block.header();
    state.latest_block_header.state_root = Root::ZERO;
    let mut transitional = header;
    transitional.state_root = Root::ZERO;
    if transitional != state.latest_block_header {
        let state_slot = state.latest_block_header.slot;
        return Err(Refusal::Unpaired { block_slot: header.slot, state_slot });
    }
    if header.slot == 0 {
        return Err(Refusal::Genesis);
    }
    let (computed, expected) = (state.root(), header.state_root);
    if computed != expected {
        return Err(Refusal::StateRoot { computed, expected });
    }
    let root = header.root();
    check_checkpoints(&state, SlotAndRoot { slot: header.slot, root })?;
    if !block.proof.proof.as_bytes().is_empty() {
        proofs::verify_block(scheme, &state.validators, &block, root).map_err(Refusal::Proof)?;
    }
    Ok(Checkpoint { root, bootstrap: Bootstrap { block, state: Arc::new(state) } })
}

fn check_network(state: &State, genesis: &GenesisConfig) -> Result<(), Refusal> {
    let (found, configured) = (state.config.genesis_time, genesis.genesis_time);
    if found != configured {
        return Err(Refusal::GenesisTime { found, configured });
    }
    let (found, configured) = (&state.validators, &genesis.validators);
    if found.len() != configured.len() {
        let (found, configured) = (found.len(), configured.len());
        return Err(Refusal::ValidatorCount { found, configured });
    }
    first_difference(found, configured)
}

fn first_difference(found: &Validators, configured: &Validators) -> Result<(), Refusal> {
    for index in 0..configured.len() as u64 {
        let (Some(theirs), Some(ours)) = (found.get(index), configured.get(index)) else {
            return Err(Refusal::Validator { index, what: "place" });
        };
        let differs = [
            ("index", theirs.index != ours.index),
            ("attestation key", theirs.attestation_public_key != ours.attestation_public_key),
            ("proposal key", theirs.proposal_public_key != ours.proposal_public_key),
        ];
        if let Some((what, _)) = differs.into_iter().find(|(_, differs)| *differs) {
            return Err(Refusal::Validator { index, what });
        }
    }
    Ok(())
}

/// Checks the state's slot, history and checkpoints, given its block.
fn check_checkpoints(state: &State, block: SlotAndRoot) -> Result<(), Refusal> {
    let slot = block.slot;
    if state.slot != slot {
        return Err(Refusal::StateSlot { found: state.slot, expected: slot });
    }
    let history = &state.historical_block_hashes;
    if history.len() as u64 != slot {
        return Err(Refusal::History { found: history.len(), expected: slot });
    }
    let (finalized, justified) = (state.latest_finalized, state.latest_justified);
    if finalized.slot > justified.slot || justified.slot > slot {
        let (finalized, justified) = (finalized.slot, justified.slot);
        return Err(Refusal::Order { finalized, justified, slot });
    }
    for (what, checkpoint) in [("finalized", finalized), ("justified", justified)] {
        let (slot, found) = (checkpoint.slot, checkpoint.root);
        // The block itself is not in its state's history.
        let expected = history.get(slot).unwrap_or(block.root);
        if found != expected {
            return Err(Refusal::Root { what, slot, found, expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
