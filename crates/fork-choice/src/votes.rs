//! The latest vote of every validator. leanSpec `_extract_attestations_from_aggregated_payloads`, kept instead of
//! derived.
//!
//! Law: a validator's latest vote is, of the pool's entries it takes part in whose head is above the finalized
//! slot, the one with the highest slot; on a tie the one with the lowest order.

use lamella_types::{AggregationBits, Slot};

use crate::{
    pool::{Pool, PoolEntry},
    tree::{Deltas, Link, Tree},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LatestVote {
    pub(crate) slot: Slot,
    pub(crate) order: i64,
    /// The vote's head, if it is in the tree. A vote for an unknown block still displaces older ones.
    pub(crate) head: Link,
}

/// One vote for each validator index; at most 4,096, the limit of the bit lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct LatestVotes(Vec<Option<LatestVote>>);

impl LatestVotes {
    /// The latest votes in a pool, from nothing.
    ///
    /// # Cost
    /// One step for each participant of each entry.
    pub(crate) fn of(pool: &Pool, finalized_slot: Slot, tree: &Tree) -> Self {
        let mut votes = Self::default();
        for entry in pool.iter().filter(|entry| entry.data.head.slot > finalized_slot) {
            votes.cast(entry, &entry.participants, tree.link(&entry.data.head.root), |_, _| {});
        }
        votes
    }

    /// Counts these participants of an entry, and moves the weight of those whose latest vote it becomes.
    pub(crate) fn cast_and_move(
        &mut self,
        entry: &PoolEntry,
        participants: &AggregationBits,
        head: Link,
        deltas: &mut Deltas,
    ) {
        self.cast(entry, participants, head, |from, to| deltas.move_vote(from, to));
    }

    fn cast(
        &mut self,
        entry: &PoolEntry,
        participants: &AggregationBits,
        head: Link,
        mut moved: impl FnMut(Link, Link),
    ) {
        if self.0.len() < participants.len() {
            self.0.resize(participants.len(), None);
        }
        let vote = LatestVote { slot: entry.data.slot, order: entry.order, head };
        for validator in participants.ones() {
            let latest = &mut self.0[validator];
            let wins = latest.is_none_or(|latest| {
                vote.slot > latest.slot || (vote.slot == latest.slot && vote.order < latest.order)
            });
            if wins {
                moved(latest.map_or(Link::NONE, |latest| latest.head), head);
                *latest = Some(vote);
            }
        }
    }

    /// Replaces all votes, and moves the weight of those whose head differs.
    pub(crate) fn replace(&mut self, new: Self, deltas: &mut Deltas) {
        let old = std::mem::replace(self, new);
        let head = |votes: &Self, validator: usize| {
            votes.0.get(validator).copied().flatten().map_or(Link::NONE, |vote| vote.head)
        };
        for validator in 0..old.0.len().max(self.0.len()) {
            let (from, to) = (head(&old, validator), head(self, validator));
            if from != to {
                deltas.move_vote(from, to);
            }
        }
    }

    /// Resolves votes for a block that has just joined the tree; whether there were any.
    pub(crate) fn resolve(&mut self, pool: &Pool, tree: &Tree, deltas: &mut Deltas) {
        for vote in self.0.iter_mut().flatten().filter(|vote| vote.head == Link::NONE) {
            vote.head =
                pool.at(vote.order).map_or(Link::NONE, |entry| tree.link(&entry.data.head.root));
            deltas.move_vote(Link::NONE, vote.head);
        }
    }

    pub(crate) fn any_unresolved(&self) -> bool {
        self.iter().any(|vote| vote.head == Link::NONE)
    }

    /// Renames the nodes after the tree lost some. A vote for a lost node keeps its place without weight.
    pub(crate) fn renumber(&mut self, moved: &[Link]) {
        for vote in self.0.iter_mut().flatten() {
            vote.head = vote.head.get().map_or(Link::NONE, |index| moved[index]);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LatestVote> {
        self.0.iter().flatten()
    }

    pub(crate) fn heads(&self) -> impl Iterator<Item = Link> + '_ {
        self.iter().map(|vote| vote.head)
    }
}
