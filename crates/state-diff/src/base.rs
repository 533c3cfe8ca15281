//! `DiffBase`: the parent, captured before the state transition, and the proof that a state extends it.

use std::sync::Arc;

use lamella_types::{Checkpoint, Root, Slot, State};

use crate::tally::TALLY_DELTAS_MAX;

/// Everything of the parent that a diff rests on. Holding it costs pointers: states share their large fields.
#[derive(Debug, Clone)]
pub struct DiffBase {
    block: Checkpoint,
    anchor: Checkpoint,
    tally_deltas: u8,
    state: Arc<State>,
}

/// Why a state is not its parent plus what a diff can say. The block is refused; nothing has been written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The captured parent is not the post-state of its block.
    #[error(
        "base {block}: its state has slot {state_slot} and {history} history entries, its block slot {slot}"
    )]
    BaseIncomplete {
        /// Root of the parent.
        block: Root,
        /// Its slot.
        slot: Slot,
        /// The state's slot.
        state_slot: Slot,
        /// Entries in the state's history.
        history: usize,
    },
    /// The state's latest block is not a child of the base.
    #[error("the state's block has parent {parent}, the base is {base}")]
    OtherParent {
        /// Parent of the state's latest block.
        parent: Root,
        /// The base.
        base: Root,
    },
    /// The state's slot is not its block's, or not after the base's.
    #[error(
        "the state has slot {state_slot} and block slot {block_slot}, the base slot {base_slot}"
    )]
    Slots {
        /// The state's slot.
        state_slot: Slot,
        /// Slot of its latest block.
        block_slot: Slot,
        /// Slot of the base.
        base_slot: Slot,
    },
    /// The header's state root is filled in already: the state has been advanced past its block.
    #[error("the state's header already names state root {state_root}: not a block's post-state")]
    HeaderSealed {
        /// The root in the header.
        state_root: Root,
    },
    /// Configuration or registry changed; both are fixed at genesis.
    #[error(
        "configuration or registry differ from the base: {validators} validators, base {base_validators}"
    )]
    ConstantsChanged {
        /// Validators in the state.
        validators: usize,
        /// Validators in the base.
        base_validators: usize,
    },
    /// The history is not the base's, then the base's root, then one zero for each skipped slot.
    #[error(
        "history of {entries} entries at slot {slot} does not continue the base's {base_entries}"
    )]
    HistoryBroken {
        /// Entries in the state's history.
        entries: usize,
        /// The state's slot.
        slot: Slot,
        /// Entries in the base's history.
        base_entries: usize,
    },
    /// The tally's roots are not ascending, or its votes are not one run of registry length for each root.
    #[error(
        "tally of {roots} roots and {votes} votes for {validators} validators is not well formed"
    )]
    TallyMalformed {
        /// Tracked roots.
        roots: usize,
        /// Vote bits.
        votes: usize,
        /// Validators.
        validators: usize,
    },
    /// A checkpoint lies after the block.
    #[error("checkpoint at slot {checkpoint} is after the state's slot {slot}")]
    CheckpointInFuture {
        /// Slot of the checkpoint.
        checkpoint: Slot,
        /// The state's slot.
        slot: Slot,
    },
}

impl DiffBase {
    /// Captures the parent: its block, the anchor its own row rests on (itself, if it is one), how many tally
    /// deltas lie between it and the last full tally, and its post-state.
    #[must_use]
    pub const fn capture(
        block: Checkpoint,
        anchor: Checkpoint,
        tally_deltas: u8,
        state: Arc<State>,
    ) -> Self {
        Self { block, anchor, tally_deltas, state }
    }

    /// Root and slot of the parent.
    #[must_use]
    pub const fn block(&self) -> Checkpoint {
        self.block
    }

    /// The nearest anchor at or above the parent.
    #[must_use]
    pub const fn anchor(&self) -> Checkpoint {
        self.anchor
    }

    /// The parent's post-state.
    #[must_use]
    pub const fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Whether a child may write its tally as a delta.
    pub(crate) const fn tally_delta_number(&self) -> Option<u8> {
        if self.tally_deltas < TALLY_DELTAS_MAX { Some(self.tally_deltas + 1) } else { None }
    }

    /// Proves that `target` is the post-state of a child of this base.
    ///
    /// # Errors
    /// One variant for each assumption that does not hold.
    ///
    /// # Cost
    /// Pointer comparisons, and one comparison of the base's history tail (under 32 KiB).
    pub fn check_extension(&self, target: &State) -> Result<(), BuildError> {
        self.check_identity(target)?;
        let base = &*self.state;
        if target.config != base.config || target.validators != base.validators {
            let (validators, base_validators) = (target.validators.len(), base.validators.len());
            return Err(BuildError::ConstantsChanged { validators, base_validators });
        }
        let (history, base_history) =
            (&target.historical_block_hashes, &base.historical_block_hashes);
        let continued = history.len() as u64 == target.slot
            && history.starts_with(base_history)
            && history.get(self.block.slot) == Some(self.block.root)
            && (self.block.slot + 1..target.slot).all(|slot| history.get(slot) == Some(Root::ZERO));
        if !continued {
            let (entries, base_entries) = (history.len(), base_history.len());
            return Err(BuildError::HistoryBroken { entries, slot: target.slot, base_entries });
        }
        let (roots, votes) = (target.justifications.roots(), target.justifications.votes().len());
        let validators = target.validators.len();
        if votes != roots.len() * validators || !roots.is_sorted_by(|a, b| a < b) {
            return Err(BuildError::TallyMalformed { roots: roots.len(), votes, validators });
        }
        let checkpoint = target.latest_justified.slot.max(target.latest_finalized.slot);
        if checkpoint > target.slot {
            return Err(BuildError::CheckpointInFuture { checkpoint, slot: target.slot });
        }
        Ok(())
    }

    fn check_identity(&self, target: &State) -> Result<(), BuildError> {
        let (base, block) = (&*self.state, self.block);
        let history = base.historical_block_hashes.len();
        if base.slot != block.slot || history as u64 != block.slot {
            let (slot, state_slot) = (block.slot, base.slot);
            return Err(BuildError::BaseIncomplete {
                block: block.root,
                slot,
                state_slot,
                history,
            });
        }
        let header = &target.latest_block_header;
        if header.parent_root != block.root {
            return Err(BuildError::OtherParent { parent: header.parent_root, base: block.root });
        }
        if target.slot != header.slot || target.slot <= block.slot {
            return Err(BuildError::Slots {
                state_slot: target.slot,
                block_slot: header.slot,
                base_slot: block.slot,
            });
        }
        if !header.state_root.is_zero() {
            return Err(BuildError::HeaderSealed { state_root: header.state_root });
        }
        Ok(())
    }
}
