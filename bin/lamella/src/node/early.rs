//! Votes that came before the blocks they name: kept, and judged again when a block is imported. leanSpec
//! `SyncService` keeps as many.

use std::collections::VecDeque;

use lamella_network::{PeerId, service::GossipMessage};
use lamella_types::limits::INTERVALS_PER_SLOT;

use super::Node;

/// Votes and aggregates kept; the oldest goes. Their signatures were checked, so only validators can fill it.
const EARLY_MAX: usize = 2_048;

/// Bytes of them in memory: 16 MiB, more than all votes that may wait and 19 of the largest aggregates.
const EARLY_BYTES_MAX: usize = 16 << 20;

/// Slots after which a vote is not waited with any more: its block comes by gossip, by root or with a range.
const EARLY_SLOTS_MAX: u64 = 32;

/// Votes whose blocks are not here.
#[derive(Debug, Default)]
pub(super) struct Early {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    peer: PeerId,
    message: GossipMessage,
    /// When it came, by our clock.
    interval: u64,
    bytes: usize,
}

impl Early {
    /// Keeps one more; the oldest make room.
    fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes;
        self.waiting.push_back(waiting);
        while self.waiting.len() > EARLY_MAX || self.bytes > EARLY_BYTES_MAX {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
    }

    /// Whether this says nothing that does not wait already: one aggregate makes many smaller ones, all of them valid.
    fn covers(&self, message: &GossipMessage) -> bool {
        let GossipMessage::Aggregate(new) = message else { return false };
        self.waiting.iter().any(|waiting| match &waiting.message {
            GossipMessage::Aggregate(old) if old.data == new.data => {
                let old = &old.proof.participants;
                new.proof.participants.ones().all(|index| old.get(index) == Some(true))
            }
            _ => false,
        })
    }

    /// Drops what was kept before this interval.
    fn forget_before(&mut self, interval: u64) {
        self.waiting.retain(|waiting| waiting.interval >= interval);
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes).sum();
    }
}

impl Node {
    /// Keeps a vote, whose signature is good, for when its blocks are here.
    pub(super) fn keep_early(&mut self, peer: PeerId, message: GossipMessage) {
        if self.early.covers(&message) {
            return;
        }
        let interval = self.chain.fork_choice().time();
        let bytes = message.memory_bytes();
        self.early.push(Waiting { peer, message, interval, bytes });
    }

    /// Blocks were imported: judges what waited for them.
    pub(super) fn judge_early(&mut self) {
        for waiting in std::mem::take(&mut self.early).waiting {
            let is_known = waiting.message.data().is_some_and(|data| {
                let view = self.chain.fork_choice();
                [data.source, data.target, data.head].iter().all(|c| view.contains(&c.root))
            });
            if is_known {
                self.judge_kept(waiting.peer, waiting.message);
            } else {
                self.early.push(waiting);
            }
        }
    }

    /// An interval began: looks for heads that votes have named for a whole interval, and forgets what is too old.
    pub(super) fn look_for_early(&mut self, interval: u64) {
        self.early.forget_before(interval.saturating_sub(EARLY_SLOTS_MAX * INTERVALS_PER_SLOT));
        let is_due = |waiting: &&Waiting| waiting.interval.saturating_add(1) < interval;
        for waiting in self.early.waiting.iter().filter(is_due) {
            let Some(data) = waiting.message.data() else { continue };
            self.catch_up.sync.heard_of(waiting.peer, data.head);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lamella_types::{ProofBytes, SignedAggregatedAttestation, limits::PROOF_BYTES_MAX};

    use super::*;

    #[test]
    fn what_waits_for_blocks_is_bounded_in_bytes_and_the_oldest_goes() {
        let mut early = Early::default();
        let mut aggregate = SignedAggregatedAttestation::default();
        aggregate.proof.proof = ProofBytes::new(vec![0; PROOF_BYTES_MAX]).unwrap();
        let message = GossipMessage::Aggregate(Arc::new(aggregate));
        for interval in 0..100 {
            let (peer, bytes) = (PeerId::random(), message.memory_bytes());
            early.push(Waiting { peer, message: message.clone(), interval, bytes });
        }
        let fit = EARLY_BYTES_MAX / message.memory_bytes();
        assert_eq!((early.waiting.len(), early.waiting[0].interval), (fit, 100 - fit as u64));
        assert!(early.covers(&message), "the same, or a part of it");
        early.forget_before(99);
        assert_eq!((early.waiting.len(), early.bytes), (1, message.memory_bytes()));
        early.forget_before(100);
        assert_eq!(early.bytes, 0);
    }
}
