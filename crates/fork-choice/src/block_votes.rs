//! Votes that came inside a block: leanSpec `SyncService._deconstruct_block_into_store`.
//!
//! Whoever was away has no other source of what was voted meanwhile, so without them it would choose between branches
//! by their roots.
//!
//! Where this differs from leanSpec:
//! - Votes for targets that are justified already are kept too. They move the head as much as any other, and of a block
//!   of a healthy chain there are no others.
//! - A vote of a slot in which votes were accepted already counts at once. By gossip it would have been in time.
//! - They are held to the rules of gossip first; a proposer may have packed votes that no peer would take.

use std::sync::Arc;

use lamella_types::{
    AggregationBits, AttestationData, SingleMessageAggregate, limits::INTERVALS_PER_SLOT,
};

use crate::{fork_choice::ForkChoice, limits::PENDING_DATA_MAX, pool::Pool};

/// Interval of a slot in which its votes are accepted.
const ACCEPT_INTERVAL: u64 = INTERVALS_PER_SLOT - 1;

/// A vote of a block that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockVote {
    /// The vote.
    pub data: AttestationData,
    /// Who cast it.
    pub voters: AggregationBits,
    /// Its part of the block's proof, for the same voters; `None` if the proof cannot be taken apart.
    pub proof: Option<Arc<SingleMessageAggregate>>,
}

impl ForkChoice {
    /// Counts the votes of a block that is in the tree, whose proof was checked, or is taken on trust. The head follows
    /// at the next update. Whether any was new.
    ///
    /// # Cost
    /// One step for each voter who is not known yet.
    pub fn record_block_votes(&mut self, votes: impl IntoIterator<Item = BlockVote>) -> bool {
        let (mut accepted, mut is_new) = (Pool::default(), false);
        for vote in votes {
            let BlockVote { data, voters, proof } = &vote;
            let carries_weight = data.head.slot > self.latest_finalized.slot;
            if !carries_weight || self.check_aggregate(data, voters).is_err() {
                continue;
            }
            // Interval 4 accepts what came in the slot.
            let accepted_at =
                data.slot.saturating_mul(INTERVALS_PER_SLOT).saturating_add(ACCEPT_INTERVAL);
            let pool = if accepted_at <= self.time { &mut accepted } else { &mut self.pending };
            if self.known.has_all(data, voters) || pool.has_all(data, voters) {
                continue;
            }
            if pool.get(data).is_none() {
                if pool.len() >= PENDING_DATA_MAX {
                    continue;
                }
                pool.place(data, self.next_back);
                self.next_back += 1;
            }
            pool.count(data, voters);
            if let Some(proof) = proof {
                pool.add_proof(data, proof);
            }
            self.unsaved.insert(*data);
            is_new = true;
        }
        self.merge_into_known(&accepted);
        is_new
    }
}
