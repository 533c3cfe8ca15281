//! The chain's blocks: nearly always one a slot with everybody's votes, now and then a few empty slots, and one
//! stretch in which too few vote.

use std::ops::Range;

use lamella_benches::{BlockSource, Finality};
use lamella_types::{Block, MultiMessageAggregate, SignedBlock, Slot, State};

/// Slots in which too few validators vote for anything to be justified.
pub const STALL: Range<Slot> = 100_000..103_000;

/// Every so many slots some are empty. A prime, so that now and then an anchor's own slot is.
const SKIP_EVERY_SLOTS: Slot = 509;

/// Empty slots at a time.
const SKIPPED_SLOTS: Slot = 3;

/// Produces the chain, block after block, without proofs.
pub struct Script {
    source: BlockSource,
    /// Last slot of the chain: nothing is skipped across it.
    last_slot: Slot,
}

impl Script {
    /// The blocks from `genesis` up to `last_slot`.
    pub fn new(genesis: &State, last_slot: Slot) -> Self {
        Self { source: BlockSource::new(genesis, Finality::Healthy), last_slot }
    }

    /// Post-state of the last block.
    pub const fn state(&self) -> &State {
        self.source.state()
    }

    /// Up to `count` further blocks; none after the last slot.
    pub fn take(&mut self, count: usize) -> Vec<SignedBlock> {
        std::iter::from_fn(|| self.next()).take(count).collect()
    }

    fn next(&mut self) -> Option<SignedBlock> {
        let parent_slot = self.state().slot;
        if parent_slot >= self.last_slot {
            return None;
        }
        let finality =
            if STALL.contains(&parent_slot) { Finality::Stalled(0) } else { Finality::Healthy };
        self.source.set_finality(finality);
        let next = parent_slot + 1;
        let skips = next.is_multiple_of(SKIP_EVERY_SLOTS) && next + SKIPPED_SLOTS <= self.last_slot;
        // The first two blocks have nothing to vote for yet.
        let block = if skips || parent_slot < 2 {
            self.source.skip_to(if skips { next + SKIPPED_SLOTS } else { next })
        } else {
            self.source.next_block()
        };
        Some(unproved(block))
    }
}

/// The block under the scheme `trust`, which looks at no proof.
pub fn unproved(block: Block) -> SignedBlock {
    SignedBlock { block, proof: MultiMessageAggregate::default() }
}
