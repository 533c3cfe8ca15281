//! What survives a restart: blocks, votes and five fields. Head and weights are derived again.

use std::collections::HashSet;

use lamella_types::{
    AggregationBits, AttestationData, Checkpoint, Root, Slot, hash_tree_root,
    limits::INTERVALS_PER_SLOT,
};

use crate::{
    fork_choice::ForkChoice,
    pool::{Pool, PoolEntry},
    tree::BlockSummary,
    votes::LatestVotes,
};

/// Everything that fork choice is rebuilt from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Blocks of the tree, parents before children (ascending slots are enough). The first is its root.
    pub blocks: Vec<BlockSummary>,
    /// Highest justified checkpoint seen.
    pub latest_justified: Checkpoint,
    /// Finality as the head sees it.
    pub latest_finalized: Checkpoint,
    /// Block that is safe to attest to.
    pub safe_target: Root,
    /// Intervals since genesis.
    pub time: u64,
    /// The votes of both pools, in any order.
    pub votes: Vec<VoteRow>,
}

impl Snapshot {
    /// What blocks and votes alone say, for a view whose checkpoints, safe target and time are lost.
    ///
    /// Justified is the highest that any post-state names, as [`ForkChoice::on_block`] keeps it; two of one slot
    /// need a third of all votes cast twice, and then the first in block order is taken. Finality begins at the root
    /// and is the head's once [`ForkChoice::update_head`] has run. The safe target is the justified block until
    /// interval 3 moves it: it only bounds votes. Time is the newest block's slot, so never later than it was.
    #[must_use]
    pub fn derived(blocks: Vec<BlockSummary>, votes: Vec<VoteRow>) -> Self {
        let root = blocks.first().map(BlockSummary::checkpoint).unwrap_or_default();
        let known: HashSet<_> = blocks.iter().map(BlockSummary::checkpoint).collect();
        let justified = blocks.iter().map(|block| block.justified);
        let justified =
            justified.filter(|block| known.contains(block)).fold(root, Checkpoint::advance_to);
        let newest = blocks.iter().map(|block| block.slot).max().unwrap_or_default();
        Self {
            blocks,
            latest_justified: justified,
            latest_finalized: root,
            safe_target: justified.root,
            time: newest.saturating_mul(INTERVALS_PER_SLOT),
            votes,
        }
    }
}

/// One attestation data's standing in the pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteRow {
    /// The vote.
    pub data: AttestationData,
    /// Its entry in the known pool. An entry without participants still holds a place.
    pub known: Option<PoolVotes>,
    /// Its entry in the pending pool.
    pub pending: Option<PoolVotes>,
}

/// An entry of one pool without its proofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolVotes {
    /// Place in the pool, lowest first.
    pub order: i64,
    /// Everyone who counts as having cast the vote.
    pub participants: AggregationBits,
}

impl PoolVotes {
    /// Whether a pool of ours can have handed out this place: what a damaged row says may not.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.order.checked_abs().is_some_and(|order| order < ORDER_MAX)
    }
}

/// A row of the votes table to write or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteChange {
    /// Slot of the data, first part of the key.
    pub slot: Slot,
    /// Root of the data, second part of the key.
    pub data_root: Root,
    /// The row to write; `None` deletes it, if it was ever written.
    pub row: Option<VoteRow>,
}

/// Why a snapshot does not make a fork choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// There are no blocks.
    #[error("fork choice needs at least one block; the live chain is empty")]
    NoBlocks,
    /// A block comes twice.
    #[error("block {root} is in the live chain twice")]
    DuplicateBlock {
        /// The block.
        root: Root,
    },
    /// A block other than the first has no parent before it.
    #[error(
        "block {root} at slot {slot}: its parent {parent_root} is not in the live chain before it"
    )]
    MissingParent {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
        /// The parent it names.
        parent_root: Root,
    },
    /// A block is not after its parent.
    #[error("block {root}: slot {slot} is not after its parent's slot {parent_slot}")]
    SlotNotAfterParent {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
        /// Its parent's slot.
        parent_slot: Slot,
    },
    /// A checkpoint or the safe target names no block of the tree.
    #[error("{what} {root} is not in the live chain")]
    NotInTree {
        /// Which one.
        what: &'static str,
        /// The root it names.
        root: Root,
    },
    /// A checkpoint's slot is not its block's.
    #[error("{what} {root} is at slot {block_slot}, its checkpoint says {slot}")]
    CheckpointSlot {
        /// Which one.
        what: &'static str,
        /// The root it names.
        root: Root,
        /// The slot it names.
        slot: Slot,
        /// The block's slot.
        block_slot: Slot,
    },
    /// Two rows are for the same data.
    #[error("two vote rows at slot {slot} are for the same data")]
    DuplicateVote {
        /// Slot of the data.
        slot: Slot,
    },
    /// Two entries of a pool hold the same place, or a place that no pool of ours hands out.
    #[error("vote row at slot {slot}: place {order} in its pool is taken or out of range")]
    VoteOrder {
        /// Slot of the data.
        slot: Slot,
        /// The place.
        order: i64,
    },
}

/// Places are handed out one by one from 0 in both directions, so 2^62 of either is out of reach; refusing them
/// keeps the counters from overflowing whatever a damaged row says.
const ORDER_MAX: i64 = 1 << 62;

impl ForkChoice {
    /// Rebuilds fork choice, computing the head from blocks, votes and checkpoints alone.
    ///
    /// It equals the head that was stored, or the one that the stored view's next `update_head` would give:
    /// leanSpec computes a head under the finalized slot before it, and only then moves that slot.
    ///
    /// # Errors
    /// The first part of the snapshot that does not fit the rest.
    ///
    /// # Cost
    /// One step for each block and each participant.
    pub fn restore(snapshot: Snapshot) -> Result<Self, RestoreError> {
        let Snapshot { blocks, latest_justified, latest_finalized, safe_target, time, votes } =
            snapshot;
        let mut blocks = blocks.into_iter();
        let mut restored = Self::from_anchor(blocks.next().ok_or(RestoreError::NoBlocks)?);
        for block in blocks {
            restored.restore_block(block)?;
        }
        let justified = restored.restore_checkpoint("justified block", latest_justified)?;
        restored.restore_checkpoint("finalized block", latest_finalized)?;
        let what = "safe target";
        let safe_target_node = restored.tree.find(&safe_target);
        restored.safe_target =
            safe_target_node.ok_or(RestoreError::NotInTree { what, root: safe_target })?;
        restored.latest_justified = latest_justified;
        restored.latest_finalized = latest_finalized;
        restored.time = time;
        restored.restore_votes(votes)?;
        restored.head = restored.tree.heaviest_leaf(justified);
        Ok(restored)
    }

    fn restore_block(&mut self, block: BlockSummary) -> Result<(), RestoreError> {
        let BlockSummary { root, slot, parent_root, .. } = block;
        if self.contains(&root) {
            return Err(RestoreError::DuplicateBlock { root });
        }
        let Some(parent) = self.get(&parent_root) else {
            return Err(RestoreError::MissingParent { root, slot, parent_root });
        };
        if slot <= parent.slot {
            return Err(RestoreError::SlotNotAfterParent { root, slot, parent_slot: parent.slot });
        }
        self.tree.insert(block);
        Ok(())
    }

    fn restore_checkpoint(
        &self,
        what: &'static str,
        checkpoint: Checkpoint,
    ) -> Result<usize, RestoreError> {
        let Checkpoint { root, slot } = checkpoint;
        let node = self.tree.find(&root).ok_or(RestoreError::NotInTree { what, root })?;
        let block_slot = self.tree.get(node).slot;
        if block_slot != slot {
            return Err(RestoreError::CheckpointSlot { what, root, slot, block_slot });
        }
        Ok(node)
    }

    fn restore_votes(&mut self, rows: Vec<VoteRow>) -> Result<(), RestoreError> {
        let mut seen = HashSet::new();
        for VoteRow { data, known, pending } in rows {
            if !seen.insert(data) {
                return Err(RestoreError::DuplicateVote { slot: data.slot });
            }
            for (pool, votes) in [(&mut self.known, known), (&mut self.pending, pending)] {
                let Some(votes) = votes else { continue };
                let (has_place, PoolVotes { order, participants }) = (votes.has_place(), votes);
                if !has_place || pool.at(order).is_some() {
                    return Err(RestoreError::VoteOrder { slot: data.slot, order });
                }
                pool.place(&data, order);
                pool.count(&data, &participants);
                self.next_front = self.next_front.min(order - 1);
                self.next_back = self.next_back.max(order + 1);
            }
        }
        self.votes = LatestVotes::of(&self.known, self.latest_finalized.slot, &self.tree);
        let mut deltas = self.tree.no_deltas();
        for head in self.votes.heads() {
            deltas.move_vote(crate::tree::Link::NONE, head);
        }
        self.tree.apply(deltas);
        self.limit_known();
        Ok(())
    }

    /// What [`ForkChoice::restore`] rebuilds this view from.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let in_known = self.known.iter().map(|entry| entry.data);
        let pending_only = self.pending.iter().map(|entry| entry.data);
        let pending_only = pending_only.filter(|data| self.known.get(data).is_none());
        Snapshot {
            blocks: self.nodes().copied().collect(),
            latest_justified: self.latest_justified,
            latest_finalized: self.latest_finalized,
            safe_target: self.safe_target(),
            time: self.time,
            votes: in_known.chain(pending_only).filter_map(|data| self.vote_row(&data)).collect(),
        }
    }

    /// Whether [`ForkChoice::drain_vote_changes`] would hand out any row.
    #[must_use]
    pub fn has_vote_changes(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Rows of the votes table that differ since the last call, each once, in key order by slot. Proofs and raw
    /// signatures are not persisted: after a restart a vote counts, but no block can carry it.
    pub fn drain_vote_changes(&mut self) -> Vec<VoteChange> {
        let changed = std::mem::take(&mut self.unsaved);
        changed
            .iter()
            .map(|data| VoteChange {
                slot: data.slot,
                data_root: hash_tree_root(data),
                row: self.vote_row(data),
            })
            .collect()
    }

    fn vote_row(&self, data: &AttestationData) -> Option<VoteRow> {
        let votes = |pool: &Pool| pool.get(data).map(PoolEntry::votes);
        let (known, pending) = (votes(&self.known), votes(&self.pending));
        (known.is_some() || pending.is_some()).then_some(VoteRow { data: *data, known, pending })
    }
}

impl PoolEntry {
    fn votes(&self) -> PoolVotes {
        PoolVotes { order: self.order, participants: self.participants.clone() }
    }
}
